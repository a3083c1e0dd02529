"""A process for each scenario, which leaves nothing behind: python -m bench.matrix.processes NAME FOLDER KEEP writes its row as JSON."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from captures import lab

from bench.matrix import CHECKOUT
from bench.matrix.catalogue import SCENARIOS
from bench.matrix.measure import SLOWEST, Row, measure


def measure_apart(names: Sequence[str], folder: Path, *, keep: bool, jobs: int) -> Iterator[Row]:
    """Measure scenarios, some at the same time; the rows come in the order of the names. Those that run are ended with the block."""
    running: set[subprocess.Popen[bytes]] = set()
    with _told_to_end(), ThreadPoolExecutor(jobs) as pool:
        rows = [pool.submit(_measure_apart, name, folder, keep, running) for name in names]
        try:
            for row in rows:
                yield row.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                process.terminate()


def main() -> None:
    name, folder, keep = sys.argv[1:]
    with _told_to_end():
        print(json.dumps(asdict(measure(SCENARIOS[name], Path(folder), keep=keep == "keep"))))


def _measure_apart(name: str, folder: Path, keep: bool, running: set[subprocess.Popen[bytes]]) -> Row:
    command = [sys.executable, "-m", "bench.matrix.processes", name, str(folder), "keep" if keep else "drop"]
    # Files, since what a killed process leaves running would hold a pipe open.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=output, stderr=told)
        running.add(process)
        try:
            status = process.wait(2 * SLOWEST)
            output.seek(0)
            told.seek(0)
            if status == 0:
                return Row(**json.load(output))
            fault = f"status {status}: {told.read().decode().strip()[-300:]}"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            fault = f"not done after {2 * SLOWEST} s"
        finally:
            running.discard(process)
            _remove_namespaces(process.pid)
    scenario = SCENARIOS[name]
    return Row(name, scenario.group, list(scenario.kinds), scenario.how, fault=fault)


def _remove_namespaces(pid: int) -> None:
    """What a process that was killed has left."""
    for namespace in Path("/run/netns").glob(f"iplog-{pid}-*"):
        lab.kill_all(namespace.name)
        lab.run(f"ip netns del {namespace.name}", check=False)


@contextlib.contextmanager
def _told_to_end() -> Iterator[None]:
    """Unwind at SIGTERM, too."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    main()
