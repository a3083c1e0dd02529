"""Scans of what is neither TCP nor UDP: the IP protocols of a host, and its SCTP ports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from pydantic import Field

from iplog_core import HOUR, MINUTE, AlertKind, Detector, DetectorSettings, Duration, Kind, Mask, PacketBatch, Rows, Tracker, hookimpl

iplog_api = 2

OTHER, SCTP = int(Kind.OTHER), int(Kind.SCTP)
COOKIE_ECHO = 10

# IGMP, tunnels, IPsec and OSPF (IANA, Assigned Internet Protocol Numbers): a capture may show one direction of them.
COMMON = (2, 4, 41, 47, 50, 51, 89, 97, 115, 137)


class Settings(DetectorSettings):
    """The `[plugins.proto_scan]` table."""

    protocols: int = Field(5, ge=2, description="Distinct unanswered IP protocols of one host that make a scan.")
    ports: int = Field(5, ge=2, description="Distinct unanswered SCTP ports of one host that make a scan.")
    memory: Duration = Field(4 * HOUR, description="How long a probe counts.")
    expiry: Duration = Field(15 * MINUTE, description="How long a scan must be quiet to be over.")


class ProtoScan(Detector[Settings]):
    """Report sources that try IP protocols or SCTP ports that nobody offered them."""

    name = "proto_scan"
    kinds = {
        "protocol_scan": AlertKind("IP: protocol scan", "high"),
        "sctp_scan": AlertKind("SCTP: port scan", "high"),
    }

    def setup(self) -> None:
        self.protocols = self._pairs("label", self.settings.protocols)
        self.ports = self._pairs("dest_port", self.settings.ports)

    def on_batch(self, batch: PacketBatch) -> None:
        flows = batch.decided
        for scan in self.protocols.update(
            batch,
            where=batch.among(batch.probes & (batch.kind == OTHER), _uncommon),
            decided=flows.among(flows.probes & (flows.kind == OTHER), _uncommon),
            labels=batch.proto,
            flow_labels=flows.proto,
        ):
            self.alert("protocol_scan", scan, protocols=scan.samples, protocol_count=scan.distinct)
        asks = batch.among(batch.kind == SCTP, lambda few: few.to_one_host & (few.probes | (few.strays & _echoes(few))))
        asked = flows.among(flows.kind == SCTP, lambda few: few.to_one_host & (few.probes | ((few.stray == 1) & _echoes(few))))
        for scan in self.ports.update(batch, where=asks, decided=asked):
            self.alert("sctp_scan", scan)

    def _pairs(self, distinct: Literal["label", "dest_port"], threshold: int) -> Tracker:
        return self.tracker(
            key="pair",
            distinct=distinct,
            threshold=threshold,
            memory=self.settings.memory,
            expiry=self.settings.expiry,
            doubts="pending",
            joins=True,
        )


def _uncommon(rows: Rows) -> Mask:
    """Packets of IP protocols that hosts hardly use."""
    return rows.to_one_host & ~np.isin(rows.proto, COMMON)


def _echoes(rows: Rows) -> Mask:
    """Cookies, which open ports keep silent about where they come out of the blue (RFC 9260, section 5.1), and closed ones abort."""
    return rows.sctp_chunk == COOKIE_ECHO


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [ProtoScan]
