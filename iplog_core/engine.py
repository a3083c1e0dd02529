"""The way of a packet: source, decoding, flows, rules, detectors, merge, sinks."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from iplog_core.addresses import address
from iplog_core.batch import BYTES_PER_PACKET, FLOW_DTYPE, FlowRows, Malformed, PacketBatch, RawBatch
from iplog_core.detector import Detector, DetectorContext
from iplog_core.errors import PluginError
from iplog_core.events import Alert, Event, Records, Severity, Stats
from iplog_core.kernel.decode import decode
from iplog_core.kernel.flows import Flows
from iplog_core.kernel.fragments import Fragments
from iplog_core.loader import reason
from iplog_core.outlet import Outlet

if TYPE_CHECKING:
    from iplog_core.capture.source import Source
    from iplog_core.host import Host
    from iplog_core.rules import Rules
    from iplog_core.sink import AnySink

FAILURES_ALLOWED = 5
"""How often in a run a detector may raise before it is set aside."""

_SOURCES_COUNTED = 20_000


@dataclass
class Report:
    """How a run went. `faults` are what went wrong, one line each; `top_sources` the addresses that opened most flows."""

    stats: Stats
    alerts: dict[str, int]
    top_sources: list[tuple[str, int]]
    faults: list[str]


@dataclass
class _Guarded:
    """A detector, and how often it raised."""

    detector: Detector[Any]
    failures: int = 0


@dataclass
class _Found:
    """What the detectors found in a batch."""

    records: list[NDArray[Any]] = field(default_factory=list)
    alerts: list[tuple[tuple[int, int, int], Alert]] = field(default_factory=list)


class Engine:
    """Run packets from a source through flows, rules and detectors, and bring the events to the sinks in order.

    `progress` is called after each batch. `log` takes lines about iplog itself. `since` and `until` (ns) leave out the packets before and from then on.
    """

    def __init__(
        self,
        host: Host,
        source: Source,
        sinks: Sequence[AnySink],
        rules: Rules | None,
        *,
        log: Callable[[str], None],
        alerts_only: bool = False,
        stats: bool = False,
        when_full: Literal["block", "drop"] = "block",
        since: int | None = None,
        until: int | None = None,
        progress: Callable[[Stats], None] | None = None,
    ) -> None:
        settings = host.settings
        self._source = source
        self._hook = host.hook
        self._rules = rules
        self._log = log
        self._span = (since, until)
        self._progress = progress
        self._with_stats = stats
        self._stats = Stats()
        self._alert_counts: Counter[str] = Counter()
        self._sources: Counter[tuple[int, int]] = Counter()
        self._faults: list[str] = []
        self._found = _Found()
        self._clock = 0
        self._interfaces: Sequence[str] = ()
        timeouts = settings.flows
        self._flows = Flows(
            capacity=timeouts.capacity,
            contacts=timeouts.contacts,
            silent_timeout=_ns(timeouts.silent_timeout),
            half_open_timeout=_ns(timeouts.half_open_timeout),
            tcp_idle=_ns(timeouts.tcp_idle),
            udp_idle=_ns(timeouts.udp_idle),
            closed_idle=_ns(timeouts.closed_idle),
            keep_ends=any(detector.wants_ends(given) for detector, given in host.detectors),
        )
        self._fragments = Fragments(timeouts.datagrams, _ns(timeouts.fragment_timeout))
        context = DetectorContext(self._raise_alert, None if alerts_only else self._found_records)
        self._detectors = [_Guarded(_made(detector, given, context)) for detector, given in host.detectors]
        self._outlets = [Outlet(sink, settings.queue_size, when_full, self._fault) for sink in sinks]

    def run(self) -> Report:
        """Read the source to its end. BrokenPipeError tells that standard output was closed by its reader."""
        try:
            for outlet in self._outlets:
                outlet.start()
            for raw in self._source:
                if self._stopped:
                    break
                if (wanted := _within(raw, *self._span)) is not None:
                    self._batch(wanted)
            self._finish()
        finally:
            self._source.close()
            for outlet in self._outlets:
                outlet.stop()
        self._stats.queue_drops = sum(outlet.drops for outlet in self._outlets)
        if any(outlet.closed for outlet in self._outlets):
            raise BrokenPipeError
        return Report(
            stats=self._stats,
            alerts=dict(sorted(self._alert_counts.items())),
            top_sources=[(address(*source), flows) for source, flows in self._sources.most_common(5)],
            faults=[*self._source.faults, *self._faults],
        )

    @property
    def _stopped(self) -> bool:
        return any(outlet.closed for outlet in self._outlets)

    def _batch(self, raw: RawBatch) -> None:
        n = len(raw)
        block = np.empty(n * BYTES_PER_PACKET, np.uint8)
        self._clock, pieces = decode(
            raw.data, raw.offset, raw.captured, raw.wire_length, raw.time, raw.link, raw.interface, block, self._stats.packets, self._clock
        )
        if pieces:
            self._fragments.update(raw.data, block, n)
        decided, ended = self._flows.update(raw.data, block, n, self._clock)
        self._interfaces = raw.interfaces
        batch = PacketBatch(block, raw.data, now=self._clock, interfaces=raw.interfaces, decided=_rows(decided), ended=_rows(ended))
        self._count(batch)
        self._detect(batch)
        if self._progress:
            self._progress(self._stats)

    def _finish(self) -> None:
        """Let all that is still open end after the last packet."""
        decided, ended = self._flows.finish(self._clock)
        nothing = np.empty(0, np.uint8)
        self._detect(PacketBatch(nothing, nothing, now=self._clock, interfaces=self._interfaces, decided=_rows(decided), ended=_rows(ended), final=True))
        self._stats.time = self._clock
        self._stats.malformed = dict(sorted(self._stats.malformed.items()))
        self._stats.unsupported = self._source.unsupported
        self._stats.evicted = self._evicted()
        if self._with_stats:
            self._emit([self._stats.model_copy(deep=True)])

    def _detect(self, batch: PacketBatch) -> None:
        batch = self._visible(batch)
        for guarded in self._detectors:
            if guarded.failures >= FAILURES_ALLOWED:
                continue
            try:
                guarded.detector.run(batch)
            except (Exception, SystemExit) as error:
                self._plugin_failed(guarded, error)
        found, self._found = self._found, _Found()
        self._emit(_merge(found, batch.interfaces))

    def _visible(self, batch: PacketBatch) -> PacketBatch:
        """What the rules leave to be seen."""
        if self._rules is None:
            return batch
        ignored = self._rules.ignored(batch)
        decided, ended = self._leave(batch.decided), self._leave(batch.ended)
        if (ignored is None or not ignored.any()) and decided is batch.decided and ended is batch.ended:
            return batch
        kept = np.ones(len(batch), np.bool_) if ignored is None else ~ignored
        self._stats.ignored += len(batch) - int(kept.sum())
        return batch.where(kept, decided, ended)

    def _leave(self, flows: FlowRows) -> FlowRows:
        ignored = self._rules.ignored(flows) if self._rules and len(flows) else None
        return flows if ignored is None or not ignored.any() else flows.where(~ignored)

    def _count(self, batch: PacketBatch) -> None:
        stats = self._stats
        stats.packets += len(batch)
        stats.bytes += int(batch.wire_length.sum(dtype=np.int64))
        stats.flows = self._flows.opened
        if batch.malformed.any():
            codes, counts = np.unique(batch.malformed, return_counts=True)
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
                if code:
                    name = Malformed(code).name.lower()
                    stats.malformed[name] = stats.malformed.get(name, 0) + count
        if self._progress:
            self._count_sources(batch)

    def _count_sources(self, batch: PacketBatch) -> None:
        """Who opens most flows; the rarest are forgotten where there are too many (Misra and Gries 1982, in bulk)."""
        opens = batch.opens
        if opens.any():
            self._sources.update(zip(batch.src_hi[opens].tolist(), batch.src_lo[opens].tolist(), strict=True))
            if len(self._sources) > 2 * _SOURCES_COUNTED:
                self._sources = Counter(dict(self._sources.most_common(_SOURCES_COUNTED)))

    def _evicted(self) -> int:
        detectors = sum(guarded.detector.evicted for guarded in self._detectors)
        return self._flows.evicted + self._fragments.evicted + detectors

    def _found_records(self, rows: NDArray[Any]) -> None:
        self._found.records.append(rows)

    def _raise_alert(self, alert: Alert, order: tuple[int, int, int]) -> None:
        """Let the plugins judge an alert, and put it where it belongs."""
        kept = True

        def keep(answer: bool) -> bool:
            nonlocal kept
            kept = answer is not False
            return True

        def grade(severity: Severity) -> bool:
            alert.severity = severity
            return True

        def add(fields: dict[str, Any]) -> bool:
            alert.extra = {**fields, **alert.extra}
            return False

        self._ask("iplog_keep_alert", alert, keep)
        if not kept:
            self._stats.suppressed += 1
            return
        self._ask("iplog_grade_alert", alert, grade)
        self._ask("iplog_alert_fields", alert, add)
        self._ask("iplog_alert", alert, bool)
        if alert.state == "start":
            self._stats.alerts += 1
            self._alert_counts[alert.kind] += 1
        self._found.alerts.append((order, alert))

    def _ask(self, hook: str, alert: Alert, take: Callable[[Any], bool]) -> None:
        """Call each plugin's hook, the one enabled first first, until `take` is satisfied with an answer. One that fails costs its own answer only."""
        for implementation in reversed(getattr(self._hook, hook).get_hookimpls()):
            try:
                answer = implementation.function(*[alert][: len(implementation.argnames)])
                if answer is not None and take(answer):
                    return
            except (Exception, SystemExit) as error:
                self._hook_failed(implementation.plugin_name, hook, error)

    def _emit(self, events: list[Event]) -> None:
        if events:
            for outlet in self._outlets:
                outlet.put(events)

    def _fault(self, line: str) -> None:
        self._faults.append(line)

    def _plugin_failed(self, guarded: _Guarded, error: BaseException) -> None:
        guarded.failures += 1
        name = guarded.detector.name
        self._stats.plugin_errors[name] = guarded.failures
        self._log(f"{name}: {_own_frames(error)}")
        if guarded.failures == 1:
            self._fault(f"{name}: it failed on a batch: {reason(error)}; what it would have found there is lost.")
        if guarded.failures == FAILURES_ALLOWED:
            self._fault(f"{name}: it failed {FAILURES_ALLOWED} times and was set aside; the other plugins went on.")

    def _hook_failed(self, name: str, hook: str, error: BaseException) -> None:
        errors = self._stats.plugin_errors
        errors[name] = errors.get(name, 0) + 1
        if errors[name] == 1:
            self._fault(f"{name}: {hook} failed: {reason(error)}; the alerts were written all the same.")
            self._log(f"{name}: {_own_frames(error)}")


