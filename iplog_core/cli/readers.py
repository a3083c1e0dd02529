"""Processes that read captures side by side, one for each capture, a few at a time."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from iplog_core.cli.spool import End, Spool, read_spool
from iplog_core.errors import IplogError
from iplog_core.events import Event

Read = Callable[[str, Spool], End]

_FORK = get_context("fork")

_NO_ROOM = 28
"""The status of a reader that could not write what it found."""


class Readers:
    """Reads each of `names` by `read`, in a process of its own, `count` at a time, within `with`; what still runs at its end is killed.

    They are started by a process that does nothing else, forked at once: this one is about to have threads, and a process with threads cannot be forked
    safely. All of them are a process group, so that a Ctrl-C comes here only, and none of them stays behind.
    """

    def __init__(self, names: Sequence[str], count: int, read: Read, hurry: Callable[[], None]) -> None:
        self._names = names
        self._count = count
        self._read = read
        self._hurry = hurry
        self._interrupted = False

    def __enter__(self) -> Readers:
        try:
            self._folder = TemporaryDirectory(prefix="iplog-")
        except OSError:
            raise IplogError("--jobs: there is no folder to keep what is read until its turn comes; set TMPDIR to one with room.") from None
        self._ended: dict[int, int] = {}
        self._reports, theirs = _FORK.Pipe()
        self._starter = _FORK.Process(target=self._start, args=(theirs,), name="readers")
        self._starter.start()
        self._handlers = [(number, signal.signal(number, self._interrupt)) for number in (signal.SIGINT, signal.SIGTERM)]
        theirs.close()
        with suppress(OSError):  # it has done so itself
            os.setpgid(self._group, self._group)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._group, signal.SIGKILL)
        self._starter.join()
        self._reports.close()
        for number, handler in self._handlers:
            signal.signal(number, handler)
        self._folder.cleanup()

    @property
    def interrupted(self) -> bool:
        """Whether a first SIGINT or SIGTERM came: what is being read ends, nothing more begins, and `hurry` was called. The second interrupts whatever
        runs here."""
        return self._interrupted

    def __iter__(self) -> Iterator[tuple[str, Iterator[list[Event] | End]]]:
        """Give each name, in order, with what its reader tells, as soon as that is known: its events and their `End`."""
        for number, name in enumerate(self._names):
            yield name, self._told(number)
            self._spool(number).unlink(missing_ok=True)

    def _told(self, number: int) -> Iterator[list[Event] | End]:
        status = self._status(number)
        if status == 0:
            yield from read_spool(self._spool(number))
        elif status is None:
            yield End(faults=[f"not read: {'interrupted before' if self._interrupted else 'the process that starts the readers is gone'}."])
        else:
            how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"failed with status {status}"
            if status == _NO_ROOM:
                yield End(faults=[f"there was no room for what it found in {self._folder.name}; what it found is left out. Set TMPDIR to a folder with more."])
            else:
                yield End(faults=[f"the process that read it {how}; what it found is left out."])

    def _status(self, number: int) -> int | None:
        """Wait until a capture is read, and return the status of its process; None where there was none."""
        with suppress(EOFError, ConnectionResetError):
            while number not in self._ended:
                ended, status = self._reports.recv()
                self._ended[ended] = status
        return self._ended.get(number)

    def _spool(self, number: int) -> Path:
        return Path(self._folder.name, str(number))

    @property
    def _group(self) -> int:
        assert self._starter.pid is not None
        return self._starter.pid

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        with suppress(ProcessLookupError):
            os.kill(self._group, signal.SIGTERM)
        self._hurry()

    # What follows runs in the process that starts the readers, and in the readers.

    def _start(self, reports: Connection) -> None:
        """Start readers as others end, and report each that ends."""
        os.setpgid(0, 0)
        self._reports.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        waiting = deque(enumerate(self._names))
        running: dict[int, tuple[int, ForkProcess]] = {}

        def stop(number: int, frame: FrameType | None) -> None:
            waiting.clear()
            for _, process in running.values():
                process.terminate()

        signal.signal(signal.SIGTERM, stop)
        while waiting or running:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # so that it finds each reader in `running`
            while waiting and len(running) < self._count:
                number, name = waiting.popleft()
                process = _FORK.Process(target=self._read_one, args=(number, name, reports), name=name)
                process.start()
                running[process.sentinel] = number, process
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            for ready in wait([reports, *running]):
                if ready is reports:  # nobody is there any more who would read them
                    for _, process in running.values():
                        process.kill()
                        process.join()
                    self._folder.cleanup()
                    return
                if isinstance(ready, int):
                    number, process = running.pop(ready)
                    process.join()
                    reports.send((number, process.exitcode))

    def _read_one(self, number: int, name: str, reports: Connection) -> None:
        reports.close()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        if name == "-" and sys.stdin is not None:
            sys.stdin = open(0, closefd=False)  # noqa: SIM115  multiprocessing has put another in its place
        try:
            self._keep(name, Spool(self._spool(number)))
        except OSError:
            raise SystemExit(_NO_ROOM) from None

    def _keep(self, name: str, spool: Spool) -> None:
        try:
            end = self._read(name, spool)
        except IplogError as error:
            end = End(faults=list(error.faults))
        except KeyboardInterrupt:
            end = End(faults=["interrupted before anything of it was read."])
        spool.finish(end)
