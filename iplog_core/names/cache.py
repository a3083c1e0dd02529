"""What was found out, for as long as it holds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from time import monotonic
from typing import NamedTuple


class Entry(NamedTuple):
    """The name of a host, None where it has none, and until when that holds (`time.monotonic`)."""

    name: str | None
    end: float


class Cache:
    """At most `capacity` entries; the one that nobody asked for the longest goes first. Any thread may use it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def known(self, hosts: Iterable[str]) -> dict[str, str | None]:
        """Return the names of those hosts of which something is known, None for one that has none."""
        known: dict[str, str | None] = {}
        now = monotonic()
        with self._lock:
            entries = self._entries
            for host in hosts:
                if (entry := entries.get(host)) is None:
                    continue
                if entry.end > now:
                    entries.move_to_end(host)
                    known[host] = entry.name
                else:
                    del entries[host]
        return known

    def put(self, host: str, name: str | None, lifetime: float) -> None:
        """Remember the name of a host for `lifetime` seconds."""
        with self._lock:
            self._entries[host] = Entry(name, monotonic() + lifetime)
            self._entries.move_to_end(host)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)
