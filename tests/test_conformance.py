"""Each check of the conformance suite finds a plugin that breaks its rule, and no other check is needed for it; a plugin that keeps to all of them passes."""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, Field

from iplog_core import (
    Alert,
    AlertKind,
    Detector,
    DetectorSettings,
    IplogError,
    Packet,
    PacketBatch,
    PacketDetector,
    Policy,
    PolicySettings,
    Sink,
    SinkSettings,
    Tracker,
)
from iplog_core.testing import Packets, alert, refused, udp_exchange
from iplog_core.testing.conformance import DetectorConformance, PolicyConformance, SinkConformance

S = TypeVar("S", bound=DetectorSettings)
Suite = DetectorConformance | SinkConformance | PolicyConformance


class Settings(DetectorSettings):
    ports: int = Field(3, ge=1, description="Distinct ports that make a scan.")


class PortsOf(Detector[S]):
    """Reports who tries three ports in vain; it keeps to all rules, and what is derived from it breaks one."""

    name = "ports"
    kinds = {"ports": AlertKind("TCP: ports", "low")}

    def setup(self) -> None:
        self.tried = self.tracker(key="pair", distinct="dest_port", threshold=3, memory=1000, expiry=60)
        self.seen: Any = 0

    def on_batch(self, batch: PacketBatch) -> None:
        for scan in self.tried.update(batch, where=batch.opens):
            self.alert("ports", scan)


class Ports(PortsOf[DetectorSettings]):
    pass


class Good(PortsOf[Settings]):
    def setup(self) -> None:
        self.tried = self.tracker(key="pair", distinct="dest_port", threshold=self.settings.ports, memory=1000, expiry=60)


# Detectors, each with the checks that find it.


class Blind(Ports):
    def on_batch(self, batch: PacketBatch) -> None:
        pass


class Undeclared(Ports):
    kinds = {"sweep": AlertKind("TCP: sweep", "low")}


class Unnamed(Ports):
    kinds = {"ports": AlertKind(" ", "low")}


class OddKind(Ports):
    kinds = {"ports": AlertKind("TCP: ports", "low"), "Port scan!": AlertKind("TCP: port scan", "low")}


class Grave(Ports):
    kinds = {"ports": AlertKind("TCP: ports", "low"), "worse": AlertKind("TCP: worse", "critical")}  # type: ignore[arg-type]


class OddLine(Ports):
    kinds = {"ports": AlertKind("TCP: ports", "low"), "other": AlertKind("TCP: other", "low", line="{host} was there")}


class WithoutEnd(Ports):
    def on_batch(self, batch: PacketBatch) -> None:
        for scan in self.tried.update(batch, where=batch.opens):
            if scan.state != "end":
                self.alert("ports", scan)


class Shrinking(Ports):
    def on_batch(self, batch: PacketBatch) -> None:
        for scan in self.tried.update(batch, where=batch.opens):
            if scan.state == "end":
                scan.packets = 1
            self.alert("ports", scan)


class Chance(Ports):
    def on_batch(self, batch: PacketBatch) -> None:
        for scan in self.tried.update(batch, where=batch.opens):
            self.alert("ports", scan, lot=random.random())


class CountsBatches(Ports):
    def on_batch(self, batch: PacketBatch) -> None:
        self.seen += len(batch) > 0
        for scan in self.tried.update(batch, where=batch.opens):
            self.alert("ports", scan, batches=self.seen)

    def save(self) -> dict[str, Any]:
        return {**super().save(), "seen": self.seen}

    def restore(self, saved: dict[str, Any], now: int) -> bool:
        self.seen = int(saved["seen"])
        return super().restore(saved, now)


class PerBatch(Ports):
    """It sees a scan only where its packets came in one batch."""

    def on_batch(self, batch: PacketBatch) -> None:
        enough = np.full(len(batch), int(batch.opens.sum()) >= 3)
        for scan in self.tried.update(batch, where=batch.opens & enough):
            self.alert("ports", scan)


class TellsItsRoom(Ports):
    def on_batch(self, batch: PacketBatch) -> None:
        for scan in self.tried.update(batch, where=batch.opens):
            _, capacity, *_ = self.tried.tables[0]
            self.alert("ports", scan, room=capacity)


