"""Rules, compiled to a mask over the rows of a batch: what is ignored is neither logged nor counted by a detector.

A row that any `log` rule with a clause matches is logged; else one that any `ignore` rule with a clause matches is ignored; else its
protocol's switch decides: the last rule without a clause, `ignore tcp` or `log tcp`. What no rule speaks of is logged.

A rule holds for packets and flows alike; a flow is seen from its initiator. A scope hides what is between others, whatever the rules say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import AF_INET, AF_INET6, SOCK_STREAM, getaddrinfo
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from iplog_core.addresses import halves
from iplog_core.batch import FlowBit, FlowRows, Kind, Mask, PacketRows
from iplog_core.errors import ConfigError
from iplog_core.rule_grammar import Action, Addresses, Allowed, Network, Protocol, Rule, parse_addresses, parse_rule, quoted

__all__ = [
    "CompiledRule", "Condition", "Initiators", "Rule", "Rules", "Scope", "View", "compile_each", "compile_rules", "compile_scope", "conditions_of",
    "look_up", "needs_header", "parse_rule", "right_or_fault",
]  # fmt: skip

From = TypeVar("From")
To = TypeVar("To")
Hosts = Mapping[str, Sequence[IPv4Address | IPv6Address] | ValueError]
"""The addresses of host names, or why there are none."""

_AT_ONCE = 64
"""Host names that are looked up at the same time; each may take as long as the system waits for a name server."""


def compile_rules(lines: Sequence[str], where: str = "rules") -> Rules:
    """Compile rules; host names are looked up now, once.

    Raise ConfigError with one line for each rule that is wrong; it begins with `where` and the rule's index, counted from 0.
    """
    compiled: list[CompiledRule] = []
    faults: list[str] = []
    for index, (line, rule) in enumerate(zip(lines, compile_each(lines), strict=True)):
        if isinstance(rule, ValueError):
            shown = quoted(line.strip(), '"')
            faults.append(f"{where}[{index}]: {shown}: {rule}")
        else:
            compiled.append(rule)
    if faults:
        raise ConfigError(*faults)
    return Rules(compiled)


def compile_each(lines: Iterable[str]) -> list[CompiledRule | ValueError]:
    """Compile rules; one that is wrong, or has a host name that cannot be looked up, becomes a ValueError with the reason as its text."""
    rules = [right_or_fault(parse_rule, line) for line in lines]
    hosts = look_up(addresses for rule in rules if isinstance(rule, Rule) for addresses in (rule.source, rule.destination) if addresses is not None)
    return [right_or_fault(partial(_compiled, hosts=hosts), rule) if isinstance(rule, Rule) else rule for rule in rules]


def right_or_fault(make: Callable[[From], To], what: From) -> To | ValueError:
    """Return what `make` makes of something, or the ValueError that tells what is wrong with it."""
    try:
        return make(what)
    except ValueError as fault:
        return fault


def _compiled(rule: Rule, hosts: Hosts) -> CompiledRule:
    return CompiledRule(rule.action, rule.proto, rule.is_switch, needs_header(rule), conditions_of(rule, hosts))


def needs_header(rule: Rule | Allowed) -> bool:
    """Whether it asks for ports or types, so that a fragment without them does not match."""
    return any(value is not None for value in (rule.sport, rule.dport, rule.type))


def conditions_of(rule: Rule | Allowed, hosts: Hosts) -> tuple[Condition, ...]:
    """Return what must hold for a row of its protocol. Raise ValueError where a host could not be looked up."""
    conditions: list[Condition] = []
    for side, addresses in (("src", rule.source), ("dst", rule.destination)):
        if addresses is not None and (networks := _networks(addresses, hosts)):
            conditions.append(Within(side, tuple(map(_prefix, networks)), addresses.negated))
    for column, ports in (("sport", rule.sport), ("dport", rule.dport)):
        if ports is not None and (ports.low, ports.high, ports.negated) != (0, 65535, False):
            conditions.append(Between(column, ports.low, ports.high, ports.negated))
    if rule.type is not None and (rule.type.icmp is not None or rule.type.icmp6 is not None):
        conditions.append(OfType(rule.type.icmp, rule.type.icmp6, rule.type.negated))
    return tuple(conditions)


def compile_scope(networks: Sequence[str], own_addresses: Iterable[str], where: Callable[[int], str] = "promisc[{}]".format) -> Scope | None:
    """Compile the networks whose traffic is watched beside that of this host; None where they are everything. Host names are looked up now, once.

    Raise ConfigError with one line for each that is wrong; it begins with what `where` returns for its index, counted from 0.
    """
    parsed = [right_or_fault(_watchable, text) for text in networks]
    hosts = look_up(addresses for addresses in parsed if isinstance(addresses, Addresses))
    watched: list[Network] = [IPv4Network("127.0.0.0/8"), *map(ip_network, own_addresses)]
    everything = False
    faults: list[str] = []
    for index, (text, addresses) in enumerate(zip(networks, parsed, strict=True)):
        found = right_or_fault(partial(_networks, hosts=hosts), addresses) if isinstance(addresses, Addresses) else addresses
        if isinstance(found, ValueError):
            shown = quoted(text, '"')
            faults.append(f"{where(index)}: {shown}: {found}")
            continue
        everything = everything or not found or any(network.prefixlen == 0 for network in found)
        watched += found
    if faults:
        raise ConfigError(*faults)
    return None if everything else Scope(watched)


def _watchable(text: str) -> Addresses:
    addresses = parse_addresses(text)
    if addresses.negated:
        raise ValueError("a network to watch cannot be negated; an ignore rule leaves hosts out.")
    return addresses


class Scope:
    """What is watched: packets from and to some networks, and those to everybody or a group. ARP is always: it tells who is there."""

    def __init__(self, networks: Iterable[Network]) -> None:
        prefixes = tuple(map(_prefix, dict.fromkeys(networks)))
        self._sides = [Within("src", prefixes, False), Within("dst", prefixes, False)]

    def hidden(self, view: View) -> Mask:
        source, destination = (side.mask(view) for side in self._sides)
        rows = view.rows
        hidden: Mask = rows.to_one_host & ~source & ~destination & (rows.kind != _ARP)
        return hidden


class Rules:
    """Compiled rules, and the scope within which they hold. `ignored` tells which rows they hide; `protocols` are those of which they hide any."""

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        shared: dict[Condition, Condition] = {}
        by_protocol: dict[Protocol, list[CompiledRule]] = {"tcp": [], "udp": [], "icmp": []}
        for rule in rules:
            conditions = tuple(shared.setdefault(condition, condition) for condition in rule.conditions)
            by_protocol[rule.proto].append(replace(rule, conditions=conditions))
        protocols = [ProtocolRules(proto, chosen) for proto, chosen in by_protocol.items()]
        self.protocols = [protocol for protocol in protocols if protocol.can_ignore]
        self._scope: Scope | None = None

    def within(self, scope: Scope | None) -> Rules:
        """Return the same rules within a scope; None: everything."""
        scoped = copy(self)
        scoped._scope = scope
        return scoped

    def ignored(self, rows: Rows) -> Mask | None:
        """Return which rows are ignored, one bool a row; None where there is no rule that could ignore any."""
        if not self.protocols and self._scope is None:
            return None
        view = View(rows)
        ignored = np.zeros(len(rows), np.bool_) if self._scope is None else self._scope.hidden(view)
        for protocol in self.protocols:
            ignored |= protocol.ignored(view)
        return ignored


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule whose names are looked up. It matches the rows of its protocol for which every condition holds.

    `needs_header`: it asks for ports or types, so that a fragment without them does not match.
    """

    action: Action
    proto: Protocol
    is_switch: bool
    needs_header: bool
    conditions: tuple[Condition, ...]


