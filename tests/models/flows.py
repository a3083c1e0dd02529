"""The flow table as a dict of flows."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from iplog_core.batch import FLOW_DTYPE, FlowBit, Kind, Outcome, Phase
from models.decode import mapped

Key = tuple[Any, ...]


class Wait(IntEnum):
    """What a flow waits for; each has its timeout. Where two are due at the same time, the lesser comes first."""

    ANSWER = 0
    ACK = 1
    TCP = 2
    OTHER = 3
    CLOSED = 4
    AGAIN = 5


FIN, SYN, RST, ACK = 1, 2, 4, 16
UNREACHABLE6 = {(1, code) for code in range(256)} | {(4, 1)}
INIT, INIT_ACK, ABORT, COOKIE_ECHO, DATA = 1, 2, 6, 10, 0


@dataclass
class Contact:
    """A first flow to a host, protocol and port: what it asked for (of ICMP), when the last one began, whether any was answered, how many did the same."""

    icmp_type: int
    seen: int
    answered: bool = False
    again: int = 0


@dataclass
class FlowState:
    """A flow of the model: `contact` where it is the first one to its host, protocol and port; `since` when, and `turn` at which step, it began to wait.

    Index 0 is the initiator's side, 1 the other.
    """

    key: Key
    initiator: tuple[Any, ...]
    opening: dict[str, int]
    stray: bool
    contact: Contact | None
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
        self.contacts: dict[Key, Contact] = {}
        """The one that was longest not seen is first."""
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
        if (kind == Kind.ICMP and p["icmp_type"] == 3 and p["icmp_code"] != 4) or (kind == Kind.ICMP6 and (p["icmp_type"], p["icmp_code"]) in UNREACHABLE6):
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
                self._wait(due, _rest(due, Wait.OTHER), time)
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
        if flow.wait == Wait.ACK:
            return self._decided_by(flow, p, Outcome.HALF_OPEN)
        return FlowBit(0)

    def _given_up(self, flow: FlowState, p: dict[str, int]) -> FlowBit:
        if flow.stray or flow.wait not in (Wait.ANSWER, Wait.ACK):
            return FlowBit(0)
        return self._decided_by(flow, p, Outcome.HALF_OPEN)

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
            self._wait(flow, _rest(flow, Wait.CLOSED), p["clock"])
            return bits
        if flow and flow.initiator == _source(p) and flow.wait == Wait.ANSWER:
            return self._member(flow, p, False)
        if flow:
            self._end(flow, p["clock"], Phase.PACKET, p["index"])
        return self._open(p, _both_ways(p, what))

    def _unreachable(self, p: dict[str, int], quoted: bytes) -> FlowBit:
        quote = _quoted(quoted)
        flow = self.flows.get(_both_ways(*quote)) if quote else None
        if quote is None or flow is None:
            return FlowBit(0)
        if flow.initiator == _source(quote[0]) and flow.wait == Wait.ANSWER:
            return FlowBit.MEMBER | self._decided_by(flow, p, Outcome.REFUSED)
        return FlowBit.MEMBER

    def _open(self, p: dict[str, int], key: Key, stray: bool = False) -> FlowBit:
        if len(self.flows) == self.capacity:
            coldest = min(self.flows.values(), key=lambda f: (f.since, f.wait, f.turn))
            self.evicted += 1
            self._end(coldest, p["clock"], Phase.PACKET, p["index"])
        contact, known = (None, False) if stray else self._contact(p)
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

    def _contact(self, p: dict[str, int]) -> tuple[Contact | None, bool]:
        """The contact, where this is the source's first flow to that host, protocol and port; whether an earlier one was answered."""
        key = _contact_key(p)
        if key in self.contacts:
            known = self.contacts[key] = self.contacts.pop(key)
            if known.icmp_type == p["icmp_type"]:
                known.again = 254 if p["clock"] - known.seen >= self.timeouts[Wait.CLOSED] else min(254, known.again + 1)
            known.seen = p["clock"]
            return None, known.answered
        return self._remember(key, Contact(p["icmp_type"], p["clock"])), False

    def _remember(self, key: Key, contact: Contact) -> Contact:
        if len(self.contacts) == self.most_contacts:
            del self.contacts[next(iter(self.contacts))]
        self.contacts[key] = contact
        return contact

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
        self._welcome(flow, p["clock"])
        self.decided.append(self._row(flow, Outcome.LATE, p["clock"], Phase.PACKET, p["index"]))
        return FlowBit.DECIDES

    def _decided_by(self, flow: FlowState, p: dict[str, int], outcome: Outcome) -> FlowBit:
        self._decide(flow, outcome, p["clock"], Phase.PACKET, p["index"])
        self._wait(flow, _rest(flow, Wait.OTHER), p["clock"])
        return FlowBit.DECIDES

    def _decide(self, flow: FlowState, outcome: Outcome, time: int, phase: Phase, index: int) -> None:
        flow.outcome = outcome
        if outcome == Outcome.ANSWERED:
            self._welcome(flow, time)
        self.decided.append(self._row(flow, outcome, time, phase, index))

    def _welcome(self, flow: FlowState, time: int) -> None:
        if flow.stray or flow.known:
            return
        key = _contact_key(flow.opening)
        if key in self.contacts:
            self.contacts[key].answered = True
        if flow.opening["kind"] in (Kind.TCP, Kind.UDP):
            host = _host_key(flow.opening)
            known = self.contacts.pop(host, None)
            self._remember(host, known or Contact(0, time, answered=True))

    def _wait(self, flow: FlowState, wait: Wait, time: int) -> None:
        if wait == flow.wait and wait in (Wait.TCP, Wait.OTHER) and time - flow.since < self.timeouts[wait] // 64:
            return
        self.turn += 1
        flow.wait, flow.since, flow.turn = wait, time, self.turn

    def _end(self, flow: FlowState, time: int, phase: Phase, index: int) -> None:
        if flow.wait in (Wait.ANSWER, Wait.ACK):
            self._decide(flow, Outcome.PENDING, time, phase, index)
        self.ended.append(self._row(flow, flow.outcome, time, phase, index))
        del self.flows[flow.key]

    def _row(self, flow: FlowState, outcome: Outcome, time: int, phase: Phase, index: int) -> tuple[Any, ...]:
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
            "contact": flow.contact is not None,
            "phase": phase,
            "known": flow.known,
            "again": self._asked_again(flow),
            "pinged": self._failed_first(flow, outcome, phase) and self._was_pinged(flow),
            "host_known": self._failed_first(flow, outcome, phase) and self._knows_host(flow),
        }
        return tuple(b"" if name == "spare" else int(told.get(name, flow.opening.get(name, 0))) for name in FLOW_DTYPE.names or ())

    def _asked_again(self, flow: FlowState) -> int:
        if flow.contact is None or flow.opening["kind"] not in (Kind.ICMP, Kind.ICMP6):
            return 0
        if self.contacts.get(_contact_key(flow.opening)) is not flow.contact:
            return 255
        return flow.contact.again

    @staticmethod
    def _failed_first(flow: FlowState, outcome: Outcome, phase: Phase) -> bool:
        failed = outcome in (Outcome.HALF_OPEN, Outcome.REFUSED, Outcome.SILENT) or (outcome == Outcome.PENDING and phase == Phase.END)
        return failed and (flow.contact is not None or flow.stray)

    def _was_pinged(self, flow: FlowState) -> bool:
        ping = {"kind": Kind.ICMP, "proto": 1} if flow.opening["version"] == 4 else {"kind": Kind.ICMP6, "proto": 58}
        return flow.opening["kind"] == Kind.TCP and _contact_key(flow.opening | ping | {"dport": 0}) in self.contacts

    def _knows_host(self, flow: FlowState) -> bool:
        return flow.opening["kind"] in (Kind.TCP, Kind.UDP) and _host_key(flow.opening) in self.contacts