def _made(detector: type[Detector[Any]], settings: Any, context: DetectorContext) -> Detector[Any]:
    try:
        return detector(settings, context)
    except (Exception, SystemExit) as error:
        raise PluginError(f"{detector.name}: it could not be set up: {reason(error)}.") from error


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _rows(taken: bytes) -> FlowRows:
    return FlowRows(np.frombuffer(taken, FLOW_DTYPE))


def _within(raw: RawBatch, since: int | None, until: int | None) -> RawBatch | None:
    """The packets of a time span; None where there are none."""
    if since is not None or until is not None:
        low = np.iinfo(np.int64).min if since is None else since
        high = np.iinfo(np.int64).max if until is None else until
        kept = (raw.time >= low) & (raw.time < high)
        raw = RawBatch(
            raw.data,
            raw.offset[kept],
            raw.captured[kept],
            raw.wire_length[kept],
            raw.time[kept],
            raw.link[kept],
            raw.interface[kept],
            raw.interfaces,
        )
    return raw if len(raw) else None


def _merge(found: _Found, interfaces: Sequence[str]) -> list[Event]:
    """Records and alerts in the order of their time; at the same place, the record comes first."""
    rows = _sorted(found.records)
    alerts = sorted(found.alerts, key=lambda placed: placed[0])
    if rows is None:
        return [alert for _, alert in alerts]
    return list(_interleave(Records(rows, interfaces), alerts))


