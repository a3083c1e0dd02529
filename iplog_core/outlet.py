"""A sink behind its queue, on a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Literal

from iplog_core.authors import own_frames, reason
from iplog_core.errors import IplogError
from iplog_core.events import Event, Records
from iplog_core.turns import Timing

if TYPE_CHECKING:
    from iplog_core.sink import AnySink

_TELL_AGAIN = 60.0
"""Seconds between two lines about a queue that is full."""

_ASK_AGAIN = 0.1
"""Seconds between two looks at how long a sink may still take."""

_HUNG = 1.0
"""Seconds that a sink may take to end once it was told to give up."""


class Outlet:
    """Bring events to a sink, in order, without letting it hold up the packets for longer than its queue is full.

    `size` is the number of events that may wait. Where they find no room, `when_full` "block" makes `put` wait; "drop" loses traffic records first: alerts
    have as much room again. `drops` counts the events that were lost so, and those that the sink failed to write. `closed` tells that the reader of standard
    output is gone. `fault` takes a line where something went wrong, `note` one where events are being lost, `log` what its author wants to see of it.
    `label` is what the sink is called where it raises what it should not. `timing` is how long it takes to write.
    """

    def __init__(
        self,
        sink: AnySink,
        size: int,
        when_full: Literal["block", "drop"],
        fault: Callable[[str], None],
        note: Callable[[str], None],
        *,
        log: Callable[[str], None] | None = None,
        label: str = "",
    ) -> None:
        self.sink = sink
        self.timing = Timing()
        self._log = log
        self._label = label or sink.name
        self.drops = 0
        self.closed = False
        self._failed = False
        self._failure_told = -_TELL_AGAIN
        self._lost_to_failure = 0
        self._blocks = when_full == "block"
        self._fault = fault
        self._note = note
        self._queue = _Queue(size)
        self._told = -_TELL_AGAIN
        self._untold = 0
        self._until: float | None = None
        self._opened = threading.Event()
        self._error: IplogError | None = None
        self._thread = threading.Thread(target=self._work, name=f"sink {sink.name}", daemon=True)

    def start(self) -> None:
        """Open the sink. Raise IplogError where it cannot be."""
        self._thread.start()
        self._opened.wait()
        if self._error:
            raise self._error

    def put(self, events: Sequence[Event]) -> None:
        if self._blocks:
            self._queue.put(events)
        elif lost := self._queue.offer(events):
            self.drops += lost
            self._untold += lost
        self._let_expect(events)
        self._tell_losses()

    def catch_up(self) -> None:
        """Where events wait for room, wait until the sink has written those that there are."""
        if self._blocks and self._thread.is_alive():
            self._queue.empty()

    def reopen(self) -> None:
        """Let the sink open its destination anew, before it writes anything more."""
        self._queue.interject(self.sink.reopen)

    def hurry(self, patience: float) -> None:
        """Give the sink no more than `patience` seconds until its end. A signal handler may call this while `stop` waits."""
        self._until = min(self._until or inf, monotonic() + patience)

    def stop(self, patience: float | None = None) -> None:
        """Write what is queued, and close the sink. What is not written after `patience` seconds is lost; None: it takes as long as it takes."""
        if patience is not None:
            self.hurry(patience)
        if not self._thread.is_alive():
            return
        self._queue.end()
        while self._thread.is_alive() and (self._until is None or monotonic() < self._until):
            self._thread.join(_ASK_AGAIN)
        if self._thread.is_alive():
            self.sink.give_up()
            self._thread.join(_HUNG)
        if self._thread.is_alive():
            self.drops += self._queue.left
            self._fault(f"{self.sink.name}: it did not end in time; {self.drops:,} events are lost in all.")

    def _let_expect(self, events: Sequence[Event]) -> None:
        try:
            self.sink.expect(events)
        except (Exception, SystemExit) as error:
            self._tell_failure(error, f"it could not get ready: {_reason(error)}; its lines are written all the same.")

    def _tell_failure(self, error: BaseException, what: str) -> None:
        """Tell what the sink fails in, once until it succeeds, and once a minute at the most."""
        if not self._failed and (now := monotonic()) - self._failure_told >= _TELL_AGAIN:
            self._failed, self._failure_told = True, now
            self._fault(f"{self._called(error)}: {what}")
            if self._log and not isinstance(error, OSError):
                self._log(f"{self._called(error)}: {own_frames(error)}")

    def _called(self, error: BaseException) -> str:
        """What the sink is called: where the system failed, that is nothing to its author."""
        return self.sink.name if isinstance(error, OSError) else self._label

    def _tell_success(self) -> None:
        if self._failed:
            self._note(f"{self.sink.name}: it writes again; {self._lost_to_failure:,} events were lost.")
            self._failed, self._lost_to_failure = False, 0

    def _tell_losses(self) -> None:
        if self._untold and (now := monotonic()) - self._told >= _TELL_AGAIN:
            self._note(f"{self.sink.name}: it does not keep up: {self._untold:,} events were lost.")
            self._told, self._untold = now, 0

    def _work(self) -> None:
        try:
            self.sink.open()
        except IplogError as error:
            self._error = error
            return
        except (Exception, SystemExit) as error:
            self._error = IplogError(f"{self._called(error)}: it could not be opened: {_reason(error)}.")
            return
        finally:
            self._opened.set()
        while (item := self._queue.get()) is not None:
            if isinstance(item, _Waiting):
                self.sink.queued = item.since
                began = perf_counter()
                if self._guarded(partial(self.sink.write, item.events), item.count):
                    self._tell_success()
                self.timing.add(perf_counter() - began)
            else:
                self._guarded(item, 0)
            self._queue.done()
        self._guarded(self.sink.close, 0)

    def _guarded(self, step: Callable[[], None], events: int) -> bool:
        """Take a step of the sink's and tell whether it succeeded; what it raises costs `events`, never the run."""
        if self.closed:
            return False
        try:
            step()
            return True
        except (Exception, SystemExit) as error:
            if isinstance(error, BrokenPipeError) and self.sink.context.standard_output:
                self.closed = True
                return False
            self.drops += max(events, 1)
            self._lost_to_failure += max(events, 1)
            self._tell_failure(error, f"it could not write: {_reason(error)}; what is lost is counted.")
            return False


