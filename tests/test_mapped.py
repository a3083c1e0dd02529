"""Windows on files: the same packets as from a stream, and a file that shrinks while it is read is a line, not the end of the program."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from iplog_core.capture.linktypes import DECODED
from iplog_core.capture.mapped import Windows
from iplog_core.capture.savefile import open_savefile
from iplog_core.capture.source import InterfaceNames
from iplog_core.kernel.mapped import Window
from iplog_core.kernel.savefile import SavefileReader
from iplog_core.testing import tcp, write_pcap

pytestmark = pytest.mark.kernel

PAGE = os.sysconf("SC_PAGESIZE")


def packets(reader: SavefileReader) -> Iterator[tuple[int, bytes]]:
    while batch := reader.read():
        data, offset, captured, _, time, *_ = batch
        for row in range(len(offset)):
            yield int(time[row]), data[offset[row] : offset[row] + captured[row]].tobytes()


def reader_of(file: io.FileIO, windows: Windows | None, block_size: int) -> SavefileReader:
    return SavefileReader(file, b"", DECODED, InterfaceNames().number, 100, block_size, windows)


@pytest.mark.parametrize("block_size", [PAGE, 100_000])
def test_a_mapped_capture_is_read_as_a_stream_is(every_capture: list[Path], block_size: int) -> None:
    different = []
    for path in every_capture:
        with io.FileIO(path) as stream, io.FileIO(path) as file:
            head = stream.read(512)
            one = SavefileReader(stream, head, DECODED, InterfaceNames().number, 100, 1 << 20)
            other = SavefileReader(file, head, DECODED, InterfaceNames().number, 100, block_size, Windows(file.fileno()))
            if (list(packets(one)), one.fault, one.left_out) != (list(packets(other)), other.fault, other.left_out):
                different.append(path.name)
    assert different == []


@pytest.fixture
def long_capture(tmp_path: Path) -> Path:
    """2,000 packets of 54 bytes: 140,024 bytes, 35 pages."""
    write_pcap(tmp_path / "long.pcap", [tcp(sport=1000 + n, at=n / 1000) for n in range(2000)])
    return tmp_path / "long.pcap"


def test_a_file_that_becomes_shorter_while_it_is_read_keeps_what_is_still_there(long_capture: Path) -> None:
    source = open_savefile(str(long_capture), 100)
    batches = iter(source)
    first = next(batches)
    os.truncate(long_capture, 5 * PAGE)
    found = len(first) + sum(len(batch) for batch in batches)
    whole = (5 * PAGE - 24) // 70
    fault = f"the file became shorter, or could not be read any more, while it was read (byte {5 * PAGE:,})"
    assert (found, source.faults) == (whole, [f"{long_capture}: {fault}; the {whole} packets before it were read."])


def test_packets_of_a_file_that_is_emptied_meanwhile_are_zeros(long_capture: Path) -> None:
    source = open_savefile(str(long_capture), 100)
    batch = next(iter(source))
    os.truncate(long_capture, 0)
    source.close()
    assert not batch.data[batch.offset[0] :].any()


def test_what_a_file_gains_while_it_is_read_is_read(long_capture: Path) -> None:
    source = open_savefile(str(long_capture), 100)
    batches = iter(source)
    found = len(next(batches))
    with long_capture.open("r+b") as file:
        records = file.read()[24:]
        file.write(records)
    assert (found + sum(len(batch) for batch in batches), source.faults) == (4000, [])


def test_a_window_tells_from_where_on_there_is_nothing(long_capture: Path) -> None:
    with long_capture.open("rb") as file:
        window = Window(file.fileno(), 0, 4 * PAGE)
        os.truncate(long_capture, PAGE)
        seen = memoryview(window)[3 * PAGE], window.lost, memoryview(window)[2 * PAGE], window.lost
    assert seen == (0, 3 * PAGE, 0, 2 * PAGE)


def test_where_there_are_too_many_windows_a_file_is_read_as_a_stream(long_capture: Path) -> None:
    with long_capture.open("rb") as file:
        windows = [Window(file.fileno(), 0, 1)]
        with suppress(OSError):
            while len(windows) < 10_000:
                windows.append(Window(file.fileno(), 0, 1))
        assert (len(windows) < 10_000, sum(len(batch) for batch in open_savefile(str(long_capture), 100))) == (True, 2000)


def test_where_no_window_can_be_had_any_more_the_rest_is_read_as_a_stream(long_capture: Path) -> None:
    source = open_savefile(str(long_capture), 100)
    batches = iter(source)
    found = len(next(batches))
    with long_capture.open("rb") as file:
        windows = [Window(file.fileno(), 0, 1)]
        with suppress(OSError):
            while len(windows) < 10_000:
                windows.append(Window(file.fileno(), 0, 1))
        assert (found + sum(len(batch) for batch in batches), source.faults) == (2000, [])


@pytest.mark.parametrize("end", [20_000, 20_481, 3 * PAGE + 24 + 16])
def test_zeros_behind_the_end_of_a_file_that_became_shorter_are_no_packets(long_capture: Path, end: int) -> None:
    source = open_savefile(str(long_capture), 100)
    batches = iter(source)
    found = len(next(batches))
    os.truncate(long_capture, end)
    assert found + sum(len(batch) for batch in batches) == (end - 24) // 70


def test_threads_may_open_windows_at_the_same_time(long_capture: Path) -> None:
    def look() -> int:
        with long_capture.open("rb") as file:
            return sum(memoryview(Window(file.fileno(), 0, PAGE))[0] for _ in range(2000))

    with ThreadPoolExecutor(8) as pool:
        assert {task.result() for task in [pool.submit(look) for _ in range(8)]} == {2000 * 0x4D}


def test_a_file_may_become_shorter_where_others_took_the_signal_meanwhile(long_capture: Path) -> None:
    code = """
        import faulthandler, os, sys
        from iplog_core.kernel.mapped import Window
        file = open(sys.argv[1], "rb")
        first = Window(file.fileno(), 0, 1)
        faulthandler.enable()
        window = Window(file.fileno(), 0, 50000)
        os.truncate(sys.argv[1], 0)
        print(memoryview(window)[40000])
    """
    done = subprocess.run([sys.executable, "-c", "if True:" + code, long_capture], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "0\n")


def test_a_bus_error_elsewhere_ends_the_program_as_ever(long_capture: Path) -> None:
    code = """
        import mmap, os, sys
        from iplog_core.kernel.mapped import Window
        file = open(sys.argv[1], "r+b")
        window = Window(file.fileno(), 0, 1)
        other = mmap.mmap(file.fileno(), 0)
        os.truncate(sys.argv[1], 0)
        other[100000]
    """
    done = subprocess.run([sys.executable, "-c", "if True:" + code, long_capture], capture_output=True)
    # The sanitisers end it in a way of their own.
    assert done.returncode == -signal.SIGBUS or b"BUS" in done.stderr
