"""`iplog read`: captures in, lines out, and what goes wrong in one line each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from sites import Answer, Iplog

from iplog_core.testing import tcp, write_pcap

EXPECTED = "expected pcap or pcapng, plain or compressed by gzip, bzip2, xz, lzma or zstd"


@pytest.fixture
def scan(captures: Path) -> Path:
    return captures / "syn_scan.pcap"


def alerts(answer: Answer) -> list[str]:
    return [line.partition(" ")[2].partition(" detected")[0] for line in answer.output.splitlines() if " detected" in line]


def test_a_scan_is_read_as_lines_and_one_alert(scan, iplog):
    answer = iplog("read", scan)
    assert (answer.status, answer.errors, alerts(answer)) == (0, "", ["TCP: port scan"])


def test_r_is_short_for_read(scan, iplog):
    assert iplog("-r", scan, "--alerts-only").output == iplog("read", scan, "--alerts-only").output


def test_alerts_only_leaves_the_traffic_out(scan, iplog):
    assert [line for line in iplog("read", "--alerts-only", scan).output.splitlines() if "attempt" in line] == []


def test_a_flag_may_be_set_to_false(scan, iplog):
    assert "connection attempt" in iplog("read", "--alerts-only", "--alerts-only=false", scan).output


def test_json_is_an_object_a_line(scan, iplog):
    events = [json.loads(line) for line in iplog("read", "--format", "json", "--alerts-only", scan).output.splitlines()]
    assert [event["alert"]["state"] for event in events if event["alert"]["state"] != "update"] == ["start", "end"]


def test_stats_are_written_at_the_end(scan, iplog):
    last = iplog("read", "--format", "json", "--stats", scan).output.splitlines()[-1]
    assert json.loads(last)["event_type"] == "stats"


def test_standard_input_is_read(scan, iplog):
    assert iplog("read", "-", stdin=scan.read_bytes()).output == iplog("read", scan).output


def test_options_may_stand_between_files(scan, captures, iplog):
    answer = iplog("read", scan, "--alerts-only", captures / "udp_scan.pcap")
    assert (answer.status, sorted(alerts(answer))) == (0, ["TCP: port scan", "UDP: scan/flood"])


def test_what_stands_behind_two_dashes_is_a_file(scan, iplog):
    (iplog.folder / "--stats").write_bytes(scan.read_bytes())
    assert alerts(iplog("read", "--alerts-only", "--", "--stats")) == ["TCP: port scan"]


def test_a_rule_hides_what_it_matches(scan, iplog):
    assert iplog("read", "--rule", "ignore tcp", "--rule", "ignore icmp", scan).output == ""


def test_a_disabled_plugin_reports_nothing(scan, iplog):
    assert iplog("read", "--disable", "tcp_scan,traffic", scan).output == ""


@pytest.mark.parametrize(("option", "numbers"), [("--since", [3, 4]), ("--until", [1, 2])])
def test_a_time_span_can_be_chosen(option, numbers, iplog):
    write_pcap(iplog.folder / "four.pcap", [tcp(dport=number, at=number) for number in (1, 2, 3, 4)])
    lines = iplog("read", "four.pcap").output.splitlines()
    at = lines[2].split()[0]
    assert iplog("read", "four.pcap", option, at).output.splitlines() == [lines[number - 1] for number in numbers]


def test_a_single_file_detector_raises_its_alert(iplog):
    (iplog.folder / "telnet.py").write_text(
        "from iplog_core import DetectorSettings, PacketDetector\n"
        "class TelnetTouched(PacketDetector[DetectorSettings]):\n"
        "    'Somebody knocked on telnet.'\n"
        "    name = 'telnet_touched'\n"
        "    def on_packet(self, packet):\n"
        "        if packet.is_syn and packet.dport == 23:\n"
        "            self.alert('telnet_touched', packet, severity='low')\n"
    )
    write_pcap(iplog.folder / "knock.pcap", [tcp(dport=22), tcp(dport=23, at=1)])
    answer = iplog("read", "knock.pcap", "--set", "plugin_paths=['telnet.py']", "--format", "json", "--alerts-only")
    raised = [json.loads(line)["alert"] for line in answer.output.splitlines()]
    assert [(alert["kind"], alert["state"]) for alert in raised] == [("telnet_touched", "start"), ("telnet_touched", "end")]


# Which sinks run


def test_a_sink_that_the_file_enables_does_not_run(scan, iplog):
    (iplog.folder / "iplog.toml").write_text("enable = ['tcp_scan', 'jsonl']\n[plugins.jsonl]\npath = 'out.jsonl'")
    iplog("read", scan, "--config", "iplog.toml")
    assert not (iplog.folder / "out.jsonl").exists()


def test_a_sink_that_the_command_line_enables_runs_beside_the_format(scan, iplog):
    answer = iplog("read", scan, "--enable", "jsonl", "--set", "plugins.jsonl.path=out.jsonl", "--alerts-only")
    assert (alerts(answer), (iplog.folder / "out.jsonl").read_text()[:1]) == (["TCP: port scan"], "{")


def test_a_sink_that_the_command_line_enables_takes_the_place_of_the_default_format(scan, iplog):
    answer = iplog("read", scan, "--enable", "jsonl", "--alerts-only")
    assert {line[:1] for line in answer.output.splitlines()} == {"{"}


def test_two_sinks_cannot_share_standard_output(scan, iplog):
    answer = iplog("read", scan, "--enable", "jsonl", "--format", "text")
    assert (answer.status, answer.errors) == (
        2,
        "jsonl: it would write to standard output, as text does; set plugins.jsonl.path.\n",
    )


def test_a_format_that_nobody_writes_is_told(scan, iplog):
    answer = iplog("read", scan, "--format", "jsn")
    assert (answer.status, answer.errors) == (2, "--format jsn: no installed plugin writes it. Did you mean json? There are: json, text.\n")


# What goes wrong


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "x.pcap: no such file."),
        (b"", f"x.pcap: the file is empty (0 bytes); {EXPECTED}."),
        (b"hello, this is no capture at all", f"x.pcap: this is a text file, no capture; {EXPECTED}."),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_line(content, said, iplog):
    if content is not None:
        (iplog.folder / "x.pcap").write_bytes(content)
    answer = iplog("read", "x.pcap")
    assert (answer.status, answer.output, answer.errors) == (2, "", f"{said}\n")


def test_a_folder_is_one_clear_line(iplog):
    (iplog.folder / "x").mkdir()
    answer = iplog("read", "x")
    assert (answer.status, answer.faults) == (2, ["x: this is a folder; expected a capture, such as x/*.pcap."])


def test_what_can_be_read_is_read_where_another_file_is_missing(scan, iplog):
    answer = iplog("read", "x.pcap", scan, "--alerts-only")
    assert (answer.status, answer.errors, alerts(answer)) == (1, "x.pcap: no such file.\n", ["TCP: port scan"])


def test_every_missing_file_is_told(iplog):
    answer = iplog("read", "x.pcap", "y.pcap")
    assert (answer.status, answer.faults) == (2, ["x.pcap: no such file.", "y.pcap: no such file."])


def test_a_capture_that_ends_badly_is_read_as_far_as_it_goes(scan, iplog):
    (iplog.folder / "cut.pcap").write_bytes(scan.read_bytes()[:-5])
    answer = iplog("read", "cut.pcap", "--alerts-only")
    assert (answer.status, answer.faults[0][:35], alerts(answer)) == (1, "cut.pcap: the file ends in the midd", ["TCP: port scan"])


def test_a_capture_without_packets_says_so_and_is_no_error(iplog):
    write_pcap(iplog.folder / "none.pcap", [])
    answer = iplog("read", "none.pcap")
    assert (answer.status, answer.output, answer.errors) == (0, "", "none.pcap: no packets.\n")


def test_standard_input_cannot_be_read_twice(scan, iplog):
    answer = iplog("read", "-", "-", stdin=scan.read_bytes())
    assert (answer.status, answer.errors) == (2, "-: named twice; standard input can be read once.\n")


def test_a_wrong_configuration_is_told_before_any_file_is_opened(iplog):
    answer = iplog("read", "x.pcap", "--set", "batch_size=0", "--rule", "ignroe tcp")
    assert [line.partition(":")[0] for line in answer.faults] == ["--set batch_size", "--rule"]


def test_a_name_that_cannot_be_printed_is_escaped(iplog):
    assert iplog("read", "x\x1b[2J\n.pcap").errors == "x\\x1b[2J\\n.pcap: no such file.\n"


def test_a_closed_pipe_is_one_clear_line(scan, iplog):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*iplog.command, "read", str(scan)], env=iplog.environment, cwd=iplog.folder, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "standard output: its reader closed it; what was not written is lost.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_was_read(number, scan, iplog):
    process = subprocess.Popen(
        [*iplog.command, "read", "-", "--set", "batch_size=10"],
        env=iplog.environment,
        cwd=iplog.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(scan.read_bytes())
    process.stdin.flush()
    first = process.stdout.readline()
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.startswith(b"interrupted after "), (first + output).endswith(b"\n")) == (1, True, True)


def test_an_interrupted_run_does_not_wait_for_ever_for_a_server_that_is_away(scan, iplog):
    process = subprocess.Popen(
        [*iplog.command, "read", str(scan), "--enable", "syslog", "--set", "plugins.syslog.address=/nowhere/log", "--set", "end_timeout=0.1"],
        env=iplog.environment,
        cwd=iplog.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, b"/nowhere/log" in first, b"syslog: it could not write: " in errors) == (1, True, True)


# Sources and hooks of plugins

SOURCE = """
from iplog_core import hookimpl
from iplog_core.testing import MemorySource, tcp

iplog_api = 1

@hookimpl
def iplog_source(name, batch_size):
    if name == "made:up":
        return MemorySource([tcp(dport=25)], batch_size)
    if name == "bro:ken":
        raise RuntimeError("no bucket")
"""


def test_a_plugin_may_read_another_kind_of_capture(site, iplog):
    site.install("ash", SOURCE)
    answer = iplog("read", "made:up")
    assert (answer.status, answer.output.count("smtp connection attempt")) == (0, 1)


def test_a_plugin_that_cannot_open_its_capture_is_told(site, iplog):
    site.install("ash", SOURCE)
    answer = iplog("read", "bro:ken")
    assert (answer.status, answer.errors) == (
        2,
        "bro:ken: ash 1.0 (iplog-plugin-ash): iplog_source failed: RuntimeError: no bucket (iplog_ash.py, line 12).\n",
    )


def test_nothing_of_a_disabled_plugin_is_imported(site, scan, iplog: Iplog):
    site.install("ash", "raise RuntimeError('imported')")
    assert iplog("read", scan, "--disable", "ash").status == 0
