"""The tracker as a dict of keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from iplog_core.batch import Outcome, Phase

Key = tuple[Any, ...]


QUIET, WARM, ALERTING = range(3)
PATIENCE = 1_000_000_000


@dataclass
class Counted:
    """A key of the tracker's model.

    `values` has for each distinct value when it was first counted and how its flow went, the oldest first; `stored` tells that they take up room.
    """

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
    tier: int = QUIET
    stored: bool = False
    suspect: bool = False
    heard: int = 0
    many_sources: bool = False
    next_update: int = 0
    touch: dict[str, int] = field(default_factory=dict)


class TrackerModel:
    """The tracker as a dict of keys, each with a dict of its values. `changes` are what it told, `marks` what it told of packets by their index."""

    def __init__(
        self,
        *,
        key: str,
        distinct: str | None,
        threshold: float,
        rate: float,
        memory: int,
        expiry: int,
        capacity: int,
        values: int,
        doubts: str | None = None,
        hint: int = 0,
        samples: int = 10,
        most: int = 0,
    ) -> None:
        self.parts = {
            "pair": ("src", "dst"),
            "source": ("src",),
            "target": ("dst",),
            "source_port": ("src", "dport"),
            "target_port": ("dst", "dport"),
            "source_label": ("src", "label"),
            "target_label": ("dst", "label"),
        }[key]
        self.doubts = doubts
        self.hint = hint
        self.samples = samples
        self.most = most
        self.marks: dict[int, int] = {}
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

    def packet(self, touch: dict[str, int], sure: bool = True) -> None:
        self.pass_time(touch["time"])
        self.marks[touch["index"]] = self._count(touch, Outcome.PENDING, sure)

    def against(self, touch: dict[str, int]) -> None:
        """What a packet or a flow takes back."""
        self.pass_time(touch["time"])
        self._withdraw(touch)

    def flow(self, touch: dict[str, int], outcome: Outcome, adds: bool, sure: bool = True) -> None:
        """A flow was decided, seen from its opening packet."""
        self.pass_time(touch["time"])
        if outcome in (Outcome.ANSWERED, Outcome.LATE):
            self._withdraw(touch)
        elif outcome == Outcome.PENDING and touch["phase"] != Phase.END:
            return
        elif adds:
            self._count(touch, outcome, sure)
        else:
            counted = self.keys.get(self._key(touch))
            value = counted and counted.values.get(self._value(touch))
            if counted and value and value[1] == Outcome.PENDING:
                value[1] = outcome
                if self.doubts and counted.tier != ALERTING:
                    self._judge(counted, touch, sure)

    def pass_time(self, now: int) -> None:
        for key, counted in self._by_turn(ALERTING):
            if counted.since + self.expiry > now:
                break
            self._end(key, counted.since + self.expiry, Phase.DEADLINE, counted.touch["index"])
        for key, counted in [*self._by_turn(QUIET), *self._by_turn(WARM)]:
            if counted.since + self.memory <= now:
                del self.keys[key]

    def finish(self, now: int) -> None:
        for key, counted in self._by_turn(ALERTING):
            self._end(key, now, Phase.END, counted.touch["index"])

    def _count(self, touch: dict[str, int], outcome: Outcome, sure: bool) -> int:
        """Count for a key; return the mark of the packet."""
        now, key = touch["time"], self._key(touch)
        self.turn += 1
        if key not in self.keys:
            if len(self.keys) == self.capacity:
                self._evict(touch, None)
            self.keys[key] = Counted(now, self.turn, now)
        counted = self.keys[key]
        if counted.tier != ALERTING:
            self._fade(counted, now)
        if counted.tier != ALERTING and counted.packets and _source(touch) != _source(counted.touch):
            counted.many_sources = True
        counted.packets += 1
        counted.bytes += touch["bytes"]
        counted.last = now
        if touch["sport"] not in counted.sports and len(counted.sports) < 6:
            counted.sports.append(touch["sport"])
        fresh = False
        if self.distinct or (not self.rate and counted.tier != ALERTING):
            fresh = self._add_value(key, counted, touch, outcome)
        if counted.tier != ALERTING and (counted.stored or not counted.values or self._value(touch) in counted.values):
            counted.touch = touch
        lively = True
        if self.rate:
            counted.level = min(self._left(counted, now) + 1, self.threshold)
            counted.filled = now
            lively = counted.level >= self.threshold / 2
        started = False
        if counted.tier != ALERTING:
            counted.turn, counted.since = self.turn, now
            if len(counted.values) > 1:
                counted.tier = WARM
            started = self._judge(counted, touch, sure)
        else:
            if lively:
                counted.turn, counted.since = self.turn, now
            if counted.packets >= counted.next_update:
                counted.next_update *= 10
                self._tell(counted, "update", now, touch["phase"], touch["index"])
        suspect = counted.suspect or counted.tier == ALERTING
        new = suspect and fresh and len(counted.values) <= 2 * self.threshold
        return (1 if new else 0) | (2 if suspect else 0) | (4 if started else 0)

    def _judge(self, counted: Counted, touch: dict[str, int], sure: bool) -> bool:
        now = touch["time"]
        if self.hint and not counted.suspect and len(counted.values) >= self.hint and self._convinced(counted, self.hint, touch):
            counted.suspect = True
            self._tell(counted, "suspect", now, touch["phase"], touch["index"])
        reached = counted.level if self.rate else len(counted.values)
        if not sure or reached < self.threshold or not self._convinced(counted, self.threshold, touch):
            return False
        self.turn += 1
        counted.tier, counted.turn, counted.since = ALERTING, self.turn, now
        counted.next_update = counted.packets * 10
        self._tell(counted, "start", now, touch["phase"], touch["index"])
        return True

    def _convinced(self, counted: Counted, threshold: float, touch: dict[str, int]) -> bool:
        outcomes = [told[1] for told in counted.values.values()]
        refused, silent = outcomes.count(Outcome.REFUSED), Outcome.SILENT in outcomes
        few_ports = len(counted.sports) == 1 or (len(counted.sports) < 6 and 10 * len(counted.sports) <= len(counted.values))
        beyond_doubt = len(counted.values) >= 4 * threshold
        of_ports, at_end = self.distinct == "dest_port", touch["phase"] == Phase.END
        if self.doubts is None or self.rate:
            return True
        if self.doubts == "pending":
            settled = [told for told in counted.values.values() if told[1] != Outcome.PENDING or told[0] + PATIENCE <= touch["time"]]
            return few_ports or beyond_doubt or (of_ports and at_end) or len(settled) >= threshold
        if self.doubts == "strays":
            return few_ports or beyond_doubt or refused > 0
        if len(counted.values) < threshold + counted.heard:
            return False
        if of_ports:
            return refused > 0 or beyond_doubt or (counted.heard > 0 and (silent or at_end))
        return refused >= threshold or (few_ports and (refused > 0 or silent or at_end))

    def _withdraw(self, touch: dict[str, int]) -> None:
        key, now = self._key(touch), touch["time"]
        counted = self.keys.get(key)
        if counted is None:
            return
        counted.heard += 1
        value = self._value(touch)
        if counted.tier == ALERTING:
            if value in counted.values:
                counted.values[value][1] = Outcome.ANSWERED
            return
        if self.rate:
            counted.level, counted.filled = max(self._left(counted, now) - 1, 0), now
        counted.values.pop(value, None)
        counted.stored &= bool(counted.values)
        if counted.level <= 0 and (not counted.values or self.rate) and self.doubts != "silence":
            del self.keys[key]

    def _add_value(self, key: Key, counted: Counted, touch: dict[str, int], outcome: Outcome) -> bool:
        value = self._value(touch)
        if value in counted.values:
            if counted.values[value][1] == Outcome.PENDING:
                counted.values[value][1] = outcome
            return False
        if self.most and counted.values and len(counted.values) >= self.most:
            return False
        if len(counted.values) >= self.most_values - self.most_values // 16:
            self.evicted += 1
            return False
        if counted.values and not counted.stored:
            # The first value stands in the key itself until there is another.
            self._make_room(touch, key, 0)
            counted.stored = True
        if counted.values:
            self._make_room(touch, key, 0)
        counted.values[value] = [touch["time"], outcome]
        return True

    def _make_room(self, touch: dict[str, int], key: Key, wanted: int) -> None:
        while sum(len(other.values) for other in self.keys.values() if other.stored) >= self.most_values:
            self._evict(touch, key)

    def _fade(self, counted: Counted, now: int) -> None:
        counted.values = {value: told for value, told in counted.values.items() if told[0] + self.memory > now}
        counted.stored &= bool(counted.values)
        if not counted.values and (not self.rate or self._left(counted, now) <= 0):
            counted.first, counted.packets, counted.bytes, counted.sports = now, 0, 0, []
            counted.suspect = counted.many_sources = False
        elif counted.values and not self.rate and counted.first + self.memory <= now:
            counted.first = next(iter(counted.values.values()))[0]

    def _left(self, counted: Counted, now: int) -> float:
        return max(counted.level - (now - counted.filled) * 1e-9 * self.rate, 0.0)

    def _evict(self, touch: dict[str, int], spared: Key | None) -> None:
        """The coldest key of the lowest tier goes; of the only one there is, its oldest value."""
        others = [(key, other) for tier in (QUIET, WARM, ALERTING) for key, other in self._by_turn(tier) if key != spared]
        if not others:
            assert spared is not None
            self.evicted += 1
            del self.keys[spared].values[next(iter(self.keys[spared].values))]
            return
        key, other = others[0]
        self.evicted += bool(other.values or self.rate)
        if other.tier == ALERTING:
            self._end(key, touch["time"], Phase(touch["phase"]), touch["index"])
        else:
            del self.keys[key]

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
                "samples": list(counted.values)[: self.samples] if self.distinct else [],
                "distinct": len(counted.values) if self.distinct else 0,
                "many_sources": counted.many_sources,
                "sports": list(counted.sports),
                "outcomes": [outcomes.count(outcome) for outcome in range(6)],
            }
        )

    def _key(self, touch: dict[str, int]) -> Key:
        parts = [touch[part] if part in ("dport", "label") else (touch[f"{part}_hi"], touch[f"{part}_lo"]) for part in self.parts]
        return touch["version"] == 6, *parts

    def _value(self, touch: dict[str, int]) -> Any:
        if self.distinct == "dest_port":
            return touch["dport"]
        if self.distinct == "dest":
            return touch["dst_hi"], touch["dst_lo"]
        if self.distinct == "source":
            return _source(touch)
        return touch["label"] if self.distinct == "label" else touch["index"]

    def _by_turn(self, tier: int) -> list[tuple[Key, Counted]]:
        return sorted(((k, c) for k, c in self.keys.items() if c.tier == tier), key=lambda item: item[1].turn)


def _source(touch: dict[str, int]) -> tuple[int, int]:
    return touch["src_hi"], touch["src_lo"]
