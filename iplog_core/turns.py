"""Whose turn it is on the packets' thread, and how long each plugin takes; who takes too long is told meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from time import perf_counter

from iplog_core.authors import at_work
from iplog_core.events import PluginStats, Stats

PATIENCE = 5.0
"""Seconds that a plugin may take over a batch or an alert before it is told."""

TELL_AGAIN = 60.0
"""Seconds between two lines about the same plugin."""

_LOOK_AGAIN = 1.0
_ENGINE = ""


class Timing:
    """How often somebody was called, for how many seconds in all, and for how many the longest time."""

    __slots__ = ("calls", "seconds", "slowest")

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = self.slowest = 0.0

    def add(self, seconds: float) -> None:
        self.calls += 1
        self.seconds += seconds
        self.slowest = max(self.slowest, seconds)

    def include(self, other: Timing) -> None:
        self.calls += other.calls
        self.seconds += other.seconds
        self.slowest = max(self.slowest, other.slowest)


class Turns:
    """Who has its turn: `begin` gives it to a plugin, or to the engine itself, `end` back to whom it was taken from. Each has its own time only."""

    def __init__(self) -> None:
        self.timings: dict[str, Timing] = {}
        self._open: list[_Turn] = []

    def begin(self, name: str = _ENGINE) -> None:
        timing = self.timings.get(name)
        if timing is None:
            timing = self.timings[name] = Timing()
        self._open.append(_Turn(name, timing))

    def end(self) -> None:
        turn = self._open.pop()
        took = perf_counter() - turn.began
        turn.timing.add(took - turn.others)
        if self._open:
            self._open[-1].others += took

    def too_long(self, patience: float) -> tuple[str, float] | None:
        """Return who has had its turn for longer, the innermost, and for how many seconds. Any thread may ask."""
        now = perf_counter()
        held = [(turn.name, now - turn.began) for turn in self._open.copy() if turn.name]
        return next(((name, seconds) for name, seconds in reversed(held) if seconds >= patience), None)


class _Turn:
    __slots__ = ("began", "name", "others", "timing")

    def __init__(self, name: str, timing: Timing) -> None:
        self.name = name
        self.timing = timing
        self.others = 0.0
        self.began = perf_counter()


class Watchdog:
    """Tell within `with` who has its turn for too long, on a thread of its own: once, and again each minute.

    Code in C that keeps the interpreter to itself keeps this thread waiting, too: it is told when it is over.
    """

    def __init__(self, turns: Turns, tell: Callable[[str, str], None], *, patience: float = PATIENCE, again: float = TELL_AGAIN) -> None:
        self._turns = turns
        self._tell = tell
        self._patience = patience
        self._again = again
        self._told: dict[str, float] = {}
        self._over = threading.Event()
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        self._watched = threading.get_ident()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(min(_LOOK_AGAIN, self._patience)):
            held = self._turns.too_long(self._patience)
            if held and (now := perf_counter()) - self._told.get(held[0], -self._again) >= self._again:
                name, seconds = held
                self._told[name] = now
                place = at_work(self._watched)
                where = f", now at {place}" if place else ""
                self._tell(
                    name, f"it has been at work for {seconds:.0f} s{where}; packets wait, or are lost, until it is done; --disable {name} leaves it out."
                )


def plugin_stats(timings: Mapping[str, Timing]) -> dict[str, PluginStats]:
    """Return what each plugin took, without what it is of the whole."""
    return {name: PluginStats(calls=one.calls, seconds=one.seconds, slowest=one.slowest) for name, one in sorted(timings.items()) if name}


def set_shares(stats: Stats) -> None:
    """Fill in what the time of each plugin is of the time in which packets were worked on."""
    for plugin in stats.plugins.values():
        plugin.share = plugin.seconds / stats.busy if stats.busy else 0.0
