"""How the memory of all tables is shared out, and what of it they use.

Each table has a fixed part of the setting `memory`, and so many entries as that holds: what one forgets for want of room depends neither on what the
others hold nor on where a batch was cut. Flows, contacts and datagrams have parts of their own; the rest is shared out among the trackers and random
walks of the detectors that run, by their weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import ceil
from time import monotonic
from typing import Any, Protocol

from iplog_core.events import Stats, TableStats
from iplog_core.kernel.flows import CONTACT_SIZE, FLOW_SIZE
from iplog_core.kernel.fragments import CREDIT_SIZE, DATAGRAM_SIZE, STRETCH_SIZE
from iplog_core.kernel.table import table_bytes

MB = 1 << 20

_FLOWS, _CONTACTS, _DATAGRAMS, _TRACKERS = 0.275, 0.11, 0.045, 0.57
_LEAST_ENTRIES = 64

Use = tuple[int, int, int, int]
"""The entries that a table has and may have, and the bytes of it that were ever used and that may be."""


class Sharer(Protocol):
    """What has a share of the memory: `weight` says how large among the others, `least` how many bytes it needs."""

    weight: float

    @property
    def least(self) -> int: ...

    def allot(self, memory: int, now: int) -> None:
        """Keep within so many bytes, when the clock stands at `now`; what has no room any more is forgotten."""


def capacity_within(memory: float, *sizes: int) -> int:
    """Return how many entries tables of equal length may have together in so many bytes; `sizes` are what is kept of an entry in each."""

    def all_bytes(capacity: int) -> int:
        return sum(table_bytes(capacity, size) for size in sizes)

    # Groups are a power of two: as many entries are looked for as fit beside so many, and half, and twice as many of them.
    entry = all_bytes(4) - all_bytes(3)
    nearest = max(int(memory // entry).bit_length(), 2)
    fullest = [(1 << power) * 4 // 7 for power in (nearest - 1, nearest, nearest + 1)]
    return max(0, *(full - max(0, ceil((all_bytes(full) - memory) / entry)) for full in fullest))


def core_capacities(memory: float) -> tuple[int, int, int]:
    """Return how many flows, contacts and datagrams so many MB of all tables hold."""
    size = memory * MB
    flows, contacts = capacity_within(size * _FLOWS, FLOW_SIZE), capacity_within(size * _CONTACTS, CONTACT_SIZE)
    return flows, contacts, capacity_within(size * _DATAGRAMS, DATAGRAM_SIZE, STRETCH_SIZE, CREDIT_SIZE)


def least_memory(sharers: Sequence[Sharer]) -> int:
    """Return how many MB all tables need at the least."""
    wanted = [
        table_bytes(_LEAST_ENTRIES, FLOW_SIZE) / _FLOWS,
        table_bytes(_LEAST_ENTRIES, CONTACT_SIZE) / _CONTACTS,
        sum(table_bytes(_LEAST_ENTRIES, size) for size in (DATAGRAM_SIZE, STRETCH_SIZE, CREDIT_SIZE)) / _DATAGRAMS,
    ]
    weights = sum(one.weight for one in sharers)
    wanted += [one.least * weights / one.weight / _TRACKERS for one in sharers]
    return ceil(max(wanted) / MB)


def share_out(memory: float, sharers: Sequence[Sharer], now: int) -> None:
    """Give each its share of so many MB of all tables, when the clock stands at `now`."""
    weights = sum(one.weight for one in sharers)
    for one in sharers:
        one.allot(int(memory * MB * _TRACKERS * one.weight / weights), now)


def named(owner: object, wanted: Sequence[object]) -> Iterator[tuple[str, Any]]:
    """Give each of `wanted` with the name of the attribute of `owner` that it is, or is in, such as `vertical` or `by_flags fin_scan`."""
    names = {id(one): name for name, one in _parts(owner, 2)}
    for number, one in enumerate(wanted, 1):
        yield names.get(id(one), f"tracker {number}"), one


def _parts(owner: object, depth: int) -> Iterator[tuple[str, object]]:
    if isinstance(owner, dict):
        inside = [(str(key), part) for key, part in owner.items()]
    elif isinstance(owner, (list, tuple)):
        inside = [(str(number), part) for number, part in enumerate(owner, 1)]
    else:
        inside = [(name.strip("_"), part) for name, part in getattr(owner, "__dict__", {}).items() if name not in _NO_NAMES]
    for name, part in inside:
        if depth:
            yield from ((f"{name} {below}", one) for below, one in _parts(part, depth - 1))
        yield name, part


_NO_NAMES = ("_trackers", "_groups", "_context", "settings")


def table_stats(use: Use, evicted: int = 0) -> TableStats:
    """Return the counters of a table."""
    entries, capacity, used, most = use
    return TableStats(entries=entries, capacity=capacity, used=used, memory=most, evicted=evicted)


class Usage:
    """What a run takes of time and memory, from when this was made; it differs from run to run."""

    def __init__(self) -> None:
        self._started = monotonic()

    def measure(self, stats: Stats) -> None:
        """Fill in the packets a second, and how much memory the process had at the most."""
        seconds = monotonic() - self._started
        stats.rate = stats.packets / seconds if seconds > 0 else 0.0
        stats.peak_memory = peak_memory()


def peak_memory() -> int:
    """Return how many bytes of memory the process had at the most; 0 where the system does not tell.

    That is what Linux calls the high water mark. What `getrusage` tells may be that of the process which started this one.
    """
    try:
        with open("/proc/self/status") as file:
            found = re.search(r"VmHWM:\s*(\d+) kB", file.read())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
