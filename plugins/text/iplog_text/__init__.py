"""Writes the classic log lines."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from pydantic import Field

from iplog_core import Alert, Event, IplogError, Records, Sink, SinkContext, SinkSettings, hookimpl
from iplog_core.lines import Lines
from iplog_core.lines.forms import Block
from iplog_core.sink import close_output, hand_over_output, open_output, reopen_output, write_output
from iplog_text.prefixes import read_prefix, watch_prefix
from iplog_text.repeats import Repeats

iplog_api = 2

_COLOURS = {"high": "\x1b[1;31m", "medium": "\x1b[31m", "low": "\x1b[33m", "info": "\x1b[36m"}
_PLAIN = "\x1b[0m"
_MINUTE = 60.0


class Settings(SinkSettings):
    """The `[plugins.text]` table."""

    path: str | None = Field(None, description="File to add lines to; default, or '-': standard output.")


class Text(Sink[Settings]):
    """Write a line for each event, to a terminal, a pipe or a file; identical lines in a row become one."""

    name = "text"
    format = "text"

    def __init__(self, settings: Settings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._lines = Lines(context, read_prefix() if context.mode == "read" else watch_prefix(context.hostname, context.pid))
        self._repeats = Repeats()
        self._path = None if context.standard_output or settings.path == "-" else settings.path
        self._terminal = context.terminal if self._path is None else None
        self._output: BinaryIO | None = None
        self._lock = threading.Lock()
        self._reminder: threading.Timer | None = None

    def open(self) -> None:
        if self._terminal is None:
            self._output = open_output(self._path)

    def expect(self, events: Sequence[Event]) -> None:
        self._lines.expect(events)

    def write(self, events: Sequence[Event]) -> None:
        self._lines.prepare(events, self.queued)
        written: list[bytes] = []
        with self._lock:
            for event in events:
                written += self._repeats.collapse(self._text(event))
            self._remind()
            self._put(written)

    def hand_over(self, uid: int, gid: int) -> None:
        hand_over_output(self._output, uid, gid)

    def reopen(self) -> None:
        """Go on in the file that has the name now. What repeats a line of the file before is told there."""
        if self._path is None or self._output is None:
            return
        with self._lock:
            try:
                self._put(self._repeats.rest())
            finally:
                self._open_anew(self._path, self._output)

    def close(self) -> None:
        with self._lock:
            rest = self._repeats.rest()
            self._remind()
            self._put(rest)
            if self._output is not None:
                close_output(self._output)

    def _open_anew(self, path: str, output: BinaryIO) -> None:
        try:
            self._output = reopen_output(output, path)
        except IplogError as error:
            self.context.note(f"text: {error} The lines go on into the file that was open.")

    def _remind(self) -> None:
        """See to it that repeats are told after a minute: while watching, no other line may come for long, nor packet time go on."""
        if self._reminder and not self._repeats.held:
            self._reminder.cancel()
            self._reminder = None
        elif self._repeats.held and not self._reminder and self.context.mode == "watch":
            self._reminder = threading.Timer(_MINUTE, self._tell_repeats)
            self._reminder.daemon = True
            self._reminder.start()

    def _tell_repeats(self) -> None:
        with self._lock, suppress(OSError):  # the next line meets the same fault, and is counted
            self._reminder = None
            self._put(self._repeats.rest())

    def _text(self, event: Event) -> Block:
        if isinstance(event, Records):
            return self._lines.text(event)
        times, lines = self._lines.of(event)
        return self._lines.prefixed(times, [self._paint(line, event) for line in lines] if isinstance(event, Alert) else lines)

    def _paint(self, line: str, alert: Alert) -> str:
        if self._terminal is None or not self._terminal.colour:
            return line
        return f"{_COLOURS[alert.severity]}{line}{_PLAIN}"

    def _put(self, lines: list[bytes]) -> None:
        """Write lines, each with its newline, and push them out: whoever reads along waits for no buffer, and a closed pipe is noticed here."""
        if not lines:
            return
        if self._terminal is not None:
            self._terminal.write(b"".join(lines).decode())
        elif self._output is not None:
            write_output(self._output, b"".join(lines))


@hookimpl
def iplog_sinks() -> list[type[Sink[Any]]]:
    return [Text]
