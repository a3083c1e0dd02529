"""The loads that speed is measured with, and what is made of the measurements."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import dpkt
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import report
from bench.frames import write
from bench.loads import LOADS, Load
from bench.measuring import Plan, measure
from bench.results import TOLERANCE, Results, Runs, plain, recorded, worse
from bench.tools import DETECTORS, LEVELS, TCPDUMP, TOOLS, Tool

CAPTURE = Path(__file__).parent / "captures" / "syn_scan.pcap"
SMALL = {"mixed": 20_000, "synrand": 2_000, "syn1k": 2_000, "udp": 2_000, "mice": 200, "elephants": 2_000, "mixed1": 1, "mixed10": 1}
DIGESTS = {
    "mixed": "877d85430288e3fe",
    "synrand": "c2f1ad9675648f2e",
    "syn1k": "e923c5ee026fb220",
    "udp": "46db264839a61bfa",
    "mice": "abbd7f54ee740e34",
    "elephants": "f7a67e451b399f4c",
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def results() -> Results:
    """tcpdump reads a million packets of mixed in 0.25 s, iplog in 0.5 s and more; starting takes them 0.05 s and 0.2 s."""
    starts = {TCPDUMP: Runs([0.05, 0.06], [0.05, 0.06], 7.0)}
    runs = {TCPDUMP: Runs([0.30, 0.35], [0.30, 0.35], 7.0)}
    for number, name in enumerate(("decoding", "alerts", "text", "json", "flows", *DETECTORS, *LEVELS, "threshold")):
        starts[name] = Runs([0.2], [0.2], 40.0)
        runs[name] = Runs([0.7 + number / 8], [0.8], 90.0)
    del runs["decoding"].cpu[:]
    runs["decoding"].cpu.append(0.4)
    return Results("a machine", {TCPDUMP: "tcpdump 4.99"}, {"zeek": "not installed"}, {"mixed": 1_000_000}, starts, {"mixed": runs})


@pytest.mark.parametrize("name", DIGESTS)
def test_a_load_is_the_same_bytes_everywhere(name, tmp_path):
    # Who changes what is written raises bench.loads.GENERATION, too.
    write(tmp_path / "load.pcap", LOADS[name].make(SMALL[name]))
    assert hashlib.sha256((tmp_path / "load.pcap").read_bytes()).hexdigest()[:16] == DIGESTS[name]


def test_the_mixed_load_has_every_kind_of_traffic(tmp_path):
    kinds = set()
    for packet in _read(LOADS["mixed"], tmp_path):
        ports = {getattr(packet.data.data, "sport", 0), getattr(packet.data.data, "dport", 0)}
        kinds |= {type(packet.data).__name__, type(packet.data.data).__name__, *ports & {53, 123, 443}}
        kinds |= {"fragment"} if isinstance(packet.data, dpkt.ip.IP) and packet.data.offset else set()
    assert kinds >= {"IP", "IP6", "ARP", "TCP", "UDP", "ICMP", "fragment", 53, 123, 443}


@pytest.mark.parametrize("name", DIGESTS)
def test_every_header_of_a_load_has_the_checksum_that_it_should(name, tmp_path):
    for packet in _read(LOADS[name], tmp_path)[:500]:
        sent = bytes(packet)
        if isinstance(packet.data, dpkt.ip.IP):
            packet.data.sum = 0
            if packet.data.mf:
                continue  # dpkt sees a part of what its checksum is of
        if isinstance(packet.data, dpkt.ip.IP | dpkt.ip6.IP6) and hasattr(packet.data.data, "sum"):
            packet.data.data.sum = 0
        assert bytes(packet) == sent


def test_each_syn_of_synrand_comes_from_a_new_source(tmp_path):
    sources = [packet.data.src for packet in _read(LOADS["synrand"], tmp_path)]
    assert len(set(sources)) == len(sources)


def test_a_snap_length_leaves_headers_and_the_length_on_the_wire(tmp_path):
    path = tmp_path / "short.pcap"
    write(path, LOADS["mixed"].make(1000), snaplen=96)
    with path.open("rb") as file:
        packets = [data for _, data in dpkt.pcap.Reader(file)]
    assert max(map(len, packets)) == 96
    assert max(dpkt.ethernet.Ethernet(data).data.len for data in packets if data[12:14] == b"\x08\x00") == 1500


def test_a_load_is_made_once():
    path = LOADS["udp"].path(100)
    made = path.stat().st_mtime_ns
    assert LOADS["udp"].path(100).stat().st_mtime_ns == made


def test_starting_is_taken_off_and_the_shortest_run_counts(results):
    assert (round(results.seconds("mixed", TCPDUMP), 6), round(results.ratio("mixed", "alerts"), 6)) == (0.25, 2.5)


def test_results_are_what_was_written_down_of_them(results):
    assert Results.of(plain(results)) == results


def test_the_table_tells_rate_ratio_time_and_memory_of_every_tool(results):
    line = next(line for line in report.everything(results).splitlines() if "| alerts " in line)
    assert line.split() == ["|", "mixed", "|", "alerts", "|", "1,600", "|", "2.50", "|", "0.82", "|", "0.80", "|", "90", "|"]


def test_the_table_says_what_was_left_out_and_why(results):
    assert "zeek is left out: not installed." in report.everything(results)


def test_a_stage_costs_what_it_adds_to_the_stage_below_it(results):
    rows = dict(line.strip("| ").replace(" ", "").split("|") for line in report.stages(results).splitlines())
    assert (rows["readinganddecoding"], rows["`bogus_flags`"]) == ("200", "125")


def test_a_way_to_write_a_detector_costs_what_it_adds_to_none(results):
    rows = [line.strip("| ").replace(" ", "").split("|") for line in report.levels(results, "mixed").splitlines()]
    assert rows[2][1:] == ["1,250", "0.44M"]


@pytest.mark.parametrize("name", [*LEVELS, "threshold"])
def test_every_way_to_write_it_finds_the_same(name, tmp_path):
    command = TOOLS[name].command(CAPTURE, tmp_path)
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    starts = [line for line in found.stdout.splitlines() if "detected to 198.18.1.1" in line]
    assert (found.returncode, found.stderr, len(starts)) == (0, "", 1)


def test_the_picture_has_a_bar_for_every_tool_but_the_stages(results):
    svg = ElementTree.fromstring(report.picture(results))
    bars = [rectangle for rectangle in svg.iter("{http://www.w3.org/2000/svg}rect") if rectangle.get("class") != "page"]
    assert len(bars) == 5


def test_a_ratio_beyond_the_tolerance_is_told():
    known = {"mixed": {"alerts": 2.0, "text": 3.0}}
    found = {"mixed": {"alerts": 2.0 * (1 + TOLERANCE) + 0.01, "text": 3.0}}
    assert worse(found, known) == ["mixed, alerts: 2.51 times tcpdump's CPU time, 2.00 when it was recorded."]


def test_what_was_never_recorded_cannot_be_worse():
    assert worse({"mixed": {"alerts": 9.0}}, {}) == []


@pytest.mark.parametrize("path", [report.PAGE, report.PICTURE, report.SPEED, report.README], ids=lambda path: path.name)
def test_the_documents_show_what_was_recorded(path):
    assert path.read_text() == report.documents(recorded())[path]


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="tcpdump is not installed")
def test_a_measurement_runs_every_tool_on_the_load_and_on_nothing():
    names = [TCPDUMP, "decoding", "alerts"]
    found = measure(Plan(1, {"mixed": (2000, names)}), lambda line: None)
    assert (found.packets, list(found.runs["mixed"]), list(found.start)) == ({"mixed": 2000}, names, names)


@pytest.mark.parametrize(
    ("words", "why"),
    [(("no-such-program",), "not installed"), (("sh", "-c", "echo no packets >&2; exit 3"), "it ended with status 3: no packets")],
)
def test_another_tool_that_cannot_read_is_left_out_and_the_results_say_why(words, why, monkeypatch):
    monkeypatch.setitem(TOOLS, "other", Tool("other", "", words))
    assert measure(Plan(1, {"udp": (100, ["other"])}), lambda line: None).left_out == {"other": why}


def _read(load: Load, folder: Path) -> list[dpkt.ethernet.Ethernet]:
    path = folder / "read.pcap"
    write(path, load.make(SMALL[load.name]))
    with path.open("rb") as file:
        return [dpkt.ethernet.Ethernet(data) for _, data in dpkt.pcap.Reader(file)]
