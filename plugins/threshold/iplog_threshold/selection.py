"""A table, compiled to masks over the columns of a batch."""

from __future__ import annotations

from iplog_core import FlowRows, Mask, Matcher, Outcome, PacketBatch, PacketRows
from iplog_threshold.tables import Table, flag_bits

ANSWERED, HALF_OPEN, REFUSED, SILENT, LATE = (int(outcome) for outcome in (Outcome.ANSWERED, Outcome.HALF_OPEN, Outcome.REFUSED, Outcome.SILENT, Outcome.LATE))


class Selection:
    """The packets, or the decided flows, that a table counts."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._matched = Matcher(table.matched)
        self._allowed = Matcher(table.allow) if table.allow else None
        self._bits, self._flags = flag_bits(table.flags)

    def packets(self, batch: PacketBatch) -> Mask:
        # By what costs least: few packets open a flow, and most tables are about few.
        if self._table.counted == "packets":
            return batch.among(self._matched.mask(batch), self._narrowed) if self._narrows else self._matched.mask(batch)
        return batch.among(batch.opens if self._table.counted == "openings" else batch.contacts, self._selected)

    def flows(self, flows: FlowRows) -> Mask:
        """Flows that end as the table has it; those that were answered late, too, since that takes back a silence."""
        return flows.among(self._ended_so(flows), self._selected)

    def _ended_so(self, flows: FlowRows) -> Mask:
        outcome = flows.outcome
        late = outcome == LATE
        match self._table.outcome:
            case "answered":
                wanted = (outcome == ANSWERED) | late
            case "refused":
                wanted = outcome == REFUSED
            case "half_open":
                wanted = outcome == HALF_OPEN
            case "silent":
                wanted = (outcome == SILENT) | late
            case _:
                wanted = flows.failed | late
        chosen: Mask = wanted & (flows.stray == 0)
        if self._table.counted == "contacts":
            chosen &= flows.contact == 1
        return chosen

    @property
    def _narrows(self) -> bool:
        return bool(self._bits or self._table.min_size or self._allowed)

    def _selected(self, rows: PacketRows | FlowRows) -> Mask:
        return self._matched.mask(rows) & self._narrowed(rows)

    def _narrowed(self, rows: PacketRows | FlowRows) -> Mask:
        mask: Mask = rows.length >= self._table.min_size
        if self._bits:
            mask &= (rows.tcp_flags & self._bits) == self._flags
        if self._allowed:
            mask &= ~self._allowed.begun(rows)
        return mask
