"""Traceroutes: packets sent to die on the way (RFC 1393 describes the method)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pydantic import Field

from iplog_core import AlertKind, Detector, DetectorSettings, Duration, Mask, PacketBatch, PacketRows, TcpFlag, hookimpl

iplog_api = 2

SYN, ACK = int(TcpFlag.SYN), int(TcpFlag.ACK)

HOPS = 8
"""So many hops are few: no host that begins with 30 or more is seen with less."""

# Those who speak to neighbours only do so with a time to live of 1: BGP, RIP, RIPng, MSDP, LDP, HSRP, BFD and what looks for names and devices on the link.
NEIGHBOURS = [137, 138, 179, 520, 521, 639, 646, 1900, 1985, 2029, 3702, 3784, 3785, 4784, 5353, 5355]


class Settings(DetectorSettings):
    """The `[plugins.traceroute]` table."""

    probes: int = Field(2, ge=1, description="Packets on their last hop, from one host to another, that make a traceroute.")
    hops: int = Field(3, ge=2, le=HOPS, description="Different times to live, of eight and less, from one host to another, that make one.")
    expiry: Duration = Field(15.0, description="How long a source must be quiet to be over.")


class Traceroute(Detector[Settings]):
    """Report who looks for the way to a host."""

    name = "traceroute"
    kinds = {"traceroute": AlertKind("IP: traceroute", "low", line="{proto}: traceroute from {src}{to}")}

    def setup(self) -> None:
        expiry, given = self.settings.expiry, self.settings
        self.dying = self.tracker(key="pair", threshold=given.probes, memory=expiry, expiry=expiry, tells=False, weight=0.5)
        self.hops = self.tracker(key="pair", distinct="label", threshold=given.hops, memory=expiry, expiry=expiry, tells=False, weight=0.5)
        self.routes = self.tracker(key="pair", threshold=1, memory=expiry, expiry=expiry, waits=True, weight=0.5)

    def on_batch(self, batch: PacketBatch) -> None:
        probes = batch.among((batch.ttl <= HOPS) & (batch.ttl > 0) & batch.unanswered, _probes)
        if not probes.any() and not len(self.routes):
            return
        self.dying.update(batch, where=probes & (batch.ttl == 1))
        self.hops.update(batch, where=probes, labels=batch.ttl)
        for route in self.routes.update(batch, where=probes, sure=self.dying.suspects | self.hops.suspects):
            self.alert("traceroute", route)


def _probes(packets: PacketRows) -> Mask:
    """Packets that ask a host something: datagrams, echo requests, attempts to connect and ACKs without a connection."""
    asks = packets.tcp_flags & (SYN | ACK) == SYN
    attempts = packets.is_tcp & (packets.payload_length == 0) & (asks | (packets.strays & (packets.tcp_flags == ACK)))
    neighbours = np.isin(packets.sport, NEIGHBOURS) | np.isin(packets.dport, NEIGHBOURS)
    found: Mask = packets.to_one_host & (attempts | packets.is_udp | packets.is_echo) & ~neighbours & ~_on_the_link(packets)
    return found


def _on_the_link(packets: PacketRows) -> Mask:
    """From an address that no router forwards: fe80::/10, 169.254/16."""
    four = (packets.version == 4) & (packets.src_lo >> np.uint64(16) & np.uint64(0xFFFF) == 0xA9FE)
    found: Mask = four | ((packets.version == 6) & (packets.src_hi >> np.uint64(54) == 0x3FA))
    return found


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [Traceroute]
