"""A capture source over packets in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from iplog_core.batch import RawBatch
from iplog_core.testing.packets import Frame

Packets = Iterable["Frame | Packets"]
"""Frames, and lists of them to any depth, as conversations are."""


def in_order(packets: Packets) -> list[Frame]:
    """Return the frames of conversations that overlap as a sensor would see them: by time, and those of the same time as they were given."""
    return sorted(_flat(packets), key=lambda frame: frame.time)


class MemorySource:
    """Give frames, in the order in which they stand, in batches of `batch_size`; of several sizes each in turn, over and over.

    As with every source, the bytes of a batch are gone when the next one is asked for: here they are overwritten, so that whoever keeps them is found out.
    """

    def __init__(self, frames: Sequence[Frame], batch_size: int | Sequence[int] = 256, interface: str = "") -> None:
        self.faults: list[str] = []
        self.unsupported = 0
        self.size = sum(len(frame.data) for frame in frames)
        self.position = 0
        self._frames = frames
        self._sizes = [batch_size] if isinstance(batch_size, int) else list(batch_size)
        self._interfaces = [interface]

    def __iter__(self) -> Iterator[RawBatch]:
        start = turn = 0
        while start < len(self._frames):
            stop = start + self._sizes[turn % len(self._sizes)]
            batch = raw_batch(self._frames[start:stop], self._interfaces)
            self.position += len(batch.data)
            yield batch
            batch.data[:] = 0xA5
            start, turn = stop, turn + 1

    def close(self) -> None:
        """Nothing is open."""


def raw_batch(frames: Sequence[Frame], interfaces: Sequence[str] = ("",)) -> RawBatch:
    """Return frames as one batch, from the first interface."""
    captured = np.array([len(frame.data) for frame in frames], np.uint32)
    return RawBatch(
        data=np.frombuffer(bytearray(b"".join(frame.data for frame in frames)), np.uint8),
        offset=np.concatenate(([0], np.cumsum(captured, dtype=np.int64)))[:-1],
        captured=captured,
        wire_length=np.array([len(frame.data) if frame.wire_length is None else frame.wire_length for frame in frames], np.uint32),
        time=np.array([frame.time for frame in frames], np.int64),
        link=np.array([frame.link for frame in frames], np.uint16),
        interface=np.zeros(len(frames), np.uint16),
        interfaces=interfaces,
    )


def _flat(packets: Packets) -> Iterator[Frame]:
    for item in packets:
        if isinstance(item, Frame):
            yield item
        else:
            yield from _flat(item)
