"""Reverse DNS: the name that an address has (RFC 1035, section 3.5; RFC 3596, section 2.5), where the name has that address, too.

Whoever holds an address may give it any name; only who holds the name can confirm it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
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

_CHECK_AGAIN = 1.0
"""Seconds until a server that has said nothing is asked for a sign of life once more, at the most."""


class Finding(NamedTuple):
    """The name of a host, None where it has none; for how many seconds that holds; whether any server answered."""

    name: str | None
    lifetime: float
    answered: bool = True


class Reverse:
    """Questions to name servers. A server may take `timeout` seconds to answer one; the name of an address is found within four times that, or not at all."""

    def __init__(self, servers: Sequence[str], timeout: float) -> None:
        self.servers = list(servers)
        self._timeout = timeout
        self._is_late = timeout / (2 * len(self.servers))
        self._resolvers = [_resolver(server, timeout) for server in self.servers]

    async def find(self, host: str) -> Finding:
        """Return the name of an address that is confirmed: the first in order of the alphabet. Raises nothing."""
        try:
            async with asyncio.timeout(4 * self._timeout):  # enough for two questions, whatever more a stranger's many names would need
                return await self._find(host)
        except _NoReplyError as failure:
            return Finding(None, _FAILURE, failure.answered)
        except Exception:
            return Finding(None, _FAILURE)

    async def answers(self) -> bool:
        """Whether any of the servers says anything, asked twice for what every one knows, all at the same time."""
        again = min(_CHECK_AGAIN, self._timeout / 2)
        asked = [asyncio.create_task(self._says_anything(server, wait)) for wait in (0.0, again) for server in self.servers]
        try:
            for first in asyncio.as_completed(asked):
                if await first:
                    return True
            return False
        finally:
            for task in asked:
                task.cancel()

    def ends(self) -> set[str]:
        """Return the addresses between which the questions go: the servers' and this host's own."""
        return {address.partition("%")[0] for address in (*self.servers, *_own_addresses(self.servers))}

    async def _find(self, host: str) -> Finding:
        address = ip_address(host)
        pointers, lifetime = await self._ask(dns.reversename.from_address(host), "PTR")
        for name in sorted(filter(None, map(host_name, pointers)))[:_NAMES]:
            addresses, holds = await self._ask(f"{name}.", "A" if address.version == 4 else "AAAA")
            lifetime = min(lifetime, holds)
            if address in map(ip_address, addresses):
                return Finding(name, lifetime)
        return Finding(None, lifetime)

    async def _ask(self, question: Any, kind: str) -> _Reply:
        """Return the first reply. Each server is asked in its turn, those that are silent once more; one that is late is still heard. Raise _NoReplyError."""
        turns = self._resolvers * 2
        asked: dict[asyncio.Task[_Reply | _NoReplyError], Resolver] = {}
        answered = False
        try:
            while turns or asked:
                if turns:
                    asked[asyncio.create_task(_answer(turns[0], question, kind))] = turns[0]
                    del turns[0]
                done, _ = await asyncio.wait(asked, timeout=self._is_late if turns else None, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    useless = asked.pop(task)
                    reply = task.result()
                    if isinstance(reply, _Reply):
                        return reply
                    answered = answered or reply.answered
                    turns = [resolver for resolver in turns if resolver is not useless]
        finally:
            for task in asked:
                task.cancel()
        raise _NoReplyError(answered)

    async def _says_anything(self, server: str, wait: float) -> bool:
        await asyncio.sleep(wait)
        try:
            await dns.asyncquery.udp(dns.message.make_query(".", "NS"), server, timeout=self._timeout, ignore_unexpected=True)
        except (OSError, dns.exception.Timeout):
            return False
        except Exception:
            pass  # nonsense is an answer, too
        return True


class _Reply(NamedTuple):
    """The records of a name; for how many seconds it holds that it has these, or none (RFC 2308, section 5)."""

    records: list[str]
    lifetime: float


class _NoReplyError(Exception):
    """There is no reply to a question; `answered`: a server did say something."""

    def __init__(self, answered: bool) -> None:
        super().__init__()
        self.answered = answered


def _resolver(server: str, timeout: float) -> Resolver:
    resolver = Resolver(configure=False)
    resolver.nameservers = [server]
    resolver.timeout = resolver.lifetime = timeout
    return resolver


async def _answer(resolver: Resolver, question: Any, kind: str) -> _Reply | _NoReplyError:
    try:
        answer = await resolver.resolve(question, kind, search=False, raise_on_no_answer=False)
        if answer.rrset is None:
            return _Reply([], _lifetime([answer.chaining_result], _LONGEST_WITHOUT))
        return _Reply([record.to_text() for record in answer.rrset], _lifetime([answer.chaining_result], _LONGEST))
    except dns.resolver.NXDOMAIN as absent:
        responses: list[dns.message.QueryMessage] = list(absent.kwargs["responses"].values())
        return _Reply([], _lifetime([response.resolve_chaining() for response in responses], _LONGEST_WITHOUT))
    except dns.resolver.LifetimeTimeout:
        return _NoReplyError(answered=False)
    except dns.resolver.NoNameservers as failure:
        return _NoReplyError(answered=any(response is not None for *_, response in failure.kwargs["errors"]))
    except Exception:  # whatever a stranger's answer does to its decoder
        return _NoReplyError(answered=True)


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
