"""Frames put on a cable as they are."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from socket import AF_INET, AF_PACKET, SOCK_DGRAM, SOCK_RAW, SOL_SOCKET, socket

from namespaces import Host

from iplog_core.testing import Frame

_SO_TIMESTAMP = 29  # socket(7); Python has no name for it


class Wire:
    """One end of a cable, from which frames are sent."""

    def __init__(self, host: Host, interface: str = "eth0") -> None:
        with host.inside():
            self._socket = socket(AF_PACKET, SOCK_RAW)
            self._socket.bind((interface, 0))

    def send(self, frames: Iterable[Frame], pause: float = 0.0) -> None:
        """Send frames one after the other, with seconds between them."""
        for frame in frames:
            self._socket.send(frame.data)
            if pause:
                time.sleep(pause)

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def one_clock() -> Iterator[None]:
    """Let the kernel stamp packets as they arrive, so that all who capture them have the same times; else each gets the time of its own copy."""
    with socket(AF_INET, SOCK_DGRAM) as asking:
        asking.setsockopt(SOL_SOCKET, _SO_TIMESTAMP, 1)
        yield
