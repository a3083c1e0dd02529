"""The files that sinks write to: opened without waiting, and never with half a line in them."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iplog_core.errors import IplogError
from iplog_core.sink import close_output, open_output, reopen_output, write_output


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_a_full_disk_cuts_off_is_taken_back(tmp_path: Path) -> None:
    output = open_output(str(tmp_path / "log"))
    write_output(output, b"one\n")
    with full_at(10), pytest.raises(OSError, match="File too large"):
        write_output(output, b"cut off\n")
    write_output(output, b"two\n")
    close_output(output)
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_a_pipe_that_nobody_reads_is_a_fault_and_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IplogError, match="pipe: nobody reads this pipe; a sink needs a file that it may write to"):
        open_output(str(tmp_path / "pipe"))


def test_a_pipe_that_is_read_takes_what_is_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    output = open_output(str(tmp_path / "pipe"))
    write_output(output, b"line\n")
    assert os.read(reader, 100) == b"line\n"
    close_output(output)
    os.close(reader)


def test_a_file_that_cannot_be_opened_anew_leaves_the_old_one_open(tmp_path: Path) -> None:
    output = open_output(str(tmp_path / "log"))
    with pytest.raises(IplogError, match="nowhere/log: No such file or directory"):
        reopen_output(output, str(tmp_path / "nowhere" / "log"))
    write_output(output, b"line\n")
    close_output(output)
    assert (tmp_path / "log").read_bytes() == b"line\n"
