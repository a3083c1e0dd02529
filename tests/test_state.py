"""What is known from one run to the next: two halves of a capture are as good as the whole, and no file can do harm."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pluggy
import pytest
from harness import frames_of
from hypothesis import given, settings
from hypothesis import strategies as st
from namespaces import Host
from reading import plugins
from sites import Iplog
from watching import watching

from iplog_core import Alert, Detector, DetectorSettings, IplogError, Packet, PacketBatch, PacketDetector, RawBatch, SinkContext, SinkSettings, hookspec
from iplog_core.detector import AlertKind
from iplog_core.engine import Engine, Report
from iplog_core.events import Records
from iplog_core.kernel.flows import Flows
from iplog_core.notices import Notices
from iplog_core.settings import Settings
from iplog_core.sink import Sink
from iplog_core.state import Known, StateFile, restore_flows, saved_flows
from iplog_core.testing import EPOCH, Frame, Kept, MemorySource, handshake, in_order, raw_batch, refused, tcp
from iplog_flood import Flood
from iplog_flood import Settings as FloodSettings
from iplog_tcp_scan import Settings as TcpScanSettings
from iplog_tcp_scan import TcpScan

pytestmark = pytest.mark.kernel

CAPTURES = Path(__file__).parent / "captures"
CUT = ["decoy_scan", "demo", "distributed_scan", "ipv6_udp_scan", "monitoring", "os_fingerprint", "ping_sweep", "port_sweep", "smurf", "slow_scan", "syn_scan"]


def quick(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None)


class PortsSettings(DetectorSettings):
    ports: int = 3


class Ports(Detector[PortsSettings]):
    """Reports who tries three ports in vain, and keeps a count and more of its own."""

    name = "ports"
    kinds = {"ports": AlertKind("TCP: ports", "low")}

    def setup(self) -> None:
        self.tried = self.tracker(key="pair", distinct="dest_port", threshold=self.settings.ports, memory=1000, expiry=60)
        self.asked = self.tracker(key="source", threshold=2, memory=1000, expiry=60)
        self.packets = 0

    def on_batch(self, batch: PacketBatch) -> None:
        self.packets += len(batch)
        self.asked.update(batch, where=batch.opens)
        for scan in self.tried.update(batch, where=batch.opens, decided=np.ones(len(batch.decided), np.bool_)):
            self.alert("ports", scan)

    def save(self) -> dict[str, Any]:
        return {**super().save(), "packets": self.packets, "pairs": {"a": [(1, 2)]}, "array": np.arange(3)}

    def restore(self, saved: dict[str, Any], now: int) -> bool:
        self.packets = saved["packets"]
        assert (saved["pairs"], saved["array"].tolist()) == ({"a": ((1, 2),)}, [0, 1, 2])
        return super().restore(saved, now)


class Knock(PacketDetector[DetectorSettings]):
    """Reports SYNs."""

    name = "knock"

    def on_packet(self, packet: Packet) -> None:
        if packet.is_syn:
            self.alert("knock", packet, severity="high")


class Secretive(Knock):
    """Keeps what no file can hold."""

    name = "secretive"

    def save(self) -> dict[str, Any]:
        return {"lock": object()}


class Run:
    """A run of the engine with a state file: its report, what it told, what it brought forth."""

    def __init__(self, packets: Any, path: Path | None, *detectors: Any, batch_size: int = 256, interface: str = "", **options: Any) -> None:
        self.told: list[str] = []
        kept = Kept(SinkSettings(), SinkContext())
        state = StateFile(path, self.told.append) if path else None
        host = host_of(*detectors) if detectors else plugins()
        source = options.pop("source", None) or MemorySource(in_order(packets), batch_size, interface)
        self.report: Report = Engine(host, source, [kept], None, state=state, log=self.told.append, **options).run()
        self.events = [part for event in kept.events for part in plain(event)]
        self.alerts = [event for event in kept.events if isinstance(event, Alert)]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(alert.state, alert.id) for alert in self.alerts]


def host_of(*detectors: Any, **core: Any) -> Any:
    manager = pluggy.PluginManager("iplog")
    manager.add_hookspecs(hookspec)
    given = [(cls, PortsSettings()) if isinstance(cls, type) else cls for cls in detectors]
    return SimpleNamespace(settings=Settings(**core), detectors=given, hook=manager.hook, policies=[], places={}, known={})


def plain(event: Any) -> list[Any]:
    return event.rows.tolist() if isinstance(event, Records) else [event.model_dump() if hasattr(event, "model_dump") else event]


def scan(ports: Sequence[int], at: float = 0, src: str = "203.0.113.9") -> list[Frame]:
    return in_order([refused(src, dport=port, at=at + number / 10) for number, port in enumerate(ports)])


def rewritten(path: Path, change: Callable[[Known], None]) -> None:
    """Write a state again with something changed in it."""
    state = StateFile(path, print)
    known = state.open()
    assert known
    change(known)
    state.save_now(known)


def taken(path: Path, name: str) -> dict[str, Any]:
    """A part of a state."""
    known = StateFile(path, print).open()
    assert known
    part = known.take(name)
    assert part is not None
    return part


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


# Two halves are the whole


@cache
def whole(capture: str) -> tuple[list[Frame], list[Any], bytes]:
    """The packets of a capture, what a run over all of them brings forth, and the state that it leaves."""
    frames = frames_of(CAPTURES / f"{capture}.pcap")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        return frames, Run(frames, path).events, path.read_bytes()


@quick(15)
@given(capture=st.sampled_from(CUT), cut=st.floats(0, 1), size=st.sampled_from([64, 8192]))
def test_two_runs_over_the_halves_of_a_capture_are_one_over_the_whole(capture: str, cut: float, size: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("state") / "state"
    frames, events, state = whole(capture)
    middle = 1 + round(cut * (len(frames) - 2))
    halves = [Run(part, path, batch_size=size) for part in (frames[:middle], frames[middle:])]
    assert [event for half in halves for event in half.events] == events
    assert path.read_bytes() == state


def test_an_episode_that_is_open_at_the_end_is_kept_and_ended_by_the_next_run(state: Path) -> None:
    first = Run(scan([1, 2, 3, 4]), state, Ports)
    second = Run([tcp("192.0.2.7", at=100)], state, Ports)
    (start,) = first.states
    assert (start[0], second.states) == ("start", [("end", start[1])])


def test_without_a_state_every_episode_ends_with_the_run() -> None:
    assert [state for state, _ in Run(scan([1, 2, 3, 4]), None, Ports).states] == ["start", "end"]


def test_a_scan_whose_probes_are_shared_out_over_runs_is_found(state: Path) -> None:
    runs = [Run(scan([port], at=port * 30), state, Ports) for port in (1, 2, 3)]
    assert [[state for state, _ in run.states] for run in runs] == [[], [], ["start"]]


def test_a_flow_that_is_open_at_the_end_of_a_run_is_answered_in_the_next(state: Path) -> None:
    attempt, *answered = handshake("203.0.113.9", dport=2, at=2)
    Run([tcp("203.0.113.9", dport=1, at=1), attempt], state, Ports)
    assert Run([*answered, tcp("203.0.113.9", dport=3, at=3)], state, Ports).states == []


def test_what_a_packet_detector_said_at_the_start_holds_for_the_end_in_another_run(state: Path) -> None:
    Run([tcp()], state, Knock)
    (end,) = Run([tcp(flags="A", at=100, sport=9)], state, Knock).alerts
    assert (end.state, end.severity) == ("end", "high")


def test_a_flood_that_ends_in_another_run_is_still_that_of_its_source(state: Path) -> None:
    flood = [tcp("203.0.113.9", sport=1024 + number, at=number / 1000) for number in range(1500)]
    first, second = Run(flood, state), Run([tcp("192.0.2.7", at=500)], state)
    told = [[(alert.state, alert.id, alert.src_ip) for alert in run.alerts if alert.kind == "syn_flood"] for run in (first, second)]
    assert told[1] == [("end", told[0][0][1], "203.0.113.9")]


def test_an_interface_keeps_its_name_though_it_has_another_number(state: Path) -> None:
    class Two(MemorySource):
        def __iter__(self) -> Any:
            for raw in super().__iter__():
                raw.interfaces, raw.interface = ["eth1", "eth0"], raw.interface
                yield raw

    Run(scan([1, 2, 3]), state, Ports, interface="eth0")
    (end,) = Run([], state, Ports, source=Two([tcp("192.0.2.7", at=100)])).alerts
    assert (end.state, end.in_iface) == ("end", "eth0")


def test_an_interface_that_is_not_there_any_more_has_no_name(state: Path) -> None:
    Run(scan([1, 2, 3]), state, Ports, interface="eth0")
    (end,) = Run([tcp("192.0.2.7", at=100)], state, Ports, interface="eth7").alerts
    assert end.in_iface is None


def test_a_run_without_packets_leaves_the_state_alone(state: Path) -> None:
    Run(scan([1, 2, 3]), state, Ports)
    before = state.read_bytes()
    Run([], state, Ports)
    assert state.read_bytes() == before


def test_a_smaller_flow_table_takes_the_newest_flows(state: Path) -> None:
    Run([tcp(dport=port, at=port) for port in range(1, 5)], state, Ports)
    long = round(1e12)
    small = Flows(capacity=2, contacts=2, silent_timeout=long, half_open_timeout=long, tcp_idle=long, udp_idle=long, closed_idle=long)
    assert not restore_flows(small, taken(state, "flows"), round((EPOCH + 4) * 1e9))
    assert sorted(saved_flows(small)["contacts"]["time"].tolist()) == [round((EPOCH + at) * 1e9) for at in (3, 4)]


# A watch


class Passes:
    """A source that watches: packets and a quiet line, over and over; between two of them `then` is called."""

    def __init__(self, *passes: list[Frame], then: Callable[[int], None]) -> None:
        self.faults: list[str] = []
        self.unsupported = self.size = self.position = 0
        self._passes, self._then = passes, then

    def __iter__(self) -> Any:
        for number, frames in enumerate(self._passes):
            batch: RawBatch = raw_batch(frames)
            yield batch
            self._then(number)

    def close(self) -> None:
        pass


def test_a_watch_saves_its_state_when_it_is_told_to_open_its_files_anew(state: Path) -> None:
    there: list[bool] = []

    def between(number: int) -> None:
        if number == 1:
            writing = engine._state and engine._state._writing
            assert writing
            writing.join()
        there.append(state.exists())
        engine.reopen()

    notices = Notices(print)
    source = Passes(scan([1]), scan([2], at=1), [], then=between)
    engine = Engine(host_of(Ports), source, [], None, state=StateFile(state, print), log=print, notices=notices, patience=5.0)
    engine.run()
    assert there == [False, True, True]


# What has changed since


def test_a_tracker_whose_settings_changed_starts_afresh_and_the_others_go_on(state: Path) -> None:
    Run(scan([1, 2]), state, (Ports, PortsSettings(ports=4)))
    run = Run(scan([3, 4], at=10), state, (Ports, PortsSettings(ports=3)))
    assert run.told == ["ports: its settings have changed, so that part of what it knew is left out."]
    tried, asked = (known["keys"]["entry"]["packets"].tolist() for known in taken(state, "detectors/ports")["trackers"])
    assert (run.states, tried, asked) == ([], [2], [4])


def test_what_a_detector_does_not_look_at_may_change(state: Path) -> None:
    Run(scan([1, 2, 3]), state, Ports)
    assert Run(scan([4], at=10), state, (Ports, PortsSettings(allow=["from 192.0.2.1"]))).told == []


def test_what_a_detector_knew_that_does_not_run_is_told_to_be_left_out(state: Path) -> None:
    Run(scan([1, 2, 3]), state, Ports, Knock)
    assert Run(scan([4], at=10), state, Knock).told == ["ports: it does not run now, so that what it knew is left out."]


def test_packets_from_before_the_state_are_not_read_with_it_and_it_stays(state: Path) -> None:
    Run(scan([1, 2, 3], at=100), state, Ports)
    before = state.read_bytes()
    with pytest.raises(IplogError, match=r"it knows what happened until .*; read later captures, or give another file\.$"):
        Run(scan([1, 2, 3]), state, Ports)
    assert (state.read_bytes(), [path.name for path in state.parent.iterdir()]) == (before, ["state"])


def test_a_watch_whose_clock_was_set_back_sets_the_state_aside(state: Path) -> None:
    Run(scan([1, 2, 3], at=100), state, Ports)
    told: list[str] = []
    engine = Engine(host_of(Ports), MemorySource(scan([1])), [], None, state=StateFile(state, told.append), log=print, notices=Notices(print), patience=5.0)
    engine.run()
    assert told[0].startswith(f"state: {state}: it knows what happened until ")
    assert state.with_name("state.damaged").exists()


def test_a_detector_that_has_more_trackers_now_starts_afresh_and_the_file_is_not_damaged(state: Path) -> None:
    Run(scan([1, 2]), state, Ports)

    class More(Ports):
        def setup(self) -> None:
            super().setup()
            self.third = self.tracker(key="source", threshold=2, memory=1000, expiry=60)

    run = Run(scan([3], at=10), state, More)
    assert run.told == ["ports: its settings have changed, so that part of what it knew is left out."]
    assert (run.states, run.report.faults) == ([], [])


DISTRIBUTED = [frame for source in range(10) for frame in scan([source * 4 + port for port in range(1, 5)], at=source, src=f"203.0.113.{source}")]


@pytest.mark.parametrize(("name", "value"), [("sources", 6), ("ports", 6), ("hosts", 12)])
def test_a_port_scan_is_told_though_a_shared_scan_was_open_when_a_setting_changed(name: str, value: int, state: Path) -> None:
    later = [*scan(range(1, 20), at=30, src="192.0.2.99"), tcp("192.0.2.7", at=5000)]
    first = Run(DISTRIBUTED, state, (TcpScan, TcpScanSettings()))
    second = Run(later, state, (TcpScan, TcpScanSettings(**{name: value})))
    assert [(alert.kind, alert.state) for alert in first.alerts if alert.state == "start"] == [("distributed_scan", "start")]
    told = [(alert.kind, alert.state) for alert in second.alerts if alert.state != "update"]
    assert told == ([("distributed_scan", "end")] if name == "hosts" else [("port_scan", "start"), ("port_scan", "end")])


def test_who_floods_is_known_as_long_as_what_counts_it_goes_on(state: Path) -> None:
    flood = [tcp("203.0.113.9", sport=1024 + number, at=number / 1000) for number in range(1500)]
    Run(flood, state)
    assert taken(state, "detectors/flood")["named"]
    run = Run([tcp("192.0.2.7", at=2)], state, (Flood, FloodSettings(ping_rate=60)))
    assert (run.states, taken(state, "detectors/flood")["named"]) == ([], ())


@pytest.mark.parametrize("one_run", [True, False])
def test_a_packet_of_ipv6_that_looks_like_ipv4_sets_no_detector_aside(one_run: bool, state: Path) -> None:
    four, six = tcp("203.0.113.9", "198.18.0.1"), tcp("::ffff:203.0.113.9", "::ffff:198.18.0.1", at=0.1)
    later = [tcp("192.0.2.7", flags="A", at=200)]
    runs = [[four, six, *later]] if one_run else [[four, six], later]
    told = [Run(packets, state, Knock) for packets in runs]
    assert [run.report.faults for run in told] == [[]] * len(runs)
    assert [alert.state for run in told for alert in run.alerts] == ["start", "start", "end", "end"]
    assert {alert.severity for run in told for alert in run.alerts} == {"high"}


def test_what_a_packet_detector_said_is_restored_kind_by_kind(state: Path) -> None:
    class Counts(Knock):
        threshold = 2.0

        def setup(self) -> None:
            self.own = self.tracker(key="source", threshold=self.threshold, memory=1000, expiry=60)

    class CountsMore(Counts):
        threshold = 3.0

    Run([tcp()], state, Counts)
    run = Run([tcp(flags="A", at=100, sport=9)], state, CountsMore)
    assert run.report.faults == []
    assert [(alert.state, alert.severity) for alert in run.alerts] == [("end", "high")]


def test_packets_that_are_a_little_earlier_do_not(state: Path) -> None:
    Run(scan([1, 2], at=30), state, Ports)
    assert [one for one, _ in Run(scan([3]), state, Ports).states] == ["start"]


# What is wrong


def damaged(path: Path, content: bytes) -> Run:
    path.write_bytes(content)
    run = Run(scan([1, 2, 3]), path, Ports)
    assert [one for one, _ in run.states] == ["start"]
    assert run.report.faults == []
    assert path.with_name(f"{path.name}.damaged").read_bytes() == content
    return run


def header(**changes: Any) -> dict[str, Any]:
    return {"format": "iplog state", "version": 1, "iplog": "0.1.0", "clock": 0, "packets": 0, "interfaces": [], "arrays": 0, "parts": {}, **changes}


def archive(path: Path, head: Any, **members: bytes) -> bytes:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("header.json", json.dumps(head))
        for name, content in members.items():
            file.writestr(name, content)
    return path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04" + bytes(100), bytes(1000)])
def test_a_file_that_is_no_state_is_set_aside(content: bytes, state: Path) -> None:
    (told,) = damaged(state, content).told
    assert told == f"state: {state}: it is damaged, or no state of iplog; it is kept as {state}.damaged, and what it knew is left out."


def test_the_state_of_a_newer_iplog_is_set_aside(state: Path) -> None:
    (told,) = damaged(state, archive(state, header(version=2, iplog="7.0"))).told
    assert "iplog 7.0 wrote it in form 2, and this is iplog " in told


def test_another_archive_is_set_aside(state: Path) -> None:
    (told,) = damaged(state, archive(state, header(format="album"))).told
    assert "it is no state of iplog;" in told


@pytest.mark.parametrize(
    "head", [[], {}, header(clock=-1), header(clock=1 << 62), header(packets="x"), header(interfaces=[1]), header(arrays=1), header(parts=[])]
)  # fmt: skip
def test_a_header_that_makes_no_sense_is_set_aside(head: Any, state: Path) -> None:
    damaged(state, archive(state, head))


def test_a_pickle_is_never_read(state: Path) -> None:
    array = np.empty(1, object)
    array[0] = Trap()
    with zipfile.ZipFile(state, "w") as file:
        file.writestr("header.json", json.dumps(header(arrays=1)))
        with file.open("0.npy", "w") as member:
            np.lib.format.write_array(member, array, allow_pickle=True)
    (told,) = damaged(state, state.read_bytes()).told
    assert "an array that would have to be unpickled" in told


class Trap:
    """What no reader may ever make anew."""

    def __reduce__(self) -> Any:
        return pickle.loads, (b"",)


@quick(25)
@given(data=st.data())
def test_a_file_that_was_cut_or_overwritten_in_places_is_set_aside_or_as_good_as_before(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("state") / "state"
    Run(scan([1, 2, 3]), path, Ports)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
            content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    assert Run(scan([4], at=10), path, Ports).report.faults == []


@quick(25)
@given(capture=st.sampled_from(["decoy_scan", "ipv6_udp_scan", "port_sweep"]), data=st.data())
def test_values_that_none_can_have_do_no_harm(capture: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("state") / "state"
    frames, _, state = whole(capture)
    path.write_bytes(state)

    def spoil(known: Known) -> None:
        array = data.draw(st.sampled_from([array for array in known.arrays if array.nbytes]))
        raw = array.view(np.uint8)
        for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
            raw[place] = data.draw(st.integers(0, 255))

    rewritten(path, spoil)
    later = [Frame(frame.time + 10**10, frame.data, frame.link) for frame in frames]
    Run(later, path, batch_size=8192)


@pytest.mark.parametrize(
    ("part", "rows", "field", "value"),
    [
        ("flows", "flows", ("flow", "wait"), 6),
        ("flows", "flows", ("flow", "kind"), 64),
        ("flows", "flows", ("flow", "outcome"), 6),
        ("flows", "flows", ("time",), -1),
        ("flows", "flows", ("time",), 1 << 61),
        ("flows", "contacts", ("contact", "answered"), 2),
        ("flows", "contacts", ("time",), 1 << 61),
        ("detectors/ports", "keys", ("entry", "tier"), 3),
        ("detectors/ports", "keys", ("entry", "distinct"), 1 << 31),
        ("detectors/ports", "keys", ("entry", "sport_count"), 7),
        ("detectors/ports", "keys", ("entry", "face", "kind"), 9),
        ("detectors/ports", "keys", ("entry", "lone"), 1),
        ("detectors/ports", "keys", ("entry", "level"), float("nan")),
        ("detectors/ports", "keys", ("values",), 9),
        ("detectors/ports", "keys", ("time",), 1 << 61),
        ("detectors/ports", "values", ("outcome",), 6),
        ("detectors/ports", "values", ("time",), 1 << 61),
        ("detectors/tcp_scan", "walks", ("place", "step"), 5),
        ("detectors/tcp_scan", "walks", ("place", "lot"), 33),
    ],
)
def test_what_no_run_could_have_saved_is_not_taken(part: str, rows: str, field: tuple[str, ...], value: Any, state: Path) -> None:
    detectors = [] if part == "detectors/tcp_scan" else [Ports]
    Run(scan([1, 2]), state, *detectors)

    def spoil(known: Known) -> None:
        saved = known.parts[part]
        array = next(array for array in found(known.take(part), rows) if len(array))
        known.parts[part] = saved
        for name in field:
            array = array[name]
        array[0] = value

    rewritten(state, spoil)
    told = Run([tcp("192.0.2.7", at=10)], state, *detectors).told
    assert any("not all of it can be right" in line for line in told)


def found(value: Any, name: str) -> list[Any]:
    """All arrays of a name in a part."""
    if isinstance(value, dict):
        own = [value[name]] if isinstance(value.get(name), np.ndarray) else []
        return own + [array for item in value.values() for array in found(item, name)]
    return [array for item in value for array in found(item, name)] if isinstance(value, tuple) else []


@pytest.mark.parametrize("number", [99999, -1, "x", None, True, 0.5, [0], {}])
def test_a_header_that_names_no_array_sets_the_file_aside(number: Any, state: Path) -> None:
    Run(scan([1, 2]), state, Ports)

    def change(head: dict[str, Any]) -> None:
        head["parts"]["detectors/ports"]["trackers"][0]["keys"]["$array"] = number

    with_header(state, change)
    run = Run(scan([4, 5, 6], at=10), state, Ports)
    assert ([one for one, _ in run.states], run.report.faults) == (["start"], [])
    assert "not all of it can be right (ports: ValueError: an array that is not there)" in run.told[0]


@pytest.mark.parametrize("part", ["flows", "alerts", "detectors/ports"])
def test_a_part_that_is_no_array_s_table_sets_the_file_aside(part: str, state: Path) -> None:
    Run(scan([1, 2]), state, Ports)
    with_header(state, lambda head: head["parts"].update({part: {"$array": -7}}))
    assert "not all of it can be right" in Run(scan([1, 2, 3], at=10), state, Ports).told[0]


def test_interfaces_that_are_no_list_set_the_file_aside(state: Path) -> None:
    Run(scan([1, 2]), state, Ports)
    with_header(state, lambda head: head.update(interfaces={"eth0": 0}))
    assert "interfaces that have no names" in Run(scan([3], at=10), state, Ports).told[0]


def with_header(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Write a state again with another header."""
    with zipfile.ZipFile(path) as before:
        members = {name: before.read(name) for name in before.namelist()}
    head = json.loads(members.pop("header.json"))
    change(head)
    with zipfile.ZipFile(path, "w") as after:
        after.writestr("header.json", json.dumps(head))
        for name, content in members.items():
            after.writestr(name, content)


