"""Sends alerts by mail, chat and the like, through Apprise."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, SecretStr

from iplog_core import HOUR, Alert, Duration, Event, KindName, Severity, Sink, SinkContext, SinkSettings, hookimpl
from iplog_notify.lane import Lane
from iplog_notify.message import FIELDS, Message, filled, unknown_fields

iplog_api = 2

_SEVERITIES: tuple[Severity, ...] = get_args(Severity)
_WAIT = 0.05


def _template(text: str) -> str:
    if unknown := unknown_fields(text):
        raise ValueError(f"an alert has no {{{unknown[0]}}}; expected one of {', '.join(FIELDS)}")
    return text


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected one line: a title is the subject of a mail")
    return text


Template = Annotated[str, AfterValidator(_template)]


class Settings(SinkSettings):
    """The `[plugins.notify]` table."""

    urls: list[SecretStr] = Field(min_length=1, description="Where to send to, as Apprise has it: 'mailtos://USER:PASSWORD@example.net', 'slack://...'.")
    kinds: list[KindName] = Field(default_factory=list, description="Kinds of alerts that are sent, such as 'port_scan'; default: all.")
    min_severity: Severity = Field("medium", description="The least severity that is sent.")
    states: list[Literal["start", "update", "end"]] = Field(["start"], min_length=1, description="What is sent: the start of an episode, updates, the end.")
    title: Annotated[Template, AfterValidator(_one_line)] = Field("iplog: {signature} from {src}", description="Title of a message, and subject of a mail.")
    body: Template = Field(
        "{signature} from {src} to {dest}, {packets} packets since {first_seen}. Severity: {severity}.", description="Text of a message; '{kind}' and the like."
    )
    per_minute: int = Field(6, ge=1, le=600, description="Messages within a minute, at the most; what comes beyond that is told in one, together.")
    retry_for: Duration = Field(HOUR, description="How long a message that could not be delivered is tried again.")


class Notify(Sink[Settings]):
    """Send a message for each alert that is grave enough."""

    name = "notify"

    def __init__(self, settings: Settings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._least = _SEVERITIES.index(settings.min_severity)
        self._lanes: list[Lane] = []

    def open(self) -> None:
        from iplog_notify.services import services

        given = self.settings
        self._lanes = [
            Lane(service.send, given.per_minute, given.retry_for, lambda line, subject=service.subject: self.context.note(f"notify: {subject}: {line}"))  # type: ignore[misc]
            for service in services([url.get_secret_value() for url in given.urls])
        ]

    def write(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, Alert) and self._is_meant(event):
                message = Message(filled(self.settings.title, event), filled(self.settings.body, event), filled("{signature} from {src}", event))
                for lane in self._lanes:
                    lane.put(message)

    def close(self) -> None:
        """Send what waits, without waiting for the next minute. Raise OSError where something was not delivered."""
        for lane in self._lanes:
            lane.end()
        while any(lane.is_busy for lane in self._lanes) and self.pause(_WAIT):
            pass
        if lost := sum(lane.give_up() for lane in self._lanes):
            raise OSError(errno.EIO, f"{lost:,} alert{' was' if lost == 1 else 's were'} not delivered")

    def _is_meant(self, alert: Alert) -> bool:
        given = self.settings
        return alert.state in given.states and _SEVERITIES.index(alert.severity) >= self._least and (not given.kinds or alert.kind in given.kinds)


@hookimpl
def iplog_sinks() -> list[type[Sink[Any]]]:
    return [Notify]
