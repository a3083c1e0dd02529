"""Writes the classic log lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from iplog_core import Alert, Event, RecordKind, Records, Sink, SinkContext, SinkSettings, Stats, hookimpl
from iplog_core.sink import close_output, open_output
from iplog_core.timestamps import timestamps
from iplog_text.alerts import AlertLines
from iplog_text.hosts import Hosts
from iplog_text.lines import TrafficLines
from iplog_text.prefixes import watch_prefixes
from iplog_text.repeats import Repeats
from iplog_text.statistics import statistics_line

iplog_api = 1

_COLOURS = {"high": "\x1b[1;31m", "medium": "\x1b[31m", "low": "\x1b[33m", "info": "\x1b[36m"}
_PLAIN = "\x1b[0m"


class Settings(SinkSettings):
    """The `[plugins.text]` table."""

    path: str | None = Field(None, description="File to add lines to; default, or '-': standard output.")
    log_dest: bool | None = Field(None, description="Name the destination of each packet; default: over captures and in promiscuous mode.")
    resolve: bool = Field(False, description="Write the names of hosts, as the resolver of this machine knows them.")
    log_ip: bool = Field(False, description="Write the address of a host behind its name.")


class Text(Sink[Settings]):
    """Write a line for each event, to a terminal, a pipe or a file; identical lines in a row become one."""

    name = "text"
    format = "text"

    def __init__(self, settings: Settings, context: SinkContext) -> None:
        super().__init__(settings, context)
        log_dest = context.log_dest if settings.log_dest is None else settings.log_dest
        hosts = Hosts(resolve=settings.resolve, log_ip=settings.log_ip)
        self._traffic = TrafficLines(hosts, log_dest)
        self._alerts = AlertLines(hosts, log_dest)
        self._prefixes = timestamps if context.mode == "read" else watch_prefixes(context.hostname, context.pid)
        self._repeats = Repeats()
        self._path = None if context.standard_output or settings.path == "-" else settings.path
        self._terminal = context.terminal if self._path is None else None
        self._output: BinaryIO | None = None

    def open(self) -> None:
        if self._terminal is None:
            self._output = open_output(self._path)

    def write(self, events: Sequence[Event]) -> None:
        lines: list[str] = []
        for event in events:
            if isinstance(event, Records):
                rows = event.rows[event.rows["record"] != RecordKind.FLOW]
                lines += self._collapse(rows["time"], self._traffic.lines(rows))
            elif isinstance(event, Alert) and (line := self._alerts.line(event)):
                lines += self._collapse(np.array([event.time]), [self._paint(line, event)])
            elif isinstance(event, Stats):
                lines += self._collapse(np.array([event.time]), [statistics_line(event)])
        self._put(lines)

    def close(self) -> None:
        self._put(self._repeats.rest())
        if self._output is not None:
            close_output(self._output)

    def _collapse(self, times: NDArray[Any], lines: list[str]) -> list[str]:
        return self._repeats.collapse(times.tolist(), self._prefixes(times), lines)

    def _paint(self, line: str, alert: Alert) -> str:
        if self._terminal is None or not self._terminal.colour:
            return line
        return f"{_COLOURS[alert.severity]}{line}{_PLAIN}"

    def _put(self, lines: list[str]) -> None:
        """Write lines and push them out: whoever reads along waits for no buffer, and a closed pipe is noticed here."""
        if not lines:
            return
        text = "\n".join(lines) + "\n"
        if self._terminal is not None:
            self._terminal.write(text)
        elif self._output is not None:
            self._output.write(text.encode())
            self._output.flush()


@hookimpl
def iplog_sinks() -> list[type[Sink[Any]]]:
    return [Text]
