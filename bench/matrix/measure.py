"""One scenario made, seen by iplog live and from the file, and judged."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cables import one_clock
from captures import lab

from bench.matrix import CHECKOUT
from bench.matrix.captures import probes_until, read, side, write
from bench.matrix.network import dressed, stage
from bench.matrix.scenario import Packet, Scenario
from iplog_core.testing import in_order

Alerts = list[dict[str, Any]]

IPLOG = [sys.executable, "-m", "iplog_core.cli.main"]
OPTIONS = ["--alerts-only", "--format", "json", "--quiet"]
LIVE = ["-i", "eth0", "--promisc", "*", "--disable-resolver", "--set", "capture.ring=67108864"]
TIMES = ("timestamp", "id", "first_seen", "last_seen", "in_iface", "flow_id", "host")
BUFFER = ("-B", "65536")
"""KiB that tcpdump keeps for what comes too fast; iplog has as much."""
SLOWEST = 120
"""Seconds that a scenario may take."""


@dataclass
class Row:
    """What came of a scenario: the alerts of its file, whether they were the same live, the alerts of its one-direction files, or why it could not be made."""

    name: str
    group: str
    expected: list[str]
    how: str
    packets: int = 0
    found: dict[str, int] = field(default_factory=dict)
    right: bool = False
    named: str = ""
    blamed_right: bool = True
    probes: int | None = None
    raised: int = 0
    false: dict[str, int] = field(default_factory=dict)
    live: str = "-"
    sides: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    fault: str = ""

    @property
    def good(self) -> bool:
        sides = all(what == "ok" for what in self.sides.values())
        return self.right and self.blamed_right and not self.false and self.live in ("=", "-") and sides and not self.fault


def measure(scenario: Scenario, folder: Path, *, keep: bool = False) -> Row:
    """Make a scenario in `folder`, and judge it. What could not be made is told in the row."""
    row = Row(scenario.name, scenario.group, list(scenario.kinds), scenario.how)
    path = folder / f"{scenario.name}.pcap"
    begin = time.monotonic()
    try:
        with _at_most(SLOWEST):
            live = _make(scenario, path)
        _judge(scenario, path, row, live)
    except Exception as error:
        row.fault = f"{type(error).__name__}: {error}"
    row.seconds = round(time.monotonic() - begin, 1)
    if not keep:
        for file in folder.glob(f"{scenario.name}.*"):
            file.unlink()
    return row


def _make(scenario: Scenario, path: Path) -> Alerts | None:
    """Leave the capture at `path`; return the alerts that iplog raised meanwhile, None where it did not watch."""
    if scenario.write:
        write(path, ((frame.time / 1e9, dressed(frame)) for frame in in_order(scenario.write())))
        return None
    assert scenario.play
    alerts = None
    with one_clock(), stage():
        if scenario.live:
            with _watching(path.with_suffix(".live")) as alerts, lab.record(path, *BUFFER):
                scenario.play()
        else:
            with lab.record(path, *BUFFER):
                scenario.play()
    if scenario.change:
        write(path, scenario.change(read(path)))
    return alerts


@contextlib.contextmanager
def _watching(output: Path) -> Iterator[Alerts]:
    """iplog on the target's interface; what it raised is in the list when the block has ended."""
    alerts: Alerts = []
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IPLOG")}
    with lab.inside(lab.TARGET), output.open("wb") as file:
        command = [*IPLOG, *OPTIONS[:-1], *LIVE]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE, text=True, env=environment, cwd=CHECKOUT)
    told = []
    try:
        assert process.stderr is not None
        for line in process.stderr:
            told.append(line)
            if "watching " in line:
                break
        else:
            raise RuntimeError(f"iplog: {''.join(told).strip()}")
        yield alerts
        process.send_signal(signal.SIGTERM)
        told.append(process.communicate(timeout=20)[1])
        if process.returncode:
            raise RuntimeError(f"iplog ended with status {process.returncode}: {''.join(told).strip()}")
        alerts.extend(_alerts(output.read_text()))
    finally:
        process.kill()
        process.wait()