class Impatient(Ports):
    """It takes an empty batch for the end."""

    def on_batch(self, batch: PacketBatch) -> None:
        self.seen = self.seen or not len(batch)
        if not self.seen or batch.final:
            super().on_batch(batch)

    def save(self) -> dict[str, Any]:
        return {**super().save(), "seen": self.seen}


class Forgetful(Ports):
    """What it keeps beside its tracker is not saved."""

    def on_batch(self, batch: PacketBatch) -> None:
        for scan in self.tried.update(batch, where=batch.opens):
            if scan.state == "start":
                self.seen = scan.distinct
            self.alert("ports", scan, at_the_start=self.seen)


class SavesObjects(Ports):
    def save(self) -> dict[str, Any]:
        return {**super().save(), "context": {1, 2}}


class SavesWhatChanges(Ports):
    def setup(self) -> None:
        super().setup()
        self.sizes: list[int] = []

    def on_batch(self, batch: PacketBatch) -> None:
        super().on_batch(batch)
        self.sizes[:] = [len(batch), *self.sizes[:3]]

    def save(self) -> dict[str, Any]:
        return {**super().save(), "sizes": self.sizes}


class Stubborn(PortsOf[Settings]):
    """It raises where the settings are others than those of what was saved."""

    def save(self) -> dict[str, Any]:
        return {**super().save(), "ports": self.settings.ports}

    def restore(self, saved: dict[str, Any], now: int) -> bool:
        if saved["ports"] != self.settings.ports:
            raise ValueError("other settings")
        return super().restore(saved, now)


class Credulous(Ports):
    """It takes whatever it is given, and works with it later."""

    def on_batch(self, batch: PacketBatch) -> None:
        self.seen += len(batch)
        super().on_batch(batch)

    def save(self) -> dict[str, Any]:
        return {**super().save(), "seen": self.seen}

    def restore(self, saved: dict[str, Any], now: int) -> bool:
        self.seen = saved.get("seen")
        return super().restore(saved, now)


class Hoarding(Ports):
    """It remembers every source."""

    def setup(self) -> None:
        super().setup()
        self.seen = {}

    def on_batch(self, batch: PacketBatch) -> None:
        self.seen.update(dict.fromkeys(zip(batch.src_hi.tolist(), batch.src_lo.tolist(), strict=True)))
        super().on_batch(batch)


class HoardingWhatIsOpen(Ports):
    """It remembers every source under a name that the core has for what its trackers bound."""

    def setup(self) -> None:
        super().setup()
        self._open: set[int] = set()

    def on_batch(self, batch: PacketBatch) -> None:
        self._open.update(batch.src_lo.tolist())
        super().on_batch(batch)


KNOWN: set[int] = set()


class HoardingElsewhere(Ports):
    """It remembers every source in a table of its module."""

    def on_batch(self, batch: PacketBatch) -> None:
        KNOWN.update(batch.src_lo.tolist())
        super().on_batch(batch)


class OwnTracker(Ports):
    def setup(self) -> None:
        self.tried = Tracker(key="pair", distinct="dest_port", threshold=3, memory=1000, expiry=60)

    def save(self) -> dict[str, Any]:
        return {**super().save(), "tried": self.tried.save()}

    def restore(self, saved: dict[str, Any], now: int) -> bool:
        return self.tried.restore(saved["tried"], now) and super().restore(saved, now)


class Fragile(Ports):
    def on_batch(self, batch: PacketBatch) -> None:
        if (batch.malformed != 0).any():
            raise IndexError("a header that is not there")
        super().on_batch(batch)


class Silent(DetectorSettings):
    ports: int = Field(3, ge=1)


class SilentAboutSettings(PortsOf[Silent]):
    pass


class Contradictory(DetectorSettings):
    ports: int = Field(0, ge=1, description="Ports.")


class DefaultOutOfLimits(PortsOf[Contradictory]):
    pass


class Unvalidated(DetectorSettings):
    ports: int = Field("3", description="Ports.")  # type: ignore[assignment]


class DefaultOfAnotherType(PortsOf[Unvalidated]):
    pass


class Open(DetectorSettings):
    model_config = ConfigDict(extra="allow")


class AnySettings(PortsOf[Open]):
    pass


class Something:
    pass


class Opaque(DetectorSettings):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    thing: Something | None = Field(None, description="A thing.")