class ProtocolRules:
    """The rules of one protocol, in the order in which they are asked."""

    def __init__(self, proto: Protocol, rules: Sequence[CompiledRule]) -> None:
        switches = [rule.action == "ignore" for rule in rules if rule.is_switch]
        self.proto = proto
        self.off = switches[-1] if switches else False
        self.log = [rule for rule in rules if rule.action == "log" and not rule.is_switch]
        self.ignore = [rule for rule in rules if rule.action == "ignore" and not rule.is_switch]

    @property
    def can_ignore(self) -> bool:
        return self.off or bool(self.ignore)

    def ignored(self, view: View) -> Mask:
        with_header = view.with_header(self.proto)
        every = view.every(self.proto)
        if not every.any():
            return every
        ignored = every if self.off else view.any_of(self.ignore, every, with_header)
        if self.log and ignored.any():
            ignored = ignored & ~view.any_of(self.log, every, with_header)
        return ignored


class View:
    """The rows of one batch, with the masks made so far: each condition is computed once, whatever number of rules has it."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        # By identity: equal conditions are one object within a `Rules`, and hashing their values would cost more than small masks do.
        self._masks: dict[int, Mask] = {}

    def any_of(self, rules: Sequence[CompiledRule], every: Mask, with_header: Mask) -> Mask:
        matched = np.zeros(len(self.rows), np.bool_)
        for rule in rules:
            mask = with_header if rule.needs_header else every
            for condition in rule.conditions:
                mask = mask & self.mask(condition)
            matched |= mask
        return matched

    def with_header(self, proto: Protocol) -> Mask:
        """Rows of a protocol whose header was seen."""
        if proto == "icmp":
            return self.rows.is_icmp
        return self.rows.is_tcp if proto == "tcp" else self.rows.is_udp

    def every(self, proto: Protocol) -> Mask:
        """Rows of a protocol, with fragments that do not hold its header and malformed packets."""
        headless = self._headless
        if headless is None:
            return self.with_header(proto)
        number = self.rows.proto
        if proto == "icmp":
            of_it: Mask = (number == 1) | ((number == 58) & self.of_version(6))
        else:
            of_it = number == (6 if proto == "tcp" else 17)
        return self.with_header(proto) | (headless & of_it)

    def of_version(self, version: int) -> Mask:
        return self._ipv4 if version == 4 else self._ipv6

    def mask(self, condition: Condition) -> Mask:
        mask = self._masks.get(id(condition))
        if mask is None:
            mask = self._masks[id(condition)] = condition.mask(self)
        return mask

    @cached_property
    def _headless(self) -> Mask | None:
        headless: Mask = (self.rows.kind == _FRAGMENT) | ((self.rows.kind == _NONE) & (self.rows.proto != 0))
        return headless if headless.any() else None

    @cached_property
    def _ipv4(self) -> Mask:
        mask: Mask = self.rows.version == 4
        return mask

    @cached_property
    def _ipv6(self) -> Mask:
        mask: Mask = self.rows.version == 6
        return mask


class Initiators:
    """Packets, what came back as if its flow's initiator had sent it: with the addresses, the ports and the ICMP type of the request."""

    def __init__(self, batch: PacketRows) -> None:
        self._batch = batch
        self._replies: Mask = batch.flow & _REPLY != 0

    def __len__(self) -> int:
        return len(self._batch)

    def __getattr__(self, name: str) -> NDArray[Any]:
        column: NDArray[Any] = getattr(self._batch, name)
        if name in _OTHER_SIDE:
            column = np.where(self._replies, getattr(self._batch, _OTHER_SIDE[name]), column)
        elif name == "icmp_type":
            column = np.where(self._replies, _REQUEST_OF[column], column)
        self.__dict__[name] = column
        return column


