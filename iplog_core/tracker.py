"""The mechanism that all detectors share: who did how much of something, per key, in packet time."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from iplog_core.addresses import address
from iplog_core.batch import FlowRows, Mask, PacketBatch
from iplog_core.decoys import Sets
from iplog_core.events import State
from iplog_core.kernel import tracker as kernel
from iplog_core.kernel import walk
from iplog_core.kernel.table import table_bytes
from iplog_core.memory import Use, capacity_within

Key = Literal["pair", "source", "target", "source_port", "target_port", "source_label", "target_label"]
Distinct = Literal["dest_port", "dest", "source", "label"]
Doubts = Literal["pending", "strays", "silence"]
Labels = NDArray[np.unsignedinteger[Any]]

_SURE, _AGAINST = 1, 2
_NEW, _SUSPECT, _START = 1, 2, 4
_NO_ROWS: NDArray[np.int64] = np.empty(0, np.int64)
_NO_ROLES: NDArray[np.uint8] = np.empty(0, np.uint8)
_NO_LABELS: NDArray[np.uint64] = np.empty(0, np.uint64)


class TrackerOptions(TypedDict, total=False):
    """What a tracker can do beyond counting packets (see `Tracker`)."""

    distinct: Distinct | None
    rate: float
    samples: int
    most: int
    doubts: Doubts | None
    joins: bool
    hint: int
    tells: bool
    waits: bool
    weight: float


@dataclass(slots=True, kw_only=True)
class Episode:
    """What a tracker tells of a key that crossed its threshold: at its `start`, at each tenfold of its packets, at its `end`.

    `src`, `dst`, the ports and what follows are those of the packet that started it; `key` and `by` say which of them stand for the whole. `samples` are the
    first few distinct values (ports, addresses or labels), `distinct` how many there are, `sports` the first six distinct source ports, `outcomes` the values
    by `Outcome`. `many_sources` tells that not all came from `src`; `members` are the sources of a set that acts as one. Times are on the packet clock in ns;
    (time, phase, index) is where the change belongs among the events.
    """

    key: Key
    by: Distinct | None
    state: State | Literal["suspect"]
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
    many_sources: bool
    sports: list[int]
    outcomes: list[int]
    members: list[tuple[int, int]] = field(default_factory=list)
    member_count: int = 0

    @property
    def order(self) -> tuple[int, int, int]:
        return self.time, self.phase, self.index

    @property
    def src_ip(self) -> str | None:
        """The source, where only one was seen."""
        return None if self.members or self.many_sources else address(*self.src)

    @property
    def dest_ip(self) -> str | None:
        if self.key in ("pair", "target", "target_port", "target_label") or (self.by == "dest" and self.distinct == 1):
            return address(*self.dst)
        return None

    @property
    def dest_port(self) -> int | None:
        return self.dport if self.key in ("source_port", "target_port") else None


class Tracker:
    """Count, per `key`, distinct values, packets or a rate, and tell who reaches `threshold`.

    Give it a `distinct` value and it counts those, each for `memory` seconds; none, and it counts packets in the same way; a `rate`, and it keeps a
    leaky bucket of `threshold` packets that drains `rate` a second. What has reached the threshold is an episode until it was quiet for `expiry` seconds.
    An episode shows `samples` values, and tells no more than `most` apart (0: any number).

    `doubts` says which evidence a key starts with. "pending": values that failed, or waited for a second, or all that were tried from one source port (or
    from a tenth as many), four times the threshold, or what is there when the capture ends. "strays": one refusal, one source port, or four times as many.
    "silence": of ports, one refusal, a silence where anything else was answered, or four times as many; of hosts, as many refusals, or one source port; what
    was answered counts against it.

    `joins`: sources that try the same values of one target at the same times, as decoys do, are one episode, which has `members`.
    `hint`: so many distinct values make a suspect (see `suspects`). Where `tells` is false nothing is returned, and only the masks are filled in.
    `waits`: keys start at a row in `sure` only, maybe long after they have reached a threshold of one packet.
    `weight` says how much memory it has, compared with the other trackers that run: more than 1 where whoever chooses addresses at random fills it.
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
        samples: int = 10,
        most: int = 0,
        doubts: Doubts | None = None,
        joins: bool = False,
        hint: int = 0,
        tells: bool = True,
        waits: bool = False,
        weight: float = 1.0,
    ) -> None:
        def make(**fields: Any) -> Episode:
            return Episode(key=key, by=distinct, **fields)

        self._hint = hint or (max(1, min(2, round(threshold) - 1)) if joins else 0)
        self._sets = Sets(self._hint) if joins else None
        self._marks = self._hint > 0 or not tells
        # A key that never has more than one value keeps that itself: packets count until it starts.
        counts_values = distinct is not None or (rate == 0 and (threshold > 1 or waits))
        self._counts_packets = distinct is None and rate == 0
        self._least_values = max(_LEAST_KEYS, 2 * ceil(threshold) if rate == 0 else 0) if counts_values else 1
        self._make = partial(
            kernel.Tracker,
            make if tells else None,
            key=key,
            distinct=distinct,
            threshold=threshold,
            rate=rate,
            memory=round(memory * 1e9),
            expiry=round(expiry * 1e9),
            doubts=doubts,
            hint=self._hint,
            samples=samples,
            most=most,
        )
        self._told, self._packets = _NO_ROLES, 0
        self._options: dict[str, Any] = {
            "key": key, "distinct": distinct, "threshold": threshold, "rate": rate, "memory": memory, "expiry": expiry, "samples": samples, "most": most,
            "doubts": doubts, "joins": joins, "hint": hint,
        }  # fmt: skip
        self.weight = _checked(weight)
        self._capacity = (_LEAST_KEYS, self._least_values)
        self._kernel = self._make(capacity=_LEAST_KEYS, values=self._least_values)
        self._evicted_before = 0

    def __len__(self) -> int:
        return len(self._kernel)

    @property
    def evicted(self) -> int:
        """Keys and values that had to go before their time."""
        return self._evicted_before + self._kernel.evicted

    @property
    def tables(self) -> tuple[Use, ...]:
        """The use of the keys and, where there may be any, of the values."""
        keys, values = self._kernel.tables
        return (keys, values) if self._least_values > 1 else (keys,)

    @property
    def least(self) -> int:
        """The bytes that the tracker needs to reach its threshold."""
        return table_bytes(_LEAST_KEYS, kernel.KEY_SIZE) + table_bytes(self._least_values, kernel.VALUE_SIZE)

    def allot(self, memory: int, now: int) -> None:
        """Keep within so many bytes; where they are fewer than before, the coldest is forgotten."""
        values = self._least_values
        if values > 1:
            keys_need = table_bytes(_LEAST_KEYS, kernel.KEY_SIZE)
            values = max(values, capacity_within(min(_VALUES * memory, memory - keys_need), kernel.VALUE_SIZE))
        keys = max(_LEAST_KEYS, capacity_within(memory - table_bytes(values, kernel.VALUE_SIZE), kernel.KEY_SIZE))
        if (keys, values) == self._capacity:
            return
        before, known = self._kernel, self._known() if len(self._kernel) else None
        self._capacity, self._kernel = (keys, values), self._make(capacity=keys, values=values)
        self._evicted_before += before.evicted
        if known:
            self._load(*known, now)

    def update(
        self,
        batch: PacketBatch,
        where: Mask | None = None,
        decided: Mask | None = None,
        *,
        against: Mask | None = None,
        excused: Mask | None = None,
        sure: Mask | None = None,
        sure_flows: Mask | None = None,
        labels: Labels | None = None,
        flow_labels: Labels | None = None,
    ) -> list[Episode]:
        """Count the packets that `where` selects, judged by the flows of `batch.decided` that `decided` selects.

        With both, a flow that was answered takes back what its opening counted, and one that failed tells its outcome. Without `where`, failed flows
        count themselves. Packets in `against` take back what their key and value counted; flows in `excused` count as answered. A key starts only
        at a row in `sure` or `sure_flows`, where they are given. Labels are one for each packet and each decided flow.
        Call it for every batch, also where nothing is selected: time passes by it.
        """
        self._packets, self._told = len(batch), _NO_ROLES
        if where is not None and not len(self._kernel) and not where.any():
            return []  # there is no key that a flow could tell anything of
        if self._least_values == 1 and self._counts_packets and (sure is not None or sure_flows is not None):
            raise ValueError("a tracker of packets whose keys start at a row in `sure` only takes `waits`, unless its threshold is above 1")
        rows, roles = _roles(where, against, sure)
        flows, flow_roles = _roles(decided, excused, sure_flows)
        if not len(rows) and not len(flows):
            return self._joined(self._kernel.wait(batch.now, batch.final))
        if self._marks and len(rows):
            self._told = np.zeros(len(batch), np.uint8)
        changes: list[Episode] = self._kernel.update(
            batch.block,
            len(batch),
            rows,
            roles,
            _labels(labels, rows),
            batch.decided.bytes_view,
            flows,
            flow_roles,
            _labels(flow_labels, flows),
            where is None,
            batch.now,
            batch.final,
            self._told,
        )
        return self._joined(changes)

    def _joined(self, changes: list[Episode]) -> list[Episode]:
        return self._sets.join(changes) if self._sets and changes else changes

    @property
    def started(self) -> Mask:
        """The packets of the last update by which keys reached the threshold."""
        return self._marked(_START)

    @property
    def suspects(self) -> Mask:
        """The packets of the last update that counted for a suspect, or for what is an episode."""
        return self._marked(_SUSPECT)

    @property
    def news(self) -> Mask:
        """Those of `suspects` with a value that their key had not tried before, as long as it has no more than twice the threshold."""
        return self._marked(_NEW)

    def _marked(self, mark: int) -> Mask:
        marked: Mask = (self._told & mark) != 0 if len(self._told) else np.zeros(self._packets, np.bool_)
        return marked

    def save(self) -> dict[str, Any]:
        """Return what is known, as plain values and arrays, for `restore`."""
        keys, values = self._known()
        return {"options": self._options, "keys": keys, "values": values, "sets": self._sets.save() if self._sets else None}

    def restore(self, saved: dict[str, Any], now: int) -> bool:
        """Take what `save` returned when the clock stood at `now`; do nothing and return False where that is of a tracker with other options.

        Raise ValueError where it cannot be what `save` returned: the tracker is of no use any more then.
        """
        if saved["options"] != self._options:
            return False
        self._load(saved_rows(saved["keys"], _KEY), saved_rows(saved["values"], _VALUE), now)
        if self._sets:
            self._sets.restore(saved["sets"])
        return True

    def _known(self) -> tuple[NDArray[Any], NDArray[Any]]:
        keys, values = empty_rows(len(self._kernel), _KEY), empty_rows(self._kernel.value_count, _VALUE)
        self._kernel.dump(keys, values)
        return keys, values

    def _load(self, keys: NDArray[Any], values: NDArray[Any], now: int) -> None:
        """Take keys and values as far as there is room; the others count as evicted."""
        fitting, their_values = _fitting(keys, values, *self._capacity)
        self._evicted_before += len(keys) - len(fitting) + len(values) - len(their_values)
        self._kernel.load(fitting, their_values, now)


