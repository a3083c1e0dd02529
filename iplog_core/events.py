"""What leaves the pipeline: traffic records as columns, alerts and statistics as objects."""

# Without `from __future__ import annotations`: of a model's fields pydantic would compile each annotation from its text, a quarter of what they take.

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from iplog_core.kernel.records import gather

Severity = Literal["info", "low", "medium", "high"]
State = Literal["start", "update", "end"]

NO_OUTCOME = 255


class RecordKind(IntEnum):
    """What a traffic record tells of, in its column `record`; FLOW is a flow that has ended, MALFORMED a packet that could not be decoded to the end."""

    CONNECTION_ATTEMPT = 0
    DATAGRAM = 1
    ICMP = 2
    FLOW = 3
    MALFORMED = 4


RECORD_DTYPE = np.dtype(
    [
        ("time", "i8"), ("clock", "i8"), ("index", "i8"), ("end", "i8"),
        ("src_hi", "u8"), ("src_lo", "u8"), ("dst_hi", "u8"), ("dst_lo", "u8"), ("about_hi", "u8"), ("about_lo", "u8"),
        ("route_hi", "u8"), ("route_lo", "u8"), ("bytes", "u8"), ("reply_bytes", "u8"), ("packets", "u4"), ("reply_packets", "u4"), ("payload", "u4"),
        ("sport", "u2"), ("dport", "u2"), ("interface", "u2"), ("about_sport", "u2"), ("about_dport", "u2"),
        ("record", "u1"), ("phase", "u1"), ("kind", "u1"), ("version", "u1"), ("proto", "u1"),
        ("icmp_type", "u1"), ("icmp_code", "u1"), ("about_proto", "u1"), ("outcome", "u1"), ("malformed", "u1"),
    ],
    align=True,
)  # fmt: skip
"""A traffic record, one row each.

`time` is the capture's own in ns, of the packet that opened the flow; `clock`, `phase` and `index` order the records of a run. `bytes` is the
length of the IP datagram, `payload` that of the UDP data or of the ICMP message. `outcome` is an `Outcome`, 255 where it is
not told. `about_*` is what an ICMP message speaks of: the quoted packet of an error (protocol, ports, and in `about_hi`,
`about_lo` the quoted destination), the gateway of a redirect, the pointer of a parameter problem (`about_lo`), the target of a neighbour solicitation.
`route_*` is the destination that a redirect is for (that of the packet it quotes; in ICMPv6 it has a field of its own), 0 where it is not known.
`end`, `packets`, `reply_packets` and `reply_bytes` are filled for FLOW records only (`bytes` then counts the initiator's side).
`malformed` is a `Malformed`, for MALFORMED records only; their `version` is 0, and `bytes` the length on the wire, where no IP header could be read.
"""


_PLACES = {name: (at, dtype.itemsize) for name, (dtype, at, *_) in (RECORD_DTYPE.fields or {}).items()}