class WithoutSchema(PortsOf[Opaque]):
    pass


class Foreign(BaseModel):
    model_config = ConfigDict(extra="forbid")
    allow: list[str] = Field([], description="As in DetectorSettings.")


class ForeignSettings(PortsOf[Foreign]):  # type: ignore[type-var]
    pass


class Capital(Ports):
    name = "Ports"


SAVING = "it_goes_on_after_it_was_saved_and_restored"

DETECTORS = [
    (Blind, "it_raises_an_alert_over_its_packets", "raises no alert"),
    (Undeclared, "its_alerts_are_of_the_kinds_that_it_declares", "raises ports, and declares sweep"),
    (Unnamed, "each_kind_has_a_name_a_severity_and_a_line", "no signature"),
    (OddKind, "each_kind_has_a_name_a_severity_and_a_line", "'Port scan!' is no name"),
    (Grave, "each_kind_has_a_name_a_severity_and_a_line", "severity 'critical'"),
    (OddLine, "each_kind_has_a_name_a_severity_and_a_line", "{host}, which is no field"),
    (Unnamed, "each_alert_has_a_signature_a_severity_and_a_line_of_text", "has the signature ' '"),
    (WithoutEnd, "each_episode_starts_once_and_ends_once", "goes start."),
    (Shrinking, "each_episode_starts_once_and_ends_once", "fewer packets"),
    (Chance, "another_run_tells_the_same", "A second run ports tells something else"),
    (CountsBatches, "the_size_of_a_batch_changes_nothing", "'batches': "),
    (PerBatch, "the_size_of_a_batch_changes_nothing", "With batches of 1 packets"),
    (TellsItsRoom, "memory_that_is_allotted_anew_changes_nothing", "Where the memory is shared out anew"),
    (Impatient, "time_that_passes_without_packets_changes_nothing", "as on a quiet line"),
    (Forgetful, "an_episode_that_was_open_when_it_was_saved_goes_on", "'at_the_start': 3"),
    (Forgetful, SAVING, "Saved after packet"),
    (SavesObjects, "what_it_saves_are_plain_values", "a value of type set"),
    (SavesWhatChanges, "what_it_saved_does_not_change_later", "changed while the detector went on"),
    (Stubborn, "other_settings_do_no_harm_to_what_was_saved", "What was saved with ports = 3 raises with ports = 6"),
    (Credulous, "what_it_cannot_have_saved_does_no_harm", "after it was restored from what has {} at ['seen']"),
    (Hoarding, "what_it_keeps_is_bounded", "entries beside its trackers"),
    (HoardingWhatIsOpen, "what_it_keeps_is_bounded", "entries beside its trackers"),
    (HoardingElsewhere, "what_it_keeps_is_bounded", "entries beside its trackers"),
    (OwnTracker, "what_it_keeps_is_bounded", "a tracker that takes no part in the memory"),
    (Fragile, "it_survives_malformed_packets", "a header that is not there"),
    (SilentAboutSettings, "each_setting_says_what_it_means", "Silent.ports"),
    (DefaultOutOfLimits, "each_default_is_a_value_that_would_be_taken", "its default 0 is none that it takes"),
    (DefaultOfAnotherType, "each_default_is_a_value_that_would_be_taken", "its default is '3', and the same value in a file is 3"),
    (AnySettings, "a_setting_that_it_does_not_have_is_an_error", "a misspelt one is never noticed"),
    (WithoutSchema, "its_settings_have_a_json_schema", "Opaque has no JSON schema"),
    (ForeignSettings, "its_settings_derive_from_those_of_its_kind", "derives from iplog_core.DetectorSettings"),
    (Capital, "its_name_is_that_of_its_entry_point", "has the name 'Ports'"),
]


class TestGoodDetector(DetectorConformance):
    detector = Good

    def packets(self) -> Packets:
        return scan()


class Knock(PacketDetector[DetectorSettings]):
    """Reports SYNs, one packet at a time, with the port of the first."""

    name = "knock"
    kinds = {"knock": AlertKind("TCP: knock", "low", ports=True)}

    def on_packet(self, packet: Packet) -> None:
        if packet.is_syn:
            self.alert("knock", packet, severity="high", port=packet.dport)


class TestGoodPacketDetector(DetectorConformance):
    detector = Knock

    def packets(self) -> Packets:
        return scan()


