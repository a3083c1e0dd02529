"""Several sources as one, in time order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from iplog_core.batch import Mask, RawBatch
from iplog_core.capture.source import InterfaceNames, Source


def merge(sources: Sequence[Source]) -> Source:
    """Return a source with the packets of all, in time order; a single source is returned as it is.

    A source's packets keep their order: what counts is the latest time so far in each. Where two are equal, the source that
    stands first comes first. Nothing depends on how the batches were cut.
    """
    return sources[0] if len(sources) == 1 else Merged(sources)


class Merged:
    """The packets of several sources in time order: a `Source`. Its batches are no longer than the longest of its sources'."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    @property
    def faults(self) -> list[str]:
        return [fault for source in self._sources for fault in source.faults]

    @property
    def unsupported(self) -> int:
        return sum(source.unsupported for source in self._sources)

    @property
    def size(self) -> int:
        sizes = [source.size for source in self._sources]
        return sum(sizes) if all(sizes) else 0

    @property
    def position(self) -> int:
        return sum(source.position for source in self._sources)

    def close(self) -> None:
        for source in self._sources:
            source.close()

    def __iter__(self) -> Iterator[RawBatch]:
        interfaces = InterfaceNames()
        strands = [strand for source in self._sources if (strand := _Strand(source, interfaces)).advance()]
        longest = 1
        while strands:
            longest = max(longest, *(len(strand) for strand in strands))
            # The batch that ends first, of equal ones the first source's, is taken whole: what comes behind it is not before any
            # row taken here, and before the rows that later sources have at the same time.
            first = min(range(len(strands)), key=lambda number: strands[number].last)
            horizon = strands[first].last
            taken = (strand.take(horizon, with_equal=number <= first) for number, strand in enumerate(strands))
            yield from _woven([part for part in taken if part is not None], interfaces.names, longest)
            if not strands[first].advance():
                del strands[first]


class _Part(NamedTuple):
    """Rows of a batch, numbered as the merged source numbers interfaces, and their times by which they are ordered."""

    batch: RawBatch
    clock: NDArray[np.int64]


class _Strand:
    """The current batch of a source, and how far it was taken."""

    def __init__(self, source: Source, interfaces: InterfaceNames) -> None:
        self._batches = iter(source)
        self._interfaces = interfaces
        self._names: Sequence[str] = ()
        self._numbers = np.empty(0, np.uint16)
        self.last = np.iinfo(np.int64).min

    def __len__(self) -> int:
        return len(self._batch)

    def advance(self) -> bool:
        """Go to the next batch; False after the last."""
        for batch in self._batches:
            if len(batch):
                self._batch = batch
                self._clock = np.maximum(np.maximum.accumulate(batch.time), self.last)
                self._start = 0
                self._next, self.last = int(self._clock[0]), int(self._clock[-1])
                if batch.interfaces is not self._names:
                    self._names = batch.interfaces
                    self._numbers = np.array([self._interfaces.number(name) for name in self._names], np.uint16)
                return True
        return False

    def take(self, horizon: int, *, with_equal: bool) -> _Part | None:
        """Take the rows before `horizon`, and those at it, too, where `with_equal`."""
        if self._start == len(self._clock) or self._next > horizon:
            return None
        stop = int(np.searchsorted(self._clock, horizon, "right" if with_equal else "left"))
        rows = slice(self._start, stop)
        if stop < len(self._clock):
            self._next = int(self._clock[stop])
        self._start = stop
        if rows.start == rows.stop:
            return None
        part = rows_of(self._batch, rows)
        part.interface = self._numbers[part.interface]
        return _Part(part, self._clock[rows])


def _woven(parts: Sequence[_Part], interfaces: Sequence[str], longest: int) -> Iterator[RawBatch]:
    """Give the rows of all parts in order of time, of equal times in order of the parts, at most `longest` in a batch."""
    batches = [part.batch for part in parts]
    whole = batches[0] if len(batches) == 1 else joined(batches)
    whole.interfaces = interfaces
    if len(batches) == 1:
        yield whole
        return
    order = np.argsort(np.concatenate([part.clock for part in parts]), kind="stable")
    for start in range(0, len(order), longest):
        yield rows_of(whole, order[start : start + longest])


def joined(batches: Sequence[RawBatch]) -> RawBatch:
    """Put batches one behind the other, with no more of their data than their packets lie in."""
    data, offsets, length = [], [], 0
    for batch in batches:
        begin = int(batch.offset.min())
        data.append(batch.data[begin : int((batch.offset + batch.captured).max())])
        offsets.append(batch.offset + (length - begin))
        length += len(data[-1])
    return RawBatch(
        np.concatenate(data),
        np.concatenate(offsets),
        np.concatenate([batch.captured for batch in batches]),
        np.concatenate([batch.wire_length for batch in batches]),
        np.concatenate([batch.time for batch in batches]),
        np.concatenate([batch.link for batch in batches]),
        np.concatenate([batch.interface for batch in batches]),
        (),
    )


def rows_of(batch: RawBatch, rows: slice | NDArray[np.intp] | Mask) -> RawBatch:
    """Return some rows of a batch, in the order given, over the same data."""
    return RawBatch(
        batch.data,
        batch.offset[rows],
        batch.captured[rows],
        batch.wire_length[rows],
        batch.time[rows],
        batch.link[rows],
        batch.interface[rows],
        batch.interfaces,
    )
