"""What a sink is: it takes events in order, on a thread of its own, and brings them somewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Generic, Literal, TypeVar

from iplog_core.errors import IplogError
from iplog_core.settings import SinkSettings

if TYPE_CHECKING:
    from iplog_core.events import Event
    from iplog_core.terminal import Terminal

S = TypeVar("S", bound=SinkSettings)


@dataclass(frozen=True)
class SinkContext:
    """How iplog runs: over captures or watching, with which host name and process number, and the terminal where it writes to one.

    `standard_output` tells the sink that this run's `--format` chose: it writes to standard output, whatever its settings name.
    """

    mode: Literal["read", "watch"] = "read"
    hostname: str = ""
    pid: int = 0
    log_dest: bool = True
    standard_output: bool = False
    terminal: Terminal | None = None


class Sink(Generic[S]):
    """A destination of events.

    Set `name`, and `format` where the sink can serve `--format`. `open`, `write` and `close` run on the sink's own thread, in this order; an
    exception of `write` is reported and the events are counted as lost. BrokenPipeError from a sink on standard output ends the run.
    """

    name: ClassVar[str]
    format: ClassVar[str | None] = None

    def __init__(self, settings: S, context: SinkContext) -> None:
        self.settings = settings
        self.context = context

    def open(self) -> None:
        """Open the destination. Raise IplogError with one clear line where it cannot be."""

    def write(self, events: Sequence[Event]) -> None:
        """Take events, in order. Not called before `open`, nor after `close`."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what is held back, and let go of the destination."""


AnySink = Sink[Any]


def open_output(path: str | None) -> BinaryIO:
    """Open what a sink writes bytes to: standard output (None), or a file, at its end. Raise IplogError where that cannot be."""
    if path is None:
        return sys.stdout.buffer
    try:
        return open(path, "ab")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise IplogError(f"{path}: {reason}; a sink needs a file that it may write to.") from None


def close_output(output: BinaryIO) -> None:
    """Write out what is buffered, and close it unless it is standard output."""
    if output is sys.stdout.buffer:
        output.flush()
    else:
        output.close()
