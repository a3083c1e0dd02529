"""Hosts that matter most: alerts on them are grave, whatever they are.

This works as it stands. Make it yours: change what `grade` and `fields` answer, or define
`keep`, which may drop an alert. They run while packets wait: look up what is known, ask
nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from iplog_core import Alert, Policy, PolicySettings, Severity, hookimpl
from pydantic import Field

iplog_api = 2


class Settings(PolicySettings):
    """The `[plugins.my_plugin]` table."""

    networks: list[IPv4Network | IPv6Network] = Field(
        default_factory=list, description="Networks whose hosts matter most."
    )


class MyPlugin(Policy[Settings]):
    """Grade alerts on the hosts that matter most as high, and mark them."""

    name = "my_plugin"

    def grade(self, alert: Alert) -> Severity | None:
        """Return the severity; None leaves it as it is."""
        return "high" if self._matters(alert) else None

    def fields(self, alert: Alert) -> dict[str, Any]:
        """Return what is to stand in JSON beside the members that an alert has."""
        return {"matters": True} if self._matters(alert) else {}

    def _matters(self, alert: Alert) -> bool:
        if alert.dest_ip is None:
            return False
        host = ip_address(alert.dest_ip)
        return any(host in network for network in self.settings.networks)


@hookimpl
def iplog_policies() -> Iterable[type[Policy[Any]]]:
    return [MyPlugin]
