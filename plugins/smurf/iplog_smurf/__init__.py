"""Smurf and fraggle: requests to a broadcast address in the victim's name, and the answers that hit it (CERT CA-1998-01)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from iplog_core import AlertKind, Cast, Detector, DetectorSettings, Duration, Mask, PacketBatch, hookimpl

iplog_api = 1

BROADCAST = int(Cast.BROADCAST)
ECHO, CHARGEN = 7, 19
MAGIC_PACKETS = (102, 106, 108)


class Settings(DetectorSettings):
    """The `[plugins.smurf]` table."""

    requests: int = Field(10, ge=1, description="Requests to a broadcast address, in one victim's name, that make an attack.")
    amplifiers: int = Field(5, ge=2, description="Hosts whose unasked answers reach one victim that make an attack.")
    memory: Duration = Field(30.0, description="How long a packet counts.")
    expiry: Duration = Field(30.0, description="How long an attack must be quiet to be over.")


class Smurf(Detector[Settings]):
    """Report broadcast amplification, seen from the amplifier's network or from the victim's."""

    name = "smurf"
    kinds = {
        "smurf": AlertKind("ICMP/UDP: smurf attack", "high"),
        "fraggle": AlertKind("ICMP/UDP: fraggle attack", "high"),
    }

    def setup(self) -> None:
        memory, expiry = self.settings.memory, self.settings.expiry
        self.asked = {kind: self.tracker(key="pair", threshold=self.settings.requests, memory=memory, expiry=expiry) for kind in self.kinds}
        self.hit = {
            kind: self.tracker(key="target", distinct="source", threshold=self.settings.amplifiers, memory=memory, expiry=expiry) for kind in self.kinds
        }

    def on_batch(self, batch: PacketBatch) -> None:
        broadcast = _to_broadcast(batch)
        to_service = batch.is_udp & ((batch.dport == ECHO) | (batch.dport == CHARGEN)) & ~_wakes_up(batch)
        self._report(self.asked, batch, smurf=batch.is_echo & broadcast, fraggle=to_service & broadcast)
        unasked = batch.is_echo_reply & batch.strays & ~_between_neighbours(batch)
        from_service = batch.is_udp & ((batch.sport == ECHO) | (batch.sport == CHARGEN))
        self._report(self.hit, batch, smurf=unasked, fraggle=from_service & batch.opens)

    def _report(self, trackers: dict[str, Any], batch: PacketBatch, **masks: Mask) -> None:
        for kind, where in masks.items():
            for attack in trackers[kind].update(batch, where=where):
                self.alert(kind, attack, victim=attack.src_ip if trackers is self.asked else attack.dest_ip)


def _to_broadcast(batch: PacketBatch) -> Mask:
    """Packets to a broadcast address: by the link layer, or a directed broadcast that is still on its way (x.x.x.255 that never answered)."""
    answers = batch.opens & ~batch.probes
    directed = (batch.version == 4) & (batch.dst_lo & 0xFF == 0xFF) & ~answers
    return (batch.cast == BROADCAST) | directed


def _wakes_up(batch: PacketBatch) -> Mask:
    """Magic packets, which wake a machine up: they go to everybody's port 7, too."""
    plain, with_short_password, with_password = (batch.payload_length == length for length in MAGIC_PACKETS)
    return plain | with_short_password | with_password


def _between_neighbours(batch: PacketBatch) -> Mask:
    """Packets between link-local addresses: what comes back to one who pings all nodes of the link (ff02::1)."""
    return (batch.version == 6) & (batch.dst_hi >> 54 == 0xFE80 >> 6)


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [Smurf]
