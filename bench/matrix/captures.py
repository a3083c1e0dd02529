"""Capture files: read and written whole, cut in two directions, given other times; and how many probes they hold."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import dpkt

from bench.matrix.network import TARGET_MAC
from bench.matrix.scenario import Packet

_TARGET = bytes.fromhex(TARGET_MAC.replace(":", ""))


def read(path: Path) -> list[Packet]:
    with path.open("rb") as file:
        return list(dpkt.pcap.Reader(file))


def write(path: Path, packets: Iterable[Packet]) -> None:
    """Write Ethernet frames with times in microseconds."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, dpkt.pcap.DLT_EN10MB))
        for at, frame in packets:
            seconds, rest = divmod(round(at * 1_000_000), 1_000_000)
            file.write(struct.pack("<IIII", seconds, rest, len(frame), len(frame)) + frame)


def side(packets: Iterable[Packet], which: str) -> Iterator[Packet]:
    """The packets of one direction: "asked" came to the target, "answered" it sent."""
    return ((at, frame) for at, frame in packets if (frame[6:12] == _TARGET) == (which == "answered"))


def stretched(packets: list[Packet], seconds: float) -> Iterator[Packet]:
    """Let every IP packet that comes to the target come that many seconds after the one before; answers keep their distance. ARP is left out."""
    start, shift, last = packets[0][0], 0.0, None
    probes = 0
    for at, frame in packets:
        if frame[12:14] not in (b"\x08\x00", b"\x86\xdd") or _is_neighbour_discovery(frame):
            continue
        if frame[6:12] != _TARGET:
            shift = start + probes * seconds - at
            probes += 1
            last = at
        if last is not None:
            yield at + shift, frame


def _is_neighbour_discovery(frame: bytes) -> bool:
    return frame[12:14] == b"\x86\xdd" and frame[20] in (0, 58)


def probes_until(packets: Iterable[Packet], sources: tuple[str, ...], until: float) -> int:
    """How many distinct things some sources, or all that sent to the target, had tried by then: ports, hosts, protocols."""
    tried: set[object] = set()
    for at, frame in packets:
        if at > until + 0.000_002:
            break
        if frame[6:12] != _TARGET and (what := _tried(frame, sources)):
            tried.add(what)
    return len(tried)


def _tried(frame: bytes, sources: tuple[str, ...]) -> object:
    try:
        inside = dpkt.ethernet.Ethernet(frame).data
    except dpkt.UnpackError:
        return None
    if isinstance(inside, dpkt.arp.ARP):
        return ("arp", inside.tpa) if inside.op == dpkt.arp.ARP_OP_REQUEST else None
    if not isinstance(inside, dpkt.ip.IP | dpkt.ip6.IP6):
        return None
    if sources and "*" not in sources and dpkt.utils.inet_to_str(inside.src) not in sources:
        return None
    upper = inside.data
    if isinstance(inside, dpkt.ip.IP):
        proto = inside.p
        if inside.offset:
            return None
        if isinstance(upper, bytes) and proto in (6, 17) and len(upper) >= 4:
            return inside.dst, proto, struct.unpack(">H", upper[2:4])[0]
    else:
        proto = inside.nxt
    if isinstance(upper, dpkt.icmp6.ICMP6) and upper.type in (135, 136):
        return None
    return inside.dst, proto, getattr(upper, "dport", 0)
