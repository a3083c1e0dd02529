"""Times as logs have them."""

import time
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplog_core.timestamps import system_log_times, timestamp, timestamps

NANOSECONDS = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0, "1970-01-01T00:00:00.000000+00:00"),
        (1_779_999_999_000_123_999, "2026-05-28T20:26:39.000123+00:00"),
        (-1, "1969-12-31T23:59:59.999999+00:00"),
    ],
)
def test_a_time_is_rfc_3339_in_utc_with_microseconds(time, text):
    assert timestamp(time) == text


@given(NANOSECONDS)
def test_a_time_reads_back_to_the_microsecond(time):
    since = datetime.fromisoformat(timestamp(time)) - datetime(1970, 1, 1, tzinfo=UTC)
    assert (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds == time // 1000


@given(st.lists(NANOSECONDS))
def test_a_column_of_times_reads_like_each_of_them(times):
    assert timestamps(np.array(times, np.int64)) == [timestamp(time) for time in times]


def test_the_system_log_has_local_time_and_pads_the_day_with_a_space(monkeypatch):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        texts = system_log_times(np.array([1_779_999_999_999_999_999, 1_767_308_399_000_000_000]))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert texts == ["May 28 22:26:39", "Jan  1 23:59:59"]
