"""Who fails to connect to one port of many hosts: somebody looks for open doors.

This works as it stands. Make it yours: change what counts in `on_batch`, how much of it
is too much in `setup`, and the names and the severity of the alert in `kinds`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from iplog_core import (
    MINUTE,
    AlertKind,
    Detector,
    DetectorSettings,
    Duration,
    PacketBatch,
    hookimpl,
)
from pydantic import Field

iplog_api = 2


class Settings(DetectorSettings):
    """The `[plugins.my_plugin]` table."""

    port: int = Field(22, ge=1, le=65535, description="The TCP port that is looked at.")
    hosts: int = Field(
        4, ge=2, description="Hosts that one source failed to reach: an alert."
    )
    memory: Duration = Field(MINUTE, description="How long a failure counts.")
    expiry: Duration = Field(
        15 * MINUTE, description="How long a source must be quiet to be over."
    )


class MyPlugin(Detector[Settings]):
    """Report who fails to connect to one port of many hosts."""

    name = "my_plugin"
    kinds: ClassVar = {"my_plugin": AlertKind("TCP: failed connections", "medium")}

    def setup(self) -> None:
        """Count hosts for each source: so many within `memory` start an alert."""
        self.failures = self.tracker(
            key="source_port",
            distinct="dest",
            threshold=self.settings.hosts,
            memory=self.settings.memory,
            expiry=self.settings.expiry,
        )

    def on_batch(self, batch: PacketBatch) -> None:
        """Choose what counts by masks over columns: flows whose opening came to nothing.

        `batch` has a row for each packet, `batch.decided` one for each flow whose
        outcome has become known. Nothing may depend on where a batch was cut.
        """
        flows = batch.decided
        ours = flows.is_tcp & (flows.dport == self.settings.port)
        failed = ours & flows.failed & flows.probes
        for episode in self.failures.update(batch, decided=failed):
            self.alert("my_plugin", episode)


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [MyPlugin]
