"""Where lines go, what stands before them, and how identical ones become one."""

import os
import sys
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplog_core import RECORD_DTYPE, IplogError, Kind, Notice, RecordKind, Records, SinkContext, Stats
from iplog_core.events import InterfaceStats
from iplog_core.outlet import Outlet
from iplog_core.terminal import Terminal
from iplog_text import Settings, Text

ECHO = {"record": RecordKind.ICMP, "kind": Kind.ICMP, "icmp_type": 8, "payload": 64}
START = 1_780_000_019_000_000_000  # 2026-05-28T20:26:59Z
LINE = "ICMP: echo from 198.18.0.66 to 198.18.1.1 (64 bytes)"


def test_a_line_of_a_capture_begins_with_the_time_of_its_packet(written, record):
    assert written([record(**ECHO, at=0.000123)]).decode() == f"2026-05-28T20:26:59.000123+00:00 {LINE}\n"


def test_a_line_of_an_alert_begins_with_the_time_of_its_decision(written, alert):
    scan = alert(src_ip="198.18.0.66", at=2.5)
    assert written([scan]).decode() == "2026-05-28T20:27:01.500000+00:00 TCP: port scan detected from 198.18.0.66\n"


def test_a_line_of_a_watched_interface_begins_like_one_of_the_system_log(written, record, monkeypatch):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        text = written([record(**ECHO), record(**ECHO, at=5 * 86400)], mode="watch", hostname="matrix", pid=19624).decode()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert text == f"May 28 22:26:59 matrix iplog[19624]: {LINE}\nJun  2 22:26:59 matrix iplog[19624]: {LINE}\n"


@pytest.mark.parametrize(
    ("counted", "line"),
    [
        ({}, b"statistics: 7 packets (420 bytes), 3 flows, 1 alerts"),
        (
            {"queue_drops": 2, "malformed": {"truncated": 1, "bad_link": 4}},
            b"statistics: 7 packets (420 bytes), 3 flows, 1 alerts, 2 dropped by queues, 5 malformed",
        ),
        (
            {"kernel_drops": 4, "interfaces": {"eth0": InterfaceStats(packets=7, kernel_drops=4, ring=65536, rate=3.6), "eth1": InterfaceStats(ring=65536)}},
            b"statistics: 7 packets (420 bytes), 3 flows, 1 alerts, 4 dropped by the kernel; "
            b"eth0: 7 packets (4/s), 4 dropped by the kernel, a ring of 65536 bytes; eth1: 0 packets (0/s), a ring of 65536 bytes",
        ),
    ],
)
def test_statistics_are_one_line_that_leaves_out_what_did_not_happen(written, counted, line):
    text = written([Stats(packets=7, bytes=420, flows=3, alerts=1, **counted)])
    assert text == b"1970-01-01T00:00:00.000000+00:00 " + line + b"\n"


def test_what_iplog_says_of_itself_is_one_printable_line(written):
    notice = Notice(time=START, message="eth0: the interface\nwent down.")
    assert written([notice]) == b"2026-05-28T20:26:59.000000+00:00 eth0: the interface\\nwent down.\n"


def repeated(lines, record, *times):
    return [line.removeprefix("ICMP: ").removesuffix(" (64 bytes)") for line in lines(*(record(**ECHO, at=at) for at in times), log_dest=False)]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([0, 1], ["echo from 198.18.0.66", "last message repeated 1 times"]),
        ([0, 1, 2, 59], ["echo from 198.18.0.66", "last message repeated 3 times"]),
        ([0, 1, 60, 61], ["echo from 198.18.0.66", "last message repeated 2 times", "last message repeated 1 times"]),
        ([0, 60], ["echo from 198.18.0.66", "echo from 198.18.0.66"]),
    ],
)
def test_identical_lines_within_a_minute_become_one(lines, record, times, expected):
    assert repeated(lines, record, *times) == expected


