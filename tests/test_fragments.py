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
PIECE, MORE = Fragment.PIECE, Fragment.MORE


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
    assert bits(fragments(udp(**family, payload=bytes(24)), 16)) == [PIECE | MORE | Fragment.HEADER, PIECE | Fragment.COMPLETE]


def test_a_piece_that_comes_twice_is_a_duplicate() -> None:
    first = fragment(proto=1, more=True, payload=bytes(16))
    assert bits([first, first])[1] & (Fragment.DUPLICATE | Fragment.OVERLAP) == Fragment.DUPLICATE


def test_pieces_that_share_some_bytes_overlap() -> None:
    teardrop = [fragment(proto=1, more=True, payload=bytes(40)), fragment(proto=1, offset=24, payload=bytes(8))]
    assert bits(teardrop)[1] & (Fragment.DUPLICATE | Fragment.OVERLAP) == Fragment.OVERLAP


def test_pieces_overlap_also_where_the_header_in_the_first_is_malformed() -> None:
    teardrop = [fragment(proto=6, more=True, payload=bytes(40)), fragment(proto=6, offset=24, payload=bytes(8))]
    assert told(teardrop, "kind", "fragment") == [(Kind.NONE, PIECE | MORE), (Kind.FRAGMENT, PIECE | Fragment.OVERLAP)]


def test_a_piece_that_ends_behind_the_longest_datagram_is_oversized() -> None:
    ping_of_death = fragment(proto=1, offset=65_528, payload=bytes(100))
    assert bits([ping_of_death]) == [PIECE | Fragment.OVERSIZED]


def test_the_longest_datagram_is_not_oversized() -> None:
    assert bits([fragment(proto=1, offset=65_512, payload=bytes(3))]) == [PIECE]


def test_a_first_piece_without_the_flags_of_its_tcp_header_is_tiny() -> None:
    assert bits([fragment(proto=6, more=True, payload=bytes(8))]) == [PIECE | MORE | Fragment.TINY]


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


COMPARED = ("fragment", "kind", "malformed", "sport", "dport", "tcp_flags", "tcp_seq", "icmp_type", "icmp_code")


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


def bits(frames: Sequence[Frame], capacity: int = 64) -> list[int]:
    return [row["fragment"] for row in run(frames, capacity=capacity)]


CONTENTS = {
    6: [tcp(sport=sport, payload=bytes(60)).data[34:] for sport in (1, 2)] + [bytes(80)],
    17: [udp(sport=sport, payload=bytes(60)).data[34:] for sport in (1, 2)] + [bytes(80)],
    1: [icmp(code=code, payload=bytes(60)).data[34:] for code in (0, 1)],
    47: [bytes(80)],
}


@st.composite
def pieces_of_few_datagrams(draw: st.DrawFn) -> list[Frame]:
    """Pieces of any place and length, of so few datagrams that they meet."""
    frames = []
    now = 0.0
    for _ in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0.0, 0.001, 1.0, 29.999]))
        proto = draw(st.sampled_from([6, 6, 6, 17, 17, 1, 47]))
        content = draw(st.sampled_from(CONTENTS[proto]))
        offset = draw(st.sampled_from([0, 0, 0, 8, 8, 16, 24, 32, 56, 64]))
        size = draw(st.sampled_from([0, 1, 7, 8, 8, 8, 12, 16, 16, 20, 24, 64]))
        frame = fragment(
            dst=draw(st.sampled_from(["192.0.2.1", "2001:db8::1"])),
            proto=proto,
            offset=offset,
            more=draw(st.booleans()),
            ident=draw(st.integers(1, 2)),
            payload=content[offset : offset + size],
            at=now,
        )
        cut = draw(st.sampled_from([0, 0, 0, 3, 9]))
        data = frame.data[: max(frame.network, len(frame.data) - cut)]
        frames.append(replace(frame, data=data, wire_length=len(frame.data)))
    return frames
