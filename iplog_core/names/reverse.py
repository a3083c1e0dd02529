"""Reverse DNS: the name that an address has (RFC 1035, section 3.5; RFC 3596, section 2.5), where the name has that address, too.

Whoever holds an address may give it any name; only who holds the name can confirm it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from time import monotonic
from typing import Any, NamedTuple

import dns.asyncquery
import dns.exception
import dns.message
import dns.resolver
import dns.reversename
from dns.asyncresolver import Resolver

from iplog_core.names.grammar import host_name

_SHORTEST = 1.0
_LONGEST = 86400.0
"""Seconds that a name holds."""

_LONGEST_WITHOUT = 3600.0
"""Seconds that it holds at the most that there is no name (RFC 2308, section 5: one hour to three)."""

_FAILURE = 30.0
"""Seconds that a server's failure holds (RFC 9520, section 3.2: at least 1, at most 300)."""

_NAMES = 4
"""Names of one address that are tried."""

_CHECK = 1.0
"""Seconds that a server has to say anything."""


class Finding(NamedTuple):
    """The name of a host, None where it has none; for how many seconds that holds; whether any server answered."""

    name: str | None
    lifetime: float
    answered: bool = True


class Reverse:
    """Questions to name servers, each answered within `timeout` seconds or not at all."""

    def __init__(self, servers: Sequence[str], timeout: float) -> None:
        self.servers = list(servers)
        self._timeout = timeout
        self._resolver = Resolver(configure=False)
        self._resolver.nameservers = self.servers
        self._resolver.timeout = timeout / (2 * len(self.servers))

    async def find(self, host: str) -> Finding:
        """Return the name of an address that is confirmed: the first in order of the alphabet. Raises nothing."""
        try:
            return await self._find(host)
        except dns.resolver.LifetimeTimeout:
            return Finding(None, _FAILURE, answered=False)
        except dns.resolver.NoNameservers as failure:
            return Finding(None, _FAILURE, answered=any(response is not None for *_, response in failure.kwargs["errors"]))
        except Exception:  # whatever a stranger's answer does to its decoder
            return Finding(None, _FAILURE)

    async def answers(self) -> bool:
        """Whether any of the servers says anything, asked twice for what every one knows."""
        for server in self.servers * 2:
            try:
                await dns.asyncquery.udp(dns.message.make_query(".", "NS"), server, timeout=_CHECK, ignore_unexpected=True)
            except (OSError, dns.exception.Timeout):
                continue
            except Exception:
                pass  # nonsense is an answer, too
            return True
        return False

    def ends(self) -> set[str]:
        """Return the addresses between which the questions go: the servers' and this host's own."""
        return {address.partition("%")[0] for address in (*self.servers, *_own_addresses(self.servers))}

    async def _find(self, host: str) -> Finding:
        deadline = monotonic() + self._timeout
        address = ip_address(host)
        pointers, lifetime = await self._ask(dns.reversename.from_address(host), "PTR", deadline)
        for name in sorted(filter(None, map(host_name, pointers)))[:_NAMES]:
            addresses, holds = await self._ask(f"{name}.", "A" if address.version == 4 else "AAAA", deadline)
            lifetime = min(lifetime, holds)
            if address in map(ip_address, addresses):
                return Finding(name, lifetime)
        return Finding(None, lifetime)

    async def _ask(self, question: Any, kind: str, deadline: float) -> tuple[list[str], float]:
        """Return the records of a name, and how many seconds it holds that it has these, or none (RFC 2308, section 5)."""
        try:
            answer = await self._resolver.resolve(question, kind, search=False, raise_on_no_answer=False, lifetime=deadline - monotonic())
        except dns.resolver.NXDOMAIN as absent:
            responses: list[dns.message.QueryMessage] = list(absent.kwargs["responses"].values())
            return [], _lifetime([response.resolve_chaining() for response in responses], _LONGEST_WITHOUT)
        if answer.rrset is None:
            return [], _lifetime([answer.chaining_result], _LONGEST_WITHOUT)
        return [record.to_text() for record in answer.rrset], _lifetime([answer.chaining_result], _LONGEST)


def _lifetime(results: Iterable[dns.message.ChainingResult], longest: float) -> float:
    return min(max(min(result.minimum_ttl for result in results), _SHORTEST), longest)


def _own_addresses(servers: Iterable[str]) -> Iterable[str]:
    """Return from where packets to the servers go. Nothing is sent."""
    for server in servers:
        try:
            family, kind, *_, target = socket.getaddrinfo(server, 53, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
            with socket.socket(family, kind) as probe:
                probe.connect(target)
                yield probe.getsockname()[0]
        except OSError:
            continue
