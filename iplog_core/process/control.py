"""`iplog --kill` and `iplog --restart`: tell the running iplog."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from time import monotonic, sleep

from iplog_core.errors import EXIT_OK, EXIT_PARTIAL, IplogError
from iplog_core.process.pidfile import running
from iplog_core.terminal import tell

_PAUSE = 0.05


def kill(path: Path, patience: float = 15.0) -> int:
    """End the iplog that has this pid file (SIGTERM), wait until it has ended, `patience` seconds at the most; return the exit status."""
    process = _signal(path, signal.SIGTERM)
    if process is None:
        return EXIT_PARTIAL
    end = monotonic() + patience
    while running(path) == process:
        if monotonic() > end:
            tell([f"{path}: iplog (process {process}) has not ended within {patience:g} s; kill -KILL {process} ends it at once."])
            return EXIT_PARTIAL
        sleep(_PAUSE)
    sys.stdout.write(f"iplog (process {process}) has ended.\n")
    return EXIT_OK


def restart(path: Path) -> int:
    """Let the iplog that has this pid file read its configuration and open its log again (SIGHUP); return the exit status."""
    process = _signal(path, signal.SIGHUP)
    if process is None:
        return EXIT_PARTIAL
    sys.stdout.write(f"iplog (process {process}) reads its configuration again.\n")
    return EXIT_OK


def _signal(path: Path, number: signal.Signals) -> int | None:
    """Send a signal; return to which process, None where iplog does not run, and the user has been told so."""
    process = running(path)
    if process is not None:
        try:
            os.kill(process, number)
            return process
        except ProcessLookupError:
            pass
        except PermissionError:
            raise IplogError(f"{path}: iplog (process {process}) belongs to another user; only root may tell it.") from None
    tell([f"{path}: iplog is not running."])
    return None
