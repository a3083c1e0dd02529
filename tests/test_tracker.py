"""The tracker: who crosses a threshold and when, by example and against a dict of keys."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from harness import batches_with_flows
from hypothesis import given, settings
from hypothesis import strategies as st
from models.tracker import TrackerModel
from numpy.typing import NDArray

from iplog_core.batch import FLOW_DTYPE, FlowRows, Mask, Outcome, PacketBatch, Phase
from iplog_core.kernel.tracker import Tracker
from iplog_core.testing import EPOCH, Frame, Packets, half_open, handshake, in_order, refused, silent, tcp, udp, udp_exchange, udp_refused
from iplog_core.tracker import _roles

pytestmark = pytest.mark.kernel

SECOND = 1_000_000_000
PLAIN: dict[str, Any] = {
    "key": "pair", "distinct": "dest_port", "threshold": 3, "rate": 0.0, "memory": 30 * SECOND, "expiry": 10 * SECOND, "capacity": 64, "values": 256,
}  # fmt: skip
Told = tuple[list[Any], dict[int, int], int]
"""What a tracker told: its changes, its marks by a packet's index, how much it evicted."""


@dataclass
class Given:
    """What a tracker is handed of a batch, as masks and labels over its packets and decided flows."""

    where: Mask | None = None
    decided: Mask | None = None
    against: Mask | None = None
    excused: Mask | None = None
    sure: Mask | None = None
    sure_flows: Mask | None = None


Choice = Callable[[PacketBatch], Given]


def openings(batch: PacketBatch) -> Given:
    """Count openings, judged by how they went."""
    return Given(batch.opens, np.ones(len(batch.decided), np.bool_))


def failures(batch: PacketBatch) -> Given:
    """Count failed flows."""
    return Given(None, np.ones(len(batch.decided), np.bool_))


def packets(batch: PacketBatch) -> Given:
    """Count packets, however it went."""
    return Given(np.ones(len(batch), np.bool_))


def some_of_each(batch: PacketBatch) -> Given:
    """Count some openings, take others back, and be sure of some, by their ports."""
    flows = batch.decided
    return Given(batch.opens, flows.outcome > 0, batch.opens & (batch.sport == 3), flows.sport == 2, batch.dport > 2, flows.dport > 2)


def sure_failures(batch: PacketBatch) -> Given:
    flows = batch.decided
    return Given(None, flows.outcome > 0, batch.dport == 5, flows.sport == 2, None, flows.dport > 2)


def labels(rows: PacketBatch | FlowRows) -> NDArray[np.uint64]:
    return (rows.dport % np.uint16(3)).astype(np.uint64)


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


def test_a_key_with_several_values_outlives_colder_and_warmer_ones_with_one() -> None:
    def probe(host: int, port: int, seconds: float) -> Frame:
        return udp(f"198.51.100.{host}", dport=port, at=seconds)

    slow = [probe(1, port, port) for port in (1, 2)]
    flood = [probe(host, 1, 3 + host / 10) for host in range(2, 60)]
    changes = track([slow, flood, probe(1, 3, 20)], packets, capacity=4)
    assert [change["state"] for change in changes] == ["start", "end"]


def test_a_forged_mapped_address_is_a_key_of_its_own() -> None:
    frames = [udp("198.51.100.1", "192.0.2.1", dport=1), udp("::ffff:198.51.100.1", "::ffff:192.0.2.1", dport=2, at=1)]
    assert track(frames, packets, threshold=2) == []


def test_openings_that_others_take_back_do_not_count() -> None:
    def all_but_the_last_port(batch: PacketBatch) -> Given:
        return Given(where=batch.sport == 1, against=batch.sport == 2)

    taken_back = [udp(sport=sport, dport=port, at=port + sport / 10) for port in (1, 2, 3) for sport in (1, 2)]
    assert track(taken_back, all_but_the_last_port) == []


def test_a_key_starts_only_where_it_is_sure() -> None:
    def sure_at_port_five(batch: PacketBatch) -> Given:
        return Given(where=batch.is_udp, sure=batch.dport == 5)

    (start, _) = track([udp(dport=port, at=port) for port in range(1, 8)], sure_at_port_five)
    assert (start["state"], start["time"], start["distinct"]) == ("start", at(5), 5)


@pytest.mark.parametrize(
    ("doubts", "started"),
    [
        (None, {"silent": 0.3, "one port": 0.3, "refused": 0.3}),
        ("pending", {"silent": 5.1, "one port": 0.3, "refused": 0.301}),
        ("strays", {"one port": 0.3, "refused": 0.3}),
        ("silence", {"refused": 0.3}),
    ],
)
def test_doubts_wait_for_evidence(doubts: str | None, started: dict[str, float]) -> None:
    def probes(talk: Callable[..., list[Frame]], one_port: bool) -> Packets:
        return [talk(sport=9 if one_port else port, dport=port, at=port / 10) for port in (1, 2, 3)] + [udp(at=60)]

    worlds = {"silent": probes(silent, False), "one port": probes(silent, True), "refused": probes(refused, False)}
    found = {name: [c["time"] for c in track(frames, openings, doubts=doubts) if c["state"] == "start"] for name, frames in worlds.items()}
    assert found == {name: [at(started[name])] if name in started else [] for name in worlds}


