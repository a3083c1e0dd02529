"""The engine: what a detector that fails costs, how plugins judge alerts, in which order events leave, and what is counted."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pluggy
import pytest

from iplog_core import hookimpl, hookspec
from iplog_core.batch import PacketBatch, RawBatch
from iplog_core.detector import AlertKind, Detector, PacketDetector
from iplog_core.engine import FAILURES_ALLOWED, Engine, Report
from iplog_core.errors import PluginError
from iplog_core.events import RECORD_DTYPE, Alert, Notice, Records, Stats
from iplog_core.notices import Notices
from iplog_core.rules import compile_rules
from iplog_core.settings import DetectorSettings, Settings, SinkSettings
from iplog_core.sink import SinkContext
from iplog_core.testing import EPOCH, Frame, Kept, MemorySource, in_order, raw_batch, refused, silent, tcp, udp


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
        host: Any = SimpleNamespace(
            settings=Settings(), detectors=[(cls, DetectorSettings()) for cls in detectors], hook=manager.hook, policies=[], places={}, known={}
        )
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


# A watch


class Live:
    """A source that watches: packets, then a quiet line up to a time, over and over; between two of them `then` is called."""

    def __init__(self, *passes: tuple[list[Frame], float], then: Callable[[int], None] = lambda number: None) -> None:
        self.faults: list[str] = []
        self.unsupported = self.size = self.position = 0
        self._passes = passes
        self._then = then

    def __iter__(self) -> Iterator[RawBatch]:
        for number, (frames, until) in enumerate(self._passes):
            if frames:
                yield raw_batch(frames)
            quiet = raw_batch([])
            quiet.now = round((EPOCH + until) * 1e9)
            yield quiet
            self._then(number)

    def close(self) -> None:
        pass


class Watch:
    """A watch with detectors, which `then` may change with `change`; what it wrote is in `events`."""

    def __init__(self, *passes: tuple[list[Frame], float], detectors: Sequence[Any], then: Callable[[Watch, int], None] | None = None, **settings: Any) -> None:
        self.sink = Kept(SinkSettings(), SinkContext())
        self.told: list[str] = []
        self.notices = Notices(self.told.append)
        source = Live(*passes, then=partial(then, self) if then else lambda number: None)
        self.engine = Engine(self.host(*detectors, **settings), source, [self.sink], None, log=self.told.append, notices=self.notices, patience=5.0)
        self.report = self.engine.run()

    def host(self, *detectors: Any, **settings: Any) -> Any:
        manager = pluggy.PluginManager("iplog")
        manager.add_hookspecs(hookspec)
        given = [(cls, DetectorSettings()) if isinstance(cls, type) else cls for cls in detectors]
        return SimpleNamespace(settings=Settings(**settings), detectors=given, hook=manager.hook, policies=[], places={}, known={})

    def change(self, *detectors: Any, sinks: Sequence[Any] = (), alerts_only: bool = False, **settings: Any) -> None:
        self.engine.change(self.host(*detectors, **settings), None, sinks or [self.sink], alerts_only=alerts_only)

    @property
    def alerts(self) -> list[tuple[str, str, float]]:
        return [(event.kind, event.state, event.time / 1e9 - EPOCH) for event in self.sink.events if isinstance(event, Alert)]


def test_a_quiet_line_lets_a_silence_be_decided_before_the_next_packet() -> None:
    assert Watch(([tcp()], 30), ([], 31), detectors=[Silences]).alerts[0] == ("silence", "start", 5)


def test_time_on_a_quiet_line_changes_no_alert() -> None:
    packets = [tcp(dport=port, at=port) for port in range(1, 60, 9)]
    one_by_one = [([packet], number * 9 + 6.5) for number, packet in enumerate(packets)]
    assert Watch(*one_by_one, detectors=[Silences, Knock]).alerts == Watch((packets, 0), ([], 60.5), detectors=[Silences, Knock]).alerts


def test_a_quiet_line_ends_an_episode_at_its_time() -> None:
    assert Watch(([tcp()], 100), ([], 200), detectors=[Knock]).alerts == [("knock", "start", 0), ("knock", "end", 60)]


def test_what_iplog_says_of_itself_is_an_event_in_its_turn() -> None:
    watch = Watch(([tcp()], 1), ([], 2), detectors=[Knock], then=lambda watch, number: watch.notices.note(f"pass {number}"))
    assert [event.message if isinstance(event, Notice) else event.state for event in watch.sink.events if isinstance(event, Notice | Alert)] == [
        "start", "pass 0", "end", "pass 1", "iplog stopped: 1 packets, 1 alerts; the kernel dropped 0 packets, the sinks 0 events.",
    ]  # fmt: skip


def test_a_fault_is_told_at_once() -> None:
    told: list[list[str]] = []
    Watch(([tcp()], 1), detectors=[Broken], then=lambda watch, number: told.append([line for line in watch.told if line.startswith("broken: it failed")]))
    assert len(told[0]) == 1


def test_kinds_that_are_muted_are_not_reported() -> None:
    assert Watch(([tcp()], 1), detectors=[Knock], mute=["knock"]).alerts == []


def test_a_detector_whose_settings_stay_keeps_what_it_knows_over_a_change() -> None:
    watch = Watch(([tcp()], 1), ([tcp(at=10, sport=2)], 11), detectors=[Knock], then=lambda watch, number: watch.change(Knock))
    assert [state for _, state, _ in watch.alerts] == ["start", "end"]


def test_the_episodes_of_a_detector_that_goes_end_with_it() -> None:
    watch = Watch(([tcp()], 1), ([tcp(at=10)], 11), detectors=[Knock], then=lambda watch, number: watch.change())
    assert watch.alerts == [("knock", "start", 0), ("knock", "end", 1)]


def test_a_detector_that_comes_with_a_change_finds_what_comes_after() -> None:
    watch = Watch(([tcp()], 1), ([tcp(at=10)], 11), detectors=[], then=lambda watch, number: watch.change(Knock))
    assert watch.alerts[0] == ("knock", "start", 10)


def test_a_detector_that_cannot_be_set_up_at_a_change_is_a_fault_and_the_others_go_on() -> None:
    class Unready(Broken):
        def setup(self) -> None:
            raise OSError("no such list")

    watch = Watch(([], 1), ([tcp(at=10)], 11), detectors=[Knock], then=lambda watch, number: watch.change(Knock, Unready))
    assert [kind for kind, _, _ in watch.alerts] == ["knock", "knock"]
    assert watch.report.faults[0].startswith("broken: it could not be set up: OSError: no such list")


def test_a_sink_that_comes_with_a_change_gets_what_comes_after() -> None:
    other = Kept(SinkSettings(), SinkContext(log_dest=False))
    Watch(([tcp()], 1), ([tcp(at=10, src="192.0.2.7")], 11), detectors=[Knock], then=lambda watch, number: watch.change(Knock, sinks=[other]))
    assert [event.src_ip for event in other.events if isinstance(event, Alert) and event.state == "start"] == ["192.0.2.7"]
