"""What was measured, and what follows from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.tools import TCPDUMP

RECORDED = Path(__file__).parent / "recorded.json"
TOLERANCE = 0.25
"""How much greater a ratio may be than the recorded one: so much it differs between runs of a quarter of a second where the machine has other work."""


@dataclass
class Runs:
    """The runs of a tool on a load: CPU seconds and seconds of each, and the greatest memory in MB."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    memory: float = 0.0

    def add(self, cpu: float, wall: float, memory: float) -> None:
        self.cpu.append(round(cpu, 4))
        self.wall.append(round(wall, 4))
        self.memory = max(self.memory, round(memory, 1))


@dataclass
class Results:
    """All runs: of each load, how many packets it has and the runs of each tool; `start` has those of an empty capture.

    A tool's time is the shortest of its runs, since whatever else a machine does only ever adds to it.
    """

    machine: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    packets: dict[str, int] = field(default_factory=dict)
    start: dict[str, Runs] = field(default_factory=dict)
    runs: dict[str, dict[str, Runs]] = field(default_factory=dict)

    def seconds(self, load: str, tool: str) -> float:
        """CPU seconds, without those of starting."""
        return max(min(self.runs[load][tool].cpu) - min(self.start[tool].cpu), 1e-4)

    def rate(self, load: str, tool: str) -> float:
        """Packets in a CPU second."""
        return self.packets[load] / self.seconds(load, tool)

    def ratio(self, load: str, tool: str) -> float:
        """How often tcpdump's time it takes."""
        return self.seconds(load, tool) / self.seconds(load, TCPDUMP)

    def ratios(self) -> dict[str, dict[str, float]]:
        return {load: {tool: round(self.ratio(load, tool), 3) for tool in tools if tool != TCPDUMP} for load, tools in self.runs.items() if TCPDUMP in tools}

    @classmethod
    def of(cls, known: dict[str, Any]) -> Results:
        """What `asdict` has made."""
        runs = {load: {tool: Runs(**each) for tool, each in tools.items()} for load, tools in known["runs"].items()}
        return cls(**{**known, "start": {tool: Runs(**each) for tool, each in known["start"].items()}, "runs": runs})


def recorded(path: Path = RECORDED) -> dict[str, Any]:
    """What was last recorded: `full` results, the ratios of `quick`, the rows of `live`; each may be missing."""
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return known


def record(path: Path = RECORDED, **parts: Any) -> None:
    path.write_text(json.dumps({**recorded(path), **parts}, indent=1) + "\n")


def plain(results: Results) -> dict[str, Any]:
    return asdict(results)


def worse(found: dict[str, dict[str, float]], known: dict[str, dict[str, float]]) -> list[str]:
    """A line for each ratio that is beyond what was recorded and what is tolerated."""
    lines = []
    for load, tools in found.items():
        for tool, ratio in tools.items():
            before = known.get(load, {}).get(tool)
            if before is not None and ratio > before * (1 + TOLERANCE):
                lines.append(f"{load}, {tool}: {ratio:.2f} times tcpdump's CPU time, {before:.2f} when it was recorded.")
    return lines
