"""IP fragments: what each piece does to its datagram, and a transport header that several hold together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness import batches, columns_of, frames_of
from hypothesis import given, settings
from hypothesis import strategies as st
from models.fragments import FragmentModel

from iplog_core.batch import Fragment, Kind
from iplog_core.kernel.fragments import Fragments
from iplog_core.testing import Frame, fragment, fragments, icmp, tcp, udp

pytestmark = pytest.mark.kernel

SECOND = 1_000_000_000
TIMEOUT = 30
V6: dict[str, Any] = {"dst": "2001:db8::1"}
SEGMENT = tcp(sport=4000, dport=25, flags="SE", payload=bytes(40))
PIECE, MORE, DOUBTFUL, ARRIVED = Fragment.PIECE, Fragment.MORE, Fragment.DOUBTFUL, Fragment.ARRIVED
FAULTS = Fragment.OVERLAP | Fragment.DUPLICATE | Fragment.OVERSIZED | Fragment.TINY


@pytest.mark.parametrize("family", [{}, V6])
def test_a_tcp_header_cut_into_three_is_seen_at_the_piece_that_completes_it(family: dict[str, Any]) -> None:
    pieces = fragments(tcp(**family, sport=4000, dport=25, flags="SE"), 8)
    assert told(pieces, "kind") == [Kind.FRAGMENT, Kind.FRAGMENT, Kind.TCP]
    assert told(pieces, "sport", "dport", "tcp_flags")[2] == (4000, 25, 0x42)


def test_a_header_is_seen_in_whatever_order_its_pieces_come() -> None:
    pieces = fragments(SEGMENT, 8)
    assert told([pieces[2], pieces[0], pieces[1]], "kind", "dport")[2] == (Kind.TCP, 25)


def test_the_bytes_that_came_first_are_those_of_the_header() -> None:
    other = fragments(tcp(sport=1, dport=2, payload=bytes(40)), 8)
    pieces = fragments(SEGMENT, 8)
    assert told([pieces[0], other[0], *pieces[1:3]], "sport", "dport")[3] == (4000, 25)


def test_a_piece_that_the_snap_length_cut_gives_no_wrong_header() -> None:
    pieces = fragments(SEGMENT, 8)
    pieces[1] = replace(pieces[1], data=pieces[1].data[:-4], wire_length=len(pieces[1].data))
    assert told(pieces, "kind") == [Kind.FRAGMENT] * len(pieces)


def test_a_piece_that_ends_amid_a_unit_though_more_follow_gives_no_wrong_header() -> None:
    pieces = [fragment(more=True, payload=b"\1"), fragment(more=True, offset=8)]
    assert told(pieces, "kind") == [Kind.FRAGMENT, Kind.FRAGMENT]


@pytest.mark.parametrize("family", [{}, V6])
def test_a_datagram_is_complete_at_its_last_piece(family: dict[str, Any]) -> None:
    assert bits(fragments(udp(**family, payload=bytes(24)), 16)) == [PIECE | MORE | Fragment.HEADER | DOUBTFUL, PIECE | Fragment.COMPLETE | ARRIVED]


def test_a_piece_that_comes_twice_is_a_duplicate() -> None:
    first = fragment(proto=1, more=True, payload=bytes(16))
    assert bits([first, first])[1] & (Fragment.DUPLICATE | Fragment.OVERLAP) == Fragment.DUPLICATE


def test_pieces_that_share_some_bytes_overlap() -> None:
    teardrop = [fragment(proto=1, more=True, payload=bytes(40)), fragment(proto=1, offset=24, payload=bytes(8))]
    assert bits(teardrop)[1] & (Fragment.DUPLICATE | Fragment.OVERLAP) == Fragment.OVERLAP


def test_pieces_overlap_also_where_the_header_in_the_first_is_malformed() -> None:
    teardrop = [fragment(proto=6, more=True, payload=bytes(40)), fragment(proto=6, offset=24, payload=bytes(8))]
    assert told(teardrop, "kind", "fragment") == [(Kind.NONE, PIECE | MORE | DOUBTFUL), (Kind.FRAGMENT, PIECE | Fragment.OVERLAP)]


def test_a_piece_that_ends_behind_the_longest_datagram_is_oversized() -> None:
    ping_of_death = fragment(proto=1, offset=65_528, payload=bytes(100))
    assert faults([ping_of_death]) == [Fragment.OVERSIZED]


def test_the_longest_datagram_is_not_oversized() -> None:
    assert faults([fragment(proto=1, offset=65_512, payload=bytes(3))]) == [0]


def test_the_longest_ipv6_datagram_is_not_oversized_and_one_byte_more_is() -> None:
    assert faults([fragment(**V6, proto=58, offset=65_528, ident=size, payload=bytes(size)) for size in (7, 8)]) == [0, Fragment.OVERSIZED]


def test_extension_headers_before_the_pieces_count_for_the_length_of_an_ipv6_datagram() -> None:
    assert faults([fragment(**V6, proto=58, offset=65_520, payload=bytes(8), extensions=(60,))]) == [Fragment.OVERSIZED]


@pytest.mark.parametrize(("size", "tiny"), [(8, Fragment.TINY), (16, 0), (24, 0)])
def test_a_first_piece_without_the_flags_of_its_tcp_header_is_tiny(size: int, tiny: int) -> None:
    assert faults(fragments(SEGMENT, size))[0] == tiny


@pytest.mark.parametrize(("size", "tiny"), [(16, Fragment.TINY), (24, 0)])
def test_a_first_ipv6_piece_without_its_whole_tcp_header_is_tiny(size: int, tiny: int) -> None:
    assert faults(fragments(tcp(**V6, payload=bytes(40)), size))[0] == tiny


def test_a_first_ipv6_piece_whose_extension_headers_go_on_in_the_next_is_tiny() -> None:
    first = fragment(**V6, proto=60, more=True, payload=bytes([58, 1]) + bytes(6))
    assert faults([first]) == [Fragment.TINY]


def test_an_ipv6_header_is_read_by_the_protocol_of_its_first_piece() -> None:
    pieces = fragments(tcp(**V6, dport=25, payload=bytes(40)), 16)
    other = fragment(**V6, proto=17, offset=16, more=True, payload=pieces[1].datagram[48:])
    assert told([pieces[0], other], "kind", "proto", "dport")[1] == (Kind.TCP, 6, 25)


def test_a_first_ipv6_piece_with_extension_headers_belongs_to_the_others() -> None:
    datagram = bytes([17, 0, 1, 4]) + bytes(4) + udp(**V6, payload=bytes(40)).datagram[40:]
    pieces = [fragment(**V6, proto=60, more=True, payload=datagram[:32]), fragment(**V6, proto=60, offset=32, payload=datagram[32:])]
    assert [bool(bit & Fragment.COMPLETE) for bit in bits(pieces)] == [False, True]


def test_an_atomic_fragment_is_no_piece() -> None:
    assert bits([fragment(**V6, payload=bytes(16))]) == [0]


# Copies, and identifications that are used again.


@pytest.mark.parametrize("copies", [2, 3])
def test_a_datagram_each_of_whose_pieces_was_captured_more_than_once_does_not_overlap(copies: int) -> None:
    pieces = [piece for piece in fragments(udp(payload=bytes(100)), 24) for _ in range(copies)]
    assert set(faults(pieces)) == {0, Fragment.DUPLICATE}


def test_a_copy_of_a_whole_datagram_is_no_fault() -> None:
    assert set(faults(fragments(udp(payload=bytes(100)), 24) * 2)) == {0}


def test_a_copy_of_a_whole_datagram_raises_no_doubt() -> None:
    pieces = fragments(udp(payload=bytes(100)), 24)
    assert [bit & DOUBTFUL for bit in bits([*pieces, *pieces[2:]])[len(pieces) :]] == [0] * (len(pieces) - 2)


@pytest.mark.parametrize(("later", "fault"), [(5.001, 0), (4.0, Fragment.OVERLAP)])
def test_an_identification_that_may_have_come_round_begins_another_datagram(later: float, fault: int) -> None:
    assert faults([fragment(more=True, payload=bytes(40)), fragment(more=True, offset=8, payload=bytes(40), at=later)])[1] == fault


def test_an_identification_comes_round_after_many_packets_too() -> None:
    between = [udp(at=n * 1e-6) for n in range(32769)]
    assert faults([fragment(more=True, payload=bytes(40)), *between, fragment(more=True, offset=8, payload=bytes(40), at=0.1)])[-1] == 0


def test_an_ipv6_identification_does_not_come_round() -> None:
    assert faults([fragment(**V6, more=True, payload=bytes(40)), fragment(**V6, more=True, offset=8, payload=bytes(40), at=20)])[1] == Fragment.OVERLAP


def test_pieces_that_several_interfaces_saw_are_kept_apart() -> None:
    table = Fragments(64, TIMEOUT * SECOND)
    batch = next(batches([fragment(more=True, payload=bytes(40)), fragment(more=True, offset=8, payload=bytes(40))], 2))
    batch.interface[1] = 1
    table.update(batch.data, batch.block, 2)
    assert batch.fragment[1] & FAULTS == 0


# Pieces that do not fit.


@pytest.mark.parametrize("family", [{}, V6])
@pytest.mark.parametrize(
    "pieces",
    [
        [(0, 40, True), (24, 4, False)],
        [(0, 40, True), (24, 40, False)],
        [(24, 40, False), (0, 40, True)],
        [(0, 28, True), (32, 3, False)],
        [(0, 18, True), (48, 116, False)],
        [(16, 16, False), (64, 16, True)],
        [(64, 16, True), (16, 16, False)],
        [(16, 16, False), (32, 16, False)],
        [(0, 24, True), (0, 16, True)],
        [(0, 16, True), (16, 16, True), (0, 32, True)],
        [(8, 16, False), (8, 15, False)],
    ],
    ids=["inside", "tail", "tail, last first", "bonk", "nestea", "beyond the end", "end before", "two ends", "shorter", "two at once", "another end"],
)
def test_pieces_that_cannot_be_put_together_overlap(pieces: list[tuple[int, int, bool]], family: dict[str, Any]) -> None:
    frames = [fragment(**family, proto=17, offset=offset, payload=bytes(size), more=more) for offset, size, more in pieces]
    assert faults(frames)[-1] == Fragment.OVERLAP


def test_pieces_that_lie_beyond_the_end_make_no_datagram_complete() -> None:
    pieces = [fragment(offset=8, payload=bytes(8)), fragment(offset=80, more=True)]
    assert not any(bit & (Fragment.COMPLETE | ARRIVED) for bit in bits(pieces))


# Datagrams that never become whole.


def doubts(frames: Sequence[Frame]) -> int:
    """How many of the datagrams are taken for ones that never become whole."""
    found = bits(frames)
    return sum(bool(bit & DOUBTFUL) for bit in found) - sum(bool(bit & ARRIVED) for bit in found)


def cut(count: int, size: int = 8000, per_second: float = 1000, **family: Any) -> list[list[Frame]]:
    """Datagrams from one source to one target, each in its pieces."""
    return [fragments(udp(**family, payload=bytes(size), at=n / per_second), 1480, ident=n) for n in range(count)]


@pytest.mark.parametrize("family", [{}, V6])
def test_datagrams_that_become_whole_leave_no_doubt(family: dict[str, Any]) -> None:
    assert doubts([piece for pieces in cut(100, **family) for piece in pieces]) == 0


@pytest.mark.parametrize("family", [{}, V6])
@pytest.mark.parametrize("which", [slice(0, 1), slice(1, 2), slice(1, 3), slice(5, 6), slice(0, 5)], ids=["first", "middle", "two", "last", "all but last"])
def test_each_datagram_that_stays_in_pieces_is_a_doubt(which: slice, family: dict[str, Any]) -> None:
    assert doubts([piece for pieces in cut(100, **family) for piece in pieces[which]]) == 100


@pytest.mark.parametrize(("size", "loss"), [(2000, 0.3), (8000, 0.1), (60000, 0.1)])
def test_a_capture_that_loses_pieces_of_honest_datagrams_leaves_few_doubts(size: int, loss: float) -> None:
    rng = random.Random(7)
    kept = [piece for pieces in cut(300, size) for piece in pieces if rng.random() > loss]
    assert doubts(kept) < 50


def test_whole_datagrams_make_up_for_no_other_source() -> None:
    flood = [fragment("198.51.100.66", ident=n, more=True, at=n / 1000) for n in range(100)]
    honest = [piece for pieces in cut(100) for piece in pieces]
    assert doubts(sorted([*honest, *flood], key=lambda frame: frame.time)) == 100


def test_pieces_of_one_datagram_beyond_what_it_can_have_are_doubts() -> None:
    assert doubts([fragment(more=True, offset=8 * n, at=n / 1000) for n in range(300)]) == 1 + 300 - 257


def test_a_piece_that_comes_all_the_time_is_a_doubt_from_its_seventeenth_time_on() -> None:
    assert doubts([fragment(more=True, offset=1480, payload=bytes(1480), at=n / 1000) for n in range(100)]) == 1 + 100 - 16


def test_pieces_of_an_unknown_protocol_have_no_header_before_the_first_one_came() -> None:
    pieces = [fragment(proto=47, offset=8), fragment(proto=47, more=True)]
    assert told(pieces, "kind") == [Kind.FRAGMENT, Kind.OTHER]


@pytest.mark.parametrize("late", [0.0, 0.001])
def test_a_datagram_is_forgotten_when_its_time_is_over(late: float) -> None:
    pieces = fragments(udp(payload=bytes(24)), 16, gap=TIMEOUT - 0.001 + late)
    assert bool(bits(pieces)[1] & Fragment.COMPLETE) == (late == 0)


def test_the_oldest_datagram_goes_when_there_are_too_many() -> None:
    heads = [fragment(proto=1, ident=n, more=True, payload=bytes(16)) for n in (1, 2, 3)]
    tails = [fragment(proto=1, ident=n, offset=16) for n in (3, 2, 1)]
    complete = [bool(bit & Fragment.COMPLETE) for bit in bits([*heads, *tails], capacity=2)]
    assert complete == [False, False, False, True, True, False]


def test_the_datagram_begun_first_goes_when_long_ones_leave_no_room_for_another() -> None:
    parts = [[fragment(proto=1, ident=ident, more=True, offset=n * 8192, payload=bytes(8192)) for n in range(4)] for ident in (1, 2, 3)]
    tails = [fragment(proto=1, ident=ident, offset=4 * 8192 - 8) for ident in (2, 3, 1)]
    # A fault needs a datagram that is known.
    assert faults([*parts[0], *parts[1], *parts[2], *tails], capacity=8)[12:] == [Fragment.OVERLAP, Fragment.OVERLAP, 0]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_fragments_agree_with_the_model_however_the_batches_are_cut(data: st.DataObject) -> None:
    frames = data.draw(pieces_of_few_datagrams())
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    capacity = data.draw(st.integers(1, 4))
    assert run(frames, sizes, capacity, seed=data.draw(st.integers(0, 9))) == expected(frames, capacity)


def test_fragments_agree_with_the_model_over_every_capture(every_capture: list[Path]) -> None:
    wrong = []
    for path in every_capture:
        frames = frames_of(path)
        told = run(frames, 64, capacity=8)
        if any(row["fragment"] for row in told) and told != expected(frames, capacity=8):
            wrong.append(path.name)
    assert wrong == []


COMPARED = ("fragment", "proto", "kind", "malformed", "sport", "dport", "tcp_flags", "tcp_seq", "icmp_type", "icmp_code")


def run(frames: Sequence[Frame], sizes: int | Sequence[int] = 256, capacity: int = 64, seed: int = 0) -> list[dict[str, int]]:
    table = Fragments(capacity, TIMEOUT * SECOND, random.Random(seed).randbytes(88))
    told = []
    for batch in batches(frames, sizes):
        table.update(batch.data, batch.block, len(batch))
        told += columns_of(batch, COMPARED)
    return told


def expected(frames: Sequence[Frame], capacity: int) -> list[dict[str, int]]:
    model = FragmentModel(capacity, TIMEOUT * SECOND)
    told = []
    for batch in batches(frames, max(1, len(frames))):
        for p, frame in zip(columns_of(batch), frames, strict=True):
            p |= model.packet(p, frame.data)
            told.append({name: p[name] for name in COMPARED})
    return told


def told(frames: Sequence[Frame], *names: str) -> list[Any]:
    found = [tuple(row[name] for name in names) for row in run(frames)]
    return [row[0] for row in found] if len(names) == 1 else found


def faults(frames: Sequence[Frame], capacity: int = 64) -> list[int]:
    return [bit & FAULTS for bit in bits(frames, capacity)]


def bits(frames: Sequence[Frame], capacity: int = 64) -> list[int]:
    return [row["fragment"] for row in run(frames, capacity=capacity)]


CONTENTS = {
    6: [tcp(sport=sport, payload=bytes(60)).data[34:] for sport in (1, 2)] + [bytes(80)],
    17: [udp(sport=sport, payload=bytes(60)).data[34:] for sport in (1, 2)] + [bytes(80)],
    1: [icmp(code=code, payload=bytes(60)).data[34:] for code in (0, 1)],
    47: [bytes(80)],
    60: [bytes([17, 0, 1, 4]) + bytes(4) + udp(payload=bytes(60)).data[34:], bytes([6, 1, 1, 12]) + bytes(12) + tcp(payload=bytes(60)).data[34:]],
    51: [bytes([6, 1]) + bytes(10) + tcp(payload=bytes(60)).data[34:]],
}


@st.composite
def pieces_of_few_datagrams(draw: st.DrawFn) -> list[Frame]:
    """Pieces of any place and length, of so few datagrams that they meet."""
    frames = []
    now = 0.0
    for _ in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0.0, 0.001, 0.001, 1.0, 5.0, 29.999]))
        proto = draw(st.sampled_from([6, 6, 6, 17, 17, 1, 47, 60, 51]))
        content = draw(st.sampled_from(CONTENTS[proto]))
        offset = draw(st.sampled_from([0, 0, 0, 8, 8, 16, 24, 32, 56, 64, 488, 512, 8064, 8184, 8192, 24000, 65528]))
        size = draw(st.sampled_from([0, 1, 7, 8, 8, 8, 12, 16, 16, 20, 24, 64, 504, 1024, 20000]))
        target = draw(st.sampled_from(["192.0.2.1", "2001:db8::1"]))
        frame = fragment(
            dst=target,
            proto=proto,
            offset=offset,
            more=draw(st.booleans()),
            ident=draw(st.integers(1, 2)),
            payload=(content + bytes(86000))[offset : offset + size],
            at=now,
            extensions=draw(st.sampled_from([(), (), (60,)])),
        )
        cut = draw(st.sampled_from([0, 0, 0, 3, 9]))
        data = frame.data[: max(frame.network, len(frame.data) - cut)]
        frames.append(replace(frame, data=data, wire_length=len(frame.data)))
    return frames
