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

Contact = tuple[int, Outcome, bool]
"""A decided flow: its source, its outcome, and whether it was the source's first contact."""


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from(Outcome), st.booleans()), max_size=60),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(0, 9),
)
def test_walks_agree_with_the_model_however_the_flows_are_cut(contacts: list[Contact], capacity: int, steps: int, size: int, seed: int) -> None:
    walk = Walk(capacity=capacity, steps=steps, secret=random.Random(seed).randbytes(88))
    told = [guilty for start in range(0, len(contacts), size) for guilty in judge(walk, contacts[start : start + size])]
    assert (told, walk.evicted) == judged_by_the_model(contacts, capacity, steps)


def test_only_the_flows_that_are_asked_for_are_walked() -> None:
    rows = flows([(1, Outcome.REFUSED, True)] * 3)
    guilty = np.zeros(3, np.uint8)
    Walk(capacity=1, steps=2).update(rows.view(np.uint8), np.array([0, 2]), guilty)
    assert guilty.tolist() == [0, 0, 1]


def judge(walk: Walk, contacts: list[Contact]) -> list[int]:
    guilty = np.zeros(len(contacts), np.uint8)
    walk.update(flows(contacts).view(np.uint8), np.arange(len(contacts)), guilty)
    told: list[int] = guilty.tolist()
    return told


def judged_by_the_model(contacts: list[Contact], capacity: int, steps: int) -> tuple[list[int], int]:
    places: dict[int, int] = {}
    told, evicted = [], 0
    for source, outcome, first in contacts:
        if source not in places and len(places) == capacity:
            del places[next(iter(places))]
            evicted += 1
        place = places.pop(source, 0)
        if first and outcome == Outcome.ANSWERED:
            place = max(place - 1, -steps)
        elif first and outcome in (Outcome.HALF_OPEN, Outcome.REFUSED, Outcome.SILENT):
            place = min(place + 1, steps)
        places[source] = place
        told.append(int(place == steps))
    return told, evicted


def flows(contacts: list[Contact]) -> NDArray[Any]:
    rows = np.zeros(len(contacts), FLOW_DTYPE)
    for row, (source, outcome, first) in zip(rows, contacts, strict=True):
        row["src_lo"], row["outcome"], row["contact"] = source, outcome, first
    return rows
