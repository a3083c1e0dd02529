"""What the kernel ought to do, written slowly and so that it can be checked by reading."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import dpkt

from iplog_core.batch import FLOW_DTYPE, FlowBit, Fragment, Kind, Malformed, Outcome, Phase

_LINK_LAYERS = {
    1: dpkt.ethernet.Ethernet,
    9: dpkt.ppp.PPP,
    113: dpkt.sll.SLL,
    276: dpkt.sll2.SLL2,
    0: dpkt.loopback.Loopback,
    108: dpkt.loopback.Loopback,
}
_RAW_LINKS = (12, 14, 101, 228, 229)
_EXTENSIONS_UNKNOWN_TO_DPKT = (135, 139, 140)


def dpkt_columns(frame: bytes, link: int) -> dict[str, int]:
    """Return the columns that dpkt's reading of a frame leads to, as far as it reads; none where it finds no IP and no ARP in it.

    dpkt believes lengths and versions that contradict the packet; the few checks that it leaves out are made here.
    """
    network = _network_layer(frame, link)
    if isinstance(network, dpkt.ip.IP):
        return _ip4_columns(network)
    if isinstance(network, dpkt.ip6.IP6):
        return _ip6_columns(network)
    if isinstance(network, dpkt.arp.ARP) and (network.hrd, network.pro, network.hln, network.pln) == (1, 0x0800, 6, 4):
        return {
            "kind": Kind.ARP,
            "version": 4,
            "src_lo": _mapped(network.spa),
            "dst_lo": _mapped(network.tpa),
            "icmp_type": network.op & 255,
        }
    return {}


def _network_layer(frame: bytes, link: int) -> dpkt.Packet | None:
    try:
        if link in _RAW_LINKS:
            return dpkt.ip6.IP6(frame) if frame[0] >> 4 == 6 else dpkt.ip.IP(frame)
        if link not in _LINK_LAYERS:
            return None
        layer = _LINK_LAYERS[link](frame)
    except Exception:
        return None
    if getattr(layer, "mpls_labels", None):
        return None
    network = layer.data
    return network.data if isinstance(network, dpkt.llc.LLC) else network


def _mapped(address: bytes) -> int:
    return 0xFFFF << 32 | int.from_bytes(address, "big")


def _ip4_columns(ip: dpkt.ip.IP) -> dict[str, int]:
    if ip.v != 4:
        return {"malformed": Malformed.BAD_IP_HEADER}
    columns: dict[str, int] = {
        "version": 4,
        "src_lo": _mapped(ip.src),
        "dst_lo": _mapped(ip.dst),
        "ttl": ip.ttl,
        "proto": ip.p,
        "ip_id": ip.id,
    }
    if ip.len:
        columns["length"] = ip.len
        if ip.len < ip.hl * 4:
            return columns | {"malformed": Malformed.BAD_IP_LENGTH}
    if len(ip.opts) < ip.hl * 4 - 20:
        return columns | ({"malformed": Malformed.TRUNCATED} if ip.len else {})
    columns["fragment_offset"] = ip.offset
    if ip.offset or ip.mf:
        return columns | {"fragment": Fragment.PIECE | (Fragment.MORE if ip.mf else 0)}
    return columns | _transport_columns(ip.data, ip.p, 8, ip.len - ip.hl * 4 if ip.len else None)


def _ip6_columns(ip: dpkt.ip6.IP6) -> dict[str, int]:
    if ip.v != 6:
        return {"malformed": Malformed.BAD_IP_HEADER}
    columns: dict[str, int] = {
        "version": 6,
        "src_hi": int.from_bytes(ip.src[:8], "big"),
        "src_lo": int.from_bytes(ip.src[8:], "big"),
        "dst_hi": int.from_bytes(ip.dst[:8], "big"),
        "dst_lo": int.from_bytes(ip.dst[8:], "big"),
        "ttl": ip.hlim,
    }
    if ip.plen:
        columns["length"] = 40 + ip.plen
    extensions = sum(header.length for header in ip.all_extension_headers)
    pieces = [header for header in ip.all_extension_headers if isinstance(header, dpkt.ip6.IP6FragmentHeader)]
    if (ip.plen and extensions > ip.plen) or (extensions and not ip.data):
        # dpkt goes on behind the end of the packet.
        return columns
    if len(pieces) == 1:
        columns |= {"ip_id": pieces[0].id, "fragment_offset": pieces[0].frag_off}
        if pieces[0].frag_off or pieces[0].m_flag:
            columns["fragment"] = Fragment.PIECE | (Fragment.MORE if pieces[0].m_flag else 0)
    if not pieces:
        # An ESP header has no next one, and dpkt tells no protocol then.
        columns |= _transport_columns(ip.data, getattr(ip, "p", 50), 0, ip.plen - extensions if ip.plen else None)
    return columns


def _transport_columns(data: dpkt.Packet, proto: int, least: int, sent: int | None) -> dict[str, int]:
    """`sent` are the bytes behind the network header, None where it does not tell; `least` is the least length that a UDP header may give."""
    columns: dict[str, int]
    if isinstance(data, dpkt.tcp.TCP):
        if data.off * 4 > (len(data) if sent is None else sent):
            return {"malformed": Malformed.BAD_TCP_HEADER}
        columns = {"kind": Kind.TCP, "sport": data.sport, "dport": data.dport, "tcp_seq": data.seq, "tcp_flags": data._off_flags & 0xFFF}
        if sent is not None:
            columns["payload_length"] = sent - data.off * 4
    elif isinstance(data, dpkt.udp.UDP):
        if data.ulen > (len(data) if sent is None else sent) or data.ulen < least or 0 < data.ulen < 8:
            return {"malformed": Malformed.BAD_UDP_LENGTH}
        columns = {"kind": Kind.UDP, "sport": data.sport, "dport": data.dport}
        if data.ulen:
            columns["payload_length"] = data.ulen - 8
    elif isinstance(data, dpkt.icmp.ICMP | dpkt.icmp6.ICMP6):
        six = isinstance(data, dpkt.icmp6.ICMP6)
        if len(data) < 8:
            return {} if six else {"malformed": Malformed.TRUNCATED}
        columns = {"kind": Kind.ICMP6 if six else Kind.ICMP, "icmp_type": data.type, "icmp_code": data.code}
        if hasattr(data.data, "id"):
            columns |= {"icmp_id": data.data.id, "icmp_seq": data.data.seq}
        if sent is not None:
            columns["payload_length"] = sent
    elif isinstance(data, dpkt.sctp.SCTP):
        columns = {"kind": Kind.SCTP, "sport": data.sport, "dport": data.dport}
        if data.chunks:
            columns["sctp_chunk"] = data.chunks[0].type
    elif proto not in (1, 6, 17, 58, 132, *_EXTENSIONS_UNKNOWN_TO_DPKT):
        columns = {"kind": Kind.OTHER}
    else:
        return {}
    return columns | {"malformed": Malformed.OK}


class Wait(IntEnum):
    """What a flow waits for; each has its timeout. Where two are due at the same time, the lesser comes first."""

    ANSWER = 0
    ACK = 1
    TCP = 2
    OTHER = 3
    CLOSED = 4


FIN, SYN, RST, ACK = 1, 2, 4, 16
INIT, INIT_ACK, ABORT, COOKIE_ECHO, DATA = 1, 2, 6, 10, 0
Key = tuple[Any, ...]


@dataclass
class FlowState:
    """A flow of the model. `since` is when it began to wait, `turn` the step at which that was; index 0 is the initiator's side, 1 the other."""

    key: Key
    initiator: tuple[Any, ...]
    opening: dict[str, int]
    stray: bool
    contact: bool
    known: bool
    since: int
    turn: int
    last: int
    bytes: list[int]
    fins: set[bool]
    packets: list[int] = field(default_factory=lambda: [1, 0])
    wait: Wait = Wait.ANSWER
    outcome: Outcome = Outcome.PENDING
    late: bool = False