def _rest(flow: FlowState, otherwise: Wait) -> Wait:
    """What a flow waits for when it was decided: whether a host that was asked for the first time is asked again, or nothing in particular."""
    return Wait.AGAIN if flow.contact and flow.opening["kind"] in (Kind.ICMP, Kind.ICMP6) else otherwise


def _source(p: dict[str, int]) -> tuple[Any, ...]:
    return p["src_hi"], p["src_lo"], p["sport"]


def _both_ways(p: dict[str, int], what: tuple[Any, ...] = ()) -> Key:
    """The same for both directions."""
    return *sorted([_source(p), (p["dst_hi"], p["dst_lo"], p["dport"])]), p["version"], p["kind"], p["proto"], what


def _contact_key(p: dict[str, int]) -> Key:
    return p["src_hi"], p["src_lo"], p["dst_hi"], p["dst_lo"], p["dport"], p["version"], p["kind"], p["proto"]


def _host_key(p: dict[str, int]) -> Key:
    """The key of whatever a source has to do with a host by a protocol."""
    return _contact_key(p | {"dport": 0, "proto": 0})


def _quoted(data: bytes) -> tuple[dict[str, int], tuple[Any, ...]] | None:
    """The packet in an ICMP error, as columns, and what its flow is besides two endpoints; None where too little of it is quoted.

    IPv6 extension headers are not looked for.
    """
    if len(data) < 20 or (data[0] >> 4 == 6 and len(data) < 40):
        return None
    p = dict.fromkeys(("src_hi", "src_lo", "dst_hi", "dst_lo", "sport", "dport"), 0) | {"version": data[0] >> 4}
    if data[0] >> 4 == 4:
        if int.from_bytes(data[6:8], "big") & 0x1FFF:
            return None
        p |= {"proto": data[9], "src_lo": mapped(data[12:16]), "dst_lo": mapped(data[16:20])}
        first = data[(data[0] & 15) * 4 :]
    else:
        halves = (int.from_bytes(data[at : at + 8], "big") for at in (8, 16, 24, 32))
        p |= {"proto": data[6]} | dict(zip(("src_hi", "src_lo", "dst_hi", "dst_lo"), halves, strict=True))
        first = data[40:]
    p["kind"] = {1: Kind.ICMP, 6: Kind.TCP, 17: Kind.UDP, 58: Kind.ICMP6, 132: Kind.SCTP}.get(p["proto"], Kind.OTHER)
    if p["kind"] in (Kind.ICMP, Kind.ICMP6):
        return (p, (first[0], int.from_bytes(first[4:6], "big"), int.from_bytes(first[6:8], "big"))) if len(first) >= 8 else None
    if p["kind"] == Kind.OTHER:
        return p, ()
    return (p | {"sport": int.from_bytes(first[:2], "big"), "dport": int.from_bytes(first[2:4], "big")}, ()) if len(first) >= 4 else None
