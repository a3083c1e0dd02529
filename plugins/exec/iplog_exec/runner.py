"""Run commands beside each other: so many at once, so many a minute, each no longer than it may take."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

MINUTE = 60.0
_GRACE = 2.0
"""Seconds after which what was killed is left alone: one that became another user cannot be."""


@dataclass(frozen=True)
class Run:
    """A command to run, with its environment and what it reads."""

    arguments: list[str]
    environment: dict[str, str]
    input: bytes


class Runner:
    """Run commands in the order in which they are put in; `put` never waits.

    `note` takes a line about commands that failed, or were not run: the first at once, then one a minute.
    """

    def __init__(self, timeout: float, at_once: int, per_minute: int, note: Callable[[str], None]) -> None:
        self.started = 0
        self.failed = 0
        self._timeout = timeout
        self._at_once = at_once
        self._per_minute = per_minute
        self._note = note
        self._recent: deque[float] = deque()
        self._waiting: deque[Run] = deque()
        self._running: dict[threading.Thread, subprocess.Popen[bytes] | None] = {}
        self._changed = threading.Lock()
        self._stopped = False
        self._failures = _Told()
        self._left_out = _Told()

    @property
    def is_busy(self) -> bool:
        with self._changed:
            return bool(self._running)

    def put(self, run: Run) -> None:
        """Run a command as soon as it is its turn; not at all where there were too many within a minute."""
        now = monotonic()
        while self._recent and self._recent[0] <= now - MINUTE:
            self._recent.popleft()
        # Commands that take long keep others waiting; more than those of a minute would only come when nobody wants them any more.
        if len(self._recent) >= self._per_minute or len(self._waiting) >= self._per_minute:
            with self._changed:
                self._left_out.add()
            return
        self._recent.append(now)
        with self._changed:
            self._waiting.append(run)
            if len(self._running) < self._at_once:
                thread = threading.Thread(target=self._work, name="exec", daemon=True)
                self._running[thread] = None
                thread.start()

    def tell(self, *, last: bool = False) -> None:
        """Tell what was not run, and what failed, where that is due."""
        with self._changed:
            left_out, failures, reason = self._left_out.due(last), self._failures.due(last), self._failures.reason
        if left_out:
            self._note(f"for {_alerts(left_out)} no command was run: {self._per_minute:,} may be started within a minute, and as many wait.")
        if failures == 1:
            self._note(f"a command failed: {reason}.")
        elif failures:
            self._note(f"{failures:,} commands failed, the last one so: {reason}.")

    def stop(self) -> None:
        """Kill what still runs, leave out what waits, and tell the rest."""
        with self._changed:
            self._stopped = True
            ended = len(self._waiting)
            self._waiting.clear()
            running = dict(self._running)
        for process in running.values():
            if process:
                _kill(process)
        for thread in running:
            thread.join(_GRACE)
        self.tell(last=True)
        if ended:
            self._note(f"for {_alerts(ended)} no command was run: iplog ended.")

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    del self._running[threading.current_thread()]
                    return
                run = self._waiting.popleft()
                self.started += 1
            if reason := self._failure_of(run):
                with self._changed:
                    self.failed += 1
                    self._failures.add(f"{run.arguments[0]}: {reason}")
                self.tell()

    def _failure_of(self, run: Run) -> str | None:
        """Run a command to its end; return why it failed, None where it did not."""
        try:
            # A file: a command that reads nothing holds up nobody.
            with tempfile.TemporaryFile() as given:
                given.write(run.input)
                given.seek(0)
                process = subprocess.Popen(
                    run.arguments,
                    env=run.environment,
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    start_new_session=True,
                )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return f"it could not be started: {reason[:1].lower()}{reason[1:]}"
        with self._changed:
            self._running[threading.current_thread()] = process
            stopped = self._stopped
        if stopped:
            _kill(process)
        try:
            status = process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            took = f"it took more than {self._timeout:g} seconds and"
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                return f"{took} could not be killed"
            return f"{took} was killed"
        finally:
            with self._changed:
                self._running[threading.current_thread()] = None
        if status < 0:
            return "it was killed when iplog ended" if self._stopped else f"it was ended by signal {-status}"
        return f"its exit status was {status}" if status else None


class _Told:
    """How often something happened since it was told."""

    def __init__(self) -> None:
        self.reason = ""
        self._count = 0
        self._last = -MINUTE

    def add(self, reason: str = "") -> None:
        self._count += 1
        self.reason = reason

    def due(self, last: bool) -> int:
        """Return how often it happened, once a minute or at the end; 0 where nothing is to be told."""
        now = monotonic()
        if not self._count or (now - self._last < MINUTE and not last):
            return 0
        count, self._count, self._last = self._count, 0, now
        return count


def _alerts(count: int) -> str:
    return f"{count:,} alert{'' if count == 1 else 's'}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command and what it started. Its own number is taken only until it was waited for."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
