"""Datagrams under way as a dict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from iplog_core.batch import Fragment, Kind, Malformed

Key = tuple[Any, ...]

HEADERS = {6: 20, 17: 8, 1: 8, 58: 4, 132: 12}


@dataclass
class Datagram:
    """What has come of a datagram: its units of eight bytes, the pieces by their first and last unit, and its end, in bytes, once known."""

    since: int
    whole: bool = False
    """It was complete before: this is a copy, or another one of the same identification."""
    units: dict[int, bytes] = field(default_factory=dict)
    pieces: list[range] = field(default_factory=list)
    count: int = 0
    parts: int = 0
    ragged: bool = False
    doubtful: bool = False
    settled: bool = False
    size: int | None = None
    proto: int = 0
    header: bool = False
    last: tuple[int, int] = (0, 0)


class FragmentModel:
    """Datagrams under way as a dict, each with all its bytes; those that are whole come after them in the order in which they must go."""

    def __init__(self, capacity: int, timeout: int) -> None:
        self.capacity = capacity
        self.timeout = timeout
        self.datagrams: dict[Key, Datagram] = {}
        """The one begun first is first."""
        self.whole: dict[Key, Datagram] = {}
        self.credits: dict[Key, int] = {}
        """How many datagrams may stay in pieces, by source and target; who was used last is last."""

    def packet(self, p: dict[str, int], frame: bytes) -> dict[str, int]:
        """Take the next packet, decoded. Return the columns that change."""
        if not p["fragment"]:
            return {}
        for known in (self.datagrams, self.whole):
            for key in [key for key, datagram in known.items() if datagram.since + self.timeout <= p["clock"]]:
                del known[key]
        names = ("src_hi", "src_lo", "dst_hi", "dst_lo", "ip_id", "interface", "version")
        key = (*(p[name] for name in names), p["proto"] * (p["version"] == 4))
        datagram = self.datagrams.get(key) or self.whole.get(key) or self._begin(key, p)
        body = _body(p, frame)
        units, end = _units(p, body)
        fault = _misfit(datagram, p, units, end)
        if fault and p["version"] == 4 and (datagram.last[0] + 5_000_000_000 < p["clock"] or datagram.last[1] + 32768 < p["index"]):
            self.datagrams.pop(key, None)
            self.whole.pop(key, None)
            datagram, fault = self._begin(key, p), Fragment(0)
        datagram.last = p["clock"], p["index"]
        datagram.count += 1
        pair = (*key[:4], p["version"])
        bits = p["fragment"] | fault | _alone(p, body, end) | self._doubt(datagram, pair)
        self._make_room(datagram, units)
        changed = _place(datagram, p, bits, units, end, frame[body:], body)
        changed["fragment"] |= self._settle(key, datagram, pair, p["clock"])
        return changed

    def _make_room(self, datagram: Datagram, units: range) -> None:
        """Forget others, the oldest first, while there is no room for the stretches of 1,024 units in which a piece is the first to come."""
        wanted = len(_stretches(datagram.units) | _stretches(units))
        while wanted + sum(len(_stretches(other.units)) for other in self._others(datagram)) > max(8, self.capacity):
            gone = self._others(datagram)[0]
            for known in (self.datagrams, self.whole):
                for key in [key for key, other in known.items() if other is gone]:
                    del known[key]

    def _others(self, datagram: Datagram) -> list[Datagram]:
        return [other for known in (self.datagrams, self.whole) for other in known.values() if other is not datagram]

    def _begin(self, key: Key, p: dict[str, int]) -> Datagram:
        if len(self.datagrams) + len(self.whole) == self.capacity:
            crowd = self.whole or self.datagrams
            del crowd[next(iter(crowd))]
        self.datagrams[key] = Datagram(p["clock"])
        return self.datagrams[key]

    def _doubt(self, datagram: Datagram, pair: Key) -> Fragment:
        if datagram.parts > 256 or datagram.count > 8 * (datagram.parts + 1):
            return Fragment.DOUBTFUL
        if datagram.count > 1 or datagram.whole:
            return Fragment(0)
        if self.credits.get(pair):
            self.credits[pair] = self.credits.pop(pair) - 1
            return Fragment(0)
        datagram.doubtful = True
        return Fragment.DOUBTFUL

    def _settle(self, key: Key, datagram: Datagram, pair: Key, now: int) -> Fragment:
        wanted = -(-(datagram.size or 0) // 8)
        if not datagram.size or any(piece.stop > wanted for piece in datagram.pieces):
            return Fragment(0)
        told = Fragment(0)
        if not datagram.whole and not datagram.settled and datagram.parts > 1 and len(datagram.units) * 2 >= wanted:
            datagram.settled = True
            credit = self.credits.pop(pair, 0)
            if len(self.credits) == self.capacity:
                del self.credits[next(iter(self.credits))]
            self.credits[pair] = min(32, credit + 4)
            told |= Fragment.ARRIVED if datagram.doubtful else Fragment(0)
        if len(datagram.units) == wanted:
            told |= Fragment.COMPLETE
            self.datagrams.pop(key, None)
            self.whole.pop(key, None)
            self.whole[key] = Datagram(now, whole=True)
        return told


def _stretches(units: Iterable[int]) -> set[int]:
    return {unit // 1024 for unit in units}


def _body(p: dict[str, int], frame: bytes) -> int:
    """Where in the frame the piece begins: behind the Fragment header, before any other header."""
    if p["version"] == 4 or p["fragment_offset"]:
        return p["transport"]
    at, proto = p["network"] + 40, frame[p["network"] + 6]
    body = at
    while at + 8 <= len(frame) and at < (p["transport"] or 1 << 20):
        if proto == 44:
            body = at + 8
        elif not p["transport"] and body > p["network"] + 40:
            break
        size = 8 if proto == 44 else (frame[at + 1] + 2) * 4 if proto == 51 else (frame[at + 1] + 1) * 8
        at, proto = at + size, frame[at]
    return body


def _units(p: dict[str, int], body: int) -> tuple[range, int]:
    """The units of a piece, and its end in bytes. All pieces but the last are whole units of eight bytes."""
    first, sent = p["fragment_offset"], max(0, p["length"] - (body - p["network"]))
    last = first + (sent // 8 if p["fragment"] & Fragment.MORE else -(-sent // 8))
    return range(first, min(last, 8192)), first * 8 + sent


def _misfit(datagram: Datagram, p: dict[str, int], units: range, end: int) -> Fragment:
    if not datagram.count:
        return Fragment(0)
    more = bool(p["fragment"] & Fragment.MORE)
    ragged = more and end % 8 != 0
    known = [unit for unit in units if unit in datagram.units]
    if (
        len(units)
        and len(known) == len(units)
        and not any(piece.start in units[1:] for piece in datagram.pieces)
        and any(piece.start == units.start for piece in datagram.pieces)
        and any(piece.stop == units.stop for piece in datagram.pieces)
        and (more or datagram.size == end)
    ):
        return Fragment.DUPLICATE
    reach = max((units.stop for units in datagram.pieces), default=0)
    beyond = datagram.size and (units.stop > -(-datagram.size // 8) or (not more and datagram.size != end))
    if known or ragged or datagram.ragged or beyond or (not more and reach > units.stop):
        return Fragment.OVERLAP
    return Fragment(0)


def _alone(p: dict[str, int], body: int, end: int) -> Fragment:
    fault = Fragment(0)
    if end + body - p["network"] - (0 if p["version"] == 4 else 48) > 65535:
        fault |= Fragment.OVERSIZED
    if p["fragment_offset"] == 0:
        sent = p["length"] - (p["transport"] - p["network"])
        if p["version"] == 4:
            tiny = p["proto"] == 6 and end < 16
        else:
            tiny = p["malformed"] == Malformed.BAD_EXTENSION or (p["transport"] > 0 and sent < HEADERS.get(p["proto"], 0) * (p["proto"] != 1))
        fault |= Fragment.TINY if tiny else Fragment(0)
    return fault


def _place(datagram: Datagram, p: dict[str, int], bits: int, units: range, end: int, payload: bytes, body: int) -> dict[str, int]:
    first, sent, more = units.start, end - units.start * 8, bits & Fragment.MORE
    datagram.header |= bool(bits & Fragment.HEADER or p["malformed"] or p["transport"] != body)
    datagram.ragged |= bool(more and sent % 8)
    if first == 0 and 0 not in datagram.units:
        datagram.proto = p["proto"]
    if not more:
        datagram.size = end
    if min(sent, 8 * len([unit for unit in units if unit < 8])) > len(payload):
        # Cut off by the snap length: the header cannot be told any more.
        datagram.header = True
    datagram.parts += any(unit not in datagram.units for unit in units)
    # A piece without a unit has no place.
    datagram.pieces += [units] if units else []
    for unit in units:
        datagram.units.setdefault(unit, payload[(unit - first) * 8 : min((unit - first) * 8 + 8, sent)].ljust(8, b"\0"))
    if datagram.header or first >= 8:
        return {"fragment": bits}
    return {"fragment": bits} | _header(datagram, p["version"], bits)


def _header(datagram: Datagram, version: int, bits: int) -> dict[str, int]:
    """The transport header, once its first bytes are all there."""
    proto = datagram.proto
    head = b""
    while len(head) < 64 and len(head) // 8 in datagram.units:
        head += datagram.units[len(head) // 8]
    head = head[: datagram.size]
    if not head or len(head) < HEADERS.get(proto, 0) * (proto != 58 or version == 6):
        return {}
    datagram.header = True
    found: dict[str, int] = {"fragment": bits | Fragment.HEADER, "proto": proto}
    if proto in (6, 17, 132):
        found |= {"sport": int.from_bytes(head[:2], "big"), "dport": int.from_bytes(head[2:4], "big")}
    if proto == 6:
        if head[12] >> 4 < 5:
            return {"fragment": bits, "proto": proto, "malformed": Malformed.BAD_TCP_HEADER, "kind": Kind.NONE}
        found |= {"tcp_flags": int.from_bytes(head[12:14], "big") & 0xFFF, "tcp_seq": int.from_bytes(head[4:8], "big")}
    length = int.from_bytes(head[4:6], "big")
    if proto == 17 and (length or 8 * (version == 6)) < 8:
        return {"fragment": bits, "proto": proto, "malformed": Malformed.BAD_UDP_LENGTH, "kind": Kind.NONE}
    if proto == 1 or (proto == 58 and version == 6):
        found |= {"icmp_type": head[0], "icmp_code": head[1]}
    kinds = {1: Kind.ICMP, 6: Kind.TCP, 17: Kind.UDP, 58: Kind.ICMP6, 132: Kind.SCTP}
    return found | {"kind": Kind.OTHER if proto == 58 and version == 4 else kinds.get(proto, Kind.OTHER)}