def test_the_parts_that_are_right_are_taken_though_another_is_not(state: Path) -> None:
    Run(scan([1, 2]), state, Ports, Knock)
    rewritten(state, lambda known: known.parts.update({"detectors/knock": {"kinds": 7}}))
    assert ("start", "ports") in [(alert.state, alert.kind) for alert in Run(scan([3], at=10), state, Ports, Knock).alerts]


def test_a_detector_that_keeps_what_no_file_can_hold_is_told_and_the_others_are_saved(state: Path) -> None:
    run = Run(scan([1, 2]), state, Secretive, Ports)
    assert run.report.faults == ["secretive: what it knows could not be saved: TypeError: a value of type object."]
    assert [one for one, _ in Run(scan([3], at=10), state, Ports).states] == ["start"]


# The file


def test_nobody_else_may_read_it(state: Path) -> None:
    Run(scan([1]), state, Ports)
    assert state.stat().st_mode & 0o777 == 0o600


def test_nothing_but_the_file_is_left(state: Path) -> None:
    Run(scan([1]), state, Ports)
    assert [path.name for path in state.parent.iterdir()] == ["state"]


def test_a_link_in_the_place_of_the_file_that_is_written_is_not_followed(state: Path) -> None:
    other = state.with_name("other")
    other.write_text("mine")
    state.with_name("state.part").symlink_to(other)
    Run(scan([1]), state, Ports)
    assert other.read_text() == "mine"


