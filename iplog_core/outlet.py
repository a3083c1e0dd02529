"""A sink behind its queue, on a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from iplog_core.errors import IplogError
from iplog_core.events import Event, Records
from iplog_core.loader import reason

if TYPE_CHECKING:
    from iplog_core.sink import AnySink


class Outlet:
    """Bring events to a sink, in order, without letting it hold up the packets for longer than its queue is full.

    `drops` counts the events that were lost: those that found the queue full where `when_full` is "drop", and those that the sink
    failed to write. `closed` tells that the reader of standard output is gone. `fault` takes a line where something went wrong.
    """

    def __init__(self, sink: AnySink, size: int, when_full: Literal["block", "drop"], fault: Callable[[str], None]) -> None:
        self.drops = 0
        self.closed = False
        self._failed = False
        self._sink = sink
        self._when_full = when_full
        self._fault = fault
        self._queue: queue.Queue[list[Event] | None] = queue.Queue(size)
        self._opened = threading.Event()
        self._error: IplogError | None = None
        self._thread = threading.Thread(target=self._work, name=f"sink {sink.name}", daemon=True)

    def start(self) -> None:
        """Open the sink. Raise IplogError where it cannot be."""
        self._thread.start()
        self._opened.wait()
        if self._error:
            raise self._error

    def put(self, events: list[Event]) -> None:
        try:
            self._queue.put(events, block=self._when_full == "block")
        except queue.Full:
            self.drops += _count(events)

    def stop(self) -> None:
        """Write what is queued, and close the sink."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _work(self) -> None:
        try:
            self._sink.open()
        except IplogError as error:
            self._error = error
            return
        except (Exception, SystemExit) as error:
            self._error = IplogError(f"{self._sink.name}: it could not be opened: {_reason(error)}.")
            return
        finally:
            self._opened.set()
        while (events := self._queue.get()) is not None:
            self._guarded(partial(self._sink.write, events), _count(events))
        self._guarded(self._sink.close, 0)

    def _guarded(self, step: Callable[[], None], events: int) -> None:
        """Take a step of the sink's; what it raises costs `events`, never the run."""
        if self.closed:
            return
        try:
            step()
        except BrokenPipeError:
            self.closed = True
        except (Exception, SystemExit) as error:
            if not self._failed:
                self._failed = True
                self._fault(f"{self._sink.name}: it could not write: {_reason(error)}; what is lost is counted.")
            self.drops += max(events, 1)


def _reason(error: BaseException) -> str:
    """What the system says, or a plugin's own exception."""
    return (isinstance(error, OSError) and error.strerror) or reason(error)


def _count(events: list[Event]) -> int:
    return sum(len(event) if isinstance(event, Records) else 1 for event in events)
