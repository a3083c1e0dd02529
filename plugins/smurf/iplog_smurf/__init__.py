"""Smurf and fraggle: requests to a broadcast address in the victim's name, and the answers that hit it (CERT CA-1998-01)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from iplog_core import AlertKind, Cast, Detector, DetectorSettings, Duration, FlowBit, Mask, PacketBatch, PacketRows, hookimpl

iplog_api = 2

BROADCAST, REPLY = int(Cast.BROADCAST), int(FlowBit.REPLY)
ECHO, CHARGEN = 7, 19
MAGIC_PACKETS = (102, 106, 108)


class Settings(DetectorSettings):
    """The `[plugins.smurf]` table."""

    requests: int = Field(10, ge=1, description="Requests to a broadcast address, in one victim's name, that make an attack.")
    amplifiers: int = Field(3, ge=2, description="Hosts that answer the same request, unasked by the victim.")
    memory: Duration = Field(5.0, description="How long a packet counts.")
    expiry: Duration = Field(30.0, description="How long an attack must be quiet to be over.")


class Smurf(Detector[Settings]):
    """Report broadcast amplification, seen from the amplifier's network or from the victim's."""

    name = "smurf"
    kinds = {
        "smurf": AlertKind("ICMP/UDP: smurf attack", "high"),
        "fraggle": AlertKind("ICMP/UDP: fraggle attack", "high"),
    }

    def setup(self) -> None:
        requests, amplifiers = self.settings.requests, self.settings.amplifiers
        span: Any = {"memory": self.settings.memory, "expiry": self.settings.expiry}
        marks: Any = {**span, "tells": False, "weight": 0.5}
        self.asked = {kind: self.tracker(key="pair", threshold=requests, weight=0.5, **span) for kind in self.kinds}
        self.shared = {kind: self.tracker(key="target_label", distinct="source", threshold=amplifiers, hint=amplifiers, **marks) for kind in self.kinds}
        self.numbers = {kind: self.tracker(key="target", distinct="label", threshold=requests, hint=requests, **marks) for kind in self.kinds}
        self.repeated = {kind: self.tracker(key="source_label", threshold=requests, hint=requests, **marks) for kind in self.kinds}
        self.hit = {kind: self.tracker(key="target", distinct="source", threshold=amplifiers, **span) for kind in self.kinds}

    def on_batch(self, batch: PacketBatch) -> None:
        from_service = batch.is_udp & ((batch.sport == ECHO) | (batch.sport == CHARGEN))
        to_service = batch.is_udp & ((batch.dport == ECHO) | (batch.dport == CHARGEN))
        self._at_amplifier("smurf", batch, batch.among(batch.is_echo, _to_many))
        self._at_amplifier("fraggle", batch, batch.among(to_service, lambda few: _to_many(few) & ~_wakes_up(few)))
        self._at_victim("smurf", batch, batch.is_echo_reply & batch.strays, batch.icmp_id, batch.icmp_seq)
        self._at_victim("fraggle", batch, batch.among(from_service, _unasked), batch.sport, batch.dport)

    def _at_amplifier(self, kind: str, batch: PacketBatch, requests: Mask) -> None:
        for attack in self.asked[kind].update(batch, where=requests):
            self.alert(kind, attack, victim=attack.src_ip)

    def _at_victim(self, kind: str, batch: PacketBatch, unasked: Mask, *numbers: NDArray[np.uint16]) -> None:
        sure = self._answers_of_many(kind, batch, unasked, *numbers) if unasked.any() else unasked
        for attack in self.hit[kind].update(batch, where=unasked, sure=sure):
            self.alert(kind, attack, victim=attack.dest_ip)

    def _answers_of_many(self, kind: str, batch: PacketBatch, unasked: Mask, high: NDArray[np.uint16], low: NDArray[np.uint16]) -> Mask:
        """Answers that tell of many requests, each answered by several hosts.

        The answers to a request carry its numbers (RFC 792), or its ports. Requests have numbers of their own, or all the same: then each host answers
        with them again and again. Who asks hosts one by one uses new numbers for each, or asks each once in a while.
        """
        label = high.astype(np.uint64) << np.uint64(16) | low
        self.shared[kind].update(batch, where=unasked, labels=label)
        shared = self.shared[kind].suspects
        self.numbers[kind].update(batch, where=shared, labels=label)
        self.repeated[kind].update(batch, where=shared, labels=label | batch.dst_lo << np.uint64(32))
        return self.numbers[kind].suspects | self.repeated[kind].suspects


def _to_many(packets: PacketRows) -> Mask:
    """Packets to all hosts of a network: by the link layer, to a group, or a directed broadcast that is still on its way (x.x.x.255 that never answered)."""
    last = packets.dst_lo & 0xFF == 0xFF
    if not last.any() and packets.to_one_host.all():
        return last
    answers, group = packets.opens & ~packets.probes, packets.dst_lo >> 28 & 0xF == 0xE
    four = (packets.version == 4) & ((last & ~answers) | group)
    six = (packets.version == 6) & (packets.dst_hi >> 56 == 0xFF)
    return (packets.cast == BROADCAST) | four | six


def _unasked(packets: PacketRows) -> Mask:
    return packets.to_one_host & (packets.flow & REPLY == 0)


def _wakes_up(packets: PacketRows) -> Mask:
    """Magic packets, which wake a machine up: they go to everybody's port 7, too."""
    plain, with_short_password, with_password = (packets.payload_length == length for length in MAGIC_PACKETS)
    return plain | with_short_password | with_password


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [Smurf]
