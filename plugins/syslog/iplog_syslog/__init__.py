"""Sends the classic log lines to syslog, on this host or to a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from iplog_core import Alert, Event, IplogError, Notice, RecordKind, Records, Sink, SinkContext, SinkSettings, hookimpl
from iplog_core.lines import Lines
from iplog_syslog.address import parse_address
from iplog_syslog.forms import local_form, rfc5424_form
from iplog_syslog.priority import Facility, Severity, priority

if TYPE_CHECKING:
    import ssl

    from iplog_syslog.connections import Connection
    from iplog_syslog.delivery import Delivery

iplog_api = 2

_BEHIND = 0.1
"""Seconds that events may have waited in the queue for it to count as quiet."""


def _address(text: str) -> str:
    parse_address(text)
    return text


class Settings(SinkSettings):
    """The `[plugins.syslog]` table."""

    address: Annotated[str, AfterValidator(_address)] = Field(
        "/dev/log", description="Where lines go: the path of a socket, or `udp://HOST`, `tcp://HOST` or `tls://HOST`, with `:PORT` if need be."
    )
    format: Literal["local", "rfc5424"] | None = Field(None, description="Form of a message; default: local for a path, rfc5424 for a server.")
    facility: Facility = Field("daemon", description="Facility of the messages.")
    priority: Severity = Field("notice", description="Severity of the messages.")
    ca_file: Path | None = Field(None, description="TLS: authorities that may vouch for the server, in PEM; default: those that this host trusts.")
    cert_file: Path | None = Field(None, description="TLS: certificate to show to the server, in PEM, if it asks for one.")
    key_file: Path | None = Field(None, description="TLS: key of that certificate; default: it is in the same file.")

    @model_validator(mode="after")
    def _only_for_tls(self) -> Settings:
        given = [name for name in ("ca_file", "cert_file", "key_file") if getattr(self, name) is not None]
        if given and parse_address(self.address).transport != "tls":
            raise ValueError(f"{given[0]} is for TLS, but address = {self.address!r} does not begin with tls://")
        if given == ["key_file"] or given == ["ca_file", "key_file"]:
            raise ValueError("key_file is the key of a certificate, and cert_file names none")
        return self


class Syslog(Sink[Settings]):
    """Send a line for each event to a syslog daemon. While it cannot be reached, lines wait."""

    name = "syslog"
    is_system_log = True

    def __init__(self, settings: Settings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._address = parse_address(settings.address)
        self._lines = Lines(context)
        code = priority(settings.facility, settings.priority)
        is_local = settings.format == "local" or (settings.format is None and self._address.transport == "local")
        self._form = local_form(code, context.pid) if is_local else rfc5424_form(code, context.hostname, context.pid)
        self._tls: ssl.SSLContext | None = None
        self._delivery: Delivery | None = None

    def open(self) -> None:
        """Read what TLS needs. That the daemon cannot be reached is no error: the first line tries."""
        from iplog_syslog.delivery import Delivery

        self._tls = self._tls_context()
        self._delivery = Delivery(f"syslog: {self.settings.address}", self._connect, self.pause, self.context.note)

    def expect(self, events: Sequence[Event]) -> None:
        self._lines.expect(events)

    def write(self, events: Sequence[Event]) -> None:
        is_quiet = monotonic() - self.queued < _BEHIND
        self._lines.prepare(events, self.queued)
        messages: list[bytes] = []
        for event in events:
            times, lines = self._lines.of(event)
            messages += self._form(times, _kinds(event, len(lines)), lines)
        if messages and self._delivery:
            # On a busy line the next events show soon enough that these were lost, on a quiet one nothing would.
            self._delivery.send(messages, settle=is_quiet)

    def reopen(self) -> None:
        """Connect anew, with certificates read anew; where they cannot be, those of before are kept."""
        try:
            self._tls = self._tls_context()
        except IplogError as error:
            self.context.note(f"{error} What was read before is kept.")
        if self._delivery:
            self._delivery.reopen()

    def close(self) -> None:
        if self._delivery:
            self._delivery.close()

    def _connect(self) -> Connection:
        from iplog_syslog.connections import connect

        return connect(self._address, self._tls, self.pause)

    def _tls_context(self) -> ssl.SSLContext | None:
        if self._address.transport != "tls":
            return None
        from iplog_syslog.tls import tls_context

        return tls_context(self.settings.ca_file, self.settings.cert_file, self.settings.key_file)


def _kinds(event: Event, count: int) -> list[str]:
    """Return what each line of an event is about: the event types of EVE, for the message's MSGID (RFC 5424, section 6.2.7)."""
    if isinstance(event, Records):
        record = event.rows["record"]
        column: list[str] = np.where(record[record != RecordKind.FLOW] == RecordKind.MALFORMED, "anomaly", "traffic").tolist()
        return column
    return ["alert" if isinstance(event, Alert) else "engine" if isinstance(event, Notice) else "stats"] * count


@hookimpl
def iplog_sinks() -> list[type[Sink[Any]]]:
    return [Syslog]
