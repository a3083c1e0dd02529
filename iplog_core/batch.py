"""A batch of packets as columns: what sources give, what decoding makes of it, what detectors read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iplog_core.addresses import address
from iplog_core.kernel.columns import LAYOUT
from iplog_core.kernel.decode import icmp_about

if TYPE_CHECKING:
    import dpkt

Mask = NDArray[np.bool_]


class Kind(IntEnum):
    """What a packet is, in the column `kind`. A FRAGMENT is a piece of a datagram whose transport header is not in it."""

    NONE = 0
    ARP = 1
    TCP = 2
    UDP = 3
    ICMP = 4
    ICMP6 = 5
    SCTP = 6
    OTHER = 7
    FRAGMENT = 8


# numpy compares with plain integers several times faster than with members of an enumeration.
_ARP, _TCP, _UDP, _ICMP, _ICMP6 = (int(kind) for kind in (Kind.ARP, Kind.TCP, Kind.UDP, Kind.ICMP, Kind.ICMP6))

PROTOCOL_NAMES = {
    Kind.ARP: "ARP",
    Kind.TCP: "TCP",
    Kind.UDP: "UDP",
    Kind.ICMP: "ICMP",
    Kind.ICMP6: "IPv6-ICMP",
    Kind.SCTP: "SCTP",
}
"""What JSON calls a kind, as in Suricata's EVE."""


class Malformed(IntEnum):
    """Why a packet could not be decoded to the end, in the column `malformed`."""

    OK = 0
    TRUNCATED = 1
    BAD_IP_HEADER = 2
    BAD_IP_LENGTH = 3
    BAD_EXTENSION = 4
    BAD_TCP_HEADER = 5
    BAD_UDP_LENGTH = 6
    BAD_LINK = 7


class TcpFlag(IntFlag):
    """The bits of the column `tcp_flags` (RFC 9293; ECE, CWR: RFC 3168; AE: RFC 9768). What is above AE is reserved."""

    FIN = 0x001
    SYN = 0x002
    RST = 0x004
    PSH = 0x008
    ACK = 0x010
    URG = 0x020
    ECE = 0x040
    CWR = 0x080
    AE = 0x100


class Cast(IntEnum):
    """To whom the link layer sent a packet, in the column `cast`."""

    UNICAST = 0
    BROADCAST = 1
    MULTICAST = 2


_UNICAST = int(Cast.UNICAST)


class Fragment(IntFlag):
    """What is known of an IP fragment, in the column `fragment`; 0 for a whole packet.

    PIECE: it is one. MORE: others follow it. HEADER: its transport header is known now. COMPLETE: its datagram is whole now.
    OVERLAP: it does not fit to a piece that came before. DUPLICATE: it came before. OVERSIZED: it ends beyond the longest datagram. TINY: a first piece
    without its transport header. DOUBTFUL: the first that comes of a datagram, unless whole ones of the same source make up for it, or one of more
    pieces than a datagram has. ARRIVED: a datagram that was DOUBTFUL is whole, or near enough.
    """

    PIECE = 1
    MORE = 2
    HEADER = 4
    COMPLETE = 8
    OVERLAP = 16
    DUPLICATE = 32
    OVERSIZED = 64
    TINY = 128
    DOUBTFUL = 256
    ARRIVED = 512


class FlowBit(IntFlag):
    """What the flow table knows of a packet, in the column `flow`.

    OPENS: the first packet of a flow. CONTACT: it opens its source's first flow to that host, protocol and port.
    STRAY: it opens a flow that nobody can have asked for (TCP without a SYN, a reply without its request).
    MEMBER: it belongs to an open flow, REPLY: from the responder's side. DECIDES: the flow's outcome was decided by it.
    UNANSWERED: it is from the initiator, whom nobody had answered before.
    KNOWN: it opens a flow to a host, protocol and port that has answered its source before.
    """

    OPENS = 1
    CONTACT = 2
    STRAY = 4
    MEMBER = 8
    REPLY = 16
    DECIDES = 32
    UNANSWERED = 64
    KNOWN = 128


_OPENS, _CONTACT, _STRAY, _UNANSWERED, _KNOWN = (int(bit) for bit in (FlowBit.OPENS, FlowBit.CONTACT, FlowBit.STRAY, FlowBit.UNANSWERED, FlowBit.KNOWN))


