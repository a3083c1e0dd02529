"""Times as logs have them: RFC 3339 in UTC, with microseconds and offset, or as the system log has them."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from time import localtime
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_THREE_DIGITS = [f"{number:03}" for number in range(1000)]


def timestamp(time: int) -> str:
    """Return the text of a time in ns since the epoch, such as `2026-05-28T20:26:59.000123+00:00`; what is below a microsecond is cut off."""
    seconds, rest = divmod(time, 1_000_000_000)
    return f"{_second(seconds)}.{rest // 1000:06d}+00:00"


def timestamps(times: NDArray[Any]) -> list[str]:
    """Return the texts of a column of times: what `timestamp` gives, faster."""
    seconds, rest = np.divmod(times, 1_000_000_000)
    millis, micros = np.divmod(rest // 1000, 1000)
    return [
        f"{_second(second)}.{_THREE_DIGITS[milli]}{_THREE_DIGITS[micro]}+00:00"
        for second, milli, micro in zip(seconds.tolist(), millis.tolist(), micros.tolist(), strict=True)
    ]


def system_log_times(times: NDArray[Any]) -> list[str]:
    """Return the texts of a column of times (ns) as the system log has them, such as `May 28 22:26:59`: local time, whatever the locale (RFC 3164, 4.1.2)."""
    seconds = (times // 1_000_000_000).tolist()
    texts = {second: _local(second) for second in set(seconds)}
    return [texts[second] for second in seconds]


def utc_second(second: int) -> bytes:
    """Return what stands before the point in the text of a time."""
    return _second(second).encode()


def local_second(second: int) -> bytes:
    """Return the text of a time in seconds as the system log has it."""
    return _local(second).encode()


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


def _local(second: int) -> str:
    at = localtime(second)
    return f"{_MONTHS[at.tm_mon - 1]} {at.tm_mday:2} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
