"""Records by hand, and what the sink makes of them."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from iplog_core import RECORD_DTYPE, Alert, Evidence, Records, SinkContext
from iplog_core.addresses import halves
from iplog_core.events import NO_OUTCOME
from iplog_text import Settings, Text

SECOND = 1_000_000_000
START = 1_780_000_019 * SECOND  # 2026-05-28T20:26:59Z


@pytest.fixture(scope="session")
def record():
    """A function that makes one record; addresses (`src`, `dst`, `about`, `route`) are texts, the rest are fields of RECORD_DTYPE."""

    def make(*, src="198.18.0.66", dst="198.18.1.1", at=0.0, **fields):
        row = np.zeros(1, RECORD_DTYPE)
        row["time"] = START + round(at * SECOND)
        row["outcome"] = NO_OUTCOME
        for side, host in {"src": src, "dst": dst}.items() | {(s, fields.pop(s)) for s in ("about", "route") if s in fields}:
            row[f"{side}_hi"], row[f"{side}_lo"] = halves(host)
        for name, value in fields.items():
            row[name] = value
        return row

    return make


@pytest.fixture(scope="session")
def alert():
    """A function that makes an alert; fields that an alert does not have are evidence."""

    def make(signature="TCP: port scan", *, at=0.0, **fields):
        known = {
            "id": "5e0c", "plugin": "tcp_scan", "kind": "port_scan", "state": "start", "severity": "high", "proto": "TCP",
            "time": START + round(at * SECOND), "first_seen": START, "last_seen": START, "packets": 5, "bytes": 220,
        }  # fmt: skip
        evidence = {name: fields.pop(name) for name in list(fields) if name not in Alert.model_fields}
        return Alert(**known | fields, signature=signature, evidence=Evidence(**evidence))

    return make


@pytest.fixture(scope="session")
def written():
    """A function that gives events to the sink, one list for each call of `write`, and returns the bytes that it wrote to its file.

    Further arguments are fields of the sink's context.
    """

    def write(*calls, **context):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "iplog.log")
            sink = Text(Settings(path=str(path)), SinkContext(**context))
            sink.open()
            for events in calls:
                sink.write([Records(event, ["eth0"]) if isinstance(event, np.ndarray) else event for event in events])
            sink.close()
            return path.read_bytes()

    return write


@pytest.fixture(scope="session")
def lines(written):
    """A function that returns the lines of some events, without their prefixes."""

    def without_prefix(*events, **context):
        return [line.split(" ", 1)[1] for line in written(events, **context).decode().splitlines()]

    return without_prefix
