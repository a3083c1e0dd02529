"""The lines of ICMP messages (RFC 792, 950, 1256, 1812) and of ICMPv6 ones (RFC 4443, 4861, 2710, 3810), which read alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iplog_core.addresses import addresses
from iplog_core.batch import Kind
from iplog_core.lines.hosts import Hosts

_COLUMNS = (
    "icmp_type", "icmp_code", "payload", "about_proto", "about_sport", "about_dport", "about_hi", "about_lo", "route_hi", "route_lo",
)  # fmt: skip


def icmp_lines(rows: NDArray[Any], hosts: Hosts, log_dest: bool) -> list[str]:
    """Return one line for each row (`RECORD_DTYPE`) of an ICMP message."""
    targets = [f" to {text}" for text in hosts.column(rows, "dst")] if log_dest else repeat("", len(rows))
    is_v6 = (rows["kind"] == Kind.ICMP6).tolist()
    columns = (rows[name].tolist() for name in _COLUMNS)
    messages = map(Message._make, zip(is_v6, hosts.column(rows, "src"), targets, *columns, strict=True))
    return [f"ICMP: {_FORMS.get((message.is_v6, message.type), _undefined)(message, hosts)}" for message in messages]


def spoken_of(rows: NDArray[Any]) -> Iterator[str]:
    """Return the addresses that the lines of ICMP messages name beside their ends: gateways, destinations of redirects, neighbours."""
    is_v6 = rows["kind"] == Kind.ICMP6
    redirects = rows[rows["icmp_type"] == np.where(is_v6, _REDIRECT_V6, _REDIRECT)]
    neighbours = rows[is_v6 & np.isin(rows["icmp_type"], _NEIGHBOUR_V6)]
    for chosen, side in ((redirects, "about"), (redirects, "route"), (neighbours, "about")):
        hi, lo = chosen[f"{side}_hi"], chosen[f"{side}_lo"]
        is_known = (hi != 0) | (lo != 0)
        yield from addresses(hi[is_known], lo[is_known])


class Message(NamedTuple):
    """An ICMP message as its line needs it. `to` is " to DST" or nothing; the other fields are those of the record."""

    is_v6: bool
    src: str
    to: str
    type: int
    code: int
    size: int
    quoted: int
    sport: int
    dport: int
    about_hi: int
    about_lo: int
    route_hi: int
    route_lo: int


Form = Callable[[Message, Hosts], str]


def _plain(what: str) -> Form:
    return lambda m, hosts: f"{what} from {m.src}{m.to}"


def _sized(what: str) -> Form:
    return lambda m, hosts: f"{what} from {m.src}{m.to} ({m.size} bytes)"


def _neighbour(what: str) -> Form:
    def line(m: Message, hosts: Hosts) -> str:
        target = hosts.known(m.about_hi, m.about_lo)
        return f"{what}{' for ' + target if target else ''} from {m.src}{m.to}"

    return line


def _time_exceeded(m: Message, hosts: Hosts) -> str:
    return f"{m.src} time exceeded{m.to}{_quoted(m)}"


def _too_big(m: Message, hosts: Hosts) -> str:
    return f"packet too big from {m.src}{m.to}{_quoted(m)}"


def _parameter_problem(m: Message, hosts: Hosts) -> str:
    return f"parameter problem (ptr {m.about_lo}) from {m.src}{m.to}"


def _unreachable(m: Message, hosts: Hosts) -> str:
    words = (_UNREACHABLE_V6 if m.is_v6 else _UNREACHABLE).get(m.code, f"undefined code {m.code} is unreachable")
    behind = m.to.removeprefix(" to") + _quoted(m)
    return f"{m.src}: {words} to{behind}" if behind else f"{m.src}: {words}"


def _redirect(m: Message, hosts: Hosts) -> str:
    gateway = hosts.known(m.about_hi, m.about_lo) or "unknown"
    what = "host" if m.is_v6 else _REDIRECTED.get(m.code, f"undefined code {m.code}")
    return f"({gateway}) redirect {m.src} to {what} {hosts.known(m.route_hi, m.route_lo) or 'unknown'}"


def _undefined(m: Message, hosts: Hosts) -> str:
    return f"undefined {'ICMPv6' if m.is_v6 else 'ICMP'} type {m.type} from {m.src}{m.to}"


def _quoted(m: Message) -> str:
    """Return what the message says of the packet that it answers; nothing where it quotes none."""
    if m.quoted in _WITH_PORTS:
        return f" ({_WITH_PORTS[m.quoted]}: dest port {m.dport}, source port {m.sport})"
    return f" ({_WITHOUT_PORTS.get(m.quoted, f'protocol {m.quoted}')})" if m.quoted else ""


_WITH_PORTS = {6: "tcp", 17: "udp", 132: "sctp"}
_WITHOUT_PORTS = {1: "icmp", 58: "icmpv6"}

_UNREACHABLE = {
    0: "net is unreachable",
    1: "host is unreachable",
    2: "protocol is unreachable",
    3: "port is unreachable",
    4: "fragmentation needed",
    5: "source route failed",
    6: "unknown net is unreachable",
    7: "unknown host is unreachable",
    8: "isolated host is unreachable",
    9: "net is prohibited",
    10: "host is prohibited",
    11: "net-tos is unreachable",
    12: "host-tos is unreachable",
    13: "communication is prohibited",
    14: "host precedence violated",
    15: "precedence cut off",
}
_UNREACHABLE_V6 = {
    0: "net is unreachable",
    1: "communication is prohibited",
    2: "scope is unreachable",
    3: "host is unreachable",
    4: "port is unreachable",
    5: "source is prohibited",
    6: "net is prohibited",
    7: "source route failed",
}
_REDIRECT = 5
_REDIRECT_V6 = 137
_NEIGHBOUR_V6 = (135, 136)
_REDIRECTED = {0: "network", 1: "host", 2: "network-tos", 3: "host-tos"}

_FORMS: dict[tuple[bool, int], Form] = {
    (False, 0): _sized("echo reply"),
    (False, 3): _unreachable,
    (False, 4): _plain("source quench"),
    (False, _REDIRECT): _redirect,
    (False, 8): _sized("echo"),
    (False, 9): _plain("router advertisement"),
    (False, 10): _plain("router solicitation"),
    (False, 11): _time_exceeded,
    (False, 12): _parameter_problem,
    (False, 13): _plain("timestamp request"),
    (False, 14): _plain("timestamp reply"),
    (False, 15): _plain("information request"),
    (False, 16): _plain("information reply"),
    (False, 17): _plain("address mask request"),
    (False, 18): _plain("address mask reply"),
    (True, 1): _unreachable,
    (True, 2): _too_big,
    (True, 3): _time_exceeded,
    (True, 4): _parameter_problem,
    (True, 128): _sized("echo"),
    (True, 129): _sized("echo reply"),
    (True, 130): _plain("multicast listener query"),
    (True, 131): _plain("multicast listener report"),
    (True, 132): _plain("multicast listener done"),
    (True, 133): _plain("router solicitation"),
    (True, 134): _plain("router advertisement"),
    (True, 135): _neighbour("neighbour solicitation"),
    (True, 136): _neighbour("neighbour advertisement"),
    (True, _REDIRECT_V6): _redirect,
    (True, 143): _plain("multicast listener report"),
}
