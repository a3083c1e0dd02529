"""What every sink must keep to."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, ClassVar

import pytest

from iplog_core.errors import IplogError
from iplog_core.events import Event, Records
from iplog_core.outlet import Outlet
from iplog_core.settings import SinkSettings
from iplog_core.sink import Sink, SinkContext
from iplog_core.testing.conformance.plugins import PluginConformance, fail
from iplog_core.testing.events import alert, every_event, records
from iplog_core.testing.run import run_sink

_PATIENCE = 5.0
"""Seconds that a sink's own threads have to end after it was closed."""


class SinkConformance(PluginConformance):
    """Subclass it as `Test...`, and say which `sink`.

    Where `settings` depend on a folder, as the path of a file does, override `settings_in`; where the sink can be made to fail, `unwritable_in`.
    """

    sink: ClassVar[type[Sink[Any]]]

    def settings_in(self, folder: Path) -> dict[str, Any]:
        """Return the settings to test with, for a sink that writes into an empty folder."""
        return self.settings

    def unwritable_in(self, folder: Path) -> dict[str, Any] | None:
        """Return settings with which it can be opened, and can write nothing, such as `path = "/dev/full"`; None where there are none."""
        return None

    def test_it_takes_every_event(self, tmp_path: Path) -> None:
        for mode in ("read", "watch"):
            with self._opened(tmp_path, SinkContext(mode=mode, hostname="sensor", pid=7)) as sink:
                for what, event in every_event().items():
                    self._try(lambda event=event: sink.write([event]), f"write raises at {what}", "every event is written, or left out: none is a fault.")  # type: ignore[misc]

    def test_it_takes_events_many_at_a_time_and_none_at_all(self, tmp_path: Path) -> None:
        with self._opened(tmp_path) as sink:
            right = "any number of events, none as well."
            self._try(lambda: sink.write([]), "write raises where there are no events", right)
            self._try(lambda: sink.write(list(every_event().values())), "write raises at all events at once", right)

    def test_it_begins_what_takes_long_without_a_fault(self, tmp_path: Path) -> None:
        with self._opened(tmp_path) as sink:
            for what, event in every_event().items():
                self._try(lambda event=event: sink.expect([event]), f"expect raises at {what}", "no exception; it may do nothing.")  # type: ignore[misc]

    def test_it_leaves_events_as_they_are(self, tmp_path: Path) -> None:
        events = every_event()
        before = {what: _text(event) for what, event in events.items()}
        with self._opened(tmp_path) as sink:
            sink.write(list(events.values()))
        if changed := [what for what, event in events.items() if _text(event) != before[what]]:
            fail(f"{self._plugin.name} changes what it is given: {changed[0]}.", "copies, where it changes anything: all sinks are given the same objects.")

    def test_it_goes_on_after_it_was_told_to_open_its_destination_anew(self, tmp_path: Path) -> None:
        with self._opened(tmp_path) as sink:
            for _ in range(2):
                sink.write(_ordinary())
                self._try(sink.reopen, "reopen raises", "where it cannot be opened anew, `context.note` is told, and what was open goes on.")
            self._try(lambda: sink.write(_ordinary()), "write raises after reopen", "a sink that goes on.")

    def test_it_can_be_closed_without_having_written_anything(self, tmp_path: Path) -> None:
        with self._opened(tmp_path):
            pass

    def test_one_follows_the_other(self, tmp_path: Path) -> None:
        for _ in range(2):
            with self._opened(tmp_path) as sink:
                sink.write(_ordinary())

    def test_behind_its_queue_nothing_is_lost(self, tmp_path: Path) -> None:
        faults: list[str] = []
        with redirect_stdout(_Output()):
            outlet = Outlet(self._made(tmp_path), 65536, "block", faults.append, faults.append)
            self._start(outlet)
            for event in every_event().values():
                outlet.put([event])
            outlet.reopen()
            outlet.put(_ordinary())
            outlet.stop()
        if faults or outlet.drops:
            fail(f"{self._plugin.name} lost {outlet.drops} events: {' '.join(faults)}", "every event is taken on the sink's own thread, where iplog calls it.")

    def test_what_it_cannot_write_is_counted(self, tmp_path: Path) -> None:
        settings = self.unwritable_in(tmp_path)
        if settings is None:
            pytest.skip("unwritable_in gives no settings with which it fails")
        faults: list[str] = []
        outlet = Outlet(self._made(tmp_path, settings), 65536, "block", faults.append, faults.append)
        self._start(outlet)
        given = [alert(), *_ordinary()]
        for event in given:
            outlet.put([event])
        outlet.stop()
        count = sum(len(event) if isinstance(event, Records) else 1 for event in given)
        if outlet.drops != count or not faults:
            fail(
                f"{self._plugin.name} could write none of {count} events; {outlet.drops} are counted as lost, and told is: {' '.join(faults) or 'nothing'}",
                "write raises OSError, or what else tells why, for what it could not write: then iplog counts it and says so.",
            )

    def test_after_its_end_nothing_of_it_runs(self, tmp_path: Path) -> None:
        before = set(threading.enumerate())
        with self._opened(tmp_path, SinkContext(mode="watch")) as sink:
            sink.write([*_ordinary(), *_ordinary(), *every_event().values()])
        until = time.monotonic() + _PATIENCE
        while (left := set(threading.enumerate()) - before) and time.monotonic() < until:
            time.sleep(0.01)
        if left:
            fail(f"After close, {', '.join(thread.name for thread in left)} still runs.", "close waits for, or cancels, each thread and timer of the sink.")

    @pytest.mark.parametrize("size", [1, 7])
    def test_what_a_format_writes_does_not_depend_on_how_it_is_given(self, size: int, tmp_path: Path) -> None:
        if self._plugin.format is None:
            pytest.skip("it serves no --format")
        events = [*_ordinary(), *every_event().values(), records(40, gap=0.5), *_ordinary()]
        run = run_sink(self._plugin, SinkContext(standard_output=True), **self.settings_in(tmp_path))
        whole, parts = (run.write(*calls).splitlines(keepends=True) for calls in ([events], _in_parts(events, size)))
        if whole != parts:
            number = next((n for n, (one, other) in enumerate(zip(whole, parts, strict=False)) if one != other), min(len(whole), len(parts)))
            fail(
                f"{self._plugin.name} writes something else where it is given {size} events at a time, and not all at once: line {number + 1} is "
                f"{_line(parts, number)}, not {_line(whole, number)}",
                "the same output however events are divided into calls, and records into runs.",
            )

    @property
    def _plugin(self) -> type[Sink[Any]]:
        if not hasattr(self, "sink"):
            fail(f"{type(self).__name__} does not say what it tests.", "sink = TheClass")
        return self.sink

    @property
    def _base(self) -> type[SinkSettings]:
        return SinkSettings

    @contextmanager
    def _opened(self, folder: Path, context: SinkContext | None = None) -> Iterator[Sink[Any]]:
        with redirect_stdout(_Output()):
            sink = self._made(folder, context=context)
            self._try(sink.open, "open raises", "with settings_in(folder), a sink that can be opened.")
            sink.queued = time.monotonic()
            yield sink
            self._try(sink.close, "close raises", "no exception.")

    def _made(self, folder: Path, settings: dict[str, Any] | None = None, context: SinkContext | None = None) -> Sink[Any]:
        validated = self._validated(self.settings_in(folder) if settings is None else settings)
        made: list[Sink[Any]] = []
        right = "what takes files or connections stands in `open`."
        self._try(lambda: made.append(self._plugin(validated, context or SinkContext())), "it cannot be made", right)
        return made[0]

    def _start(self, outlet: Outlet) -> None:
        try:
            outlet.start()
        except IplogError as error:
            fail(f"{self._plugin.name} cannot be opened: {error}", "settings with which it can be opened.")

    def _try(self, step: Callable[[], object], what: str, right: str) -> None:
        try:
            step()
        except (Exception, SystemExit) as error:
            fail(f"{self._plugin.name}: {what}: {type(error).__name__}: {error}", right)


class _Output(io.TextIOWrapper):
    """Standard output that is thrown away."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), "utf-8")


def _ordinary() -> list[Event]:
    return [records(2), alert(), records(3, dport=22, at=4), alert(state="end", at=8)]


def _in_parts(events: Sequence[Event], size: int) -> list[list[Event]]:
    """Divide events into calls of `size`, where each record is one."""
    single: list[Event] = []
    for event in events:
        single += [event[n : n + 1] for n in range(len(event))] if isinstance(event, Records) else [event]
    return [single[n : n + size] for n in range(0, len(single), size)]


def _text(event: Event) -> str:
    return repr((event.rows.tolist(), list(event.interfaces))) if isinstance(event, Records) else repr(event)


def _line(lines: Sequence[str], number: int) -> str:
    return repr(lines[number][:200]) if number < len(lines) else "missing"
