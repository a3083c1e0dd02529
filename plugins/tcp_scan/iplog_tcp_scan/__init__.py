"""TCP scans: many ports of one host, one port of many hosts, one host by many sources."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pydantic import Field

from iplog_core import HOUR, MINUTE, AlertKind, Detector, DetectorSettings, Duration, Episode, Mask, PacketBatch, TcpFlag, Tracker, hookimpl

iplog_api = 1

FIN, SYN, RST, PSH, ACK, URG = (int(flag) for flag in list(TcpFlag)[:6])
NO_ECN = 0x3F
ODD_FLAGS = {
    "fin_scan": (FIN,),
    "null_scan": (0,),
    "xmas_scan": (FIN | URG | PSH, FIN | URG, FIN | PSH, URG | PSH, URG, PSH),
    "flags_scan": tuple(
        flags for flags in range(64) if (flags & ACK or flags & RST) and flags != SYN | ACK and flags & ~(PSH | URG) not in (ACK, FIN | ACK, RST, RST | ACK)
    ),
}
FEW_PORTS = 3


class Settings(DetectorSettings):
    """The `[plugins.tcp_scan]` table."""

    ports: int = Field(5, ge=2, description="Distinct unanswered ports of one host that make a port scan.")
    hosts: int = Field(10, ge=2, description="Hosts without an answer on one port that make a sweep, once the source is known to fail mostly.")
    sources: int = Field(5, ge=2, description="Sources that try a few ports of one host each that make a distributed scan.")
    memory: Duration = Field(4 * HOUR, description="How long a probe counts.")
    expiry: Duration = Field(15 * MINUTE, description="How long a scan must be quiet to be over.")


class TcpScan(Detector[Settings]):
    """Report sources that try TCP ports nobody offered them."""

    name = "tcp_scan"
    kinds = {
        "port_scan": AlertKind("TCP: port scan", "high"),
        "port_sweep": AlertKind("TCP: port sweep", "high"),
        "distributed_scan": AlertKind("TCP: distributed port scan", "high"),
        "fin_scan": AlertKind("TCP: FIN scan", "high"),
        "null_scan": AlertKind("TCP: null scan", "high"),
        "xmas_scan": AlertKind("TCP: Xmas scan", "high"),
        "ack_scan": AlertKind("TCP: ACK scan", "high"),
        "maimon_scan": AlertKind("TCP: Maimon scan", "high"),
        "flags_scan": AlertKind("TCP: odd flags scan", "high"),
    }

    def setup(self) -> None:
        self.vertical = self._pairs()
        self.walk = self.random_walk()
        self.horizontal = self.tracker(
            key="source_port",
            distinct="dest",
            threshold=self.settings.hosts,
            memory=self.settings.memory,
            expiry=self.settings.expiry,
        )
        self.suspects = self._pairs(ports=FEW_PORTS)
        self.parts = self.tracker(key="target_port", threshold=1, memory=self.settings.memory, expiry=self.settings.memory)
        self.many_sided = self.tracker(
            key="target",
            distinct="source",
            threshold=self.settings.sources,
            memory=self.settings.memory,
            expiry=self.settings.expiry,
        )
        self.by_flags = {kind: self._pairs() for kind in ODD_FLAGS}
        self.by_silence = {kind: self._pairs() for kind in ("ack_scan", "maimon_scan")}

    def on_batch(self, batch: PacketBatch) -> None:
        asked = batch.decided.is_tcp & batch.decided.probes
        attempts = batch.is_tcp & batch.probes
        for scan in self.vertical.update(batch, where=attempts, decided=asked):
            self.alert("port_scan", scan)
        guilty = self.walk.update(batch.decided, asked)
        for sweep in self.horizontal.update(batch, decided=guilty):
            self.alert("port_sweep", sweep)
        self._share_out(batch, attempts, asked)
        self._odd_flags(batch)
        self._unasked(batch)

    def _share_out(self, batch: PacketBatch, attempts: Mask, asked: Mask) -> None:
        """Sources that try a few ports of one host each. Decoys, which try the same ones, are not counted twice."""
        suspects = _started(batch, self.suspects.update(batch, where=attempts, decided=asked))
        parts = _started(batch, self.parts.update(batch, where=suspects))
        for scan in self.many_sided.update(batch, where=parts):
            self.alert("distributed_scan", scan)

    def _odd_flags(self, batch: PacketBatch) -> None:
        """Probes that no TCP would send: each counts as it comes."""
        strays = batch.strays & batch.is_tcp
        kinds = _KIND_OF_FLAGS[batch.tcp_flags & NO_ECN]
        unasked = batch.decided.stray == 1
        for number, (kind, tracker) in enumerate(self.by_flags.items(), 1):
            for scan in tracker.update(batch, where=strays & (kinds == number), decided=unasked):
                self.alert(kind, scan)

    def _unasked(self, batch: PacketBatch) -> None:
        """Probes that look like the middle of a connection: each counts when nothing but a RST came back, and nothing more was sent.

        A server that ends connections which its client has forgotten looks the same, but for its ports.
        """
        flows = batch.decided
        alone = flows.is_tcp & (flows.stray == 1) & (flows.packets == 1) & (flows.payload_length == 0) & ~flows.like_answers
        flags = flows.tcp_flags & NO_ECN
        self._by_outcome("ack_scan", batch, alone & (flags == ACK))
        self._by_outcome("maimon_scan", batch, alone & (flags == (FIN | ACK)))

    def _by_outcome(self, kind: str, batch: PacketBatch, decided: Mask) -> None:
        for scan in self.by_silence[kind].update(batch, decided=decided):
            self.alert(kind, scan)

    def _pairs(self, ports: int | None = None) -> Tracker:
        return self.tracker(
            key="pair",
            distinct="dest_port",
            threshold=ports or self.settings.ports,
            memory=self.settings.memory,
            expiry=self.settings.expiry,
        )


def _started(batch: PacketBatch, episodes: list[Episode]) -> Mask:
    """The packets of a batch by which episodes started."""
    return np.isin(batch.index, [episode.index for episode in episodes if episode.state == "start"])


_KIND_OF_FLAGS = np.zeros(64, np.uint8)
for _number, _flags in enumerate(ODD_FLAGS.values(), 1):
    _KIND_OF_FLAGS[list(_flags)] = _number


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [TcpScan]
