"""What a detector costs: telnet touched, written at the three levels that there are for authors. A single-file plugin; a threshold table is the fourth way."""

from __future__ import annotations

from iplog_core import AlertKind, Detector, DetectorSettings, Packet, PacketBatch, PacketDetector, TcpFlag

iplog_api = 2

TELNET = 23
SYN, SYN_ACK = int(TcpFlag.SYN), int(TcpFlag.SYN | TcpFlag.ACK)
KNOCK = AlertKind("TCP: telnet knock", "low")

TABLE = "{ match = 'tcp dport 23', flags = 'syn !ack', key = 'pair' }"
"""The same as a `[plugins.threshold.NAME]` table."""


class ByPacket(PacketDetector[DetectorSettings]):
    """A packet at a time."""

    name = "by_packet"
    kinds = {"by_packet": KNOCK}

    def on_packet(self, packet: Packet) -> None:
        if packet.is_syn and packet.dport == TELNET:
            self.alert("by_packet", packet)


class ByBatch(Detector[DetectorSettings]):
    """A batch at a time, with masks over its columns."""

    name = "by_batch"
    kinds = {"by_batch": KNOCK}

    def setup(self) -> None:
        self.knocks = self.tracker(key="pair", threshold=1, memory=60, expiry=60)

    def on_batch(self, batch: PacketBatch) -> None:
        knocks = batch.is_tcp & (batch.dport == TELNET) & (batch.tcp_flags & SYN_ACK == SYN)
        for knock in self.knocks.update(batch, where=knocks):
            self.alert("by_batch", knock)


class ByFlow(Detector[DetectorSettings]):
    """With what the flow table knows: first contacts, how they ended, and how many hosts there were."""

    name = "by_flow"
    kinds = {"by_flow": KNOCK}

    def setup(self) -> None:
        self.knocks = self.tracker(key="source", distinct="dest", threshold=1, memory=60, expiry=60)

    def on_batch(self, batch: PacketBatch) -> None:
        flows = batch.decided
        tried = batch.contacts & batch.is_tcp & (batch.dport == TELNET)
        ended = (flows.contact == 1) & flows.is_tcp & (flows.dport == TELNET)
        for knock in self.knocks.update(batch, where=tried, decided=ended):
            self.alert("by_flow", knock)