class FlowModel:
    """The flow table as a dict of flows. Whatever is next, due or coldest is looked for among all of them.

    `decided` and `ended` are rows as in `FLOW_DTYPE`.
    """

    def __init__(self, capacity: int, contacts: int, timeouts: dict[Wait, int]) -> None:
        self.capacity = capacity
        self.most_contacts = contacts
        self.timeouts = timeouts
        self.flows: dict[Key, FlowState] = {}
        self.contacts: dict[Key, bool] = {}
        """Whether a contact was ever answered; the one that was longest not seen is first."""
        self.decided: list[tuple[int, ...]] = []
        self.ended: list[tuple[int, ...]] = []
        self.evicted = 0
        self.turn = 0

    def packet(self, p: dict[str, int], frame: bytes) -> FlowBit:
        """Take the next packet: its columns and its bytes. Return what the column `flow` ought to be."""
        self.pass_time(p["clock"])
        kind = p["kind"]
        if kind == Kind.TCP:
            return self._tcp(p)
        if kind == Kind.SCTP:
            return self._sctp(p)
        if kind in (Kind.UDP, Kind.OTHER):
            return self._exchange(p)
        if kind == Kind.ARP and p["src_lo"] != p["dst_lo"] and p["icmp_type"] in (1, 2):
            return self._request(p, ("arp",), reply=p["icmp_type"] == 2)
        if kind == Kind.ICMP and p["icmp_type"] in (8, 0, 13, 14, 15, 16, 17, 18):
            request = {0: 8, 14: 13, 16: 15, 18: 17}.get(p["icmp_type"])
            return self._request(p, (request or p["icmp_type"], p["icmp_id"], p["icmp_seq"]), reply=request is not None)
        if kind == Kind.ICMP6 and p["icmp_type"] in (128, 129):
            return self._request(p, (128, p["icmp_id"], p["icmp_seq"]), reply=p["icmp_type"] == 129)
        if (kind == Kind.ICMP and p["icmp_type"] == 3 and p["icmp_code"] != 4) or (kind == Kind.ICMP6 and p["icmp_type"] == 1):
            return self._unreachable(p, frame[p["transport"] + 8 :])
        return FlowBit(0)

    def pass_time(self, now: int) -> None:
        """Let happen what is due by `now`."""
        while True:
            due = min(self.flows.values(), key=lambda f: (f.since + self.timeouts[f.wait], f.wait, f.turn), default=None)
            if due is None or due.since + self.timeouts[due.wait] > now:
                return
            time = due.since + self.timeouts[due.wait]
            if due.wait == Wait.ANSWER:
                self._decide(due, Outcome.SILENT, time, Phase.DEADLINE, due.opening["index"])
                self._wait(due, Wait.OTHER, time)
            elif due.wait == Wait.ACK:
                self._decide(due, Outcome.HALF_OPEN, time, Phase.DEADLINE, due.opening["index"])
                self._wait(due, Wait.OTHER, time)
            else:
                self._end(due, time, Phase.DEADLINE, due.opening["index"])

    def finish(self, now: int) -> None:
        for flow in sorted(self.flows.values(), key=lambda f: (f.wait, f.turn)):
            self._end(flow, now, Phase.END, flow.opening["index"])

    def _tcp(self, p: dict[str, int]) -> FlowBit:
        flags = p["tcp_flags"]
        asks = flags & SYN and not flags & ACK
        flow = self.flows.get(_both_ways(p))
        if flow and asks and self._begins_another(flow, p, p["tcp_seq"] != flow.opening["tcp_seq"]):
            self._end(flow, p["clock"], Phase.PACKET, p["index"])
            flow = None
        if flow is None:
            if flags & RST and not flags & SYN:
                return FlowBit.STRAY
            return self._open(p, _both_ways(p), stray=not asks)
        reply = _source(p) != flow.initiator
        bits = self._member(flow, p, reply)
        if flags & FIN:
            flow.fins.add(reply)
        if reply:
            bits |= self._replied(flow, p, refuses=bool(flags & RST))
        elif flags & RST:
            bits |= self._given_up(flow, p)
        elif flags & ACK and not flags & SYN:
            bits |= self._confirmed(flow, p)
        if flow.wait not in (Wait.ANSWER, Wait.ACK):
            if flags & RST or len(flow.fins) == 2:
                self._wait(flow, Wait.CLOSED, p["clock"])
            elif flow.outcome == Outcome.ANSWERED and flow.wait != Wait.CLOSED:
                self._wait(flow, Wait.TCP, p["clock"])
            else:
                self._wait(flow, flow.wait, p["clock"])
        return bits

    def _sctp(self, p: dict[str, int]) -> FlowBit:
        chunk = p["sctp_chunk"]
        flow = self.flows.get(_both_ways(p))
        if flow and chunk == INIT and self._begins_another(flow, p, False):
            self._end(flow, p["clock"], Phase.PACKET, p["index"])
            flow = None
        if flow is None:
            return FlowBit.STRAY if chunk == ABORT else self._open(p, _both_ways(p), stray=chunk != INIT)
        reply = _source(p) != flow.initiator
        bits = self._member(flow, p, reply)
        if reply:
            bits |= self._replied(flow, p, refuses=chunk == ABORT)
        elif chunk == ABORT:
            bits |= self._given_up(flow, p)
        elif chunk in (COOKIE_ECHO, DATA):
            bits |= self._confirmed(flow, p)
        if flow.wait not in (Wait.ANSWER, Wait.ACK):
            self._wait(flow, Wait.TCP if flow.outcome == Outcome.ANSWERED else Wait.OTHER, p["clock"])
        return bits

    @staticmethod
    def _begins_another(flow: FlowState, p: dict[str, int], new_number: bool) -> bool:
        """An opening packet on a known 5-tuple begins another flow: from the initiator with a new number, from the other side when the flow is over."""
        if flow.stray:
            return True
        if _source(p) == flow.initiator:
            return new_number
        return flow.wait in (Wait.CLOSED, Wait.OTHER)

    def _replied(self, flow: FlowState, p: dict[str, int], refuses: bool) -> FlowBit:
        if flow.stray:
            return self._answered(flow, p, refuses)
        if not refuses:
            if flow.wait == Wait.ANSWER:
                self._wait(flow, Wait.ACK, p["clock"])
                return FlowBit(0)
            return self._late(flow, p, reply=True)
        if flow.wait == Wait.ANSWER:
            return self._decided_by(flow, p, Outcome.REFUSED)
        if flow.wait == Wait.ACK and p["kind"] == Kind.TCP:
            return self._decided_by(flow, p, Outcome.HALF_OPEN)
        return FlowBit(0)

    def _given_up(self, flow: FlowState, p: dict[str, int]) -> FlowBit:
        return self._decided_by(flow, p, Outcome.HALF_OPEN) if flow.wait == Wait.ACK else FlowBit(0)

    def _confirmed(self, flow: FlowState, p: dict[str, int]) -> FlowBit:
        if flow.stray:
            return FlowBit(0)
        if flow.outcome == Outcome.PENDING:
            return self._decided_by(flow, p, Outcome.ANSWERED)
        return self._late(flow, p, reply=False)

    def _exchange(self, p: dict[str, int]) -> FlowBit:
        flow = self.flows.get(_both_ways(p))
        if flow is None:
            return self._open(p, _both_ways(p))
        reply = _source(p) != flow.initiator
        bits = self._member(flow, p, reply)
        if reply:
            bits |= self._answered(flow, p)
        if flow.wait != Wait.ANSWER:
            self._wait(flow, Wait.OTHER, p["clock"])
        return bits

    def _request(self, p: dict[str, int], what: tuple[Any, ...], reply: bool) -> FlowBit:
        flow = self.flows.get(_both_ways(p, what))
        if reply:
            if flow is None or flow.initiator == _source(p):
                return FlowBit.STRAY
            bits = self._member(flow, p, True) | self._answered(flow, p)
            self._wait(flow, Wait.CLOSED, p["clock"])
            return bits
        if flow and flow.initiator == _source(p) and flow.wait == Wait.ANSWER:
            return self._member(flow, p, False)
        if flow:
            self._end(flow, p["clock"], Phase.PACKET, p["index"])
        return self._open(p, _both_ways(p, what))

    def _unreachable(self, p: dict[str, int], quoted: bytes) -> FlowBit:
        about, what = _quoted(quoted)
        flow = self.flows.get(_both_ways(about, what))
        if flow is None:
            return FlowBit(0)
        if flow.initiator == _source(about) and flow.wait == Wait.ANSWER:
            return FlowBit.MEMBER | self._decided_by(flow, p, Outcome.REFUSED)
        return FlowBit.MEMBER

    def _open(self, p: dict[str, int], key: Key, stray: bool = False) -> FlowBit:
        if len(self.flows) == self.capacity:
            coldest = min(self.flows.values(), key=lambda f: (f.since, f.wait, f.turn))
            self.evicted += 1
            self._end(coldest, p["clock"], Phase.PACKET, p["index"])
        contact, known = (False, False) if stray else self._contact(p)
        self.turn += 1
        self.flows[key] = FlowState(
            key, _source(p), p, stray, contact, known, since=p["clock"], turn=self.turn, last=p["clock"], bytes=[p["length"], 0],
            fins={False} if p["tcp_flags"] & FIN else set(),
        )  # fmt: skip
        bits = FlowBit.OPENS | FlowBit.UNANSWERED
        bits |= FlowBit.STRAY if stray else FlowBit(0)
        bits |= FlowBit.CONTACT if contact else FlowBit(0)
        bits |= FlowBit.KNOWN if known else FlowBit(0)
        return bits

    def _contact(self, p: dict[str, int]) -> tuple[bool, bool]:
        """Whether this is the source's first flow to that host, protocol and port, and whether an earlier one was answered."""
        key = _contact_key(p)
        if key in self.contacts:
            answered = self.contacts[key] = self.contacts.pop(key)
            return False, answered
        if len(self.contacts) == self.most_contacts:
            del self.contacts[next(iter(self.contacts))]
        self.contacts[key] = False
        return True, False

    def _member(self, flow: FlowState, p: dict[str, int], reply: bool) -> FlowBit:
        flow.packets[reply] += 1
        flow.bytes[reply] += p["length"]
        flow.last = p["clock"]
        if reply:
            return FlowBit.MEMBER | FlowBit.REPLY
        answered = flow.outcome == Outcome.ANSWERED or flow.late
        return FlowBit.MEMBER | (FlowBit(0) if answered else FlowBit.UNANSWERED)

    def _answered(self, flow: FlowState, p: dict[str, int], refuses: bool = False) -> FlowBit:
        if flow.outcome == Outcome.PENDING:
            return self._decided_by(flow, p, Outcome.REFUSED if refuses else Outcome.ANSWERED)
        return FlowBit(0) if refuses else self._late(flow, p, reply=True)

    def _late(self, flow: FlowState, p: dict[str, int], reply: bool) -> FlowBit:
        if flow.late or not (flow.outcome == Outcome.SILENT or (flow.outcome == Outcome.HALF_OPEN and not reply)):
            return FlowBit(0)
        flow.late = True
        self._welcome(flow)
        self.decided.append(_row(flow, Outcome.LATE, p["clock"], Phase.PACKET, p["index"]))
        return FlowBit.DECIDES

    def _decided_by(self, flow: FlowState, p: dict[str, int], outcome: Outcome) -> FlowBit:
        self._decide(flow, outcome, p["clock"], Phase.PACKET, p["index"])
        self._wait(flow, Wait.OTHER, p["clock"])
        return FlowBit.DECIDES

    def _decide(self, flow: FlowState, outcome: Outcome, time: int, phase: Phase, index: int) -> None:
        flow.outcome = outcome
        if outcome == Outcome.ANSWERED:
            self._welcome(flow)
        self.decided.append(_row(flow, outcome, time, phase, index))

    def _welcome(self, flow: FlowState) -> None:
        key = _contact_key(flow.opening)
        if not flow.stray and key in self.contacts:
            self.contacts[key] = True

    def _wait(self, flow: FlowState, wait: Wait, time: int) -> None:
        self.turn += 1
        flow.wait, flow.since, flow.turn = wait, time, self.turn

    def _end(self, flow: FlowState, time: int, phase: Phase, index: int) -> None:
        if flow.wait in (Wait.ANSWER, Wait.ACK):
            self._decide(flow, Outcome.PENDING, time, phase, index)
        self.ended.append(_row(flow, flow.outcome, time, phase, index))
        del self.flows[flow.key]


