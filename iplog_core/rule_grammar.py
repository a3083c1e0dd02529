"""The grammar of a rule, from its text to a `Rule` and back.

    (log|ignore) (tcp|udp) [from ADDR] [sport PORT] [to ADDR] [dport PORT]
    (log|ignore) icmp [type TYPE] [from ADDR] [to ADDR]

What only says which packets are meant, such as an entry of an allow-list, is the same without its action, and may do without a protocol, too:
`from ADDR`, `to ADDR` or both then hold for any.

Services are looked up here, since a range needs their numbers; host names are not: `iplog_core.rules` does that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import chain
from typing import Any, Literal

from iplog_core.errors import did_you_mean
from iplog_core.services import port_number

Action = Literal["log", "ignore"]
Protocol = Literal["tcp", "udp", "icmp"]
Network = IPv4Network | IPv6Network

ICMP_TYPES: dict[str, tuple[int | None, int | None]] = {
    "echo": (8, 128),
    "echoreply": (0, 129),
    "unreach": (3, 1),
    "timxceed": (11, 3),
    "paramprob": (12, 4),
    "redirect": (5, 137),
    "routeradvert": (9, 134),
    "routersolicit": (10, 133),
    "sourcequench": (4, None),
    "tstamp": (13, None),
    "tstampreply": (14, None),
    "ireq": (15, None),
    "ireqreply": (16, None),
    "maskreq": (17, None),
    "maskreply": (18, None),
    "pkttoobig": (None, 2),
    "mldquery": (None, 130),
    "mldreport": (None, 131),
    "mlddone": (None, 132),
    "mldv2report": (None, 143),
    "neighborsolicit": (None, 135),
    "neighboradvert": (None, 136),
}
"""What a name in a `type` clause stands for: the type of ICMP (RFC 792, 950, 1256) and that of ICMPv6 (RFC 4443, 4861, 2710, 3810)."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The value of a `from` or `to` clause: a network, or all addresses of a host name, or, with neither, any address.

    `host_bits` is the prefix length that holds for the IPv4 addresses of a host name.
    """

    network: Network | None = None
    host: str | None = None
    host_bits: int = 32
    negated: bool = False

    def __str__(self) -> str:
        if self.host is not None:
            text = self.host if self.host_bits == 32 else f"{self.host}/{self.host_bits}"
        elif self.network is None:
            text = "*"
        elif self.network.prefixlen == self.network.max_prefixlen:
            text = str(self.network.network_address)
        else:
            text = str(self.network)
        return f"!{text}" if self.negated else text


@dataclass(frozen=True, slots=True)
class Ports:
    """The value of a `sport` or `dport` clause: the ports from `low` to `high`, both included; `text` keeps the names."""

    low: int
    high: int
    text: str
    negated: bool = False

    def __str__(self) -> str:
        return f"!{self.text}" if self.negated else self.text


@dataclass(frozen=True, slots=True)
class IcmpTypes:
    """The value of a `type` clause: a type of ICMP, of ICMPv6, or of both; with neither, any type."""

    icmp: int | None
    icmp6: int | None
    text: str
    negated: bool = False

    def __str__(self) -> str:
        return f"!{self.text}" if self.negated else self.text


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `str` gives its canonical text, which parses to an equal rule."""

    action: Action
    proto: Protocol
    source: Addresses | None = None
    sport: Ports | None = None
    destination: Addresses | None = None
    dport: Ports | None = None
    type: IcmpTypes | None = None

    @property
    def is_switch(self) -> bool:
        """Whether the rule has no clause, and so turns its whole protocol off or on."""
        return all(value is None for _, value in self._clauses())

    def __str__(self) -> str:
        words = [f"{name} {value}" for name, value in self._clauses() if value is not None]
        return " ".join([self.action, self.proto, *words])

    def _clauses(self) -> tuple[tuple[str, Addresses | Ports | IcmpTypes | None], ...]:
        return (
            ("type", self.type),
            ("from", self.source),
            ("sport", self.sport),
            ("to", self.destination),
            ("dport", self.dport),
        )


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which packets are meant: what a rule may say, without its action. With no protocol it speaks of all that has addresses."""

    proto: Protocol | None
    source: Addresses | None = None
    sport: Ports | None = None
    destination: Addresses | None = None
    dport: Ports | None = None
    type: IcmpTypes | None = None


def parse_rule(text: str) -> Rule:
    """Return the rule that a line spells, after which a `#` comment may stand.

    Raise ValueError for what is no rule; its text is the reason, one or two sentences without the rule itself.
    """
    words = _words(text, "a rule stands on one line; write each as a rule of its own.")
    action = _action(next(words, None))
    proto = _protocol(next(words, None))
    return Rule(action, proto, **_clauses(words, proto))


def parse_allowed(text: str) -> Allowed:
    """Return what an entry of an allow-list spells. Raise ValueError as `parse_rule` does."""
    allowed = parse_match(text, to="allow")
    if allowed.proto is None and all(side is None or (side.host is None and side.network is None) for side in (allowed.source, allowed.destination)):
        raise ValueError("this is everything; --disable turns a detector off.")
    return allowed


def parse_match(text: str, to: str = "match") -> Allowed:
    """Return which packets a text speaks of. Raise ValueError as `parse_rule` does; `to` is what is done with them."""
    words = _words(text, "an entry stands on one line; write each as an entry of its own.")
    first = next(words, "")
    match first.lower():
        case "tcp" | "udp" | "icmp":
            proto = _protocol(first)
            return Allowed(proto, **_clauses(words, proto))
        case "from" | "to":
            return Allowed(None, **_clauses(chain([first], words), None))
        case "":
            raise ValueError(f"there is nothing to {to}; expected {_SCOPE}.")
        case "log" | "ignore":
            raise ValueError(f"{quoted(first)} is the action of a rule, and no part of this: leave it away.")
        case "sport" | "dport" | "type" as clause:
            raise ValueError(f"'{clause}' needs a protocol before it: {'icmp' if clause == 'type' else 'tcp or udp'}.")
    raise ValueError(f"{quoted(first)} is neither a protocol nor a clause; expected {_SCOPE}.")


def _words(text: str, fault: str) -> Iterator[str]:
    if len(text.strip().splitlines()) > 1:
        raise ValueError(fault)
    return iter(text.partition("#")[0].split())


def _clauses(words: Iterator[str], proto: Protocol | None) -> dict[str, Any]:
    """Read clauses to the end; return the fields of `Rule` that they give."""
    fields: dict[str, Addresses | Ports | IcmpTypes] = {}
    for word in words:
        clause = _clause(word, proto)
        if _FIELDS[clause] in fields:
            raise ValueError(f"'{clause}' stands twice; each clause may stand once.")
        value = next(words, None)
        if value is None:
            raise ValueError(f"'{clause}' has no value; expected {_EXPECTED[clause]}.")
        if value == "!*":
            raise ValueError(f"'!*' matches nothing; expected {_EXPECTED[clause]}.")
        if clause in ("from", "to"):
            fields[_FIELDS[clause]] = parse_addresses(value)
        elif clause == "type":
            fields[_FIELDS[clause]] = _icmp_types(value)
        elif proto == "tcp" or proto == "udp":
            fields[_FIELDS[clause]] = _ports(value, proto)
    return fields


def parse_addresses(word: str) -> Addresses:
    """Return what the value of a `from` or `to` clause spells. Raise ValueError, with the reason as its text, for what is none."""
    if word == "*":
        return Addresses()
    negated = word.startswith("!")
    address, slash, mask = word.removeprefix("!").partition("/")
    if address.lower() in _NO_HOSTS:
        raise ValueError(f"{quoted(address)} is no address; {_NO_HOSTS[address.lower()]}.")
    if re.fullmatch(r"[0-9.]+", address):
        quad = _dotted(address)
        return Addresses(IPv4Network((quad, _prefix_length(mask, 32) if slash else 32), strict=False), negated=negated)
    if ":" in address:
        six = _colons(address)
        return Addresses(IPv6Network((six, _prefix_length(mask, 128) if slash else 128), strict=False), negated=negated)
    if len(address) <= 253 and _HOST_NAME.fullmatch(address):
        return Addresses(host=address.lower(), host_bits=_prefix_length(mask, 32) if slash else 32, negated=negated)
    raise ValueError(f"{quoted(address)} is no address; expected {_ADDRESS}.")


def quoted(text: str, mark: str = "'") -> str:
    """Return a user's text as it stands in a message: in quotes, on one line, not endless."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"{mark}{shown if len(shown) <= 100 else shown[:97] + '...'}{mark}"


