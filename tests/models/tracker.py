"""The tracker as a dict of keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from iplog_core.batch import Outcome, Phase

Key = tuple[Any, ...]


@dataclass
class Counted:
    """A key of the tracker's model. `values` has for each distinct value when it was first counted and how its flow went, the oldest first."""

    first: int
    turn: int
    since: int
    last: int = 0
    packets: int = 0
    bytes: int = 0
    level: float = 0.0
    filled: int = 0
    values: dict[Any, list[int]] = field(default_factory=dict)
    sports: list[int] = field(default_factory=list)
    alerting: bool = False
    next_update: int = 0
    touch: dict[str, int] = field(default_factory=dict)


class TrackerModel:
    """The tracker as a dict of keys, each with a dict of its values. `changes` are what it told."""

    def __init__(self, *, key: str, distinct: str | None, threshold: float, rate: float, memory: int, expiry: int, capacity: int, values: int) -> None:
        self.parts = {
            "pair": ("src", "dst"),
            "source": ("src",),
            "target": ("dst",),
            "source_port": ("src", "dport"),
            "target_port": ("dst", "dport"),
        }[key]
        self.distinct = distinct
        self.threshold = threshold
        self.rate = rate
        self.memory = memory
        self.expiry = expiry
        self.capacity = capacity
        self.most_values = values
        self.keys: dict[Key, Counted] = {}
        self.changes: list[dict[str, Any]] = []
        self.evicted = 0
        self.turn = 0

    def packet(self, touch: dict[str, int]) -> None:
        self.pass_time(touch["time"])
        self._count(touch, Outcome.PENDING)

    def flow(self, touch: dict[str, int], outcome: Outcome, adds: bool) -> None:
        """A flow was decided, seen from its opening packet."""
        self.pass_time(touch["time"])
        if outcome in (Outcome.ANSWERED, Outcome.LATE):
            self._withdraw(touch)
        elif outcome != Outcome.PENDING and adds:
            self._count(touch, outcome)
        elif outcome != Outcome.PENDING:
            counted = self.keys.get(self._key(touch))
            value = counted and counted.values.get(self._value(touch))
            if value and value[1] == Outcome.PENDING:
                value[1] = outcome

    def pass_time(self, now: int) -> None:
        for key, counted in self._by_turn(alerting=True):
            if counted.since + self.expiry > now:
                break
            self._end(key, counted.since + self.expiry, Phase.DEADLINE, counted.touch["index"])
        for key, counted in self._by_turn(alerting=False):
            if counted.since + self.memory <= now:
                del self.keys[key]

    def finish(self, now: int) -> None:
        for key, counted in self._by_turn(alerting=True):
            self._end(key, now, Phase.END, counted.touch["index"])

    def _count(self, touch: dict[str, int], outcome: Outcome) -> None:
        now, key = touch["time"], self._key(touch)
        self.turn += 1
        if key not in self.keys:
            if len(self.keys) == self.capacity:
                self._evict(touch, None)
            self.keys[key] = Counted(now, self.turn, now)
        counted = self.keys[key]
        if not counted.alerting:
            self._fade(counted, now)
        counted.packets += 1
        counted.bytes += touch["bytes"]
        counted.last = now
        if not counted.alerting:
            counted.touch = touch
        if touch["sport"] not in counted.sports and len(counted.sports) < 6:
            counted.sports.append(touch["sport"])
        if self.distinct or (not self.rate and not counted.alerting):
            self._add_value(key, counted, touch, outcome)
        lively = True
        if self.rate:
            counted.level = min(self._left(counted, now) + 1, self.threshold)
            counted.filled = now
            lively = counted.level >= self.threshold / 2
        if not counted.alerting:
            counted.turn, counted.since = self.turn, now
            if (counted.level if self.rate else len(counted.values)) >= self.threshold:
                counted.alerting = True
                counted.next_update = counted.packets * 10
                self._tell(counted, "start", now, touch["phase"], touch["index"])
            return
        if lively:
            counted.turn, counted.since = self.turn, now
        if counted.packets >= counted.next_update:
            counted.next_update *= 10
            self._tell(counted, "update", now, touch["phase"], touch["index"])

    def _withdraw(self, touch: dict[str, int]) -> None:
        key, now = self._key(touch), touch["time"]
        counted = self.keys.get(key)
        if counted is None:
            return
        value = self._value(touch)
        if counted.alerting:
            if value in counted.values:
                counted.values[value][1] = Outcome.ANSWERED
            return
        if self.rate:
            counted.level, counted.filled = max(self._left(counted, now) - 1, 0), now
        counted.values.pop(value, None)
        if counted.level <= 0 and (not counted.values or self.rate):
            del self.keys[key]

    def _add_value(self, key: Key, counted: Counted, touch: dict[str, int], outcome: Outcome) -> None:
        value = self._value(touch)
        if value in counted.values:
            if counted.values[value][1] == Outcome.PENDING:
                counted.values[value][1] = outcome
        elif len(counted.values) >= max(1, self.most_values // 2):
            self.evicted += 1
        else:
            while sum(len(other.values) for other in self.keys.values()) >= self.most_values:
                self._evict(touch, key)
            counted.values[value] = [touch["time"], outcome]

    def _fade(self, counted: Counted, now: int) -> None:
        counted.values = {value: told for value, told in counted.values.items() if told[0] + self.memory > now}
        if not counted.values and (not self.rate or self._left(counted, now) <= 0):
            counted.first, counted.packets, counted.bytes, counted.sports = now, 0, 0, []
        elif counted.values and not self.rate and counted.first + self.memory <= now:
            counted.first = next(iter(counted.values.values()))[0]

    def _left(self, counted: Counted, now: int) -> float:
        return max(counted.level - (now - counted.filled) * 1e-9 * self.rate, 0.0)

    def _evict(self, touch: dict[str, int], spared: Key | None) -> None:
        """The coldest key goes, first among those that are not alerting; of the only one there is, its oldest value."""
        self.evicted += 1
        others = [(key, other) for alerting in (False, True) for key, other in self._by_turn(alerting) if key != spared]
        if not others:
            assert spared is not None
            del self.keys[spared].values[next(iter(self.keys[spared].values))]
        elif others[0][1].alerting:
            self._end(others[0][0], touch["time"], Phase(touch["phase"]), touch["index"])
        else:
            del self.keys[others[0][0]]

    def _end(self, key: Key, time: int, phase: Phase, index: int) -> None:
        self._tell(self.keys.pop(key), "end", time, phase, index)

    def _tell(self, counted: Counted, state: str, time: int, phase: int, index: int) -> None:
        touch = counted.touch
        outcomes = [told[1] for told in counted.values.values()]
        self.changes.append(
            {name: touch[name] for name in ("sport", "dport", "kind", "version", "proto", "icmp_type", "icmp_code", "interface")}
            | {
                "state": state,
                "time": time,
                "phase": phase,
                "index": index,
                "src": (touch["src_hi"], touch["src_lo"]),
                "dst": (touch["dst_hi"], touch["dst_lo"]),
                "first": counted.first,
                "last": counted.last,
                "packets": counted.packets,
                "bytes": counted.bytes,
                "samples": list(counted.values)[:10] if self.distinct else [],
                "distinct": len(counted.values) if self.distinct else 0,
                "sports": list(counted.sports),
                "outcomes": [outcomes.count(outcome) for outcome in range(6)],
            }
        )

    def _key(self, touch: dict[str, int]) -> Key:
        return tuple(touch["dport"] if part == "dport" else (touch[f"{part}_hi"], touch[f"{part}_lo"]) for part in self.parts)

    def _value(self, touch: dict[str, int]) -> Any:
        if self.distinct == "dest_port":
            return touch["dport"]
        if self.distinct == "dest":
            return touch["dst_hi"], touch["dst_lo"]
        if self.distinct == "source":
            return touch["src_hi"], touch["src_lo"]
        return touch["index"]

    def _by_turn(self, alerting: bool) -> list[tuple[Key, Counted]]:
        return sorted(((k, c) for k, c in self.keys.items() if c.alerting == alerting), key=lambda item: item[1].turn)
