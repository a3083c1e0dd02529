"""The traffic log: TCP connection attempts, UDP conversations, ICMP messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from iplog_core import (
    NO_OUTCOME,
    Detector,
    DetectorSettings,
    FlowRows,
    Kind,
    Malformed,
    Mask,
    Outcome,
    PacketBatch,
    Phase,
    RecordKind,
    hookimpl,
)
from iplog_core.events import record_rows

iplog_api = 2


class Settings(DetectorSettings):
    """The `[plugins.traffic]` table."""

    tcp: bool = Field(True, description="Log TCP connection attempts.")
    udp: bool | Literal["conversation", "datagram"] = Field(
        "conversation", description='Log UDP: a line for each "conversation" or for each "datagram"; false for none.'
    )
    icmp: bool = Field(True, description="Log ICMP messages.")
    outcome: bool = Field(False, description="Wait until it is known how an attempt went, and tell it.")
    flows: bool = Field(False, description="Log the end of each flow, with its packets and bytes.")
    malformed: bool = Field(False, description="Log packets whose headers are wrong or cut short.")


class Traffic(Detector[Settings]):
    """Write down who contacted whom."""

    name = "traffic"

    @classmethod
    def wants_ends(cls, settings: Settings) -> bool:
        return settings.flows

    def on_batch(self, batch: PacketBatch) -> None:
        if not self.logs:
            return
        if self.settings.outcome:
            self.log(_flow_records(batch.decided, self._decided(batch.decided)))
        self.log(_packet_records(batch, self._logged(batch)))
        if self.settings.malformed:
            self.log(_malformed_records(batch))
        if self.settings.flows:
            self.log(_flow_records(batch.ended, self._asked(batch.ended), ended=True))

    def _logged(self, batch: PacketBatch) -> Mask:
        """The packets that are written when they come: with outcomes, only those that have none."""
        chosen = np.zeros(len(batch), np.bool_)
        if self.settings.icmp:
            chosen |= batch.is_icmp
        if self.settings.tcp:
            chosen |= batch.is_tcp & batch.opens
        if self.settings.udp:
            chosen |= batch.is_udp if self.settings.udp == "datagram" else batch.is_udp & batch.opens
        if self.settings.outcome:
            chosen &= ~batch.opens
        return chosen

    def _decided(self, flows: FlowRows) -> Mask:
        return self._asked(flows) & (flows.outcome != Outcome.LATE)

    def _asked(self, flows: FlowRows) -> Mask:
        """The flows of the protocols that are logged; strays asked for nothing."""
        chosen = np.zeros(len(flows), np.bool_)
        if self.settings.icmp:
            chosen |= flows.is_icmp
        if self.settings.tcp:
            chosen |= flows.is_tcp
        if self.settings.udp:
            chosen |= flows.is_udp
        return chosen & (flows.stray == 0)


def _packet_records(batch: PacketBatch, chosen: Mask) -> NDArray[Any]:
    rows = np.flatnonzero(chosen)
    columns = {name: getattr(batch, name) for name in ("time", "clock", "index", *_SHARED)}
    records = record_rows(rows, columns | {"bytes": batch.length, "payload": batch.payload_length})
    records["phase"] = Phase.PACKET
    records["outcome"] = NO_OUTCOME
    records["record"] = _RECORD_KIND[records["kind"]]
    _tell_icmp(batch, rows, records)
    return records


def _tell_icmp(batch: PacketBatch, rows: NDArray[np.int64], records: NDArray[Any]) -> None:
    """What the ICMP messages among the records speak of."""
    messages = np.flatnonzero(records["record"] == RecordKind.ICMP)
    if len(messages):
        about = batch.icmp_about(rows[messages])
        for name in ("hi", "lo", "sport", "dport", "proto"):
            records[f"about_{name}"][messages] = about[name]
        for name in ("route_hi", "route_lo"):
            records[name][messages] = about[name]


def _malformed_records(batch: PacketBatch) -> NDArray[Any]:
    """The packets that could not be decoded to the end, but for those that the capture itself cut short."""
    cut_short = (batch.malformed == Malformed.TRUNCATED) & (batch.captured < batch.wire_length)
    rows = np.flatnonzero((batch.malformed != Malformed.OK) & ~cut_short)
    records = record_rows(rows, {name: getattr(batch, name) for name in ("time", "clock", "index", "malformed", *_SHARED)})
    records["bytes"] = np.where(batch.version, batch.length, batch.wire_length)[rows]
    records["phase"] = Phase.PACKET
    records["outcome"] = NO_OUTCOME
    records["record"] = RecordKind.MALFORMED
    return records


def _flow_records(flows: FlowRows, chosen: Mask, *, ended: bool = False) -> NDArray[Any]:
    rows = np.flatnonzero(chosen)
    columns = {name: getattr(flows, name) for name in ("index", "phase", "outcome", *_SHARED)}
    columns |= {"time": flows.opened, "clock": flows.time, "payload": flows.payload_length}
    if ended:
        columns |= {"end": flows.last} | {name: getattr(flows, name) for name in ("bytes", "packets", "reply_bytes", "reply_packets")}
    else:
        columns["bytes"] = flows.length
    records = record_rows(rows, columns)
    records["record"] = RecordKind.FLOW if ended else _RECORD_KIND[records["kind"]]
    return records


_SHARED = (
    "src_hi", "src_lo", "dst_hi", "dst_lo", "sport", "dport", "interface", "kind", "version", "proto", "icmp_type", "icmp_code",
)  # fmt: skip
_RECORD_KIND = np.zeros(max(Kind) + 1, np.uint8)
_RECORD_KIND[Kind.TCP] = RecordKind.CONNECTION_ATTEMPT
_RECORD_KIND[Kind.UDP] = RecordKind.DATAGRAM
_RECORD_KIND[[Kind.ICMP, Kind.ICMP6]] = RecordKind.ICMP


@hookimpl
def iplog_detectors() -> Iterable[type[Detector[Any]]]:
    return [Traffic]
