"""The threshold random walk: a source whose first contacts mostly fail is guilty."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from iplog_core.batch import FLOW_DTYPE, Outcome
from iplog_core.kernel.walk import Walk

pytestmark = pytest.mark.kernel

Contact = tuple[int, Outcome, bool, int, int]
"""A decided flow: its source, its outcome, whether it was the source's first contact, its port and its host."""

contacts = st.tuples(st.integers(1, 4), st.sampled_from(Outcome), st.booleans(), st.integers(1, 9), st.integers(1, 3))


@given(
    st.lists(contacts, max_size=90),
    st.integers(1, 4),
    st.integers(1, 3),
    st.booleans(),
    st.integers(0, 3),
    st.integers(1, 9),
    st.integers(0, 9),
)
def test_walks_agree_with_the_model_however_the_flows_are_cut(
    contacts: list[Contact], capacity: int, steps: int, heard: bool, narrow: int, size: int, seed: int
) -> None:
    walk = Walk(capacity=capacity, steps=steps, heard=heard, narrow=narrow, secret=random.Random(seed).randbytes(88) if seed else bytes(88))
    told = [guilty for start in range(0, len(contacts), size) for guilty in judge(walk, contacts[start : start + size])]
    assert (told, walk.evicted) == judged_by_the_model(contacts, capacity, steps, heard, narrow)


@pytest.mark.parametrize("factor", [0, 1 << 54], ids=["all of one tag", "of many tags"])
def test_sources_that_all_fall_into_one_group_of_the_table_are_told_apart(factor: int) -> None:
    secret = np.zeros(11, np.uint64)
    secret[4] = factor
    chance = random.Random(1)
    contacts = [(chance.randint(1, 100), chance.choice(list(Outcome)), True, 22, 1) for _ in range(5000)]
    walk = Walk(capacity=64, steps=2, secret=secret.tobytes())
    assert (judge(walk, contacts), walk.evicted) == judged_by_the_model(contacts, 64, 2, False, 0)


def test_only_the_flows_that_are_asked_for_are_walked() -> None:
    rows = flows([(1, Outcome.REFUSED, True, 22, 1)] * 3)
    guilty = np.zeros(3, np.uint8)
    Walk(capacity=1, steps=2).update(rows.view(np.uint8), np.array([0, 2]), guilty)
    assert guilty.tolist() == [0, 0, 1]


def test_a_late_answer_takes_its_failure_back() -> None:
    walk = Walk(capacity=1, steps=2)
    told = judge(walk, [(1, outcome, True, 22, 1) for outcome in (Outcome.SILENT, Outcome.LATE, Outcome.SILENT, Outcome.SILENT, Outcome.SILENT)])
    assert told == [0, 0, 0, 0, 1]


def test_a_source_that_hears_nothing_is_not_guilty_where_that_is_asked_for() -> None:
    contacts = [(1, outcome, True, 53, 1) for outcome in (Outcome.SILENT, Outcome.SILENT, Outcome.SILENT, Outcome.REFUSED)]
    assert judge(Walk(capacity=1, steps=2, heard=True), contacts) == [0, 0, 0, 1]


def test_a_source_whose_failures_go_to_many_ports_is_not_narrow() -> None:
    contacts = [(1, Outcome.REFUSED, True, port, host) for host, port in enumerate((22, 22, 22, 6881, 51413, 40000), 1)]
    assert judge(Walk(capacity=1, steps=2, narrow=2), contacts) == [0, 1, 1, 1, 0, 0]


def test_ports_that_failed_long_ago_are_forgotten() -> None:
    ports = [*range(1000, 1032), *[22] * 65]
    contacts = [(1, Outcome.REFUSED, True, port, host) for host, port in enumerate(ports, 1)]
    assert judge(Walk(capacity=1, steps=2, narrow=2), contacts)[-1] == 1


def test_a_source_whose_answers_came_first_and_whose_silences_came_together_is_not_guilty() -> None:
    contacts = [(1, Outcome.ANSWERED, True, 443, host) for host in range(88)] + [(1, Outcome.SILENT, True, 443, host) for host in range(100, 140)]
    assert judge(Walk(capacity=1, steps=2), contacts) == [0] * 128


def judge(walk: Walk, contacts: list[Contact]) -> list[int]:
    guilty = np.zeros(len(contacts), np.uint8)
    walk.update(flows(contacts).view(np.uint8), np.arange(len(contacts)), guilty)
    told: list[int] = guilty.tolist()
    return told


def judged_by_the_model(contacts: list[Contact], capacity: int, steps: int, heard: bool, narrow: int) -> tuple[list[int], int]:
    places: dict[int, tuple[int, bool, list[int], int, int]] = {}
    told, evicted = [], 0
    for source, outcome, first, port, _ in contacts:
        if source not in places and len(places) == capacity:
            del places[next(iter(places))]
            evicted += 1
        place, has_heard, ports, failed, answered = places.pop(source, (0, False, [], 0, 0))
        has_heard |= outcome in (Outcome.ANSWERED, Outcome.LATE, Outcome.REFUSED, Outcome.HALF_OPEN)
        if first and outcome in (Outcome.HALF_OPEN, Outcome.REFUSED, Outcome.SILENT):
            place, failed = place + 1, failed + 1
            ports = [*ports, port]
        elif first and outcome in (Outcome.ANSWERED, Outcome.LATE):
            place, answered = place - (1 if outcome == Outcome.ANSWERED else 2), answered + 1
        if failed + answered >= 256:
            failed, answered = failed // 2, answered // 2
        place = max(min(place, steps), -2 * steps)
        places[source] = place, has_heard, ports, failed, answered
        # The last lot of 32, full or not, and the one before.
        begun = max(len(ports) - 1, 0) // 32 * 32
        few = not narrow or len({bit(port) for port in ports[max(begun - 32, 0) :]}) <= narrow
        told.append(int(place == steps and 2 * failed >= answered and (has_heard or not heard) and few))
    return told, evicted


def bit(port: int) -> int:
    """Multiplicative hashing (Knuth, The Art of Computer Programming, volume 3, 6.4): some ports share a bit."""
    return (port * 0x9E3779B1 & 0xFFFFFFFF) >> 26


def flows(contacts: list[Contact]) -> NDArray[Any]:
    rows = np.zeros(len(contacts), FLOW_DTYPE)
    for row, (source, outcome, first, port, host) in zip(rows, contacts, strict=True):
        row["src_lo"], row["outcome"], row["contact"], row["dport"], row["dst_lo"] = source, outcome, first, port, host
    return rows