_SCOPE = "tcp, udp, icmp, from or to"
_FIELDS = {"from": "source", "sport": "sport", "to": "destination", "dport": "dport", "type": "type"}
_CLAUSES: dict[Protocol | None, tuple[str, ...]] = {
    "tcp": ("from", "sport", "to", "dport"),
    "udp": ("from", "sport", "to", "dport"),
    "icmp": ("type", "from", "to"),
    None: ("from", "to"),
}
_ADDRESS = "an address such as 192.0.2.1, 192.168/16 or 2001:db8::/32, a host name, or *"
_NO_HOSTS = {"any": "expected * for everybody", "not": "expected ! and the address in one word, such as !192.0.2.1, for all others"}
"""Words that people mean otherwise, and that nobody shall ask a name server for."""
_PORT = "a port number, a service name, a range such as 1024:2047 or 1024:, or *"
_TYPE = "a number from 0 to 255, a name such as echo or unreach, or *"
_EXPECTED = {"from": _ADDRESS, "to": _ADDRESS, "sport": _PORT, "dport": _PORT, "type": _TYPE}


def _action(word: str | None) -> Action:
    match word and word.lower():
        case "log":
            return "log"
        case "ignore":
            return "ignore"
    if not word:
        raise ValueError("there is no rule; expected log or ignore, then tcp, udp or icmp.")
    raise ValueError(f"{quoted(word)} is no action; expected log or ignore.")