def test_a_different_line_tells_first_how_often_the_one_before_was_repeated(written, record):
    other = record(**ECHO, at=9, src="198.18.0.67")
    assert written([record(**ECHO), record(**ECHO, at=1), record(**ECHO, at=2), other, record(**ECHO, at=10)], log_dest=False).decode().splitlines() == [
        "2026-05-28T20:26:59.000000+00:00 ICMP: echo from 198.18.0.66 (64 bytes)",
        "2026-05-28T20:27:01.000000+00:00 last message repeated 2 times",
        "2026-05-28T20:27:08.000000+00:00 ICMP: echo from 198.18.0.67 (64 bytes)",
        "2026-05-28T20:27:09.000000+00:00 ICMP: echo from 198.18.0.66 (64 bytes)",
    ]


@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 70)), max_size=40),
    cuts=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_the_output_is_the_same_however_the_events_are_cut(written, record, alert, steps, cuts):
    times = np.cumsum([step for _, step in steps]).tolist()
    events = [
        alert(src_ip="198.18.0.66", at=at) if source == 2 else record(**ECHO, at=at, src=f"198.18.0.{source}")
        for (source, _), at in zip(steps, times, strict=True)
    ]
    calls: list[list[Any]] = [[]]
    for event, cut in zip(events, cuts, strict=False):
        if cut:
            calls.append([event])
        elif calls[-1] and isinstance(event, np.ndarray) and isinstance(calls[-1][-1], np.ndarray):
            calls[-1][-1] = np.concatenate([calls[-1][-1], event])
        else:
            calls[-1].append(event)
    assert written(*calls) == written(*([event] for event in events))


@given(st.binary(min_size=RECORD_DTYPE.itemsize, max_size=RECORD_DTYPE.itemsize), st.sampled_from(list(RecordKind)[:3]), st.sampled_from(["read", "watch"]))
def test_a_record_of_any_values_is_one_printable_line(written, content, kind, mode):
    row = np.frombuffer(content, RECORD_DTYPE).copy()
    row["record"] = kind
    text = written([row], mode=mode, hostname="\x1b]0;", pid=1).decode()
    assert text.endswith("\n")
    assert text[:-1].isprintable()


def test_a_file_is_added_to(tmp_path, record):
    path = tmp_path / "iplog.log"
    for _ in range(2):
        sink = Text(Settings(path=str(path)), SinkContext())
        sink.open()
        sink.write([Records(record(**ECHO), [])])
        sink.close()
    assert path.read_text().count(LINE) == 2


def test_a_file_that_is_renamed_again_and_again_under_traffic_loses_no_line_and_tears_none(tmp_path, record):
    path = tmp_path / "iplog.log"
    told: list[str] = []
    outlet = Outlet(Text(Settings(path=str(path)), SinkContext()), 1000, "block", told.append, told.append)
    outlet.start()
    sources = [f"10.0.{number >> 8}.{number & 255}" for number in range(1000)]
    for number, source in enumerate(sources):
        outlet.put([Records(record(**ECHO, src=source), [])])
        if number % 100 == 50:
            path.rename(tmp_path / f"iplog.log.{number}")
            outlet.reopen()
            wait_for(path)
    outlet.stop()
    lines = [line.partition(" ")[2] for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    assert sorted(lines) == sorted(LINE.replace("198.18.0.66", source) for source in sources)
    assert told == []


def wait_for(path):
    end = time.monotonic() + 20
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.001)


def test_lines_go_on_into_the_file_that_was_open_where_no_other_can_be(tmp_path, record):
    path = tmp_path / "iplog.log"
    notes: list[str] = []
    sink = Text(Settings(path=str(path)), SinkContext(note=notes.append))
    sink.open()
    path.rename(tmp_path / "before")
    path.mkdir()
    sink.reopen()
    sink.write([Records(record(**ECHO), [])])
    sink.close()
    assert (tmp_path / "before").read_text().endswith(f"{LINE}\n")
    assert notes == [f"text: {path}: Is a directory; a sink needs a file that it may write to. The lines go on into the file that was open."]


def test_a_full_disk_does_not_keep_the_file_from_being_opened_anew(tmp_path, record):
    path = tmp_path / "iplog.log"
    path.symlink_to("/dev/full")
    sink = Text(Settings(path=str(path)), SinkContext())
    sink.open()
    with pytest.raises(OSError, match="No space"):
        sink.write([Records(record(**ECHO), [])])
    path.unlink()
    sink.reopen()
    sink.write([Records(record(**ECHO), [])])
    sink.close()
    assert path.read_text().endswith(f"{LINE}\n")


