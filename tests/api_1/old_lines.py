"""A sink as plugin API 1 had them. It stays as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from iplog_core import Alert, Event, Sink, SinkSettings, hookimpl

iplog_api = 1


class Settings(SinkSettings):
    """The `[plugins.old_lines]` table."""


class OldLines(Sink[Settings]):
    """Write the kinds of alerts, a line each."""

    name = "old_lines"
    format = "old"

    def write(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Alert):
                sys.stdout.write(f"{self.context.mode}: {event.kind} {event.state}\n")


@hookimpl
def iplog_sinks() -> Iterable[type[Sink[Any]]]:
    return [OldLines]
