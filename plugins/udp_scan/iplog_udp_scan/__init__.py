"""UDP scans: many ports of one host, one port of many hosts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from iplog_core import HOUR, MINUTE, AlertKind, Detector, DetectorSettings, Duration, Mask, Outcome, PacketBatch, Rows, hookimpl

iplog_api = 2

TRACEROUTE_PORTS = (33434, 33690)
TRACEROUTE_HOPS = 30
FEW_DATAGRAMS = 4
REFUSED, SILENT = int(Outcome.REFUSED), int(Outcome.SILENT)


class Settings(DetectorSettings):
    """The `[plugins.udp_scan]` table."""

    ports: int = Field(5, ge=2, description="Distinct unanswered ports of one host that make a scan.")
    hosts: int = Field(10, ge=2, description="Hosts without an answer on one port that make a sweep, once the source is known to fail mostly.")
    memory: Duration = Field(4 * HOUR, description="How long a probe counts.")
    expiry: Duration = Field(15 * MINUTE, description="How long a scan must be quiet to be over.")


class UdpScan(Detector[Settings]):
    """Report sources that try UDP ports nobody offered them."""

    name = "udp_scan"
    kinds = {
        "udp_scan": AlertKind("UDP: scan/flood", "high"),
        "udp_sweep": AlertKind("UDP: port sweep", "high"),
    }

    def setup(self) -> None:
        self.vertical = self.tracker(
            key="pair",
            distinct="dest_port",
            threshold=self.settings.ports,
            memory=self.settings.memory,
            expiry=self.settings.expiry,
            doubts="silence",
            joins=True,
            weight=10,
        )
        self.walk = self.random_walk(narrow=True, weight=2)
        self.horizontal = self.tracker(
            key="source_port",
            distinct="dest",
            threshold=self.settings.hosts,
            memory=self.settings.memory,
            expiry=self.settings.expiry,
            doubts="silence",
            weight=4,
        )

    def on_batch(self, batch: PacketBatch) -> None:
        flows = batch.decided
        probes = batch.among(batch.is_udp & batch.probes, _asks)
        asked = flows.among(flows.is_udp & flows.probes, _asks)
        if not probes.any() and not asked.any() and not len(self.vertical) and not len(self.horizontal):
            return
        talk = flows.packets > FEW_DATAGRAMS
        for scan in self.vertical.update(batch, where=probes, decided=asked, excused=asked & talk & (flows.outcome == SILENT)):
            self.alert("udp_scan", scan)
        # Hosts that answer the source otherwise are its partners, not its targets.
        first = asked & ~talk & (flows.host_known == 0)
        # Servers ask each other from their own port, and what they hear is not always captured.
        sure = self.walk.update(flows, first) & ((flows.sport != flows.dport) | (flows.outcome == REFUSED))
        for sweep in self.horizontal.update(batch, decided=first & (flows.contact == 1), sure_flows=sure):
            self.alert("udp_sweep", sweep)


def _asks(rows: Rows) -> Mask:
    """Datagrams that ask one host something: no late answers, no answers to what a group was asked, and no traceroute."""
    low, high = TRACEROUTE_PORTS
    on_its_way = (rows.ttl <= TRACEROUTE_HOPS) & (rows.dport >= low) & (rows.dport < high)
    return rows.to_one_host & ~rows.like_answers & ~on_its_way


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [UdpScan]
