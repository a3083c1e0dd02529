"""Sets of sources that act as one: a scan with decoys comes from many addresses, each of which tries the same things of one target at the same times."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from iplog_core.events import State

if TYPE_CHECKING:
    from iplog_core.tracker import Episode

Address = tuple[int, int]
Tried = tuple[Address, int, tuple[int | Address, ...]]
"""A target, its IP version, and the first values that were tried of it."""

TOGETHER = 2_000_000_000
"""Nanoseconds within which the sources of a set become suspects: a decoy's probe stands beside the scanner's own."""

_MOST_TRIED = 4096

_MOST_MEMBERS = 256
"""Sources of a set that are named; those beyond only count."""


@dataclass
class Total:
    """A source's part in a set: what it sent in its last episode, when that last was, and what it sent in those before."""

    packets: int
    bytes: int
    last: int
    over_packets: int = 0
    over_bytes: int = 0


@dataclass
class Set:
    """Sources whose episodes are told as one: that of the first of them to start, `lead`.

    `open` are those whose own has not ended, `others` how many more there are than are named.
    """

    lead: Address
    first: int
    totals: dict[Address, Total]
    open: set[Address] = field(default_factory=set)
    others: int = 0
    next_update: int = 0

    def told(self, episode: Episode, state: State) -> Episode:
        parts = self.totals.values()
        return replace(
            episode,
            state=state,
            src=self.lead,
            first=self.first,
            last=max(part.last for part in parts),
            packets=self.packets,
            bytes=sum(part.bytes + part.over_bytes for part in parts),
            members=list(self.totals),
            member_count=len(self.totals) + self.others,
        )

    @property
    def packets(self) -> int:
        return sum(part.packets + part.over_packets for part in self.totals.values())

    def note(self, episode: Episode) -> None:
        """Take what is known of a source now."""
        part = self.totals.get(episode.src)
        if part is None:
            if len(self.totals) >= _MOST_MEMBERS:
                return
            part = self.totals[episode.src] = Total(0, 0, episode.last)
        elif episode.state == "suspect":
            part.over_packets += part.packets
            part.over_bytes += part.bytes
        part.packets, part.bytes, part.last = episode.packets, episode.bytes, episode.last


class Sets:
    """Join the episodes of pairs whose suspects tried the same first `hint` values of one target within TOGETHER of each other."""

    def __init__(self, hint: int) -> None:
        self._hint = hint
        self._suspects: OrderedDict[Tried, dict[Address, tuple[int, Total]]] = OrderedDict()
        self._sets: dict[Tried, Set] = {}
        self._tried: dict[tuple[Address, Address, int], Tried] = {}

    def join(self, changes: Sequence[Episode]) -> list[Episode]:
        """Return the episodes that are to be told, in order; suspects are only remembered."""
        return [told for change in changes for told in self._take(change)]

    def _take(self, episode: Episode) -> Iterator[Episode]:
        pair = (episode.src, episode.dst, episode.version)
        if episode.state == "suspect":
            self._suspect(episode)
        elif episode.state == "start":
            yield from self._start(episode)
        elif pair not in self._tried:
            yield episode
        else:
            yield from self._go_on(episode, self._tried[pair])

    def _suspect(self, episode: Episode) -> None:
        tried: Tried = (episode.dst, episode.version, tuple(episode.samples))
        known = self._suspects.setdefault(tried, {})
        self._suspects.move_to_end(tried)
        # In the order of their times, so that those that are too old come first.
        while known and episode.time - known[next(iter(known))][0] > TOGETHER:
            del known[next(iter(known))]
        if tried in self._sets and (known or episode.src in self._sets[tried].totals):
            self._sets[tried].note(episode)
        known.pop(episode.src, None)
        if len(known) < _MOST_MEMBERS:
            known[episode.src] = (episode.time, Total(episode.packets, episode.bytes, episode.last))
        if len(self._suspects) > _MOST_TRIED:
            self._suspects.popitem(last=False)

    def _start(self, episode: Episode) -> Iterator[Episode]:
        tried: Tried = (episode.dst, episode.version, tuple(episode.samples[: self._hint]))
        known = self._suspects.get(tried, {})
        found = self._sets.get(tried)
        # Of a crowd not everybody is remembered.
        alike = len(known) > 1 and (episode.src in known or (found is not None and len(known) == _MOST_MEMBERS))
        if not alike:
            yield episode
            return
        if found is None:
            found = self._sets[tried] = Set(episode.src, episode.first, {src: replace(total) for src, (_, total) in known.items()})
        found.note(episode)
        found.others += episode.src not in found.totals
        found.open.add(episode.src)
        self._tried[(episode.src, episode.dst, episode.version)] = tried
        if not found.next_update:
            found.next_update = 10 * found.packets
            yield found.told(episode, "start")

    def _go_on(self, episode: Episode, tried: Tried) -> Iterator[Episode]:
        found = self._sets[tried]
        found.note(episode)
        if episode.state == "end":
            del self._tried[(episode.src, episode.dst, episode.version)]
            found.open.discard(episode.src)
            if not found.open:
                del self._sets[tried]
                yield found.told(episode, "end")
                return
        if found.packets >= found.next_update:
            found.next_update *= 10
            yield found.told(episode, "update")

    def save(self) -> dict[str, Any]:
        """Return what is known, as lists, for `restore`."""
        return {
            "suspects": [(tried, [(src, time, _numbers(total)) for src, (time, total) in known.items()]) for tried, known in self._suspects.items()],
            "sets": [
                (tried, one.lead, one.first, [(src, _numbers(total)) for src, total in one.totals.items()], sorted(one.open), one.others, one.next_update)
                for tried, one in self._sets.items()
            ],
            "tried": list(self._tried.items()),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take what `save` returned. Raise ValueError where it cannot be that."""
        try:
            for tried, known in saved["suspects"]:
                self._suspects[tried] = {_address(src): (int(time), Total(*map(int, numbers))) for src, time, numbers in known}
            for tried, lead, first, totals, still_open, others, next_update in saved["sets"]:
                parts = {_address(src): Total(*map(int, numbers)) for src, numbers in totals}
                self._sets[tried] = Set(_address(lead), int(first), parts, set(map(_address, still_open)), int(others), int(next_update))
            self._tried = {(_address(src), _address(dst), int(version)): tried for (src, dst, version), tried in saved["tried"]}
        except (TypeError, KeyError) as error:
            raise ValueError(f"no sets of sources: {error}") from None
        if any(tried not in self._sets for tried in self._tried.values()) or not all(one.totals for one in self._sets.values()):
            raise ValueError("a set of sources lacks what belongs to it")


def _numbers(total: Total) -> tuple[int, ...]:
    return total.packets, total.bytes, total.last, total.over_packets, total.over_bytes


def _address(value: Any) -> Address:
    hi, lo = value
    if not 0 <= hi < 1 << 64 or not 0 <= lo < 1 << 64:
        raise ValueError("no address")
    return hi, lo
