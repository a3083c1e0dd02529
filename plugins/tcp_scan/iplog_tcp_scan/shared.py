"""Scans that many sources share: each tries a few ports of one host, and others than the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from iplog_core import Episode, PacketBatch, Tracker

Target = tuple[tuple[int, int], int]
Pair = tuple[tuple[int, int], tuple[int, int], int]
"""The addresses, and the IP version: an address of IPv6 may look like one of IPv4."""

NEW_PORTS = 2
SHOWN = 256


class SharedScans:
    """Tell scans that sources share from scans of their own.

    A source takes part with ports that nobody before it had tried of the host: decoys, which all try the same ones, take none, and neither do the many
    clients of a host whose few services are down. What the sources of a shared scan do later is part of it.
    """

    def __init__(self, tracker: Callable[..., Tracker], sources: int, memory: float, expiry: float) -> None:
        self._tried = tracker(key="target_port", threshold=1, memory=memory, expiry=memory, tells=False, weight=0.5)
        self._parts = tracker(key="pair", distinct="dest_port", threshold=NEW_PORTS, memory=memory, expiry=memory, tells=False, weight=0.5)
        self._takers = tracker(key="target", distinct="source", threshold=sources, memory=memory, expiry=memory, tells=False, weight=0.5)
        self._scans = tracker(key="target", distinct="source", threshold=sources, memory=memory, expiry=expiry, samples=SHOWN, weight=0.5)
        self._open: set[Target] = set()
        self._absorbed: set[Pair] = set()

    def update(self, batch: PacketBatch, suspects: Tracker) -> list[Episode]:
        """Take what the suspects among the pairs did. Return the changes of shared scans."""
        what_they_did = suspects.suspects
        if not what_they_did.any() and not len(self._scans):
            return []
        self._tried.update(batch, where=suspects.news)
        self._parts.update(batch, where=self._tried.started)
        self._takers.update(batch, where=self._parts.started)
        return self._scans.update(batch, where=what_they_did, sure=self._takers.suspects)

    def tell_apart(self, alone: Sequence[Episode], shared: Sequence[Episode]) -> Iterator[tuple[Episode, bool]]:
        """Return the episodes to be told, in order, each with whether its source is on its own."""
        found = [*((scan, False) for scan in shared), *((scan, True) for scan in alone)]
        for scan, on_its_own in sorted(found, key=lambda one: one[0].order):
            if not on_its_own:
                self._note(scan)
            elif self._is_part(scan):
                continue
            yield scan, on_its_own

    @property
    def trackers(self) -> tuple[Tracker, ...]:
        return self._tried, self._parts, self._takers, self._scans

    def save(self) -> dict[str, Any]:
        """Return what is known beside the trackers, and is worth nothing without them."""
        return {"open": sorted(self._open), "absorbed": sorted(self._absorbed)}

    def restore(self, saved: dict[str, Any]) -> None:
        self._open, self._absorbed = set(saved["open"]), set(saved["absorbed"])

    def _note(self, scan: Episode) -> None:
        target = (scan.dst, scan.version)
        if scan.state == "start":
            self._open.add(target)
        elif scan.state == "end":
            self._open.discard(target)

    def _is_part(self, scan: Episode) -> bool:
        pair = (scan.src, scan.dst, scan.version)
        if scan.state == "start" and (scan.dst, scan.version) in self._open:
            self._absorbed.add(pair)
        if pair not in self._absorbed:
            return False
        if scan.state == "end":
            self._absorbed.discard(pair)
        return True
