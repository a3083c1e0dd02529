"""Run tools side by side on one core, and count what they use."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.loads import LOADS, nothing, packets_of
from bench.results import Results, Runs
from bench.tools import HERE, PATH, TCPDUMP, TOOLS, Tool

PATIENCE = 300.0
"""Seconds that one run may take."""


class ToolFailedError(Exception):
    """Why a tool did not read a capture to its end."""


@dataclass(frozen=True)
class Plan:
    """What to run: for each load how many of it, the tools, and how many rounds; in each round every tool runs once, one after the other."""

    rounds: int
    loads: Mapping[str, tuple[int, Sequence[str]]]
    peer_rounds: int = 2
    core: int = 0
    lock: Path | None = None


def measure(plan: Plan, tell: Callable[[str], None]) -> Results:
    """Run it all. A tool that is not there, or fails, is left out, and the results say why."""
    results = Results(machine=_machine())
    wanted = list(dict.fromkeys(name for _, names in plan.loads.values() for name in names))
    for name in wanted:
        if TOOLS[name].installed:
            results.versions[name] = TOOLS[name].versions()
        else:
            results.left_out[name] = "not installed"
    with tempfile.TemporaryDirectory(prefix="iplog-bench-") as scratch:
        for packets, peers in enumerate((False, True)):
            starting = [name for name in wanted if (TOOLS[name].kind == "peer") == peers]
            # It is taken off everything, so it had better be right; the first of a program that has not run for long is slow.
            often = replace(plan, rounds=plan.rounds + 3, peer_rounds=plan.peer_rounds + 1)
            _rounds(often, results, nothing(packets), starting, results.start, Path(scratch))
        for load, (count, names) in plan.loads.items():
            tell(f"{load}: {LOADS[load].about}")
            capture = LOADS[load].path(count)
            _warm(capture)
            results.packets[load] = packets_of(capture)
            results.runs[load] = {}
            _rounds(plan, results, capture, names, results.runs[load], Path(scratch))
    return results


def _rounds(plan: Plan, results: Results, capture: Path, names: Sequence[str], runs: dict[str, Runs], scratch: Path) -> None:
    for number in range(plan.rounds):
        for name in names:
            if name in results.left_out or (TOOLS[name].kind == "peer" and number >= plan.peer_rounds):
                continue
            try:
                cost = run(TOOLS[name], capture, plan.core, scratch, plan.lock)
            except ToolFailedError as fault:
                if TOOLS[name].kind != "peer":
                    raise ToolFailedError(f"{name}, {capture}: {fault}") from None
                results.left_out[name] = str(fault)
                runs.pop(name, None)
            else:
                runs.setdefault(name, Runs()).add(*cost)


def run(tool: Tool, capture: Path, core: int, scratch: Path, lock: Path | None = None) -> tuple[float, float, float]:
    """CPU seconds, seconds, and megabytes that a tool takes to read a capture."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("IPLOG", "PYTHON"))}
    environment["PATH"] = PATH
    with tempfile.TemporaryDirectory(dir=scratch) as folder, held(lock):
        command = tool.command(capture, Path(folder))
        launcher = [sys.executable, "-I", "-S", str(HERE / "child.py"), str(core), str(Path(folder, "output")), *command]
        process = subprocess.Popen(
            launcher, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            output, told = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise ToolFailedError(f"not done after {PATIENCE:g} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    status, *costs = output.decode().split() or ("1",)
    if status != "0":
        raise ToolFailedError(f"it ended with status {status}: {told.decode(errors='replace').strip()[-200:]}")
    cpu, wall, memory = map(float, costs)
    return cpu, wall, memory / 1024


@contextlib.contextmanager
def held(lock: Path | None) -> Iterator[None]:
    """Hold a lock, where there is one."""
    if lock is None:
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _warm(capture: Path) -> None:
    """Bring a capture into memory, so that no run waits for the disk."""
    with capture.open("rb") as file:
        while file.read(1 << 24):
            pass


def _machine() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, Linux {platform.release()}, Python {platform.python_version()}"
    return f"{platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}"


def full(rounds: int, core: int, lock: Path | None) -> Plan:
    """Every load; the peers, and iplog detector by detector, on two of them; on the longest, where little counts, the ways to write a detector."""
    levels = [name for name, tool in TOOLS.items() if tool.kind == "level"]
    most = [name for name in TOOLS if name not in levels]
    chosen = {"mixed": most, "synrand": most, "mixed1": [TCPDUMP, "alerts"], "mixed10": [TCPDUMP, "alerts", "flows", *levels]}
    return Plan(rounds, {name: (load.count, chosen.get(name, _ours())) for name, load in LOADS.items()}, core=core, lock=lock)


def quick(rounds: int, core: int, lock: Path | None) -> Plan:
    """Small loads, and no peers; nor decoding alone, which there takes too little to be told from starting."""
    tools = [name for name in _ours() if name != "decoding"]
    return Plan(rounds, {name: (load.small, tools) for name, load in LOADS.items() if load.small}, core=core, lock=lock)


def _ours() -> list[str]:
    return [name for name, tool in TOOLS.items() if tool.kind == "ours"]
