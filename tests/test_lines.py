"""Lines that the kernel writes from the columns of records."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models.lines import Part, line_model

from iplog_core.addresses import MAPPED, address
from iplog_core.kernel.lines import Forms, Words
from iplog_core.timestamps import utc_second

pytestmark = pytest.mark.kernel

SIZE = 24
PLACES = st.integers(0, SIZE - 8)
WIDTHS = st.sampled_from([1, 2, 4, 8])
WORDS = st.tuples(
    st.dictionaries(st.integers(0, 3) | st.integers(0, 65535), st.binary(max_size=9), max_size=9), st.binary(max_size=5), st.binary(max_size=5), st.booleans()
)
PARTS = st.one_of(
    st.binary(max_size=9),
    st.tuples(st.just("number"), PLACES, WIDTHS),
    st.tuples(st.just("host"), PLACES, PLACES, st.booleans(), st.booleans()),
    st.tuples(st.just("word"), PLACES, WIDTHS, WORDS),
    st.tuples(st.just("second"), PLACES, st.just(utc_second)),
    st.tuples(st.just("micros"), PLACES),
    st.sampled_from([("given",), ("mark",)]),
)
HALVES = st.one_of(
    st.sampled_from([0, 1, MAPPED, MAPPED + 1, 0x20010DB8 << 32, 1 << 32, 1 << 48, 0xFFFF, (1 << 64) - 1]),
    st.integers(0, (1 << 32) - 1).map(MAPPED.__or__),
    st.lists(st.sampled_from([0, 0, 1, 0xFFFF]), min_size=4, max_size=4).map(lambda groups: sum(group << 16 * i for i, group in enumerate(groups))),
    st.integers(0, (1 << 64) - 1),
)
ROWS = st.lists(HALVES, min_size=3, max_size=3).map(lambda halves: b"".join(half.to_bytes(8, sys.byteorder) for half in halves))


def filled(
    forms: Sequence[Sequence[Part]], rows: Sequence[bytes], chosen: Sequence[int], names: dict[str, str], given: Sequence[bytes]
) -> tuple[list[bytes], list[bytes], list[bool]]:
    """What stands before the mark of each line, what behind it, and whether that is the same as in the line before."""
    kernel = Forms(SIZE)
    for parts in forms:
        kernel.add([(*part[:3], Words(*part[3])) if isinstance(part, tuple) and part[0] == "word" else part for part in parts])
    begins, marks, again = np.zeros(len(rows) + 1, np.int64), np.zeros(len(rows), np.int64), np.zeros(len(rows), np.uint8)
    content = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, SIZE)
    data = kernel.fill(content, np.array(chosen, np.int32), begins, marks, again, names, list(given))
    ends = begins[1:] - 1
    assert all(data[end : end + 1] == b"\n" for end in ends)
    before = [data[begin:mark] for begin, mark in zip(begins, marks, strict=False)]
    return before, [data[mark:end] for mark, end in zip(marks, ends, strict=True)], again.astype(bool).tolist()


def texts_of(halves: Sequence[tuple[int, int]]) -> list[str]:
    rows = [hi.to_bytes(8, sys.byteorder) + lo.to_bytes(8, sys.byteorder) + bytes(8) for hi, lo in halves]
    return [text.decode() for text in filled([[("host", 0, 8, False, False)]], rows, [0] * len(rows), {}, [b""] * len(rows))[1]]


@given(
    st.lists(st.lists(PARTS, max_size=9), min_size=1, max_size=3),
    st.lists(st.tuples(ROWS, st.integers(0, 5), st.sampled_from([b"", b"x", b"longer than that"]), st.integers(1, 3)), max_size=6),
    st.sampled_from(["host.example", "\u00e9" * 300]),
)
def test_lines_agree_with_the_model(forms: list[list[Part]], runs: list[tuple[bytes, int, bytes, int]], name: str) -> None:
    rows = [(row, form % len(forms), text) for row, form, text, times in runs for _ in range(times)]
    halves = {int.from_bytes(row[at : at + 8], sys.byteorder) for row, _, _ in rows for at in (0, 8, 16)}
    names = {address(hi, lo): name for hi in halves for lo in halves if lo % 2}
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    before, lines, again = filled(forms, columns[0], columns[1], names, columns[2])
    wanted = [line_model(forms[form], row, names, text) for row, form, text in rows]
    assert list(zip(before, lines, strict=True)) == wanted
    assert again == [place > 0 and wanted[place - 1][1] == line for place, (_, line) in enumerate(wanted)]


@given(st.lists(st.tuples(HALVES, HALVES), min_size=1))
def test_an_address_reads_as_anywhere_else(halves: list[tuple[int, int]]) -> None:
    assert texts_of(halves) == [address(hi, lo) for hi, lo in halves]


@given(st.integers(-(2**62), 2**62 - 1), st.integers(-(2**62), 2**62))
def test_an_age_is_in_whole_seconds_rounded_down(later: int, earlier: int) -> None:
    row = b"".join(time.to_bytes(8, sys.byteorder, signed=True) for time in (later, earlier)) + bytes(8)
    assert filled([[("age", 0, 8)]], [row], [0], {}, [b""])[1] == [b"%d" % ((later - earlier) // 1_000_000_000)]


def test_a_second_is_written_once_for_a_run_of_it() -> None:
    asked: list[int] = []

    def text(second: int) -> bytes:
        asked.append(second)
        return b"%d" % second

    rows = [(second * 1_000_000_000 + 5).to_bytes(8, sys.byteorder) + bytes(16) for second in (7, 7, 7, 8, 8, 7)]
    assert filled([[("second", 0, text)]], rows, [0] * 6, {}, [b""] * 6)[1] == [b"7", b"7", b"7", b"8", b"8", b"7"]
    assert asked == [7, 8, 7]


def test_what_a_text_of_a_second_raises_ends_the_writing_and_the_next_goes_on() -> None:
    fails = [True]

    def text(second: int) -> bytes:
        if fails.pop():
            raise OverflowError
        return b"now"

    kernel = Forms(8)
    kernel.add([("second", 0, text)])
    columns = np.zeros((1, 8), np.uint8), np.zeros(1, np.int32), np.zeros(2, np.int64), np.zeros(1, np.int64), np.zeros(1, np.uint8)
    with pytest.raises(OverflowError):
        kernel.fill(*columns)
    fails.append(False)
    assert kernel.fill(*columns) == b"now\n"


@pytest.mark.parametrize(
    "part",
    [
        ("number", SIZE - 7, 8),
        ("number", -1, 1),
        ("number", 0, 3),
        ("host", 0, SIZE - 7, False, False),
        ("host", SIZE - 7, 0, False, False),
        ("second", SIZE - 7, utc_second),
        ("age", 0, -1),
        ("word", SIZE, 1, Words({})),
        ("wrod", 0, 1),
    ],
)
def test_a_part_that_would_read_beside_the_row_is_refused(part: tuple[Any, ...]) -> None:
    with pytest.raises((ValueError, IndexError)):
        Forms(SIZE).add([part])


@pytest.mark.parametrize(
    "changed",
    [
        {"rows": np.zeros((2, SIZE - 1), np.uint8)},
        {"chosen": np.zeros(3, np.int32)},
        {"chosen": np.array([0, 1], np.int32)},
        {"chosen": np.array([0, -1], np.int32)},
        {"begins": np.zeros(2, np.int64)},
        {"marks": np.zeros(1, np.int64)},
        {"again": np.zeros(1, np.uint8)},
        {"given": [b""]},
        {"given": [b"", None]},
        {"given": None},
    ],
)
def test_columns_that_do_not_fit_are_refused(changed: dict[str, Any]) -> None:
    kernel = Forms(SIZE)
    kernel.add([("number", 0, 8), ("given",)])
    columns: dict[str, Any] = {
        "rows": np.zeros((2, SIZE), np.uint8), "chosen": np.zeros(2, np.int32), "begins": np.zeros(3, np.int64), "marks": np.zeros(2, np.int64),
        "again": np.zeros(2, np.uint8), "given": [b"", b""],
    }  # fmt: skip
    with pytest.raises((ValueError, IndexError, TypeError)):
        kernel.fill(**columns | changed)
