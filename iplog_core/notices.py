"""What iplog says of itself while it watches: at once on standard error, and in its turn in every log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import time_ns

from iplog_core.events import Notice


class Notices:
    """Lines on their way to the sinks. Any thread may add one; `tell` takes it at once, too."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._waiting: deque[Notice] = deque()

    def note(self, line: str) -> None:
        """Tell a line, and log it."""
        self._tell(line)
        self.log(line)

    def log(self, line: str) -> None:
        """Log a line that need not be told."""
        self._waiting.append(Notice(time=time_ns(), message=line))

    def take(self) -> list[Notice]:
        """Return the lines that wait, oldest first, once."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]
