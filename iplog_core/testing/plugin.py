"""Fixtures of the test kit, for pytest: put `pytest_plugins = ["iplog_core.testing.plugin"]` into the topmost conftest.py, or call `pytest -p` with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from iplog_core.testing import run as kit
from iplog_core.testing.savefile import write_pcap
from iplog_core.testing.source import Packets, in_order


@pytest.fixture
def run_detector() -> Callable[..., kit.DetectorRun]:
    """`run_detector(TcpScan, ports=3).feed(packets)` returns the alerts."""
    return kit.run_detector


@pytest.fixture
def run_sink() -> Callable[..., kit.SinkRun]:
    """`run_sink(Text).write([alert])` returns what the sink wrote to standard output."""
    return kit.run_sink


@pytest.fixture
def run_policy() -> Callable[..., kit.PolicyRun]:
    """`run_policy(Assets, path="assets.csv").judge([alert()])` returns the alerts that it keeps, as sinks would get them."""
    return kit.run_policy


@pytest.fixture
def pcap(tmp_path: Path) -> Callable[[Packets], Path]:
    """`pcap(packets)` writes a capture file, in order of time, and returns its path."""

    def write(packets: Packets) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.pcap"
        write_pcap(path, in_order(packets))
        return path

    return write
