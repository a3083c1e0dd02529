"""`iplog read --jobs N`: each capture by itself, several at a time, and what came of them one after another."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from iplog_core.cli.interrupt import Interruptible
from iplog_core.cli.read import make_context, make_engine, no_packets, open_one
from iplog_core.cli.readers import Readers
from iplog_core.cli.setup import state_path
from iplog_core.cli.sinks import sinks_of_read
from iplog_core.cli.spool import End, Spool
from iplog_core.engine import Report
from iplog_core.errors import EXIT_OK, EXIT_PARTIAL, CaptureError, ConfigError
from iplog_core.events import Event, Stats
from iplog_core.loader import label
from iplog_core.outlet import Outlet
from iplog_core.turns import Timing, plugin_stats, set_shares

if TYPE_CHECKING:
    from iplog_core.allow import AllowLists
    from iplog_core.host import Host
    from iplog_core.names import Names
    from iplog_core.rules import Rules
    from iplog_core.sink import AnySink
    from iplog_core.terminal import Terminal


def read_each(
    options: argparse.Namespace,
    host: Host,
    rules: Rules | None,
    allow: AllowLists | None,
    terminal: Terminal,
    names: Names | None,
    sinks: Sequence[AnySink],
) -> int:
    """Read the captures, and write what came of them in the order in which they were named. Each has sinks of its own, the first one `sinks`."""
    if state_path(host, options.state) is not None:
        raise ConfigError("--jobs: each capture is a time of its own, so that none can go on from what the state knows; leave away --jobs or the state.")
    if options.files.count("-") > 1:
        raise ConfigError("-: named twice; standard input can be read once.")
    for line in (*host.notes, *host.config.skipped):
        terminal.note(line)
    total, alerts = Stats(), Counter[str]()
    faults: list[str] = []
    opened = False
    with ExitStack() as stack:
        writer = _Writer(host, sinks, faults.append, terminal.log)

        def hurry() -> None:
            if names:
                names.close()
            writer.hurry(host.settings.end_timeout)

        readers = stack.enter_context(Readers(options.files, options.jobs, partial(_read, options, host, rules, allow), hurry))
        if names:
            names.start(terminal.note)
            stack.callback(names.close)
        stack.enter_context(terminal)
        stack.enter_context(writer)
        for number, (name, told) in enumerate(readers):
            if number:
                writer.begin(sinks_of_read(host, options.format, make_context(host, terminal, names)))
            for what in told:
                if not isinstance(what, End):
                    writer.write(what)
                    continue
                shown = "standard input" if name == "-" else name
                for line in what.told:
                    terminal.log(f"{shown}: {line}")
                faults += [line if line.startswith(f"{shown}: ") else f"{shown}: {line}" for line in what.faults]
                if what.report:
                    opened = True
                    alerts.update(what.report.alerts)
                    total = _sum(total, what.report.stats)
        if options.stats:
            writer.write([_with_writing(total, writer)])
        writer.end()
        total.queue_drops += writer.drops
    if not opened and not readers.interrupted:
        raise CaptureError(*dict.fromkeys(faults))
    for line in faults:
        terminal.note(line)
    if not total.packets and not faults:
        terminal.note(no_packets(options))
    terminal.summary(Report(total, dict(sorted(alerts.items())), [], faults))
    return EXIT_PARTIAL if faults or host.config.skipped else EXIT_OK


def _read(options: argparse.Namespace, host: Host, rules: Rules | None, allow: AllowLists | None, name: str, spool: Spool) -> End:
    """Read one capture into a spool, in the process that was made for it."""
    told: list[str] = []
    unstopped: list[str] = []
    with ExitStack() as stack:
        source = stack.enter_context(Interruptible(open_one(name, host)))
        stack.enter_context(host.running(unstopped))
        report = make_engine(options, host, source, [spool], rules, allow, told.append).run()
    return End(report, [*report.faults, *unstopped], told)


class _Writer:
    """The sinks of one capture after another. BrokenPipeError tells that standard output was closed by its reader."""

    def __init__(self, host: Host, sinks: Sequence[AnySink], fault: Callable[[str], None], log: Callable[[str], None]) -> None:
        self._host = host
        self._fault = fault
        self._log = log
        self._outlets: list[Outlet] = []
        self._sinks = sinks
        self._dropped = 0
        self._times: dict[str, Timing] = {}
        self._stops = False
        self._patience: float | None = None

    def __enter__(self) -> _Writer:
        self.begin(self._sinks)  # before anything is read: what cannot be opened is told at once
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def begin(self, sinks: Sequence[AnySink]) -> None:
        """End the sinks of the capture before, and open others. Raise IplogError where one cannot be."""
        self.end()
        settings = self._host.settings
        self._outlets = [
            Outlet(
                sink,
                settings.queue_size,
                settings.when_full or "block",
                self._fault,
                self._log,
                log=self._log,
                label=label(self._host.known, sink.name),
            )
            for sink in sinks
        ]
        for outlet in self._outlets:
            outlet.start()

    def write(self, events: Sequence[Event]) -> None:
        for outlet in self._outlets:
            outlet.put(events)
        self._look()

    def hurry(self, patience: float) -> None:
        """Give the sinks of each capture no more than `patience` seconds to write what waits for them. A signal handler may call this."""
        self._patience = patience
        for outlet in self._outlets if self._stops else ():
            outlet.hurry(patience)

    def end(self) -> None:
        """Write what waits, and close the sinks."""
        self._stop()
        self._look()
        self._dropped, self._times = self.drops, self.timings
        self._outlets = []

    @property
    def drops(self) -> int:
        """The events that were lost in all sinks so far."""
        return self._dropped + sum(outlet.drops for outlet in self._outlets)

    @property
    def timings(self) -> dict[str, Timing]:
        """How long each sink took so far."""
        timings: dict[str, Timing] = {}
        for name, timing in (*self._times.items(), *((outlet.sink.name, outlet.timing) for outlet in self._outlets)):
            timings.setdefault(name, Timing()).include(timing)
        return timings

    def _stop(self) -> None:
        self._stops = True
        for outlet in self._outlets:
            outlet.stop(self._patience)
        self._stops = False

    def _look(self) -> None:
        if any(outlet.closed for outlet in self._outlets):
            raise BrokenPipeError


_THE_MOST = {"time", "peak_memory", "entries", "capacity", "used", "memory", "slowest"}
"""Of these counters the greatest is told: how full the tables were, and how much a process took."""


def _sum(one: Stats, other: Stats) -> Stats:
    """Return the counters of two captures as those of one run."""
    stats = Stats(**_added(one.model_dump(), other.model_dump()))
    set_shares(stats)
    return stats


def _with_writing(total: Stats, writer: _Writer) -> Stats:
    """Return the counters with those of the sinks, which wrote here what the others read."""
    return _sum(total, Stats(queue_drops=writer.drops, plugins=plugin_stats(writer.timings)))


def _added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = dict(one)
    for name, value in other.items():
        before = both.get(name)
        if before is None:
            both[name] = value
        elif isinstance(value, dict):
            both[name] = _added(before, value)
        else:
            both[name] = max(before, value) if name in _THE_MOST else before + value
    return both
