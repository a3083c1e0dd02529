"""Forms of lines about traffic records: texts with what a record says between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iplog_core.events import RECORD_DTYPE
from iplog_core.kernel import lines as kernel
from iplog_core.timestamps import local_second, utc_second

Part = bytes | tuple[Any, ...]
"""A piece of a line, as `iplog_core.kernel.lines.Forms` takes it."""

MARK: Part = ("mark",)
"""Where a line begins that is compared with the one before: behind what is different in each."""

GIVEN: Part = ("given",)
"""A text that does not come from the record."""


@dataclass(slots=True)
class Block:
    """Lines as bytes, each with its newline.

    `times` are those of the lines, in ns; `begins` has where each begins, and where the last one ends; `marks` where what follows its prefix begins;
    `again` tells which are the same as the line before, looking past the prefix.
    """

    times: NDArray[np.int64]
    data: bytes
    begins: NDArray[np.int64]
    marks: NDArray[np.int64]
    again: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.marks)

    def lines(self) -> list[str]:
        """Return the lines without their prefixes."""
        text, ends = self.data, self.begins[1:].tolist()
        return [text[mark : end - 1].decode() for mark, end in zip(self.marks.tolist(), ends, strict=True)]


class Forms:
    """Lines of records, each by its form."""

    def __init__(self) -> None:
        self._forms = kernel.Forms(RECORD_DTYPE.itemsize)

    def add(self, parts: Iterable[Part]) -> int:
        """Add a form, and return its number."""
        return self._forms.add(parts)

    def text(
        self,
        rows: NDArray[Any],
        chosen: NDArray[np.int32],
        times: NDArray[np.int64],
        *,
        names: Mapping[str, str] | None = None,
        given: list[bytes] | None = None,
    ) -> Block:
        """Return a line for each row (`RECORD_DTYPE`), by the form that is chosen for it."""
        n = len(rows)
        begins, marks, again = np.empty(n + 1, np.int64), np.empty(n, np.int64), np.empty(n, np.bool_)
        content = np.ascontiguousarray(rows).view(np.uint8).reshape(n, RECORD_DTYPE.itemsize)
        data = self._forms.fill(content, chosen, begins, marks, again.view(np.uint8), dict(names) if names else None, given)
        return Block(times, data, begins, marks, again)


def number(column: str) -> Part:
    return ("number", *_place(column))


def host(side: str, *, named: bool = False, before_port: bool = False) -> Part:
    """The address in the columns `SIDE_hi` and `SIDE_lo`: an IPv6 one in brackets where a port follows it (RFC 3986, section 3.2.2), its name if `named`."""
    return ("host", _place(f"{side}_hi")[0], _place(f"{side}_lo")[0], before_port, named)


def word(column: str, words: kernel.Words) -> Part:
    return ("word", *_place(column), words)


def words(texts: Mapping[int, str], before: str = "", behind: str = "", *, counted: bool = True) -> kernel.Words:
    """Texts for numbers; what has none stands as `before`, the number unless `counted` is False, and `behind`."""
    return kernel.Words({number: text.encode() for number, text in texts.items()}, before.encode(), behind.encode(), counted)


def utc(column: str) -> Sequence[Part]:
    """A time as `timestamp` has it."""
    at = _place(column)[0]
    return (("second", at, utc_second), b".", ("micros", at), b"+00:00")


def local_time(column: str) -> Sequence[Part]:
    """A time as the system log has it."""
    return (("second", _place(column)[0], local_second),)


def seconds_between(later: str, earlier: str) -> Part:
    return ("age", _place(later)[0], _place(earlier)[0])


def joined(parts: Iterable[str | Part]) -> list[Part]:
    """Return parts with the texts among them as bytes."""
    return [part.encode() if isinstance(part, str) else part for part in parts]


class Numbers:
    """Numbers of forms by keys of `bits` bits; a form is made when a record first asks for it."""

    def __init__(self, bits: int, make: Callable[[int], int]) -> None:
        self._make = make
        self._numbers = np.full(1 << bits, -1, np.int32)

    def of(self, keys: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the number for each key."""
        numbers: NDArray[np.int32] = self._numbers[keys]
        unknown = numbers < 0
        if unknown.any():
            for key in set(keys[unknown].tolist()):
                self._numbers[key] = self._make(key)
            numbers = self._numbers[keys]
        return numbers


def _place(column: str) -> tuple[int, int]:
    """Where a column lies in a record, and how many bytes it has."""
    assert RECORD_DTYPE.fields is not None
    dtype, at = RECORD_DTYPE.fields[column][:2]
    return at, dtype.itemsize
