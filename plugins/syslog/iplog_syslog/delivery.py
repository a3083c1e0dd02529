"""Bring messages to a syslog daemon, however often it goes away: they wait until it is back."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from time import monotonic

from iplog_syslog.connections import Connection, Pause

_AT_ONCE = 64
"""Messages that are sent in one go."""

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 3.0


class Delivery:
    """Send messages, in order, each at least once.

    `connect` opens a connection and raises OSError where it cannot; `note` takes a line where the daemon is gone, and one where it is back.
    """

    def __init__(self, subject: str, connect: Callable[[], Connection], pause: Pause, note: Callable[[str], None]) -> None:
        self._subject = subject
        self._connect = connect
        self._pause = pause
        self._note = note
        self._connection: Connection | None = None
        self._waiting: deque[bytes] = deque()
        self._failures = 0
        self._gone_since = 0.0
        self._told: set[str] = set()

    def send(self, messages: Iterable[bytes], *, settle: bool) -> None:
        """Send messages, trying again until it is done; with `settle`, wait until they have arrived. Raise OSError where there is no time left."""
        self._waiting.extend(messages)
        while True:
            try:
                self._push()
                if settle and self._connection:
                    self._connection.settle()
                return
            except OSError as error:
                self._broken(error)
                if not self._pause(self._delay):
                    self._waiting.clear()
                    # Never a BrokenPipeError: from a sink, that speaks of standard output.
                    raise ConnectionError(error.errno, _reason(error)) from None

    def reopen(self) -> None:
        """Close the connection; the next message opens another."""
        if self._connection is None:
            return
        try:
            self._connection.settle()
        except OSError as error:
            self._broken(error)
        else:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Wait until all has arrived, and end the connection."""
        self.send([], settle=True)
        if self._connection:
            self._connection.close()

    def _push(self) -> None:
        if self._connection:
            self._connection.check()
        while self._waiting:
            if self._connection is None:
                self._connection = self._connect()
            if self._failures:
                # One first: only when it has arrived, the daemon is back.
                self._connection.send(self._taken(1))
                self._connection.settle()
                self._back()
            else:
                self._connection.send(self._taken(_AT_ONCE))

    def _taken(self, most: int) -> Iterator[bytes]:
        """Take messages out of the queue, one by one as they are sent."""
        for _ in range(min(most, len(self._waiting))):
            yield self._waiting.popleft()

    @property
    def _delay(self) -> float:
        """Seconds until the next attempt. A connection that broke is opened again at once: a restart is over soon."""
        return min(_FIRST_DELAY * 2 ** min(self._failures - 2, 10), _LONGEST_DELAY) if self._failures > 1 else 0.0

    def _broken(self, error: OSError) -> None:
        """Keep what may not have arrived, and tell why nothing arrives, each reason once."""
        worked = self._connection is not None and not self._failures
        if not self._failures:
            self._gone_since = monotonic()
        self._failures += 1
        if self._connection:
            self._waiting.extendleft(reversed(self._connection.unsure))
            self._connection.close()
            self._connection = None
        what = _reason(error)
        if not worked and what not in self._told:
            self._told.add(what)
            self._note(f"{self._subject}: {what}; lines wait until it is there.")

    def _back(self) -> None:
        if self._told:
            seconds = round(monotonic() - self._gone_since)
            self._note(f"{self._subject}: it is there, after {seconds} second{'' if seconds == 1 else 's'}; the lines that waited follow.")
        self._failures = 0
        self._told.clear()


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message.rstrip('.')})"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "TLS failed (it closed the connection)"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason.lower().replace('_', ' ') if error.reason else 'OpenSSL gives no reason'})"
    what = error.strerror or str(error)
    return what[:1].lower() + what[1:]