@pytest.mark.parametrize(("cls", "check", "said"), DETECTORS)
def test_a_detector_that_breaks_a_rule_is_found_and_told_why(cls: type[Detector[Any]], check: str, said: str, tmp_path: Path) -> None:
    class Conformance(DetectorConformance):
        detector = cls

        def packets(self) -> Packets:
            return scan()

    assert said in failure(Conformance(), check, tmp_path)


def test_every_check_of_detectors_finds_one() -> None:
    assert checks(DetectorConformance) == {check for _, check, _ in DETECTORS}


def test_a_suite_that_does_not_say_what_it_tests_is_told_so(tmp_path: Path) -> None:
    assert "detector = TheClass" in failure(DetectorConformance(), "each_setting_says_what_it_means", tmp_path)


# Sinks.


class Printing(Sink[SinkSettings]):
    """Writes how many events there are of each class; it keeps to all rules."""

    name = "printing"
    format = "words"

    def write(self, events: Any) -> None:
        for event in events:
            if isinstance(event, Alert):
                print(event.kind)


class Choosy(Printing):
    def write(self, events: Any) -> None:
        for event in events:
            if isinstance(event, Alert):
                print(event.src_ip + " " + event.kind)  # type: ignore[operator]


class NeedsEvents(Printing):
    def write(self, events: Any) -> None:
        print(events[0])


class ExpectsHosts(Printing):
    def expect(self, events: Any) -> None:
        for event in events:
            _ = event.src_ip


class Meddling(Printing):
    def write(self, events: Any) -> None:
        for event in events:
            if isinstance(event, Alert):
                event.severity = "info"


class OpensOnce(Printing):
    is_open = False

    def reopen(self) -> None:
        raise OSError("it is open")


class NeedsToWrite(Printing):
    last: Any

    def write(self, events: Any) -> None:
        self.last = events

    def close(self) -> None:
        print(self.last)


class Lingering(Printing):
    taken: list[str] = []

    def open(self) -> None:
        if self.taken:
            raise IplogError("it is in use")
        self.taken.append("it")

    def __del__(self) -> None:
        self.taken.clear()


