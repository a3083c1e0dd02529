"""Capture with pcapy-ng."""

from __future__ import annotations

import numpy as np
import pcapy

from iplog_core.capture.handle import RETIRE_MS, Counters, NotUpError, Taken
from iplog_core.errors import CaptureError

_NOT_UP = -9
_FAILURES = {-1: "libpcap does not say why", -5: "no such device", -8: "no permission", -11: "no permission to make it promiscuous"}
"""What `activate` gives for a failure (pcap_activate(3PCAP)), whose text it keeps to itself."""


class PcapyHandle:
    """An interface opened with pcapy-ng: a `Handle`."""

    def __init__(self, name: str, *, snap_length: int, ring: int, promiscuous: bool) -> None:
        self._name = name
        try:
            self._reader = pcapy.create(name)
        except pcapy.PcapError as error:
            raise CaptureError(f"{name}: it could not be opened ({error}).") from None
        self._reader.set_snaplen(snap_length)
        self._reader.set_promisc(promiscuous)
        self._reader.set_timeout(RETIRE_MS)
        self._reader.set_buffer_size(ring)
        status = self._reader.activate()
        if status < 0:
            self._reader.close()
            if status == _NOT_UP:
                raise NotUpError(f"{name}: the interface is down.")
            raise CaptureError(f"{name}: it could not be opened ({_FAILURES.get(status, f'libpcap gives {status}')}).")
        self._reader.setnonblock(True)
        self.link: int = self._reader.datalink()

    def fileno(self) -> int:
        number: int = self._reader.getfd()
        return number

    def read(self, limit: int) -> Taken:
        try:
            data, packed = self._reader.next_batch(limit)
        except pcapy.PcapError as error:
            raise CaptureError(f"{self._name}: {error}.") from None
        rows = np.frombuffer(packed, np.uint32).reshape(-1, 4)
        seconds, microseconds = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
        return Taken(data, rows[:, 2].astype(np.int64), np.ascontiguousarray(rows[:, 3]), seconds * 1_000_000_000 + microseconds * 1000)

    def set_filter(self, expression: str) -> None:
        try:
            self._reader.setfilter(expression)
        except pcapy.PcapError as error:
            raise CaptureError(str(error)) from None

    def counters(self) -> Counters:
        try:
            _, dropped, interface_dropped = self._reader.stats()
        except pcapy.PcapError as error:
            raise CaptureError(f"{self._name}: {error}.") from None
        return Counters(dropped, interface_dropped)

    def close(self) -> None:
        self._reader.close()
