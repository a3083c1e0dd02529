"""A table of the alerts, for a spreadsheet: comma-separated values, a line for each.

This works as it stands. Make it yours: change what `write` does with an event. It runs
on a thread of its own, so that it may take its time; what it raises is reported, and
the events count as lost.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

from iplog_core import Alert, Event, Sink, SinkContext, SinkSettings, hookimpl
from iplog_core.sink import close_output, open_output, write_output
from iplog_core.timestamps import timestamp
from pydantic import Field

iplog_api = 2


class Settings(SinkSettings):
    """The `[plugins.my_plugin]` table."""

    path: str | None = Field(
        None, description="File to add lines to; default: standard output."
    )
    ends: bool = Field(True, description="Write a line for the end of an alert, too.")


class MyPlugin(Sink[Settings]):
    """Write alerts as comma-separated values."""

    name = "my_plugin"
    format = "my_plugin"
    """It serves `--format my_plugin`. A sink that writes no text leaves this out."""

    def __init__(self, settings: Settings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._output: BinaryIO | None = None

    def open(self) -> None:
        self._output = open_output(
            None if self.context.standard_output else self.settings.path
        )

    def write(self, events: Sequence[Event]) -> None:
        """Take events, in order: traffic (`Records`), alerts, statistics, notices."""
        states = ("start", "end") if self.settings.ends else ("start",)
        alerts = [event for event in events if isinstance(event, Alert)]
        rows = [_row(alert) for alert in alerts if alert.state in states]
        lines = io.StringIO(newline="")
        csv.writer(lines).writerows(rows)
        if rows and self._output is not None:
            write_output(self._output, lines.getvalue().encode())

    def close(self) -> None:
        if self._output is not None:
            close_output(self._output)


def _row(alert: Alert) -> list[str | int | None]:
    about = [timestamp(alert.time), alert.state, alert.severity, alert.kind]
    return [
        *about,
        alert.src_ip,
        alert.dest_ip,
        alert.dest_port,
        alert.packets,
        alert.bytes,
    ]


@hookimpl
def iplog_sinks() -> Iterable[type[Sink[Any]]]:
    return [MyPlugin]
