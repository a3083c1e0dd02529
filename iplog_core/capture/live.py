"""Interfaces, watched as long as one likes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from select import POLLIN, poll
from time import monotonic, time_ns

import numpy as np

from iplog_core.batch import RawBatch
from iplog_core.capture.handle import RETIRE_MS, Taken
from iplog_core.capture.interfaces import ANY
from iplog_core.capture.merge import rows_of
from iplog_core.capture.source import InterfaceNames
from iplog_core.capture.watched import Options, UnsupportedLinkError, Watched
from iplog_core.capture.weave import Weave
from iplog_core.errors import CaptureError
from iplog_core.events import InterfaceStats
from iplog_core.settings import CaptureSettings

TICK = 0.25
"""Seconds between the batches that let time pass on a quiet line."""

BEHIND_NS = 1_000_000_000
"""How far behind the wall clock a quiet line's time is, so that no packet comes that is older."""

LOOK = 1.0
"""Seconds between two looks at the interfaces."""

_UNSEEN_NS = 2 * RETIRE_MS * 1_000_000
_LAST_PACKETS = 2.0


class Live:
    """The packets of some interfaces as they come: a `Source` that ends when it is told to.

    All interfaces are opened at once; CaptureError has a line for each fault. `filter` says what to capture (pcap-filter(7)), in place of the filter of the
    settings; None: everything. `note` takes a line about an interface that goes down, comes back, or loses packets.

    Iterating gives a batch as soon as there are packets, in order of time across interfaces, and on a quiet line an empty one every 250 ms. An interface that
    vanishes is waited for. `stop` and `wake` may be called from a signal handler or another thread; everything else belongs to the thread that iterates.
    """

    def __init__(
        self,
        names: Sequence[str],
        settings: CaptureSettings,
        *,
        promiscuous: bool,
        batch_size: int,
        filter: str | None,
        note: Callable[[str], None],
    ) -> None:
        self.faults: list[str] = []
        self.unsupported = 0
        self.size = 0
        self.position = 0
        self._options = Options(settings, promiscuous, filter or "")
        self._batch_size = batch_size
        self._note = note
        self._numbers = InterfaceNames()
        self._watched: list[Watched] = []
        self._left: dict[str, Watched] = {}
        self._weave = Weave()
        self._looked = monotonic()
        self._stopping: tuple[float, int] | None = None
        self._wake_end, self._woken_end = -1, -1
        if faults := self._open(names):
            self.close()
            raise CaptureError(*faults)
        if promiscuous and ANY in names:
            note(f"{ANY}: interfaces are not made promiscuous by it; to see what is sent to others, name them.")
        self._woken_end, self._wake_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def names(self) -> list[str]:
        """The interfaces that are watched, those that are waited for among them."""
        return [watched.name for watched in self._watched]

    @property
    def filter(self) -> str:
        """What is captured (pcap-filter(7)); empty: everything."""
        return self._options.filter

    def stats(self) -> dict[str, InterfaceStats]:
        """What was counted since the start, for each interface that is or was watched."""
        return {watched.name: watched.stats for watched in (*self._left.values(), *self._watched)}

    def stop(self) -> None:
        """Let iteration end, after the packets that have come by now."""
        self._stopping = monotonic(), time_ns()
        self.wake()

    def wake(self) -> None:
        """Let iteration give a batch at once, an empty one where there is no packet."""
        if self._wake_end >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake_end, b"\0")

    def rearm(self, names: Sequence[str], filter: str | None) -> list[str]:
        """Watch these interfaces from now on, with this filter. Return a line for each that cannot be opened.

        Raise CaptureError where the filter is none; then nothing was changed.
        """
        self._refilter(filter or "")
        before = self.names
        faults = self._open([name for name in names if name not in before])
        gone = [watched for watched in self._watched if watched.name not in names]
        if len(gone) < len(self._watched):
            for watched in gone:
                watched.close()
                self._watched.remove(watched)
                self._left[watched.name] = watched
                self._note(f"{watched.name}: the interface is not watched any more.")
        for name in self.names:
            if name not in before:
                self._note(f"{name}: the interface is watched from now on.")
        return faults

    def close(self) -> None:
        for watched in self._watched:
            watched.close()
        ends = [end for end in (self._wake_end, self._woken_end) if end >= 0]
        self._wake_end = self._woken_end = -1
        for end in ends:
            os.close(end)

    def __iter__(self) -> Iterator[RawBatch]:
        given = monotonic()
        while True:
            woken = self._wait(given + TICK)
            wall = time_ns()
            horizon = self._read(wall - _UNSEEN_NS)
            last = self._is_last(horizon)
            for batch in self._woven(None if last or self._alone else horizon):
                yield batch
                given, woken = monotonic(), False
            if last:
                return
            if woken or monotonic() >= given + TICK:
                yield self._empty(None if self._weave else wall - BEHIND_NS)
                given = monotonic()
            if monotonic() >= self._looked + LOOK:
                self._look()

    def _open(self, names: Sequence[str]) -> list[str]:
        """Watch more interfaces; return a line for each that cannot be. One that iplog cannot decode is left out where there are others."""
        faults: list[str] = []
        undecodable: list[str] = []
        for name in dict.fromkeys(names):
            watched = self._left.get(name) or Watched(name, self._numbers.number(name), self._note)
            try:
                watched.open(self._options)
            except UnsupportedLinkError as error:
                undecodable += error.faults
            except CaptureError as error:
                faults += error.faults
            else:
                self._watched.append(watched)
                self._left.pop(name, None)
        if not self._watched:
            faults += undecodable
        elif not faults:
            for line in undecodable:
                self._note(line)
        return list(dict.fromkeys(faults))

    def _refilter(self, filter: str) -> None:
        before, self._options = self._options, replace(self._options, filter=filter)
        try:
            for watched in self._watched:
                watched.filter(self._options)
        except CaptureError:
            self._options = before
            for watched in self._watched:
                with contextlib.suppress(CaptureError):
                    watched.filter(before)
            raise

    def _wait(self, until: float) -> bool:
        """Wait for packets, at the most `until` then; return whether somebody woke us."""
        if self._weave or self._stopping is not None:
            until = monotonic() + RETIRE_MS / 2000
        poller = poll()
        poller.register(self._woken_end, POLLIN)
        for watched in self._watched:
            if watched.handle is not None:
                poller.register(watched.handle.fileno(), POLLIN)
        ready = poller.poll(max(0.0, until - monotonic()) * 1000)
        if all(number != self._woken_end for number, _ in ready):
            return False
        with contextlib.suppress(BlockingIOError):
            while os.read(self._woken_end, 512):
                pass
        return True

    def _read(self, unseen: int) -> int:
        """Take what each interface has, and return up to when (ns) all packets are here.

        What an interface gives comes in order; what it does not have now is of `unseen` or later.
        """
        horizons = []
        for watched in self._watched:
            taken = watched.read(self._batch_size)
            if taken is not None:
                self._weave.put(self._batch(watched, taken))
            if watched.handle is not None:
                drained = taken is None or len(taken.time) < self._batch_size
                last = unseen if taken is None else int(taken.time[-1])
                horizons.append(max(last, unseen) if drained else last)
        return min(horizons, default=unseen)

    @property
    def _alone(self) -> bool:
        return sum(watched.handle is not None for watched in self._watched) < 2

    def _is_last(self, horizon: int) -> bool:
        """Whether, after `stop`, all is here that had come by then."""
        if self._stopping is None:
            return False
        at, wall = self._stopping
        return horizon >= wall or monotonic() > at + _LAST_PACKETS

    def _woven(self, horizon: int | None) -> Iterator[RawBatch]:
        """Give the packets up to `horizon` in batches."""
        whole = self._weave.take(horizon)
        if whole is not None:
            for start in range(0, len(whole), self._batch_size):
                yield rows_of(whole, slice(start, start + self._batch_size))

    def _batch(self, watched: Watched, taken: Taken) -> RawBatch:
        n = len(taken.time)
        return RawBatch(
            data=np.frombuffer(taken.data, np.uint8),
            offset=taken.offset,
            captured=taken.captured,
            wire_length=taken.captured,  # neither library tells how long the packet was
            time=taken.time,
            link=np.full(n, watched.link, np.uint16),
            interface=np.full(n, watched.number, np.uint16),
            interfaces=self._numbers.names,
        )

    def _empty(self, now: int | None) -> RawBatch:
        longs, words, shorts = np.empty(0, np.int64), np.empty(0, np.uint32), np.empty(0, np.uint16)
        return RawBatch(np.empty(0, np.uint8), longs, words, words, longs, shorts, shorts, self._numbers.names, now)

    def _look(self) -> None:
        self._looked = monotonic()
        for watched in self._watched:
            watched.look(self._options)
