"""Captures of real tools, end to end: what they are is told, what they are not is not, and nothing depends on how they were cut."""

import json
from functools import cache
from pathlib import Path

import pytest
from reading import plugins, read_alerts, read_one_side, write_output

from iplog_core.errors import CaptureError

pytestmark = pytest.mark.kernel

CAPTURES = Path(__file__).resolve().parent / "captures"
SHARED = CAPTURES.parents[2] / "shared" / "captures"
CUT = sorted(path for path in CAPTURES.glob("*.pcap*") if path.stat().st_size < 60_000)
ATTACKERS = ("198.18.0.66", "2001:db8:1::66")

# Whom to blame where it is not the attacker: nobody where the sources are many or forged, and then the target is named.
BLAMED = {
    "decoy_scan": (None, "198.18.1.1"),
    "s_decoy": (None, "198.18.1.1"),
    "distributed_scan": (None, "198.18.1.1"),
    "s_distrib20": (None, "198.18.1.1"),
    "syn_flood_random": (None, "198.18.1.1"),
    "f_syn_rand": (None, "198.18.1.1"),
    "smurf": (None, "198.18.1.5"),
    "fraggle": (None, "198.18.1.5"),
    "smurf_amplifier": ("198.18.1.5", "198.18.0.255"),
    "f_smurf": ("198.18.1.5", "198.18.0.255"),
    "land": ("198.18.1.1", "198.18.1.1"),
}

DECOYS = {"198.18.0.66", *(f"198.18.0.{host}" for host in range(70, 75))}
SETS = [
    (path, sources)
    for path, sources in (
        (CAPTURES / "decoy_scan.pcap", DECOYS),
        (CAPTURES / "distributed_scan.pcap", {f"198.18.0.{host}" for host in range(101, 113)}),
        (SHARED / "scans" / "s_decoy.pcap", DECOYS),
        (SHARED / "scans" / "s_distrib20.pcap", {f"198.18.0.{host}" for host in range(100, 120)}),
    )
    if path.exists()
]


def verdicts(folder, suffix=""):
    """Each capture of a truth file with the kinds of alert that are right for it; no kinds, where there is nothing to find."""
    truth = folder / "truth.tsv"
    lines = truth.read_text().splitlines() if truth.exists() else []
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return [(folder / f"{name}{suffix}", set(kinds.split("|")) - {"-"}) for name, kinds, _ in rows]


VERDICTS = [*verdicts(CAPTURES), *verdicts(SHARED / "scans", ".pcap")]
KNOWN_KINDS = {kind for detector, _ in plugins().detectors for kind in detector.kinds}
HOSTILE = [(path, kinds & KNOWN_KINDS) for path, kinds in VERDICTS if kinds & KNOWN_KINDS]
HARMLESS = [path for path, kinds in VERDICTS if not kinds]
OF_TCP = {"port_scan", "port_sweep", "distributed_scan", "fin_scan", "null_scan", "xmas_scan", "ack_scan", "maimon_scan", "flags_scan"}


def name_of(value):
    return value.name.partition(".")[0] if isinstance(value, Path) else ""


@cache
def serious(capture):
    return [alert for alert in read_alerts(capture).starts if alert.severity != "info"]


@pytest.mark.parametrize(("capture", "kinds"), HOSTILE, ids=name_of)
def test_an_attack_is_told_by_its_name(capture, kinds):
    assert {alert.kind for alert in serious(capture)} & kinds


@pytest.mark.parametrize(("capture", "kinds"), HOSTILE, ids=name_of)
def test_the_right_one_is_blamed(capture, kinds):
    blamed = {(alert.src_ip, alert.dest_ip) for alert in serious(capture) if alert.kind in kinds}
    if expected := BLAMED.get(name_of(capture)):
        assert blamed == {expected}
    else:
        assert {source for source, _ in blamed} & set(ATTACKERS)


