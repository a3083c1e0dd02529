"""Compressed streams: known by how they begin, unpacked as they are read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

from iplog_core.capture.source import Stream

_FIRST_CHUNK = 1 << 12
_CHUNK = 1 << 18
_PIECE = 1 << 14
_MEMORY = 256 << 20


class CorruptStreamError(Exception):
    """A compressed stream is broken; the text says how."""


def compression(head: bytes) -> str | None:
    """Return the kind of a compressed stream that begins with `head`: gzip, bzip2, xz, lzma, zstd, or None."""
    for kind, magic in _MAGICS.items():
        if head.startswith(magic):
            return kind
    # The old format of lzma has no magic: the usual properties, and a length of the content that is unknown or below 4 GB.
    if head.startswith(b"\x5d\x00\x00") and head[9:13] in (b"\0" * 4, b"\xff" * 4):
        return "lzma"
    return None


class Unpacked:
    """A stream that unpacks another one, which is of kind `kind` and began with `head`.

    Members one after the other are one stream, as for gzip, bzip2, xz and zstd themselves. ImportError: this Python was built
    without the kind.
    """

    def __init__(self, kind: str, head: bytes, stream: Stream) -> None:
        self._kind = kind
        self._input = head
        self._stream = stream
        self._chunk = memoryview(bytearray(_FIRST_CHUNK))
        self._start = _decompressor(kind)
        self._member: Decompressor | None = None
        self._fault = ""

    def readinto(self, buffer: memoryview, /) -> int:
        """Unpack what one chunk of the input gives. Raise CorruptStreamError once all before the fault was given."""
        filled = 0
        while filled < len(buffer) and not self._fault:
            hungry = not self._input and (self._member is None or self._member.needs_input)
            if hungry and (filled or not self._read()):
                break
            # In small pieces: one that fails takes with it what it had unpacked.
            piece = self._unpack(min(_PIECE, len(buffer) - filled))
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
        if self._fault and not filled:
            raise CorruptStreamError(self._fault)
        return filled

    def _read(self) -> bool:
        count = self._stream.readinto(self._chunk)
        self._input = self._chunk[:count].tobytes()
        if len(self._chunk) < _CHUNK:
            self._chunk = memoryview(bytearray(4 * len(self._chunk)))
        if not count and self._member is not None:
            self._fault = f"the {self._kind} data ends too early"
        return count > 0

    def _unpack(self, room: int) -> bytes:
        if self._member is None:
            self._input = self._input.lstrip(b"\0")  # padding, which may follow any member
            if not self._input:
                return b""
            self._member = self._start()
        try:
            piece = self._member.decompress(self._input, room)
        except Exception as error:  # zlib.error, LZMAError, ZstdError, and bz2 raises OSError
            self._fault = f"the {self._kind} data is broken ({error})"
            return b""
        self._input = b""
        if self._member.eof:
            self._input, self._member = self._member.unused_data, None
        return piece


class Decompressor(Protocol):
    """What the decompressors of bz2, lzma and zstd have in common: they hold the input that they have no room to unpack."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _decompressor(kind: str) -> Callable[[], Decompressor]:
    if kind == "gzip":
        return _gzip()
    if kind == "bzip2":
        from bz2 import BZ2Decompressor

        return BZ2Decompressor
    if kind == "zstd":
        if sys.version_info >= (3, 14):
            from compression.zstd import ZstdDecompressor
        else:
            from backports.zstd import ZstdDecompressor

        return ZstdDecompressor
    from lzma import LZMADecompressor

    return lambda: LZMADecompressor(memlimit=_MEMORY)


def _gzip() -> Callable[[], Decompressor]:
    from zlib import MAX_WBITS, decompressobj

    class Gzip:
        def __init__(self) -> None:
            self._inflate = decompressobj(MAX_WBITS | 16)
            self._input = b""
            self._full = False

        @property
        def eof(self) -> bool:
            return self._inflate.eof

        @property
        def needs_input(self) -> bool:
            return not self._input and not self._full

        @property
        def unused_data(self) -> bytes:
            return self._inflate.unused_data + self._input

        def decompress(self, data: bytes, max_length: int) -> bytes:
            # zlib copies the input that it had no room for: no more than a piece's worth is offered at a time.
            data = self._input + data
            piece = self._inflate.decompress(data[:_PIECE], max_length)
            # At the end of a member the rest of the offer is in `unused_data`, and may be in `unconsumed_tail` as well.
            self._input = (b"" if self.eof else self._inflate.unconsumed_tail) + data[_PIECE:]
            self._full = len(piece) == max_length
            return piece

    return Gzip


_MAGICS = {
    "gzip": b"\x1f\x8b\x08",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
}
