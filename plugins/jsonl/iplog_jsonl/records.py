"""Records as JSON lines: `traffic`, and `flow` and `anomaly` with the members that Suricata gives them.

They are put together as text, at a fraction of an encoder's cost: a record holds numbers, addresses and words of ours, and
nothing that needs escaping but the name of its interface.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iplog_core import RecordKind, Records
from iplog_core.addresses import addresses
from iplog_core.batch import Kind, Malformed, Outcome
from iplog_core.lines.forms import GIVEN, Forms, Numbers, Part, host, joined, number, seconds_between, utc, word, words
from iplog_jsonl.community import PROTOCOLS, community_id

_PORTS, _TYPE, _HOSTS, _NOTHING = range(4)
"""What tells of the ends of a record: addresses with ports, with the type of an ICMP message, by themselves, or nothing."""

_ENDS, _IS_ARP, _BITS = 3, 5, 6
"""Where they begin in the key to a form; below is the kind of record."""


class RecordLines:
    """Lines of records: a JSON object for each. The time of a flow is that of its end on the packet clock, of others that of their packet."""

    def __init__(self, with_community_id: bool) -> None:
        self._with_community_id = with_community_id
        self._interfaces: list[str] | None = None
        self._forms = Forms()
        self._numbers = Numbers(_BITS, self._form)

    def of(self, records: Records) -> bytes:
        """Return the lines of records, each with its newline."""
        interfaces = list(records.interfaces)
        if interfaces != self._interfaces:
            # Their names stand in the forms, which are made anew when there are others: seldom.
            self._interfaces, self._forms, self._numbers = interfaces, Forms(), Numbers(_BITS, self._form)
        rows = records.rows
        given = [text.encode() for text in _community_ids(rows)] if self._with_community_id else None
        return self._forms.text(rows, self._numbers.of(_keys(rows)), rows["time"], given=given).data

    def _form(self, key: int) -> int:
        kind, ends = RecordKind(key & (1 << _ENDS) - 1), key >> _ENDS & 3
        event_type = _EVENT_TYPES[kind]
        names = {number: f',"in_iface":{json.dumps(name)}' for number, name in enumerate(self._interfaces or ()) if name and number <= 0xFFFF}
        parts: list[str | Part] = [
            '{"timestamp":"',
            *utc("clock" if kind == RecordKind.FLOW else "time"),
            f'","event_type":"{event_type}"',
            word("interface", words(names, counted=False)),
            ",",
            *_ends(ends, bool(key >> _IS_ARP)),
            *([GIVEN] if self._with_community_id else []),
            f'"{event_type}":',
            *_DETAILS[event_type](kind),
            "}",
        ]
        return self._forms.add(joined(parts))


def _keys(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Return for each row a key to its form."""
    record, kind = rows["record"].copy(), rows["kind"].copy()
    ends = _ENDS_OF[kind]
    is_unread = (record == RecordKind.MALFORMED) & (rows["version"] == 0) & (ends == _HOSTS)
    keys: NDArray[np.int64] = np.where(is_unread, _NOTHING, ends) << _ENDS
    keys |= record
    keys |= (kind == Kind.ARP).astype(np.int64) << _IS_ARP
    return keys


def _ends(ends: int, is_arp: bool) -> Iterator[str | Part]:
    if ends == _NOTHING:
        return
    port: list[str | Part] = [',"src_port":', number("sport")] if ends == _PORTS else []
    yield from ('"src_ip":"', host("src"), '"', *port)
    port = [',"dest_port":', number("dport")] if ends == _PORTS else []
    yield from (',"dest_ip":"', host("dst"), '"', *port)
    yield from (',"proto":"', word("proto", words(_PROTOCOLS, "ARP", counted=False) if is_arp else words(_PROTOCOLS)), '",')
    if ends == _TYPE:
        yield from ('"icmp_type":', number("icmp_type"), ',"icmp_code":', number("icmp_code"), ",")


def _traffic(kind: RecordKind) -> list[str | Part]:
    return [f'{{"kind":"{kind.name.lower()}","bytes":', number("bytes"), _told("outcome"), "}"]


def _flow(kind: RecordKind) -> list[str | Part]:
    return [
        *('{"pkts_toserver":', number("packets"), ',"pkts_toclient":', number("reply_packets")),
        *(',"bytes_toserver":', number("bytes"), ',"bytes_toclient":', number("reply_bytes")),
        *(',"start":"', *utc("time"), '","end":"', *utc("end"), '","age":', seconds_between("end", "time"), _told("state"), "}"),
    ]


def _anomaly(kind: RecordKind) -> list[str | Part]:
    return ['{"type":"decode","event":"', word("malformed", words(_FAULTS)), '"}']


def _told(member: str) -> Part:
    return word("outcome", words({outcome.value: f',"{member}":"{outcome.name.lower()}"' for outcome in Outcome}, counted=False))


def _community_ids(rows: NDArray[Any]) -> Iterator[str]:
    """Return for each row the member with the ID of its flow, or nothing."""
    columns: Sequence[list[int]] = [rows[name].tolist() for name in ("proto", "sport", "dport", "icmp_type", "icmp_code")]
    hosts = [addresses(rows[f"{side}_hi"], rows[f"{side}_lo"]) for side in ("src", "dst")]
    for ends, src, dst, proto, sport, dport, icmp_type, icmp_code in zip((_keys(rows) >> _ENDS & 3).tolist(), *hosts, *columns, strict=True):
        pair = (sport, dport) if ends == _PORTS else (icmp_type, icmp_code) if ends == _TYPE else (None, None)
        identity = community_id(_PROTOCOLS.get(proto), src, dst, *pair)
        yield f'"community_id":"{identity}",' if identity else ""


_EVENT_TYPES = {kind: "flow" if kind == RecordKind.FLOW else "anomaly" if kind == RecordKind.MALFORMED else "traffic" for kind in RecordKind}
_DETAILS = {"traffic": _traffic, "flow": _flow, "anomaly": _anomaly}
_FAULTS = {fault.value: fault.name.lower() for fault in Malformed}
_PROTOCOLS = {number: name for name, number in PROTOCOLS.items()} | {2: "IGMP", 47: "GRE", 50: "ESP", 51: "AH"}
_ENDS_OF = np.full(256, _HOSTS, np.int64)
_ENDS_OF[[Kind.TCP, Kind.UDP, Kind.SCTP]] = _PORTS
_ENDS_OF[[Kind.ICMP, Kind.ICMP6]] = _TYPE