def record_rows(rows: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return a record for each row of some columns; what a record has besides them is 0."""
    records = np.zeros(len(rows), RECORD_DTYPE)
    gather(list(columns.values()), rows, records.view(np.uint8).reshape(len(rows), RECORD_DTYPE.itemsize), [_PLACES[name] for name in columns])
    return records


class Records:
    """A run of traffic records as columns (`RECORD_DTYPE`), in order."""

    __slots__ = ("interfaces", "rows")

    def __init__(self, rows: NDArray[Any], interfaces: Sequence[str]) -> None:
        self.rows = rows
        self.interfaces = interfaces

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, part: slice) -> "Records":
        return Records(self.rows[part], self.interfaces)


class _Model(BaseModel):
    model_config = ConfigDict(defer_build=True)  # a run may raise no alert, and most runs are over no interface


class Evidence(_Model):
    """Why an alert was raised: what was tried, what came back, the first few samples, the counts. Detectors add fields of their own."""

    model_config = ConfigDict(extra="allow")

    dest_ports: list[int] | None = None
    dest_port_count: int | None = None
    dest_ips: list[str] | None = None
    dest_ip_count: int | None = None
    src_ports: list[int] | None = None
    src_port_count: int | None = None
    sources: list[str] | None = None
    source_count: int | None = None
    refused: int | None = None
    silent: int | None = None
    half_open: int | None = None
    answered: int | None = None
    pending: int | None = None


class Alert(_Model):
    """An episode that a detector reports: its start, each tenfold of its packets, and its end share one `id`.

    Times are ns since the epoch on the packet clock; `time` is when this alert was decided. `line` is a template for the text of the start where the
    classic form ("NAME detected from ...") does not fit; such an alert has no line for its end. Its fields are {proto}, {src}, {sport}, {dst}, {dport}
    and {to}, which is " to DST" where the log names destinations.
    """

    model_config = ConfigDict(validate_assignment=True)

    id: str
    plugin: str
    kind: str
    state: State
    severity: Severity
    signature: str
    time: int
    first_seen: int
    last_seen: int
    packets: int
    bytes: int
    suppressed: int = 0
    src_ip: str | None = None
    src_port: int | None = None
    dest_ip: str | None = None
    dest_port: int | None = None
    proto: str | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    in_iface: str | None = None
    community_id: str | None = None
    evidence: Evidence = Field(default_factory=Evidence)
    extra: dict[str, Any] = Field(default_factory=dict, description="Fields that plugins added.")
    line: str | None = None


class Notice(_Model):
    """What iplog says of itself, such as `iplog started.`: one line. `time` is that of the wall clock, in ns since the epoch."""

    time: int
    message: str


class InterfaceStats(_Model):
    """What the capture of an interface counts: packets received, those that the kernel dropped for want of room in the ring, those that the
    interface dropped; the size of the ring in bytes, and the packets received in each of the last seconds."""

    packets: int = 0
    kernel_drops: int = 0
    interface_drops: int = 0
    ring: int = 0
    rate: float = 0.0


class TableStats(_Model):
    """How full a table is: its entries, how many there may be, how many were forgotten for want of room.

    `used` are the bytes of it that were ever used, `memory` those that it has.
    """

    entries: int = 0
    capacity: int = 0
    evicted: int = 0
    used: int = 0
    memory: int = 0


class PluginStats(_Model):
    """What a plugin took of the time: how often it was called, with a batch, an alert, or events to write; seconds in all, and of the slowest call.

    `share` is what the seconds are of those in which packets were worked on. A sink works beside the packets, on a thread of its own.
    """

    calls: int = 0
    seconds: float = 0.0
    share: float = 0.0
    slowest: float = 0.0


class Stats(_Model):
    """The counters of a run.

    `policies` has what each of them counted, such as the alerts that a rule dropped. `tables` are those in which flows and the detectors' findings are
    kept. These differ from run to run: `rate`, in packets a second, `peak_memory`, in bytes, `busy`, the seconds in which packets were worked on, and
    `plugins`, what of it each plugin took.
    """

    time: int = 0
    packets: int = 0
    bytes: int = 0
    flows: int = 0
    alerts: int = 0
    suppressed: int = 0
    kernel_drops: int = 0
    queue_drops: int = 0
    evicted: int = 0
    ignored: int = 0
    unsupported: int = 0
    malformed: dict[str, int] = Field(default_factory=dict)
    plugin_errors: dict[str, int] = Field(default_factory=dict)
    policies: dict[str, dict[str, int]] = Field(default_factory=dict)
    interfaces: dict[str, InterfaceStats] = Field(default_factory=dict)
    tables: dict[str, TableStats] = Field(default_factory=dict)
    rate: float = 0.0
    peak_memory: int = 0
    busy: float = 0.0
    plugins: dict[str, PluginStats] = Field(default_factory=dict)


Event = Records | Alert | Stats | Notice
