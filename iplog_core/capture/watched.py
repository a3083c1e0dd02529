"""One interface that is to be watched, whether it is there or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from iplog_core.capture.handle import Counters, Handle, NotUpError, PermissionLackingError, Taken, index_of, open_handle
from iplog_core.capture.interfaces import is_up
from iplog_core.capture.linktypes import DECODED, link_type_name
from iplog_core.errors import CaptureError
from iplog_core.events import InterfaceStats
from iplog_core.settings import CaptureSettings

RATE_SECONDS = 5
"""Over how many seconds the rate is taken."""

BETWEEN_NOTES = 60.0
"""Seconds from one line about lost packets to the next, for each interface."""


@dataclass(frozen=True, slots=True)
class Options:
    """How interfaces are opened. `filter` says what is to be captured, in place of that of `settings`."""

    settings: CaptureSettings
    promiscuous: bool
    filter: str


class UnsupportedLinkError(CaptureError):
    """iplog cannot decode what the interface carries."""


class Watched:
    """An interface, opened as often as it comes back. `number` is its own among those of the source. `note` takes what happens to it, a line each."""

    def __init__(self, name: str, number: int, note: Callable[[str], None]) -> None:
        self.name = name
        self.number = number
        self.handle: Handle | None = None
        self.link = 0
        self._note = note
        self._index: int | None = None
        self._up = True
        self._welcome = ""
        self._refused = ""
        self._packets = self._kernel_drops = self._interface_drops = 0
        self._counted = Counters(0, 0)
        self._seconds = deque([(monotonic(), 0)], maxlen=RATE_SECONDS + 1)
        self._told = (-BETWEEN_NOTES, 0, 0)
        self._ring = 0

    def open(self, options: Options) -> None:
        """Begin to capture. One that is down is waited for. Raise CaptureError where it cannot be opened, or not with that filter."""
        try:
            self._open(options)
        except NotUpError:
            self._note(f"{self.name}: the interface is down; it is watched when it comes up.")
            self._welcome = "the interface is up"

    def read(self, limit: int) -> Taken | None:
        """Return the packets at hand, at most `limit`; None where there are none."""
        if self.handle is None:
            return None
        try:
            taken = self.handle.read(limit)
        except CaptureError as error:
            self._failed(error)
            return None
        self._packets += len(taken.time)
        return taken if len(taken.time) else None

    def look(self, options: Options) -> None:
        """Once a second: see whether the interface is there and up, open it when it is back, count what was lost."""
        if self.handle is not None:
            self._look_at_link()
        if self.handle is None:
            self._try_again(options)
        self._count()
        self._tell_of_drops()

    def filter(self, options: Options) -> None:
        """Capture what another filter lets pass. Raise CaptureError where it cannot be set; the one before holds on."""
        if self.handle is not None:
            _set_filter(self.handle, options)

    @property
    def stats(self) -> InterfaceStats:
        self._count_drops()
        (begin, before), (end, after) = self._seconds[0], self._seconds[-1]
        return InterfaceStats(
            packets=self._packets,
            kernel_drops=self._kernel_drops,
            interface_drops=self._interface_drops,
            ring=self._ring,
            rate=(after - before) / (end - begin) if end > begin else 0.0,
        )

    def close(self) -> None:
        self._count_drops()
        # In this order: a signal may break in, and nobody may ask a handle that is closed.
        handle, self.handle = self.handle, None
        if handle is not None:
            handle.close()

    def _open(self, options: Options) -> None:
        index = index_of(self.name)
        settings = options.settings
        handle = open_handle(self.name, snap_length=settings.snap_length, ring=settings.ring, promiscuous=options.promiscuous)
        try:
            if handle.link not in DECODED:
                raise UnsupportedLinkError(f"{self.name}: link type {link_type_name(handle.link)} is not supported; the interface is not watched.")
            _set_filter(handle, options)
            self._counted = handle.counters()  # libpcap before 1.10 drops packets until the ring is there
        except CaptureError:
            handle.close()
            raise
        self.handle, self.link, self._index, self._up = handle, handle.link, index, True
        self._ring = settings.ring

    def _failed(self, error: CaptureError) -> None:
        """Where libpcap fails because the link went down, capturing goes on when it is up again; for any other reason the interface is opened anew."""
        self._look_at_link()
        if self.handle is not None and self._up:
            self._note(f"{error} It is opened again.")
            self.close()

    def _look_at_link(self) -> None:
        if index_of(self.name) != self._index:
            self.close()
            self._note(f"{self.name}: the interface is gone; it is watched again when it is back.")
            self._welcome = "the interface is back"
        elif (up := is_up(self.name)) != self._up:
            self._up = up
            self._note(f"{self.name}: the interface {'is up again' if up else 'went down'}.")

    def _try_again(self, options: Options) -> None:
        if index_of(self.name) is None:
            return
        try:
            self._open(options)
        except NotUpError:
            return
        except PermissionLackingError:
            self._refuse(f"{self.name}: {self._welcome}, but iplog may not open it any more, since it gave up its privileges; restart it.")
        except CaptureError as error:
            self._refuse(str(error))
        else:
            self._refused = ""
            if self._welcome:
                self._note(f"{self.name}: {self._welcome}.")
                self._welcome = ""

    def _refuse(self, line: str) -> None:
        """Say why the interface cannot be opened, once for each reason."""
        if line != self._refused:
            self._refused = line
            self._note(line)

    def _count(self) -> None:
        self._count_drops()
        self._seconds.append((monotonic(), self._packets))

    def _count_drops(self) -> None:
        if self.handle is None:
            return
        try:
            now = self.handle.counters()
        except CaptureError:  # the interface has just gone
            return
        self._kernel_drops += (now.dropped - self._counted.dropped) % (1 << 32)
        self._interface_drops += (now.interface_dropped - self._counted.interface_dropped) % (1 << 32)
        self._counted = now

    def _tell_of_drops(self) -> None:
        when, packets, drops = self._told
        if self._kernel_drops == drops or monotonic() < when + BETWEEN_NOTES:
            return
        self._told = (monotonic(), self._packets, self._kernel_drops)
        lost = self._kernel_drops - drops
        came = self._packets - packets + lost
        room = f"more room than ring = {self._ring} in [capture] gives may help"
        self._note(f"{self.name}: the kernel dropped {lost:,} of {came:,} packets ({lost / came:.1%}), since iplog was too slow; {room}.")


def _set_filter(handle: Handle, options: Options) -> None:
    try:
        handle.set_filter(options.filter)
    except CaptureError as error:
        own = options.settings.filter or ""
        shown = own if own and own in options.filter else options.filter
        raise CaptureError(f"the filter {shown!r} is none: {error}; pcap-filter(7) tells how one is written.") from None
