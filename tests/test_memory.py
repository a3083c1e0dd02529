"""The memory of all tables: each has its share, and what has no room is forgotten, the coldest first."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from harness import batches
from reading import plugins
from sites import Iplog

from iplog_core import Detector, DetectorSettings, IplogError, Packet, PacketBatch, PacketDetector, SinkContext, SinkSettings
from iplog_core.capture.savefile import open_savefile
from iplog_core.engine import Engine
from iplog_core.events import Alert, Stats
from iplog_core.kernel.table import table_bytes
from iplog_core.lines.statistics import statistics_lines
from iplog_core.memory import capacity_within, peak_memory
from iplog_core.testing import Frame, Kept, MemorySource, in_order, run_detector, tcp
from iplog_core.tracker import RandomWalk, Tracker

HOUR = 3600.0
NOW = 2_000_000_000_000_000_000


class Ports(Detector[DetectorSettings]):
    """Keeps trackers in every way in which detectors do."""

    name = "ports"

    def setup(self) -> None:
        self.vertical = self._one(weight=3)
        self.by_kind = {"fin": self._one()}
        self._pair = (self._one(), self.random_walk())
        self.apart = SimpleNamespace(_tried=self._one())

    def _one(self, weight: float = 1.0) -> Tracker:
        return self.tracker(key="pair", distinct="dest_port", threshold=5, memory=HOUR, expiry=HOUR, weight=weight)

    def on_batch(self, batch: PacketBatch) -> None:
        self.vertical.update(batch, where=batch.is_tcp)


def host(memory: int, *detectors: type[Detector[Any]]) -> Any:
    """The bundled plugins, or those given, with so many MB."""
    whole = plugins()
    given = [(cls, DetectorSettings()) for cls in detectors] or whole.detectors
    return SimpleNamespace(settings=whole.settings.model_copy(update={"memory": memory}), detectors=given, hook=whole.hook, policies=[], places={}, known={})


def read(memory: int, frames: list[Frame], *detectors: type[Detector[Any]], batch_size: int = 8192) -> list[Any]:
    kept = Kept(SinkSettings(), SinkContext())
    Engine(host(memory, *detectors), MemorySource(frames, batch_size), [kept], None, log=print, stats=True, alerts_only=True).run()
    return kept.events


@cache
def least() -> int:
    """The least that works, as the message names it."""
    with pytest.raises(IplogError) as caught:
        read(1, [])
    return int(str(caught.value).partition("expected ")[2].partition(" ")[0])


def probes(source: str, ports: range, start: float, gap: float) -> list[Frame]:
    return [tcp(source, "198.51.100.1", dport=port, at=start + number * gap) for number, port in enumerate(ports)]


@cache
def a_scan_among_random_sources() -> list[Frame]:
    """A second of nmap's default speed to a host, while 25,000 sources send it a SYN each in six seconds."""
    lot = Random(5)
    background = [
        tcp(f"100.{lot.randrange(64, 128)}.{lot.randrange(256)}.{lot.randrange(1, 255)}", "198.51.100.1", dport=443, at=i / 4000) for i in range(25000)
    ]
    return in_order([*background, *probes("203.0.113.9", range(1, 101), 4.0, 0.01)])


@cache
def told_of_it(batch_size: int) -> list[Any]:
    return read(least(), a_scan_among_random_sources(), batch_size=batch_size)


def test_a_scan_is_found_though_random_sources_overflow_every_table_they_reach() -> None:
    starts = [event for event in told_of_it(8192) if isinstance(event, Alert) and event.state == "start"]
    assert ("port_scan", "203.0.113.9") in [(alert.kind, alert.src_ip) for alert in starts]


def test_random_sources_do_overflow_them() -> None:
    stats = told_of_it(8192)[-1]
    assert [name for name in ("flows", "tcp_scan: vertical", "tcp_scan: walk") if not stats.tables[name].evicted] == []


