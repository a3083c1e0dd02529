"""Detectors without code: each table of the configuration says what to match, what to count, and how many are too many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, model_validator

from iplog_core import AlertKind, Detector, DetectorSettings, Episode, FlowRows, Outcome, PacketBatch, Tracker, hookimpl
from iplog_threshold.tables import NAME, NAME_EXPECTED, Table

if TYPE_CHECKING:
    from iplog_threshold.selection import Selection

iplog_api = 2

ANSWERED, HALF_OPEN, LATE = int(Outcome.ANSWERED), int(Outcome.HALF_OPEN), int(Outcome.LATE)
OUTCOMES = ("refused", "silent", "half_open", "answered", "pending")
ODD = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)
# What a table counts is known no more where any of these is another.
MEANING = {"match", "allow", "flags", "min_size", "count", "outcome"}


class Settings(DetectorSettings):
    """The `[plugins.threshold]` table, and those in it: `[plugins.threshold.NAME]`, one for each detector."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Table]

    @property
    def tables(self) -> Mapping[str, Table]:
        return self.__pydantic_extra__

    @model_validator(mode="after")
    def _names_are_kinds(self) -> Settings:
        kinds: dict[str, str] = {}
        for name, table in self.tables.items():
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a table; expected {NAME_EXPECTED}")
            other = kinds.setdefault(table.kind or name, name)
            if other != name:
                raise ValueError(f"{other} and {name} have one kind, {table.kind or name}; expected a kind for each")
        return self


class Threshold(Detector[Settings]):
    """Report what tables of the configuration describe: so many of something, within a time, by one source or to one target."""

    name = "threshold"

    @classmethod
    def kinds_of(cls, settings: Settings) -> Mapping[str, AlertKind]:
        return {table.kind or name: _kind(table.kind or name, table) for name, table in settings.tables.items()}

    def setup(self) -> None:
        self.selections = dict(_compiled(self.settings.tables)) if self.settings.tables else {}
        self.counts = {name: self._tracker(table) for name, table in self.settings.tables.items()}

    def on_batch(self, batch: PacketBatch) -> None:
        for name, table in self.settings.tables.items():
            for episode in self._found(batch, table, self.selections[name], self.counts[name]):
                self.alert(table.kind or name, episode, **_outcomes(table, episode))

    def save(self) -> dict[str, Any]:
        return {"tables": {name: {"meaning": _meaning(table), "count": self.counts[name].save()} for name, table in self.settings.tables.items()}}

    def restore(self, saved: dict[str, Any], now: int) -> bool:
        """Each table for itself: one that was changed starts afresh, the others go on."""
        whole = True
        for name, known in saved["tables"].items():
            table = self.settings.tables.get(name)
            goes_on = table is not None and known["meaning"] == _meaning(table) and self.counts[name].restore(known["count"], now)
            whole = whole and goes_on
        return whole

    def _found(self, batch: PacketBatch, table: Table, selection: Selection, count: Tracker) -> Iterable[Episode]:
        if table.outcome is None:
            return count.update(batch, where=selection.packets(batch))
        if not len(batch.decided):
            return count.update(batch)
        decided = selection.flows(batch.decided)
        told = _with_answers_counted(batch) if table.outcome == "answered" and decided.any() else batch
        return count.update(told, decided=decided, flow_labels=_which(batch.decided) if table.distinct is None else None)

    def _tracker(self, table: Table) -> Tracker:
        # A flow is told twice where an answer comes late, and has to be known again.
        distinct = "label" if table.outcome and not table.distinct else table.distinct
        return self.tracker(key=table.key, distinct=distinct, threshold=table.threshold, memory=table.window, expiry=table.expiry)


def _compiled(tables: Mapping[str, Table]) -> Iterator[tuple[str, Selection]]:
    from iplog_threshold.selection import Selection  # and with it the rules of iplog: not on a run without a table

    for name, table in tables.items():
        yield name, Selection(table)


def _which(flows: FlowRows) -> NDArray[np.uint64]:
    """Tell one flow from another: by when it was opened, between whom."""
    ports = flows.sport.astype(np.uint64) << np.uint64(16) | flows.dport
    # Odd constants, so that what differs in one of them differs in all (Knuth, The Art of Computer Programming, volume 3, section 6.4).
    told: NDArray[np.uint64] = flows.opened_clock.view(np.uint64) * ODD[0] + flows.src_lo * ODD[1] + flows.dst_lo * ODD[2] + ports * ODD[3]
    return told


def _with_answers_counted(batch: PacketBatch) -> PacketBatch:
    """The batch, with answered flows as half-open ones: to a tracker an answer takes back what was counted, and counts for nothing."""
    outcome = batch.decided.outcome
    flows = batch.decided.judged(np.where((outcome == ANSWERED) | (outcome == LATE), HALF_OPEN, outcome))
    return PacketBatch(batch.block, batch.data, now=batch.now, interfaces=batch.interfaces, decided=flows, ended=batch.ended, final=batch.final)


def _outcomes(table: Table, episode: Episode) -> dict[str, Any]:
    """What the evidence says of outcomes: nothing, where packets are counted whatever becomes of them."""
    if table.outcome is None:
        return dict.fromkeys(OUTCOMES) if table.distinct else {}
    return {"answered": episode.outcomes[Outcome.HALF_OPEN], "half_open": 0} if table.outcome == "answered" else {}


def _kind(kind: str, table: Table) -> AlertKind:
    proto = next(iter(table.protocols)) if len(table.protocols) == 1 else None
    signature = table.signature or f"{(proto or 'IP').upper()}: {kind.replace('_', ' ')}"
    return AlertKind(signature, table.severity, line=table.line, ports=table.threshold == 1 and table.distinct is None)


def _meaning(table: Table) -> str:
    return table.model_dump_json(include=MEANING)


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [Threshold]
