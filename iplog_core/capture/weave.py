"""Packets of several interfaces in order of time, while they come."""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from iplog_core.batch import RawBatch
from iplog_core.capture.merge import joined, rows_of

PATIENCE = 1.0
"""Seconds that a packet is held back at the most, even where a clock that was set back makes it seem to be of the future."""


class _Part(NamedTuple):
    """Packets of one interface in order of time."""

    batch: RawBatch
    clock: NDArray[np.int64]
    since: float


class Weave:
    """Holds packets until no earlier one can come from another interface. False: it holds none."""

    def __init__(self) -> None:
        self._parts: list[_Part] = []

    def __bool__(self) -> bool:
        return bool(self._parts)

    def put(self, batch: RawBatch) -> None:
        """Take packets of one interface, none of them earlier than those it gave before."""
        self._parts.append(_Part(batch, np.maximum.accumulate(batch.time), monotonic()))

    def take(self, horizon: int | None) -> RawBatch | None:
        """Return the packets up to `horizon` (ns), all where it is None, in order of time, equal ones in order of their arrival."""
        if self._parts and monotonic() > self._parts[0].since + PATIENCE:
            horizon = None
        taken: list[_Part] = []
        kept: list[_Part] = []
        for part in self._parts:
            stop = len(part.clock) if horizon is None else int(np.searchsorted(part.clock, horizon, "right"))
            if stop:
                taken.append(_cut(part, slice(0, stop)))
            if stop < len(part.clock):
                kept.append(_cut(part, slice(stop, None)))
        self._parts = kept
        if len(taken) < 2:
            return taken[0].batch if taken else None
        order = np.argsort(np.concatenate([part.clock for part in taken]), kind="stable")
        whole = joined([part.batch for part in taken])
        whole.interfaces = max((part.batch.interfaces for part in taken), key=len)
        return rows_of(whole, order)


def _cut(part: _Part, rows: slice) -> _Part:
    return _Part(rows_of(part.batch, rows), part.clock[rows], part.since)
