"""Packets of several interfaces are brought into order of time, and held back no longer than need be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplog_core import RawBatch
from iplog_core.capture.weave import Weave
from iplog_core.testing import Frame, raw_batch, udp

TIMES = st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=8).map(sorted), max_size=6)


def part(times: Sequence[int], mark: int = 0) -> RawBatch:
    return raw_batch([Frame(time, bytes([mark, time])) for time in times])


def told(batch: RawBatch | None) -> list[tuple[int, bytes]]:
    """Each packet's time and bytes."""
    if batch is None:
        return []
    rows = zip(batch.time.tolist(), batch.offset.tolist(), batch.captured.tolist(), strict=True)
    return [(time, batch.data[start : start + length].tobytes()) for time, start, length in rows]


@given(parts=TIMES, horizons=st.lists(st.integers(0, 50)).map(sorted))
def test_what_is_taken_bit_by_bit_is_all_in_order_of_time_and_then_of_arrival(parts: list[list[int]], horizons: list[int]) -> None:
    weave = Weave()
    for mark, times in enumerate(parts):
        weave.put(part(times, mark))
    taken = [packet for horizon in (*horizons, None) for packet in told(weave.take(horizon))]
    assert taken == [(time, bytes([mark, time])) for time, mark in sorted((time, mark) for mark, times in enumerate(parts) for time in times)]
    assert not weave


@given(parts=TIMES, horizon=st.integers(0, 50))
def test_nothing_later_than_the_horizon_is_taken(parts: list[list[int]], horizon: int) -> None:
    weave = Weave()
    for times in parts:
        weave.put(part(times))
    assert sorted(time for time, _ in told(weave.take(horizon))) == sorted(time for times in parts for time in times if time <= horizon)


def test_names_of_interfaces_that_came_later_are_kept() -> None:
    weave = Weave()
    early, late = part([1]), part([0])
    early.interfaces, late.interfaces = ("eth0",), ("eth0", "eth1")
    late.interface[:] = 1
    weave.put(early)
    weave.put(late)
    batch = weave.take(None)
    assert batch is not None
    assert [batch.interfaces[number] for number in batch.interface.tolist()] == ["eth1", "eth0"]


def test_a_packet_that_seems_to_be_of_the_future_is_not_held_back_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    weave = Weave()
    weave.put(raw_batch([udp(at=3600.0)]))
    assert weave.take(0) is None
    monkeypatch.setattr("iplog_core.capture.weave.PATIENCE", 0.0)
    assert len(told(weave.take(0))) == 1
