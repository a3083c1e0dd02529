"""`last message repeated N times`: identical lines in a row become one."""

from __future__ import annotations

import numpy as np

from iplog_core.lines.forms import Block

_MINUTE = 60 * 1_000_000_000


class Repeats:
    """Collapse identical lines in a row, looking past their prefixes.

    How often a line came again is told at the next different line, or once a minute has passed since it was last written or told.
    Time is that of the packets (ns), so that the output depends on them alone.
    """

    def __init__(self) -> None:
        self._line = b""
        self._since = 0
        self._held = 0
        self._last_prefix = b""

    def collapse(self, text: Block) -> list[bytes]:
        """Return what is to be written, prefixes and newlines included. Lines between two repeats stay in one piece."""
        count = len(text)
        if not count:
            return []
        data, begins, marks, times = text.data, text.begins, text.marks, text.times
        text.again[0] = data[marks[0] : begins[1]] == self._line
        written: list[bytes] = []
        done = 0
        for place in np.flatnonzero(text.again).tolist():
            if place > done:
                self._different(written, data[begins[done] : begins[place]], int(times[place - 1]))
            done = place + 1
            time, prefix = int(times[place]), data[begins[place] : marks[place]]
            if not self._held and time - self._since >= _MINUTE:
                written.append(data[begins[place] : begins[done]])
                self._since = time
                continue
            self._held += 1
            self._last_prefix = prefix
            if time - self._since >= _MINUTE:
                written.append(_told(prefix, self._held))
                self._held, self._since = 0, time
        if count > done:
            self._different(written, data[begins[done] :], int(times[-1]))
        self._line = data[marks[-1] :]
        return written

    @property
    def held(self) -> int:
        """How often the last line came again without being told yet."""
        return self._held

    def rest(self) -> list[bytes]:
        """Return what is still to be told when nothing comes after; the next line is written in full."""
        held, self._held, self._line = self._held, 0, b""
        return [_told(self._last_prefix, held)] if held else []

    def _different(self, written: list[bytes], lines: bytes, time: int) -> None:
        """Write lines of which none repeats the one before; `time` is that of the last of them."""
        if self._held:
            written.append(_told(self._last_prefix, self._held))
            self._held = 0
        written.append(lines)
        self._since = time


def _told(prefix: bytes, held: int) -> bytes:
    return b"%slast message repeated %d times\n" % (prefix, held)
