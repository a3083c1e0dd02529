"""What the reader of one capture tells, kept in a file until its turn comes: however far ahead the reader is, it takes no memory."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from iplog_core.engine import Report
from iplog_core.events import Event
from iplog_core.settings import SinkSettings
from iplog_core.sink import Sink, SinkContext, open_output, write_output


@dataclass
class End:
    """How it went: `report` is None where the capture could not be read at all, for the reasons in `faults`; `told` is what it had to say meanwhile."""

    report: Report | None = None
    faults: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


class Spool(Sink[SinkSettings]):
    """Keeps events in a file of this run's own; what is in it was pickled by the same program a moment ago."""

    name: ClassVar[str] = "spool"

    def __init__(self, path: Path) -> None:
        super().__init__(SinkSettings(), SinkContext())
        self._file = open_output(str(path))

    def write(self, events: Sequence[Event]) -> None:
        self._put(list(events))

    def finish(self, end: End) -> None:
        """Write how it went, behind all events."""
        self._put(end)

    def _put(self, what: list[Event] | End) -> None:
        write_output(self._file, pickle.dumps(what, pickle.HIGHEST_PROTOCOL))


def read_spool(path: Path) -> Iterator[list[Event] | End]:
    """Give the events as they were written, a batch at a time, and the end of it last."""
    with path.open("rb") as file:
        while not isinstance(what := pickle.load(file), End):
            yield what
        yield what