def _source(p: dict[str, int]) -> tuple[Any, ...]:
    return p["src_hi"], p["src_lo"], p["sport"]


def _both_ways(p: dict[str, int], what: tuple[Any, ...] = ()) -> Key:
    """The same for both directions."""
    return *sorted([_source(p), (p["dst_hi"], p["dst_lo"], p["dport"])]), p["kind"], p["proto"], what


def _contact_key(p: dict[str, int]) -> Key:
    return p["src_hi"], p["src_lo"], p["dst_hi"], p["dst_lo"], p["dport"], p["kind"], p["proto"]


def _quoted(data: bytes) -> tuple[dict[str, int], tuple[Any, ...]]:
    """The packet in an ICMP error, as columns, and what its flow is besides two endpoints. It is whole, and without options."""
    four = data[0] >> 4 == 4
    header = 20 if four else 40
    proto = data[9] if four else data[6]
    p = dict.fromkeys(("src_hi", "src_lo", "dst_hi", "dst_lo", "sport", "dport"), 0) | {"proto": proto}
    if four:
        p["src_lo"], p["dst_lo"] = _mapped(data[12:16]), _mapped(data[16:20])
    else:
        p["src_hi"], p["src_lo"], p["dst_hi"], p["dst_lo"] = (int.from_bytes(data[at : at + 8], "big") for at in (8, 16, 24, 32))
    p["kind"] = {1: Kind.ICMP, 6: Kind.TCP, 17: Kind.UDP, 58: Kind.ICMP6, 132: Kind.SCTP}.get(proto, Kind.OTHER)
    first = data[header:]
    if proto in (1, 58):
        return p, (first[0], int.from_bytes(first[4:6], "big"), int.from_bytes(first[6:8], "big"))
    if p["kind"] != Kind.OTHER:
        p |= {"sport": int.from_bytes(first[:2], "big"), "dport": int.from_bytes(first[2:4], "big")}
    return p, ()


