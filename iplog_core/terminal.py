"""The user's terminal: a progress bar that stands clear of the lines above it, and a summary at the end."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Never

if TYPE_CHECKING:
    from tqdm import tqdm

    from iplog_core.capture.source import Source
    from iplog_core.engine import Report
    from iplog_core.events import InterfaceStats, Stats

_REDRAW = 0.1
_PATIENCE = 0.3
"""Seconds that a run takes at least to be worth a bar."""

_BAR = "{percentage:3.0f}% |{bar}| {n_fmt}B of {total_fmt}B{postfix}, {remaining} left"
_BAR_OF_UNKNOWN_SIZE = "{n_fmt}B{postfix}, {elapsed}"


def wants_colour() -> bool:
    """Whether what is written to standard output may be coloured: it is a terminal, not a dumb one, and NO_COLOR is not set (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def tell(lines: Iterable[str]) -> None:
    """Write lines to standard error, what cannot be printed in them escaped; where nobody reads that, there is nobody to tell."""
    try:
        for line in lines:
            print(_printable(line), file=sys.stderr, flush=True)
    except OSError:
        pass


class Terminal:
    """Where the user looks on.

    `write` may be called from any thread. The bar and the summary are on standard error, and only where that is a terminal; a quiet one has neither.
    The bar is there within `with`.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.colour = wants_colour()
        self._shows = not quiet and sys.stderr.isatty()
        self._bar: tqdm[Never] | None = None
        self._lock = threading.RLock()
        self._drawn = 0.0
        self._started = monotonic()

    def write(self, text: str) -> None:
        """Write text to standard output, above the bar. Raise BrokenPipeError or another OSError where nobody takes it."""
        with self._lock:
            self._clear()
            try:
                sys.stdout.write(text)
                sys.stdout.flush()
            except OSError as error:
                if error.errno == errno.EIO:
                    raise BrokenPipeError from None  # the terminal was closed
                raise
            self._refresh()

    def note(self, line: str) -> None:
        """Write one line to standard error, above the bar."""
        self._tell([line])

    def log(self, text: str) -> None:
        """Write text of several lines to standard error, above the bar."""
        self._tell(text.splitlines())

    def follow(self, source: Source) -> Callable[[Stats], None] | None:
        """Return what draws how far `source` is read, each time it is called; None where nothing is shown."""
        return (lambda stats: self._draw(source, stats)) if self._shows else None

    def summary(self, report: Report, *, always: bool = False) -> None:
        """Write what a run came to, to standard error, where that is a terminal or `always`."""
        if self._shows or always:
            rows = _summary(report, monotonic() - self._started)
            width = max(len(count) for _, count, _ in rows)
            for name, count, more in rows:
                self.note(f"{name:<12}{count:>{width}}  {more}".rstrip())

    def __enter__(self) -> Terminal:
        self._started = monotonic()
        self._drawn = self._started + _PATIENCE - _REDRAW
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def _draw(self, source: Source, stats: Stats) -> None:
        now = monotonic()
        if now - self._drawn < _REDRAW:
            return
        self._drawn = now
        with self._lock:
            if self._bar is None:
                self._bar = _new_bar(source.size)
            rate = stats.packets / max(now - self._started, 0.001)
            self._bar.set_postfix_str(f"{stats.packets:,} packets, {rate:,.0f}/s", refresh=False)
            self._bar.update(source.position - self._bar.n)

    def _tell(self, lines: Iterable[str]) -> None:
        with self._lock:
            self._clear()
            tell(lines)
            self._refresh()

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.clear()

    def _refresh(self) -> None:
        if self._bar is not None:
            self._bar.refresh()


def _new_bar(size: int) -> tqdm[Never]:
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread that wakes up to look at the bar
    return tqdm(
        total=size or None,
        unit_scale=True,
        mininterval=0,
        miniters=0,
        leave=False,
        dynamic_ncols=True,
        file=sys.stderr,
        bar_format=_BAR if size else _BAR_OF_UNKNOWN_SIZE,
    )


def _summary(report: Report, seconds: float) -> list[tuple[str, str, str]]:
    """Return the rows of the summary: what, how many, more about it. What did not happen has none, packets, flows and alerts apart."""
    stats = report.stats
    rate = f", {stats.packets / seconds:,.0f} packets/s" if seconds > 0.1 else ""
    sources = ", ".join(f"{address} ({flows:,})" for address, flows in report.top_sources)
    rows = [
        ("packets", stats.packets, f"{_size(stats.bytes)} in {seconds:.1f} s{rate}"),
        ("flows", stats.flows, f"most from {sources}" if sources else ""),
        ("alerts", stats.alerts, _counts(report.alerts)),
    ]
    rows += [(name, captured.packets, _captured(captured)) for name, captured in stats.interfaces.items()]
    rows += [(name, sum(counts.values()), _counts(counts)) for name, counts in stats.policies.items()]
    rare = [
        ("suppressed", stats.suppressed, "alerts that a plugin dropped"),
        ("ignored", stats.ignored, "packets that a rule hides"),
        ("dropped", stats.kernel_drops + stats.queue_drops, "events or packets that were lost"),
        ("evicted", stats.evicted, "flows or episodes forgotten for want of room"),
        ("unsupported", stats.unsupported, "packets of a link type that is not decoded"),
        ("malformed", sum(stats.malformed.values()), _counts(stats.malformed)),
        ("failed", sum(stats.plugin_errors.values()), _counts(stats.plugin_errors)),
    ]
    return [(name, f"{count:,}", more) for name, count, more in rows + [row for row in rare if row[1]]]


def _captured(captured: InterfaceStats) -> str:
    drops = f"the kernel dropped {captured.kernel_drops:,}, the interface {captured.interface_drops:,}"
    return f"received; {drops}; ring {_size(captured.ring)}, {captured.rate:,.0f}/s at last"


def _printable(line: str) -> str:
    return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
