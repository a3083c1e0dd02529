"""Records by hand, and what the sink makes of them."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest

from iplog_core import RECORD_DTYPE, Records, SinkContext
from iplog_core.addresses import halves
from iplog_core.events import NO_OUTCOME
from iplog_jsonl import Jsonl, Settings

START = 1_780_000_019_000_123_000  # 2026-05-28T20:26:59.000123Z


@pytest.fixture(scope="session")
def record():
    """A function that makes one record; the addresses `src` and `dst` are texts, the rest are fields of RECORD_DTYPE."""

    def make(*, src="198.18.0.66", dst="198.18.1.1", **fields):
        row = np.zeros(1, RECORD_DTYPE)
        row["time"] = START
        row["outcome"] = NO_OUTCOME
        for side, host in (("src", src), ("dst", dst)):
            row[f"{side}_hi"], row[f"{side}_lo"] = halves(host)
        for name, value in fields.items():
            row[name] = value
        return Records(row, ["eth0", ""])

    return make


@pytest.fixture(scope="session")
def written():
    """A function that gives events to the sink and returns the lines that it wrote to its file."""

    def write(*events, **settings):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "eve.json")
            sink = Jsonl(Settings(path=str(path), **settings), SinkContext())
            sink.open()
            sink.write(events)
            sink.close()
            text = path.read_bytes().decode()
        assert text.endswith("\n")
        return text.removesuffix("\n").split("\n")

    return write


@pytest.fixture(scope="session")
def objects(written):
    """The same, each line as the object that it holds."""

    def read(*events, **settings):
        return [json.loads(line) for line in written(*events, **settings)]

    return read