@pytest.mark.parametrize(("capture", "sources"), SETS, ids=name_of)
def test_a_set_of_sources_is_one_alert_that_names_them_all(capture, sources):
    told = [alert for alert in read_alerts(capture).alerts if alert.state == "end" and alert.src_ip is None]
    assert [set(alert.evidence.sources or ()) for alert in told] == [sources]


@pytest.mark.parametrize("capture", HARMLESS, ids=name_of)
def test_ordinary_traffic_raises_nothing_above_info(capture):
    assert [(alert.kind, alert.src_ip, alert.dest_ip) for alert in serious(capture)] == []


@pytest.mark.parametrize("side", ["clients", "servers"])
@pytest.mark.parametrize("capture", HARMLESS, ids=name_of)
def test_ordinary_traffic_of_which_one_direction_was_captured_raises_nothing_either(capture, side):
    assert [(alert.kind, alert.src_ip) for alert in read_one_side(capture, side).starts if alert.severity != "info"] == []


@pytest.mark.parametrize(("capture", "kinds"), [(path, kinds) for path, kinds in HOSTILE if kinds & OF_TCP], ids=name_of)
def test_a_tcp_scan_of_which_only_the_probes_were_captured_is_told(capture, kinds):
    assert {alert.kind for alert in read_one_side(capture, "clients").starts} & kinds


@pytest.mark.parametrize("capture", CUT, ids=name_of)
def test_the_output_is_the_same_byte_for_byte_however_a_capture_is_cut(capture, tmp_path):
    whole = write_output(capture, 8192, tmp_path)
    assert {size: write_output(capture, size, tmp_path) == whole for size in (1, 7, 256)} == {1: True, 7: True, 256: True}


def test_the_output_does_not_depend_on_the_seeds_of_hashing(iplog):
    outputs = {iplog("read", "--format", "json", CAPTURES / "demo.pcap", PYTHONHASHSEED=seed).output for seed in ("0", "1", "2")}
    assert len(outputs) == 1


def events(answer):
    return [json.loads(line) for line in answer.output.splitlines()]


@pytest.mark.parametrize("capture", [CAPTURES / "syn_scan.pcap", SHARED / "scans" / "s_sS.pcap"], ids=name_of)
def test_a_syn_scan_is_one_alert_with_a_start_and_an_end(iplog, capture):
    if not capture.exists():
        pytest.skip("there is no folder of shared captures")
    alerts = [event["alert"] for event in events(iplog("read", "--format", "json", "--alerts-only", capture))]
    states = [(alert["kind"], alert["state"]) for alert in alerts if alert["state"] != "update"]
    assert states == [("port_scan", "start"), ("port_scan", "end")]


def test_a_syn_scan_is_one_line_among_those_of_its_attempts(iplog):
    lines = iplog("read", CAPTURES / "syn_scan.pcap").output.splitlines()
    assert sum("TCP: port scan detected to 198.18.1.1" in line for line in lines) == 1
    assert sum("connection attempt to 198.18.1.1 from 198.18.0.66:" in line for line in lines) == 100


def test_alerts_only_leaves_out_the_traffic(iplog):
    answer = iplog("read", "--format", "json", "--alerts-only", CAPTURES / "demo.pcap")
    assert {event["event_type"] for event in events(answer)} == {"alert"}


def test_flows_are_told_where_they_are_asked_for(iplog):
    answer = iplog("read", "--format", "json", "--set", "plugins.traffic.flows=true", CAPTURES / "web_client.pcap")
    states = [event["flow"]["state"] for event in events(answer) if event["event_type"] == "flow"]
    assert (states.count("answered"), states.count("silent") + states.count("pending")) == (30, 4)


def test_every_shared_capture_is_read_without_a_plugin_failing(shared_captures):
    failed = {path.name: log for path in sorted(shared_captures.rglob("*")) if path.is_file() and (log := complaints(path))}
    assert failed == {}


def complaints(path):
    """What plugins said when they failed; a file that is no capture is none of their business."""
    try:
        return read_alerts(path).log
    except CaptureError:
        return []
