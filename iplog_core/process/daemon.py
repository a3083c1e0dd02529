"""Go on in the background, with the one who started it waiting until all is ready."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable

from iplog_core.errors import EXIT_FAILED, EXIT_OK, EXIT_PARTIAL, IplogError
from iplog_core.terminal import tell

_UMASK = 0o027
_STANDARD_STREAMS = (0, 1, 2)
_CALLED_OFF_BY = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


class Readiness:
    """What the background process owes to the one who started it and waits."""

    def __init__(self, waiting: int) -> None:
        self._waiting = waiting

    def ready(self) -> None:
        """Let go of the terminal, and let the one who waits end with status 0."""
        sys.stdout.flush()
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in _STANDARD_STREAMS:
            os.dup2(nowhere, stream)
        os.close(nowhere)
        with contextlib.suppress(BrokenPipeError):
            os.write(self._waiting, b"\n")
        os.close(self._waiting)


def detach() -> Readiness:
    """Go on in a process with a session of its own, which no terminal ends, and with a umask that leaves other users out.

    It returns in that process alone. Until that is ready, it has the standard streams of the user, and the process that the user started waits for it: it
    ends with its status where it fails, its words being on the user's screen, and ends it where it is interrupted itself. The folder stays as it is, so that
    names of files mean the same whenever they are read again. Nothing that a fork loses or shares may be there yet: threads, locks, the pid file.
    Raise IplogError where no process can be started.
    """
    _fill_standard_streams()
    sys.stdout.flush()
    sys.stderr.flush()
    ready, waiting = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _CALLED_OFF_BY)  # until there is somebody to whom they mean something
    if child := _fork():
        os.close(waiting)
        os._exit(_wait(child, mask))
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.setsid()
    if child := _fork():
        os.close(waiting)
        os._exit(_stand_by(child, ready))
    os.close(ready)
    os.umask(_UMASK)
    return Readiness(waiting)


def _fill_standard_streams() -> None:
    """Let no file that is opened from now on stand where a standard stream is missing."""
    while (nowhere := os.open(os.devnull, os.O_RDWR)) in _STANDARD_STREAMS:
        pass
    os.close(nowhere)


def _fork() -> int:
    try:
        return os.fork()
    except OSError as error:
        raise IplogError(f"the background: no process could be started: {error.strerror}.") from None


def _wait(leader: int, mask: Iterable[int]) -> int:
    """Wait, with these signals blocked, as the process that the user started; return its exit status."""
    try:
        for number in _CALLED_OFF_BY:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return _status(leader)
    except KeyboardInterrupt:
        # The leader's number names its group, too, for as long as the leader is not reaped.
        os.kill(leader, signal.SIGKILL)
        os.waitid(os.P_PID, leader, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError):  # it had no group of its own yet
            os.killpg(leader, signal.SIGTERM)
        tell(["interrupted."])
        return EXIT_PARTIAL


def _stand_by(child: int, ready: int) -> int:
    """Wait as the leader of the session, the only one who is told how the process in the background ends."""
    return EXIT_OK if os.read(ready, 1) else _status(child)


def _status(child: int) -> int:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status >= 0:
        return status
    tell([f"the background process was ended by signal {-status} ({signal.strsignal(-status)}) before it was ready."])
    return EXIT_FAILED
