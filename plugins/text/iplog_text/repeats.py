"""`last message repeated N times`: identical lines in a row become one."""

from __future__ import annotations

_MINUTE = 60 * 1_000_000_000


class Repeats:
    """Collapse identical lines in a row, looking past their prefixes.

    How often a line came again is told at the next different line, or once a minute has passed since it was last written or told.
    Time is that of the packets (ns), so that the output depends on them alone.
    """

    def __init__(self) -> None:
        self._line = ""
        self._since = 0
        self._held = 0
        self._last_prefix = ""

    def collapse(self, times: list[int], prefixes: list[str], lines: list[str]) -> list[str]:
        """Return what is to be written, prefixes included; the three lists go together."""
        written: list[str] = []
        current, since, held = self._line, self._since, self._held
        for time, prefix, line in zip(times, prefixes, lines, strict=True):
            if line != current:
                if held:
                    written.append(_told(self._last_prefix, held))
                    held = 0
            elif held or time - since < _MINUTE:
                held += 1
                self._last_prefix = prefix
                if time - since >= _MINUTE:
                    written.append(_told(prefix, held))
                    held, since = 0, time
                continue
            written.append(f"{prefix} {line}")
            current, since = line, time
        self._line, self._since, self._held = current, since, held
        return written

    @property
    def held(self) -> int:
        """How often the last line came again without being told yet."""
        return self._held

    def rest(self) -> list[str]:
        """Return what is still to be told when nothing comes after; the next line is written in full."""
        held, self._held, self._line = self._held, 0, ""
        return [_told(self._last_prefix, held)] if held else []


def _told(prefix: str, held: int) -> str:
    return f"{prefix} last message repeated {held} times"
