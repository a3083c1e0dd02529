"""Files of this machine's configuration, which may change while iplog runs."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

_PAUSE = 1.0


class Watched:
    """A file, and whether it has changed since it was last asked about."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: tuple[int, ...] | None = ()
        self._next = 0.0

    def changed(self) -> bool:
        """Whether the file is another than at the last call, the first one included. It is looked at once a second at the most."""
        if (now := monotonic()) < self._next:
            return False
        self._next = now + _PAUSE
        before, self._state = self._state, self._now()
        return self._state != before

    def text(self) -> str:
        """Return what stands in the file: nothing where it cannot be read."""
        try:
            return self._path.read_text("utf-8", errors="replace")
        except OSError:
            return ""

    def _now(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
