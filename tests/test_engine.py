"""The engine: what a detector that fails costs, how plugins judge alerts, in which order events leave, and what is counted."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pluggy
import pytest

from iplog_core import hookimpl, hookspec
from iplog_core.batch import PacketBatch
from iplog_core.detector import AlertKind, Detector, PacketDetector
from iplog_core.engine import FAILURES_ALLOWED, Engine, Report
from iplog_core.errors import IplogError, PluginError
from iplog_core.events import RECORD_DTYPE, Alert, Event, Records, Stats
from iplog_core.outlet import Outlet
from iplog_core.rules import compile_rules
from iplog_core.settings import DetectorSettings, Settings, SinkSettings
from iplog_core.sink import Sink, SinkContext
from iplog_core.testing import EPOCH, Kept, MemorySource, in_order, refused, silent, tcp, udp


class Knock(PacketDetector[DetectorSettings]):
    """Reports each SYN."""

    name = "knock"

    def on_packet(self, packet: Any) -> None:
        if packet.is_syn:
            self.alert("knock", packet, severity="low", port=packet.dport)


class Broken(Detector[DetectorSettings]):
    """Raises at every batch that has packets."""

    name = "broken"

    def on_batch(self, batch: PacketBatch) -> None:
        if len(batch):
            raise ValueError("no idea")


class Openings(Detector[DetectorSettings]):
    """Logs each packet that opens a flow."""

    name = "openings"

    def on_batch(self, batch: PacketBatch) -> None:
        rows = np.zeros(int(batch.opens.sum()), RECORD_DTYPE)
        for column in ("time", "clock", "index"):
            rows[column] = getattr(batch, column)[batch.opens]
        rows["phase"] = 1
        self.log(rows)


class Silences(Detector[DetectorSettings]):
    """Reports each flow that fails, when it does."""

    name = "silences"
    kinds = {"silence": AlertKind("TCP: silence", "info")}

    def setup(self) -> None:
        self.failed = self.tracker(key="pair", threshold=1, memory=1000, expiry=1000)

    def on_batch(self, batch: PacketBatch) -> None:
        for episode in self.failed.update(batch, decided=batch.decided.failed):
            self.alert("silence", episode)


class Leaving(Broken):
    """Calls sys.exit() at every batch that has packets."""

    name = "leaving"

    def on_batch(self, batch: PacketBatch) -> None:
        if len(batch):
            sys.exit(3)


class Run:
    """A run of the engine over packets, and what came of it."""

    def __init__(self, packets: Any, *detectors: type[Detector[Any]], plugins: Sequence[object] = (), batch_size: int = 256, **options: Any) -> None:
        manager = pluggy.PluginManager("iplog")
        manager.add_hookspecs(hookspec)
        for plugin in plugins:
            manager.register(plugin)
        host: Any = SimpleNamespace(settings=Settings(), detectors=[(cls, DetectorSettings()) for cls in detectors], hook=manager.hook)
        sink = Kept(SinkSettings(), SinkContext())
        self.log: list[str] = []
        rules = compile_rules(options.pop("rules", []))
        source = MemorySource(in_order(packets), batch_size, options.pop("interface", ""))
        self.report: Report = Engine(host, source, [sink], rules, log=self.log.append, **options).run()
        self.events = sink.events

    @property
    def alerts(self) -> list[Alert]:
        return [event for event in self.events if isinstance(event, Alert)]

    @property
    def starts(self) -> list[Alert]:
        return [alert for alert in self.alerts if alert.state == "start"]


# A detector that fails


def test_a_detector_that_raises_does_not_keep_the_others_from_their_work() -> None:
    assert [alert.kind for alert in Run([tcp()], Broken, Knock).starts] == ["knock"]


def test_a_detector_that_raises_is_a_fault_of_the_run() -> None:
    (fault,) = Run([tcp()], Broken).report.faults
    assert re.fullmatch(r"broken: it failed on a batch: ValueError: no idea \(test_engine.py, line \d+\); what it would have found there is lost\.", fault)


def test_a_detector_that_calls_exit_is_a_fault_like_any_other() -> None:
    run = Run([tcp()], Leaving, Knock)
    assert ([alert.kind for alert in run.starts], len(run.report.faults)) == (["knock"], 1)


def test_the_log_shows_the_frames_of_the_author_and_none_of_iplog() -> None:
    (line,) = Run([tcp()], Broken).log
    assert "test_engine.py" in line
    assert "iplog_core" not in line


def test_a_detector_that_keeps_failing_is_set_aside() -> None:
    run = Run([tcp(at=n) for n in range(FAILURES_ALLOWED + 3)], Broken, batch_size=1)
    assert run.report.stats.plugin_errors == {"broken": FAILURES_ALLOWED}
    assert run.report.faults[-1] == f"broken: it failed {FAILURES_ALLOWED} times and was set aside; the other plugins went on."


def test_a_detector_that_cannot_be_set_up_stops_the_start() -> None:
    class Unready(Broken):
        def setup(self) -> None:
            raise OSError("no such list")

    with pytest.raises(PluginError, match=r"^broken: it could not be set up: OSError: no such list"):
        Run([tcp()], Unready)


# What plugins say of an alert


class Hook:
    """A plugin with one hook."""

    def __init__(self, name: str, call: Callable[[Alert], Any]) -> None:
        def hook(alert: Alert) -> Any:
            return call(alert)

        setattr(self, name, hookimpl(hook))


def test_an_alert_that_a_plugin_drops_reaches_no_sink() -> None:
    run = Run([tcp()], Knock, plugins=[Hook("iplog_keep_alert", lambda alert: False)])
    assert (run.alerts, run.report.stats.alerts, run.report.stats.suppressed) == ([], 0, 2)


def test_an_alert_of_which_no_plugin_says_anything_is_kept() -> None:
    assert Run([tcp()], Knock, plugins=[Hook("iplog_keep_alert", lambda alert: None)]).starts != []


def test_a_plugin_can_give_an_alert_another_severity() -> None:
    assert Run([tcp()], Knock, plugins=[Hook("iplog_grade_alert", lambda alert: "high")]).starts[0].severity == "high"


def test_a_plugin_can_add_fields_to_an_alert() -> None:
    assert Run([tcp()], Knock, plugins=[Hook("iplog_alert_fields", lambda alert: {"asset": "door"})]).starts[0].extra == {"asset": "door"}


def test_where_two_plugins_add_the_same_field_the_one_enabled_first_wins() -> None:
    hooks = [Hook("iplog_alert_fields", lambda alert: {"asset": "first"}), Hook("iplog_alert_fields", lambda alert: {"asset": "second"})]
    # pluggy calls the plugin registered last first; the host registers the one enabled first last.
    assert Run([tcp()], Knock, plugins=hooks[::-1]).starts[0].extra == {"asset": "first"}


def test_a_plugin_observes_an_alert_as_the_others_made_it() -> None:
    seen: list[str] = []
    hooks = [Hook("iplog_alert", lambda alert: seen.append(alert.severity)), Hook("iplog_grade_alert", lambda alert: "high")]
    Run([tcp()], Knock, plugins=hooks)
    assert seen == ["high", "high"]


def test_an_alert_is_written_though_a_hook_fails() -> None:
    run = Run([tcp()], Knock, plugins=[Hook("iplog_alert", lambda alert: 1 / 0)])
    assert [alert.kind for alert in run.starts] == ["knock"]
    assert len(run.report.faults) == 1


@pytest.mark.parametrize("failing", ["iplog_keep_alert", "iplog_grade_alert", "iplog_alert_fields", "iplog_alert"])
def test_a_hook_that_fails_costs_its_own_answer_only(failing: str) -> None:
    hooks = [Hook("iplog_alert_fields", lambda alert: {"asset": "door"}), Hook(failing, lambda alert: 1 / 0)]
    assert Run([tcp()], Knock, plugins=hooks).starts[0].extra == {"asset": "door"}


def test_a_severity_that_there_is_not_is_a_fault_and_leaves_it_to_the_next_plugin() -> None:
    hooks = [Hook("iplog_grade_alert", lambda alert: "high"), Hook("iplog_grade_alert", lambda alert: "grave")]
    run = Run([tcp()], Knock, plugins=hooks)
    assert ([alert.severity for alert in run.starts], run.report.stats.alerts) == (["high"], 1)


# Order


def order(run: Run) -> list[str]:
    found = []
    for event in run.events:
        if isinstance(event, Records):
            found += [f"record {clock / 1e9 - EPOCH:g}" for clock in event.rows["clock"].tolist()]
        elif isinstance(event, Alert):
            found.append(f"{event.kind} {event.state} {event.time / 1e9 - EPOCH:g}")
    return found


@pytest.mark.parametrize("batch_size", [1, 2, 256])
def test_a_deadline_stands_before_the_first_packet_that_is_not_earlier(batch_size: int) -> None:
    run = Run([silent(), udp(at=4.5), udp(sport=2, at=5), udp(sport=3, at=6)], Openings, Silences, batch_size=batch_size)
    assert order(run)[:5] == ["record 0", "record 4.5", "silence start 5", "record 5", "record 6"]


@pytest.mark.parametrize("batch_size", [1, 256])
def test_a_record_stands_before_the_alert_of_the_same_packet(batch_size: int) -> None:
    run = Run([tcp(sport=1, src="192.0.2.1"), tcp(sport=2, src="192.0.2.2")], Knock, Openings, batch_size=batch_size)
    assert order(run)[:4] == ["record 0", "knock start 0", "record 0", "knock start 0"]


# What is counted, and what is left out


def test_packets_flows_alerts_and_malformed_packets_are_counted() -> None:
    broken = tcp(at=2)
    stats = Run([refused(), tcp(sport=2, at=1), type(broken)(broken.time, broken.data[:30], broken.link)], Knock).report.stats
    assert (stats.packets, stats.flows, stats.alerts, stats.malformed) == (4, 2, 1, {"truncated": 1})


@pytest.mark.parametrize("batch_size", [1, 256])
def test_malformed_packets_are_counted_in_a_fixed_order(batch_size: int) -> None:
    whole = tcp()
    cut = type(whole)(whole.time, whole.data[:30], whole.link)
    bad = type(whole)(whole.time, whole.data[:14] + b"\x41" + whole.data[15:], whole.link)
    for packets in ([cut, bad], [bad, cut]):
        assert list(Run(packets, batch_size=batch_size).report.stats.malformed) == ["bad_ip_header", "truncated"]


def test_ignored_packets_are_counted_and_not_seen_by_a_detector() -> None:
    run = Run([tcp(dport=25), tcp(dport=80, at=1)], Knock, rules=["ignore tcp dport 25"])
    assert ([alert.evidence.model_dump()["port"] for alert in run.starts], run.report.stats.ignored) == ([80], 1)


def test_the_statistics_are_the_last_event_where_they_are_asked_for() -> None:
    last = Run([tcp()], Knock, stats=True).events[-1]
    assert isinstance(last, Stats)
    assert last.packets == 1


def test_packets_before_since_and_from_until_on_are_left_out() -> None:
    ns = EPOCH * 10**9
    run = Run([tcp(sport=n, at=n) for n in range(5)], Openings, since=ns + 10**9, until=ns + 3 * 10**9)
    assert order(run) == ["record 1", "record 2"]


def test_with_alerts_only_nobody_is_asked_for_records() -> None:
    run = Run([tcp()], Openings, Knock, alerts_only=True)
    assert [type(event) for event in run.events] == [Alert, Alert]


def test_who_opens_most_flows_is_told_where_progress_is_followed() -> None:
    packets = [tcp("192.0.2.1", sport=n) for n in range(3)] + [tcp("192.0.2.2")]
    assert Run(packets, Knock, progress=lambda stats: None).report.top_sources == [("192.0.2.1", 3), ("192.0.2.2", 1)]


# Sinks behind their queues


class Held(Kept):
    """Waits at its first events until it is let go."""

    def open(self) -> None:
        super().open()
        self.reached, self.go = threading.Event(), threading.Event()

    def write(self, events: Sequence[Event]) -> None:
        self.reached.set()
        self.go.wait()
        super().write(events)


def outlet(sink: Sink[Any], when_full: Any = "block") -> tuple[Outlet, list[str]]:
    faults: list[str] = []
    made = Outlet(sink, 1, when_full, faults.append)
    made.start()
    return made, faults


def test_events_that_find_the_queue_full_are_dropped_and_counted() -> None:
    sink = Held(SinkSettings(), SinkContext())
    made, _ = outlet(sink, "drop")
    made.put([Stats()])
    sink.reached.wait()
    made.put([Stats()])
    made.put([Stats(), Stats()])
    sink.go.set()
    made.stop()
    assert (len(sink.events), made.drops) == (2, 2)


def test_a_sink_that_cannot_write_costs_its_events_and_one_line() -> None:
    class Full(Kept):
        def write(self, events: Sequence[Event]) -> None:
            raise OSError(28, "No space left on device")

    made, faults = outlet(Full(SinkSettings(), SinkContext()))
    made.put([Stats()])
    made.put([Stats()])
    made.stop()
    assert (made.drops, faults) == (2, ["kept: it could not write: No space left on device; what is lost is counted."])


def test_a_sink_that_cannot_be_opened_stops_the_start() -> None:
    class Shut(Kept):
        def open(self) -> None:
            raise IplogError("kept: it is shut.")

    with pytest.raises(IplogError, match=r"^kept: it is shut"):
        outlet(Shut(SinkSettings(), SinkContext()))


@pytest.mark.parametrize("error", [ValueError("no luck"), SystemExit(3)])
def test_a_sink_that_fails_to_open_in_any_way_stops_the_start(error: BaseException) -> None:
    class Unready(Kept):
        def open(self) -> None:
            raise error

    with pytest.raises(IplogError, match=r"^kept: it could not be opened"):
        outlet(Unready(SinkSettings(), SinkContext()))


def test_a_sink_that_calls_exit_does_not_hold_up_the_run() -> None:
    class Leaving(Kept):
        def write(self, events: Sequence[Event]) -> None:
            sys.exit(3)

    made, faults = outlet(Leaving(SinkSettings(), SinkContext()))
    for _ in range(5):
        made.put([Stats()])
    made.stop()
    assert (made.drops, len(faults)) == (5, 1)


def test_a_reader_that_went_away_is_no_fault_but_the_end() -> None:
    class Unread(Kept):
        def write(self, events: Sequence[Event]) -> None:
            raise BrokenPipeError

    made, faults = outlet(Unread(SinkSettings(), SinkContext()))
    made.put([Stats()])
    made.stop()
    assert (made.closed, faults) == (True, [])


def test_what_ends_with_the_capture_names_its_interface_too() -> None:
    run = Run([tcp()], Knock, interface="eth0")
    assert [(alert.state, alert.in_iface) for alert in run.alerts] == [("start", "eth0"), ("end", "eth0")]


# A packet detector's episodes


def test_what_one_source_does_to_one_target_again_is_the_same_episode() -> None:
    run = Run([tcp(sport=n, at=n) for n in range(1, 5)], Knock)
    assert [(alert.state, alert.packets) for alert in run.alerts] == [("start", 1), ("end", 4)]


def test_severity_and_evidence_of_the_first_packet_hold_for_the_end() -> None:
    run = Run([tcp(dport=1), tcp(dport=2, at=1)], Knock)
    assert [(alert.severity, alert.evidence.model_dump()["port"]) for alert in run.alerts] == [("low", 1), ("low", 1)]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_after_a_minute_of_quiet_it_is_another_episode(batch_size: int) -> None:
    run = Run([tcp(at=0), tcp(sport=2, at=30), tcp(sport=3, at=90)], Knock, batch_size=batch_size)
    assert [(alert.state, alert.time / 1e9 - EPOCH) for alert in run.alerts] == [("start", 0), ("end", 90), ("start", 90), ("end", 90)]