def test_suspects_and_their_first_values_are_marked() -> None:
    frames = in_order([udp(dport=port, at=n) for n, port in enumerate((1, 1, 2, 2, 3, 4, 5, 6, 7, 8))])
    _, marks, _ = run(frames, 3, packets, PLAIN | {"hint": 2})
    suspect, new, start = 2, 1, 4
    assert marks == {2: suspect | new, 3: suspect, 4: suspect | new | start, **dict.fromkeys((5, 6, 7), suspect | new), 8: suspect, 9: suspect}


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
                "key": st.sampled_from(["pair", "source", "target", "source_port", "target_port", "source_label", "target_label"]),
                "distinct": st.sampled_from([None, "dest_port", "dest", "source", "label"]),
                "threshold": st.integers(1, 4),
                "rate": st.sampled_from([0.0, 0.0, 0.0, 0.5, 3.0]),
                "memory": st.sampled_from([SECOND, 7 * SECOND, 60 * SECOND]),
                "expiry": st.sampled_from([2 * SECOND, 20 * SECOND]),
                "capacity": st.integers(1, 6),
                "values": st.integers(1, 12),
                "doubts": st.sampled_from([None, "pending", "strays", "silence"]),
                "hint": st.integers(0, 2),
                "samples": st.integers(1, 4),
                "most": st.integers(0, 3),
            }
        )
    )
    choice = data.draw(st.sampled_from([openings, failures, packets, some_of_each, sure_failures]))
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    assert run(frames, sizes, choice, options, seed=data.draw(st.integers(0, 9))) == expected(frames, choice, options)


def run(frames: Sequence[Frame], sizes: int | Sequence[int], choice: Choice, options: dict[str, Any], seed: int = 0) -> Told:
    tracker = Tracker(dict, secret=random.Random(seed).randbytes(88) if seed else bytes(88), **options)
    changes: list[Any] = []
    marks: dict[int, int] = {}
    for batch in batches_with_flows(frames, sizes, udp_idle=6, silent_timeout=2):
        told, marked = update(tracker, batch, choice(batch))
        changes += told
        marks |= {int(batch.index[row]): int(marked[row]) for row in np.flatnonzero(marked)}
    return changes, marks, tracker.evicted


def update(tracker: Tracker, batch: PacketBatch, given: Given) -> tuple[list[Any], NDArray[np.uint8]]:
    rows, roles = _roles(given.where, given.against, given.sure)
    flows, flow_roles = _roles(given.decided, given.excused, given.sure_flows)
    marks = np.zeros(len(batch), np.uint8)
    changes = tracker.update(
        batch.block,
        len(batch),
        rows,
        roles,
        labels(batch)[rows],
        batch.decided.bytes_view,
        flows,
        flow_roles,
        labels(batch.decided)[flows],
        given.where is None,
        batch.now,
        batch.final,
        marks,
    )
    return changes, marks


def expected(frames: Sequence[Frame], choice: Choice, options: dict[str, Any]) -> Told:
    model = TrackerModel(**options)
    for batch in batches_with_flows(frames, max(1, len(frames)), udp_idle=6, silent_timeout=2):
        given = choice(batch)
        for _, _, touch, outcome, against, sure in sorted(happenings(batch, given), key=lambda happening: happening[:2]):
            if against:
                model.against(touch)
            elif outcome is None:
                model.packet(touch, sure)
            else:
                model.flow(touch, outcome, given.where is None, sure)
        model.pass_time(batch.now)
        if batch.final:
            model.finish(batch.now)
    return model.changes, {index: mark for index, mark in model.marks.items() if mark}, model.evicted


def happenings(batch: PacketBatch, given: Given) -> Iterator[tuple[Any, ...]]:
    """Decided flows and packets with their place in time: a deadline before the packets of its time, a decision before what its packet opens."""
    flows = batch.decided
    for n in chosen(given.decided, given.excused):
        row = dict(zip(FLOW_DTYPE.names or (), flows.rows[n].tolist(), strict=True))
        place = (row["index"], 0, n) if row["phase"] == Phase.PACKET else (-1, 0, n) if row["phase"] == Phase.DEADLINE else (2**62, 0, n)
        touch = row | {"bytes": row["length"], "label": int(labels(flows)[n])}
        yield row["time"], place, touch, Outcome(row["outcome"]), at_row(given.excused, n, False), at_row(given.sure_flows, n, True)
    for i in chosen(given.where, given.against):
        names = ("index", "src_hi", "src_lo", "dst_hi", "dst_lo", "sport", "dport", "kind", "version", "proto", "icmp_type", "icmp_code", "interface")
        touch = {name: int(getattr(batch, name)[i]) for name in names}
        touch |= {"time": int(batch.clock[i]), "bytes": int(batch.length[i]), "phase": Phase.PACKET, "label": int(labels(batch)[i])}
        yield touch["time"], (touch["index"], 1, 0), touch, None, at_row(given.against, i, False), at_row(given.sure, i, True)


def chosen(*masks: Mask | None) -> list[int]:
    return sorted({row for mask in masks if mask is not None for row in np.flatnonzero(mask).tolist()})


def at_row(mask: Mask | None, row: int, otherwise: bool) -> bool:
    return otherwise if mask is None else bool(mask[row])


def track(frames: Packets, choice: Choice, **options: Any) -> list[Any]:
    """Run a tracker over packets and return its changes."""
    tracker = Tracker(dict, **(PLAIN | options))
    return [change for batch in batches_with_flows(in_order(frames), 7) for change in update(tracker, batch, choice(batch))[0]]


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