def _row(flow: FlowState, outcome: Outcome, time: int, phase: Phase, index: int) -> tuple[int, ...]:
    told = {
        "time": time,
        "opened": flow.opening["time"],
        "opened_clock": flow.opening["clock"],
        "last": flow.last,
        "index": index,
        "bytes": flow.bytes[0],
        "reply_bytes": flow.bytes[1],
        "packets": flow.packets[0],
        "reply_packets": flow.packets[1],
        "outcome": outcome,
        "stray": flow.stray,
        "contact": flow.contact,
        "phase": phase,
        "known": flow.known,
        "spare": 0,
    }
    return tuple(int(told.get(name, flow.opening.get(name, 0))) for name in FLOW_DTYPE.names or ())


@dataclass
class Datagram:
    """What has come of a datagram: its units of eight bytes, where pieces began, and its end, in bytes, once known."""

    since: int
    units: dict[int, bytes] = field(default_factory=dict)
    begun: set[int] = field(default_factory=set)
    size: int | None = None
    header: bool = False


class FragmentModel:
    """Datagrams under way as a dict, each with all its bytes."""

    def __init__(self, capacity: int, timeout: int) -> None:
        self.capacity = capacity
        self.timeout = timeout
        self.datagrams: dict[Key, Datagram] = {}
        """The one begun first is first."""

    def packet(self, p: dict[str, int], frame: bytes) -> dict[str, int]:
        """Take the next packet, decoded. Return the columns that change."""
        if not p["fragment"]:
            return {}
        for key in [key for key, datagram in self.datagrams.items() if datagram.since + self.timeout <= p["clock"]]:
            del self.datagrams[key]
        key = tuple(p[name] for name in ("src_hi", "src_lo", "dst_hi", "dst_lo", "ip_id", "version", "proto"))
        if key not in self.datagrams:
            if len(self.datagrams) == self.capacity:
                del self.datagrams[next(iter(self.datagrams))]
            self.datagrams[key] = Datagram(p["clock"])
        datagram = self.datagrams[key]
        changed = self._place(datagram, p, frame[p["transport"] :])
        if datagram.size and len(datagram.units) == -(-datagram.size // 8):
            changed["fragment"] |= Fragment.COMPLETE
            del self.datagrams[key]
        return changed

    def _place(self, datagram: Datagram, p: dict[str, int], payload: bytes) -> dict[str, int]:
        bits, first, header = p["fragment"], p["fragment_offset"], p["transport"] - p["network"]
        sent, more = p["length"] - header, p["fragment"] & Fragment.MORE
        # All pieces but the last are whole units of eight bytes.
        units = range(first, min(first + (sent // 8 if more else -(-sent // 8)), 8192))
        if first == 0 and sent < 20 and p["proto"] == 6 and more:
            bits |= Fragment.TINY
        if first * 8 + sent + (header if p["version"] == 4 else 0) > 0xFFFF:
            bits |= Fragment.OVERSIZED
        if not more:
            datagram.size = first * 8 + sent
        known = [unit for unit in units if unit in datagram.units]
        if known:
            again = len(known) == len(units) and first in datagram.begun
            bits |= Fragment.DUPLICATE if again else Fragment.OVERLAP
        datagram.header |= bool(bits & Fragment.HEADER or p["malformed"])
        if min(sent, 8 * len([unit for unit in units if unit < 8])) > len(payload):
            # Cut off by the snap length: the header cannot be told any more.
            datagram.header = True
        if units:
            datagram.begun.add(first)
        for unit in units:
            datagram.units.setdefault(unit, payload[(unit - first) * 8 : min((unit - first) * 8 + 8, sent)].ljust(8, b"\0"))
        if datagram.header or first >= 8:
            return {"fragment": bits}
        return {"fragment": bits} | self._header(datagram, p["proto"], bits)

    @staticmethod
    def _header(datagram: Datagram, proto: int, bits: int) -> dict[str, int]:
        """The transport header, once its first bytes are all there."""
        head = b""
        while len(head) < 64 and len(head) // 8 in datagram.units:
            head += datagram.units[len(head) // 8]
        head = head[: datagram.size]
        if not head or len(head) < {6: 20, 17: 8, 1: 8, 58: 4, 132: 12}.get(proto, 0):
            return {}
        datagram.header = True
        found = {"fragment": bits | Fragment.HEADER}
        if proto in (6, 17, 132):
            found |= {"sport": int.from_bytes(head[:2], "big"), "dport": int.from_bytes(head[2:4], "big")}
        if proto == 6:
            if head[12] >> 4 < 5:
                return {"malformed": Malformed.BAD_TCP_HEADER, "kind": Kind.NONE}
            found |= {"tcp_flags": int.from_bytes(head[12:14], "big") & 0xFFF, "tcp_seq": int.from_bytes(head[4:8], "big")}
        if proto == 17 and int.from_bytes(head[4:6], "big") < 8:
            return {"malformed": Malformed.BAD_UDP_LENGTH, "kind": Kind.NONE}
        if proto in (1, 58):
            found |= {"icmp_type": head[0], "icmp_code": head[1]}
        kinds = {1: Kind.ICMP, 6: Kind.TCP, 17: Kind.UDP, 58: Kind.ICMP6, 132: Kind.SCTP}
        return found | {"kind": kinds.get(proto, Kind.OTHER)}


@dataclass
class Counted:
    """A key of the tracker's model. `values` has for each distinct value when it was first counted and how its flow went, the oldest first."""

    first: int
    turn: int
    since: int
    last: int = 0
    packets: int = 0
    bytes: int = 0
    level: float = 0.0
    filled: int = 0
    values: dict[Any, list[int]] = field(default_factory=dict)
    sports: list[int] = field(default_factory=list)
    alerting: bool = False
    next_update: int = 0
    touch: dict[str, int] = field(default_factory=dict)


class TrackerModel:
    """The tracker as a dict of keys, each with a dict of its values. `changes` are what it told."""

    def __init__(
        self, *, key: str, distinct: str | None, threshold: float, rate: float, memory: int, expiry: int, capacity: int, values: int
    ) -> None:
        self.parts = {
            "pair": ("src", "dst"),
            "source": ("src",),
            "target": ("dst",),
            "source_port": ("src", "dport"),
            "target_port": ("dst", "dport"),
        }[key]
        self.distinct = distinct
        self.threshold = threshold
        self.rate = rate
        self.memory = memory
        self.expiry = expiry
        self.capacity = capacity
        self.most_values = values
        self.keys: dict[Key, Counted] = {}
        self.changes: list[dict[str, Any]] = []
        self.evicted = 0
        self.turn = 0

    def packet(self, touch: dict[str, int]) -> None:
        self.pass_time(touch["time"])
        self._count(touch, Outcome.PENDING)

    def flow(self, touch: dict[str, int], outcome: Outcome, adds: bool) -> None:
        """A flow was decided, seen from its opening packet."""
        self.pass_time(touch["time"])
        if outcome in (Outcome.ANSWERED, Outcome.LATE):
            self._withdraw(touch)
        elif outcome != Outcome.PENDING and adds:
            self._count(touch, outcome)
        elif outcome != Outcome.PENDING:
            counted = self.keys.get(self._key(touch))
            value = counted and counted.values.get(self._value(touch))
            if value and value[1] == Outcome.PENDING:
                value[1] = outcome

    def pass_time(self, now: int) -> None:
        for key, counted in self._by_turn(alerting=True):
            if counted.since + self.expiry > now:
                break
            self._end(key, counted.since + self.expiry, Phase.DEADLINE, counted.touch["index"])
        for key, counted in self._by_turn(alerting=False):
            if counted.since + self.memory <= now:
                del self.keys[key]

    def finish(self, now: int) -> None:
        for key, counted in self._by_turn(alerting=True):
            self._end(key, now, Phase.END, counted.touch["index"])

    def _count(self, touch: dict[str, int], outcome: Outcome) -> None:
        now, key = touch["time"], self._key(touch)
        self.turn += 1
        if key not in self.keys:
            if len(self.keys) == self.capacity:
                self._evict(touch, None)
            self.keys[key] = Counted(now, self.turn, now)
        counted = self.keys[key]
        if not counted.alerting:
            self._fade(counted, now)
        counted.packets += 1
        counted.bytes += touch["bytes"]
        counted.last = now
        counted.touch = touch
        if touch["sport"] not in counted.sports and len(counted.sports) < 6:
            counted.sports.append(touch["sport"])
        if self.distinct or (not self.rate and not counted.alerting):
            self._add_value(key, counted, touch, outcome)
        lively = True
        if self.rate:
            counted.level = min(self._left(counted, now) + 1, self.threshold)
            counted.filled = now
            lively = counted.level >= self.threshold / 2
        if not counted.alerting:
            counted.turn, counted.since = self.turn, now
            if (counted.level if self.rate else len(counted.values)) >= self.threshold:
                counted.alerting = True
                counted.next_update = counted.packets * 10
                self._tell(counted, "start", now, touch["phase"], touch["index"])
            return
        if lively:
            counted.turn, counted.since = self.turn, now
        if counted.packets >= counted.next_update:
            counted.next_update *= 10
            self._tell(counted, "update", now, touch["phase"], touch["index"])

    def _withdraw(self, touch: dict[str, int]) -> None:
        key, now = self._key(touch), touch["time"]
        counted = self.keys.get(key)
        if counted is None:
            return
        value = self._value(touch)
        if counted.alerting:
            if value in counted.values:
                counted.values[value][1] = Outcome.ANSWERED
            return
        if self.rate:
            counted.level, counted.filled = max(self._left(counted, now) - 1, 0), now
        counted.values.pop(value, None)
        if counted.level <= 0 and (not counted.values or self.rate):
            del self.keys[key]

    def _add_value(self, key: Key, counted: Counted, touch: dict[str, int], outcome: Outcome) -> None:
        value = self._value(touch)
        if value in counted.values:
            if counted.values[value][1] == Outcome.PENDING:
                counted.values[value][1] = outcome
        elif len(counted.values) >= max(1, self.most_values // 2):
            self.evicted += 1
        else:
            while sum(len(other.values) for other in self.keys.values()) >= self.most_values:
                self._evict(touch, key)
            counted.values[value] = [touch["time"], outcome]

    def _fade(self, counted: Counted, now: int) -> None:
        counted.values = {value: told for value, told in counted.values.items() if told[0] + self.memory > now}
        if not counted.values and (not self.rate or self._left(counted, now) <= 0):
            counted.first, counted.packets, counted.bytes, counted.sports = now, 0, 0, []
        elif counted.values and not self.rate and counted.first + self.memory <= now:
            counted.first = next(iter(counted.values.values()))[0]

    def _left(self, counted: Counted, now: int) -> float:
        return max(counted.level - (now - counted.filled) * 1e-9 * self.rate, 0.0)

    def _evict(self, touch: dict[str, int], spared: Key | None) -> None:
        """The coldest key goes, first among those that are not alerting; of the only one there is, its oldest value."""
        self.evicted += 1
        others = [(key, other) for alerting in (False, True) for key, other in self._by_turn(alerting) if key != spared]
        if not others:
            assert spared is not None
            del self.keys[spared].values[next(iter(self.keys[spared].values))]
        elif others[0][1].alerting:
            self._end(others[0][0], touch["time"], Phase(touch["phase"]), touch["index"])
        else:
            del self.keys[others[0][0]]

    def _end(self, key: Key, time: int, phase: Phase, index: int) -> None:
        self._tell(self.keys.pop(key), "end", time, phase, index)

    def _tell(self, counted: Counted, state: str, time: int, phase: int, index: int) -> None:
        touch = counted.touch
        outcomes = [told[1] for told in counted.values.values()]
        self.changes.append(
            {name: touch[name] for name in ("sport", "dport", "kind", "version", "proto", "icmp_type", "icmp_code", "interface")}
            | {
                "state": state,
                "time": time,
                "phase": phase,
                "index": index,
                "src": (touch["src_hi"], touch["src_lo"]),
                "dst": (touch["dst_hi"], touch["dst_lo"]),
                "first": counted.first,
                "last": counted.last,
                "packets": counted.packets,
                "bytes": counted.bytes,
                "samples": list(counted.values)[:10] if self.distinct else [],
                "distinct": len(counted.values) if self.distinct else 0,
                "sports": list(counted.sports),
                "outcomes": [outcomes.count(outcome) for outcome in range(6)],
            }
        )

    def _key(self, touch: dict[str, int]) -> Key:
        return tuple(touch["dport"] if part == "dport" else (touch[f"{part}_hi"], touch[f"{part}_lo"]) for part in self.parts)

    def _value(self, touch: dict[str, int]) -> Any:
        if self.distinct == "dest_port":
            return touch["dport"]
        if self.distinct == "dest":
            return touch["dst_hi"], touch["dst_lo"]
        if self.distinct == "source":
            return touch["src_hi"], touch["src_lo"]
        return touch["index"]

    def _by_turn(self, alerting: bool) -> list[tuple[Key, Counted]]:
        return sorted(((k, c) for k, c in self.keys.items() if c.alerting == alerting), key=lambda item: item[1].turn)
