"""The real `iplog`, watching in a network namespace."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from namespaces import Host

PATIENCE = 20.0
"""Seconds that what must come may take on a slow machine."""


class Watching:
    """`iplog` in a host, with its standard output in `output` and its standard error in `errors`, both files of `folder`."""

    def __init__(self, host: Host, folder: Path, *arguments: str, before: tuple[str, ...] = ()) -> None:
        self.output, self.errors = folder / "output", folder / "errors"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("IPLOG", "PYTHON"))}
        with self.output.open("ab") as output, self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                host.command(*before, sys.executable, "-m", "iplog_core.cli.main", *arguments),
                cwd=folder,
                env={**environment, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )

    def started(self) -> Watching:
        """Wait until it watches."""
        wait_for(lambda: "watching " in self.told or self.process.poll() is not None, lambda: self.told)
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with status {self.process.returncode}: {self.told}")
        return self

    @property
    def lines(self) -> list[str]:
        """What it wrote to standard output."""
        return self.output.read_text().splitlines()

    @property
    def told(self) -> str:
        """What it wrote to standard error."""
        return self.errors.read_text()

    def wait_for_line(self, *parts: str) -> str:
        """Wait for a line with all of these in it, and return it."""

        def found() -> str | None:
            return next((line for line in self.lines if all(part in line for part in parts)), None)

        wait_for(lambda: found() is not None, lambda: f"{parts} in:\n" + "\n".join(self.lines[-50:]) + self.told)
        line = found()
        assert line is not None
        return line

    def wait_for_told(self, part: str) -> None:
        """Wait until standard error holds something."""
        wait_for(lambda: part in self.told, lambda: f"{part} in:\n{self.told}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and return its exit status."""
        self.send(number)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def watching(host: Host, folder: Path, *arguments: str, before: tuple[str, ...] = ()) -> Iterator[Watching]:
    """`iplog` that watches, killed afterwards where it has not ended."""
    watch = Watching(host, folder, *arguments, before=before)
    try:
        yield watch.started()
    finally:
        watch.kill()


def wait_for(condition: Callable[[], object], describe: Callable[[], str]) -> None:
    """Wait until something holds; fail, with a description, where it does not come to be."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"this did not come to be: {describe()}")
        time.sleep(0.02)
