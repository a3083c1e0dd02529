"""The file that holds the number of the running iplog, and the lock that says that it runs."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from io import FileIO
from pathlib import Path
from time import monotonic, sleep

from iplog_core.errors import IplogError

DEFAULT = Path("/run/iplog.pid")

_MODE = 0o644
_PATIENCE = 1.0
"""Seconds that a lock may be held without a number: by one who starts, ends, or looks."""

_PAUSE = 0.02
_REASONS = {
    errno.EACCES: "permission denied; root may, or name another file with --pid-file",
    errno.ELOOP: "a symbolic link; expected a file, or nothing",
    errno.EISDIR: "a folder; expected a file, or nothing",
    errno.ENOENT: "there is no such folder",
    errno.EROFS: "nothing can be written there; name another file with --pid-file",
}


class AlreadyRunning(IplogError):  # noqa: N818
    """Another iplog has the pid file."""

    def __init__(self, path: Path, process: int) -> None:
        option = "" if path == DEFAULT else f"--pid-file {path} "
        super().__init__(f"{path}: iplog is already running (process {process}); iplog {option}--kill ends it.")


class PidFile:
    """The pid file of this process, taken by making one: locked until `close`, or until the process ends in any way.

    A file that a process left behind is taken over. Raise AlreadyRunning where another process has it, IplogError where it cannot be written or trusted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._file = _take(self.path)
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n".encode())

    def close(self) -> None:
        """Remove the file. Where the rights to do so are gone, an empty one stays, which says the same."""
        self._file.truncate(0)
        with contextlib.suppress(OSError):
            if _is_at(self.path, self._file):
                self.path.unlink()
        self._file.close()

    def __enter__(self) -> PidFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def running(path: Path) -> int | None:
    """Return the process that has this pid file; None where none has, whatever number stands in it.

    Raise IplogError where the file cannot be read, or names a process that cannot be the one that has it.
    """
    for _ in _tries():
        try:
            file = _open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with file:
            if _lock(file, LOCK_SH):
                return None
            if process := _process(file):
                return process
    raise _nameless(path)


def _take(path: Path) -> FileIO:
    """Return the open, locked file."""
    for _ in _tries():
        try:
            file = _open(path, os.O_RDWR | os.O_CREAT)
        except FileNotFoundError as error:
            raise _fault(path, error) from None
        if _lock(file, LOCK_EX):
            # The one before may have removed it after it was opened here.
            if _is_at(path, file):
                os.fchmod(file.fileno(), _MODE)
                return file
        elif process := _process(file):
            file.close()
            raise AlreadyRunning(path, process)
        file.close()
    raise _nameless(path)


def _tries() -> Iterator[None]:
    end = monotonic() + _PATIENCE
    while monotonic() < end:
        yield
        sleep(_PAUSE)


def _open(path: Path, flags: int) -> FileIO:
    """Open a pid file, and nothing that somebody laid in its place. Raise FileNotFoundError, or IplogError."""
    try:
        file = FileIO(os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, _MODE), "r+" if flags & os.O_RDWR else "r")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _fault(path, error) from None
    about = os.fstat(file.fileno())
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        file.close()
        raise IplogError(f"{path}: no ordinary file; expected one of iplog's own, or nothing.")
    if flags & os.O_RDWR and about.st_uid != os.geteuid():
        file.close()
        raise IplogError(f"{path}: it belongs to another user ({about.st_uid}); remove it, or name another file with --pid-file.")
    return file


def _fault(path: Path, error: OSError) -> IplogError:
    return IplogError(f"{path}: {_REASONS.get(error.errno or 0) or error.strerror}.")


def _nameless(path: Path) -> IplogError:
    return IplogError(f"{path}: it is locked, and by no process that it names; nothing was done.")


def _lock(file: FileIO, kind: int) -> bool:
    try:
        flock(file, kind | LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, file: FileIO) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _process(file: FileIO) -> int | None:
    """Return the living process that a locked file names.

    Who owns the file could write any number: root's word is taken, anybody else's for processes of his own.
    """
    found = re.fullmatch(rb"([1-9][0-9]{0,9})\n", os.pread(file.fileno(), 32, 0))
    if not found:
        return None
    process, owner = int(found[1]), os.fstat(file.fileno()).st_uid
    user = _user_of(process)
    return process if user is not None and owner in (0, user) else None


def _user_of(process: int) -> int | None:
    """Return the user of a process, None where there is no such process. The owner of its folder in /proc may be root instead."""
    try:
        about = Path(f"/proc/{process}/status").read_text(errors="replace")
    except OSError:
        return None
    found = re.search(r"^Uid:\s+(\d+)", about, re.MULTILINE)
    return int(found[1]) if found else None
