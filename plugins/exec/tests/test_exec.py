"""What is run for which alert, what it is given, and what is said where that fails."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from iplog_core import IplogError, SinkContext
from iplog_core.testing import alert, records
from iplog_core.testing.conformance import SinkConformance
from iplog_exec import Exec, Settings


@pytest.fixture
def script(tmp_path):
    """A function that makes a program of some Python, which has `kept`, a folder; what the program writes into it is returned by `written`."""

    def made(text):
        path = tmp_path / "program"
        path.write_text(f"#!{sys.executable} -IS\nimport json, os, sys, time\nkept = {str(tmp_path)!r}\n{text}\n")
        path.chmod(0o755)
        return str(path)

    return made


@pytest.fixture
def notes() -> list[str]:
    """What the sink says of itself."""
    return []


@pytest.fixture
def opened(notes):
    """A function that opens the sink."""

    def made(*command, **settings):
        sink = Exec(Settings(command=list(command), **settings), SinkContext(note=notes.append))
        sink.open()
        return sink

    return made


APPEND = "open(kept + '/said', 'a').write(json.dumps({}) + '\\n')"


def said(folder):
    path = folder / "said"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(sink, *alerts):
    sink.write(alerts)
    sink.close()


# What it is given


def test_fields_stand_in_the_arguments_each_as_one(script, opened, tmp_path):
    run(opened(script(APPEND.format("sys.argv[1:]")), "{kind}", "--from={src_ip}", "{src_port}", '{"a":1}'), alert(src_ip="192.0.2.1"))
    assert said(tmp_path) == [["port_scan", "--from=192.0.2.1", "", '{"a":1}']]


def test_no_shell_reads_what_an_alert_has(script, opened, tmp_path):
    run(opened(script(APPEND.format("sys.argv[1:]")), "{signature}"), alert(signature="$(id); `id` | x > /y"))
    assert said(tmp_path) == [["$(id); `id` | x > /y"]]


def test_an_argument_that_is_a_field_is_no_option(script, opened, tmp_path):
    run(opened(script(APPEND.format("sys.argv[1:]")), "{signature}"), alert(signature="--delete"))
    assert said(tmp_path) == [["\\x2d-delete"]]


def test_control_characters_and_nul_are_escaped(script, opened, tmp_path):
    run(opened(script(APPEND.format("sys.argv[1:] + [os.environ['IPLOG_ALERT_IN_IFACE']]")), "{signature}"), alert(signature="a\0b\nc\x1b", in_iface="\0e"))
    assert said(tmp_path) == [["a\\x00b\\nc\\x1b", "\\x00e"]]


def test_the_environment_has_the_fields_and_nothing_secret_of_iplog(script, opened, tmp_path, monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "secret")
    run(opened(script(APPEND.format("[os.environ.get(n) for n in ('IPLOG_ALERT_KIND', 'IPLOG_ALERT_SRC_IP', 'MAIL_PASSWORD')]"))), alert(src_ip="192.0.2.1"))
    assert said(tmp_path) == [["port_scan", "192.0.2.1", None]]


def test_standard_input_has_the_alert_as_json(script, opened, tmp_path):
    run(opened(script(APPEND.format("json.load(sys.stdin)"))), alert(dest_ports=[22, 23], extra={"asset": "www"}))
    (told,) = said(tmp_path)
    assert (told["kind"], told["evidence"]["dest_ports"], told["extra"]) == ("port_scan", [22, 23], {"asset": "www"})


def test_what_it_prints_is_not_mixed_with_what_iplog_prints(script, opened, capfd):
    run(opened(script("print('out'); print('err', file=sys.stderr)")), alert())
    assert capfd.readouterr() == ("", "")


# When it is run


@pytest.mark.parametrize(
    ("settings", "given", "is_run"),
    [
        ({}, {"severity": "medium"}, True),
        ({}, {"severity": "low"}, False),
        ({"min_severity": "high"}, {"severity": "medium"}, False),
        ({}, {"state": "end"}, False),
        ({"states": ["end"]}, {"state": "end"}, True),
        ({"kinds": ["udp_scan"]}, {}, False),
        ({"kinds": ["port_scan"]}, {}, True),
    ],
)
def test_it_is_run_for_what_the_settings_name(settings, given, is_run, script, opened, tmp_path):
    run(opened(script(APPEND.format("1")), **settings), alert(**given))
    assert len(said(tmp_path)) == is_run


def test_traffic_runs_nothing(script, opened, tmp_path):
    run(opened(script(APPEND.format("1"))), records(3))
    assert said(tmp_path) == []


def test_no_more_run_at_once_than_may(script, opened, tmp_path):
    sink = opened(script(APPEND.format("time.time()") + "\ntime.sleep(0.2)\n" + APPEND.format("-time.time()")), at_once=2)
    run(sink, *(alert() for _ in range(6)))
    steps = [1 if moment > 0 else -1 for moment in sorted(said(tmp_path), key=abs)]
    assert max(sum(steps[:n]) for n in range(len(steps) + 1)) == 2


def test_what_is_too_much_for_a_minute_is_counted_and_told(script, opened, tmp_path, notes):
    sink = opened(script(APPEND.format("1")), per_minute=3)
    run(sink, *(alert() for _ in range(10)))
    assert (len(said(tmp_path)), notes) == (3, ["exec: for 7 alerts no command was run: 3 may be started within a minute, and as many wait."])


# What goes wrong


def test_a_command_that_takes_too_long_is_killed_with_all_that_it_started(script, opened, tmp_path, notes):
    sink = opened(script(f"child = os.fork()\n{APPEND.format('os.getpid()')}\ntime.sleep(60)"), timeout=0.5)
    with pytest.raises(OSError, match="1 of 1 command failed"):
        run(sink, alert())
    time.sleep(0.1)
    assert notes == [f"exec: a command failed: {sink.settings.command[0]}: it took more than 0.5 seconds and was killed."]
    assert [pid for pid in said(tmp_path) if is_running(pid)] == []


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_failures_are_told_once_a_minute_and_counted_at_the_end(script, opened, notes):
    sink = opened(script("sys.exit(3)"), at_once=1)
    with pytest.raises(OSError, match="4 of 4 commands failed"):
        run(sink, *(alert() for _ in range(4)))
    program = sink.settings.command[0]
    reason = f"{program}: its exit status was 3."
    assert notes == [f"exec: a command failed: {reason}", f"exec: 3 commands failed, the last one so: {reason}"]


def test_a_program_that_is_gone_is_a_failure_and_not_the_end(script, opened, notes):
    program = script("")
    sink = opened(program)
    os.unlink(program)
    with pytest.raises(OSError, match="1 of 1"):
        run(sink, alert())
    assert notes == [f"exec: a command failed: {program}: it could not be started: no such file or directory."]


def test_commands_that_still_run_when_the_time_is_over_are_killed_and_those_that_wait_are_counted(script, opened, notes, tmp_path):
    sink = opened(script(APPEND.format("os.getpid()") + "\ntime.sleep(60)"), timeout=60)
    sink.write([alert() for _ in range(20)])
    end = time.monotonic() + 20
    while len(said(tmp_path)) < 4:
        assert time.monotonic() < end
        time.sleep(0.01)
    sink.give_up()
    with pytest.raises(OSError, match="4 of 4"):
        sink.close()
    assert [pid for pid in said(tmp_path) if is_running(pid)] == []
    assert notes[-1] == "exec: for 16 alerts no command was run: iplog ended."


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ([], "whole path of a program"),
        (["page-me"], "whole path of a program"),
        (["/bin/{kind}"], "expected a fixed one"),
        (["/bin/true", "{scr_ip}"], "an alert has no {scr_ip}; expected one of id, plugin"),
        (["/bin/true", "a\0"], "NUL"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(command, what):
    with pytest.raises(ValidationError, match=what):
        Settings(command=command)


@pytest.mark.parametrize(("program", "what"), [("/nowhere/page-me", "there is no such file"), ("/etc/passwd", "it may not be executed")])
def test_a_program_that_cannot_be_run_stops_the_start(program, what, opened):
    with pytest.raises(IplogError, match=what):
        opened(program)


class TestConformance(SinkConformance):
    sink = Exec
    settings = {"command": ["/bin/true", "{signature}"]}
