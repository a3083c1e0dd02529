"""Traceroutes: packets sent to die on the way (RFC 1393 describes the method)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from iplog_core import AlertKind, Detector, DetectorSettings, Duration, PacketBatch, hookimpl

iplog_api = 1


class Settings(DetectorSettings):
    """The `[plugins.traceroute]` table."""

    probes: int = Field(2, ge=1, description="Packets on their last hop, from one host to another, that make a traceroute.")
    expiry: Duration = Field(15.0, description="How long a source must be quiet to be over.")


class Traceroute(Detector[Settings]):
    """Report who looks for the way to a host."""

    name = "traceroute"
    kinds = {"traceroute": AlertKind("IP: traceroute", "low", line="{proto}: traceroute from {src}{to}")}

    def setup(self) -> None:
        self.routes = self.tracker(key="pair", threshold=self.settings.probes, memory=self.settings.expiry, expiry=self.settings.expiry)

    def on_batch(self, batch: PacketBatch) -> None:
        last_hop = (batch.ttl == 1) & batch.to_one_host & batch.unanswered
        for route in self.routes.update(batch, where=last_hop & (batch.is_udp | batch.is_echo)):
            self.alert("traceroute", route)


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [Traceroute]
