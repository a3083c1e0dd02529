"""Records that are gathered from columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplog_core import RECORD_DTYPE
from iplog_core.events import record_rows
from iplog_core.kernel.records import gather

pytestmark = pytest.mark.kernel

COUNT = 200
TABLE = np.frombuffer(np.random.default_rng(7).bytes(COUNT * RECORD_DTYPE.itemsize), RECORD_DTYPE)
NAMES = list(RECORD_DTYPE.names or ())


@pytest.mark.parametrize("is_apart", [True, False])
@given(rows=st.lists(st.integers(0, COUNT - 1), max_size=150), names=st.lists(st.sampled_from(NAMES), unique=True))
def test_records_hold_what_the_columns_hold_and_nothing_else(is_apart: bool, rows: list[int], names: list[str]) -> None:
    columns = {name: TABLE[name].copy() if is_apart else TABLE[name] for name in names}
    wanted = np.zeros(len(rows), RECORD_DTYPE)
    for name in names:
        wanted[name] = TABLE[name][rows]
    assert record_rows(np.array(rows, np.int64), columns).tolist() == wanted.tolist()


@pytest.mark.parametrize("code", ["u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("name", ["bytes", "packets", "sport", "kind"])
def test_a_column_of_another_width_fills_the_place(name: str, code: str) -> None:
    column = np.arange(200, dtype=code)
    assert record_rows(np.arange(200), {name: column})[name].tolist() == list(range(200))


@pytest.mark.parametrize(
    "changed",
    [
        {"rows": np.array([0, COUNT])},
        {"rows": np.array([0, -1])},
        {"rows": np.arange(3)},
        {"out": np.zeros((3, 16), np.uint8)},
        {"places": []},
        {"places": [(9, 8)]},
        {"places": [(-8, 8)]},
        {"places": [(0, 3)]},
        {"columns": [np.zeros((COUNT, 2), np.uint64)]},
        {"columns": [np.zeros(COUNT, "V3")]},
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any]) -> None:
    given: dict[str, Any] = {"columns": [np.zeros(COUNT, np.uint64)], "rows": np.arange(2), "out": np.zeros((2, 16), np.uint8), "places": [(0, 8)]}
    gather(**given)
    with pytest.raises((ValueError, IndexError, TypeError)):
        gather(**given | changed)
