"""Opening captures: what is refused and how, compressed ones, standard input, and what is said at the end."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import random
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from iplog_core.capture.savefile import Savefile, _Input, open_savefile
from iplog_core.errors import CaptureError

pytestmark = pytest.mark.kernel

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

EXPECTED = "expected pcap or pcapng, plain or compressed by gzip, bzip2, xz, lzma or zstd"


def capture(*packets: bytes, link: int = 1) -> bytes:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    return head + b"".join(struct.pack("<IIII", 1, n, len(data), len(data)) + data for n, data in enumerate(packets))


def packets_of(source: Savefile) -> list[bytes]:
    return [
        batch.data[start : start + length].tobytes() for batch in source for start, length in zip(batch.offset.tolist(), batch.captured.tolist(), strict=True)
    ]


def fault_of(path: str | Path) -> str:
    with pytest.raises(CaptureError) as caught:
        open_savefile(str(path), 7)
    (fault,) = caught.value.faults
    return fault


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# What cannot be opened


def test_a_missing_file_is_said_with_the_name_nearest_to_it(folder: Path) -> None:
    (folder / "evening.pcap").touch()
    assert fault_of("evenign.pcap") == "evenign.pcap: no such file. Did you mean evening.pcap?"


def test_a_missing_file_that_resembles_none_is_said_alone(folder: Path) -> None:
    assert fault_of("evening.pcap") == "evening.pcap: no such file."


def test_a_missing_folder_is_named(folder: Path) -> None:
    assert fault_of("captures/evening.pcap") == "captures/evening.pcap: no such file. There is no folder captures."


def test_a_folder_is_no_capture(folder: Path) -> None:
    (folder / "captures").mkdir()
    assert fault_of("captures") == "captures: this is a folder; expected a capture, such as captures/*.pcap."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_said(folder: Path) -> None:
    (folder / "secret.pcap").touch(0)
    assert fault_of("secret.pcap") == "secret.pcap: permission denied; expected a capture that you may read."


def test_a_name_that_the_system_refuses_is_said_with_its_reason() -> None:
    name = "x" * 300
    assert fault_of(name) == f"{name}: it cannot be opened ({os.strerror(errno.ENAMETOOLONG)})."


def test_a_file_that_cannot_be_read_is_said_with_the_reason() -> None:
    memory = Path("/proc/self/mem")
    if not memory.exists():
        pytest.skip("there is no /proc")
    assert fault_of(memory) == f"{memory}: reading failed ({os.strerror(errno.EIO)}); nothing of it could be read."


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty (0 bytes)"),
        (gzip.compress(b"", mtime=0), "the file is empty but for its compression (gzip)"),
        (b"Jan 16 13:27:56 matrix iplog[19621]: iplog started.\n", "this is a text file, no capture"),
        (b"snoop\0\0\0\0\0\0\2\0\0\0\4", "this is a snoop capture, which editcap can convert"),
        (b"PK\3\4" + bytes(40), "this is a zip archive, no capture"),
        (b"evening.pcap".ljust(257, b"\0") + b"ustar" + bytes(250), "this is a tar archive, no capture"),
        (bytes(range(256)), "this is no capture"),
        (gzip.compress(bytes(range(256)), mtime=0), "this is no capture"),
    ],
)
def test_what_is_no_capture_is_said_with_what_would_be_one(folder: Path, content: bytes, what: str) -> None:
    Path("evening").write_bytes(content)
    assert fault_of("evening") == f"evening: {what}; {EXPECTED}."


@pytest.mark.parametrize("length", range(1, 24))
def test_a_capture_cut_inside_its_header_is_refused(folder: Path, length: int) -> None:
    Path("evening.pcap").write_bytes(capture()[:length])
    assert fault_of("evening.pcap") == "evening.pcap: the file ends inside its header."


# What is said at the end


def test_a_capture_without_packets_is_no_fault(folder: Path) -> None:
    Path("evening.pcap").write_bytes(capture())
    source = open_savefile("evening.pcap", 7)
    assert (packets_of(source), source.faults) == ([], [])


@pytest.mark.parametrize(
    ("packets", "line"),
    [
        (0, "the file ends in the middle of packet 1 (byte 24); there is no packet before it."),
        (1, "the file ends in the middle of packet 2 (byte 45); the packet before it was read."),
        (5123, "the file ends in the middle of packet 5,124 (byte 107,607); the 5,123 packets before it were read."),
    ],
)
def test_a_capture_that_ends_in_a_packet_keeps_those_before_it(folder: Path, packets: int, line: str) -> None:
    Path("evening.pcap").write_bytes(capture(*[b"hello"] * packets) + bytes(9))
    source = open_savefile("evening.pcap", 256)
    assert (len(packets_of(source)), source.faults) == (packets, [f"evening.pcap: {line}"])


@pytest.mark.parametrize(
    ("link", "packets", "line"),
    [
        (105, 12, "link type 105 (IEEE 802.11) is not supported: 12 packets were left out."),
        (147, 1, "link type 147 (USER0) is not supported: 1 packet was left out."),
        (9999, 2, "link type 9999 is not supported: 2 packets were left out."),
    ],
)
def test_a_link_type_that_is_not_supported_is_one_line(folder: Path, link: int, packets: int, line: str) -> None:
    Path("wlan.pcap").write_bytes(capture(*[b"x"] * packets, link=link))
    source = open_savefile("wlan.pcap", 256)
    assert (packets_of(source), source.unsupported, source.faults) == ([], packets, [f"wlan.pcap: {line}"])


class FailingDisk(io.FileIO):
    """A file with an error where its end should be."""

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        count = super().readinto(buffer)
        if count == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return count


def test_a_read_error_keeps_what_was_read(folder: Path) -> None:
    Path("evening.pcap.gz").write_bytes(gzip.compress(capture(b"one", b"two")))
    source = Savefile("evening.pcap.gz", _Input(FailingDisk("evening.pcap.gz")), 7)
    assert packets_of(source) == [b"one", b"two"]
    assert source.faults == [f"evening.pcap.gz: reading failed ({os.strerror(errno.EIO)}); the 2 packets before it were read."]


def test_the_position_grows_up_to_the_size_of_the_file(folder: Path) -> None:
    content = gzip.compress(capture(*[random.Random(1).randbytes(1000)] * 3000))
    Path("evening.pcap.gz").write_bytes(content)
    source = open_savefile("evening.pcap.gz", 256)
    positions = [source.position for _ in source]
    assert positions == sorted(positions)
    assert (source.position, source.size) == (len(content), len(content))


# Compressed captures

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": lambda data: bz2.compress(data, 1),
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zstd": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}
NOISE = random.Random(7)
PACKETS = [NOISE.randbytes(NOISE.randrange(60, 1500)) for _ in range(1500)]
CAPTURE = capture(*PACKETS)


@pytest.fixture(params=COMPRESS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def written(content: bytes) -> Savefile:
    Path("evening").write_bytes(content)
    return open_savefile("evening", 256)


def test_a_compressed_capture_is_known_by_its_content(folder: Path, kind: str) -> None:
    source = written(COMPRESS[kind](CAPTURE))
    assert (packets_of(source), source.faults) == (PACKETS, [])


def test_what_unpacks_to_far_more_than_it_is_gives_all_of_it(folder: Path, kind: str) -> None:
    source = written(COMPRESS[kind](capture(*[bytes(60000)] * 200)))
    assert (packets_of(source), source.faults) == ([bytes(60000)] * 200, [])


def test_members_one_behind_the_other_are_one_capture(folder: Path, kind: str) -> None:
    if kind == "lzma":
        pytest.skip("the old format ends with its file")
    half = len(CAPTURE) // 2
    source = written(COMPRESS[kind](CAPTURE[:half]) + COMPRESS[kind](CAPTURE[half:]) + bytes(1024))
    assert (packets_of(source), source.faults) == (PACKETS, [])


def test_a_capture_compressed_twice_is_read(folder: Path, kind: str) -> None:
    source = written(gzip.compress(COMPRESS[kind](CAPTURE)))
    assert (packets_of(source), source.faults) == (PACKETS, [])


def test_a_compressed_capture_cut_in_the_middle_keeps_what_was_in_front(folder: Path, kind: str) -> None:
    content = COMPRESS[kind](CAPTURE)
    source = written(content[: len(content) // 2])
    found = packets_of(source)
    assert len(found) > 500
    assert found == PACKETS[: len(found)]
    assert source.faults == [f"evening: the {kind} data ends too early; the {len(found)} packets before it were read."]


def test_a_compressed_capture_that_is_damaged_keeps_what_was_in_front(folder: Path, kind: str) -> None:
    if kind == "lzma":
        pytest.skip("the old format has no check sum")
    content = bytearray(COMPRESS[kind](CAPTURE))
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    source = written(bytes(content))
    assert packets_of(source)[:500] == PACKETS[:500]
    assert len(source.faults) == 1


def test_something_else_behind_a_compressed_capture_is_said(folder: Path) -> None:
    source = written(gzip.compress(CAPTURE) + b"something else")
    assert packets_of(source) == PACKETS
    assert source.faults[0].startswith("evening: the gzip data is broken (")


def test_a_compressed_capture_that_gives_nothing_is_refused(folder: Path) -> None:
    Path("evening").write_bytes(gzip.compress(CAPTURE)[:12])
    assert fault_of("evening") == "evening: the gzip data ends too early; nothing of it could be read."


# Standard input


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.FileIO]:
    """Standard input is a pipe; give the end to write to."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin, io.FileIO(writer, "w") as out:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield out