Rows = PacketRows | FlowRows | Initiators


@dataclass(frozen=True, slots=True)
class Prefix:
    """A network as the address columns have it. A half whose mask is 0 is not looked at."""

    version: int
    hi: np.uint64
    hi_mask: np.uint64
    lo: np.uint64
    lo_mask: np.uint64


@dataclass(frozen=True, slots=True)
class Within:
    """The address of a side, `src` or `dst`, lies in one of some networks, or in none of them."""

    side: str
    prefixes: tuple[Prefix, ...]
    negated: bool

    def mask(self, view: View) -> Mask:
        hi: NDArray[np.uint64] = getattr(view.rows, f"{self.side}_hi")
        lo: NDArray[np.uint64] = getattr(view.rows, f"{self.side}_lo")
        inside = np.zeros(len(view.rows), np.bool_)
        for prefix in self.prefixes:
            found = view.of_version(prefix.version)
            for half, value, bits in ((hi, prefix.hi, prefix.hi_mask), (lo, prefix.lo, prefix.lo_mask)):
                if bits == _ALL:
                    found = found & (half == value)
                elif bits:
                    found = found & (half & bits == value)
            inside |= found
        return ~inside if self.negated else inside


@dataclass(frozen=True, slots=True)
class Between:
    """A port column lies between two ports, both included, or outside them."""

    column: str
    low: int
    high: int
    negated: bool

    def mask(self, view: View) -> Mask:
        ports: NDArray[np.uint16] = getattr(view.rows, self.column)
        inside: Mask = ports == self.low if self.low == self.high else (ports >= self.low) & (ports <= self.high)
        return ~inside if self.negated else inside


