"""Runs a command for an alert."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from iplog_core import Alert, Duration, Event, IplogError, KindName, Severity, Sink, SinkContext, SinkSettings, hookimpl
from iplog_exec.arguments import FIELDS, arguments, environment, fields_of, json_of, unknown_fields
from iplog_exec.runner import Run, Runner

iplog_api = 2

_SEVERITIES: tuple[Severity, ...] = get_args(Severity)
_WAIT = 0.05


class Settings(SinkSettings):
    """The `[plugins.exec]` table."""

    command: list[str] = Field(description="The program, by its whole path, and its arguments; '{src_ip}' and the like in one stand for what the alert has.")
    kinds: list[KindName] = Field(default_factory=list, description="Kinds of alerts it is run for, such as 'port_scan'; default: all.")
    min_severity: Severity = Field("medium", description="The least severity that it is run for.")
    states: list[Literal["start", "update", "end"]] = Field(
        ["start"], min_length=1, description="What it is run for: the start of an episode, updates, the end."
    )
    timeout: Duration = Field(10.0, description="Seconds that a command may take; it is killed then, with all that it started.")
    at_once: int = Field(4, ge=1, le=64, description="Commands that run at the same time, at the most.")
    per_minute: int = Field(30, ge=1, le=6000, description="Commands started within a minute, at the most; for what comes beyond that none is run.")

    @field_validator("command")
    @classmethod
    def _can_be_run(cls, command: list[str]) -> list[str]:
        if not command or not command[0].startswith("/"):
            raise ValueError("expected the whole path of a program first, such as ['/usr/local/bin/page-me', '{kind}', '{src_ip}']; no shell looks for it")
        if "{" in command[0]:
            raise ValueError(f"the program is {command[0]!r}; expected a fixed one: alerts may only give arguments")
        if any("\0" in part for part in command):
            raise ValueError("there is a NUL in it, which no program can be given")
        if unknown := unknown_fields(command):
            raise ValueError(f"an alert has no {{{unknown[0]}}}; expected one of {', '.join(FIELDS)}")
        return command


class Exec(Sink[Settings]):
    """Run a command for each alert that is grave enough; never through a shell."""

    name = "exec"

    def __init__(self, settings: Settings, context: SinkContext) -> None:
        super().__init__(settings, context)
        self._least = _SEVERITIES.index(settings.min_severity)
        self._runner: Runner | None = None

    def open(self) -> None:
        program = self.settings.command[0]
        if not os.path.isfile(program):
            raise IplogError(f"exec: {program}: there is no such file; expected the whole path of a program in plugins.exec.command.")
        if not os.access(program, os.X_OK):
            raise IplogError(f"exec: {program}: it may not be executed; expected a program, or a script with its execute bit set.")
        given = self.settings
        self._runner = Runner(given.timeout, given.at_once, given.per_minute, lambda line: self.context.note(f"exec: {line}"))

    def write(self, events: Sequence[Event]) -> None:
        if self._runner is None:
            return
        for event in events:
            if isinstance(event, Alert) and self._is_meant(event):
                fields = fields_of(event)
                self._runner.put(Run(arguments(self.settings.command, fields), environment(fields), json_of(event)))
        self._runner.tell()

    def close(self) -> None:
        """Wait for the commands that still run or wait. Raise OSError where some failed, so that the run's exit status tells."""
        runner = self._runner
        if runner is None:
            return
        while runner.is_busy and self.pause(_WAIT):
            pass
        runner.stop()
        if runner.failed:
            raise OSError(errno.EIO, f"{runner.failed:,} of {runner.started:,} command{'' if runner.started == 1 else 's'} failed")

    def _is_meant(self, alert: Alert) -> bool:
        given = self.settings
        return alert.state in given.states and _SEVERITIES.index(alert.severity) >= self._least and (not given.kinds or alert.kind in given.kinds)


@hookimpl
def iplog_sinks() -> list[type[Sink[Any]]]:
    return [Exec]