def _protocol(word: str | None) -> Protocol:
    match word and word.lower():
        case "tcp":
            return "tcp"
        case "udp":
            return "udp"
        case "icmp":
            return "icmp"
    if not word:
        raise ValueError("the protocol is missing; expected tcp, udp or icmp.")
    raise ValueError(f"{quoted(word)} is no protocol; expected tcp, udp or icmp.")


def _clause(word: str, proto: Protocol | None) -> str:
    clause = word.lower()
    if clause in _CLAUSES[proto]:
        return clause
    *others, last = _CLAUSES[proto]
    of = "" if clause not in _EXPECTED else f" of {proto}" if proto else " where no protocol stands first"
    raise ValueError(f"{quoted(word)} is no clause{of}; expected {', '.join(others)} or {last}.")


# Labels of letters, digits, hyphens and underscores (RFC 1123, section 2.1). The last is no number, so that nothing which the
# resolver would read as an address in another notation (0x7f.1, 2130706433) counts as a name.
_HOST_NAME = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*(?!(?:0x[0-9a-f]*|[0-9]+)\.?$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?",
    re.IGNORECASE,
)


def _dotted(text: str) -> IPv4Address:
    parts = text.split(".")
    try:
        return IPv4Address(".".join(parts + ["0"] * (4 - len(parts))))
    except ValueError:
        expected = "one to four numbers from 0 to 255, without leading zeros, such as 192.0.2.1 or 192.168"
        raise ValueError(f"{quoted(text)} is no IPv4 address; expected {expected}.") from None