def _checked(weight: float) -> float:
    if not weight > 0:
        raise ValueError(f"a weight is greater than 0, not {weight}")
    return weight


_LEAST_KEYS = 64
# The part of a tracker's memory that its values have: so that all ports of a host are told by default.
_VALUES = 0.6
_KEY, _VALUE = (np.asarray(row).dtype for row in kernel.layout())


def _fitting(keys: NDArray[Any], values: NDArray[Any], most_keys: int, most_values: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Leave out what goes first where there is not room for all: keys from the first on, and the oldest values of one that has more than it may."""
    counts = keys["values"].astype(np.int64)
    if counts.sum() != len(values):
        return keys, values  # it cannot be what was saved, which is for others to tell
    kept = np.minimum(counts, most_values - most_values // 16)
    first = max(len(keys) - most_keys, int((kept[::-1].cumsum()[::-1] > most_values).sum()), 0)
    if first == 0 and (kept == counts).all():
        return keys, values
    owner = np.repeat(np.arange(len(keys)), counts)
    age = np.arange(len(values)) - np.repeat(counts.cumsum() - counts, counts)
    fitting = keys.copy()
    fitting["entry"]["distinct"][kept < counts] = kept[kept < counts]
    fitting["values"] = kept
    return fitting[first:], values[(owner >= first) & (age >= (counts - kept)[owner])]


def empty_rows(count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return rows of zeros, with zeros between their fields, too."""
    return np.zeros(count * dtype.itemsize, np.uint8).view(dtype)


def saved_rows(rows: object, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return what was saved as an array of rows. Raise ValueError where it is none, or has other fields."""
    if not isinstance(rows, np.ndarray) or rows.dtype != dtype or rows.ndim != 1:
        raise ValueError("no array with the fields that this iplog has")
    return np.ascontiguousarray(rows)


def _roles(counting: Mask | None, against: Mask | None, sure: Mask | None) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the rows that a tracker is given, and what each is for; no roles where all count and are sure."""
    if against is not None and not against.any():
        against = None
    if against is None and sure is None:
        return (_NO_ROWS if counting is None else counting.nonzero()[0]), _NO_ROLES
    rows = (against if counting is None else counting if against is None else counting | against).nonzero()[0]  # type: ignore[union-attr]
    roles = np.full(len(rows), _SURE, np.uint8) if sure is None else sure[rows].view(np.uint8)
    if against is not None:
        roles |= against[rows].view(np.uint8) * np.uint8(_AGAINST)
    return rows, roles


def _labels(labels: Labels | None, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the labels of the rows; none where there are none, which is as if each were 0."""
    return _NO_LABELS if labels is None else labels[rows].astype(np.uint64, copy=False)


class RandomWalk:
    """Tell whose first contacts mostly fail: a threshold random walk for each source (Jung et al. 2004).

    Each failure is a step up, each answer a step down, between `STEPS` up and twice as many down; a source that stands at the top is guilty. Four steps are
    odds of more than 99 to 1 by the paper's probabilities. `heard`: only a source to which something came back can be guilty, since a capture may show one
    direction only. `narrow`: only one whose last failures went to no more than `FEW_PORTS` ports.
    """

    STEPS = 4
    FEW_PORTS = 5

    def __init__(self, *, heard: bool = False, narrow: bool = False, weight: float = 1.0) -> None:
        self._make = partial(walk.Walk, steps=self.STEPS, heard=heard, narrow=self.FEW_PORTS if narrow else 0)
        self._options = {"steps": self.STEPS, "heard": heard, "narrow": narrow}
        self.weight = _checked(weight)
        self._capacity = _LEAST_KEYS
        self._kernel = self._make(capacity=_LEAST_KEYS)
        self._evicted_before = 0

    @property
    def evicted(self) -> int:
        """Sources that had to go before their time."""
        return self._evicted_before + self._kernel.evicted

    @property
    def tables(self) -> tuple[Use, ...]:
        """The use of the sources."""
        return self._kernel.tables

    @property
    def least(self) -> int:
        """As that of `Tracker`."""
        return table_bytes(_LEAST_KEYS, walk.WALK_SIZE)

    def allot(self, memory: int, now: int) -> None:
        """As that of `Tracker`."""
        capacity = max(_LEAST_KEYS, capacity_within(memory, walk.WALK_SIZE))
        if capacity != self._capacity:
            before, known = self._kernel, self._known()
            self._capacity, self._kernel = capacity, self._make(capacity=capacity)
            self._evicted_before += before.evicted
            self._load(known, now)

    def update(self, flows: FlowRows, where: Mask) -> Mask:
        """Take the flows that `where` selects. Return those of them whose source is guilty."""
        guilty = np.zeros(len(flows), np.uint8)
        rows = where.nonzero()[0]
        if len(rows):
            self._kernel.update(flows.bytes_view, rows, guilty)
        return guilty.view(np.bool_)

    def save(self) -> dict[str, Any]:
        """Return what is known, as plain values and arrays, for `restore`."""
        return {"options": self._options, "walks": self._known()}

    def restore(self, saved: dict[str, Any], now: int) -> bool:
        """As that of `Tracker`."""
        if saved["options"] != self._options:
            return False
        self._load(saved_rows(saved["walks"], _WALK), now)
        return True

    def _known(self) -> NDArray[Any]:
        walks = empty_rows(len(self._kernel), _WALK)
        self._kernel.dump(walks)
        return walks

    def _load(self, walks: NDArray[Any], now: int) -> None:
        fitting = walks[max(0, len(walks) - self._capacity) :]
        self._evicted_before += len(walks) - len(fitting)
        self._kernel.load(fitting, now)


_WALK = np.asarray(walk.layout()).dtype