class Outcome(IntEnum):
    """How a flow's opening ended. LATE: a reply after SILENT was decided, which withdraws the flow as evidence."""

    PENDING = 0
    ANSWERED = 1
    HALF_OPEN = 2
    REFUSED = 3
    SILENT = 4
    LATE = 5


_HALF_OPEN, _SILENT = int(Outcome.HALF_OPEN), int(Outcome.SILENT)


@dataclass(slots=True)
class RawBatch:
    """Packets as a source gives them: one buffer, and where each packet lies in it. All arrays have the same length.

    `data` is valid until the next batch is asked for. `time` is in nanoseconds since the epoch, `link` a DLT number,
    `interface` an index into `interfaces`, whose names are empty where the source knows none. `now` (ns) says that no packet to come is older, and lets
    time pass up to it: a source that watches gives it on a quiet line, with a batch that may be empty.
    """

    data: NDArray[np.uint8]
    offset: NDArray[np.int64]
    captured: NDArray[np.uint32]
    wire_length: NDArray[np.uint32]
    time: NDArray[np.int64]
    link: NDArray[np.uint16]
    interface: NDArray[np.uint16]
    interfaces: Sequence[str]
    now: int | None = None

    def __len__(self) -> int:
        return len(self.offset)


FLOW_DTYPE = np.dtype(
    [
        ("time", "i8"), ("opened", "i8"), ("opened_clock", "i8"), ("last", "i8"), ("index", "i8"),
        ("src_hi", "u8"), ("src_lo", "u8"), ("dst_hi", "u8"), ("dst_lo", "u8"),
        ("bytes", "u8"), ("reply_bytes", "u8"), ("packets", "u4"), ("reply_packets", "u4"), ("length", "u4"), ("payload_length", "u4"),
        ("sport", "u2"), ("dport", "u2"), ("tcp_flags", "u2"), ("interface", "u2"), ("icmp_id", "u2"), ("icmp_seq", "u2"),
        ("kind", "u1"), ("version", "u1"), ("proto", "u1"), ("ttl", "u1"), ("icmp_type", "u1"), ("icmp_code", "u1"),
        ("outcome", "u1"), ("stray", "u1"), ("contact", "u1"), ("phase", "u1"), ("known", "u1"), ("again", "u1"),
        ("pinged", "u1"), ("cast", "u1"), ("sctp_chunk", "u1"), ("host_known", "u1"), ("spare", "S4"),
    ],
    align=True,
)  # fmt: skip


_FLOW_FIELDS = frozenset(FLOW_DTYPE.names or ())

ABOUT_DTYPE = np.dtype([("hi", "u8"), ("lo", "u8"), ("route_hi", "u8"), ("route_lo", "u8"), ("sport", "u2"), ("dport", "u2"), ("proto", "u1")])


class Phase(IntEnum):
    """Where something stands that happened at the time of a packet: before it (a deadline), at it, or after the last one."""

    DEADLINE = 0
    PACKET = 1
    END = 2


class Rows:
    """What packets and flows have in common: columns that a mask is made of."""

    kind: NDArray[np.uint8]
    version: NDArray[np.uint8]
    proto: NDArray[np.uint8]
    src_hi: NDArray[np.uint64]
    src_lo: NDArray[np.uint64]
    dst_hi: NDArray[np.uint64]
    dst_lo: NDArray[np.uint64]
    sport: NDArray[np.uint16]
    dport: NDArray[np.uint16]
    tcp_flags: NDArray[np.uint16]
    payload_length: NDArray[np.uint32]
    ttl: NDArray[np.uint8]
    icmp_type: NDArray[np.uint8]
    icmp_code: NDArray[np.uint8]
    sctp_chunk: NDArray[np.uint8]
    cast: NDArray[np.uint8]

    def __len__(self) -> int:
        raise NotImplementedError

    @cached_property
    def is_tcp(self) -> Mask:
        return self.kind == _TCP

    @cached_property
    def is_udp(self) -> Mask:
        return self.kind == _UDP

    @cached_property
    def is_icmp(self) -> Mask:
        """ICMP and ICMPv6."""
        return (self.kind == _ICMP) | (self.kind == _ICMP6)

    @cached_property
    def is_arp(self) -> Mask:
        return self.kind == _ARP

    @cached_property
    def to_one_host(self) -> Mask:
        """To an address of one host: no multicast, no limited broadcast."""
        four = (self.version == 4) & ((self.dst_lo & np.uint64(0xFFFFFFFF)) < 0xE0000000)
        six = (self.version == 6) & (self.dst_hi >> np.uint64(56) != 0xFF)
        return four | six

    @cached_property
    def like_answers(self) -> Mask:
        """From the port of a service to one that clients take, by their numbers (RFC 6335; Linux takes those from 32768 on, name servers all from 1024 on)."""
        system = (self.sport < 1024) & (self.dport >= 1024)
        return system | ((self.sport < 32768) & (self.dport >= 32768))

    @cached_property
    def is_echo(self) -> Mask:
        """Echo requests of either family."""
        return ((self.kind == _ICMP) & (self.icmp_type == 8)) | ((self.kind == _ICMP6) & (self.icmp_type == 128))

    @cached_property
    def is_echo_reply(self) -> Mask:
        return ((self.kind == _ICMP) & (self.icmp_type == 0)) | ((self.kind == _ICMP6) & (self.icmp_type == 129))


