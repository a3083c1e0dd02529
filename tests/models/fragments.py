"""Datagrams under way as a dict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from iplog_core.batch import Fragment, Kind, Malformed

Key = tuple[Any, ...]


@dataclass
class Datagram:
    """What has come of a datagram: its units of eight bytes, where pieces began, and its end, in bytes, once known."""

    since: int
    units: dict[int, bytes] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    size: int | None = None
    header: bool = False


class FragmentModel:
    """Datagrams under way as a dict, each with all its bytes."""

    def __init__(self, capacity: int, timeout: int) -> None:
        self.capacity = capacity
        self.timeout = timeout
        self.datagrams: dict[Key, Datagram] = {}
        """The one begun first is first."""

    def packet(self, p: dict[str, int], frame: bytes) -> dict[str, int]:
        """Take the next packet, decoded. Return the columns that change."""
        if not p["fragment"]:
            return {}
        for key in [key for key, datagram in self.datagrams.items() if datagram.since + self.timeout <= p["clock"]]:
            del self.datagrams[key]
        key = tuple(p[name] for name in ("src_hi", "src_lo", "dst_hi", "dst_lo", "ip_id", "version", "proto"))
        if key not in self.datagrams:
            if len(self.datagrams) == self.capacity:
                del self.datagrams[next(iter(self.datagrams))]
            self.datagrams[key] = Datagram(p["clock"])
        datagram = self.datagrams[key]
        changed = self._place(datagram, p, frame[p["transport"] :])
        if datagram.size and len(datagram.units) == -(-datagram.size // 8):
            changed["fragment"] |= Fragment.COMPLETE
            del self.datagrams[key]
        return changed

    def _place(self, datagram: Datagram, p: dict[str, int], payload: bytes) -> dict[str, int]:
        bits, first, header = p["fragment"], p["fragment_offset"], p["transport"] - p["network"]
        sent, more = p["length"] - header, p["fragment"] & Fragment.MORE
        # All pieces but the last are whole units of eight bytes.
        units = range(first, min(first + (sent // 8 if more else -(-sent // 8)), 8192))
        if first == 0 and sent < 20 and p["proto"] == 6 and more:
            bits |= Fragment.TINY
        if first * 8 + sent + (header if p["version"] == 4 else 0) > 0xFFFF:
            bits |= Fragment.OVERSIZED
        if not more:
            datagram.size = first * 8 + sent
        known = [unit for unit in units if unit in datagram.units]
        if known:
            again = len(known) == len(units) and first in datagram.begun
            bits |= Fragment.DUPLICATE if again else Fragment.OVERLAP
        datagram.header |= bool(bits & Fragment.HEADER or p["malformed"])
        if min(sent, 8 * len([unit for unit in units if unit < 8])) > len(payload):
            # Cut off by the snap length: the header cannot be told any more.
            datagram.header = True
        if units:
            datagram.begun.add(first)
        for unit in units:
            datagram.units.setdefault(unit, payload[(unit - first) * 8 : min((unit - first) * 8 + 8, sent)].ljust(8, b"\0"))
        if datagram.header or first >= 8:
            return {"fragment": bits}
        return {"fragment": bits} | self._header(datagram, p["proto"], bits)

    @staticmethod
    def _header(datagram: Datagram, proto: int, bits: int) -> dict[str, int]:
        """The transport header, once its first bytes are all there."""
        head = b""
        while len(head) < 64 and len(head) // 8 in datagram.units:
            head += datagram.units[len(head) // 8]
        head = head[: datagram.size]
        if not head or len(head) < {6: 20, 17: 8, 1: 8, 58: 4, 132: 12}.get(proto, 0):
            return {}
        datagram.header = True
        found: dict[str, int] = {"fragment": bits | Fragment.HEADER}
        if proto in (6, 17, 132):
            found |= {"sport": int.from_bytes(head[:2], "big"), "dport": int.from_bytes(head[2:4], "big")}
        if proto == 6:
            if head[12] >> 4 < 5:
                return {"malformed": Malformed.BAD_TCP_HEADER, "kind": Kind.NONE}
            found |= {"tcp_flags": int.from_bytes(head[12:14], "big") & 0xFFF, "tcp_seq": int.from_bytes(head[4:8], "big")}
        if proto == 17 and int.from_bytes(head[4:6], "big") < 8:
            return {"malformed": Malformed.BAD_UDP_LENGTH, "kind": Kind.NONE}
        if proto in (1, 58):
            found |= {"icmp_type": head[0], "icmp_code": head[1]}
        kinds = {1: Kind.ICMP, 6: Kind.TCP, 17: Kind.UDP, 58: Kind.ICMP6, 132: Kind.SCTP}
        return found | {"kind": kinds.get(proto, Kind.OTHER)}