def test_what_is_forgotten_does_not_depend_on_where_a_batch_was_cut() -> None:
    assert told_of_it(509) == told_of_it(8192)


@pytest.mark.parametrize("memory", [16, 48, 300])
def test_all_tables_together_keep_within_the_memory(memory: int) -> None:
    tables = read(memory, [])[-1].tables.values()
    assert 0.9 * memory < sum(table.memory for table in tables) / (1 << 20) <= memory


def test_a_table_has_more_where_its_weight_is_more() -> None:
    tables = read(16, [], Ports)[-1].tables
    assert tables["ports: vertical"].memory > 2 * tables["ports: by_kind fin"].memory


def test_tables_have_the_names_of_what_they_are_kept_in() -> None:
    names = [name for name in read(16, [], Ports)[-1].tables if name.startswith("ports") and "values" not in name]
    assert names == ["ports: vertical", "ports: by_kind fin", "ports: pair 1", "ports: pair 2", "ports: apart tried"]


def test_a_threshold_that_the_tables_cannot_hold_is_a_fault() -> None:
    class Many(Ports):
        def setup(self) -> None:
            self.tracker(key="pair", distinct="dest_port", threshold=1e6, memory=HOUR, expiry=HOUR)

    with pytest.raises(IplogError, match=r"memory: expected \d+ or more \(MB\) for the plugins that run, not 48\."):
        read(48, [], Many)


def test_too_little_memory_is_a_fault(captures: Path, iplog: Iplog) -> None:
    answer = iplog("read", "--set", "memory=1", captures / "syn_scan.pcap")
    assert (answer.status, answer.faults) == (2, [f"memory: expected {least()} or more (MB) for the plugins that run, not 1."])


def test_by_default_there_is_room_for_what_the_captures_tell(captures: Path) -> None:
    names = [path.name for path in sorted(captures.glob("*.pcap*")) if alerts_of(path, 48) != alerts_of(path, 480)]
    assert names == []


def alerts_of(capture: Path, memory: int) -> list[Any]:
    kept = Kept(SinkSettings(), SinkContext())
    Engine(host(memory), open_savefile(str(capture), 8192), [kept], None, log=print, alerts_only=True).run()
    return kept.events


# Packets that wait to be sure of


def waiting(**options: Any) -> Tracker:
    return Tracker(key="pair", threshold=1, memory=HOUR, expiry=HOUR, **options)


def test_a_tracker_of_packets_tells_of_the_one_that_was_sure_and_of_all_before() -> None:
    tracker = waiting(waits=True)
    (batch,) = batches([tcp(dport=port, at=port) for port in range(1, 6)], 256)
    (start,) = tracker.update(batch, where=batch.is_tcp, sure=batch.dport == 5)
    assert (start.dport, start.packets, tracker.evicted) == (5, 5, 0)


def test_a_tracker_of_packets_that_does_not_wait_takes_no_sure_ones() -> None:
    (batch,) = batches([tcp()], 256)
    with pytest.raises(ValueError, match="takes `waits`"):
        waiting().update(batch, where=batch.is_tcp, sure=batch.is_tcp)


# Less memory than before


def tracked(*frames: Frame) -> Tracker:
    tracker = Tracker(key="pair", distinct="dest_port", threshold=5, memory=HOUR, expiry=HOUR)
    tracker.allot(1 << 20, 0)
    for batch in batches(list(frames), 256):
        tracker.update(batch, where=batch.is_tcp)
    return tracker


def test_a_tracker_takes_the_memory_that_it_says_it_needs() -> None:
    tracker = tracked()
    tracker.allot(tracker.least, 0)
    assert sum(use[3] for use in tracker.tables) == tracker.least


def test_a_random_walk_takes_the_memory_that_it_says_it_needs() -> None:
    walk = RandomWalk()
    assert sum(use[3] for use in walk.tables) == walk.least


