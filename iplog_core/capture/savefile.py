"""Captures in files: pcap and pcapng, plain or compressed, or from standard input."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from io import FileIO
from itertools import islice
from select import select

from iplog_core.batch import RawBatch
from iplog_core.capture.compressed import CorruptStreamError, Unpacked, compression
from iplog_core.capture.linktypes import DECODED, link_type_name
from iplog_core.capture.mapped import Windows
from iplog_core.capture.source import InterfaceNames, Stream
from iplog_core.errors import CaptureError, did_you_mean
from iplog_core.kernel.savefile import SavefileReader

EXPECTED = "expected pcap or pcapng, plain or compressed by gzip, bzip2, xz, lzma or zstd"

_HEAD = 512
_LAYERS = 4
_NEIGHBOURS = 2000


def open_savefile(path: str, batch_size: int) -> Savefile:
    """Open a capture; `-` is standard input. Raise CaptureError with one line where it is none that can be read."""
    name = "standard input" if path == "-" else path
    file = _Input(_open(path))
    try:
        return Savefile(name, file, batch_size)
    except CorruptStreamError as error:
        fault = f"{error}; nothing of it could be read"
    except OSError as error:
        fault = f"reading failed ({error.strerror}); nothing of it could be read"
    except ImportError as error:
        fault = f"the file is compressed, and this Python lacks the module {error.name} for it; unpack it first"
    except ValueError as error:
        fault = str(error)
    file.close()
    raise CaptureError(f"{name}: {fault}.")


class Savefile:
    """The packets of one capture file: a `Source`. Raises what `open_savefile` puts into words."""

    def __init__(self, name: str, file: _Input, batch_size: int) -> None:
        self.faults: list[str] = []
        self._name = name
        self._file = file
        self._interfaces = InterfaceNames()
        head, stream = _unpacked(file)
        if not any(magic.startswith(head[:4]) for magic in _MAGICS):
            raise ValueError(f"this is {_what_it_is(head)}; {EXPECTED}")
        self._windows = file.windows() if stream is file else None
        self._reader = SavefileReader(stream, head, DECODED, self._interfaces.number, batch_size, windows=self._windows)

    @property
    def size(self) -> int:
        return self._file.size

    @property
    def position(self) -> int:
        return self._windows.position if self._windows else self._file.position

    @property
    def unsupported(self) -> int:
        return sum(self._reader.left_out.values())

    def __iter__(self) -> Iterator[RawBatch]:
        fault = ""
        try:
            while columns := self._reader.read():
                batch = RawBatch(*columns, self._interfaces.names)
                del columns
                yield batch
                del batch  # with the window that it lies in, before there is another
            fault = self._reader.fault
        except CorruptStreamError as error:
            fault = str(error)
        except OSError as error:
            fault = f"reading failed ({error.strerror})"
        self.close()
        if fault:
            self.faults.append(f"{self._name}: {fault}; {_what_was_read(self._reader.packets)}.")
        for link, count in self._reader.left_out.items():
            left_out = "1 packet was left out" if count == 1 else f"{count:,} packets were left out"
            self.faults.append(f"{self._name}: link type {link_type_name(link)} is not supported: {left_out}.")

    def close(self) -> None:
        self._file.close()


class _Input:
    """A file as it lies on the disk, or a pipe, with how much of it was read."""

    def __init__(self, raw: FileIO) -> None:
        status = os.fstat(raw.fileno())
        self.position = 0
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self._pipe = not stat.S_ISREG(status.st_mode)
        self._raw = raw

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from a file, or with what a pipe has by now, waiting only for its first byte."""
        filled = self._drain(buffer) if self._pipe else self._raw.readinto(buffer)
        self.position += filled
        return filled

    def windows(self) -> Windows | None:
        """Return what shows the file without a copy; None where it cannot be mapped, or where its begin was read by somebody else."""
        if self._pipe or self._raw.tell() != self.position:
            return None
        windows = Windows(self._raw.fileno())
        try:
            windows.at(0, 1)
        except OSError:
            return None
        return windows

    def _drain(self, buffer: memoryview) -> int:
        filled = 0
        while filled < len(buffer) and select([self._raw.fileno()], [], [], 0 if filled else None)[0]:
            count = self._raw.readinto(buffer[filled:])
            if count == 0:
                break
            filled += count or 0  # None where another reader was faster
        return filled

    def close(self) -> None:
        self._raw.close()


