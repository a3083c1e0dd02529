"""TCP packets that no honest sender makes: flags that contradict each other, the probes of fingerprinters, and packets from a host to itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from pydantic import Field

from iplog_bogus_flags.fingerprints import ODD, odd_probes, plain_probes
from iplog_core import MINUTE, AlertKind, Detector, DetectorSettings, Duration, Kind, Mask, PacketBatch, PacketRows, TcpFlag, Tracker, hookimpl

iplog_api = 2

FIN, SYN, RST = int(TcpFlag.FIN), int(TcpFlag.SYN), int(TcpFlag.RST)
RESERVED = 0xE00
PLAIN_CLASSES = 5
ETHERNET, SLL, SLL2 = 1, 113, 276
LOOPBACK_DEVICE = 772


class Settings(DetectorSettings):
    """The `[plugins.bogus_flags]` table."""

    classes: int = Field(3, ge=2, description="Different kinds of odd probes from one source to one host that make a fingerprinter.")
    expiry: Duration = Field(MINUTE, description="How long a source must be quiet to be over.")


class BogusFlags(Detector[Settings]):
    """Report TCP flags that contradict each other, fingerprinters, and packets whose source is their destination."""

    name = "bogus_flags"
    kinds = {
        "bogus_flags": AlertKind("TCP: bogus flags", "medium", line="TCP: Bogus TCP flags set by {src}:{sport} (dest port {dport})", ports=True),
        "os_fingerprint": AlertKind("IP: OS fingerprinting", "medium"),
        "land": AlertKind("IP: land attack", "high", ports=True),
    }

    def setup(self) -> None:
        expiry = self.settings.expiry
        self.bogus = self.tracker(key="pair", threshold=1, memory=expiry, expiry=expiry, weight=2)
        self.land = self.tracker(key="pair", threshold=1, memory=expiry, expiry=expiry)
        self.odd = self._classes(self.settings.classes)
        self.plain = self._classes(PLAIN_CLASSES)

    def on_batch(self, batch: PacketBatch) -> None:
        unusual = batch.is_tcp & (batch.strays | UNUSUAL.take(batch.tcp_flags, mode="clip"))
        odd, plain = odd_probes(batch, unusual), plain_probes(batch)
        for episode in self.odd.update(batch, where=odd != 0, labels=odd):
            self.alert("os_fingerprint", episode)
        for episode in self.plain.update(batch, where=plain != 0, labels=plain):
            self.alert("os_fingerprint", episode)
        # What is a fingerprinter's is told by that name.
        for episode in self.bogus.update(batch, where=batch.among(unusual & (odd == 0), _contradicts)):
            self.alert("bogus_flags", episode)
        for episode in self.land.update(batch, where=_to_itself(batch)):
            self.alert("land", episode)

    def _classes(self, threshold: int) -> Tracker:
        expiry = self.settings.expiry
        return self.tracker(key="pair", distinct="label", threshold=threshold, memory=expiry, expiry=expiry)


def _impossible(flags: int) -> bool:
    """Tell whether flags contradict each other, or nobody has given them a meaning. None at all, and odd ones without ACK, are a scan's business."""
    return flags & (SYN | FIN) == SYN | FIN or flags & (SYN | RST) == SYN | RST or flags & (FIN | RST) == FIN | RST or flags & RESERVED != 0


IMPOSSIBLE = np.array([_impossible(flags) for flags in range(4096)])
UNUSUAL = IMPOSSIBLE | ODD


def _contradicts(packets: PacketRows) -> Mask:
    return IMPOSSIBLE[packets.tcp_flags]


def _to_itself(batch: PacketBatch) -> Mask:
    """Packets that ask something and name their receiver as their sender, with the same port where there are ports; on loopback that is ordinary."""
    same = batch.among((batch.sport == batch.dport) & batch.opens & ~batch.is_arp, _names_itself)
    for row in same.nonzero()[0].tolist():
        same[row] = not _on_loopback_device(batch, row)
    return same


def _names_itself(packets: PacketRows) -> Mask:
    same = packets.src_lo == packets.dst_lo
    if not same.any():
        return same
    same &= packets.src_hi == packets.dst_hi
    loopback4 = (packets.version == 4) & (packets.src_lo >> 24 & 0xFF == 127)
    loopback6 = (packets.version == 6) & (packets.src_hi == 0) & (packets.src_lo <= 1)
    nowhere = (packets.version == 4) & (packets.src_lo & 0xFFFFFFFF == 0)
    return same & ~loopback4 & ~loopback6 & ~nowhere & (packets.kind != int(Kind.NONE)) & packets.to_one_host


def _on_loopback_device(batch: PacketBatch, row: int) -> bool:
    """Tell whether a packet never left its host: Linux gives such frames addresses of zeros, and a type of their own where it captures from all devices."""
    start = int(batch.offset[row])
    head = batch.data[start : start + int(batch.network[row])]
    link = int(batch.link[row])
    if link == ETHERNET:
        return len(head) >= 12 and not head[:12].any()
    at = {SLL: 2, SLL2: 8}.get(link)
    return at is not None and bytes(head[at : at + 2]) == LOOPBACK_DEVICE.to_bytes(2, "big")


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [BogusFlags]
