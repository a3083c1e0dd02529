"""What a scenario is, and where all of them are gathered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from iplog_core.testing import Frame

Group = Literal["scan", "flood", "anomaly", "benign"]
Packet = tuple[float, bytes]
"""Seconds since the epoch, and a frame."""

ATTACKER, ATTACKER6 = "198.18.0.66", "2001:db8:1::66"
TCP_SCANS = ("port_scan", "fin_scan", "null_scan", "xmas_scan", "ack_scan", "maimon_scan", "flags_scan", "distributed_scan", "port_sweep")


@dataclass(frozen=True)
class Scenario:
    """Something that happens on the network, and what iplog should say of it.

    `kinds` are the alert kinds of which any is right, none for ordinary traffic; `also` those that are no fault beside them. `blamed` are the addresses
    of which nobody else may be named, as sources or, where an alert has no source, as the victim; `sources` is how many must be counted. It is made by
    `play`, within the network, and then changed by `change`; or it is written by `write` alone. What is not seen live as it is in the file is judged by
    the file.
    """

    name: str
    group: Group
    kinds: tuple[str, ...]
    how: str
    play: Callable[[], None] | None = None
    write: Callable[[], Iterable[Frame]] | None = None
    change: Callable[[list[Packet]], Iterable[Packet]] | None = None
    also: tuple[str, ...] = ()
    blamed: tuple[str, ...] = ()
    sources: int = 0
    least: int = 5

    @property
    def live(self) -> bool:
        return self.write is None and self.change is None

    @property
    def sides(self) -> tuple[str, ...]:
        """The one-direction captures that are judged, too: what was asked (sent to the target), what was answered."""
        if self.group == "benign":
            return ("asked", "answered")
        return ("asked",) if set(self.kinds) & set(TCP_SCANS) else ()


SCENARIOS: dict[str, Scenario] = {}


def add(scenario: Scenario) -> None:
    if scenario.name in SCENARIOS:
        raise ValueError(f"{scenario.name}: there are two scenarios of that name.")
    SCENARIOS[scenario.name] = scenario