def _judge(scenario: Scenario, path: Path, row: Row, live: Alerts | None) -> None:
    packets = read(path)
    row.packets = len(packets)
    if len(packets) < scenario.least:
        raise RuntimeError(f"only {len(packets)} packets were recorded")
    alerts = alerts_of(path)
    if live is not None:
        row.live = "=" if _timeless(live) == _timeless(alerts) else _difference(live, alerts)
    row.found = dict(Counter(alert["alert"]["kind"] for alert in _starts(alerts)))
    row.raised = sum(alert["alert"]["severity"] != "info" for alert in alerts)
    row.false = false_alarms(scenario, alerts)
    right = [alert for alert in _starts(alerts) if alert["alert"]["kind"] in scenario.kinds]
    row.right = bool(right) or not scenario.kinds
    if right:
        everything = [alert for alert in alerts if alert["alert"]["kind"] in scenario.kinds]
        row.named, row.blamed_right = _blamed(scenario, everything)
        if scenario.group == "scan":
            row.probes = probes_until(packets, scenario.blamed, min(_seconds(alert["timestamp"]) for alert in right))
    for which in scenario.sides:
        row.sides[which] = _one_side(scenario, path.with_suffix(f".{which}.pcap"), side(packets, which))


def _one_side(scenario: Scenario, path: Path, packets: Iterator[Packet]) -> str:
    """Write one direction to a file; "ok", or what is wrong with its alerts."""
    write(path, packets)
    alerts = alerts_of(path)
    if wrong := false_alarms(scenario, alerts):
        return _counts(wrong)
    if scenario.kinds and not any(alert["alert"]["kind"] in scenario.kinds for alert in alerts):
        return "missed"
    return "ok"


def alerts_of(path: Path) -> Alerts:
    """The alerts that `iplog read` writes."""
    done = subprocess.run([*IPLOG, "read", *OPTIONS, str(path)], capture_output=True, text=True, cwd=CHECKOUT, timeout=SLOWEST)
    if done.returncode:
        raise RuntimeError(f"iplog read ended with status {done.returncode}: {done.stderr.strip()[-400:]}")
    return _alerts(done.stdout)


def false_alarms(scenario: Scenario, alerts: Alerts) -> dict[str, int]:
    """The kinds above info that are neither right nor excused, and how often each was raised."""
    allowed = {*scenario.kinds, *scenario.also}
    return dict(Counter(alert["alert"]["kind"] for alert in _starts(alerts) if alert["alert"]["severity"] != "info" and alert["alert"]["kind"] not in allowed))


def _blamed(scenario: Scenario, alerts: Alerts) -> tuple[str, bool]:
    """Who the alerts name, and whether that is right: nobody who is not to blame, and as many sources as there were."""
    named: set[str] = set()
    most = 0
    for alert in alerts:
        evidence = alert["alert"].get("evidence", {})
        sources = {alert["src_ip"]} if alert.get("src_ip") else set()
        if scenario.group == "scan":
            sources |= {*evidence.get("members", ()), *evidence.get("sources", ())}
        named |= sources or {alert["dest_ip"]}
        most = max(most, evidence.get("source_count") or 0, evidence.get("member_count") or 0, len(sources))
    right = "*" in scenario.blamed or named <= set(scenario.blamed)
    text = ", ".join(sorted(named)) if len(named) < 3 else f"{max(most, len(named))} hosts"
    if scenario.sources:
        right = right and max(most, len(named)) == scenario.sources
    return text, right


def _alerts(lines: str) -> Alerts:
    return [record for record in map(json.loads, lines.splitlines()) if record["event_type"] == "alert"]


def _starts(alerts: Alerts) -> Alerts:
    return [alert for alert in alerts if alert["alert"]["state"] == "start"]


def _timeless(alerts: Alerts) -> list[str]:
    return sorted(json.dumps(_without_times(alert), sort_keys=True) for alert in alerts)


def _without_times(record: dict[str, Any]) -> dict[str, Any]:
    """A record without its times; a file ends with its last packet, so that what has become silent live is pending there."""
    kept: dict[str, Any] = {key: _without_times(value) if isinstance(value, dict) else value for key, value in record.items() if key not in TIMES}
    if "pending" in kept:
        kept["silent"] = kept.get("silent", 0) + kept.pop("pending")
    return kept


def _difference(live: Alerts, read: Alerts) -> str:
    """The kinds and states that are more often on one side, or that their evidence differs."""
    mine, theirs = (Counter(f"{alert['alert']['kind']} {alert['alert']['state']}" for alert in alerts) for alerts in (live, read))
    only = [f"+{count} {what}" for what, count in (mine - theirs).items()] + [f"-{count} {what}" for what, count in (theirs - mine).items()]
    return ", ".join(only[:3]) or "evidence differs"


def _counts(kinds: dict[str, int]) -> str:
    return ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in kinds.items())


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


@contextlib.contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Give up after a while. Only the main thread of a process may say so."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
