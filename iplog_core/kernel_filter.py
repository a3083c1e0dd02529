"""What the kernel may leave out, because nobody would see it.

A packet that the rules hide is of no use where they hide its answer, too: then the whole flow is hidden, and so the kernel may drop it. What is missed is that
the flow table knows nothing of it: an ICMP error about it belongs to no flow, and it is nobody's contact. ICMP is never dropped, since its errors decide the
flows of others; nor is what may be malformed, which is counted, nor fragments, which hold together.

Programs of the kernel read bytes at fixed places (BPF, McCanne and Jacobson 1993): only packets whose headers have their usual length are dropped there, and
what is rare is left to the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from iplog_core.rule_grammar import Protocol
from iplog_core.rules import Between, CompiledRule, Prefix, ProtocolRules, Rules, Within

LENGTH = 6000
"""Characters that rules may add to the filter: more are not worth what each packet costs."""


def kernel_filter(rules: Rules | None, user_filter: str | None) -> str | None:
    """Return the filter to capture with (pcap-filter(7)): the user's own, without what the rules hide in both directions; None where all is to be captured."""
    hidden = [part for protocol in rules.protocols for part in _hidden(protocol)] if rules else []
    kept = f"not ({' or '.join(hidden)})" if hidden else ""
    if kept and user_filter:
        # In this order, since `vlan` in the user's part moves the bytes that everything behind it reads.
        return f"{kept} and ({user_filter})"
    return kept or user_filter or None


def _hidden(protocol: ProtocolRules) -> Iterator[str]:
    """Give, for IPv4 and IPv6, what matches the packets of flows that are hidden whole."""
    if protocol.proto == "icmp" or protocol.log:
        return
    for version in (4, 6):
        ordinary = _ORDINARY[protocol.proto, version]
        if protocol.off:
            yield f"({ordinary})"
        elif both := _both_ways(protocol.ignore, version):
            yield f"({ordinary} and {both})"


def _both_ways(rules: Iterable[CompiledRule], version: int) -> str:
    """Return what matches packets that a rule hides, and whose answers a rule hides; as many of the rules as there is room for, for fewer hide less."""
    there: dict[str, None] = {}
    back: dict[str, None] = {}
    room = LENGTH // 4
    for rule in rules:
        one, other = _matches(rule, version, mirrored=False), _matches(rule, version, mirrored=True)
        if one is None or other is None:
            continue
        room -= len(one) + len(other)
        if room < 0:
            break
        there[one] = back[other] = None
    if not there:
        return ""
    sides = [_any(there), _any(back)] if set(there) != set(back) else [_any(there)]
    return " and ".join(sides)


def _matches(rule: CompiledRule, version: int, *, mirrored: bool) -> str | None:
    """Return what matches a rule's packets, or, mirrored, their answers; None where no packet of the version does."""
    terms = []
    for condition in rule.conditions:
        if isinstance(condition, Within):
            side = _OTHER_SIDE[condition.side] if mirrored else condition.side
            prefixes = [_prefix(prefix, side) for prefix in condition.prefixes if prefix.version == version]
            if not prefixes and not condition.negated:
                return None
            if prefixes:
                terms.append(f"not {_any(prefixes)}" if condition.negated else _any(prefixes))
        elif isinstance(condition, Between):
            port = _PORT[version, _OTHER_SIDE[condition.column] if mirrored else condition.column]
            terms.append(_range(port, condition))
    return f"({' and '.join(terms)})" if terms else _EVERYTHING


def _prefix(prefix: Prefix, side: str) -> str:
    """Return what matches the address of a side, word by word."""
    header, words = _ADDRESS[prefix.version, side]
    hi, lo, hi_mask, lo_mask = map(int, (prefix.hi, prefix.lo, prefix.hi_mask, prefix.lo_mask))
    value, mask = hi << 64 | lo, hi_mask << 64 | lo_mask
    terms = []
    for number, offset in enumerate(words):
        shift = 32 * (len(words) - 1 - number)
        if bits := mask >> shift & 0xFFFFFFFF:
            masked = "" if bits == 0xFFFFFFFF else f" & {bits:#x}"
            terms.append(f"{header}[{offset}:4]{masked} = {value >> shift & 0xFFFFFFFF:#x}")
    return f"({' and '.join(terms)})" if terms else _EVERYTHING


def _range(port: str, ports: Between) -> str:
    if ports.low == ports.high:
        return f"{port} {'!=' if ports.negated else '='} {ports.low}"
    if ports.negated:
        return f"({port} < {ports.low} or {port} > {ports.high})"
    return f"({port} >= {ports.low} and {port} <= {ports.high})"


def _any(terms: Iterable[str]) -> str:
    return f"({' or '.join(terms)})"


_OTHER_SIDE = {"src": "dst", "dst": "src", "sport": "dport", "dport": "sport"}
_ADDRESS = {
    (4, "src"): ("ip", (12,)),
    (4, "dst"): ("ip", (16,)),
    (6, "src"): ("ip6", (8, 12, 16, 20)),
    (6, "dst"): ("ip6", (24, 28, 32, 36)),
}
_PORT = {(4, "sport"): "ip[20:2]", (4, "dport"): "ip[22:2]", (6, "sport"): "ip6[40:2]", (6, "dport"): "ip6[42:2]"}

_EVERYTHING = "len > 0"

# Whole packets with a whole header: loading what a packet does not have would drop it. `len` counts the link layer's header, 20 bytes at the most.
_WHOLE_4 = "ip[0] = 0x45 and ip[6:2] & 0x3fff = 0"
_ORDINARY: dict[tuple[Protocol, int], str] = {
    ("udp", 4): f"ip and len >= 48 and {_WHOLE_4} and ip[9] = 17 and ip[24:2] >= 8 and ip[24:2] + 20 <= ip[2:2]",
    ("udp", 6): "ip6 and len >= 68 and ip6[6] = 17 and ip6[44:2] >= 8 and ip6[44:2] <= ip6[4:2]",
    ("tcp", 4): f"ip and len >= 60 and {_WHOLE_4} and ip[9] = 6 and ip[32] >= 0x50 and ((ip[32] & 0xf0) >> 2) + 20 <= ip[2:2]",
    ("tcp", 6): "ip6 and len >= 80 and ip6[6] = 6 and ip6[52] >= 0x50 and (ip6[52] & 0xf0) >> 2 <= ip6[4:2]",
}
