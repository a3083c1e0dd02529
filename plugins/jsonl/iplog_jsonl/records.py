"""Records as JSON lines: `traffic`, and `flow` and `anomaly` with the members that Suricata gives them.

They are put together as text, at half the cost of an encoder: a record holds numbers, addresses and words of ours, and
nothing that needs escaping but the name of its interface.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iplog_core import RecordKind, Records
from iplog_core.addresses import addresses
from iplog_core.batch import Kind, Malformed, Outcome
from iplog_core.timestamps import timestamps
from iplog_jsonl.community import PROTOCOLS, community_id

_COLUMNS = ("kind", "version", "proto", "interface", "sport", "dport", "icmp_type", "icmp_code")


def record_lines(records: Records, with_community_id: bool) -> list[str]:
    """Return a JSON object for each record. The time of a flow is that of its end on the packet clock, of others that of their packet."""
    rows = records.rows
    interfaces = {number: f',"in_iface":{json.dumps(name)}' for number, name in enumerate(records.interfaces) if name}
    lines = []
    for time, event_type, details, src, dst, kind, version, number, interface, sport, dport, icmp_type, icmp_code in zip(
        timestamps(np.where(rows["record"] == RecordKind.FLOW, rows["clock"], rows["time"])),
        [_EVENT_TYPES[record] for record in rows["record"].tolist()],
        _details(rows),
        addresses(rows["src_hi"], rows["src_lo"]),
        addresses(rows["dst_hi"], rows["dst_lo"]),
        *(rows[name].tolist() for name in _COLUMNS),
        strict=True,
    ):
        proto = _PROTOCOLS.get(number) or ("ARP" if kind == Kind.ARP else str(number))
        first: int | None
        second: int | None
        if kind in _WITH_PORTS:
            first, second = sport, dport
            ends = f'"src_ip":"{src}","src_port":{sport},"dest_ip":"{dst}","dest_port":{dport},"proto":"{proto}",'
        elif kind in _ICMP:
            first, second = icmp_type, icmp_code
            ends = f'"src_ip":"{src}","dest_ip":"{dst}","proto":"{proto}","icmp_type":{icmp_type},"icmp_code":{icmp_code},'
        else:
            first = second = None
            ends = f'"src_ip":"{src}","dest_ip":"{dst}","proto":"{proto}",' if version or event_type != "anomaly" else ""
        if with_community_id and ends and (identity := community_id(proto, src, dst, first, second)):
            ends += f'"community_id":"{identity}",'
        lines.append(f'{{"timestamp":"{time}","event_type":"{event_type}"{interfaces.get(interface, "")},{ends}"{event_type}":{details}}}')
    return lines


def _details(rows: NDArray[Any]) -> list[str]:
    """Return for each row what stands under its event type."""
    record = rows["record"]
    is_flow, is_malformed = record == RecordKind.FLOW, record == RecordKind.MALFORMED
    is_traffic = ~(is_flow | is_malformed)
    if is_traffic.all():
        return _traffic(rows)
    details = np.empty(len(rows), object)
    for chosen, form in ((is_traffic, _traffic), (is_flow, _flows), (is_malformed, _anomalies)):
        details[chosen] = form(rows[chosen])
    column: list[str] = details.tolist()
    return column


def _traffic(rows: NDArray[Any]) -> list[str]:
    columns = [rows[name].tolist() for name in ("record", "bytes", "outcome")]
    return [f'{{"kind":"{_RECORDS[record]}","bytes":{size}{_told("outcome", outcome)}}}' for record, size, outcome in zip(*columns, strict=True)]


def _flows(rows: NDArray[Any]) -> list[str]:
    columns = [rows[name].tolist() for name in ("packets", "reply_packets", "bytes", "reply_bytes", "outcome")]
    ages = ((rows["end"] - rows["time"]) // 1_000_000_000).tolist()
    return [
        f'{{"pkts_toserver":{packets},"pkts_toclient":{reply_packets},"bytes_toserver":{size},"bytes_toclient":{reply_size},'
        f'"start":"{start}","end":"{end}","age":{age}{_told("state", outcome)}}}'
        for packets, reply_packets, size, reply_size, outcome, start, end, age in zip(
            *columns, timestamps(rows["time"]), timestamps(rows["end"]), ages, strict=True
        )
    ]


def _anomalies(rows: NDArray[Any]) -> list[str]:
    return [f'{{"type":"decode","event":"{_FAULTS.get(fault, fault)}"}}' for fault in rows["malformed"].tolist()]


def _told(member: str, outcome: int) -> str:
    return f',"{member}":"{_OUTCOMES[outcome]}"' if outcome in _OUTCOMES else ""


_RECORDS = [kind.name.lower() for kind in RecordKind]
_EVENT_TYPES = ["flow" if kind == RecordKind.FLOW else "anomaly" if kind == RecordKind.MALFORMED else "traffic" for kind in RecordKind]
_FAULTS = {fault.value: fault.name.lower() for fault in Malformed}
_OUTCOMES = {outcome.value: outcome.name.lower() for outcome in Outcome}
_PROTOCOLS = {number: name for name, number in PROTOCOLS.items()} | {2: "IGMP", 47: "GRE", 50: "ESP", 51: "AH"}
_WITH_PORTS = {Kind.TCP.value, Kind.UDP.value, Kind.SCTP.value}
_ICMP = {Kind.ICMP.value, Kind.ICMP6.value}
