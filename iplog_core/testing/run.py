"""A detector over packets, a sink over events: the real engine runs them, with nothing else enabled."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pluggy
from numpy.typing import NDArray

from iplog_core import hookspec
from iplog_core.allow import compile_allow_lists
from iplog_core.detector import Detector
from iplog_core.engine import Engine
from iplog_core.events import RECORD_DTYPE, Alert, Event, Records
from iplog_core.host import Host
from iplog_core.loader import settings_model
from iplog_core.rules import compile_rules
from iplog_core.settings import DetectorSettings, Settings, SinkSettings
from iplog_core.sink import Sink, SinkContext
from iplog_core.testing.source import MemorySource, Packets, in_order


def run_detector(cls: type[Detector[Any]], **settings: Any) -> DetectorRun:
    """Make a detector ready to be fed; `settings` are those of its table. Raise pydantic's ValidationError where they are wrong.

    Example::

        alerts = run_detector(TcpScan, ports=3).feed(refused(dport=port, at=port) for port in range(1, 4))
    """
    return DetectorRun(cls, cast(DetectorSettings, settings_model(cls)(**settings)))


def run_sink(cls: type[Sink[Any]], context: SinkContext | None = None, **settings: Any) -> SinkRun:
    """Make a sink ready to be given events; `settings` are those of its table.

    Example::

        text = run_sink(Text).write([alert])
    """
    return SinkRun(cls, cast(SinkSettings, settings_model(cls)(**settings)), context or SinkContext(standard_output=True))


class DetectorRun:
    """A detector with its settings. Every `feed` is a run of its own."""

    def __init__(self, cls: type[Detector[Any]], settings: DetectorSettings) -> None:
        self._cls = cls
        self._settings = settings

    def feed(self, packets: Packets, batch_size: int | Sequence[int] = 256, rules: Sequence[str] = (), trusted: Sequence[str] = ()) -> list[Alert]:
        """Return the alerts that the detector raises over packets, in order of time whatever the order in which they are given."""
        return [event for event in self.events(packets, batch_size, rules, trusted) if isinstance(event, Alert)]

    def records(self, packets: Packets, batch_size: int | Sequence[int] = 256, rules: Sequence[str] = (), trusted: Sequence[str] = ()) -> NDArray[Any]:
        """Return the traffic records that it logs, rows of `RECORD_DTYPE`."""
        rows = [event.rows for event in self.events(packets, batch_size, rules, trusted) if isinstance(event, Records)]
        return np.concatenate(rows) if rows else np.empty(0, RECORD_DTYPE)

    def events(self, packets: Packets, batch_size: int | Sequence[int] = 256, rules: Sequence[str] = (), trusted: Sequence[str] = ()) -> list[Event]:
        """Return all that it brings forth, as sinks get it. Raise RuntimeError, with its traceback, where the detector raises."""
        host = _Host([(self._cls, self._settings)])
        kept = Kept(SinkSettings(), SinkContext())
        log: list[str] = []
        source = MemorySource(in_order(packets), batch_size)
        allow = compile_allow_lists(trusted, {self._cls.name: self._settings.allow})
        engine = Engine(cast(Host, host), source, [kept], compile_rules(rules) if rules else None, allow=allow, log=log.append)
        report = engine.run()
        if report.faults:
            raise RuntimeError("\n".join([*log, *report.faults]))
        return kept.events


class SinkRun:
    """A sink with its settings. Every `write` is a run of its own."""

    def __init__(self, cls: type[Sink[Any]], settings: SinkSettings, context: SinkContext) -> None:
        self._cls = cls
        self._settings = settings
        self._context = context

    def write(self, *calls: Sequence[Event]) -> str:
        """Open the sink, give it events, a list for each call, close it; return what it wrote to standard output."""
        output = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
        with redirect_stdout(output):
            sink = self._cls(self._settings, self._context)
            sink.open()
            for events in calls:
                sink.write(events)
            sink.close()
        return output.buffer.getvalue().decode()


@dataclass
class _Host:
    """As much of a plugin host as the engine looks at."""

    detectors: list[tuple[type[Detector[Any]], DetectorSettings]]
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        manager = pluggy.PluginManager("iplog")
        manager.add_hookspecs(hookspec)
        self.hook = manager.hook


class Kept(Sink[SinkSettings]):
    """A sink that keeps all that it is given, in `events`."""

    name = "kept"

    def __init__(self, settings: SinkSettings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self.events: list[Event] = []

    def write(self, events: Sequence[Event]) -> None:
        self.events += events
