"""What stands before a line while watching: when it was, and who says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from iplog_text.hosts import printable

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def watch_prefixes(hostname: str, pid: int) -> Callable[[NDArray[Any]], list[str]]:
    """Return what gives lines the prefix of the system log, in local time (RFC 3164, section 4.1.2)."""
    who = printable(f"{hostname} iplog[{pid}]:")
    return lambda times: [f"{_local(second)} {who}" for second in (times // 1_000_000_000).tolist()]


@lru_cache(maxsize=1024)
def _local(second: int) -> str:
    at = time.localtime(second)
    return f"{_MONTHS[at.tm_mon - 1]} {at.tm_mday:2} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
