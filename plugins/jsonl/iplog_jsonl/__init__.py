"""Writes JSON lines in the shape of Suricata's EVE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from pydantic import Field

from iplog_core import Event, IplogError, Records, Sink, SinkContext, SinkSettings, hookimpl
from iplog_core.sink import close_output, hand_over_output, open_output, reopen_output, write_output
from iplog_jsonl.eve import eve_line
from iplog_jsonl.records import RecordLines

iplog_api = 2


class Settings(SinkSettings):
    """The `[plugins.jsonl]` table."""

    path: str | None = Field(None, description="File to add lines to; default, or '-': standard output.")
    community_id: bool = Field(False, description="Write the Community ID of each flow, not only in alerts.")


class Jsonl(Sink[Settings]):
    """Write one JSON object a line for each event."""

    name = "jsonl"
    format = "json"

    def __init__(self, settings: Settings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._path = None if context.standard_output or settings.path == "-" else settings.path
        self._records = RecordLines(settings.community_id)
        self._output: BinaryIO | None = None

    def open(self) -> None:
        self._output = open_output(self._path)

    def write(self, events: Sequence[Event]) -> None:
        """Write events and push them out: whoever reads along waits for no buffer, and a closed pipe is noticed here."""
        lines = [self._records.of(event) if isinstance(event, Records) else f"{eve_line(event)}\n".encode() for event in events]
        if lines and self._output is not None:
            write_output(self._output, b"".join(lines))

    def hand_over(self, uid: int, gid: int) -> None:
        hand_over_output(self._output, uid, gid)

    def reopen(self) -> None:
        if self._path is None or self._output is None:
            return
        try:
            self._output = reopen_output(self._output, self._path)
        except IplogError as error:
            self.context.note(f"jsonl: {error} The lines go on into the file that was open.")

    def close(self) -> None:
        if self._output is not None:
            close_output(self._output)


@hookimpl
def iplog_sinks() -> list[type[Sink[Any]]]:
    return [Jsonl]