def _sorted(parts: list[NDArray[Any]]) -> NDArray[Any] | None:
    if len(parts) > 1:
        rows = np.concatenate(parts)
        return rows[np.lexsort((rows["index"], rows["phase"], rows["clock"]))]
    return parts[0] if parts else None


def _interleave(records: Records, alerts: list[tuple[tuple[int, int, int], Alert]]) -> Iterator[Event]:
    done = 0
    for order, alert in alerts:
        place = _place(records.rows, *order)
        if place > done:
            yield records[done:place]
            done = place
        yield alert
    if done < len(records):
        yield records[done:]


def _place(rows: NDArray[Any], time: int, phase: int, index: int) -> int:
    """How many records come before, or at, a place."""
    first = int(np.searchsorted(rows["clock"], time, "left"))
    same = rows[first : int(np.searchsorted(rows["clock"], time, "right"))]
    before = (same["phase"] < phase) | ((same["phase"] == phase) & (same["index"] <= index))
    return first + int(before.sum())


def _own_frames(error: BaseException) -> str:
    """A traceback without the frames of iplog and of what it is built on."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _NOT_THE_AUTHORS.intersection(Path(frame.filename).parts)]
    return "".join(["Traceback (most recent call last):\n", *traceback.format_list(own), reason(error)])


_NOT_THE_AUTHORS = frozenset({"iplog_core", "pluggy", "pydantic"})
