"""A file's bytes without a copy."""

from __future__ import annotations

import os
from mmap import ALLOCATIONGRANULARITY

from iplog_core.kernel.mapped import Window


class Windows:
    """Windows on a file, each made anew: the file may grow and shrink meanwhile."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.position = 0
        """How far the file was looked at."""

    @property
    def size(self) -> int:
        return os.fstat(self._file).st_size

    def at(self, position: int, size: int) -> tuple[Window, int]:
        """Return a window with the `size` bytes from `position` on, or what the file has of them, and how many bytes stand before these in it.

        OSError: the file cannot be mapped, or there are too many windows.
        """
        before = position % ALLOCATIONGRANULARITY
        there = max(self.size - position, 0)
        self.position = position + min(size, there)
        # A window of nothing cannot be had: where the file has nothing any more, it shows a byte that is none of it.
        return Window(self._file, position - before, before + min(size, there) or 1), before

    def leave(self, position: int) -> None:
        """Have the file read as a stream from `position` on."""
        os.lseek(self._file, position, os.SEEK_SET)