def test_what_is_going_on_is_kept_in_less_memory() -> None:
    many = [tcp(f"198.51.100.{number}", dport=1, at=9 + number / 100) for number in range(1, 101)]
    tracker = tracked(*probes("203.0.113.9", range(1, 9), 0, 0.1), *many)
    tracker.allot(tracker.least, NOW)
    assert (len(tracker), tracker.save()["keys"]["entry"]["distinct"].max()) == (64, 8)


def test_what_has_no_room_in_less_memory_counts_as_evicted() -> None:
    tracker = tracked(*[tcp(f"198.51.100.{number}", dport=1) for number in range(1, 101)])
    tracker.allot(tracker.least, NOW)
    assert tracker.evicted == 36


def test_a_key_keeps_its_newest_values_in_less_memory() -> None:
    tracker = tracked(*probes("203.0.113.9", range(1, 101), 0, 0.01))
    tracker.allot(tracker.least, NOW)
    assert tracker.save()["values"]["key"][:, 3].tolist() == list(range(41, 101))


def test_a_state_with_more_than_fits_goes_on_with_what_is_newest() -> None:
    known = tracked(*[tcp(f"198.51.100.{number}", dport=1, at=number) for number in range(1, 101)]).save()
    smaller = Tracker(key="pair", distinct="dest_port", threshold=5, memory=HOUR, expiry=HOUR)
    assert (smaller.restore(known, NOW), len(smaller)) == (True, 64)


# Detectors that report packets


def test_a_packet_detector_may_report_a_few_kinds_that_it_did_not_name() -> None:
    class Some(PacketDetector[DetectorSettings]):
        name = "some"

        def on_packet(self, packet: Packet) -> None:
            self.alert(f"kind_{packet.dport}", packet)

    told = run_detector(Some).feed([tcp(dport=port) for port in range(1, 9)])
    assert len({alert.kind for alert in told}) == 8


# What is told of it


def test_the_tables_are_in_the_statistics(captures: Path, iplog: Iplog) -> None:
    lines = iplog("read", "--alerts-only", "--stats", captures / "syn_scan.pcap").output.splitlines()
    assert [line for line in lines if " memory: tcp_scan: vertical: 1 of " in line]


def test_the_last_line_of_the_statistics_is_about_all_tables(captures: Path, iplog: Iplog) -> None:
    last = iplog("read", "--alerts-only", "--stats", captures / "syn_scan.pcap").output.splitlines()[-1]
    assert re.search(r" memory: all \d+ tables: \S+ of 51\.\d MB, 0 evicted; the process had \S+ MB at the most$", last)


def test_the_statistics_tell_the_speed(captures: Path, iplog: Iplog) -> None:
    last = iplog("read", "--format", "json", "--stats", captures / "syn_scan.pcap").output.splitlines()[-1]
    assert json.loads(last)["stats"]["rate"] > 0


def test_the_most_memory_that_a_process_had_is_no_less_than_what_it_holds() -> None:
    held = bytearray(b"x") * (32 << 20)
    assert peak_memory() > len(held)


def test_counters_without_tables_are_one_line() -> None:
    assert len(statistics_lines(Stats())) == 1


@pytest.mark.parametrize("sizes", [(1,), (8,), (72,), (200, 16)])
@pytest.mark.parametrize("entries", [1, 2, 3, 4, 5, 63, 64, 65, 1000, 65536, 65537, 1_000_000])
def test_a_table_has_so_many_entries_as_its_memory_holds_and_no_more(entries: int, sizes: tuple[int, ...]) -> None:
    memory = sum(table_bytes(entries, size) for size in sizes)
    assert [capacity_within(memory - 1, *sizes), capacity_within(memory, *sizes)] == [entries - 1, entries]


def test_too_little_memory_holds_no_entry() -> None:
    assert [capacity_within(memory, 8) for memory in (-1000, 0, 100)] == [0, 0, 0]
