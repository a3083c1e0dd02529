"""A detector over packets, a sink over events, a policy over alerts: what runs them in iplog runs them here, with nothing else enabled."""

from __future__ import annotations

import io
import traceback
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pluggy
from numpy.typing import NDArray

from iplog_core import hookspec
from iplog_core.allow import AllowLists, compile_allow_lists
from iplog_core.detector import Detector
from iplog_core.engine import Engine
from iplog_core.events import RECORD_DTYPE, Alert, Event, Records
from iplog_core.host import Host
from iplog_core.loader import Plugin, settings_model
from iplog_core.policy import Policy
from iplog_core.rules import Rules, compile_rules
from iplog_core.settings import DetectorSettings, PolicySettings, Settings, SinkSettings
from iplog_core.sink import Sink, SinkContext
from iplog_core.testing.source import MemorySource, Packets, in_order
from iplog_core.verdicts import Verdicts

if TYPE_CHECKING:
    from iplog_core.capture.source import Source
    from iplog_core.state import StateFile


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


def run_policy(cls: type[Policy[Any]], **settings: Any) -> PolicyRun:
    """Make a policy ready to judge alerts; `settings` are those of its table.

    Example::

        (kept,) = run_policy(Assets, path="assets.csv").judge([alert(dest_ip="192.0.2.1")])
        assert kept.extra == {"asset": "www"}
    """
    return PolicyRun(cls, cast(PolicySettings, settings_model(cls)(**settings)))


def run_engine(
    cls: type[Detector[Any]],
    settings: DetectorSettings,
    source: Source,
    *,
    rules: Rules | None = None,
    allow: AllowLists | None = None,
    state: StateFile | None = None,
) -> list[Event]:
    """Run a detector over a source; return what sinks get. Raise RuntimeError, with its traceback, where the detector raises.

    With a `state` the run goes on from what the file has, and leaves there what it knows, with what is open still open.
    """
    kept = Kept(SinkSettings(), SinkContext())
    log: list[str] = []
    report = Engine(cast(Host, _Host([(cls, settings)])), source, [kept], rules, allow=allow, state=state, log=log.append).run()
    if report.faults:
        raise RuntimeError("\n".join([*log, *report.faults]))
    return kept.events


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
        source = MemorySource(in_order(packets), batch_size)
        allow = compile_allow_lists(trusted, {self._cls.name: self._settings.allow})
        return run_engine(self._cls, self._settings, source, rules=compile_rules(rules) if rules else None, allow=allow)


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


class PolicyRun:
    """A policy with its settings. Every `judge` is a run of its own."""

    def __init__(self, cls: type[Policy[Any]], settings: PolicySettings) -> None:
        self._cls = cls
        self._settings = settings

    def judge(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Start the policy, let it judge alerts in order, stop it; return those that it keeps, as sinks would get them. What it is given stays as it is.

        Raise PluginError where it cannot start, RuntimeError, with its traceback, where it raises.
        """
        faults: list[str] = []

        def failed(name: str, asked: str, error: BaseException) -> None:
            faults.append(f"{name}: {asked}:\n{''.join(traceback.format_exception(error))}")

        verdicts = Verdicts(cast(Host, _Host(policies=[(self._cls, self._settings)])), failed, faults.append, 1)
        verdicts.start()
        kept = [copy for copy in (alert.model_copy(deep=True) for alert in alerts) if verdicts.judge(copy)]
        faults += verdicts.stop()
        if faults:
            raise RuntimeError("\n".join(faults))
        return kept


@dataclass
class _Host:
    """As much of a plugin host as the engine looks at."""

    detectors: list[tuple[type[Detector[Any]], DetectorSettings]] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings)
    policies: list[tuple[type[Policy[Any]], PolicySettings]] = field(default_factory=list)
    places: dict[Any, int] = field(default_factory=dict)
    known: dict[str, Plugin] = field(default_factory=dict)

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
