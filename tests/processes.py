"""Programs that tests run in processes of their own, and wait for."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent


def program(text: str) -> list[str]:
    """The command that runs a Python program, in the environment of this one."""
    return [sys.executable, "-c", dedent(text)]


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def wait_until(holds: Callable[[], object], seconds: float = 30) -> None:
    """Wait for a condition; it failing to hold at last is the caller's to assert."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
