"""TCP scans: many ports of one host, one port of many hosts, one host by many sources."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pydantic import Field

from iplog_core import HOUR, MINUTE, AlertKind, Detector, DetectorSettings, Doubts, Duration, FlowBit, Mask, PacketBatch, TcpFlag, Tracker, hookimpl
from iplog_tcp_scan.shared import SharedScans

iplog_api = 2

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
UNASKED_FLAGS = {"ack_scan": ACK, "maimon_scan": FIN | ACK}
MEMBER = int(FlowBit.MEMBER)
FEW_PORTS = 2
DISCOVERY_PORTS = (80, 443)


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
        self.vertical = self._pairs(doubts="pending", hint=FEW_PORTS, weight=50)
        self.shared = SharedScans(self.tracker, self.settings.sources, self.settings.memory, self.settings.expiry)
        self.together(self.vertical, *self.shared.trackers)
        self.walk = self.random_walk(narrow=True, weight=4)
        self.horizontal = self.tracker(
            key="source_port",
            distinct="dest",
            threshold=self.settings.hosts,
            memory=self.settings.memory,
            expiry=self.settings.expiry,
            doubts="pending",
            weight=10,
        )
        self.by_flags = {kind: self._pairs(weight=2) for kind in ODD_FLAGS}
        self.by_silence = {kind: self._pairs(doubts="strays", weight=2) for kind in UNASKED_FLAGS}

    def on_batch(self, batch: PacketBatch) -> None:
        asked = batch.decided.is_tcp & batch.decided.probes
        self._ports(batch, asked)
        self._hosts(batch, asked)
        self._odd_flags(batch)
        self._unasked(batch)

    def save(self) -> dict[str, Any]:
        return {**super().save(), "shared": self.shared.save()}

    def restore(self, saved: dict[str, Any], now: int) -> bool:
        whole = super().restore(saved, now)
        if self.goes_on(self.vertical):
            self.shared.restore(saved["shared"])
        return whole

    def _ports(self, batch: PacketBatch, asked: Mask) -> None:
        """Many ports of one host: by one source, by a set of decoys, or shared out among many."""
        scans = self.vertical.update(batch, where=batch.is_tcp & batch.probes, decided=asked)
        shared = self.shared.update(batch, self.vertical)
        for scan, alone in self.shared.tell_apart(scans, shared):
            if alone:
                self.alert("port_scan", scan)
            else:
                # What came back is told of ports, and here sources count.
                self.alert("distributed_scan", scan, refused=None, silent=None, half_open=None, answered=None, pending=None)

    def _hosts(self, batch: PacketBatch, asked: Mask) -> None:
        """One port of many hosts. What goes along with pings looks for hosts, not for a service."""
        flows = batch.decided
        discovery = flows.pinged == 1
        if discovery.any():
            discovery &= np.isin(flows.dport, DISCOVERY_PORTS)
        # Hosts that answer the source otherwise are its partners, not its targets.
        first = asked & (flows.host_known == 0) & ~discovery
        guilty = self.walk.update(flows, first)
        for sweep in self.horizontal.update(batch, decided=first & (flows.contact == 1), sure_flows=guilty):
            self.alert("port_sweep", sweep)

    def _odd_flags(self, batch: PacketBatch) -> None:
        """Probes that no TCP would send: each counts as it comes."""
        strays = batch.strays & batch.is_tcp
        if not strays.any() and not any(map(len, self.by_flags.values())):
            return
        kinds = _KIND_OF_FLAGS[batch.tcp_flags & NO_ECN]
        unasked = batch.decided.stray == 1
        for number, (kind, tracker) in enumerate(self.by_flags.items(), 1):
            for scan in tracker.update(batch, where=strays & (kinds == number), decided=unasked):
                self.alert(kind, scan)

    def _unasked(self, batch: PacketBatch) -> None:
        """Probes that look like the middle of a connection: one packet, to which nothing but a RST came back, and after which nothing more was sent.

        A server that ends connections which its client has forgotten looks the same, but for its ports.
        """
        strays = batch.strays & batch.is_tcp
        if not strays.any() and not any(map(len, self.by_silence.values())):
            return
        flows = batch.decided
        probes = strays & ~batch.like_answers
        goes_on = batch.is_tcp & batch.unanswered & (batch.flow & MEMBER != 0)
        stray = flows.is_tcp & (flows.stray == 1)
        for kind, flags in UNASKED_FLAGS.items():
            scans = self.by_silence[kind].update(
                batch,
                where=probes & (batch.tcp_flags & NO_ECN == flags),
                against=goes_on,
                decided=stray & (flows.tcp_flags & NO_ECN == flags),
            )
            for scan in scans:
                self.alert(kind, scan)

    def _pairs(self, doubts: Doubts | None = None, hint: int = 0, weight: float = 1.0) -> Tracker:
        return self.tracker(
            key="pair",
            distinct="dest_port",
            threshold=self.settings.ports,
            memory=self.settings.memory,
            expiry=self.settings.expiry,
            doubts=doubts,
            joins=True,
            hint=hint,
            weight=weight,
        )


_KIND_OF_FLAGS = np.zeros(64, np.uint8)
for _number, _flags in enumerate(ODD_FLAGS.values(), 1):
    _KIND_OF_FLAGS[list(_flags)] = _number


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [TcpScan]
