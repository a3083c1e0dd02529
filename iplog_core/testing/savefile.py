"""Frames as a capture file, and back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from struct import pack

import numpy as np

from iplog_core.batch import BYTES_PER_PACKET, PacketBatch
from iplog_core.capture.savefile import open_savefile
from iplog_core.kernel.decode import decode
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


def read_pcap(path: str | Path) -> list[Frame]:
    """Return the packets of a capture file in its order: pcap or pcapng, plain or compressed. Raise CaptureError, or ValueError where it ends badly."""
    source = open_savefile(str(path), 4096)
    frames: list[Frame] = []
    try:
        for raw in source:
            block = np.empty(BYTES_PER_PACKET * len(raw), np.uint8)
            decode(raw.data, raw.offset, raw.captured, raw.wire_length, raw.time, raw.link, raw.interface, block, 0, 0)
            headers = PacketBatch(block, raw.data, now=0).network.tolist()
            columns = (column.tolist() for column in (raw.time, raw.offset, raw.captured, raw.wire_length, raw.link))
            for header, time, start, length, whole, link in zip(headers, *columns, strict=True):
                frames.append(Frame(time, raw.data[start : start + length].tobytes(), link, header, None if whole == length else whole))
    finally:
        source.close()
    if source.faults:
        raise ValueError("\n".join(source.faults))
    return frames
