"""Who takes how long: in the statistics, and while it hangs."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from namespaces import Host
from watching import watching

from iplog_core.turns import Turns, Watchdog

SLOW = """
import time
from iplog_core import Detector, DetectorSettings, hookimpl

iplog_api = 2

class Slow(Detector[DetectorSettings]):
    \"\"\"Takes its time.\"\"\"

    name = "slow"

    def on_batch(self, batch):
        if len(batch):
            time.sleep(SECONDS)

@hookimpl
def iplog_detectors():
    return [Slow]
"""


def stats(output: str) -> Any:
    (found,) = [event["stats"] for event in map(json.loads, output.splitlines()) if event["event_type"] == "stats"]
    return found


# Whose time it is


def test_who_is_called_within_anothers_turn_has_that_time_for_itself() -> None:
    turns = Turns()
    turns.begin("detector")
    turns.begin("policy")
    time.sleep(0.05)
    turns.end()
    turns.end()
    assert turns.timings["detector"].seconds < 0.04 < turns.timings["policy"].seconds


def test_the_slowest_call_is_kept() -> None:
    turns = Turns()
    for seconds in (0, 0.02, 0):
        turns.begin("detector")
        time.sleep(seconds)
        turns.end()
    timing = turns.timings["detector"]
    assert (timing.calls, 0.02 <= timing.slowest <= timing.seconds) == (3, True)


def test_nobody_takes_too_long_between_two_turns() -> None:
    turns = Turns()
    turns.begin("detector")
    turns.end()
    assert turns.too_long(0) is None


# In the statistics


@pytest.fixture
def slow(site, iplog, captures):
    """What `--stats` says of a run with a detector that takes a fifth of a second for each batch."""
    site.install("slow", SLOW.replace("SECONDS", "0.2"))
    return lambda *options: iplog("read", captures / "syn_scan.pcap", "--stats", *options).output


def test_a_slow_plugin_stands_first_in_the_statistics(slow) -> None:
    first = next(line for line in slow("--alerts-only").splitlines() if " time: " in line)
    assert re.search(r" time: slow: 0\.[2-9]\d\d s \(\d\d\.\d %\) in 2 calls, the slowest [2-9]\d\d\.\d ms$", first)


def test_the_shares_of_plugins_are_of_the_time_in_which_packets_were_worked_on(slow) -> None:
    told = stats(slow("--format", "json"))
    assert told["plugins"]["slow"]["share"] == pytest.approx(told["plugins"]["slow"]["seconds"] / told["busy"], abs=0.001)


def test_sinks_and_policies_are_in_the_statistics_too(slow) -> None:
    told = stats(slow("--format", "json", "--enable", "policy", "--set", 'plugins.policy.rules = [{ action = "keep" }]'))
    assert {name: told["plugins"][name]["calls"] > 0 for name in ("jsonl", "policy", "slow")} == {"jsonl": True, "policy": True, "slow": True}


def test_captures_that_are_read_side_by_side_are_one_in_the_statistics(site, iplog, captures) -> None:
    site.install("slow", SLOW.replace("SECONDS", "0.1"))
    capture = captures / "syn_scan.pcap"
    told = stats(iplog("read", capture, capture, "--stats", "--jobs", "2", "--format", "json").output)
    slow, jsonl = told["plugins"]["slow"], told["plugins"]["jsonl"]
    assert (slow["calls"], slow["seconds"] > 2 * 0.1, slow["slowest"] < slow["seconds"], jsonl["calls"] > 0, "spool" in told["plugins"]) == (
        4, True, True, True, False,
    )  # fmt: skip


def test_without_stats_nothing_of_the_output_is_measured(site, iplog, captures) -> None:
    site.install("slow", SLOW.replace("SECONDS", "0.01"))
    first, second = (iplog("read", captures / "syn_scan.pcap", "--format", "json").output for _ in range(2))
    assert first == second


# While it hangs


def hang(turns: Turns, seconds: float) -> None:
    turns.begin("detector")
    time.sleep(seconds)
    turns.end()


def test_who_hangs_is_told_while_it_does_and_again_after_a_while() -> None:
    told: list[str] = []
    turns = Turns()
    with Watchdog(turns, lambda name, what: told.append(f"{name}: {what}"), patience=0.05, again=0.2):
        hang(turns, 0.6)
    assert 2 <= len(told) <= 4
    assert re.match(r"detector: it has been at work for \d+ s", told[0])


def test_who_is_called_often_and_quickly_is_not_told() -> None:
    told: list[str] = []
    turns = Turns()
    with Watchdog(turns, lambda name, what: told.append(name), patience=0.2, again=0.2):
        for _ in range(50):
            hang(turns, 0.01)
    assert told == []


def test_a_watch_tells_and_logs_who_hangs_while_it_does(sensor: Host, peer: Host, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW.replace("SECONDS", "10"))
    with watching(sensor, tmp_path, "--stdout", "--disable-resolver", "--set", 'plugin_paths = ["slow.py"]') as watch:
        peer("ping", "-c", "1", "198.18.0.1")
        line = watch.wait_for_line("slow (slow.py): it has been at work for ")
        assert re.search(r" [5-8] s, now at slow\.py, line 14; packets wait, or are lost, until it is done; --disable slow leaves it out\.$", line)
        assert ("slow (slow.py): it has been" in watch.told, any("ICMP: echo" in line for line in watch.lines)) == (True, False)
