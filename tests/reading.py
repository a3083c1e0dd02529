"""Captures read by the real engine, with every bundled plugin that runs by default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from iplog_core import Alert, PacketBatch, RawBatch, Sink, SinkContext, SinkSettings, Source
from iplog_core.batch import BYTES_PER_PACKET
from iplog_core.capture.merge import rows_of
from iplog_core.capture.savefile import open_savefile
from iplog_core.config import load
from iplog_core.engine import Engine, Report
from iplog_core.host import Host
from iplog_core.kernel.decode import decode
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
    return _alerts(open_savefile(str(capture), batch_size))


def _alerts(source: Source) -> Reading:
    kept = Kept(SinkSettings(), SinkContext())
    log: list[str] = []
    report = Engine(plugins(), source, [kept], None, log=log.append, alerts_only=True).run()
    return Reading(report, log, [event for event in kept.events if isinstance(event, Alert)])


def read_one_side(capture: Path, side: Literal["clients", "servers"]) -> Reading:
    """Read only what the hosts of the clients' networks sent, or only what came to them."""
    return _alerts(_OneSide(open_savefile(str(capture), 4096), side == "clients"))


def write_output(capture: Path, batch_size: int, folder: Path) -> dict[str, bytes]:
    """Read a capture, and return what the sink of each format wrote of it."""
    files = {format: folder / f"{batch_size}.{format}" for format in ("text", "json")}
    sinks = [_to_file(format, path) for format, path in files.items()]
    Engine(plugins(), open_savefile(str(capture), batch_size), sinks, None, log=print, stats=True).run()
    return {format: path.read_bytes() for format, path in files.items()}


class _OneSide:
    """A source without the packets that the clients sent, or without all others. Clients have addresses of 198.18.0.0/24 and 2001:db8:1::/48."""

    def __init__(self, source: Source, clients: bool) -> None:
        self._source = source
        self._clients = clients

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def __iter__(self) -> Iterator[RawBatch]:
        for raw in self._source:
            block = np.empty(len(raw) * BYTES_PER_PACKET, np.uint8)
            decode(raw.data, raw.offset, raw.captured, raw.wire_length, raw.time, raw.link, raw.interface, block, 0, 0)
            packets = PacketBatch(block, raw.data, now=0)
            four = packets.src_lo >> np.uint64(8) == 0xFFFFC61200
            six = packets.src_hi >> np.uint64(16) == 0x20010DB80001
            yield rows_of(raw, np.flatnonzero((four | six) == self._clients))


@cache
def plugins() -> Host:
    """The plugins that run where nothing is configured."""
    host = Host.load(load(environ={}, default_files=()))
    assert not host.faults, host.faults
    return host


def _to_file(format: str, path: Path) -> Sink[Any]:
    cls, settings = plugins().sink_for(format)
    return cls(settings.model_copy(update={"path": str(path)}), SinkContext(mode="read"))