@pytest.mark.parametrize("compress", [bytes, *COMPRESS.values()], ids=["plain", *COMPRESS])
def test_a_capture_is_read_from_a_pipe(pipe: io.FileIO, compress: Callable[[bytes], bytes]) -> None:
    def write() -> None:
        with io.BufferedWriter(pipe) as out:
            out.write(compress(CAPTURE))

    writer = Thread(target=write)
    writer.start()
    source = open_savefile("-", 256)
    assert (packets_of(source), source.faults, source.size) == (PACKETS, [], 0)
    writer.join()


def test_packets_come_out_of_a_pipe_as_they_go_in(pipe: io.FileIO) -> None:
    whole = capture(b"the first one", b"the second one")
    pipe.write(whole[:55])
    batches = iter(open_savefile("-", 256))
    assert len(next(batches)) == 1
    pipe.write(whole[55:])
    assert len(next(batches)) == 1
    pipe.close()
    assert list(batches) == []


def test_faults_of_standard_input_name_it(pipe: io.FileIO) -> None:
    pipe.close()
    assert fault_of("-") == f"standard input: the file is empty (0 bytes); {EXPECTED}."


def test_a_terminal_is_no_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = os.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        fault = fault_of("-")
    os.close(controller)
    assert fault == "standard input: it is a terminal; expected a capture, as in 'iplog read - < FILE'."


def test_a_closed_standard_input_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert fault_of("-") == "standard input: it is closed; expected a capture."
