"""A rule of the policy: what it matches, and what it does."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from iplog_core import Alert, KindName, Severity
from iplog_policy.networks import Network
from iplog_policy.times import Days, Hours, days_of, is_within, span_of

T = TypeVar("T")

OneOrMore = Annotated[list[T], BeforeValidator(lambda value: value if isinstance(value, list) else [value])]


class Rule(BaseModel):
    """A `[[plugins.policy.rules]]` table. All that it names must match; of several values of one name any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["drop", "keep", "info", "low", "medium", "high"] = Field(description="Drop the alert, keep it whatever follows, or give it a severity.")
    name: str | None = Field(None, description="What the rule is called in the statistics; default: its number.")
    kind: OneOrMore[KindName] | None = Field(None, description="Kinds of alerts, such as 'port_scan'.")
    plugin: OneOrMore[str] | None = Field(None, description="Plugins that raise them, such as 'tcp_scan'.")
    severity: OneOrMore[Severity] | None = Field(None, description="The severity that the plugin gave it.")
    source: OneOrMore[Network] | None = Field(None, alias="from", description="Addresses or networks of the source.")
    target: OneOrMore[Network] | None = Field(None, alias="to", description="Addresses or networks of the target.")
    port: OneOrMore[Annotated[int, Field(ge=0, le=65535)]] | None = Field(None, description="Destination ports.")
    days: OneOrMore[Days] | None = Field(None, description="Days of the week, such as ['mon-fri'].")
    hours: Hours | None = Field(None, description="Time of day, such as '08:00-18:00'; '22:00-06:00' goes over midnight.")

    @property
    def matches_all(self) -> bool:
        return not (self.model_fields_set - {"action", "name"})


class Matching:
    """A rule at its place, with its time zone."""

    def __init__(self, rule: Rule, number: int, timezone: str) -> None:
        self.name = rule.name or f"rules[{number}]"
        self.action = rule.action
        self._rule = rule
        self._sources = [ip_network(text) for text in rule.source or ()]
        self._targets = [ip_network(text) for text in rule.target or ()]
        self._days = None if rule.days is None else days_of(rule.days)
        self._hours = None if rule.hours is None else span_of(rule.hours)
        self._zone = ZoneInfo(timezone)

    def matches(self, alert: Alert) -> bool:
        """Whether the rule speaks of an alert. Of one with several sources, targets or ports it does where all of them are told, and all match."""
        rule, evidence = self._rule, alert.evidence
        return (
            (rule.kind is None or alert.kind in rule.kind)
            and (rule.plugin is None or alert.plugin in rule.plugin)
            and (rule.severity is None or alert.severity in rule.severity)
            and (rule.source is None or _lie_in(_all_of(alert.src_ip, evidence.sources, evidence.source_count), self._sources))
            and (rule.target is None or _lie_in(_all_of(alert.dest_ip, evidence.dest_ips, evidence.dest_ip_count), self._targets))
            and (rule.port is None or _are_among(_all_of(alert.dest_port, evidence.dest_ports, evidence.dest_port_count), rule.port))
            and is_within(alert.first_seen, self._zone, self._days, self._hours)
        )


def _all_of(one: T | None, several: list[T] | None, count: int | None) -> list[T]:
    """Return all values that an alert is about; none where it does not tell all."""
    if one is not None:
        return [one]
    return several if several and (count or 0) <= len(several) else []


def _lie_in(hosts: Iterable[str], networks: Collection[IPv4Network | IPv6Network]) -> bool:
    addresses = [ip_address(host) for host in hosts]
    return bool(addresses) and all(any(address in network for network in networks) for address in addresses)


def _are_among(ports: Collection[Any], wanted: Collection[int]) -> bool:
    return bool(ports) and all(port in wanted for port in ports)
