"""A plugin as plugin API 1 had them: a detector and every hook but that of sinks. It stays as it is."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import Field

from iplog_core import (
    Alert,
    AlertKind,
    Detector,
    DetectorSettings,
    PacketBatch,
    Severity,
    Source,
    hookimpl,
)
from iplog_core import Settings as CoreSettings
from iplog_core.testing import MemorySource, refused

iplog_api = 1

seen: Counter[str] = Counter()


class Settings(DetectorSettings):
    """The `[plugins.elder]` table."""

    ports: int = Field(3, description="Ports that make a scan.")


class Elder(Detector[Settings]):
    """Report who is refused at several ports."""

    name = "elder"
    kinds = {"refusals": AlertKind("TCP: refusals", "low")}

    def setup(self) -> None:
        options: Any = {"capacity": 1024}
        self.refused = self.tracker(key="pair", distinct="dest_port", threshold=self.settings.ports, memory=60, expiry=60, **options)

    def on_batch(self, batch: PacketBatch) -> None:
        for episode in self.refused.update(batch, decided=batch.decided.failed):
            self.alert("refusals", episode)


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [Elder]


@hookimpl
def iplog_source(name: str, batch_size: int) -> Source | None:
    return MemorySource([frame for port in range(1, 5) for frame in refused(dport=port, at=port)], batch_size) if name == "elder:" else None


@hookimpl
def iplog_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    add("elder", help="say hello").set_defaults(run=_hello)


@hookimpl
def iplog_check_config(settings: CoreSettings) -> Iterator[str]:
    if settings.batch_size == 3:
        yield "elder: three is no size."


@hookimpl
def iplog_start(settings: CoreSettings) -> None:
    seen["started"] += 1


@hookimpl
def iplog_stop() -> None:
    print(f"elder: {dict(seen)}")


@hookimpl
def iplog_keep_alert(alert: Alert) -> bool | None:
    return None


@hookimpl
def iplog_grade_alert(alert: Alert) -> Severity | None:
    return "high" if alert.kind == "refusals" else None


@hookimpl
def iplog_alert_fields(alert: Alert) -> dict[str, Any]:
    return {"elder": True}


@hookimpl
def iplog_alert(alert: Alert) -> None:
    seen[alert.state] += 1


def _hello(options: argparse.Namespace) -> int:
    print("hello")
    return 0
