"""The two forms of a message: that of the local system log, and that of RFC 5424."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from iplog_core.timestamps import system_log_times, timestamps

LONGEST = 2048
"""Bytes of a message at the most: what every receiver should take (RFC 5424, section 6.1)."""

BOM = "\ufeff"

Form = Callable[[NDArray[Any], Sequence[str], Sequence[str]], list[bytes]]
"""Makes messages of times (ns), of what each is about, and of lines."""


def local_form(priority: int, pid: int) -> Form:
    """Return what makes messages as syslog(3) does: `<29>May 28 22:26:59 iplog[19624]: LINE`, in local time."""

    def messages(times: NDArray[Any], kinds: Sequence[str], lines: Sequence[str]) -> list[bytes]:
        return [_cut(f"<{priority}>{at} iplog[{pid}]: {line}") for at, line in zip(system_log_times(times), lines, strict=True)]

    return messages


def rfc5424_form(priority: int, hostname: str, pid: int) -> Form:
    """Return what makes messages of RFC 5424: `<29>1 2026-05-28T20:26:59.000123+00:00 matrix iplog 19624 traffic - LINE`."""
    who = f"{_header_field(hostname)} iplog {pid}"

    def messages(times: NDArray[Any], kinds: Sequence[str], lines: Sequence[str]) -> list[bytes]:
        return [
            # UTF-8 is announced by a byte order mark (section 6.4); a line in ASCII needs none.
            _cut(f"<{priority}>1 {at} {who} {kind} - {'' if line.isascii() else BOM}{line}")
            for at, kind, line in zip(timestamps(times), kinds, lines, strict=True)
        ]

    return messages


def _header_field(text: str) -> str:
    """Return a text as a header may hold it (section 6): printable ASCII without spaces, `-` where nothing is left."""
    return "".join(character for character in text if "!" <= character <= "~")[:255] or "-"


def _cut(message: str) -> bytes:
    data = message.encode()
    return data if len(data) <= LONGEST else data[:LONGEST].decode(errors="ignore").encode()