def test_a_link_to_the_file_stays_one(state: Path) -> None:
    state.symlink_to("behind")
    Run(scan([1]), state, Ports)
    assert state.is_symlink()
    assert Run(scan([2, 3], at=1), state, Ports).told == []
    assert sorted(path.name for path in state.parent.iterdir()) == ["behind", "state"]


def test_what_was_set_aside_before_is_not_overwritten(state: Path) -> None:
    for content in (b"one", b"two", b"three"):
        state.write_bytes(content)
        Run(scan([1]), state, Ports)
    assert [state.with_name(f"state.damaged{number}").read_bytes() for number in ("", ".2", ".3")] == [b"one", b"two", b"three"]


class Closed(Sink[SinkSettings]):
    """A sink whose reader is gone."""

    name = "closed"

    def open(self) -> None:
        pass

    def write(self, events: Sequence[Any]) -> None:
        raise BrokenPipeError


def test_what_nobody_read_is_not_saved(state: Path) -> None:
    Run(scan([1]), state, Ports)
    before = state.read_bytes()
    closed = Closed(SinkSettings(), SinkContext(standard_output=True))
    engine = Engine(host_of(Ports), MemorySource(scan([2, 3, 4], at=1)), [closed], None, state=StateFile(state, print), log=print)
    with pytest.raises(BrokenPipeError):
        engine.run()
    assert state.read_bytes() == before


