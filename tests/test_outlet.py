"""Sinks behind their queues: what waits, what is lost, what fails."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from time import monotonic
from typing import Any

import numpy as np
import pytest

from iplog_core.errors import IplogError
from iplog_core.events import RECORD_DTYPE, Event, Notice, Records, Stats
from iplog_core.outlet import Outlet
from iplog_core.settings import SinkSettings
from iplog_core.sink import Sink, SinkContext
from iplog_core.testing import Kept


class Held(Kept):
    """Waits at its first events until it is let go."""

    def open(self) -> None:
        super().open()
        self.reached, self.go = threading.Event(), threading.Event()

    def write(self, events: Sequence[Event]) -> None:
        self.reached.set()
        self.go.wait()
        super().write(events)


def outlet(sink: Sink[Any], when_full: Any = "block") -> tuple[Outlet, list[str]]:
    faults: list[str] = []
    made = Outlet(sink, 1, when_full, faults.append, faults.append)
    made.start()
    return made, faults


def records(count: int) -> Records:
    return Records(np.zeros(count, RECORD_DTYPE), [])


def notice(number: int) -> Notice:
    return Notice(time=number, message="")


def times(sink: Kept) -> list[int]:
    return [event.time for event in sink.events if isinstance(event, Notice)]


def test_records_that_find_the_queue_full_are_dropped_counted_and_told() -> None:
    sink = Held(SinkSettings(), SinkContext())
    made, told = outlet(sink, "drop")
    made.put([records(1)])
    sink.reached.wait()
    made.put([records(1)])
    made.put([records(2)])
    sink.go.set()
    made.stop()
    assert (sum(len(event) for event in sink.events if isinstance(event, Records)), made.drops, told) == (
        2,
        2,
        ["kept: it does not keep up: 2 events were lost."],
    )


def test_where_records_are_dropped_an_alert_still_has_room() -> None:
    sink = Held(SinkSettings(), SinkContext())
    made, _ = outlet(sink, "drop")
    made.put([records(1)])
    sink.reached.wait()
    made.put([records(1)])
    made.put([records(5), notice(1), records(5)])
    sink.go.set()
    made.stop()
    assert ([type(event) for event in sink.events], made.drops) == ([Records, Records, Notice], 10)


def test_alerts_too_are_bounded() -> None:
    sink = Held(SinkSettings(), SinkContext())
    made, _ = outlet(sink, "drop")
    made.put([notice(0)])
    sink.reached.wait()
    for number in range(1, 6):
        made.put([notice(number)])
    sink.go.set()
    made.stop()
    assert (times(sink), made.drops) == ([0, 1, 2], 3)


def test_a_sink_that_blocks_the_queue_loses_nothing() -> None:
    sink = Held(SinkSettings(), SinkContext())
    made, _ = outlet(sink, "block")

    def feed() -> None:
        for number in range(50):
            made.put([notice(number)])

    feeder = threading.Thread(target=feed)
    feeder.start()
    sink.reached.wait()
    sink.go.set()
    feeder.join()
    made.stop()
    assert (times(sink), made.drops) == (list(range(50)), 0)


def test_a_sink_that_waits_for_its_server_is_told_when_time_is_up() -> None:
    class Waiting(Kept):
        def write(self, events: Sequence[Event]) -> None:
            while self.pause(60):
                pass
            raise OSError(111, "Connection refused")

    made, faults = outlet(Waiting(SinkSettings(), SinkContext()))
    made.put([notice(1)])
    made.stop(0.01)
    assert (made.drops, faults) == (1, ["kept: it could not write: Connection refused; what is lost is counted."])


def test_a_sink_that_hangs_does_not_hold_up_the_end_and_what_it_had_is_counted() -> None:
    sink = Held(SinkSettings(), SinkContext())
    made, faults = outlet(sink, "drop")
    made.put([records(3)])
    sink.reached.wait()
    made.put([records(1)])
    made.stop(0.01)
    sink.go.set()
    assert (made.drops, faults) == (4, ["kept: it did not end in time; 4 events are lost in all."])


def test_a_sink_knows_since_when_its_events_wait() -> None:
    class Dated(Kept):
        def write(self, events: Sequence[Event]) -> None:
            super().write(events)
            self.waited = self.queued

    sink = Dated(SinkSettings(), SinkContext())
    made, _ = outlet(sink)
    before = monotonic()
    made.put([notice(1)])
    after = monotonic()
    made.stop()
    assert before <= sink.waited <= after


def test_a_destination_is_opened_anew_before_what_waits_is_written() -> None:
    class Reopened(Held):
        def reopen(self) -> None:
            self.events.append(notice(99))

    sink = Reopened(SinkSettings(), SinkContext())
    made, _ = outlet(sink, "drop")
    made.put([notice(0)])
    sink.reached.wait()
    made.put([notice(1)])
    made.reopen()
    sink.go.set()
    made.stop()
    assert times(sink) == [0, 99, 1]


def test_a_sink_that_cannot_write_costs_its_events_and_one_line() -> None:
    class Full(Kept):
        def write(self, events: Sequence[Event]) -> None:
            raise OSError(28, "No space left on device")

    made, faults = outlet(Full(SinkSettings(), SinkContext()))
    made.put([Stats()])
    made.put([Stats()])
    made.stop()
    assert (made.drops, faults) == (2, ["kept: it could not write: No space left on device; what is lost is counted."])


def test_a_sink_that_writes_again_tells_what_was_lost_meanwhile() -> None:
    class Flaky(Kept):
        def write(self, events: Sequence[Event]) -> None:
            if len(events) > 1:
                raise OSError(28, "No space left on device")

    made, told = outlet(Flaky(SinkSettings(), SinkContext()))
    made.put([Stats(), Stats(), Stats()])
    made.put([Stats(), Stats()])
    made.put([Stats()])
    made.stop()
    assert told[1:] == ["kept: it writes again; 5 events were lost."]


def test_a_sink_that_cannot_be_opened_stops_the_start() -> None:
    class Shut(Kept):
        def open(self) -> None:
            raise IplogError("kept: it is shut.")

    with pytest.raises(IplogError, match=r"^kept: it is shut"):
        outlet(Shut(SinkSettings(), SinkContext()))


@pytest.mark.parametrize("error", [ValueError("no luck"), SystemExit(3)])
def test_a_sink_that_fails_to_open_in_any_way_stops_the_start(error: BaseException) -> None:
    class Unready(Kept):
        def open(self) -> None:
            raise error

    with pytest.raises(IplogError, match=r"^kept: it could not be opened"):
        outlet(Unready(SinkSettings(), SinkContext()))


def test_a_sink_that_calls_exit_does_not_hold_up_the_run() -> None:
    class Leaving(Kept):
        def write(self, events: Sequence[Event]) -> None:
            sys.exit(3)

    made, faults = outlet(Leaving(SinkSettings(), SinkContext()))
    for _ in range(5):
        made.put([Stats()])
    made.stop()
    assert (made.drops, len(faults)) == (5, 1)


def test_a_reader_that_went_away_is_no_fault_but_the_end() -> None:
    class Unread(Kept):
        def write(self, events: Sequence[Event]) -> None:
            raise BrokenPipeError

    made, faults = outlet(Unread(SinkSettings(), SinkContext(standard_output=True)))
    made.put([Stats()])
    made.stop()
    assert (made.closed, faults) == (True, [])