def _colons(text: str) -> IPv6Address:
    if "%" in text:
        raise ValueError(f"{quoted(text)} names a zone; a rule holds for every interface: leave {quoted('%' + text.partition('%')[2])} away.")
    try:
        return IPv6Address(text)
    except ValueError:
        raise ValueError(f"{quoted(text)} is no IPv6 address; expected one such as 2001:db8::1.") from None


def _prefix_length(mask: str, bits: int) -> int:
    """Return the prefix length that a mask spells, by itself or as a dotted netmask (of IPv4)."""
    if bits == 32 and "." in mask:
        try:
            zeros = int(IPv4Address(mask)) ^ 0xFFFFFFFF
        except ValueError:
            raise ValueError(f"{quoted(mask)} is no netmask; expected one such as 255.255.255.0.") from None
        if zeros & (zeros + 1):
            raise ValueError(f"{quoted(mask)} is no netmask, its bits have gaps; expected one such as 255.255.255.0.")
        return 32 - zeros.bit_length()
    length = _number(mask, bits)
    if length is None:
        netmask = " or a netmask such as 255.255.255.0" if bits == 32 else ""
        raise ValueError(f"{quoted(mask)} is no prefix length; expected 0 to {bits}{netmask}.")
    return length


def _ports(word: str, proto: Literal["tcp", "udp"]) -> Ports:
    if word == "*":
        return Ports(0, 65535, "*")
    negated = word.startswith("!")
    first, colon, last = word.removeprefix("!").partition(":")
    if not first and not last:
        raise ValueError(f"{quoted(word)} is no port; expected {_PORT}.")
    low = _port(first, proto) if first else 0
    high = _port(last, proto) if last else (65535 if colon else low)
    if low > high:
        raise ValueError(f"{quoted(word)} is a reversed range; expected the lower port first: {last}:{first}.")
    text = f"{_canonical(first)}{colon}{_canonical(last)}"
    return Ports(low, high, text, negated)


def _port(text: str, proto: Literal["tcp", "udp"]) -> int:
    if text.isdecimal():
        number = _number(text, 65535)
        if number is None:
            raise ValueError(f"{quoted(text)} is no port; expected a number from 0 to 65535.")
        return number
    number = port_number(text, proto)
    if number is not None:
        return number
    other: Literal["tcp", "udp"] = "udp" if proto == "tcp" else "tcp"
    if port_number(text, other) is not None:
        raise ValueError(f"{quoted(text)} is a service of {other}, not of {proto}; write its number to mean that port of {proto}.")
    if span := re.fullmatch(r"([0-9]+)-([0-9]+)", text):
        raise ValueError(f"{quoted(text)} is no port; a range is written {span[1]}:{span[2]}.")
    raise ValueError(f"{quoted(text)} is no {proto} service that this host knows; expected {_PORT}.")


def _icmp_types(word: str) -> IcmpTypes:
    if word == "*":
        return IcmpTypes(None, None, "*")
    negated = word.startswith("!")
    text = word.removeprefix("!").lower()
    if (number := _number(text, 255)) is not None:
        if number < 128:
            return IcmpTypes(number, None, str(number), negated)
        return IcmpTypes(None, number, str(number), negated)
    name = text.removeprefix("icmp_")
    if name in ICMP_TYPES:
        return IcmpTypes(*ICMP_TYPES[name], name, negated)
    raise ValueError(f"{quoted(word.removeprefix('!'))} is no ICMP type; expected {_TYPE}.{did_you_mean(name, ICMP_TYPES)}")


def _number(text: str, limit: int) -> int | None:
    """Return a decimal number from 0 to `limit`, or None for anything else."""
    if not re.fullmatch(r"0*[0-9]{1,5}", text) or int(text[-6:]) > limit:
        return None
    return int(text[-6:])


def _canonical(port: str) -> str:
    number = _number(port, 65535)
    return port if number is None else str(number)
