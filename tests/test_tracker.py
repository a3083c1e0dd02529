"""The tracker: who crosses a threshold and when, by example and against a dict of keys."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from harness import batches_with_flows
from hypothesis import given, settings
from hypothesis import strategies as st
from models.tracker import TrackerModel

from iplog_core.batch import FLOW_DTYPE, Mask, Outcome, PacketBatch, Phase
from iplog_core.kernel.tracker import Tracker
from iplog_core.testing import EPOCH, Frame, Packets, half_open, handshake, in_order, refused, silent, tcp, udp, udp_exchange, udp_refused

pytestmark = pytest.mark.kernel

SECOND = 1_000_000_000
PLAIN: dict[str, Any] = {
    "key": "pair", "distinct": "dest_port", "threshold": 3, "rate": 0.0, "memory": 30 * SECOND, "expiry": 10 * SECOND, "capacity": 64, "values": 256,
}  # fmt: skip
Choice = Callable[[PacketBatch], tuple[Mask | None, Mask | None]]


def openings(batch: PacketBatch) -> tuple[Mask | None, Mask | None]:
    """Count openings, judged by how they went."""
    return batch.opens, np.ones(len(batch.decided), np.bool_)


def failures(batch: PacketBatch) -> tuple[Mask | None, Mask | None]:
    """Count failed flows."""
    return None, np.ones(len(batch.decided), np.bool_)


def packets(batch: PacketBatch) -> tuple[Mask | None, Mask | None]:
    """Count packets, however it went."""
    return np.ones(len(batch), np.bool_), None


def test_an_episode_starts_at_the_packet_that_reaches_the_threshold_and_ends_when_it_was_quiet() -> None:
    changes = track([refused(dport=port, at=port) for port in (1, 2, 3, 4)], openings)
    assert [(c["state"], c["time"], c["phase"]) for c in changes] == [("start", at(3), Phase.PACKET), ("end", at(4.001), Phase.END)]
    changes = track([*(refused(dport=port, at=port) for port in (1, 2, 3)), udp(at=60)], openings)
    assert [(c["state"], c["time"], c["phase"]) for c in changes][1] == ("end", at(3 + 10), Phase.DEADLINE)


def test_the_same_value_again_does_not_count() -> None:
    assert track([refused(dport=1, sport=n, at=n) for n in range(1, 20)], openings) == []


def test_a_value_is_forgotten_when_its_time_is_over() -> None:
    frames = [refused(dport=port, at=port * 11) for port in (1, 2, 3, 4)]
    assert [change["state"] for change in track(frames, openings)] == ["start", "end"]
    assert track(frames, openings, memory=20 * SECOND) == []


def test_what_was_answered_is_no_evidence() -> None:
    assert track([handshake(dport=port, at=port) for port in range(1, 20)], openings) == []


def test_an_alert_tells_how_each_value_went() -> None:
    talks: Packets = [refused(dport=1), half_open(dport=2, at=0.1), handshake(dport=3, at=0.2), silent(dport=4, at=0.3), tcp(dport=5, at=8)]
    change = track(talks, openings, threshold=4)[-1]
    counts = {Outcome(n).name: count for n, count in enumerate(change["outcomes"]) if count}
    assert counts == {"REFUSED": 1, "HALF_OPEN": 1, "SILENT": 1, "PENDING": 1}


def test_failed_flows_count_by_themselves_where_no_packets_are_chosen() -> None:
    changes = track([silent(dport=port, at=port) for port in (1, 2, 3)] + [tcp(dport=9, at=60)], failures)
    assert (changes[0]["state"], changes[0]["time"], changes[0]["phase"]) == ("start", at(3 + 5), Phase.DEADLINE)


def test_without_a_distinct_value_packets_count() -> None:
    changes = track([udp(at=n) for n in range(5)], packets, distinct=None)
    assert [(change["state"], change["time"]) for change in changes] == [("start", at(2)), ("end", at(4))]


def test_a_bucket_overflows_at_a_rate_that_it_cannot_drain() -> None:
    fast, slow = [udp(at=n / 10) for n in range(40)], [udp(at=n) for n in range(40)]
    assert [change["state"] for change in track(fast, packets, distinct=None, rate=1.0, threshold=10)] == ["start", "end"]
    assert track(slow, packets, distinct=None, rate=1.0, threshold=10) == []


def test_an_episode_is_told_again_at_each_tenfold_of_its_packets() -> None:
    changes = track([udp(at=n / 100) for n in range(400)], packets, distinct=None)
    assert [(change["state"], change["packets"]) for change in changes] == [("start", 3), ("update", 30), ("update", 300), ("end", 400)]


@pytest.mark.parametrize("key", ["pair", "source", "target", "source_port", "target_port"])
def test_keys_are_apart_by_what_they_name(key: str) -> None:
    probes = [udp(f"198.51.100.{a}", f"192.0.2.{b}", dport=c, at=a) for a in (1, 2) for b in (1, 2) for c in (1, 2)]
    keys = {"pair": 4, "source": 2, "target": 2, "source_port": 4, "target_port": 4}[key]
    starts = [change for change in track(probes, packets, key=key, distinct=None, threshold=1) if change["state"] == "start"]
    assert len(starts) == keys


def test_the_coldest_key_that_is_not_alerting_goes_first() -> None:
    def probe(host: int, port: int, seconds: float) -> Frame:
        return udp(f"198.51.100.{host}", dport=port, at=seconds)

    alerting = [probe(1, port, 0) for port in (1, 2, 3)]
    others = [probe(2, 1, 1), probe(3, 1, 2), probe(2, 2, 3), probe(2, 3, 4)]
    changes = track([*alerting, *others], packets, capacity=2)
    assert [change["state"] for change in changes] == ["start", "end"]


def test_samples_are_the_first_ten_values_and_sports_the_first_six() -> None:
    change = track([udp(dport=port, sport=port + 1000, at=port) for port in range(1, 21)], packets)[-1]
    assert (change["samples"], change["distinct"]) == (list(range(1, 11)), 20)
    assert change["sports"] == list(range(1001, 1007))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_tracker_agrees_with_the_model_however_the_batches_are_cut(data: st.DataObject) -> None:
    frames = data.draw(worlds())
    options = data.draw(
        st.fixed_dictionaries(
            {
                "key": st.sampled_from(["pair", "source", "target", "source_port", "target_port"]),
                "distinct": st.sampled_from([None, "dest_port", "dest", "source"]),
                "threshold": st.integers(1, 4),
                "rate": st.sampled_from([0.0, 0.0, 0.0, 0.5, 3.0]),
                "memory": st.sampled_from([SECOND, 7 * SECOND, 60 * SECOND]),
                "expiry": st.sampled_from([2 * SECOND, 20 * SECOND]),
                "capacity": st.integers(1, 6),
                "values": st.integers(1, 12),
            }
        )
    )
    choice = data.draw(st.sampled_from([openings, failures, packets]))
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    assert run(frames, sizes, choice, options, seed=data.draw(st.integers(0, 9))) == expected(frames, choice, options)


def run(frames: Sequence[Frame], sizes: int | Sequence[int], choice: Choice, options: dict[str, Any], seed: int = 0) -> tuple[list[Any], int]:
    tracker = Tracker(dict, secret=random.Random(seed).randbytes(88), **options)
    changes: list[Any] = []
    for batch in batches_with_flows(frames, sizes, udp_idle=6, silent_timeout=2):
        where, decided = choice(batch)
        rows = [np.flatnonzero(mask) if mask is not None else np.empty(0, np.int64) for mask in (where, decided)]
        changes += tracker.update(batch.block, len(batch), rows[0], batch.decided.bytes_view, rows[1], where is None, batch.now, batch.final)
    return changes, tracker.evicted


def expected(frames: Sequence[Frame], choice: Choice, options: dict[str, Any]) -> tuple[list[Any], int]:
    model = TrackerModel(**options)
    for batch in batches_with_flows(frames, max(1, len(frames)), udp_idle=6, silent_timeout=2):
        for _, _, _, touch, outcome in sorted(happenings(batch, *choice(batch)), key=lambda happening: happening[:3]):
            if outcome is None:
                model.packet(touch)
            else:
                model.flow(touch, outcome, adds=choice is failures)
        model.pass_time(batch.now)
        if batch.final:
            model.finish(batch.now)
    return model.changes, model.evicted


def happenings(batch: PacketBatch, where: Mask | None, decided: Mask | None) -> list[tuple[Any, ...]]:
    """Decided flows and packets with their place in time: a deadline before the packets of its time, a decision before what its packet opens."""
    found: list[tuple[Any, ...]] = []
    for n in np.flatnonzero(decided) if decided is not None else ():
        row = dict(zip(FLOW_DTYPE.names or (), batch.decided.rows[n].tolist(), strict=True))
        place = (row["index"], 0, n) if row["phase"] == Phase.PACKET else (-1, 0, n) if row["phase"] == Phase.DEADLINE else (2**62, 0, n)
        found.append((row["time"], place, 0, row | {"bytes": row["length"]}, Outcome(row["outcome"])))
    for i in np.flatnonzero(where) if where is not None else ():
        names = ("index", "src_hi", "src_lo", "dst_hi", "dst_lo", "sport", "dport", "kind", "version", "proto", "icmp_type", "icmp_code", "interface")
        touch = {name: int(getattr(batch, name)[i]) for name in names}
        touch |= {"time": int(batch.clock[i]), "bytes": int(batch.length[i]), "phase": Phase.PACKET}
        found.append((touch["time"], (touch["index"], 1, 0), 0, touch, None))
    return found


def track(frames: Packets, choice: Choice, **options: Any) -> list[Any]:
    """Run a tracker over packets and return its changes."""
    tracker = Tracker(dict, **(PLAIN | options))
    changes: list[Any] = []
    for batch in batches_with_flows(in_order(frames), 7):
        where, decided = choice(batch)
        rows = [np.flatnonzero(mask) if mask is not None else np.empty(0, np.int64) for mask in (where, decided)]
        changes += tracker.update(batch.block, len(batch), rows[0], batch.decided.bytes_view, rows[1], where is None, batch.now, batch.final)
    return changes


def at(seconds: float) -> int:
    return EPOCH * SECOND + round(seconds * SECOND)


TALKS: list[Callable[..., list[Frame]]] = [refused, handshake, silent, half_open, udp_exchange, udp_refused]


@st.composite
def worlds(draw: st.DrawFn) -> list[Frame]:
    """Conversations of a few hosts over a few ports, with gaps near the timeouts."""
    now = 0.0
    talks = []
    for _ in range(draw(st.integers(0, 25))):
        now += draw(st.sampled_from([0.0, 0.0, 0.0, 0.0005, 0.1, 0.4, 1.0, 2.0, 7.0, 20.0]))
        src, dst = draw(st.sampled_from(["198.51.100.1", "198.51.100.2"])), draw(st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"]))
        talk = draw(st.sampled_from(TALKS))
        talks.append(talk(src, dst, sport=draw(st.integers(1, 3)), dport=draw(st.integers(1, 5)), at=now))
    return in_order(talks)