def test_what_can_be_saved_by_no_means_ends_no_watch(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise MemoryError

    told: list[str] = []
    source = Passes(scan([1]), scan([2], at=1), [], then=lambda _: engine.reopen())
    monkeypatch.setattr("iplog_core.state.saved_flows", fails)
    engine = Engine(host_of(Ports), source, [], None, state=StateFile(state, told.append), log=print, notices=Notices(print), patience=5.0)
    report = engine.run()
    assert [line.rpartition("; ")[2] for line in report.faults] == ["that of before stays.", "what is known now is lost."]


def test_a_writer_that_fails_in_any_way_tells_it_once(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise MemoryError

    told: list[str] = []
    file = StateFile(state, told.append)
    monkeypatch.setattr("iplog_core.state._write_array", fails)
    for _ in range(2):
        file.save(Known(1, 1, [], {}, [np.zeros(1)]))
        assert file._writing
        file._writing.join()
    (line,) = told
    assert line.startswith(f"state: {state}: it cannot be written: MemoryError")
    assert list(state.parent.iterdir()) == []


def test_a_state_that_cannot_be_written_is_a_fault_and_the_one_before_stays(state: Path) -> None:
    Run(scan([1]), state, Ports)
    before = state.read_bytes()
    source = Passes(scan([2], at=1), then=lambda number: state.with_name("state.part").mkdir())
    run = Run([], state, Ports, source=source)
    assert run.report.faults == [f"state: {state}: it could not be written: Is a directory; what is known now is lost."]
    assert state.read_bytes() == before


@pytest.mark.parametrize(("name", "reason"), [("no/such/folder", "No such file or directory"), (".", "no file; expected the name of one")])
def test_a_state_that_could_never_be_written_stops_the_start(name: str, reason: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(IplogError, match=reason):
        Run(scan([1]), folder / name if name != "." else folder, Ports)


# The command


def test_iplog_read_goes_on_where_the_run_before_ended(iplog: Iplog, pcap: Any) -> None:
    for capture in (pcap(scan([1, 2, 3])), pcap(scan([4, 5, 6], at=10))):
        answer = iplog("read", "--alerts-only", "--state", "known", str(capture))
    assert "TCP: port scan detected" in answer.output


def test_a_damaged_state_is_told_and_does_not_change_the_exit_status(iplog: Iplog, pcap: Any) -> None:
    (iplog.folder / "known").write_text("nonsense")
    answer = iplog("read", "--state", "known", str(pcap(scan([1]))))
    assert (answer.status, answer.faults) == (
        0,
        [
            "state: known: it is damaged, or no state of iplog; it is kept as known.damaged, and what it knew is left out.",
            "state: known: kept for the next run: 0 open alerts, 0 undecided flows.",
        ],
    )


def test_the_end_of_a_run_tells_what_the_next_goes_on_with(iplog: Iplog, pcap: Any) -> None:
    silent = pcap([tcp("203.0.113.9", dport=port, at=port / 100) for port in range(1, 30)])
    (told,) = iplog("read", "--state", "known", str(silent)).faults
    assert told == "state: known: kept for the next run: 1 open alert, 29 undecided flows."
    later = pcap([tcp("192.0.2.7", at=5000)])
    assert iplog("read", "--state", "known", str(later)).faults == ["state: known: kept for the next run: 0 open alerts, 1 undecided flow."]
    assert iplog("read", "--quiet", "--state", "other", str(later)).faults == []


def test_captures_that_are_too_early_for_the_state_are_not_read(iplog: Iplog, pcap: Any) -> None:
    later, earlier = pcap(scan([1], at=1000)), pcap(scan([1]))
    iplog("read", "--state", "known", str(later))
    answer = iplog("read", "--state", "known", str(earlier))
    assert (answer.status, answer.output) == (2, "")
    assert answer.faults[0].endswith("; read later captures, or give another file.")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "'' is no name; expected the name of a file, such as week.state."),
        (".", "'.' is a folder; expected the name of a file, such as week.state."),
        ("..", "'..' is a folder; expected the name of a file, such as week.state."),
        ("/", "'/' is a folder; expected the name of a file, such as week.state."),
        ("no/known", "'no/known': its folder no does not exist; expected the name of a file in one that does."),
    ],
)
def test_what_can_be_no_state_is_a_fault_that_names_the_option(name: str, reason: str, iplog: Iplog, pcap: Any) -> None:
    answer = iplog("read", "--state", name, str(pcap(scan([1]))))
    assert (answer.status, answer.faults) == (2, [f"--state: {reason}"])
    answer = iplog("config", "check", "--set", f"state={json.dumps(name)}")
    told = reason if name else "'.' is a folder; expected the name of a file, such as week.state."
    assert (answer.status, answer.faults) == (2, [f"--set state: {told}"])


