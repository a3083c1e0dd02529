"""A line as its parts say it, one after the other, in plain Python."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from iplog_core.addresses import address

Part = bytes | tuple[Any, ...]


def line_model(parts: Sequence[Part], row: bytes, names: Mapping[str, str], given: bytes) -> tuple[bytes, bytes]:
    """Return what stands before the mark and behind it. A word's table is a dict and its three further arguments, in place of `Words`."""
    before, line = b"", b""
    for part in parts:
        if part == ("mark",):
            before, line = before + line, b""
        else:
            line += _text(part, row, names, given)
    return before, line


def _text(part: Part, row: bytes, names: Mapping[str, str], given: bytes) -> bytes:
    if isinstance(part, bytes):
        return part
    kind, *details = part
    if kind == "given":
        return given
    if kind == "host":
        at, at_lo, brackets, named = details
        return _host(_number(row, at, 8), _number(row, at_lo, 8), brackets, names if named else {})
    if kind == "second":
        text: bytes = details[1](_time(row, details[0]) // 1_000_000_000)
        return text
    if kind == "micros":
        return b"%06d" % (_time(row, details[0]) % 1_000_000_000 // 1000)
    if kind == "age":
        return b"%d" % ((_time(row, details[0]) - _time(row, details[1])) // 1_000_000_000)
    number = _number(row, details[0], details[1])
    if kind == "number":
        return b"%d" % number
    texts, ahead, behind, counted = details[2]
    word: bytes = texts[number] if number in texts else ahead + (b"%d" % number if counted else b"") + behind
    return word


def _host(hi: int, lo: int, brackets: bool, names: Mapping[str, str]) -> bytes:
    text = address(hi, lo)
    if text in names:
        return names[text].encode()
    return f"[{text}]".encode() if brackets and ":" in text else text.encode()


def _number(row: bytes, at: int, width: int) -> int:
    return int.from_bytes(row[at : at + width], sys.byteorder)


def _time(row: bytes, at: int) -> int:
    return int.from_bytes(row[at : at + 8], sys.byteorder, signed=True)
