"""What stands before a line while watching: when it was, and who says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from iplog_core.lines.hosts import printable
from iplog_core.timestamps import system_log_times


def watch_prefixes(hostname: str, pid: int) -> Callable[[NDArray[Any]], list[str]]:
    """Return what gives lines the prefix of the system log, in local time (RFC 3164, section 4.1.2)."""
    who = printable(f"{hostname} iplog[{pid}]:")
    return lambda times: [f"{at} {who}" for at in system_log_times(times)]
