"""The lines of ICMP messages (RFC 792, 950, 1256, 1812) and of ICMPv6 ones (RFC 4443, 4861, 2710, 3810), which read alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iplog_core.addresses import addresses
from iplog_core.batch import Kind
from iplog_core.lines.forms import Part, host, number, word, words

Parts = list[str | Part]

ICMP_BITS = 10
"""Bits of the key to a form: which of them by the type of the message, what kind of packet it quotes, and three flags."""

_SHAPE = 0x1F
_QUOTES_AT, _IS_V6, _HAS_ABOUT, _HAS_ROUTE = 5, 7, 8, 9


def icmp_keys(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Return a key to the form of each row (`RECORD_DTYPE`) of an ICMP message: what `icmp_form` takes."""
    is_v6 = rows["kind"] == Kind.ICMP6
    keys: NDArray[np.int64] = _SHAPES[is_v6.view(np.uint8), rows["icmp_type"]]
    keys |= _QUOTED[rows["about_proto"]]
    keys |= is_v6.astype(np.int64) << _IS_V6
    speaks = np.flatnonzero(_SPEAKS[keys & _SHAPE])
    if len(speaks):
        for bit, side in ((_HAS_ABOUT, "about"), (_HAS_ROUTE, "route")):
            keys[speaks] |= ((rows[f"{side}_hi"] != 0) | (rows[f"{side}_lo"] != 0))[speaks].astype(np.int64) << bit
    return keys


def icmp_form(key: int, *, named: bool, log_dest: bool) -> Parts:
    """Return the parts of a line about an ICMP message."""
    to: Parts = [" to ", host("dst", named=named)] if log_dest else []
    flags = {name: bool(key >> bit & 1) for name, bit in (("is_v6", _IS_V6), ("has_about", _HAS_ABOUT), ("has_route", _HAS_ROUTE))}
    message = Message(named=named, src=[host("src", named=named)], to=to, quoted=_QUOTES[key >> _QUOTES_AT & 3], **flags)
    return ["ICMP: ", *_FORMS[key & _SHAPE](message)]


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
    """What the form of a message's line depends on. `to` is " to DST" or nothing, `quoted` what is said of the packet that it answers."""

    is_v6: bool
    named: bool
    src: Parts
    to: Parts
    quoted: Parts
    has_about: bool
    has_route: bool

    def about(self, otherwise: str) -> Parts:
        return [host("about", named=self.named)] if self.has_about else [otherwise]

    def route(self, otherwise: str) -> Parts:
        return [host("route", named=self.named)] if self.has_route else [otherwise]


Form = Callable[[Message], Parts]


def _plain(what: str) -> Form:
    return lambda m: [f"{what} from ", *m.src, *m.to]


def _sized(what: str) -> Form:
    return lambda m: [f"{what} from ", *m.src, *m.to, " (", number("payload"), " bytes)"]


def _neighbour(what: str) -> Form:
    return lambda m: [what, *([" for ", *m.about("")] if m.has_about else []), " from ", *m.src, *m.to]


def _time_exceeded(m: Message) -> Parts:
    return [*m.src, " time exceeded", *m.to, *m.quoted]


def _too_big(m: Message) -> Parts:
    return ["packet too big from ", *m.src, *m.to, *m.quoted]


def _parameter_problem(m: Message) -> Parts:
    return ["parameter problem (ptr ", number("about_lo"), ") from ", *m.src, *m.to]


def _unreachable(m: Message) -> Parts:
    what = words(_UNREACHABLE_V6 if m.is_v6 else _UNREACHABLE, "undefined code ", " is unreachable")
    behind = [" to", *m.quoted] if m.quoted and not m.to else [*m.to, *m.quoted]
    return [*m.src, ": ", word("icmp_code", what), *behind]


def _redirect(m: Message) -> Parts:
    what: str | Part = "host" if m.is_v6 else word("icmp_code", words(_REDIRECTED, "undefined code "))
    return ["(", *m.about("unknown"), ") redirect ", *m.src, " to ", what, " ", *m.route("unknown")]


def _undefined(m: Message) -> Parts:
    return [f"undefined {'ICMPv6' if m.is_v6 else 'ICMP'} type ", number("icmp_type"), " from ", *m.src, *m.to]


_WITH_PORTS = {6: "tcp", 17: "udp", 132: "sctp"}
_WITHOUT_PORTS = {1: "icmp", 58: "icmpv6"}
_QUOTES: list[Parts] = [
    [],
    [" (", word("about_proto", words(_WITH_PORTS)), ": dest port ", number("about_dport"), ", source port ", number("about_sport"), ")"],
    [" (", word("about_proto", words(_WITHOUT_PORTS, "protocol ")), ")"],
]
_QUOTED = np.full(256, 2 << _QUOTES_AT, np.int64)
_QUOTED[0] = 0
_QUOTED[list(_WITH_PORTS)] = 1 << _QUOTES_AT

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

_FORM_OF: dict[tuple[bool, int], Form] = {
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
_FORMS = [_undefined, *_FORM_OF.values()]
_SHAPES = np.zeros((2, 256), np.int64)
for _place, (_is_v6, _type) in enumerate(_FORM_OF, 1):
    _SHAPES[int(_is_v6), _type] = _place
_SPEAKS = np.isin(range(_SHAPE + 1), [_SHAPES[0, _REDIRECT], _SHAPES[1, _REDIRECT_V6], *_SHAPES[1, _NEIGHBOUR_V6]])
"""Which forms name hosts beside the ends of their message."""