def test_only_what_reads_or_watches_takes_a_state(iplog: Iplog) -> None:
    answer = iplog("plugins", "--state", "known")
    assert (answer.status, answer.faults) == (2, ["--state: no such option of iplog plugins. Did you mean --stats? See iplog plugins --help."])


def test_the_setting_of_a_file_is_relative_to_its_folder(iplog: Iplog, pcap: Any) -> None:
    (iplog.folder / "etc").mkdir()
    (iplog.folder / "etc" / "iplog.toml").write_text('state = "known"')
    iplog("read", "--config", "etc/iplog.toml", str(pcap(scan([1]))))
    assert (iplog.folder / "etc" / "known").exists()


@pytest.mark.skipif(not shutil.which("hping3"), reason="hping3 is not installed")
def test_a_watch_goes_on_with_the_scan_that_the_watch_before_it_found(sensor: Host, peer: Host, tmp_path: Path) -> None:
    options = ("--alerts-only", "--format", "json", "--state", "known", "--set", "plugins.tcp_scan.expiry=3", "--disable-resolver")
    with watching(sensor, tmp_path, *options) as watch:
        peer("hping3", "-S", "-p", "++1000", "-c", "8", "-i", "u10000", "198.18.0.1", check=False)
        start = json.loads(watch.wait_for_line("port_scan", "start"))
        assert watch.end() == 0
    assert not [line for line in watch.lines if "port_scan" in line and '"end"' in line]
    with watching(sensor, tmp_path, *options) as watch:
        end = json.loads(watch.wait_for_line("port_scan", '"end"'))
        assert watch.end() == 0
    assert end["alert"]["id"] == start["alert"]["id"]
