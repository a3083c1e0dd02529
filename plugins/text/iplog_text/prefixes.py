"""What stands before a line: when it was, and while watching who says so."""

from __future__ import annotations

from iplog_core.lines.forms import Part, local_time, utc
from iplog_core.lines.hosts import printable


def read_prefix() -> list[str | Part]:
    """Return the prefix of lines over captures: their time in UTC."""
    return [*utc("time"), " "]


def watch_prefix(hostname: str, pid: int) -> list[str | Part]:
    """Return the prefix of the system log, in local time (RFC 3164, section 4.1.2)."""
    return [*local_time("time"), " ", printable(f"{hostname} iplog[{pid}]:"), " "]
