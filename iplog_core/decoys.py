"""Sets of sources that act as one: a scan with decoys comes from many addresses, each of which tries the same things of one target at the same times."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iplog_core.tracker import Episode

Address = tuple[int, int]
Tried = tuple[Address, int, tuple[int | Address, ...]]
"""A target, its IP version, and the first values that were tried of it."""

TOGETHER = 2_000_000_000
"""Nanoseconds within which the sources of a set become suspects: a decoy's probe stands beside the scanner's own."""

_MOST_TRIED = 4096


@dataclass
class Total:
    """What is known of a source's part in a set."""

    packets: int
    bytes: int
    last: int


@dataclass
class Set:
    """Sources whose episodes are told as one: that of the first of them to start, `lead`. `open` are those whose own has not ended."""

    lead: Address
    first: int
    totals: dict[Address, Total]
    open: set[Address] = field(default_factory=set)

    def told(self, episode: Episode) -> Episode:
        parts = self.totals.values()
        return replace(
            episode,
            src=self.lead,
            first=self.first,
            last=max(part.last for part in parts),
            packets=sum(part.packets for part in parts),
            bytes=sum(part.bytes for part in parts),
            members=list(self.totals),
        )


class Sets:
    """Join the episodes of pairs whose suspects tried the same first values of one target within TOGETHER of each other."""

    def __init__(self) -> None:
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
        others = {src: known for src, known in self._suspects.pop(tried, {}).items() if episode.time - known[0] <= TOGETHER}
        total = Total(episode.packets, episode.bytes, episode.last)
        self._suspects[tried] = {**others, episode.src: (episode.time, total)}
        if len(self._suspects) > _MOST_TRIED:
            self._suspects.popitem(last=False)
        if tried in self._sets and others:
            self._sets[tried].totals[episode.src] = total

    def _start(self, episode: Episode) -> Iterator[Episode]:
        tried, members = self._companions(episode)
        if members is None:
            yield episode
            return
        found = self._sets.get(tried)
        if found is None:
            found = self._sets[tried] = Set(episode.src, episode.first, members)
        self._tried[(episode.src, episode.dst, episode.version)] = tried
        found.open.add(episode.src)
        found.totals[episode.src] = Total(episode.packets, episode.bytes, episode.last)
        if found.lead == episode.src:
            yield found.told(episode)

    def _companions(self, episode: Episode) -> tuple[Tried, dict[Address, Total] | None]:
        """Return what a source tried first, and all who did the same at the same time; None where it was alone."""
        for count in range(len(episode.samples), 0, -1):
            tried: Tried = (episode.dst, episode.version, tuple(episode.samples[:count]))
            known = self._suspects.get(tried, {})
            if episode.src in known:
                alike = {src: total for src, (_, total) in known.items()}
                return tried, alike if len(alike) > 1 else None
        return (episode.dst, episode.version, ()), None

    def _go_on(self, episode: Episode, tried: Tried) -> Iterator[Episode]:
        found = self._sets[tried]
        found.totals[episode.src] = Total(episode.packets, episode.bytes, episode.last)
        if episode.state == "end":
            del self._tried[(episode.src, episode.dst, episode.version)]
            found.open.discard(episode.src)
            if not found.open:
                del self._sets[tried]
                yield found.told(episode)
        elif episode.src == found.lead:
            yield found.told(episode)

    def save(self) -> dict[str, Any]:
        """Return what is known, as lists, for `restore`."""
        return {
            "suspects": [(tried, [(src, time, _numbers(total)) for src, (time, total) in known.items()]) for tried, known in self._suspects.items()],
            "sets": [
                (tried, one.lead, one.first, [(src, _numbers(total)) for src, total in one.totals.items()], sorted(one.open))
                for tried, one in self._sets.items()
            ],
            "tried": list(self._tried.items()),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take what `save` returned. Raise ValueError where it cannot be that."""
        try:
            for tried, known in saved["suspects"]:
                self._suspects[tried] = {_address(src): (int(time), Total(*map(int, numbers))) for src, time, numbers in known}
            for tried, lead, first, totals, still_open in saved["sets"]:
                parts = {_address(src): Total(*map(int, numbers)) for src, numbers in totals}
                self._sets[tried] = Set(_address(lead), int(first), parts, set(map(_address, still_open)))
            self._tried = {(_address(src), _address(dst), int(version)): tried for (src, dst, version), tried in saved["tried"]}
        except (TypeError, KeyError) as error:
            raise ValueError(f"no sets of sources: {error}") from None
        if any(tried not in self._sets for tried in self._tried.values()) or not all(one.totals for one in self._sets.values()):
            raise ValueError("a set of sources lacks what belongs to it")


def _numbers(total: Total) -> tuple[int, int, int]:
    return total.packets, total.bytes, total.last


def _address(value: Any) -> Address:
    hi, lo = value
    if not 0 <= hi < 1 << 64 or not 0 <= lo < 1 << 64:
        raise ValueError("no address")
    return hi, lo
