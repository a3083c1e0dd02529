"""The flow table: outcomes by example, and everything else against a dict of flows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import batches, columns_of, frames_of
from hypothesis import given, settings
from hypothesis import strategies as st
from models.flows import FlowModel, Wait

from iplog_core.batch import FLOW_DTYPE, FlowBit, Kind, Outcome, Phase
from iplog_core.kernel.flows import Flows
from iplog_core.testing import (
    EPOCH,
    Frame,
    Packets,
    arp,
    connection,
    half_open,
    handshake,
    icmp,
    icmp6,
    in_order,
    ip,
    ping,
    refused,
    sctp,
    silent,
    tcp,
    udp,
    udp_exchange,
    udp_refused,
    unreachable,
)

pytestmark = pytest.mark.kernel

SECOND = 1_000_000_000
TIMEOUTS = {Wait.ANSWER: 2 * SECOND, Wait.ACK: 3 * SECOND, Wait.TCP: 20 * SECOND, Wait.OTHER: 8 * SECOND, Wait.CLOSED: SECOND, Wait.AGAIN: 24 * SECOND}
V6: dict[str, Any] = {"dst": "2001:db8::1"}
ALL_KINDS = sum(1 << kind for kind in Kind)
SCTP_INIT, SCTP_INIT_ACK, SCTP_ABORT, SCTP_COOKIE_ECHO = 1, 2, 6, 10


def test_a_connection_is_answered_by_the_initiators_ack() -> None:
    assert outcomes(handshake()) == [Outcome.ANSWERED]


@pytest.mark.parametrize("family", [{}, V6])
def test_a_reset_refuses_an_attempt(family: dict[str, Any]) -> None:
    assert outcomes(refused(**family)) == [Outcome.REFUSED]


def test_a_half_open_scan_is_told_by_the_scanners_reset() -> None:
    assert outcomes(half_open()) == [Outcome.HALF_OPEN]


def test_a_handshake_that_stops_is_half_open_after_its_timeout() -> None:
    (row,) = decided([*half_open()[:2], tcp(dport=9, at=60)])[:1]
    assert (row["outcome"], row["time"], row["phase"]) == (Outcome.HALF_OPEN, at(0.001 + 3), Phase.DEADLINE)


def test_an_attempt_without_an_answer_is_silent_at_its_deadline() -> None:
    (row,) = decided([*silent(), tcp(dport=9, at=60)])[:1]
    assert (row["outcome"], row["time"], row["phase"]) == (Outcome.SILENT, at(2), Phase.DEADLINE)


def test_a_reply_after_the_silence_is_late() -> None:
    assert outcomes([udp(), udp("192.0.2.1", "198.51.100.7", sport=53, dport=40000, at=5)]) == [Outcome.SILENT, Outcome.LATE]


def test_a_retransmitted_attempt_belongs_to_the_first_one() -> None:
    assert bits(silent(retries=1)) == [FlowBit.OPENS | FlowBit.CONTACT | FlowBit.UNANSWERED, FlowBit.MEMBER | FlowBit.UNANSWERED]


def test_an_attempt_with_another_sequence_number_is_another_flow() -> None:
    assert [bool(b & FlowBit.OPENS) for b in bits([tcp(seq=1), tcp(seq=2, at=1)])] == [True, True]


def test_only_the_first_flow_to_a_host_protocol_and_port_is_a_contact() -> None:
    frames = [tcp(sport=1), tcp(sport=2, at=1), tcp(sport=3, dport=81, at=2), udp(sport=1, dport=80, at=3)]
    assert [bool(b & FlowBit.CONTACT) for b in bits(frames)] == [True, False, True, True]


def test_a_host_that_answered_once_is_known() -> None:
    assert [bool(b & FlowBit.KNOWN) for b in bits([*handshake(sport=1), tcp(sport=2, at=1)])] == [False, False, False, True]


@pytest.mark.parametrize("frames", [udp_exchange(), ping(), ping(**V6), [arp(), arp("192.0.2.1", "198.51.100.7", reply=True, at=1)]])
def test_a_reply_answers(frames: list[Frame]) -> None:
    assert outcomes(frames) == [Outcome.ANSWERED]


@pytest.mark.parametrize("family", [{}, V6])
def test_an_unreachable_that_quotes_a_datagram_refuses_it(family: dict[str, Any]) -> None:
    assert outcomes(udp_refused(**family)) == [Outcome.REFUSED]


@pytest.mark.parametrize("probe", [tcp(), icmp(), sctp(), ip(proto=47, payload=bytes(8)), tcp(**V6), icmp6(), sctp(**V6)])
def test_an_unreachable_refuses_whatever_protocol_it_quotes(probe: Frame) -> None:
    assert outcomes([probe, unreachable(probe, port=False, at=1)]) == [Outcome.REFUSED]


def test_an_unreachable_that_quotes_the_answering_side_refuses_nothing() -> None:
    probe, answer = tcp(), tcp("192.0.2.1", "198.51.100.7", sport=80, dport=40000, flags="A")
    assert outcomes([probe, unreachable(answer, at=1)]) == [Outcome.PENDING]


def test_a_next_header_that_is_not_recognised_refuses_what_it_quotes() -> None:
    probe = ip("2001:db8:66::7", "2001:db8::1", proto=150, payload=bytes(8))
    assert outcomes([probe, icmp6("2001:db8::1", "2001:db8:66::7", type=4, code=1, quote=probe, at=1)]) == [Outcome.REFUSED]
    assert outcomes([probe, icmp6("2001:db8::1", "2001:db8:66::7", type=4, code=0, quote=probe, at=1)]) == [Outcome.PENDING]


def test_path_mtu_discovery_refuses_nothing() -> None:
    probe = tcp()
    assert outcomes([probe, icmp("192.0.2.254", "198.51.100.7", type=3, code=4, quote=probe, at=1)]) == [Outcome.PENDING]


def test_an_association_is_answered_by_its_cookie() -> None:
    there, back = ("198.51.100.7", "192.0.2.1"), ("192.0.2.1", "198.51.100.7")
    frames = [sctp(*there, chunk=SCTP_INIT), sctp(*back, sport=3868, dport=40000, chunk=SCTP_INIT_ACK, at=1)]
    assert outcomes([*frames, sctp(*there, chunk=SCTP_COOKIE_ECHO, at=2)]) == [Outcome.ANSWERED]
    assert outcomes([*frames, sctp(*there, chunk=SCTP_ABORT, at=2)]) == [Outcome.HALF_OPEN]
    assert outcomes([*frames, sctp(*back, sport=3868, dport=40000, chunk=SCTP_ABORT, at=2)]) == [Outcome.HALF_OPEN]


def test_an_acknowledgement_out_of_the_blue_is_a_stray_that_a_reset_refuses() -> None:
    frames = [tcp(flags="A"), tcp("192.0.2.1", "198.51.100.7", sport=80, dport=40000, flags="R", at=1)]
    assert bits(frames)[0] == FlowBit.OPENS | FlowBit.STRAY | FlowBit.UNANSWERED
    assert outcomes(frames) == [Outcome.REFUSED]


@pytest.mark.parametrize("frame", [tcp(flags="R"), tcp(flags="RA"), icmp(type=0), arp(reply=True), sctp(chunk=SCTP_ABORT)])
def test_resets_and_replies_that_nobody_asked_for_open_nothing(frame: Frame) -> None:
    assert bits([frame]) == [FlowBit.STRAY]


STAMP, STAMP_REPLY = 13, 14


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("family", [{}, V6])
@pytest.mark.parametrize("more", [0, 1, 4])
def test_the_end_of_a_first_request_tells_how_often_its_source_asked_again(answered: bool, family: dict[str, Any], more: int) -> None:
    first = end([ping(ident=n, answered=answered, at=n / 10, **family) for n in range(1 + more)])
    assert (first["contact"], first["again"], first["phase"]) == (1, more, Phase.DEADLINE)


def test_a_first_request_is_kept_three_times_as_long_as_a_conversation_may_be_quiet() -> None:
    assert end(ping(answered=False))["time"] == at(0) + TIMEOUTS[Wait.ANSWER] + 3 * TIMEOUTS[Wait.OTHER]


def test_another_sort_of_request_does_not_ask_again() -> None:
    frames = [*ping(), icmp(type=STAMP, at=1), icmp("192.0.2.1", "198.51.100.7", type=STAMP_REPLY, at=1.1)]
    assert end(frames)["again"] == 0


def test_whoever_asks_again_after_a_pause_comes_back() -> None:
    assert end([ping(ident=1), ping(ident=2, at=8)])["again"] == 254


def test_whether_a_forgotten_contact_was_asked_again_is_not_known() -> None:
    others = [udp(dport=port, at=1) for port in range(4)]
    rows = run([*ping(), *others, tcp(at=100)], 256, contacts=4).ended
    assert [row["again"] for row in rows if row["kind"] == Kind.ICMP] == [255]


@pytest.mark.parametrize("family", [{}, V6])
@pytest.mark.parametrize("probe", [refused, silent])
def test_a_failed_attempt_tells_whether_its_host_was_pinged(family: dict[str, Any], probe: Any) -> None:
    pinged = run(in_order([ping(answered=False, **family), probe(at=0.5, dport=443, **family), tcp(at=100)]), 256).decided
    assert [row["pinged"] for row in pinged if row["dport"] == 443] == [1]
    assert [row["pinged"] for row in decided(in_order([probe(at=0.5, dport=443, **family), tcp(at=100)])) if row["dport"] == 443] == [0]


def test_a_host_that_pinged_first_is_not_a_host_that_was_pinged() -> None:
    frames = in_order([ping("192.0.2.1", "198.51.100.7"), refused(at=1)])
    assert [row["pinged"] for row in decided(frames)] == [0, 0]


def test_only_the_ends_of_the_kinds_asked_for_are_kept() -> None:
    frames = in_order([udp_exchange(), ping(at=1), connection(at=2)])
    assert [row["kind"] for row in run(frames, 256, kinds=1 << Kind.ICMP).ended] == [Kind.ICMP]


def test_what_is_pending_at_the_end_of_a_capture_is_told_as_pending() -> None:
    (row,) = decided([tcp()])
    assert (row["outcome"], row["phase"]) == (Outcome.PENDING, Phase.END)


def test_packets_and_bytes_are_counted_each_way() -> None:
    (row,) = run(connection(request=b"12345", response=b"1234567890"), 256).ended
    assert [row[name] for name in ("packets", "reply_packets", "bytes", "reply_bytes")] == [5, 3, 5 * 40 + 5, 3 * 40 + 10]


def test_the_coldest_flow_goes_when_the_table_is_full() -> None:
    frames = [udp(sport=1), udp(sport=2, at=0.1), udp("192.0.2.1", "198.51.100.7", sport=53, dport=1, at=0.2), udp(sport=3, at=0.3)]
    coldest = run(frames, 256, capacity=2).ended[0]
    assert (coldest["sport"], coldest["outcome"]) == (2, Outcome.PENDING)


def test_a_batch_that_ends_with_an_empty_packet_is_no_trouble() -> None:
    assert bits([Frame(at(0), b""), tcp(at=1), Frame(at(2), b"")]) == [0, FlowBit.OPENS | FlowBit.CONTACT | FlowBit.UNANSWERED, 0]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_flow_table_agrees_with_the_model_however_the_batches_are_cut(data: st.DataObject) -> None:
    frames = data.draw(worlds())
    limits = data.draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    assert run(frames, sizes, *limits, seed=data.draw(st.integers(0, 9))) == expected(frames, *limits)


def test_the_flow_table_agrees_with_the_model_over_the_beginning_of_every_capture(every_capture: list[Path]) -> None:
    beginnings = {path.name: frames_of(path)[:1000] for path in every_capture}
    assert [name for name, frames in beginnings.items() if run(frames, 64, 32, 16) != expected(frames, 32, 16)] == []


@settings(deadline=None)
@given(st.data())
def test_time_that_passes_without_packets_changes_nothing(data: st.DataObject) -> None:
    frames = data.draw(worlds())
    assert run(frames, 1, idle=True) == run(frames, 256)


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_any_times_are_taken(times: list[int]) -> None:
    frames = [Frame(time, tcp(dport=n).data) for n, time in enumerate(times)]
    assert len(run(frames, 3).bits) == len(frames)


class Run:
    """What the flow table told: its bit column, and the rows of flows that were decided and that ended."""

    def __init__(self, bits: list[int], decided: bytes, ended: bytes, evicted: int) -> None:
        self.bits = bits
        self.decided = np.frombuffer(decided, FLOW_DTYPE)
        self.ended = np.frombuffer(ended, FLOW_DTYPE)
        self.evicted = evicted

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.told() == other.told()

    def __repr__(self) -> str:
        return repr(self.told())

    def told(self) -> tuple[Any, ...]:
        return [FlowBit(b) for b in self.bits], self.decided.tolist(), self.ended.tolist(), self.evicted


def run(
    frames: Sequence[Frame], sizes: int | Sequence[int], capacity: int = 64, contacts: int = 64, seed: int = 0, idle: bool = False, kinds: int = ALL_KINDS
) -> Run:
    """Give frames to the flow table; with `idle`, let it know each time before the next packet comes.

    Without a seed hardly any key has a tag of its own in the tables.
    Decided flows are held to the end, those that ended let go at once, so that their memory serves again.
    """
    flows = Flows(
        capacity=capacity,
        contacts=contacts,
        silent_timeout=TIMEOUTS[Wait.ANSWER],
        half_open_timeout=TIMEOUTS[Wait.ACK],
        tcp_idle=TIMEOUTS[Wait.TCP],
        udp_idle=TIMEOUTS[Wait.OTHER],
        closed_idle=TIMEOUTS[Wait.CLOSED],
        keep_ends=kinds,
        secret=random.Random(seed).randbytes(88) if seed else bytes(88),
    )
    told = []
    found: list[tuple[memoryview, bytes]] = []
    now = 0
    nothing = np.empty(0, np.uint8)
    for batch in batches(frames, sizes):
        if idle:
            first = int(batch.clock[0])
            found += [kept(*flows.update(nothing, nothing, 0, moment)) for moment in (now + (first - now) // 2, first)]
        found.append(kept(*flows.update(batch.data, batch.block, len(batch), batch.now)))
        told += batch.flow.tolist()
        now = batch.now
    found.append(kept(*flows.finish(now)))
    return Run(told, b"".join(part for part, _ in found), b"".join(part for _, part in found), flows.evicted)


def kept(decided: memoryview, ended: memoryview) -> tuple[memoryview, bytes]:
    return decided, bytes(ended)


def expected(frames: Sequence[Frame], capacity: int, contacts: int) -> Run:
    """The same by the model."""
    model = FlowModel(capacity, contacts, TIMEOUTS)
    told = []
    for batch in batches(frames, max(1, len(frames))):
        told = [int(model.packet(p, frame.data)) for p, frame in zip(columns_of(batch), frames, strict=True)]
    model.finish(max([0, *(frame.time for frame in frames)]))
    return Run(told, np.array(model.decided, FLOW_DTYPE).tobytes(), np.array(model.ended, FLOW_DTYPE).tobytes(), model.evicted)


def bits(frames: Sequence[Frame]) -> list[int]:
    return run(frames, 256).bits


def decided(frames: Sequence[Frame]) -> Any:
    return run(frames, 256).decided


def end(frames: Packets) -> Any:
    """How the flow that the first packet opens ended, long before the last one."""
    given = in_order([frames, tcp(at=100)])
    (row,) = (row for row in run(given, 256).ended if row["opened"] == given[0].time)
    return row


def outcomes(frames: Sequence[Frame]) -> list[int]:
    """The outcomes of the flow that the first packet opens."""
    found = decided(in_order(frames))
    return [row["outcome"] for row in found if row["opened"] == frames[0].time]


def at(seconds: float) -> int:
    return EPOCH * SECOND + round(seconds * SECOND)


HOSTS = ["198.51.100.1", "192.0.2.1"]
HOSTS6 = ["2001:db8::1", "2001:db8::2"]
GAPS = [*[0.0] * 8, *[0.001] * 8, 0.4, 0.999, 1.0, 1.001, 1.9, 2.0, 2.1, 3.0, 8.0, 9.0, 20.0, 40.0, -1.0]
FLAGS = ["S", "S", "S", "SA", "SA", "A", "A", "PA", "R", "RA", "FA", "F", "", "SR", "SF", "SE"]


@st.composite
def worlds(draw: st.DrawFn) -> list[Frame]:
    """Packets of so few hosts and ports that flows meet, with gaps near the timeouts."""
    now = 0.0
    frames = []
    for gap, packet in draw(st.lists(st.tuples(st.sampled_from(GAPS), packets()), max_size=40)):
        now = max(0.0, now + gap)
        made = make(*packet)
        frames.append(Frame(at(now), made.data, made.link, made.network))
    return frames


def packets() -> st.SearchStrategy[tuple[Any, ...]]:
    ends = st.one_of(st.tuples(*[st.sampled_from(HOSTS)] * 2), st.tuples(*[st.sampled_from(HOSTS6)] * 2))
    port = st.sampled_from([1, 1, 2])
    simple = st.one_of(
        st.tuples(st.just("tcp"), ends, port, port, st.sampled_from(FLAGS), st.integers(1, 2)),
        st.tuples(st.just("udp"), ends, port, port),
        st.tuples(st.just("echo"), ends, st.booleans(), port),
        st.tuples(st.just("sctp"), ends, port, port, st.sampled_from([0, 1, 1, 2, 6, 10, 11])),
        st.tuples(st.just("gre"), ends),
    )
    return st.one_of(
        simple,
        simple,
        st.tuples(st.just("arp"), st.tuples(*[st.sampled_from(HOSTS)] * 2), st.booleans()),
        st.tuples(st.just("timestamp"), st.tuples(*[st.sampled_from(HOSTS)] * 2), st.sampled_from([13, 14, 17, 18]), port),
        st.tuples(st.just("unreachable"), simple, st.integers(1, 4)),
    )


@cache
def make(kind: str, *what: Any) -> Frame:
    if kind == "unreachable":
        quote = make(*what[0])
        return icmp(type=3, code=what[1], quote=quote) if quote.data[14] >> 4 == 4 else icmp6(type=1, code=what[1], quote=quote)
    src, dst = what[0]
    six = ":" in src
    if kind == "tcp":
        return tcp(src, dst, sport=what[1], dport=what[2], flags=what[3], seq=what[4])
    if kind == "udp":
        return udp(src, dst, sport=what[1], dport=what[2], payload=b"x")
    if kind == "sctp":
        return sctp(src, dst, sport=what[1], dport=what[2], chunk=what[3])
    if kind == "echo" and six:
        return icmp6(src, dst, type=129 if what[1] else 128, ident=what[2])
    if kind == "echo":
        return icmp(src, dst, type=0 if what[1] else 8, ident=what[2])
    if kind == "timestamp":
        return icmp(src, dst, type=what[1], ident=what[2])
    if kind == "arp":
        return arp(src, dst, reply=what[1])
    return ip(src, dst, proto=47, payload=bytes(4))
