"""Packets that no honest TCP sends: impossible flags, and packets from a host to itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from iplog_core import MINUTE, AlertKind, Detector, DetectorSettings, Duration, Mask, PacketBatch, TcpFlag, hookimpl

iplog_api = 1

FIN, SYN, RST = int(TcpFlag.FIN), int(TcpFlag.SYN), int(TcpFlag.RST)
RESERVED = 0xE00


class Settings(DetectorSettings):
    """The `[plugins.bogus_flags]` table."""

    expiry: Duration = Field(MINUTE, description="How long a source must be quiet to be over.")


class BogusFlags(Detector[Settings]):
    """Report TCP flags that contradict each other, and packets whose source is their destination."""

    name = "bogus_flags"
    kinds = {
        "bogus_flags": AlertKind("TCP: bogus flags", "medium", line="TCP: Bogus TCP flags set by {src}:{sport} (dest port {dport})", ports=True),
        "land": AlertKind("TCP: land attack", "high", ports=True),
    }

    def setup(self) -> None:
        expiry = self.settings.expiry
        self.bogus = self.tracker(key="pair", threshold=1, memory=expiry, expiry=expiry)
        self.land = self.tracker(key="pair", threshold=1, memory=expiry, expiry=expiry)

    def on_batch(self, batch: PacketBatch) -> None:
        for episode in self.bogus.update(batch, where=batch.is_tcp & _impossible(batch)):
            self.alert("bogus_flags", episode)
        for episode in self.land.update(batch, where=batch.is_tcp & batch.opens & _to_itself(batch)):
            self.alert("land", episode)


def _impossible(batch: PacketBatch) -> Mask:
    """Flags that contradict each other, or that nobody has given a meaning. None at all, and odd ones without ACK, are a scan's business."""
    flags = batch.tcp_flags
    two = (flags & (SYN | FIN) == SYN | FIN) | (flags & (SYN | RST) == SYN | RST) | (flags & (FIN | RST) == FIN | RST)
    return two | (flags & RESERVED != 0)


def _to_itself(batch: PacketBatch) -> Mask:
    """Packets that name their receiver as their sender; on loopback that is ordinary."""
    same = (batch.src_lo == batch.dst_lo) & (batch.src_hi == batch.dst_hi) & (batch.sport == batch.dport)
    loopback4 = (batch.version == 4) & (batch.src_lo >> 24 & 0xFF == 127)
    loopback6 = (batch.version == 6) & (batch.src_hi == 0) & (batch.src_lo == 1)
    return same & ~loopback4 & ~loopback6


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [BogusFlags]
