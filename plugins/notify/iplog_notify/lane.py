"""Bring messages to one service, in order: not too many a minute, and again where one was not delivered."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from iplog_notify.message import Message, summary

_MINUTE = 60.0
_ROOM = 1000
"""Messages that may wait; the oldest beyond that are counted in the next summary."""

_FIRST_DELAY = 1.0
_LONGEST_DELAY = 60.0
_LAST_TRIES = 3
"""Times that a message is tried at the end of a run."""


class Lane:
    """A service with its queue and its thread. `send` returns why a message was not delivered, None where it was.

    `note` takes a line where the service fails, and one where it is back.
    """

    def __init__(self, send: Callable[[str, str], str | None], per_minute: int, retry_for: float, note: Callable[[str], None]) -> None:
        self._send = send
        self._per_minute = per_minute
        self._retry_for = retry_for
        self._note = note
        self._waiting: deque[tuple[float, Message]] = deque()
        self._forgotten = 0
        self._recent: deque[float] = deque()
        self._lost = 0
        self._lost_untold = 0
        self._fails_since: float | None = None
        self._under_way = 0
        self._ending = self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="notify", daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        return self._thread.is_alive()

    def put(self, message: Message) -> None:
        with self._changed:
            if len(self._waiting) >= _ROOM:
                self._waiting.popleft()
                self._forgotten += 1
            self._waiting.append((monotonic(), message))
            self._changed.notify()

    def end(self) -> None:
        """Let the thread end once all is sent, or was tried a last time."""
        with self._changed:
            self._ending = True
            self._changed.notify()

    def give_up(self) -> int:
        """Stop at once, and return how many alerts were not delivered."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
            left = self._under_way + sum(message.alerts for _, message in self._waiting) + self._forgotten
        return self._lost + left

    def _work(self) -> None:
        while (found := self._next()) is not None:
            since, message = found
            self._deliver(since, message)
            with self._changed:
                self._under_way = 0

    def _next(self) -> tuple[float, Message] | None:
        """Return the next message, as soon as one may be sent; None where there will be none."""
        is_held = False
        with self._changed:
            while True:
                if self._stopped or (self._ending and not self._waiting and not self._forgotten):
                    return None
                now = monotonic()
                while self._recent and self._recent[0] <= now - _MINUTE:
                    self._recent.popleft()
                has_room = len(self._recent) < self._per_minute
                if self._waiting and (has_room or self._ending):
                    return self._taken(together=is_held or not has_room or self._forgotten > 0)
                is_held = is_held or bool(self._waiting)
                self._changed.wait(self._recent[0] + _MINUTE - now if self._waiting else None)

    def _taken(self, *, together: bool) -> tuple[float, Message]:
        if not together:
            since, message = self._waiting.popleft()
        else:
            since, _ = self._waiting[-1]
            message = summary([message for _, message in self._waiting], self._forgotten)
            self._waiting.clear()
            self._forgotten = 0
        self._under_way = message.alerts
        return since, message

    def _deliver(self, since: float, message: Message) -> None:
        delay, tries = _FIRST_DELAY, 0
        while True:
            failure = self._send(message.title, message.body)
            tries += 1
            if failure is None:
                self._recent.append(monotonic())
                self._back()
                return
            if self._fails_since is None:
                self._fails_since = monotonic()
                self._note(f"{failure}; it is tried again, and what follows waits.")
            with self._changed:
                is_over = tries >= _LAST_TRIES if self._ending else monotonic() - since >= self._retry_for
                if is_over or self._stopped:
                    self._lost += message.alerts
                    self._lost_untold += message.alerts
                    self._under_way = 0
                    return
                self._wait(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    def _wait(self, delay: float) -> None:
        """Wait until it is tried again: at once where the end has come meanwhile."""
        if self._ending:
            self._changed.wait_for(lambda: self._stopped, _FIRST_DELAY)
        else:
            self._changed.wait_for(lambda: self._stopped or self._ending, delay)

    def _back(self) -> None:
        if self._fails_since is not None:
            seconds = round(monotonic() - self._fails_since)
            lost = f"; {self._lost_untold:,} alert{' was' if self._lost_untold == 1 else 's were'} lost" if self._lost_untold else ""
            self._note(f"it takes messages again, after {seconds} second{'' if seconds == 1 else 's'}{lost}.")
            self._fails_since, self._lost_untold = None, 0
