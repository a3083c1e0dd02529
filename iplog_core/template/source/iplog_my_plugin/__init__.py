"""Packets from a text file, a line for each: seconds, and bytes in hexadecimal.

    1780000000.25 0200c00002010200c63364070800450000...

This works as it stands: `iplog read --enable my_plugin my_plugin:FILE`.
Make it yours: let `_packets` read what you have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path

import numpy as np
from iplog_core import CaptureError, RawBatch, Source, hookimpl

iplog_api = 2

PREFIX = "my_plugin:"
ETHERNET = 1
"""What the packets begin with: a number of www.tcpdump.org/linktypes.html."""

Packet = tuple[int, bytes]
"""Its time in nanoseconds since the epoch, its bytes from the link layer on."""


class HexFile:
    """The packets of a text file: a source, which is iterated over once.

    Iteration never raises: what goes wrong is a line in `faults`, and iteration ends.
    """

    def __init__(self, path: Path, batch_size: int) -> None:
        self.faults: list[str] = []
        self.unsupported = 0
        self.position = 0
        self._batch_size = batch_size
        self._path = path
        try:
            self._file = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            expected = "expected a file of packets in hexadecimal"
            raise CaptureError(f"{path}: {error.strerror}; {expected}.") from error

    def __iter__(self) -> Iterator[RawBatch]:
        packets = self._packets()
        while some := list(islice(packets, self._batch_size)):
            yield _batch(some)
        self.close()

    def _packets(self) -> Iterator[Packet]:
        try:
            for number, line in enumerate(self._file, 1):
                packet = _packet(line)
                if packet is None:
                    expected = "expected seconds, a space, and bytes in hexadecimal"
                    self.faults.append(f"{self._path}, line {number}: {expected}.")
                    return
                self.position += len(line)
                yield packet
        except OSError as error:
            self.faults.append(f"{self._path}: reading failed ({error.strerror}).")

    def close(self) -> None:
        self._file.close()


def _packet(line: bytes) -> Packet | None:
    """Return the packet that a line tells of, None where it tells of none."""
    try:
        seconds, data = line.decode().split()
        time = int(Decimal(seconds) * 1_000_000_000)
        return (time, bytes.fromhex(data)) if 0 <= time < 2**63 else None
    except (ValueError, ArithmeticError):
        return None


def _batch(packets: Sequence[Packet]) -> RawBatch:
    """Return packets as iplog takes them: one buffer, and where each lies in it."""
    lengths = np.array([len(data) for _, data in packets], np.uint32)
    return RawBatch(
        data=np.frombuffer(bytearray().join(data for _, data in packets), np.uint8),
        offset=np.cumsum(lengths, dtype=np.int64) - lengths,
        captured=lengths,
        wire_length=lengths,
        time=np.array([time for time, _ in packets], np.int64),
        link=np.full(len(packets), ETHERNET, np.uint16),
        interface=np.zeros(len(packets), np.uint16),
        interfaces=[""],
    )


@hookimpl
def iplog_source(name: str, batch_size: int) -> Source | None:
    """Open what the command line names, if it is ours; else another plugin may."""
    if not name.startswith(PREFIX):
        return None
    return HexFile(Path(name.removeprefix(PREFIX)), batch_size)
