"""Blocks sources of scans with nftables."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from time import monotonic
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from iplog_block.history import History
from iplog_block.nft import Blocked, Nft
from iplog_block.spared import Spared, check_network
from iplog_core import HOUR, Alert, Duration, Event, IplogError, KindName, Sink, SinkContext, SinkSettings, hookimpl
from iplog_core.settings import duration_text

iplog_api = 2

PROVABLE = ("port_scan", "port_sweep")
"""Kinds whose evidence tells whether the source completed a connection."""

_TELL_AGAIN = 60.0


class Settings(SinkSettings):
    """The `[plugins.block]` table."""

    dry_run: bool = Field(True, description="Say what would be blocked, and block nothing.")
    kinds: list[KindName] = Field(list(PROVABLE), min_length=1, description="Kinds of alerts whose sources are blocked.")
    spoofable: bool = Field(False, description="Block sources that proved nothing, too: anybody can then have an address of his choice blocked.")
    never_block: list[Annotated[str, AfterValidator(check_network)]] = Field(
        default_factory=list, description="Addresses and networks that are never blocked, beside this host, its gateways and name servers and trusted_scanners."
    )
    timeout: Duration = Field(HOUR, description="How long a source is blocked; twice as long each time that it comes again.")
    longest: Duration = Field(7 * 24 * HOUR, description="How long a source is blocked at the most, and remembered after that.")
    entries: int = Field(4096, ge=1, le=65536, description="Sources that are blocked at the same time, at the most.")
    create: bool = Field(True, description="Make the table, its sets and the rules that drop; false: sets v4 and v6 of the table inet iplog are there.")

    @model_validator(mode="after")
    def _is_safe(self) -> Settings:
        if not self.spoofable and (wrong := [kind for kind in self.kinds if kind not in PROVABLE]):
            raise ValueError(
                f"kinds: anybody can send what raises {wrong[0]!r} in the name of another host; expected {' or '.join(PROVABLE)}, or spoofable = true with it"
            )
        if self.longest < self.timeout:
            raise ValueError("longest is less than timeout; expected as much or more")
        return self


class Block(Sink[Settings]):
    """Put sources of alerts into nftables sets from which they vanish by themselves."""

    name = "block"

    def __init__(self, settings: Settings, context: SinkContext) -> None:
        super().__init__(settings, context)
        # What a capture tells is over, and not of this host's network.
        self._is_dry = settings.dry_run or context.mode == "read"
        self._history = History(settings.timeout, settings.longest, settings.entries)
        self._spared: Spared
        self._nft: Nft | None = None
        self._told_spared: set[str] = set()
        self._not_blocked = 0
        self._told = -_TELL_AGAIN

    def open(self) -> None:
        core = self.context.settings
        self._spared = Spared(self.settings.never_block, core.trusted_scanners, [str(server) for server in core.names.servers])
        if self._is_dry:
            return
        if core.user not in (None, "root", "0"):
            raise IplogError(f"block: nftables take root, and user = {core.user!r} gives that up; leave out user, or set plugins.block.dry_run = true.")
        self._nft = Nft()
        if self.settings.create:
            self._nft.create()
        for blocked in self._nft.blocked():
            self._history.recall(blocked.address, monotonic(), blocked.seconds)

    def write(self, events: Sequence[Event]) -> None:
        """Block the sources of alerts. Raise OSError where nftables refuse: then the next update of a scan tries again."""
        meant = {alert.src_ip: alert for event in events if isinstance(event, Alert) and self._is_meant(alert := event)}
        blocked: list[tuple[Alert, Blocked]] = []
        for alert in meant.values():
            address = _address(alert.src_ip)
            if address is not None and (seconds := self._seconds(address, len(blocked))):
                blocked.append((alert, Blocked(str(address), seconds)))
        if blocked and self._nft:
            try:
                self._nft.add([each for _, each in blocked])
            except IplogError as error:
                raise OSError(errno.EIO, str(error).removeprefix("block: ").removesuffix(".")) from None
        now = monotonic()
        for alert, each in blocked:
            times = self._history.add(each.address, now, each.seconds)
            self._tell_blocked(alert, each, times)
        self._tell_full()

    def close(self) -> None:
        """Leave what is blocked: it ends by itself, also where iplog does not run."""
        self._told = -_TELL_AGAIN
        self._tell_full()

    def _is_meant(self, alert: Alert) -> bool:
        # An answered datagram proves nothing: its source may be forged all the same.
        proved = self.settings.spoofable or (alert.proto == "TCP" and (alert.evidence.answered or 0) > 0)
        return alert.src_ip is not None and alert.state != "end" and alert.kind in self.settings.kinds and proved

    def _seconds(self, address: IPv4Address | IPv6Address, more: int) -> int:
        """Return how long to block an address beside `more` others; 0 where it is not to be blocked, or is."""
        now = monotonic()
        text = str(address)
        if self._history.is_blocked(text, now):
            return 0
        if why := self._spared.why(address, now):
            if text not in self._told_spared and len(self._told_spared) < self.settings.entries:
                self._told_spared.add(text)
                self.context.note(f"block: {text} is never blocked: {why}.")
            return 0
        if self._history.count(now) + more >= self.settings.entries:
            self._not_blocked += 1
            return 0
        return self._history.seconds(text, now)

    def _tell_blocked(self, alert: Alert, blocked: Blocked, times: int) -> None:
        what = "would be blocked (dry run)" if self._is_dry else "is blocked"
        again = f", {times} times so far" if times > 1 else ""
        self.context.note(f"block: {blocked.address} {what} for {duration_text(blocked.seconds)}{again}: {alert.kind}, alert {alert.id} of {alert.plugin}.")

    def _tell_full(self) -> None:
        if self._not_blocked and (now := monotonic()) - self._told >= _TELL_AGAIN:
            more = f"{self._not_blocked:,} more {'was' if self._not_blocked == 1 else 'were'} not"
            self.context.note(f"block: {self.settings.entries:,} sources are blocked, as many as may be; {more}.")
            self._not_blocked, self._told = 0, now


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    """Return an address; None where the text is none that nftables may be given."""
    try:
        address = ip_address(text or "")
    except ValueError:
        return None
    # An IPv4 address in an IPv6 one is none that packets of that host have.
    return None if isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped) else address


def _run(options: argparse.Namespace) -> int:
    try:
        nft = Nft()
        if options.what == "flush":
            nft.flush()
        else:
            for blocked in nft.blocked():
                print(f"{blocked.address} {blocked.seconds}s")
    except IplogError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


@hookimpl
def iplog_sinks() -> list[type[Sink[Any]]]:
    return [Block]


@hookimpl
def iplog_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add("block", help="list whom the plugin block blocks, with the seconds left, or let all go")
    parser.add_argument("what", choices=["list", "flush"], help="list them, or let them go")
    parser.set_defaults(run=_run)
