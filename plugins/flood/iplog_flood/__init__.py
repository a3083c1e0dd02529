"""Floods: more of one thing to one victim than anybody who waits for answers would send."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from iplog_core import MINUTE, AlertKind, Detector, DetectorSettings, Duration, Key, PacketBatch, TcpFlag, Tracker, hookimpl

iplog_api = 1

SYN, RST, ACK = int(TcpFlag.SYN), int(TcpFlag.RST), int(TcpFlag.ACK)


class Settings(DetectorSettings):
    """The `[plugins.flood]` table. A flood is what overflows a bucket that drains at the rate given."""

    syn_rate: float = Field(50.0, gt=0, description="Unanswered connection attempts a second to one port of one host that are no flood.")
    syn_burst: float = Field(200.0, ge=2, description="How many more than that make one.")
    ping_rate: float = Field(20.0, gt=0, description="Echo requests a second from one host to another that are no flood.")
    ping_burst: float = Field(200.0, ge=2, description="How many more than that make one.")
    udp_rate: float = Field(500.0, gt=0, description="Unanswered UDP datagrams a second to one host that are no flood.")
    udp_burst: float = Field(500.0, ge=2, description="How many more than that make one.")
    tcp_rate: float = Field(200.0, gt=0, description="Stray ACKs, or RSTs, a second to one host that are no flood.")
    tcp_burst: float = Field(2000.0, ge=2, description="How many more than that make one.")
    expiry: Duration = Field(MINUTE, description="How long a flood must be quiet to be over.")


class Flood(Detector[Settings]):
    """Report floods by rate and outcome: a busy service that answers is none."""

    name = "flood"
    kinds = {
        "syn_flood": AlertKind("TCP: SYN flood", "high"),
        "ack_flood": AlertKind("TCP: ACK flood", "high"),
        "rst_flood": AlertKind("TCP: RST flood", "high"),
        "udp_flood": AlertKind("UDP: flood", "high"),
        "ping_flood": AlertKind("ICMP: ping flood", "medium"),
    }

    def setup(self) -> None:
        given = self.settings
        self.pings = self.tracker(key="pair", threshold=given.ping_burst, rate=given.ping_rate, memory=given.expiry, expiry=given.expiry)
        self.attempts = self._victims("target_port", given.syn_rate, given.syn_burst)
        self.acks = self._victims("target", given.tcp_rate, given.tcp_burst)
        self.resets = self._victims("target", given.tcp_rate, given.tcp_burst)
        self.datagrams = self._victims("target", given.udp_rate, given.udp_burst)

    def on_batch(self, batch: PacketBatch) -> None:
        decided = batch.decided
        asks = batch.is_tcp & batch.unanswered & (batch.tcp_flags & (SYN | ACK) == SYN)
        stray = batch.strays & batch.is_tcp
        reset = batch.tcp_flags & RST != 0
        floods = (
            ("ping_flood", self.pings.update(batch, where=batch.is_echo & batch.to_one_host)),
            ("syn_flood", self.attempts.update(batch, where=asks, decided=decided.is_tcp & (decided.stray == 0))),
            ("ack_flood", self.acks.update(batch, where=stray & (batch.tcp_flags == ACK), decided=decided.is_tcp & (decided.stray == 1))),
            ("rst_flood", self.resets.update(batch, where=stray & reset)),
            ("udp_flood", self.datagrams.update(batch, where=batch.is_udp & batch.to_one_host & batch.unanswered, decided=decided.is_udp)),
        )
        for kind, changes in floods:
            for flood in changes:
                # Many sources are forged ones: the victim is named, and how many there were.
                self.alert(kind, flood, sources=None)

    def _victims(self, key: Key, rate: float, burst: float) -> Tracker:
        return self.tracker(key=key, distinct="source", threshold=burst, rate=rate, memory=self.settings.expiry, expiry=self.settings.expiry)


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [Flood]
