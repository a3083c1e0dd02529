"""`iplog read --jobs N`: each capture as if it were read alone, several at a time, in the order in which they were named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from processes import wait_until
from sites import Iplog

NAMES = ("syn_scan.pcap", "two_interfaces.pcapng", "syn_scan.pcap", "ordinary_zst.pcap.zst")


@pytest.fixture
def files(captures: Path) -> list[Path]:
    return [captures / name for name in NAMES]


@pytest.mark.parametrize(("form", "jobs"), [("text", "1"), ("text", "2"), ("json", "4")])
def test_captures_are_written_as_if_each_were_read_alone(form, jobs, files, iplog):
    alone = "".join(iplog("read", "--format", form, file).output for file in files)
    assert iplog("read", "--format", form, "--jobs", jobs, *files).output == alone


def test_a_sink_that_writes_a_file_gets_the_captures_in_order(files, iplog):
    options = ("--enable", "jsonl", "--set", "plugins.jsonl.path=log.json")
    for file in files[:2]:
        iplog("read", *options, file)
    alone = (iplog.folder / "log.json").read_bytes()
    (iplog.folder / "log.json").unlink()
    iplog("read", *options, "--jobs", "2", *files[:2])
    assert (iplog.folder / "log.json").read_bytes() == alone


def test_a_scan_that_goes_on_in_the_next_capture_is_told_in_each(captures, iplog):
    scan = captures / "syn_scan.pcap"
    assert iplog("read", "--alerts-only", "--jobs", "2", scan, scan).output == 2 * iplog("read", "--alerts-only", scan).output


def test_counters_are_those_of_all_captures_together(captures, iplog):
    def stats(*arguments: str) -> dict[str, object]:
        counters: dict[str, object] = json.loads(iplog("read", "--format", "json", "--stats", *arguments).output.splitlines()[-1])["stats"]
        return counters

    both = [str(captures / name) for name in ("syn_scan.pcap", "udp_scan.pcap")]
    told = [stats(file) for file in both]
    assert {name: told[0][name] + told[1][name] for name in ("packets", "bytes", "flows", "alerts")}.items() <= stats("--jobs", "2", *both).items()  # type: ignore[operator]


def test_a_broken_capture_costs_what_is_broken_of_it(captures, iplog):
    whole, other = captures / "syn_scan.pcap", captures / "udp_scan.pcap"
    (iplog.folder / "torn.pcap").write_bytes(whole.read_bytes()[:-7])
    answer = iplog("read", "--jobs", "2", whole, "torn.pcap", other)
    alone = [iplog("read", file).output for file in (whole, "torn.pcap", other)]
    assert (answer.status, answer.output, len(answer.faults), answer.errors.startswith("torn.pcap: the file ends in ")) == (1, "".join(alone), 1, True)


def test_a_capture_that_is_none_is_one_line_and_the_others_are_read(captures, iplog):
    scan = captures / "syn_scan.pcap"
    answer = iplog("read", "--jobs", "2", "nowhere.pcap", scan)
    assert (answer.status, answer.output, answer.errors.startswith("nowhere.pcap: no such file.")) == (1, iplog("read", scan).output, True)


def test_where_none_can_be_read_nothing_could_be_done(iplog):
    assert iplog("read", "--jobs", "2", "one.pcap", "two.pcap").status == 2


def test_standard_input_may_be_one_of_the_captures(captures, iplog):
    scan, other = captures / "syn_scan.pcap", captures / "udp_scan.pcap"
    answer = iplog("read", "--jobs", "2", other, "-", stdin=scan.read_bytes())
    assert (answer.status, answer.output) == (0, iplog("read", other).output + iplog("read", scan).output)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--jobs", "0", "x"], "--jobs: '0' is no number of processes; expected one from 1 to 999, such as that of the processors."),
        (
            ["--jobs", "2", "--state", "week.state", "x"],
            "--jobs: each capture is a time of its own, so that none can go on from what the state knows; leave away --jobs or the state.",
        ),
        (["--jobs", "2", "-", "-"], "-: named twice; standard input can be read once."),
    ],
)
def test_what_cannot_be_is_one_clear_line(arguments, said, iplog):
    answer = iplog("read", *arguments)
    assert (answer.status, answer.output, answer.errors) == (2, "", f"{said}\n")


NOISY = """
from iplog_core import hookimpl

iplog_api = 1

@hookimpl
def iplog_alert(alert):
    raise RuntimeError("no bell")
"""


def test_what_a_plugin_fails_in_is_told_with_the_name_of_the_capture(site, captures, iplog):
    site.install("ash", NOISY)
    scan = captures / "syn_scan.pcap"
    answer = iplog("read", "--jobs", "1", scan, captures / "ordinary.pcap")
    assert [line for line in answer.faults if "RuntimeError" in line and line.startswith(f"{scan}: ash")] != []


@contextmanager
def reading(iplog: Iplog, *names: str | Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Read captures, one of them a pipe named `pipe` that gives nothing; give the process, and the number of that which reads the pipe."""
    pipe = iplog.folder / "pipe"
    os.mkfifo(pipe)
    command = [*iplog.command, "read", "--jobs", "2", *map(str, names)]
    process = subprocess.Popen(command, env=iplog.environment, cwd=iplog.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with pipe.open("wb"):
        wait_until(lambda: readers_of(pipe) != [])
        try:
            yield process, readers_of(pipe)[0]
        finally:
            process.kill()
            process.communicate()


def readers_of(pipe: Path) -> list[int]:
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # it has gone meanwhile
            if int(process) != os.getpid() and pipe in [link.readlink() for link in Path("/proc", process, "fd").iterdir()]:
                found.append(int(process))
    return found


def test_a_reader_that_is_killed_is_named_and_the_others_go_on(captures, iplog):
    scan = captures / "syn_scan.pcap"
    with reading(iplog, scan, "pipe", scan) as (process, reader):
        os.kill(reader, signal.SIGKILL)
        output, errors = process.communicate(timeout=60)
    said = "pipe: the process that read it was ended by SIGKILL; what it found is left out.\n"
    assert (process.returncode, output, errors) == (1, 2 * iplog("read", scan).output, said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_its_readers_and_keeps_what_was_read(number, captures, iplog):
    scan = captures / "syn_scan.pcap"
    with reading(iplog, scan, "pipe", "pipe", scan) as (process, _):
        wait_until(lambda: len(readers_of(iplog.folder / "pipe")) == 2)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
        left = readers_of(iplog.folder / "pipe")
    said = [*2 * ["pipe: interrupted before anything of it was read."], f"{scan}: not read: interrupted before."]
    assert (process.returncode, output, left, errors.splitlines()) == (1, iplog("read", scan).output, [], said)


def test_neither_a_reader_nor_a_folder_outlives_a_run_that_is_killed(captures, iplog, monkeypatch):
    monkeypatch.setitem(iplog.environment, "TMPDIR", str(iplog.folder))
    with reading(iplog, captures / "syn_scan.pcap", "pipe") as (process, _):
        process.kill()
        process.wait()
        wait_until(lambda: list(iplog.folder.glob("iplog-*")) == [])
        assert (readers_of(iplog.folder / "pipe"), list(iplog.folder.glob("iplog-*"))) == ([], [])


def test_nothing_is_left_behind(captures, iplog, monkeypatch):
    monkeypatch.setitem(iplog.environment, "TMPDIR", str(iplog.folder))
    iplog("read", "--jobs", "2", captures / "syn_scan.pcap", "nowhere.pcap")
    assert list(iplog.folder.glob("iplog-*")) == []