def _open(path: str) -> FileIO:
    if path == "-":
        if sys.stdin is None:
            raise CaptureError("standard input: it is closed; expected a capture.")
        if sys.stdin.isatty():
            raise CaptureError("standard input: it is a terminal; expected a capture, as in 'iplog read - < FILE'.")
        return FileIO(sys.stdin.fileno(), closefd=False)
    try:
        return FileIO(path)
    except FileNotFoundError:
        raise CaptureError(f"{path}: no such file.{_neighbour(path)}") from None
    except IsADirectoryError:
        inside = os.path.join(path, "*.pcap")
        raise CaptureError(f"{path}: this is a folder; expected a capture, such as {inside}.") from None
    except PermissionError:
        raise CaptureError(f"{path}: permission denied; expected a capture that you may read.") from None
    except OSError as error:
        raise CaptureError(f"{path}: it cannot be opened ({error.strerror}).") from None


def _neighbour(path: str) -> str:
    folder, name = os.path.split(path)
    try:
        with os.scandir(folder or ".") as entries:
            return did_you_mean(name, [entry.name for entry in islice(entries, _NEIGHBOURS)])
    except OSError:
        return f" There is no folder {folder}."


def _unpacked(file: _Input) -> tuple[bytes, Stream]:
    """Return how the capture itself begins, and the rest of it."""
    stream: Stream = file
    head = _head(stream)
    if not head:
        raise ValueError(f"the file is empty (0 bytes); {EXPECTED}")
    for _ in range(_LAYERS):
        kind = compression(head)
        if kind is None:
            break
        stream = Unpacked(kind, head, stream)
        head = _head(stream)
        if not head:
            raise ValueError(f"the file is empty but for its compression ({kind}); {EXPECTED}")
    return head, stream


def _head(stream: Stream) -> bytes:
    """Return the first bytes of a stream, enough to tell what it is."""
    buffer = memoryview(bytearray(_HEAD))
    filled = 0
    while filled < 32:
        count = stream.readinto(buffer[filled:])
        if not count:
            break
        filled += count
    return buffer[:filled].tobytes()


def _what_it_is(head: bytes) -> str:
    for magic, program in _OTHER_CAPTURES.items():
        if head.startswith(magic):
            return f"a {program} capture, which editcap can convert"
    for magic, what in _NO_CAPTURES.items():
        if head.startswith(magic):
            return f"{what}, no capture"
    if head[257:262] == b"ustar":
        return "a tar archive, no capture"
    if all(byte >= 32 or byte in b"\t\n\f\r" for byte in head):
        return "a text file, no capture"
    return "no capture"


def _what_was_read(packets: int) -> str:
    if packets == 0:
        return "there is no packet before it"
    return "the packet before it was read" if packets == 1 else f"the {packets:,} packets before it were read"


_MAGICS = (
    b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1",
    b"\xa1\xb2\xcd\x34", b"\x34\xcd\xb2\xa1",
    b"\x0a\x0d\x0d\x0a",
)  # fmt: skip

_OTHER_CAPTURES = {
    b"snoop\0\0\0": "snoop",
    b"TRSNIFF data": "Sniffer",
    b"XCP\0": "NetXRay",
    b"GMBU": "Network Monitor",
    b"RTSS": "Network Monitor",
    b"\x7fver": "Peek",
    b"iptrace ": "iptrace",
}

_NO_CAPTURES = {
    b"PK\x03\x04": "a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x04\x22\x4d\x18": "lz4 data",
    b"\x1f\x9d": "data of compress",
    b"\x7fELF": "a program",
}