def test_repeats_of_a_line_are_told_in_its_file_and_the_next_file_begins_with_a_line_in_full(tmp_path, record):
    path = tmp_path / "iplog.log"
    sink = Text(Settings(path=str(path)), SinkContext())
    sink.open()
    sink.write([Records(record(**ECHO), []), Records(record(**ECHO), [])])
    path.rename(tmp_path / "before")
    sink.reopen()
    sink.write([Records(record(**ECHO), [])])
    sink.close()
    files = [(tmp_path / name).read_text().splitlines() for name in ("before", "iplog.log")]
    assert [[line.partition(" ")[2] for line in lines] for lines in files] == [[LINE, "last message repeated 1 times"], [LINE]]


def test_while_watching_repeats_are_told_after_a_minute_though_nothing_else_comes(tmp_path, record, monkeypatch):
    monkeypatch.setattr("iplog_text._MINUTE", 0.05)
    path = tmp_path / "iplog.log"
    sink = Text(Settings(path=str(path)), SinkContext(mode="watch"))
    sink.open()
    sink.write([Records(record(**ECHO), []), Records(record(**ECHO), [])])
    end = time.monotonic() + 20
    while "repeated" not in path.read_text() and time.monotonic() < end:
        time.sleep(0.01)
    told = path.read_text()
    sink.close()
    assert told.endswith("last message repeated 1 times\n")


def test_standard_output_is_not_opened_anew(capsysbinary, record):
    sink = Text(Settings(), SinkContext())
    sink.open()
    sink.reopen()
    sink.write([Records(record(**ECHO), [])])
    sink.close()
    assert capsysbinary.readouterr().out.endswith(f"{LINE}\n".encode())


def test_a_file_that_cannot_be_written_is_told_in_one_line(tmp_path):
    with pytest.raises(IplogError, match=r"no/iplog\.log: No such file or directory; a sink needs a file that it may write to\."):
        Text(Settings(path=str(tmp_path / "no" / "iplog.log")), SinkContext()).open()


@pytest.mark.parametrize(("path", "standard_output"), [(None, False), ("-", False), (None, True), ("never-made.log", True)])
def test_lines_go_to_standard_output_where_no_file_is_named_or_the_run_asks_for_it(capsysbinary, record, path, standard_output):
    sink = Text(Settings(path=path), SinkContext(standard_output=standard_output))
    sink.open()
    sink.write([Records(record(**ECHO), [])])
    sink.close()
    assert capsysbinary.readouterr().out.endswith(f"{LINE}\n".encode())


def test_a_closed_pipe_is_noticed_at_once(monkeypatch, record):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        sink = Text(Settings(), SinkContext())
        sink.open()
        with pytest.raises(BrokenPipeError):
            sink.write([Records(record(**ECHO), [])])
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), writer)


@pytest.mark.parametrize(("severity", "colour"), [("high", "\x1b[1;31m"), ("medium", "\x1b[31m"), ("low", "\x1b[33m"), ("info", "\x1b[36m")])
def test_an_alert_has_the_colour_of_its_severity_on_a_terminal(capsys, record, alert, severity, colour):
    terminal = Terminal(quiet=True)
    terminal.colour = True
    sink = Text(Settings(), SinkContext(terminal=terminal))
    sink.open()
    sink.write([Records(record(**ECHO), []), alert(src_ip="198.18.0.66", severity=severity)])
    sink.close()
    traffic, scan = capsys.readouterr().out.splitlines()
    assert traffic == f"2026-05-28T20:26:59.000000+00:00 {LINE}"
    assert scan == f"2026-05-28T20:26:59.000000+00:00 {colour}TCP: port scan detected from 198.18.0.66\x1b[0m"


def test_a_terminal_without_colour_has_plain_lines(capsys, alert):
    terminal = Terminal(quiet=True)
    terminal.colour = False
    sink = Text(Settings(), SinkContext(terminal=terminal))
    sink.open()
    sink.write([alert(src_ip="198.18.0.66")])
    sink.close()
    assert capsys.readouterr().out == "2026-05-28T20:26:59.000000+00:00 TCP: port scan detected from 198.18.0.66\n"
