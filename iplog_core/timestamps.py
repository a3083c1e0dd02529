"""Times as logs have them: RFC 3339 in UTC, with microseconds and offset."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1)
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


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()
