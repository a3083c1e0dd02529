"""Whose code raises, calls or hangs: the frames of a plugin's author among those of iplog, of Python and of what both are built on."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType, TracebackType

_OTHERS = frozenset({"__main__", "iplog_core", "numpy", "pluggy", "pydantic", "pydantic_core", *sys.stdlib_module_names})
"""Packages that are no author's."""

_Placed = tuple[FrameType, int]


def reason(error: BaseException) -> str:
    """Return an exception of a plugin as one line, with the last place in its author's code that it went through."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an exception of a plugin may fail at that, too
        text = ""
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return said
    frames = _authors(_raised(error.__traceback__))
    return f"{said} ({_place(*frames[-1])})" if frames else said


def own_frames(error: BaseException) -> str:
    """Return a traceback without the frames of iplog, of Python and of libraries; where none is left, what was raised."""
    lines = traceback.StackSummary.extract(iter(_authors(_raised(error.__traceback__)))).format()
    return "".join(["Traceback (most recent call last):\n" if lines else "", *lines, reason(error)])


def author(error: BaseException) -> str | None:
    """Return the package of the first author whose code an exception went through; None where it is nobody's but iplog's."""
    frames = _authors(_raised(error.__traceback__))
    return _package(frames[0][0]) if frames else None


def caller() -> str | None:
    """Return the package of the author whose code runs now."""
    placed = _at_work(sys._getframe())
    return _package(placed[0]) if placed else None


def at_work(thread: int) -> str | None:
    """Return the place in an author's code where a thread is now."""
    placed = _at_work(sys._current_frames().get(thread))
    return _place(*placed) if placed else None


def _authors(frames: Iterable[_Placed]) -> list[_Placed]:
    """Return the frames of one author: who is called by iplog first. What is called by that author is a library."""
    theirs = [placed for placed in frames if _package(placed[0]) not in _OTHERS]
    return [placed for placed in theirs if _package(placed[0]) == _package(theirs[0][0])]


def _raised(trace: TracebackType | None) -> Iterator[_Placed]:
    yield from traceback.walk_tb(trace)


def _at_work(frame: FrameType | None) -> _Placed | None:
    """Return the innermost frame under way of the author whom iplog called last."""
    theirs: list[_Placed] = []
    for placed in traceback.walk_stack(frame) if frame else ():
        package = _package(placed[0])
        if theirs and package == "iplog_core":
            break
        if package not in _OTHERS:
            theirs.append(placed)
    return next((placed for placed in theirs if _package(placed[0]) == _package(theirs[-1][0])), None)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _place(frame: FrameType, line: int) -> str:
    return f"{Path(frame.f_code.co_filename).name}, line {line}"
