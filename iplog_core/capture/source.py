"""What a source is: it gives packets in batches, and says what it could not give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from iplog_core.batch import RawBatch

NAMED_INTERFACES = 65536
NAME_LENGTH = 128


class Source(Protocol):
    """Iterate over it once, for `RawBatch`es of at most the batch size that it was opened with.

    It never raises while iterating: what goes wrong is a line in `faults`, and iteration ends. A batch is valid until the next
    one is asked for. Packets of a link type that iplog does not know are not given but counted in `unsupported`.

    `position` is how many bytes of the input were consumed, as they lie on the disk, `size` how many there are; 0: not known.
    """

    @property
    def faults(self) -> list[str]: ...
    @property
    def unsupported(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def position(self) -> int: ...
    def __iter__(self) -> Iterator[RawBatch]: ...
    def close(self) -> None: ...


class Stream(Protocol):
    """What bytes are read from."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Put bytes into `buffer`, as many as there are room or at hand, at least one; return how many. 0: there are no more."""
        ...


class InterfaceNames:
    """The interfaces of a source: each name has one number, however often it is described."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names by number; the same object until there is a new one."""
        if len(self._names) < len(self._numbers):
            self._names = tuple(self._numbers)
        return self._names

    def number(self, name: str) -> int:
        """Return the number of an interface. Beyond 65,536 names, which only a hostile file has, all are the last."""
        name = "".join(c if c.isprintable() else "?" for c in name[:NAME_LENGTH])
        if len(self._numbers) == NAMED_INTERFACES:
            return self._numbers.get(name, NAMED_INTERFACES - 1)
        return self._numbers.setdefault(name, len(self._numbers))
