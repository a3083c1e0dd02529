"""The fast subset of bench/matrix: real tools, seen live and from the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from namespaces import why_not

CHECKOUT = Path(__file__).resolve().parents[1]
TOOLS = ("ethtool", "hping3", "ip", "nmap", "ping", "sysctl", "tcpdump")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What `python -m bench.matrix --quick` found."""
    missing = [tool for tool in TOOLS if not which(tool)]
    if reason := why_not() or (f"not installed: {', '.join(missing)}" if missing else ""):
        pytest.skip(reason)
    report = tmp_path_factory.mktemp("matrix") / "rows.json"
    subprocess.run([sys.executable, "-m", "bench.matrix", "--quick", "--json", str(report)], cwd=CHECKOUT, check=False, timeout=300)
    rows: list[dict[str, Any]] = json.loads(report.read_text())
    assert rows
    assert [row["fault"] for row in rows if row["fault"]] == []
    return rows


def test_every_attack_of_the_matrix_is_found_by_its_name(rows):
    assert [(row["name"], row["found"]) for row in rows if not row["right"]] == []


def test_the_right_host_is_blamed_for_it(rows):
    assert [(row["name"], row["named"]) for row in rows if not row["blamed_right"]] == []


@pytest.mark.parametrize("name", ["syn_few7", "syn_fragments_8", "udp_few", "decoys_syn"])
def test_a_scan_of_one_host_is_found_by_its_seventh_probe(rows, name):
    assert next(row["probes"] for row in rows if row["name"] == name) <= 7


def test_nothing_of_the_matrix_raises_a_false_alarm(rows):
    assert [(row["name"], row["false"]) for row in rows if row["false"]] == []


def test_the_alerts_live_are_those_of_the_recorded_file(rows):
    assert [(row["name"], row["live"]) for row in rows if row["live"] not in ("=", "-")] == []


def test_one_direction_alone_hides_no_scan_and_makes_no_alarm(rows):
    assert [(row["name"], row["sides"]) for row in rows if any(verdict != "ok" for verdict in row["sides"].values())] == []
