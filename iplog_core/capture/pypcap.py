"""Capture with pypcap."""

from __future__ import annotations

import os
import re

import numpy as np
import pcap

from iplog_core.capture.handle import RETIRE_MS, Counters, NotUpError, Taken
from iplog_core.errors import CaptureError


class PypcapHandle:
    """An interface opened with pypcap: a `Handle`."""

    def __init__(self, name: str, *, snap_length: int, ring: int, promiscuous: bool) -> None:
        if os.path.lexists(name):
            raise CaptureError(f"{name}: {os.getcwd()} has a file of this name, which pypcap would read instead; start iplog in another directory.")
        self._name = name
        try:
            self._pcap = pcap.pcap(name, snap_length, promiscuous, RETIRE_MS, timestamp_in_ns=True, buffer_size=ring)
        except OSError as error:
            reason = _reason(error)
            if "not up" in reason:
                raise NotUpError(f"{name}: the interface is down.") from None
            raise CaptureError(f"{name}: it could not be opened ({reason}).") from None
        self._pcap.setnonblock(True)
        self.link: int = self._pcap.datalink()

    def fileno(self) -> int:
        number: int = self._pcap.fileno()
        return number

    def read(self, limit: int) -> Taken:
        times: list[int] = []
        packets: list[bytes] = []
        add_time, add_packet = times.append, packets.append

        def keep(time: int, packet: bytes) -> None:
            add_time(time)
            add_packet(packet)

        if self._pcap.dispatch(limit, keep) < 0:
            raise CaptureError(f"{self._name}: {_text(self._pcap.geterr())}.")
        captured = np.fromiter(map(len, packets), np.uint32, len(packets))
        time = np.array(times, np.int64)
        return Taken(b"".join(packets), np.cumsum(captured, dtype=np.int64) - captured, captured, time - time % 1000)

    def set_filter(self, expression: str) -> None:
        try:
            self._pcap.setfilter(expression)
        except OSError as error:
            raise CaptureError(_reason(error)) from None

    def counters(self) -> Counters:
        try:
            _, dropped, interface_dropped = self._pcap.stats()
        except OSError as error:
            raise CaptureError(f"{self._name}: {_reason(error)}.") from None
        return Counters(dropped, interface_dropped)

    def close(self) -> None:
        self._pcap.close()


def _reason(error: OSError) -> str:
    """What libpcap said: pypcap gives it as bytes, or at the end of a sentence as Python shows bytes."""
    text = _text(error.args[0])
    shown = re.search(r"was b(['\"])(.*)\1$", text)
    return shown[2] if shown else text


def _text(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said
