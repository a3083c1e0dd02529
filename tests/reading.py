"""Captures read by the real engine, with every bundled plugin that runs by default."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from iplog_core import Alert, Sink, SinkContext, SinkSettings
from iplog_core.capture.savefile import open_savefile
from iplog_core.config import load
from iplog_core.engine import Engine, Report
from iplog_core.host import Host
from iplog_core.testing import Kept


@dataclass(frozen=True)
class Reading:
    """What a run gave: its report, what iplog said about itself, the alerts in order."""

    report: Report
    log: list[str]
    alerts: list[Alert]

    @property
    def starts(self) -> list[Alert]:
        return [alert for alert in self.alerts if alert.state == "start"]


def read_alerts(capture: Path, batch_size: int = 4096) -> Reading:
    """Read a capture for its alerts. Raise CaptureError where it is none."""
    kept = Kept(SinkSettings(), SinkContext())
    log: list[str] = []
    report = Engine(plugins(), open_savefile(str(capture), batch_size), [kept], None, log=log.append, alerts_only=True).run()
    return Reading(report, log, [event for event in kept.events if isinstance(event, Alert)])


def write_output(capture: Path, batch_size: int, folder: Path) -> dict[str, bytes]:
    """Read a capture, and return what the sink of each format wrote of it."""
    files = {format: folder / f"{batch_size}.{format}" for format in ("text", "json")}
    sinks = [_to_file(format, path) for format, path in files.items()]
    Engine(plugins(), open_savefile(str(capture), batch_size), sinks, None, log=print, stats=True).run()
    return {format: path.read_bytes() for format, path in files.items()}


@cache
def plugins() -> Host:
    """The plugins that run where nothing is configured."""
    host = Host.load(load(environ={}, default_files=()))
    assert not host.faults, host.faults
    return host


def _to_file(format: str, path: Path) -> Sink[Any]:
    cls, settings = plugins().sink_for(format)
    return cls(settings.model_copy(update={"path": str(path)}), SinkContext(mode="read"))
