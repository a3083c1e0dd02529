"""Look-ups under way: on a thread of their own, so many at a time, so many a second, and none where no server answers."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from iplog_core.names.cache import Cache
from iplog_core.names.files import Watched
from iplog_core.names.resolv_conf import name_servers
from iplog_core.names.reverse import Reverse
from iplog_core.settings import HOUR, NameSettings

_RESOLV_CONF = Path("/etc/resolv.conf")

_UNDER_WAY = 100
_A_SECOND = 100.0
_AT_ONCE = 256.0
"""Look-ups in a second on the average, and at once after a quiet time: one costs about a millisecond, and packets need the processor more."""

_TRY_AGAIN = 5.0
"""Seconds between two questions whether silent servers are there again."""


class Lookup(Future[str | None]):
    """The name that a host will turn out to have, or None; lines wait for it until `deadline` (`time.monotonic`)."""

    def __init__(self, host: str, deadline: float) -> None:
        super().__init__()
        self.host = host
        self.deadline = deadline


class Lookups:
    """Ask for names, and put what is found into the cache.

    A `patient` one asks for every host, however many there are.
    """

    def __init__(self, settings: NameSettings, cache: Cache, *, patient: bool, note: Callable[[str], None]) -> None:
        self._settings = settings
        self._cache = cache
        self._patient = patient
        self._note = note
        self._lock = threading.Lock()
        self._asked: dict[str, Lookup] = {}
        self._waiting: deque[str] = deque()
        self._under_way = 0
        self._allowance = _AT_ONCE
        self._counted = monotonic()
        self._is_silent = False
        self._closed = False
        self._check: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._resolv_conf = Watched(_RESOLV_CONF)
        self._reverse: Reverse
        self._own: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="names", daemon=True)
        self._thread.start()

    def ask(self, host: str, deadline: float) -> Lookup | None:
        """Return the look-up of a host: the one that is under way, or a new one; None where there have been too many, or no server answers."""
        with self._lock:
            lookup = self._asked.get(host)
            if lookup is None and not self._is_silent and (self._patient or self._is_allowed()):
                lookup = self._asked[host] = Lookup(host, deadline)
                self._waiting.append(host)
                self.soon(self._fill)
            return lookup

    @property
    def has_room(self) -> bool:
        """Whether hosts may be asked for before their lines wait; in a flood they may not."""
        return self._patient or self._allowance >= _AT_ONCE / 4

    def soon(self, call: Callable[[], object]) -> None:
        """Call something on the thread of the look-ups."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call)

    def close(self) -> None:
        """End every look-up, without a name."""
        self._give_up(closed=True)
        self.soon(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._stopped.wait())

    def _is_allowed(self) -> bool:
        now = monotonic()
        self._allowance = min(self._allowance + (now - self._counted) * _A_SECOND, _AT_ONCE)
        self._counted = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _fill(self) -> None:
        while self._under_way < _UNDER_WAY and self._waiting:
            self._under_way += 1
            self._spawn(self._look_up(self._waiting.popleft()))

    async def _look_up(self, host: str) -> None:
        name = None
        try:
            self._choose_servers()
            finding = await self._reverse.find(host)
            name = finding.name
            self._keep(host, name, finding.lifetime)
            if not finding.answered and self._check is None:
                self._check = self._spawn(self._check_servers())
        finally:
            self._under_way -= 1
            with self._lock:
                lookup = self._asked.pop(host, None)
            if lookup:
                lookup.set_result(name)
        self._fill()

    def _keep(self, host: str, name: str | None, lifetime: float) -> None:
        """Remember what was found: without a cache for the line that it is meant for.

        The ends of the questions themselves are remembered in any case: else each look-up would be a reason for the next.
        """
        if host in self._own:
            lifetime = max(lifetime, HOUR)
        elif not self._settings.cache:
            lifetime = min(lifetime, self._settings.wait)
        self._cache.put(host, name, lifetime)

    async def _check_servers(self) -> None:
        """Tell where no server answers at all, and wait until one does."""
        if not await self._reverse.answers():
            self._give_up()
            servers = ", ".join(self._reverse.servers)
            self._note(f"names: no answer from {servers}; hosts are written as addresses until there is one.")
            while not await self._reverse.answers():
                await asyncio.sleep(_TRY_AGAIN)
                self._choose_servers()
            self._is_silent = self._closed
            self._note(f"names: there are answers from {', '.join(self._reverse.servers)} again.")
        self._check = None

    def _give_up(self, *, closed: bool = False) -> None:
        """Let nobody wait any more, nor ask."""
        with self._lock:
            self._is_silent = True
            self._closed = self._closed or closed
            given_up = list(self._asked.values())
            self._asked.clear()
            self._waiting.clear()
        for lookup in given_up:
            lookup.set_result(None)

    def _choose_servers(self) -> None:
        if not self._resolv_conf.changed():
            return
        servers = [str(server) for server in self._settings.servers] or name_servers(self._resolv_conf.text())
        self._reverse = Reverse(servers, self._settings.timeout)
        self._own = self._reverse.ends()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