@dataclass(frozen=True, slots=True)
class OfType:
    """The message has the ICMP type or the ICMPv6 type (None: no type of that family), or neither."""

    icmp: int | None
    icmp6: int | None
    negated: bool

    def mask(self, view: View) -> Mask:
        rows = view.rows
        found = np.zeros(len(rows), np.bool_)
        for kind, number in ((_ICMP, self.icmp), (_ICMP6, self.icmp6)):
            if number is not None:
                found |= (rows.kind == kind) & (rows.icmp_type == number)
        return ~found if self.negated else found


Condition = Within | Between | OfType

# As plain integers: numpy compares a column of bytes with a member of an enumeration six times as slowly.
_NONE, _ARP, _ICMP, _ICMP6, _FRAGMENT = Kind.NONE.value, Kind.ARP.value, Kind.ICMP.value, Kind.ICMP6.value, Kind.FRAGMENT.value
_REPLY = FlowBit.REPLY.value
_OTHER_SIDE = {"src_hi": "dst_hi", "src_lo": "dst_lo", "sport": "dport", "dst_hi": "src_hi", "dst_lo": "src_lo", "dport": "sport"}
_REQUEST_OF = np.arange(256, dtype=np.uint8)
_REQUEST_OF[[0, 14, 16, 18, 129]] = [8, 13, 15, 17, 128]
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


def _prefix(network: Network) -> Prefix:
    hi, lo = map(np.uint64, halves(network.network_address))
    if isinstance(network, IPv4Network):
        # With version 4 the rest of a mapped address is known, so that the lower half is enough.
        mask = int(network.netmask)
        return Prefix(4, hi, np.uint64(0), lo, np.uint64(mask | 0xFFFF_FFFF << 32 if mask else 0))
    mask = int(network.netmask)
    return Prefix(6, hi, np.uint64(mask >> 64), lo, np.uint64(mask & 0xFFFF_FFFF_FFFF_FFFF))


def _networks(addresses: Addresses, hosts: Hosts) -> tuple[Network, ...]:
    """Return the networks that a clause means, those of a host with its bits for IPv4 alone; none where it means any address. Raise ValueError."""
    if addresses.host is None:
        return () if addresses.network is None else (addresses.network,)
    found = hosts[addresses.host]
    if isinstance(found, ValueError):
        raise found
    return tuple(IPv4Network((a, addresses.host_bits), strict=False) if a.version == 4 else IPv6Network(a) for a in found)


def look_up(clauses: Iterable[Addresses]) -> Hosts:
    """Look up all host names of some clauses at the same time, each once."""
    names = list(dict.fromkeys(addresses.host for addresses in clauses if addresses.host is not None))
    if not names:
        return {}
    with ThreadPoolExecutor(min(len(names), _AT_ONCE)) as pool:
        return dict(zip(names, pool.map(partial(right_or_fault, _addresses), names), strict=True))


def _addresses(host: str) -> list[IPv4Address | IPv6Address]:
    """Return all addresses of a host. Raise ValueError."""
    try:
        answers = getaddrinfo(host, None, type=SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(f"{quoted(host)} cannot be looked up ({reason}); expected a host name that can, or its addresses.") from None
    texts = sorted({str(where[0]) for family, *_, where in answers if family in (AF_INET, AF_INET6)})
    if not texts:
        raise ValueError(f"{quoted(host)} has no address; expected a host name that has one, or addresses.")
    return [ip_address(text) for text in texts]
