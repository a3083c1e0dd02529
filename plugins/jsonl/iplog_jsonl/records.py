"""Records as JSON lines: `traffic`, and `flow` with the members that Suricata gives it.

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
from iplog_core.batch import Kind, Outcome
from iplog_core.timestamps import timestamps
from iplog_jsonl.community import PROTOCOLS, community_id

_COLUMNS = ("kind", "proto", "interface", "sport", "dport", "icmp_type", "icmp_code")


def record_lines(records: Records, with_community_id: bool) -> list[str]:
    """Return a JSON object for each record. The time of a flow is that of its end on the packet clock, of others that of their packet."""
    rows = records.rows
    is_flow = rows["record"] == RecordKind.FLOW
    interfaces = {number: f',"in_iface":{json.dumps(name)}' for number, name in enumerate(records.interfaces) if name}
    lines = []
    for time, event_type, details, src, dst, kind, number, interface, sport, dport, icmp_type, icmp_code in zip(
        timestamps(np.where(is_flow, rows["clock"], rows["time"])),
        np.where(is_flow, "flow", "traffic").tolist(),
        _details(rows, is_flow),
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
            ends = f'"src_ip":"{src}","src_port":{sport},"dest_ip":"{dst}","dest_port":{dport},"proto":"{proto}"'
        elif kind in _ICMP:
            first, second = icmp_type, icmp_code
            ends = f'"src_ip":"{src}","dest_ip":"{dst}","proto":"{proto}","icmp_type":{icmp_type},"icmp_code":{icmp_code}'
        else:
            first = second = None
            ends = f'"src_ip":"{src}","dest_ip":"{dst}","proto":"{proto}"'
        if with_community_id and (identity := community_id(proto, src, dst, first, second)):
            ends += f',"community_id":"{identity}"'
        lines.append(f'{{"timestamp":"{time}","event_type":"{event_type}"{interfaces.get(interface, "")},{ends},"{event_type}":{details}}}')
    return lines


def _details(rows: NDArray[Any], is_flow: NDArray[np.bool_]) -> list[str]:
    """Return for each row what stands under `traffic` or `flow`."""
    if not is_flow.any():
        return _traffic(rows)
    details = np.empty(len(rows), object)
    details[is_flow] = _flows(rows[is_flow])
    details[~is_flow] = _traffic(rows[~is_flow])
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


def _told(member: str, outcome: int) -> str:
    return f',"{member}":"{_OUTCOMES[outcome]}"' if outcome in _OUTCOMES else ""


_RECORDS = [kind.name.lower() for kind in RecordKind]
_OUTCOMES = {outcome.value: outcome.name.lower() for outcome in Outcome}
_PROTOCOLS = {number: name for name, number in PROTOCOLS.items()} | {2: "IGMP", 47: "GRE", 50: "ESP", 51: "AH"}
_WITH_PORTS = {Kind.TCP.value, Kind.UDP.value, Kind.SCTP.value}
_ICMP = {Kind.ICMP.value, Kind.ICMP6.value}
