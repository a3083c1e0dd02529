"""Names of hosts: those of /etc/hosts, and those that the DNS has and confirms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import wait
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from iplog_core.names.cache import Cache
from iplog_core.names.hosts_file import HostsFile
from iplog_core.settings import NameSettings

if TYPE_CHECKING:
    from iplog_core.names.lookups import Lookup, Lookups

_HOSTS = Path("/etc/hosts")
_BROADCAST = "255.255.255.255"


class Names:
    """What hosts are called in lines. Several sinks may share one; any thread may ask.

    A line waits for names until `settings.wait` seconds after it was queued; a `patient` one, as for captures, until there are answers, or
    the name servers had `settings.timeout` to answer. Before `start` and after `close` only what is known already is told.
    """

    def __init__(self, settings: NameSettings, *, patient: bool) -> None:
        self.settings = settings
        self._patient = patient
        self._hosts_file = HostsFile(_HOSTS)
        self._cache = Cache(settings.capacity)
        self._lookups: Lookups | None = None

    def start(self, note: Callable[[str], None]) -> None:
        """Start the thread that asks. `note` takes a line, from that thread, when the name servers fall silent, and when they answer again."""
        from iplog_core.names.lookups import Lookups

        self._lookups = Lookups(self.settings, self._cache, patient=self._patient, note=note)

    def texts(self, hosts: Iterable[str], queued: float) -> dict[str, str]:
        """Return the texts of those addresses that have a name, for lines that were queued at a time (`time.monotonic`).

        A name of /etc/hosts stands by itself, unless `log_ip` is set; any other one, which a stranger may have chosen, has the address behind it.
        """
        deadline = queued + self.settings.wait
        known, asked, is_flood = self._ask(list(hosts), deadline)
        if asked and not is_flood:
            self._wait(asked, deadline)
        return known | {lookup.host: _with_address(name, lookup.host) for lookup in asked if lookup.done() and (name := lookup.result())}

    def expect(self, hosts: Callable[[], Iterable[str]]) -> None:
        """Begin to ask for hosts whose texts will be wanted. `hosts` returns them, and is called on the thread of the names."""
        if self._lookups and self._lookups.has_room:
            deadline = monotonic() + self.settings.wait
            self._lookups.soon(lambda: self._ask(list(hosts()), deadline))

    def close(self) -> None:
        """End the thread. Who waits for a name is told that there is none."""
        if self._lookups:
            self._lookups.close()

    def _ask(self, hosts: Collection[str], deadline: float) -> tuple[dict[str, str], list[Lookup], bool]:
        """Return the texts that are known, the look-ups of hosts of which nothing is, and whether there are more of these than may be asked for.

        So many come from a flood, which must not hold up the log; where no server answers, one is too many.
        """
        own = self._hosts_file.names()
        cached = self._cache.known(hosts)
        texts: dict[str, str] = {}
        asked: list[Lookup] = []
        is_flood = False
        for host in hosts:
            if name := own.get(host):
                texts[host] = _with_address(name, host) if self.settings.log_ip else name
            elif host in cached:
                if found := cached[host]:
                    texts[host] = _with_address(found, host)
            elif self._lookups and not is_flood and _may_have_name(host):
                if lookup := self._lookups.ask(host, deadline):
                    asked.append(lookup)
                else:
                    is_flood = True
        return texts, asked, is_flood

    def _wait(self, lookups: list[Lookup], deadline: float) -> None:
        """Wait for names until a time. What an earlier line waited for as long as it may is not waited for again."""
        if self._patient:
            wait(lookups)
            return
        now = monotonic()
        if wanted := [lookup for lookup in lookups if lookup.deadline > now]:
            wait(wanted, max(0, min(deadline, max(lookup.deadline for lookup in wanted)) - now))


def _with_address(name: str, host: str) -> str:
    return f"{name} ({host})"


def _may_have_name(host: str) -> bool:
    """Whether an address is that of one host."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return not (address.is_multicast or address.is_unspecified or host == _BROADCAST)
