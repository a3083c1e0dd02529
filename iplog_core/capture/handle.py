"""One interface, opened through libpcap: what either library in front of it gives."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from iplog_core.capture.interfaces import ANY
from iplog_core.errors import CaptureError

RETIRE_MS = 100
"""After how many milliseconds the kernel hands over a part of the ring that is not full: the longest that a packet waits there unseen."""


class Taken(NamedTuple):
    """Packets one behind the other in `data`: where each begins, how many bytes of it were captured, and its time in ns, cut to microseconds."""

    data: bytes
    offset: NDArray[np.int64]
    captured: NDArray[np.uint32]
    time: NDArray[np.int64]


class Counters(NamedTuple):
    """What libpcap counts since the handle was opened, modulo 2^32: packets dropped for want of room in the ring, and by the interface."""

    dropped: int
    interface_dropped: int


class NotUpError(CaptureError):
    """The interface is there, but down: there is nothing to capture yet."""


class Handle(Protocol):
    """An open interface, never blocking. What fails is a CaptureError of one line."""

    link: int
    """The link type, a DLT number."""

    def fileno(self) -> int:
        """What to wait for with `select`."""
        ...

    def read(self, limit: int) -> Taken:
        """Return the packets at hand, at most `limit`, perhaps none."""
        ...

    def set_filter(self, expression: str) -> None:
        """Let only packets pass that match (pcap-filter(7)), all where it is empty.

        Raise CaptureError with libpcap's reason; then the filter set before holds on.
        """
        ...

    def counters(self) -> Counters: ...
    def close(self) -> None: ...


class PermissionLackingError(CaptureError):
    """This process may not capture."""


def open_handle(name: str, *, snap_length: int, ring: int, promiscuous: bool) -> Handle:
    """Open an interface, or `any`, to capture `snap_length` bytes of each packet by way of a ring of `ring` bytes.

    Raise CaptureError with one line where there is no such interface, where this process may not, and in libpcap's words for what else fails.
    """
    _check(name)
    opener = _library()
    # Some versions of libpcap answer a promiscuous `any` with a warning that pypcap takes for a failure.
    return opener(name, snap_length=snap_length, ring=ring, promiscuous=promiscuous and name != ANY)


def index_of(name: str) -> int | None:
    """Return the number that the kernel gave an interface, 0 for `any`, None where there is none of that name."""
    try:
        return 0 if name == ANY else socket.if_nametoindex(name)
    except (OSError, ValueError):
        return None


def _library() -> Callable[..., Handle]:
    try:
        from iplog_core.capture.pypcap import PypcapHandle

        return PypcapHandle
    except ImportError:
        pass
    try:
        from iplog_core.capture.pcapy import PcapyHandle

        return PcapyHandle
    except ImportError as error:
        raise CaptureError(f"capturing needs pypcap or pcapy-ng, and neither can be imported ({error}); reinstall iplog.") from None


def _check(name: str) -> None:
    """Find the faults that the libraries tell each in its own way."""
    if index_of(name) is None:
        raise CaptureError(f"{name}: no such interface.")
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        raise PermissionLackingError(f"{name}: no permission to capture; run iplog as root, or with the capability CAP_NET_RAW.") from None
    except OSError as error:
        raise CaptureError(f"{name}: it could not be opened ({error.strerror}).") from None
