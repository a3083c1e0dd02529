"""The mechanism that all detectors share: who did how much of something, per key, in packet time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from iplog_core.addresses import address
from iplog_core.batch import FlowRows, Mask, PacketBatch
from iplog_core.events import State
from iplog_core.kernel import tracker as kernel
from iplog_core.kernel.walk import Walk

Key = Literal["pair", "source", "target", "source_port", "target_port"]
Distinct = Literal["dest_port", "dest", "source"]

_NO_ROWS: NDArray[np.int64] = np.empty(0, np.int64)


@dataclass(slots=True, kw_only=True)
class Episode:
    """What a tracker tells of a key that crossed its threshold: at its `start`, at each tenfold of its packets, at its `end`.

    `src`, `dst`, the ports and what follows are those of the packet that started it; `key` and `by` say which of them stand for the whole. `samples` are
    the first ten distinct values (ports, or addresses), `distinct` how many there are, `sports` the first six distinct source ports, `outcomes`
    the values by `Outcome`. Times are on the packet clock in ns; (time, phase, index) is where the change belongs among the events.
    """

    key: Key
    by: Distinct | None
    state: State
    time: int
    phase: int
    index: int
    src: tuple[int, int]
    dst: tuple[int, int]
    sport: int
    dport: int
    kind: int
    version: int
    proto: int
    icmp_type: int
    icmp_code: int
    interface: int
    first: int
    last: int
    packets: int
    bytes: int
    samples: list[int] | list[tuple[int, int]]
    distinct: int
    sports: list[int]
    outcomes: list[int]

    @property
    def src_ip(self) -> str | None:
        """The source, where the key names one or only one was seen."""
        if self.key in ("pair", "source", "source_port") or (self.by == "source" and self.distinct == 1):
            return address(*self.src)
        return None

    @property
    def dest_ip(self) -> str | None:
        if self.key in ("pair", "target", "target_port") or (self.by == "dest" and self.distinct == 1):
            return address(*self.dst)
        return None

    @property
    def dest_port(self) -> int | None:
        return self.dport if self.key in ("source_port", "target_port") else None


class Tracker:
    """Count, per `key`, distinct values, packets or a rate, and tell who reaches `threshold`.

    Give it a `distinct` value and it counts those, each for `memory` seconds; none, and it counts packets in the same way; a `rate`, and it keeps a
    leaky bucket of `threshold` packets that drains `rate` a second. What has reached the threshold is an episode until it was quiet for `expiry` seconds.
    """

    def __init__(
        self,
        *,
        key: Key,
        threshold: float,
        memory: float,
        expiry: float,
        distinct: Distinct | None = None,
        rate: float = 0.0,
        capacity: int = 32768,
        values: int = 131072,
    ) -> None:
        def make(**fields: object) -> Episode:
            return Episode(key=key, by=distinct, **fields)  # type: ignore[arg-type]

        self._kernel = kernel.Tracker(
            make,
            key=key,
            distinct=distinct,
            threshold=threshold,
            rate=rate,
            memory=round(memory * 1e9),
            expiry=round(expiry * 1e9),
            capacity=capacity,
            values=values,
        )

    def __len__(self) -> int:
        return len(self._kernel)

    @property
    def evicted(self) -> int:
        """Keys and values that had to go before their time."""
        return self._kernel.evicted

    def update(self, batch: PacketBatch, where: Mask | None = None, decided: Mask | None = None) -> list[Episode]:
        """Count the packets that `where` selects, judged by the flows of `batch.decided` that `decided` selects.

        With both, a flow that was answered takes back what its opening counted, and one that failed tells its outcome. Without `where`, failed flows
        count themselves. Call it for every batch, also where nothing is selected: time passes by it.
        """
        return self._kernel.update(
            batch.block,
            len(batch),
            _NO_ROWS if where is None else where.nonzero()[0],
            batch.decided.bytes_view,
            _NO_ROWS if decided is None else decided.nonzero()[0],
            where is None,
            batch.now,
            batch.final,
        )


class RandomWalk:
    """Tell whose first contacts mostly fail: a threshold random walk for each source (Jung et al. 2004).

    Each failure is a step up, each answer a step down, between minus and plus `STEPS`; a source that stands at the top is guilty. Four
    steps are odds of more than 99 to 1 by the paper's probabilities.
    """

    STEPS = 4

    def __init__(self, *, capacity: int = 32768) -> None:
        self._kernel = Walk(capacity=capacity, steps=self.STEPS)

    @property
    def evicted(self) -> int:
        """Sources that had to go before their time."""
        return self._kernel.evicted

    def update(self, flows: FlowRows, where: Mask) -> Mask:
        """Take the flows that `where` selects. Return those of them whose source is guilty."""
        guilty = np.zeros(len(flows), np.uint8)
        self._kernel.update(flows.bytes_view, where.nonzero()[0], guilty)
        return guilty.view(np.bool_)