class _Waiting:
    """Events in a queue, how many, and since when (`time.monotonic`)."""

    __slots__ = ("count", "events", "since")

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.count = sum(len(event) if isinstance(event, Records) else 1 for event in events)
        self.since = monotonic()


class _Queue:
    """A queue that is bounded by the events in it. A call put in by `interject` comes before all that waits."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[_Waiting] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._count = 0
        self._under_way = 0
        self._ended = False
        self._changed = threading.Condition()

    @property
    def left(self) -> int:
        """Events that were put in and are not done."""
        return self._count + self._under_way

    def put(self, events: Sequence[Event]) -> None:
        """Wait until there is room; events that are more than ever have room go in where nothing else waits."""
        item = _Waiting(events)
        with self._changed:
            while self._count and self._count + item.count > self._size:
                self._changed.wait()
            self._add(item)

    def offer(self, events: Sequence[Event]) -> int:
        """Put in what there is room for; return how many events had none."""
        item = _Waiting(events)
        with self._changed:
            if self._count and self._count + item.count > self._size:
                whole = item.count
                item = _Waiting([event for event in events if not isinstance(event, Records)])
                if self._count + item.count > 2 * self._size:
                    return whole
                if item.count:
                    self._add(item)
                return whole - item.count
            self._add(item)
            return 0

    def interject(self, call: Callable[[], None]) -> None:
        with self._changed:
            self._calls.append(call)
            self._changed.notify_all()

    def end(self) -> None:
        """Let `get` return None once nothing waits any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def get(self) -> _Waiting | Callable[[], None] | None:
        with self._changed:
            while not self._calls and not self._items and not self._ended:
                self._changed.wait()
            if self._calls:
                return self._calls.popleft()
            if not self._items:
                return None
            item = self._items.popleft()
            self._count -= item.count
            self._under_way = item.count
            self._changed.notify_all()
            return item

    def done(self) -> None:
        """What `get` gave last is written or lost."""
        with self._changed:
            self._under_way = 0
            self._changed.notify_all()

    def empty(self) -> None:
        """Wait until all that was put in is done."""
        with self._changed:
            while self._items or self._under_way:
                self._changed.wait()

    def _add(self, item: _Waiting) -> None:
        self._items.append(item)
        self._count += item.count
        self._changed.notify_all()


def _reason(error: BaseException) -> str:
    """What the system says, or a plugin's own exception."""
    return (isinstance(error, OSError) and error.strerror) or reason(error)
