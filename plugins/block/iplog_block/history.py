"""Who is blocked until when, and who was."""

from __future__ import annotations


class History:
    """What is known of sources: when their block ends, and how often they were blocked. Times are those of `time.monotonic`."""

    def __init__(self, timeout: float, longest: float, capacity: int) -> None:
        self._timeout = timeout
        self._longest = longest
        self._capacity = capacity
        self._known: dict[str, tuple[float, int]] = {}

    def is_blocked(self, address: str, now: float) -> bool:
        return address in self._known and self._known[address][0] > now

    def count(self, now: float) -> int:
        """Return how many are blocked."""
        return sum(until > now for until, _ in self._known.values())

    def seconds(self, address: str, now: float) -> int:
        """Return how long to block an address: twice as long as the last time, where that is remembered."""
        until, times = self._known.get(address, (now, 0))
        if now > until + self._longest:
            times = 0
        length = min(self._timeout * 2.0 ** min(times, 32), self._longest)
        return max(round(length), 1)

    def add(self, address: str, now: float, seconds: int) -> int:
        """Note that an address is blocked from now on; return how often it was, this time included."""
        until, times = self._known.pop(address, (now, 0))
        times = 1 if now > until + self._longest else times + 1
        self._known[address] = now + seconds, times
        self._forget(now)
        return times

    def recall(self, address: str, now: float, seconds: int) -> None:
        """Note that an address has been blocked, by a run before, for so many seconds from now on."""
        self._known[address] = now + seconds, 1

    def _forget(self, now: float) -> None:
        """Keep as many that are no longer blocked as may be blocked at once, those that were blocked last."""
        if len(self._known) > 2 * self._capacity:
            over = [address for address, (until, _) in self._known.items() if until <= now]
            for address in over[: len(self._known) - 2 * self._capacity]:
                del self._known[address]
