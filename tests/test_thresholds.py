"""Detectors without code, end to end: the examples on captures of real tools, and what iplog says and keeps of a table."""

import json
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
EXAMPLES = CHECKOUT / "tests" / "thresholds.toml"
CAPTURES = CHECKOUT / "tests" / "captures"
ONLY = ("--set", 'enable=["threshold"]')
TELNET = """
[plugins.threshold.telnet]
match = "tcp dport 23"
flags = "syn !ack"
"""


@pytest.fixture
def read(iplog):
    """What `iplog read` writes of a capture with the tables of a file, in lines."""

    def lines(capture, *options, config=EXAMPLES):
        answer = iplog("read", "--alerts-only", *ONLY, "--config", config, *options, CAPTURES / f"{capture}.pcap")
        assert answer.status == 0, answer.errors
        return answer.output.splitlines()

    return lines


def test_the_readme_shows_the_examples():
    block, *_ = re.findall(r"^```toml\n(.*?)^```$", (CHECKOUT / "plugins/threshold/README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert block == EXAMPLES.read_text()


@pytest.mark.parametrize(
    ("capture", "line"),
    [
        ("syn_scan", "TCP: telnet knock detected to 198.18.1.1 [port 23] from 198.18.0.66 [port 41642]"),
        ("port_sweep", "TCP: many hosts of ssh detected to 198.18.1.1,198.18.1.2,"),
        ("name_server", "DNS: question to a server that is not ours detected to 198.18.1.1 [port 53] from 198.18.0.205 [port 49333]"),
        ("mail_client", "TCP: mail past our server detected to 198.18.2.1 from 198.18.0.208 [port 38985]"),
        ("fragments", "ICMP: large ping detected to 198.18.1.1 from 198.18.0.66"),
    ],
)
def test_each_example_finds_what_it_is_for(read, capture, line):
    assert any(line in told for told in read(capture))


def test_the_examples_find_nothing_in_a_client_that_tries_one_closed_port(read):
    assert read("retry_closed") == []


def test_a_table_may_come_from_the_command_line(read, tmp_path):
    (tmp_path / "iplog.toml").write_text("")
    table = "plugins.threshold.telnet={ match = 'tcp dport 23', flags = 'syn !ack' }"
    assert "TCP: telnet detected" in read("syn_scan", "--set", table, config=tmp_path / "iplog.toml")[0]


def test_the_environment_changes_a_table(iplog, tmp_path):
    (tmp_path / "iplog.toml").write_text(TELNET)
    command = ("read", "--alerts-only", *ONLY, "--config", "iplog.toml", CAPTURES / "syn_scan.pcap")
    assert iplog(*command, IPLOG__PLUGINS__THRESHOLD__TELNET__THRESHOLD="2").output == ""


def test_the_kind_of_a_table_can_be_muted(read):
    assert read("fragments", "--set", 'mute=["large_icmp", "foreign_dns"]') == []


def test_a_line_of_its_own_is_written(read):
    (line,) = read("fragments", "--set", "plugins.threshold.large_icmp.line={proto} of {src} is large", "--set", 'mute=["foreign_dns"]')[:1]
    assert line.endswith("ICMP of 198.18.0.66 is large")


def test_show_tells_the_settings_of_a_table_and_the_kinds_in_force(iplog, tmp_path):
    (tmp_path / "iplog.toml").write_text(TELNET)
    output = iplog("plugins", "show", "threshold", "--config", "iplog.toml").output
    assert "Alerts\n  telnet  medium  TCP: telnet\n" in output
    assert "Settings, in each [plugins.threshold.NAME]\n  match: text or an array, each text; must be set\n" in output


def test_config_show_has_a_table_for_each_with_where_it_comes_from(iplog, tmp_path):
    (tmp_path / "iplog.toml").write_text(TELNET)
    output = iplog("config", "show", "--config", "iplog.toml", IPLOG__PLUGINS__THRESHOLD__TELNET__THRESHOLD="2").output
    _, _, table = output.partition("[plugins.threshold.telnet]\n")
    assert table.splitlines()[:3] == ['match = "tcp dport 23"  # iplog.toml', "allow = []  # default", 'flags = "syn !ack"  # iplog.toml']
    assert "threshold = 2  # environment" in table.splitlines()


def test_config_init_has_a_table_to_begin_with(iplog):
    assert "#[plugins.threshold.NAME]\n" in iplog("config", "init").output


def test_the_schema_knows_what_a_table_may_hold(iplog):
    schema = json.loads(iplog("config", "schema").output)
    plugin = schema["$defs"][schema["properties"]["plugins"]["properties"]["threshold"]["$ref"].rpartition("/")[2]]
    table = schema["$defs"][plugin["additionalProperties"]["$ref"].rpartition("/")[2]]
    assert (table["required"], "window" in table["properties"]) == (["match"], True)


HALVES = [("--until", "2026-11-23T10:44:32.71440"), ("--since", "2026-11-23T10:44:32.71440")]


def test_two_runs_over_two_halves_count_as_one_over_the_whole(read):
    halves = [line for option in HALVES for line in read("port_sweep", "--state", "half.state", *option)]
    assert halves == read("port_sweep", "--state", "whole.state") != []


def test_a_table_that_was_changed_starts_afresh_and_the_others_go_on(iplog, tmp_path):
    table = '[plugins.threshold.{}]\nmatch = "{}"\nkey = "source"\ndistinct = "dest"\nthreshold = 60\ncount = "openings"\n'
    first, second = HALVES
    told = []
    for half, match in ((first, "tcp dport 22"), (second, "tcp dport 22 to 198.18.0.0/16")):
        (tmp_path / "iplog.toml").write_text(table.format("kept", "tcp dport 22") + table.format("changed", match))
        command = ("read", "--alerts-only", *ONLY, "--config", "iplog.toml", "--state", "run.state", *half, CAPTURES / "port_sweep.pcap")
        told.append(iplog(*command))
    assert "its settings have changed, so that part of what it knew is left out" in told[1].errors
    assert ["kept" in told[1].output, "changed" in told[1].output] == [True, False]
