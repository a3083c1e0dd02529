"""`iplog read`: captures in, lines out."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from iplog_core.cli.arguments import add_flag, add_state
from iplog_core.cli.garbage import no_garbage
from iplog_core.errors import EXIT_OK, EXIT_PARTIAL, CaptureError, ConfigError

if TYPE_CHECKING:
    from iplog_core.allow import AllowLists
    from iplog_core.capture.source import Source
    from iplog_core.engine import Engine
    from iplog_core.events import Stats
    from iplog_core.host import Host
    from iplog_core.names import Names
    from iplog_core.rules import Rules
    from iplog_core.sink import AnySink, SinkContext
    from iplog_core.state import StateFile
    from iplog_core.terminal import Terminal

_EXAMPLES = """\
examples:
  iplog read evening.pcap
  iplog read --alerts-only --format json mon.pcap.gz tue.pcapng
  iplog read --since '2026-05-28 20:00' --rule 'ignore udp sport 53' evening.pcap
  iplog read --alerts-only --jobs 4 archive/*.pcap.gz
  tcpdump -w - -c 1000 | iplog read -

Several captures are read together, in the order of time: one scan that several sensors saw, or that began in one
file and went on in the next, is one alert. With --jobs each is a time of its own, as if it were read alone.

Exit status: 0 all was read, 1 a part of it, 2 nothing could be done.
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def add_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add(
        "read",
        usage="iplog read [OPTIONS] FILE...",
        description="Read captures (pcap, pcapng, compressed or not) in the order of time, and write what happened to standard output.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a capture; - is standard input")
    parser.add_argument("--since", metavar="TIME", type=parse_time, help="leave out packets before this time, in UTC unless it has an offset")
    parser.add_argument("--until", metavar="TIME", type=parse_time, help="leave out packets from this time on")
    parser.add_argument("--jobs", metavar="N", type=_parse_jobs, help="read each capture by itself, N at a time, and write them one after another")
    add_flag(parser, "--resolve", help="look up the names of hosts")
    add_state(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if None not in (options.since, options.until) and options.since >= options.until:
        raise ConfigError("--until: not later than --since, so that nothing lies between.")
    with no_garbage():
        from iplog_core.cli.interrupt import Interruptible
        from iplog_core.cli.setup import prepare, state_file
        from iplog_core.cli.sinks import sinks_of_read
        from iplog_core.terminal import Terminal

        host, rules, allow = prepare(options)
        terminal = Terminal(quiet=options.quiet)
        names = _resolver(host, options)
        sinks = sinks_of_read(host, options.format, make_context(host, terminal, names))
    if options.jobs is not None:
        from iplog_core.cli.jobs import read_each

        return read_each(options, host, rules, allow, terminal, names, sinks)
    opened, unread = _open(options.files, host)
    skipped = [*host.config.skipped, *unread]
    for line in (*host.notes, *skipped):
        terminal.note(line)
    unstopped: list[str] = []
    state = state_file(host, options, terminal.note)
    with ExitStack() as stack:
        if names:
            names.start(terminal.note)
            stack.callback(names.close)

        def hurry() -> None:
            if names:
                names.close()
            engine.hurry(host.settings.end_timeout)

        source = stack.enter_context(Interruptible(opened, hurry))
        stack.enter_context(host.running(unstopped))
        stack.enter_context(terminal)
        engine = make_engine(options, host, source, sinks, rules, allow, terminal.log, state, terminal.follow(source))
        report = engine.run()
    faults = [*report.faults, *unstopped]
    for line in faults:
        terminal.note(line)
    if not report.stats.packets and not faults and not unread:
        terminal.note(no_packets(options))
    terminal.summary(report)
    if state and report.kept and not options.quiet:
        alerts, flows = report.kept
        terminal.note(f"state: {state.path}: kept for the next run: {alerts:,} open alert{'s' * (alerts != 1)}, {flows:,} undecided flow{'s' * (flows != 1)}.")
    return EXIT_PARTIAL if faults or skipped else EXIT_OK


def make_engine(
    options: argparse.Namespace,
    host: Host,
    source: Source,
    sinks: Sequence[AnySink],
    rules: Rules | None,
    allow: AllowLists | None,
    log: Callable[[str], None],
    state: StateFile | None = None,
    progress: Callable[[Stats], None] | None = None,
) -> Engine:
    """Return what reads a source as the options say."""
    from iplog_core.engine import Engine
    from iplog_core.memory import Usage

    return Engine(
        host,
        source,
        sinks,
        rules,
        allow=allow,
        state=state,
        log=log,
        alerts_only=options.alerts_only or host.settings.alerts_only,
        stats=options.stats and options.jobs is None,
        measure=Usage().measure if options.stats else None,
        when_full=host.settings.when_full or "block",
        since=options.since,
        until=options.until,
        progress=progress,
    )


def _resolver(host: Host, options: argparse.Namespace) -> Names | None:
    if not options.resolve and not host.settings.names.resolve:
        return None
    from iplog_core.names import Names

    return Names(host.settings.names, patient=True)


def make_context(host: Host, terminal: Terminal, names: Names | None) -> SinkContext:
    from iplog_core.sink import SinkContext

    return SinkContext(
        mode="read",
        hostname=os.uname().nodename,
        pid=os.getpid(),
        log_dest=host.settings.log_dest is not False,
        names=names,
        note=terminal.note,
        settings=host.settings,
        terminal=terminal if sys.stdout.isatty() else None,
    )


def _open(names: list[str], host: Host) -> tuple[Source, list[str]]:
    """Open the captures, and return them as one source, with a line for each that cannot be read. Raise CaptureError where none can."""
    from iplog_core.capture.merge import merge

    sources: list[Source] = []
    faults: list[str] = []
    for name in names:
        try:
            if name == "-" and names.count("-") > 1:
                raise CaptureError("-: named twice; standard input can be read once.")
            sources.append(open_one(name, host))
        except CaptureError as error:
            faults += error.faults
    if not sources:
        raise CaptureError(*dict.fromkeys(faults))
    return merge(sources), list(dict.fromkeys(faults))


def open_one(name: str, host: Host) -> Source:
    """Open a capture. Raise CaptureError where it cannot be read."""
    from iplog_core.capture.savefile import open_savefile

    size = host.settings.batch_size
    return host.open_source(name, size) or open_savefile(name, size)


def no_packets(options: argparse.Namespace) -> str:
    names = ", ".join("standard input" if name == "-" else name for name in options.files)
    between = " in the time that --since and --until leave" if (options.since, options.until) != (None, None) else ""
    return f"{names}: no packets{between}."


def parse_time(text: str) -> int:
    """Return a time, RFC 3339 or the part of it before the offset, in ns since the epoch."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; expected one such as 2026-05-28T20:26:59 or 2026-05-28T20:26:59+02:00.") from None
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH
    return since // timedelta(microseconds=1) * 1000


def _parse_jobs(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,2}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes; expected one from 1 to 999, such as that of the processors.")
    return int(text)
