"""Frames as a capture file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from struct import pack

from iplog_core.testing.packets import Frame, Link


def write_pcap(path: str | Path, packets: Iterable[Frame]) -> None:
    """Write a pcap file with times in nanoseconds, packets in the order given. They must share one link type, since such a file has only one."""
    frames = list(packets)
    links = {int(frame.link) for frame in frames} or {int(Link.ETHERNET)}
    if len(links) > 1:
        raise ValueError(f"a pcap file has one link type; these packets have {sorted(links)}.")
    with open(path, "wb") as file:
        file.write(pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 0x40000, links.pop()))
        for frame in frames:
            seconds, fraction = divmod(frame.time, 1_000_000_000)
            length = len(frame.data) if frame.wire_length is None else frame.wire_length
            file.write(pack("<IIII", seconds, fraction, len(frame.data), length) + frame.data)