class FlowRows(Rows):
    """Flows as columns, seen from their initiator: those decided in a batch (`batch.decided`) or ended in it (`batch.ended`).

    `time` is when it was decided or ended, `opened` the capture's time of the first packet, `opened_clock` the same on the
    packet clock, all in ns. `length`, `payload_length`, `tcp_flags`, `ttl`, `icmp_*`, `sctp_chunk` and `cast` are those of the first packet.

    `again`, of contacts by ICMP: how many more flows their source has opened to that host since, those that ask for the same (an echo, a timestamp);
    254 stands for more, and for a host that was asked again after a pause of `closed_idle`, 255 for what is not known any more. `pinged`, of TCP contacts
    and strays that failed: whether their source has sent that host an ICMP request.

    `rows` is what the kernel gave and reads; the columns are copies of it, made when they are first asked for, and cannot be written to.
    """

    time: NDArray[np.int64]
    opened: NDArray[np.int64]
    opened_clock: NDArray[np.int64]
    last: NDArray[np.int64]
    index: NDArray[np.int64]
    bytes: NDArray[np.uint64]
    reply_bytes: NDArray[np.uint64]
    packets: NDArray[np.uint32]
    reply_packets: NDArray[np.uint32]
    length: NDArray[np.uint32]
    interface: NDArray[np.uint16]
    icmp_id: NDArray[np.uint16]
    icmp_seq: NDArray[np.uint16]
    outcome: NDArray[np.uint8]
    stray: NDArray[np.uint8]
    contact: NDArray[np.uint8]
    phase: NDArray[np.uint8]
    known: NDArray[np.uint8]
    again: NDArray[np.uint8]
    pinged: NDArray[np.uint8]
    host_known: NDArray[np.uint8]

    def __init__(self, rows: NDArray[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name not in _FLOW_FIELDS:
            raise AttributeError(name)
        # Rows are wide, so that each walk along them costs as much as a copy.
        column: NDArray[Any] = self.rows[name].copy()
        column.setflags(write=False)
        self.__dict__[name] = column
        return column

    def where(self, mask: Mask) -> FlowRows:
        chosen = mask.nonzero()[0]
        return self.take(chosen) if len(chosen) else NO_FLOWS

    def take(self, chosen: NDArray[np.int64]) -> FlowRows:
        """The flows of these numbers, in this order."""
        # Rows are copied whole by this, and field by field where they are indexed: twenty times as slow.
        return FlowRows(self.rows.take(chosen))

    def among(self, mask: Mask, test: Callable[[FlowRows], Mask]) -> Mask:
        """As that of `PacketBatch`."""
        return _among(mask, lambda chosen: test(self.take(chosen)))

    def judged(self, outcome: NDArray[np.uint8]) -> FlowRows:
        """The same flows with other outcomes."""
        rows = self.bytes_view.copy().view(FLOW_DTYPE)
        rows["outcome"] = outcome
        return FlowRows(rows)

    @cached_property
    def bytes_view(self) -> NDArray[np.uint8]:
        """The rows as the kernel reads them."""
        return self.rows.view(np.uint8)

    @cached_property
    def failed(self) -> Mask:
        """Flows whose opening came to nothing: half open, refused or silent."""
        return (self.outcome >= _HALF_OPEN) & (self.outcome <= _SILENT)

    @cached_property
    def probes(self) -> Mask:
        """Flows to a host, protocol and port that has not answered their source before, strays apart."""
        return (self.stray == 0) & (self.known == 0)


_OFFSETS: dict[str, tuple[np.dtype[Any], int]] = {}
BYTES_PER_PACKET = 0
for _name, _code in LAYOUT:
    _OFFSETS[_name] = (np.dtype(_code), BYTES_PER_PACKET)
    BYTES_PER_PACKET += np.dtype(_code).itemsize


class PacketRows(Rows):
    """Packets as columns, one row a packet, with what the flow table knows of each.

    Addresses are 128 bits in two columns, IPv4 as ::ffff:a.b.c.d; `version` tells them apart. `time` is the capture's own, `clock`
    never runs backwards, both int64 ns. `index` counts the packets of the run. `length` is the IP datagram's length in bytes,
    `payload_length` what is behind the TCP or UDP header, for ICMP the whole message. `network` and `transport` are
    offsets into the frame (0: none). What a packet does not have is 0.
    """

    time: NDArray[np.int64]
    clock: NDArray[np.int64]
    index: NDArray[np.int64]
    offset: NDArray[np.int64]
    captured: NDArray[np.uint32]
    wire_length: NDArray[np.uint32]
    length: NDArray[np.uint32]
    ip_id: NDArray[np.uint32]
    tcp_seq: NDArray[np.uint32]
    interface: NDArray[np.uint16]
    link: NDArray[np.uint16]
    network: NDArray[np.uint16]
    transport: NDArray[np.uint16]
    fragment_offset: NDArray[np.uint16]
    icmp_id: NDArray[np.uint16]
    icmp_seq: NDArray[np.uint16]
    fragment: NDArray[np.uint16]
    malformed: NDArray[np.uint8]
    flow: NDArray[np.uint8]

    @cached_property
    def to_one_host(self) -> Mask:
        """To an address of one host, and on the link not to everybody or a group."""
        return super().to_one_host & (self.cast == _UNICAST)

    @cached_property
    def opens(self) -> Mask:
        """Packets that open a flow, strays apart: connection attempts, first datagrams, requests."""
        return (self.flow & (_OPENS | _STRAY)) == _OPENS

    @cached_property
    def contacts(self) -> Mask:
        """Packets that open their source's first flow to a host, protocol and port (Jung et al. 2004)."""
        return (self.flow & (_OPENS | _STRAY | _CONTACT)) == (_OPENS | _CONTACT)

    @cached_property
    def probes(self) -> Mask:
        """Packets that open a flow to a host, protocol and port that has not answered their source before."""
        return (self.flow & (_OPENS | _STRAY | _KNOWN)) == _OPENS

    @cached_property
    def strays(self) -> Mask:
        """Packets without a flow that they could belong to; each opens one, so that what comes back can be told."""
        return (self.flow & _STRAY) != 0

    @cached_property
    def unanswered(self) -> Mask:
        """Packets of an initiator whom nobody had answered before."""
        return (self.flow & _UNANSWERED) != 0


class PacketBatch(PacketRows):
    """The packets that came together, and the flows that were decided or ended meanwhile.

    `now` is the clock at the batch's end; `final` marks the empty batch after the last packet.
    """

    def __init__(
        self,
        block: NDArray[np.uint8],
        data: NDArray[np.uint8],
        *,
        now: int,
        interfaces: Sequence[str] = (),
        decided: FlowRows | None = None,
        ended: FlowRows | None = None,
        final: bool = False,
    ) -> None:
        self.block = block
        self._size = len(block) // BYTES_PER_PACKET
        self.data = data
        self.now = now
        self.interfaces = interfaces
        self.decided = decided if decided is not None else NO_FLOWS
        self.ended = ended if ended is not None else NO_FLOWS
        self.final = final

    def __len__(self) -> int:
        return self._size

    def __getattr__(self, name: str) -> NDArray[Any]:
        try:
            dtype, start = _OFFSETS[name]
        except KeyError:
            raise AttributeError(name) from None
        column: NDArray[Any] = np.ndarray(self._size, dtype, self.block, start * self._size)
        self.__dict__[name] = column
        return column

    def where(self, mask: Mask, decided: FlowRows, ended: FlowRows) -> PacketBatch:
        """A batch of the packets that `mask` selects and of the flows given."""
        block = np.concatenate([getattr(self, name)[mask].view(np.uint8) for name in _OFFSETS])
        return PacketBatch(block, self.data, now=self.now, interfaces=self.interfaces, decided=decided, ended=ended, final=self.final)

    def among(self, mask: Mask, test: Callable[[PacketRows], Mask]) -> Mask:
        """Those packets in `mask` that a test selects, which is given these packets only: for a test of many steps that few packets come to."""
        return _among(mask, lambda chosen: test(_SomePackets(self, chosen)))

    def icmp_about(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """What the ICMP messages in `rows` speak of (`ABOUT_DTYPE`): quoted packet, gateway and route, pointer or target."""
        return np.frombuffer(icmp_about(self.data, self.block, len(self), rows), ABOUT_DTYPE)

    def packet(self, row: int) -> Packet:
        return Packet(self, row)

    def __iter__(self) -> Iterator[Packet]:
        return (Packet(self, row) for row in range(len(self)))


class _SomePackets(PacketRows):
    """Packets of a batch; each column is gathered when it is first asked for."""

    def __init__(self, batch: PacketBatch, chosen: NDArray[np.int64]) -> None:
        self._batch = batch
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getattr__(self, name: str) -> NDArray[Any]:
        if name not in _OFFSETS:
            raise AttributeError(name)
        column: NDArray[Any] = getattr(self._batch, name)[self._chosen]
        self.__dict__[name] = column
        return column

    @cached_property
    def to_one_host(self) -> Mask:
        return self._batch.to_one_host[self._chosen]  # many tests ask for it, so that the batch has it


def _among(mask: Mask, test: Callable[[NDArray[np.int64]], Mask]) -> Mask:
    found = np.zeros(len(mask), np.bool_)
    chosen = mask.nonzero()[0]
    if len(chosen):
        found[chosen] = test(chosen)
    return found


class Packet:
    """One packet of a batch, looked at lazily. It is valid as long as its batch: until `on_batch` returns."""

    __slots__ = ("batch", "row")

    def __init__(self, batch: PacketBatch, row: int) -> None:
        self.batch = batch
        self.row = row

    @property
    def time(self) -> int:
        """Nanoseconds since the epoch."""
        return self.batch.time.item(self.row)

    @property
    def src(self) -> str:
        return address(int(self.batch.src_hi[self.row]), int(self.batch.src_lo[self.row]))

    @property
    def dst(self) -> str:
        return address(int(self.batch.dst_hi[self.row]), int(self.batch.dst_lo[self.row]))

    @property
    def sport(self) -> int:
        return self.batch.sport.item(self.row)

    @property
    def dport(self) -> int:
        return self.batch.dport.item(self.row)

    @property
    def kind(self) -> Kind:
        return Kind(int(self.batch.kind[self.row]))

    @property
    def ttl(self) -> int:
        return self.batch.ttl.item(self.row)

    @property
    def length(self) -> int:
        """Bytes of the IP datagram."""
        return self.batch.length.item(self.row)

    @property
    def payload_length(self) -> int:
        return self.batch.payload_length.item(self.row)

    @property
    def tcp_flags(self) -> int:
        return self.batch.tcp_flags.item(self.row)

    @property
    def icmp_type(self) -> int:
        return self.batch.icmp_type.item(self.row)

    @property
    def icmp_code(self) -> int:
        return self.batch.icmp_code.item(self.row)

    @property
    def is_tcp(self) -> bool:
        return self.batch.kind.item(self.row) == _TCP

    @property
    def is_udp(self) -> bool:
        return self.batch.kind.item(self.row) == _UDP

    @property
    def is_icmp(self) -> bool:
        return self.batch.kind.item(self.row) in (_ICMP, _ICMP6)

    @property
    def is_syn(self) -> bool:
        """SYN without ACK: a connection attempt."""
        return self.is_tcp and self.tcp_flags & 0x12 == 0x02

    @property
    def bytes(self) -> bytes:
        """The captured frame, link layer included."""
        start = int(self.batch.offset[self.row])
        return self.batch.data[start : start + int(self.batch.captured[self.row])].tobytes()

    @property
    def frame(self) -> dpkt.Packet:
        """dpkt's view of the packet, from the network layer up where the link layer is none of dpkt's."""
        from iplog_core.frame import decode_frame

        return decode_frame(self.bytes, int(self.batch.link[self.row]), int(self.batch.network[self.row]))


NO_FLOWS = FlowRows(np.empty(0, FLOW_DTYPE))
