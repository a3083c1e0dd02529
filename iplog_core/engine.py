"""The way of a packet: source, decoding, flows, rules, detectors, merge, sinks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from iplog_core.addresses import address
from iplog_core.authors import author, own_frames, reason
from iplog_core.batch import BYTES_PER_PACKET, FLOW_DTYPE, FlowRows, Kind, Malformed, Outcome, PacketBatch, RawBatch
from iplog_core.capture.merge import rows_of
from iplog_core.deprecation import untold
from iplog_core.detector import Detector, DetectorContext
from iplog_core.errors import ConfigError, IplogError, PluginError
from iplog_core.events import Alert, Event, Records, Stats
from iplog_core.kernel.decode import decode
from iplog_core.kernel.flows import Flows
from iplog_core.kernel.fragments import Fragments
from iplog_core.loader import label, owner_of
from iplog_core.memory import core_capacities, least_memory, named, share_out, table_stats
from iplog_core.outlet import Outlet
from iplog_core.turns import Timing, Turns, Watchdog, plugin_stats, set_shares
from iplog_core.verdicts import Verdicts

if TYPE_CHECKING:
    from iplog_core.allow import AllowList, AllowLists
    from iplog_core.capture.source import Source
    from iplog_core.events import InterfaceStats, TableStats
    from iplog_core.host import Host
    from iplog_core.notices import Notices
    from iplog_core.rules import Rules
    from iplog_core.settings import DetectorSettings, FlowSettings
    from iplog_core.sink import AnySink
    from iplog_core.state import Known, StateFile

FAILURES_ALLOWED = 5
"""How often in a run a detector may raise before it is set aside."""

_SOURCES_COUNTED = 20_000

_BETWEEN_SAVES = 300.0
"""Seconds from one save to the next while watching."""

_EARLIER = 60 * 1_000_000_000
"""How much earlier (ns) than what is known packets may be: a clock that is set back, or captures that overlap."""


@dataclass
class Report:
    """How a run went. `faults` are what went wrong, one line each; `top_sources` the addresses that opened most flows.

    `kept` is where a state was saved: how many alerts are open, and how many flows undecided, that the next run goes on with.
    """

    stats: Stats
    alerts: dict[str, int]
    top_sources: list[tuple[str, int]]
    faults: list[str]
    kept: tuple[int, int] | None = None


@dataclass
class _Guarded:
    """A detector, what it does not look at, and how often it raised."""

    detector: Detector[Any]
    allowed: AllowList
    failures: int = 0
    unsaved: bool = False


@dataclass
class _Found:
    """What the detectors found in a batch."""

    records: list[NDArray[Any]] = field(default_factory=list)
    alerts: list[tuple[tuple[int, int, int], Alert]] = field(default_factory=list)


class Engine:
    """Run packets from a source through flows, rules and detectors, and bring the events to the sinks in order.

    `progress` is called after each batch. `log` takes lines about iplog itself. `since` and `until` (ns) leave out the packets before and from then on.
    With `stats` the counters are the last event; `measure` adds to them what differs from run to run. With either they have the use of the tables.
    With a `state`, what is known is taken from it at the first packet and saved in it at the end: what is open then stays open.
    A watch has `notices`, which the sinks write as they come, `interfaces`, which tells what the capture counts, and `patience`, the seconds that the
    sinks have at its end.
    """

    def __init__(
        self,
        host: Host,
        source: Source,
        sinks: Sequence[AnySink],
        rules: Rules | None,
        *,
        allow: AllowLists | None = None,
        state: StateFile | None = None,
        log: Callable[[str], None],
        alerts_only: bool = False,
        stats: bool = False,
        measure: Callable[[Stats], None] | None = None,
        when_full: Literal["block", "drop"] = "block",
        since: int | None = None,
        until: int | None = None,
        progress: Callable[[Stats], None] | None = None,
        notices: Notices | None = None,
        interfaces: Callable[[], dict[str, InterfaceStats]] = dict,
        patience: float | None = None,
    ) -> None:
        settings = host.settings
        self._plugins = host.known
        self._turns = Turns()
        self._source = source
        self._rules = rules
        self._allow = allow
        self._state = state
        self._known: Known | None = None
        self._recalled = self._unsaved = False
        self._going_on: dict[str, str] = {}
        self._kept: tuple[int, int] | None = None
        self._log = log
        self._span = (since, until)
        self._progress = progress
        self._notices = notices
        self._captured = interfaces
        self._patience = patience
        self._muted = frozenset(settings.mute)
        self._with_stats = stats
        self._measure = measure
        self._with_tables = stats or measure is not None
        self._stats = Stats()
        self._alert_counts: Counter[str] = Counter()
        self._sources: Counter[tuple[int, int]] = Counter()
        self._faults: list[str] = []
        self._found = _Found()
        self._clock = self._seen = 0
        self._next_save = monotonic() + _BETWEEN_SAVES
        self._interfaces: Sequence[str] = ()
        self._flow_settings = settings.flows
        self._memory = settings.memory
        flows, contacts, datagrams = core_capacities(self._memory)
        self._verdicts = Verdicts(host, self._hook_failed, self._fault, FAILURES_ALLOWED, self._turns)
        self._context = DetectorContext(self._raise_alert, None if alerts_only else self._found_records)
        try:
            self._flows = _flows(settings.flows, flows, contacts, _kinds_of_ends(host.detectors))
            self._fragments = Fragments(datagrams, _ns(settings.flows.fragment_timeout))
            self._detectors = [self._guarded(detector, given) for detector, given in host.detectors]
            if fault := self._lacks_memory():
                raise ConfigError(fault)
            self._share_out()
        except MemoryError:
            raise ConfigError(f"memory: the system does not give {self._memory} (MB) for all tables; expected less.") from None
        self._queues: tuple[int, Literal["block", "drop"]] = (settings.queue_size, when_full)
        self._outlets = [self._outlet(sink) for sink in sinks]
        self._replaced: list[Outlet] = []
        self._open = self._started = False
        self._told_hooks: set[tuple[str, str]] = set()
        self._emitting = threading.RLock()

    def open(self) -> None:
        """Open the sinks. Raise IplogError where one cannot be. `run` does it where it was not done."""
        if not self._open:
            self._open = True
            for outlet in self._outlets:
                outlet.start()

    def recall(self) -> None:
        """Read the state. Raise IplogError where it cannot be read, or not be written. `run` does it where it was not done."""
        if self._state and not self._recalled:
            self._recalled = True
            self._known = self._state.open()

    def start(self) -> None:
        """Start the policies. Raise PluginError with a line for each that cannot. `run` does it where it was not done."""
        if not self._started:
            self._started = True
            self._verdicts.start()

    def run(self) -> Report:
        """Read the source to its end. BrokenPipeError tells that standard output was closed by its reader."""
        try:
            self.open()
            self.recall()
            self.start()
            self._tell_deprecated()
            self._emit_notices()
            with Watchdog(self._turns, self._tell_at_work) if self._notices else nullcontext():
                for raw in self._raw_batches():
                    if self._stopped:
                        break
                    if (wanted := _within(raw, *self._span)) is not None:
                        self._turns.begin()
                        self._batch(wanted)
                        self._turns.end()
                    del raw, wanted  # with the memory that the packets lie in
                self._finish()
        finally:
            self._close_source()
            for line in self._verdicts.stop():
                self._fault(line)
            self._emit_notices()
            if self._patience is not None:
                self.hurry(self._patience)
            for outlet in self._every_outlet:
                outlet.stop()
            # What knows the engine and is known by it would keep its tables until the garbage collector comes round.
            self._detectors.clear()
        self._stats.queue_drops = self._dropped
        if self._stopped:
            raise BrokenPipeError
        return Report(
            stats=self._stats,
            alerts=dict(sorted(self._alert_counts.items())),
            top_sources=[(address(*source), flows) for source, flows in self._sources.most_common(5)],
            faults=[*self._source.faults, *self._faults],
            kept=self._kept,
        )

    def hurry(self, patience: float) -> None:
        """Give the sinks no more than `patience` seconds from now to write what waits for them. A signal handler may call this."""
        for outlet in self._every_outlet:
            outlet.hurry(patience)

    def change(self, host: Host, rules: Rules | None, sinks: Sequence[AnySink], *, allow: AllowLists | None = None, alerts_only: bool) -> None:
        """Go on with other plugins, rules, allow-lists and sinks, from `progress` or between batches.

        A detector or a sink whose settings are what they were stays as it is, with all that it knows; every policy starts anew. The episodes of a detector
        that goes end now. What cannot be set up or opened is a line in `notices`; the rest is in force.
        """
        self._plugins = {**self._plugins, **host.known}
        self._rules, self._muted = rules, frozenset(host.settings.mute)
        self._allow = allow
        self._context.log = None if alerts_only else self._found_records
        self._flows.keep_ends = _kinds_of_ends(host.detectors)
        self._change_detectors(host.detectors)
        self._told_hooks.clear()
        for line in self._verdicts.change(host):
            self._fault(line)
        self._change_sinks(sinks)

    def reopen(self) -> None:
        """Let every sink open its destination anew."""
        for outlet in self._outlets:
            outlet.reopen()
        self._next_save = 0.0

    def hand_over(self, uid: int, gid: int) -> None:
        """Let what the sinks opened, and the state, belong to a user and a group (-1: as it is). Raise IplogError where that cannot be."""
        if self._state:
            self._state.hand_over(uid, gid)
        for sink in self.sinks:
            try:
                sink.hand_over(uid, gid)
            except OSError as error:
                raise IplogError(f"{sink.name}: what it writes to cannot be given to user {uid} and group {gid}: {error.strerror}.") from None

    @property
    def sinks(self) -> list[AnySink]:
        return [outlet.sink for outlet in self._outlets]

    def _change_detectors(self, wanted: Sequence[tuple[type[Detector[Any]], Any]]) -> None:
        before = {type(guarded.detector): guarded for guarded in self._detectors}
        self._detectors, old = [], self._detectors
        fresh: list[_Guarded] = []
        for cls, settings in wanted:
            kept = before.get(cls)
            if kept is not None and _tell_alike(kept.detector.settings, settings) and kept.failures < FAILURES_ALLOWED:
                kept.allowed = self._allowed(cls, settings)
                self._detectors.append(kept)
                continue
            try:
                fresh.append(self._guarded(cls, settings))
                self._detectors.append(fresh[-1])
            except PluginError as error:
                for line in error.faults:
                    self._fault(line)
        if fault := self._lacks_memory():
            self._fault(f"{fault} Not run, therefore: {', '.join(guarded.detector.name for guarded in fresh)}.")
            self._detectors = [guarded for guarded in self._detectors if guarded not in fresh]
        self._detect(self._last(memoryview(b""), memoryview(b"")), [guarded for guarded in old if guarded not in self._detectors])
        try:
            self._share_out()
        except MemoryError:
            self._fault("memory: the system does not give what the detectors share out; some keep what they have.")

    def _lacks_memory(self) -> str | None:
        """Say what is wrong where the tables cannot do with the memory that there is."""
        least = least_memory([tracker for guarded in self._detectors for tracker in guarded.detector.trackers])
        return f"memory: expected {least} or more (MB) for the plugins that run, not {self._memory}." if least > self._memory else None

    def _share_out(self) -> None:
        share_out(self._memory, [tracker for guarded in self._detectors for tracker in guarded.detector.trackers], self._clock)

    def _guarded(self, cls: type[Detector[Any]], settings: Any) -> _Guarded:
        try:
            detector = cls(settings, self._context)
        except (Exception, SystemExit) as error:
            raise PluginError(f"{label(self._plugins, cls.name)}: it could not be set up: {reason(error)}.") from error
        return _Guarded(detector, self._allowed(cls, settings))

    def _allowed(self, cls: type[Detector[Any]], settings: Any) -> AllowList:
        return self._allow.of(cls, settings) if self._allow else ()

    def _change_sinks(self, wanted: Sequence[AnySink]) -> None:
        kept = []
        for sink in wanted:
            outlet = next((outlet for outlet in self._outlets if _same(outlet.sink, sink)), None)
            if outlet is None:
                outlet = self._outlet(sink)
                try:
                    outlet.start()
                except IplogError as error:
                    for line in error.faults:
                        self._fault(line)
                    outlet = next((before for before in self._outlets if type(before.sink) is type(sink) and before not in kept), None)
                    if outlet is None:
                        continue
                    self._fault(f"{sink.name}: it goes on as it was set before.")
            kept.append(outlet)
        leaving = [outlet for outlet in self._outlets if outlet not in kept]
        self._outlets = kept
        self._replaced += leaving
        for outlet in leaving:
            # One that hangs must not hold up the packets.
            threading.Thread(target=outlet.stop, args=(self._patience,), daemon=True).start()

    def _outlet(self, sink: AnySink) -> Outlet:
        note = self._notices.note if self._notices else self._log
        return Outlet(sink, *self._queues, self._fault, note, log=self._log, label=label(self._plugins, sink.name))

    @property
    def _stopped(self) -> bool:
        return any(outlet.closed for outlet in self._outlets)

    def _raw_batches(self) -> Iterator[RawBatch]:
        """Give what the source gives. One of a plugin that raises is at its end there."""
        batches = iter(self._source)
        while True:
            try:
                raw: Any = next(batches, None)
            except (Exception, SystemExit) as error:
                owner = owner_of(self._plugins, author(error))
                if owner is None or isinstance(error, IplogError):
                    raise
                self._log(f"{owner}: {own_frames(error)}")
                self._fault(f"{owner}: its source failed: {reason(error)}; what comes after is not read.")
                return
            if raw is None:
                return
            if not isinstance(raw, RawBatch):
                self._fault(f"the source gives {type(raw).__name__}; expected a RawBatch; what comes after is not read.")
                return
            yield raw
            del raw  # with the memory that the packets lie in

    def _close_source(self) -> None:
        try:
            self._source.close()
        except (Exception, SystemExit) as error:
            owner = owner_of(self._plugins, author(error))
            self._fault(f"{owner or 'the source'}: it could not be closed: {reason(error)}.")

    def _batch(self, raw: RawBatch) -> None:
        self._emit_notices()
        n = len(raw)
        if self._known:
            self._restore(self._known, int(raw.time.min()) if n else raw.now or 0, raw.interfaces)
        block = np.empty(n * BYTES_PER_PACKET, np.uint8)
        self._clock, pieces = decode(raw.data, raw.offset, raw.captured, raw.wire_length, raw.time, raw.link, raw.interface, block, self._seen, self._clock)
        self._seen += n
        if raw.now is not None:
            self._clock = max(self._clock, raw.now)
        if pieces:
            self._fragments.update(raw.data, block, n)
        decided, ended = self._flows.update(raw.data, block, n, self._clock)
        self._interfaces = raw.interfaces
        batch = PacketBatch(block, raw.data, now=self._clock, interfaces=raw.interfaces, decided=_rows(decided), ended=_rows(ended))
        self._count(batch)
        self._detect(batch, self._detectors)
        self._tell_deprecated()
        self._emit_notices()
        if self._progress:
            self._progress(self._stats)
            self._emit_notices()
        if self._state and self._notices and monotonic() >= self._next_save:
            self._next_save = monotonic() + _BETWEEN_SAVES
            self._save_meanwhile(self._state)

    def _finish(self) -> None:
        """Let all that is still open end after the last packet, or save it."""
        tables = self._tables() if self._with_tables else {}
        if not self._state:
            self._turns.begin()
            self._detect(self._last(*self._flows.finish(self._clock)), self._detectors)
            self._turns.end()
            self._tell_deprecated()
        elif self._notices:
            self._save_at_the_end(self._state)
        stats = self._stats
        stats.time = self._clock
        stats.malformed = dict(sorted(stats.malformed.items()))
        stats.unsupported = self._source.unsupported
        if tables:
            # How full they were before all ended, and what had no room until then.
            for name, table in self._tables().items():
                tables[name].evicted = table.evicted
        stats.tables = tables
        stats.evicted = self._flows.evicted + self._fragments.evicted + sum(guarded.detector.evicted for guarded in self._detectors)
        stats.policies = self._verdicts.counts()
        stats.interfaces = self._captured()
        stats.kernel_drops = sum(interface.kernel_drops for interface in stats.interfaces.values())
        stats.queue_drops = self._dropped
        if self._measure:
            self._take_times(stats)
        if self._notices:
            lost = f"the kernel dropped {stats.kernel_drops:,} packets, the sinks {stats.queue_drops:,} events"
            self._notices.log(f"iplog stopped: {stats.packets:,} packets, {stats.alerts:,} alerts; {lost}.")
            self._emit_notices()
        if self._with_stats:
            stats = stats.model_copy(deep=True)
            if self._measure:
                self._measure(stats)
            self._emit([stats])
        if self._state and not self._notices:
            for outlet in self._every_outlet:
                outlet.stop()  # only then is it known whether all was written
            self._save_at_the_end(self._state)

    def _take_times(self, stats: Stats) -> None:
        """Fill in who took how long, sinks with all that they were given."""
        for outlet in self._every_outlet:
            outlet.catch_up()
        stats.busy = sum(timing.seconds for timing in self._turns.timings.values())
        times = self._turns.timings
        for outlet in self._every_outlet:
            if outlet.sink.name in self._plugins:
                times.setdefault(outlet.sink.name, Timing()).include(outlet.timing)
        stats.plugins = plugin_stats(times)
        set_shares(stats)

    def _save_meanwhile(self, state: StateFile) -> None:
        try:
            state.save(self._all_known())
        except Exception as error:
            if not self._unsaved:
                self._unsaved = True
                self._fault(f"state: {state.path}: it could not be written: {reason(error)}; that of before stays.")

    def _save_at_the_end(self, state: StateFile) -> None:
        """Save what is known, unless nothing is, or nobody read what was found."""
        if self._stopped or not (self._seen or self._clock):
            return
        from iplog_core.state import cause

        try:
            known = self._all_known()
            state.save_now(known)
        except Exception as error:
            self._fault(f"state: {state.path}: it could not be written: {cause(error)}; what is known now is lost.")
        else:
            self._kept = len(self._going_on), int((known.arrays[0]["flow"]["outcome"] == Outcome.PENDING).sum())

    def _all_known(self) -> Known:
        from iplog_core.state import Known, saved_flows

        known = Known(self._clock, self._seen, list(self._interfaces))
        known.put("flows", saved_flows(self._flows))
        known.put("alerts", {"open": sorted(self._going_on.items())})
        if said := self._verdicts.save():
            known.put("policies", said)
        for guarded in self._detectors:
            name = guarded.detector.name
            try:
                known.put(f"detectors/{name}", guarded.detector.save())
            except (Exception, SystemExit) as error:
                if not guarded.unsaved:
                    guarded.unsaved = True
                    self._fault(f"{label(self._plugins, name)}: what it knows could not be saved: {reason(error)}.")
        return known

    def _restore(self, known: Known, begin: int, interfaces: Sequence[str]) -> None:
        """Go on from what is known. A part that is not what it should be starts afresh."""
        from iplog_core.state import restore_flows

        assert self._state is not None
        self._known = None
        if begin + _EARLIER < known.clock:
            knows, first = f"it knows what happened until {_utc(known.clock)}", f"the first packet is of {_utc(begin)}"
            if not self._notices:
                raise IplogError(f"state: {self._state.path}: {knows}, and {first}; read later captures, or give another file.")
            self._state.set_aside(f"{knows}, and {first}")
            return
        known.renumber(interfaces)
        self._clock, self._seen = known.clock, known.packets
        faults: list[str] = []
        try:
            if not restore_flows(self._flows, known.take("flows"), known.clock):
                self._tell("flows: there is less room for them than before, so that the oldest are left out.")
        except Exception as error:
            self._flows = _flows(self._flow_settings, self._flows.capacity, self._flows.contact_capacity, self._flows.keep_ends)
            faults.append(f"flows: {reason(error)}")
        whole: set[str] = set()
        for number, guarded in enumerate(self._detectors):
            name = guarded.detector.name
            try:
                part = known.take(f"detectors/{name}")
                if part is not None and not guarded.detector.restore(part, known.clock):
                    self._tell(f"{name}: its settings have changed, so that part of what it knew is left out.")
                elif part is not None:
                    whole.add(name)
                if guarded.detector.evicted:
                    self._tell(f"{name}: there is less room for what it knew than before, so that the coldest of it is left out.")
            except (Exception, SystemExit) as error:
                self._detectors[number] = self._guarded(type(guarded.detector), guarded.detector.settings)
                faults.append(f"{name}: {reason(error)}")
        self._share_out()
        try:
            alerts = known.take("alerts") or {"open": ()}
            self._going_on = {str(alert): name for alert, name in alerts["open"] if name in whole}
        except Exception as error:
            faults.append(f"alerts: {reason(error)}")
        try:
            if said := known.take("policies"):
                self._verdicts.restore(said, (guarded.detector.name for guarded in self._detectors))
        except Exception as error:
            faults.append(f"policies: {reason(error)}")
        for name in known.parts:
            self._tell(f"{name.rpartition('/')[2]}: it does not run now, so that what it knew is left out.")
        if faults:
            self._state.set_aside(f"not all of it can be right ({'; '.join(faults)})")

    def _last(self, decided: memoryview, ended: memoryview) -> PacketBatch:
        """The batch without packets that ends every episode."""
        nothing = np.empty(0, np.uint8)
        return PacketBatch(nothing, nothing, now=self._clock, interfaces=self._interfaces, decided=_rows(decided), ended=_rows(ended), final=True)

    def _detect(self, batch: PacketBatch, detectors: Sequence[_Guarded]) -> None:
        batch = self._visible(batch)
        seen = None
        if self._allow:
            from iplog_core.allow import Seen

            seen = Seen(batch)
        for guarded in detectors:
            if guarded.failures >= FAILURES_ALLOWED:
                continue
            theirs = seen.by(guarded.allowed) if seen else batch
            self._turns.begin(guarded.detector.name)
            try:
                guarded.detector.run(theirs)
            except (Exception, SystemExit) as error:
                self._plugin_failed(guarded, error)
            finally:
                self._turns.end()
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
        # Watching, a packet's length is known no further than it was captured; its header tells the rest.
        lengths = np.maximum(batch.wire_length, batch.network + batch.length) if self._notices else batch.wire_length
        stats.bytes += int(lengths.sum(dtype=np.int64))
        stats.flows = self._flows.opened
        if batch.malformed.any():
            codes, counts = np.unique(batch.malformed, return_counts=True)
            for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
                if code:
                    name = Malformed(code).name.lower()
                    stats.malformed[name] = stats.malformed.get(name, 0) + count
        if self._progress and not self._notices:
            self._count_sources(batch)

    def _count_sources(self, batch: PacketBatch) -> None:
        """Who opens most flows; the rarest are forgotten where there are too many (Misra and Gries 1982, in bulk)."""
        opens = batch.opens
        if opens.any():
            self._sources.update(zip(batch.src_hi[opens].tolist(), batch.src_lo[opens].tolist(), strict=True))
            if len(self._sources) > 2 * _SOURCES_COUNTED:
                self._sources = Counter(dict(self._sources.most_common(_SOURCES_COUNTED)))

    def _tables(self) -> dict[str, TableStats]:
        flows, contacts = self._flows.tables
        datagrams, stretches, arriving = self._fragments.tables
        tables = {
            "flows": table_stats(flows, self._flows.evicted),
            "contacts": table_stats(contacts),
            "fragments": table_stats(datagrams, self._fragments.evicted),
            "fragments, stretches": table_stats(stretches),
            "fragments, pairs": table_stats(arriving),
        }
        for guarded in self._detectors:
            for name, tracker in named(guarded.detector, guarded.detector.trackers):
                keys, *values = tracker.tables
                name = f"{guarded.detector.name}: {name}"
                tables[name] = table_stats(keys, tracker.evicted)
                if values:
                    tables[f"{name}, values"] = table_stats(*values)
        return tables

    def _found_records(self, rows: NDArray[Any]) -> None:
        self._found.records.append(rows)

    def _raise_alert(self, alert: Alert, order: tuple[int, int, int]) -> None:
        """Let the plugins judge an alert, and put it where it belongs."""
        if alert.state == "end":
            self._going_on.pop(alert.id, None)
        if alert.kind in self._muted:
            return
        if not self._verdicts.judge(alert):
            self._stats.suppressed += 1
            return
        self._verdicts.observe(alert)
        if alert.state == "start":
            self._stats.alerts += 1
            self._alert_counts[alert.kind] += 1
            if self._state:
                self._going_on[alert.id] = alert.plugin
        self._found.alerts.append((order, alert))

    def _emit(self, events: Sequence[Event]) -> None:
        if events:
            with self._emitting:
                for outlet in self._outlets:
                    outlet.put(events)

    def _emit_notices(self) -> None:
        """Write the notices that wait. The watchdog does so, too."""
        if self._notices:
            with self._emitting:
                self._emit(self._notices.take())

    @property
    def _dropped(self) -> int:
        return sum(outlet.drops for outlet in self._every_outlet)

    @property
    def _every_outlet(self) -> list[Outlet]:
        return [*self._replaced, *self._outlets]

    def _fault(self, line: str) -> None:
        self._faults.append(line)
        if self._notices:
            self._notices.note(line)

    def _tell(self, line: str) -> None:
        (self._notices.note if self._notices else self._log)(line)

    def _plugin_failed(self, guarded: _Guarded, error: BaseException) -> None:
        guarded.failures += 1
        name = guarded.detector.name
        self._stats.plugin_errors[name] = self._stats.plugin_errors.get(name, 0) + 1
        name = label(self._plugins, name)
        self._log(f"{name}: {own_frames(error)}")
        if guarded.failures == 1:
            self._fault(f"{name}: it failed on a batch: {reason(error)}; what it would have found there is lost.")
        if guarded.failures == FAILURES_ALLOWED:
            self._fault(f"{name}: it failed {FAILURES_ALLOWED} times and was set aside; the other plugins went on.")

    def _hook_failed(self, name: str, hook: str, error: BaseException) -> None:
        errors = self._stats.plugin_errors
        errors[name] = errors.get(name, 0) + 1
        if (name, hook) not in self._told_hooks:
            self._told_hooks.add((name, hook))
            name = label(self._plugins, name)
            self._fault(f"{name}: {hook} failed: {reason(error)}; the alerts were written all the same.")
            self._log(f"{name}: {own_frames(error)}")

    def _tell_deprecated(self) -> None:
        for use in untold():
            owner = owner_of(self._plugins, use.package) or use.package
            self._tell(f"{owner} uses {use.what}, deprecated since plugin API {use.since}: {use.instead}.")

    def _tell_at_work(self, name: str, what: str) -> None:
        """Tell at once, while the packets wait, that a plugin takes too long."""
        self._tell(f"{label(self._plugins, name)}: {what}")
        self._emit_notices()


def _tell_alike(before: DetectorSettings, after: DetectorSettings) -> bool:
    """Whether a detector finds the same by either settings, where it looks: what it does not look at is no business of its own."""
    return before.model_copy(update={"allow": after.allow}) == after


def _kinds_of_ends(detectors: Sequence[tuple[type[Detector[Any]], Any]]) -> int:
    """The kinds of flows whose ends any detector wants, a bit for each."""
    mask = 0
    for detector, settings in detectors:
        wanted = detector.wants_ends(settings)
        for kind in Kind if wanted is True else wanted or ():
            mask |= 1 << kind
    return mask


def _flows(settings: FlowSettings, capacity: int, contacts: int, keep_ends: int) -> Flows:
    return Flows(
        capacity=capacity,
        contacts=contacts,
        silent_timeout=_ns(settings.silent_timeout),
        half_open_timeout=_ns(settings.half_open_timeout),
        tcp_idle=_ns(settings.tcp_idle),
        udp_idle=_ns(settings.udp_idle),
        closed_idle=_ns(settings.closed_idle),
        keep_ends=keep_ends,
    )


def _utc(time: int) -> str:
    return datetime.fromtimestamp(time // 1_000_000_000, UTC).isoformat()


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _rows(taken: memoryview) -> FlowRows:
    return FlowRows(np.frombuffer(taken, FLOW_DTYPE))


def _within(raw: RawBatch, since: int | None, until: int | None) -> RawBatch | None:
    """The packets of a time span; None where there are none."""
    if since is not None or until is not None:
        low = np.iinfo(np.int64).min if since is None else since
        high = np.iinfo(np.int64).max if until is None else until
        kept = (raw.time >= low) & (raw.time < high)
        raw = rows_of(raw, kept)
    return raw if len(raw) or raw.now is not None else None


def _same(running: AnySink, wanted: AnySink) -> bool:
    """Whether a sink that runs writes what, and where, another would."""
    return (
        type(running) is type(wanted)
        and running.settings == wanted.settings
        and (running.context.log_dest, running.context.names) == (wanted.context.log_dest, wanted.context.names)
    )


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
        return rows.take(np.lexsort((rows["index"], rows["phase"], rows["clock"])))
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
