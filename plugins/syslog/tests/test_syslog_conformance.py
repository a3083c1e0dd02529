"""It keeps to what every sink must."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iplog_core.testing.conformance import SinkConformance
from iplog_syslog import Syslog


class TestConformance(SinkConformance):
    sink = Syslog

    @pytest.fixture(autouse=True)
    def daemon(self) -> Iterator[None]:
        """A socket that is read to its end, at a path that is short enough for one."""
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            self.address = str(Path(folder, "log"))
            log.bind(self.address)
            reading = threading.Thread(target=_read, args=(log,))
            reading.start()
            yield
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"", self.address)
            reading.join()

    def settings_in(self, folder: Path) -> dict[str, Any]:
        return {"address": self.address}


def _read(log: socket.socket) -> None:
    while log.recv(1 << 20):
        pass
