"""Ctrl-C while captures are read: reading ends, what was read is kept."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from iplog_core.batch import RawBatch
from iplog_core.capture.source import Source

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruptible:
    """A source that ends at the first SIGINT or SIGTERM, within `with`; the second interrupts whatever runs. `hurry` is called at the
    first, once no batch is half done."""

    def __init__(self, source: Source, hurry: Callable[[], None] = lambda: None) -> None:
        self._source = source
        self._hurry = hurry
        self._faults: list[str] = []
        self._waits = False
        self._ends = False
        self._over = False

    def __enter__(self) -> Interruptible:
        self._handlers = [(number, signal.signal(number, self._interrupt)) for number in _SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers:
            signal.signal(number, handler)

    @property
    def faults(self) -> list[str]:
        return [*self._source.faults, *self._faults]

    @property
    def unsupported(self) -> int:
        return self._source.unsupported

    @property
    def size(self) -> int:
        return self._source.size

    @property
    def position(self) -> int:
        return self._source.position

    def close(self) -> None:
        self._source.close()

    def __iter__(self) -> Iterator[RawBatch]:
        batches = iter(self._source)
        packets = 0
        while (batch := self._next(batches)) is not None:
            packets += len(batch)
            yield batch
        self._over = True
        if self._ends:
            self._hurry()
            self._faults.append(f"interrupted after {packets:,} packets; what came of them was written.")

    def _next(self, batches: Iterator[RawBatch]) -> RawBatch | None:
        """Return the next batch. Only here may a signal break in: elsewhere it would leave a batch half done."""
        if self._ends:
            return None
        self._waits = True
        try:
            return next(batches, None)
        except KeyboardInterrupt:
            return None
        finally:
            self._waits = False

    def _interrupt(self, number: int, frame: FrameType | None) -> Any:
        again, self._ends = self._ends, True
        if self._over:
            self._hurry()
        if self._waits or again:
            raise KeyboardInterrupt
