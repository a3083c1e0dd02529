"""What a sink is: it takes events in order, on a thread of its own, and brings them somewhere."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Generic, Literal, NamedTuple, TypeVar

from iplog_core.errors import IplogError
from iplog_core.settings import Settings, SinkSettings

if TYPE_CHECKING:
    from iplog_core.events import Event
    from iplog_core.names import Names
    from iplog_core.terminal import Terminal

S = TypeVar("S", bound=SinkSettings)


class SinkContext(NamedTuple):
    """How iplog runs: over captures or watching, with which host name and process number, and the terminal where it writes to one.

    `log_dest` says whether lines name destinations. `names` looks up names of hosts, None where they stay addresses. `note` takes a line about the sink
    itself, such as that a server is gone, from any thread. `settings` are those of iplog itself. `standard_output` tells the sink that this run's `--format`
    chose: it writes to standard output, whatever its settings name.
    """

    mode: Literal["read", "watch"] = "read"
    hostname: str = ""
    pid: int = 0
    log_dest: bool = True
    names: Names | None = None
    note: Callable[[str], None] = lambda line: None
    settings: Settings = Settings()
    standard_output: bool = False
    terminal: Terminal | None = None


class Sink(Generic[S]):
    """A destination of events.

    Set `name`, and `format` where the sink can serve `--format`; `is_system_log` where it is the one for a watch that nobody told where to write.
    `open`, `write`, `reopen` and `close` run on the sink's own thread; an exception of `write` is reported and the events are counted as lost.
    BrokenPipeError from a sink on standard output ends the run.

    `queued` is when the events that `write` takes were put into the queue, on the clock of `time.monotonic`.
    """

    name: ClassVar[str]
    format: ClassVar[str | None] = None
    is_system_log: ClassVar[bool] = False

    def __init__(self, settings: S, context: SinkContext) -> None:
        self.settings = settings
        self.context = context
        self.queued = 0.0
        self._ending = threading.Event()

    def open(self) -> None:
        """Open the destination. Raise IplogError with one clear line where it cannot be."""

    def write(self, events: Sequence[Event]) -> None:
        """Take events, in order. Not called before `open`, nor after `close`."""
        raise NotImplementedError

    def expect(self, events: Sequence[Event]) -> None:
        """Begin what takes long, such as looking up a name, for events that were put into the queue: on the packets' thread, so that it must return at once."""

    def hand_over(self, uid: int, gid: int) -> None:
        """Let what was opened belong to the user and group that iplog is about to become (-1: as it is), so that it may be opened anew. May raise OSError."""

    def reopen(self) -> None:
        """Open the destination anew, as after its file was renamed. Called on SIGHUP."""

    def close(self) -> None:
        """Write what is held back, and let go of the destination."""

    def pause(self, seconds: float) -> bool:
        """Wait before something is tried again. False: there is no time left, iplog ends; what cannot be written at once is lost."""
        return not self._ending.wait(seconds)

    def give_up(self) -> None:
        """End every `pause`, from any thread."""
        self._ending.set()


AnySink = Sink[Any]


def open_output(path: str | None) -> BinaryIO:
    """Open what a sink writes bytes to: standard output (None), or a file, at its end. Raise IplogError where that cannot be."""
    if path is None:
        return sys.stdout.buffer
    try:
        # Without waiting: a pipe that nobody reads would hold up the start for ever.
        output = open(path, "ab", 0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK, 0o666))  # noqa: SIM115
        os.set_blocking(output.fileno(), True)
        return output
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = "nobody reads this pipe" if getattr(error, "errno", 0) == errno.ENXIO else getattr(error, "strerror", None) or error
        raise IplogError(f"{path}: {reason}; a sink needs a file that it may write to.") from None


def reopen_output(output: BinaryIO, path: str) -> BinaryIO:
    """Open the file that has the name now, and close the one that had it. Raise IplogError where none can be opened: `output` then stays open."""
    fresh = open_output(path)
    with suppress(OSError):  # what it could not write was told when it was written
        output.close()
    return fresh


def write_output(output: BinaryIO, data: bytes) -> None:
    """Write bytes and push them out, all of them or none: what a full disk cuts off is taken back, so that no line is torn. Raise OSError."""
    if output is sys.stdout.buffer:
        output.write(data)
        output.flush()
        return
    done, rest = 0, memoryview(data)
    try:
        while done < len(rest):
            done += os.write(output.fileno(), rest[done:])
    except OSError:
        if done:
            with suppress(OSError):  # a pipe takes nothing back
                os.ftruncate(output.fileno(), os.fstat(output.fileno()).st_size - done)
        raise


def hand_over_output(output: BinaryIO | None, uid: int, gid: int) -> None:
    """Let a file belong to a user and a group (-1: as it is), unless it is standard output."""
    if output is not None and output is not sys.stdout.buffer:
        os.fchown(output.fileno(), uid, gid)


def close_output(output: BinaryIO) -> None:
    """Write out what is buffered, and close it unless it is standard output."""
    if output is sys.stdout.buffer:
        output.flush()
    else:
        output.close()
