"""Packets as columns, and captures written from them: millions in seconds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Packets = NDArray[Any]
"""Rows of PACKET."""

TCP, UDP, ICMP, ARP, PIECE = range(5)
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

PACKET = np.dtype(
    [
        ("time", np.int64),  # microseconds since the beginning of the capture
        ("kind", np.uint8),  # TCP to PIECE; a piece is a later fragment of a datagram
        ("six", np.bool_),  # IPv6
        ("source", np.uint32),  # addresses are these 32 bits in IPv6, too, after the prefix 2001:db8::/96
        ("target", np.uint32),
        ("sport", np.uint16),  # ICMP: type and code; ARP: the operation
        ("dport", np.uint16),  # ICMP: the sequence number
        ("seq", np.uint32),
        ("ack", np.uint32),  # UDP: bytes of payload of the whole datagram, where this is its first fragment
        ("flags", np.uint8),
        ("size", np.uint32),  # bytes of payload, all of them zero
        ("ident", np.uint16),
        ("fragment", np.uint16),  # the field of the IPv4 header: don't fragment, more fragments, the offset in units of eight bytes
    ]
)

EPOCH = 1_790_000_000
SHORTEST = 74
"""Bytes of the longest headers, those of TCP over IPv6."""

_BLOCK = 1 << 16
_RECORD, _ETHERNET, _IP4, _IP6 = 16, 14, 20, 40
_HEADERS = {TCP: 20, UDP: 8, ICMP: 8, ARP: 28, PIECE: 0}
_PROTOCOLS = {TCP: 6, UDP: 17, ICMP: 1, PIECE: 17}
_MACS = bytes.fromhex("020000000002020000000001")


def packets(count: int, **columns: Any) -> Packets:
    """Rows with these columns, the others zero."""
    rows = np.zeros(count, PACKET)
    for name, values in columns.items():
        rows[name] = values
    return rows


def write(path: Path, parts: Iterable[Packets], snaplen: int = 262144) -> int:
    """Write a pcap file of parts that follow each other in time, each put in order of time; return how many packets it has. The file appears when it is whole.

    A snap length leaves the headers whole.
    """
    assert snaplen >= SHORTEST
    meanwhile = path.with_suffix(".part")
    written = 0
    with meanwhile.open("wb") as file:
        file.write(np.array([0xA1B2C3D4, 4 << 16 | 2, 0, 0, snaplen, 1], "<u4").tobytes())
        for part in parts:
            rows = part[np.argsort(part["time"], kind="stable")]
            for begin in range(0, len(rows), _BLOCK):
                _write_block(file, rows[begin : begin + _BLOCK], snaplen)
            written += len(rows)
    meanwhile.replace(path)
    return written


def _write_block(file: BinaryIO, rows: Packets, snaplen: int) -> None:
    wire = _ETHERNET + np.where(rows["kind"] == ARP, 0, np.where(rows["six"], _IP6, _IP4)) + _upper(rows["kind"]) + rows["size"].astype(np.int64)
    captured = np.minimum(wire, snaplen)
    ends = np.cumsum(_RECORD + captured)
    out = np.zeros(ends[-1], np.uint8)
    begins = ends - captured - _RECORD
    for kind in _HEADERS:
        for six in (False, True):
            here = np.flatnonzero((rows["kind"] == kind) & (rows["six"] == six))
            if len(here):
                headers = _headers(kind, six, rows[here], wire[here], captured[here])
                out[begins[here, None] + np.arange(headers.shape[1])] = headers
    file.write(out.data)


def _upper(kind: NDArray[Any]) -> NDArray[np.int64]:
    lengths: NDArray[np.int64] = np.array([_HEADERS[each] for each in sorted(_HEADERS)], np.int64)[kind]
    return lengths


def _headers(kind: int, six: bool, rows: Packets, wire: NDArray[Any], captured: NDArray[Any]) -> NDArray[np.uint8]:
    """Record header to transport header of packets of one sort, a row each."""
    record = np.empty((len(rows), 4), "<u4")
    record[:, 0] = EPOCH + rows["time"] // 1_000_000
    record[:, 1] = rows["time"] % 1_000_000
    record[:, 2] = captured
    record[:, 3] = wire
    ethernet = np.tile(np.frombuffer(_MACS + (b"\x08\x06" if kind == ARP else b"\x86\xdd" if six else b"\x08\x00"), np.uint8), (len(rows), 1))
    if kind == ARP:
        return np.hstack([record.view(np.uint8), ethernet, _arp(rows)])
    length = _HEADERS[kind] + rows["size"].astype(np.int64)
    network = _ip6(kind, rows, length) if six else _ip4(kind, rows, length)
    if kind == UDP:
        length = np.maximum(length, 8 + rows["ack"].astype(np.int64))
    transport = _transport(kind, rows, length)
    # The checksum of TCP and UDP begins with a pseudo-header (RFC 9293, RFC 8200); the payload, being zero, adds nothing to it. A piece has none.
    if kind == ICMP:
        transport.view(">u2")[:, 1] = _checksum(transport)
    elif kind in (TCP, UDP):
        addresses = network[:, 8:40] if six else network[:, 12:20]
        summed = _checksum(transport, _sum(addresses) + _PROTOCOLS[kind] + length)
        # In UDP, zero would say that there is none (RFC 768).
        transport.view(">u2")[:, 8 if kind == TCP else 3] = np.where(summed == 0, 0xFFFF, summed)
    return np.hstack([record.view(np.uint8), ethernet, network, transport])


def _arp(rows: Packets) -> NDArray[np.uint8]:
    """RFC 826: who has `target`, says `source`, or the answer to that."""
    arp = np.zeros((len(rows), 14), ">u2")
    arp[:, :3] = 1, 0x0800, 0x0604
    arp[:, 3] = rows["sport"]
    arp[:, 7], arp[:, 8] = rows["source"] >> 16, rows["source"] & 0xFFFF
    arp[:, 12], arp[:, 13] = rows["target"] >> 16, rows["target"] & 0xFFFF
    return arp.view(np.uint8)


def _transport(kind: int, rows: Packets, length: NDArray[Any]) -> NDArray[np.uint8]:
    head = np.zeros((len(rows), _HEADERS[kind] // 2), ">u2")
    if kind == TCP:
        head[:, 0], head[:, 1] = rows["sport"], rows["dport"]
        head[:, 2], head[:, 3] = rows["seq"] >> 16, rows["seq"] & 0xFFFF
        head[:, 4], head[:, 5] = rows["ack"] >> 16, rows["ack"] & 0xFFFF
        head[:, 6], head[:, 7] = 5 << 12 | rows["flags"].astype(np.uint16), 64240
    elif kind == UDP:
        head[:, 0], head[:, 1], head[:, 2] = rows["sport"], rows["dport"], length
    elif kind == ICMP:
        head[:, 0], head[:, 2], head[:, 3] = rows["sport"], rows["ident"], rows["dport"]
    return head.view(np.uint8)


def _ip4(kind: int, rows: Packets, length: NDArray[Any]) -> NDArray[np.uint8]:
    head = np.zeros((len(rows), 10), ">u2")
    head[:, 0], head[:, 1], head[:, 2], head[:, 3] = 0x4500, _IP4 + length, rows["ident"], rows["fragment"]
    head[:, 4] = 64 << 8 | _PROTOCOLS[kind]
    head[:, 6], head[:, 7] = rows["source"] >> 16, rows["source"] & 0xFFFF
    head[:, 8], head[:, 9] = rows["target"] >> 16, rows["target"] & 0xFFFF
    head[:, 5] = _checksum(head.view(np.uint8))
    return head.view(np.uint8)


def _ip6(kind: int, rows: Packets, length: NDArray[Any]) -> NDArray[np.uint8]:
    head = np.zeros((len(rows), 20), ">u2")
    head[:, 0], head[:, 2], head[:, 3] = 6 << 12, length, _PROTOCOLS[kind] << 8 | 64
    for address, name in ((4, "source"), (12, "target")):
        head[:, address], head[:, address + 1] = 0x2001, 0x0DB8
        head[:, address + 6], head[:, address + 7] = rows[name] >> 16, rows[name] & 0xFFFF
    return head.view(np.uint8)


def _sum(part: NDArray[np.uint8]) -> NDArray[np.int64]:
    summed: NDArray[np.int64] = np.ascontiguousarray(part).view(">u2").sum(axis=1, dtype=np.int64)
    return summed


def _checksum(part: NDArray[np.uint8], more: NDArray[Any] | int = 0) -> NDArray[np.int64]:
    """RFC 1071."""
    summed = _sum(part) + more
    for _ in range(2):
        summed = (summed & 0xFFFF) + (summed >> 16)
    return 0xFFFF - summed
