"""What is seen on a terminal: colour, a progress bar that tears no line, and a summary."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
import threading
from pathlib import Path

import pytest
from sites import Iplog

from iplog_core.testing import tcp, write_pcap

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def on_terminal(iplog: Iplog):
    """Run `iplog` with standard output, error or both on a terminal of 100 columns; return what it shows."""

    def run(*arguments: str | Path, output: bool = True, **environment: str) -> str:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        with open(os.devnull, "w") as nothing:
            pid = os.posix_spawn(
                iplog.command[0],
                [*iplog.command, *map(str, arguments)],
                {**iplog.environment, "TERM": "xterm", **environment},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, slave if output else nothing.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, slave, 2),
                ],
            )
        os.close(slave)
        shown: list[bytes] = []
        reading = threading.Thread(target=_read_all, args=(master, shown))
        reading.start()
        os.waitpid(pid, 0)
        reading.join()
        os.close(master)
        return b"".join(shown).decode().replace("\r\n", "\n")

    return run


def _read_all(terminal: int, shown: list[bytes]) -> None:
    try:
        while data := os.read(terminal, 65536):
            shown.append(data)
    except OSError:  # Linux's way to say that the other side is closed
        pass


@pytest.fixture
def scan(captures: Path) -> Path:
    return captures / "syn_scan.pcap"


def test_an_alert_is_coloured(on_terminal, scan):
    assert "\x1b[1;31mTCP: port scan detected" in on_terminal("read", scan, "--alerts-only")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_nothing_is_coloured_where_that_is_not_wanted(environment, on_terminal, scan):
    assert ESCAPE.search(on_terminal("read", scan, "--alerts-only", **environment)) is None


def test_the_summary_tells_what_the_run_came_to(on_terminal, scan):
    shown = on_terminal("read", scan, "--alerts-only").splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in shown if line.startswith(("packets", "flows", "alerts"))}
    assert (rows["packets"][1:3] != [], rows["flows"][1:4], rows["alerts"]) == (
        True,
        ["most", "from", "198.18.0.66"],
        ["1", "port_scan", "1"],
    )


def test_a_quiet_run_has_neither_bar_nor_summary(on_terminal, scan):
    assert [line for line in on_terminal("read", scan, "--quiet").splitlines() if line.startswith("packets")] == []


def test_the_summary_is_shown_where_only_the_lines_are_piped(on_terminal, scan):
    assert on_terminal("read", scan, output=False).startswith("packets ")


@pytest.fixture
def long_run(tmp_path: Path) -> Path:
    """A capture that takes long enough for a bar, with lines all along."""
    capture = tmp_path / "long.pcap"
    write_pcap(capture, [tcp(dport=1 + number % 60000, sport=1 + number // 60000, at=number / 1000) for number in range(60_000)])
    return capture


def test_the_bar_tears_no_line(on_terminal, long_run):
    shown = on_terminal("read", long_run, "--set", "batch_size=64", "--disable", "tcp_scan")
    visible = [ESCAPE.sub("", line.rpartition("\r")[2]) for line in shown.split("\n")]
    whole = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.+]+ TCP: .*|last message repeated .*|(packets|flows|alerts|evicted) .*|")
    assert ([line for line in visible if not whole.fullmatch(line)], "% |" in shown) == ([], True)