class MainThreadOnly(Printing):
    def write(self, events: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("another thread")


class SwallowsErrors(Printing):
    pass


class LeavesAThread(Printing):
    def open(self) -> None:
        self.ended = threading.Event()
        threading.Thread(target=self.ended.wait, args=(30,), name="left", daemon=True).start()


class PerCall(Printing):
    def write(self, events: Any) -> None:
        print(len(events))


SINKS = [
    (Choosy, "it_takes_every_event", "None"),
    (NeedsEvents, "it_takes_events_many_at_a_time_and_none_at_all", "where there are no events: IndexError"),
    (ExpectsHosts, "it_begins_what_takes_long_without_a_fault", "expect raises at a connection attempt"),
    (Meddling, "it_leaves_events_as_they_are", "changes what it is given: an alert: a start"),
    (OpensOnce, "it_goes_on_after_it_was_told_to_open_its_destination_anew", "reopen raises: OSError"),
    (NeedsToWrite, "it_can_be_closed_without_having_written_anything", "close raises: AttributeError"),
    (Lingering, "one_follows_the_other", "it is in use"),
    (MainThreadOnly, "behind_its_queue_nothing_is_lost", "another thread"),
    (SwallowsErrors, "what_it_cannot_write_is_counted", "0 are counted as lost"),
    (LeavesAThread, "after_its_end_nothing_of_it_runs", "left still runs"),
    (PerCall, "what_a_format_writes_does_not_depend_on_how_it_is_given", "1 events at a time"),
]


class TestGoodSink(SinkConformance):
    sink = Printing


@pytest.mark.parametrize(("cls", "check", "said"), SINKS)
def test_a_sink_that_breaks_a_rule_is_found_and_told_why(cls: type[Sink[Any]], check: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Conformance(SinkConformance):
        sink = cls

        def unwritable_in(self, folder: Path) -> dict[str, Any]:
            return {}

    monkeypatch.setattr("iplog_core.testing.conformance.sinks._PATIENCE", 0.1)
    assert said in failure(Conformance(), check, tmp_path)


def test_every_check_of_sinks_finds_one() -> None:
    assert checks(SinkConformance) - checks(PolicyConformance) == {check for _, check, _ in SINKS}


# Policies.


class OwnHosts(Policy[PolicySettings]):
    """Knows one host; it keeps to all rules."""

    name = "own_hosts"

    def fields(self, alert: Alert) -> dict[str, Any]:
        return {"asset": "www"} if alert.dest_ip == "192.0.2.1" else {}


class SaysNothing(Policy[PolicySettings]):
    name = "says_nothing"


class NeedsASource(OwnHosts):
    def keep(self, alert: Alert) -> bool | None:
        return alert.src_ip.startswith("10.")  # type: ignore[union-attr]


class Words(OwnHosts):
    def grade(self, alert: Alert) -> Any:
        return "critical"


class NotPlain(OwnHosts):
    def fields(self, alert: Alert) -> dict[str, Any]:
        return {"asset": object()}


class Moody(OwnHosts):
    def keep(self, alert: Alert) -> bool | None:
        return random.random() < 0.5


class Writing(OwnHosts):
    def fields(self, alert: Alert) -> dict[str, Any]:
        alert.extra["asset"] = "www"
        return {}


class StartsOnce(OwnHosts):
    started = False

    def start(self) -> None:
        if self.started:
            raise IplogError("it was started before")
        self.started = True


class Shared(OwnHosts):
    names: dict[str, str] = {}

    def start(self) -> None:
        self.names["192.0.2.1"] = "www"

    def fields(self, alert: Alert) -> dict[str, Any]:
        return {"asset": self.names["192.0.2.1"]}

    def stop(self) -> None:
        self.names.clear()


POLICIES = [
    (SaysNothing, "it_has_something_to_say", "neither keep nor grade nor fields"),
    (NeedsASource, "it_survives_every_alert", "keep raises at one that blames nobody"),
    (Words, "its_answers_are_what_is_asked", "grade answers 'critical'"),
    (NotPlain, "its_answers_are_what_is_asked", "fields answers"),
    (Moody, "it_says_the_same_of_the_same_alert", "and said"),
    (Writing, "it_leaves_the_alert_as_it_is", "changes alert 1 of alerts()"),
    (StartsOnce, "it_can_be_started_and_stopped_again", "it was started before"),
    (Shared, "another_one_starts_before_it_stops", "when another object with its settings has been stopped"),
]


class TestGoodPolicy(PolicyConformance):
    policy = OwnHosts

    def alerts(self) -> list[Alert]:
        return [alert(dest_ip="192.0.2.1")]


@pytest.mark.parametrize(("cls", "check", "said"), POLICIES)
def test_a_policy_that_breaks_a_rule_is_found_and_told_why(cls: type[Policy[Any]], check: str, said: str, tmp_path: Path) -> None:
    class Conformance(PolicyConformance):
        policy = cls

        def alerts(self) -> list[Alert]:
            return [alert(dest_ip="192.0.2.1")]

    assert said in failure(Conformance(), check, tmp_path)


def test_every_check_of_policies_finds_one() -> None:
    assert checks(PolicyConformance) - checks(SinkConformance) == {check for _, check, _ in POLICIES}


def scan() -> Packets:
    return [[refused(dport=port, at=port) for port in range(1, 15)], udp_exchange(at=3600)]


def checks(suite: type[Suite]) -> set[str]:
    return {name.removeprefix("test_") for name in dir(suite) if name.startswith("test_")}


def failure(suite: Suite, check: str, folder: Path) -> str:
    """Make a check with the arguments that it takes, of several the first that finds something, and return what it says."""
    test = getattr(suite, f"test_{check}")
    for arguments in _arguments(test, folder):
        try:
            test(**arguments)
        except pytest.fail.Exception as failed:
            return str(failed.msg)
    raise AssertionError(f"{check} finds nothing")


def _arguments(test: Any, folder: Path) -> Iterator[dict[str, Any]]:
    fixed = {"tmp_path": folder} if "tmp_path" in inspect.signature(test).parameters else {}
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    if not marks:
        yield fixed
        return
    (mark,) = marks
    for number, value in enumerate(mark.args[1]):
        inner = folder / str(number)
        inner.mkdir()
        yield {**fixed, **({"tmp_path": inner} if fixed else {}), mark.args[0]: value}
