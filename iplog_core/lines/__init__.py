"""The classic lines: one for each event, as every sink that writes text has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from iplog_core.events import Alert, Event, Notice, Records
from iplog_core.lines.alerts import AlertLines
from iplog_core.lines.forms import Block, Part
from iplog_core.lines.hosts import Hosts, printable
from iplog_core.lines.statistics import statistics_lines
from iplog_core.lines.traffic import TrafficLines

if TYPE_CHECKING:
    from iplog_core.sink import SinkContext

__all__ = ["Lines", "printable"]


class Lines:
    """Lines of events, without what a sink puts before them. No line holds a character that cannot be printed.

    So that they have names, a sink tells what it expects, then calls `prepare` once for what it is given, then `of` for each event::

        def expect(self, events):
            self.lines.expect(events)

        def write(self, events):
            self.lines.prepare(events, self.queued)
            for event in events:
                times, lines = self.lines.of(event)

    Where there are many of them, `text` has the lines of records as bytes, each behind a `prefix`, at a tenth of the cost; `prefixed` gives it to others.
    """

    def __init__(self, context: SinkContext, prefix: Sequence[str | Part] = ()) -> None:
        self._names = context.names
        self._named = Hosts()
        self._unnamed = Hosts()
        self._log_dest = context.log_dest
        self._traffic = TrafficLines(lambda proto: self._hosts_of(proto) is self._named, context.log_dest, prefix)

    def expect(self, events: Sequence[Event]) -> None:
        """Begin to look up the names of the hosts in events that a sink will be given."""
        if self._names:
            self._names.expect(lambda: set(self._mentioned(events)))

    def prepare(self, events: Sequence[Event], queued: float) -> None:
        """Look up the names of the hosts in events that were queued at a time (`time.monotonic`): how long that may take is for `Names` to say."""
        if self._names:
            self._named.names = self._names.texts(set(self._mentioned(events)), queued)

    def of(self, event: Event) -> tuple[NDArray[np.int64], list[str]]:
        """Return the times (ns) and lines of an event: one for each record but the ends of flows, none for an alert's update."""
        if isinstance(event, Records):
            text = self.text(event)
            return text.times, text.lines()
        if isinstance(event, Alert):
            line = self._alerts(event).line(event)
            lines = [] if line is None else [line]
        else:
            lines = [printable(event.message)] if isinstance(event, Notice) else statistics_lines(event)
        return np.full(len(lines), event.time, np.int64), lines

    def text(self, records: Records) -> Block:
        """Return the lines of records as bytes, prefixes included: one for each but the ends of flows."""
        return self._traffic.text(records.rows, self._named.names)

    def prefixed(self, times: NDArray[np.int64], lines: Sequence[str]) -> Block:
        """Return the lines of another event as bytes, prefixes included."""
        return self._traffic.given(times, lines)

    def _mentioned(self, events: Iterable[Event]) -> Iterator[str]:
        for event in events:
            if isinstance(event, Records):
                yield from self._traffic.mentioned(event.rows)
            elif isinstance(event, Alert) and self._hosts_of(event.proto) is self._named:
                yield from self._alerts(event).mentioned(event)

    def _alerts(self, alert: Alert) -> AlertLines:
        return AlertLines(self._hosts_of(alert.proto), self._log_dest)

    def _hosts_of(self, proto: str | None) -> Hosts:
        """Return what knows the hosts in lines about a protocol; one that no setting speaks of has names where there are any."""
        if self._names is None:
            return self._unnamed
        settings = self._names.settings
        wanted = {"TCP": settings.tcp, "UDP": settings.udp, "ICMP": settings.icmp, "IPv6-ICMP": settings.icmp}
        return self._named if proto is None or wanted.get(proto, True) else self._unnamed
