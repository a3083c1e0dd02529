"""`iplog` by itself: watch interfaces, write what happens as it happens."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING

from iplog_core.cli.arguments import Parser, add_common, add_state
from iplog_core.cli.classic_options import add_classic
from iplog_core.cli.garbage import no_garbage
from iplog_core.errors import EXIT_OK, EXIT_PARTIAL, IplogError, PluginError

if TYPE_CHECKING:
    from iplog_core.allow import AllowLists
    from iplog_core.capture.live import Live
    from iplog_core.events import Stats
    from iplog_core.host import Host
    from iplog_core.names import Names
    from iplog_core.process.privileges import Identity
    from iplog_core.rules import Rules
    from iplog_core.settings import Settings
    from iplog_core.sink import AnySink

_AT_THE_START = ("batch_size", "queue_size", "when_full", "end_timeout", "user", "group", "daemon", "pid_file", "state", "memory", "flows", "names")
"""Settings that a running iplog does not change."""

_IMPORTED_LATER = ("encodings.idna", "heapq", "ssl")
"""Modules that others import no sooner than they need them."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_TO_END = 10.0
"""Seconds that --kill waits for the end of another iplog, beside those that its sinks may take."""


def make_parser(commands: str = "") -> Parser:
    """Return the parser of `iplog` without a command; `commands` is what --help says of the others."""
    parser = Parser(
        prog="iplog",
        usage="iplog [OPTIONS]\n       iplog COMMAND [OPTIONS] ...",
        description="Writes down who talks to this host or network, and says at once who is probing or attacking it.\n"
        "Without a command it watches interfaces; that takes root, or the capability CAP_NET_RAW.",
        epilog=commands,
    )
    add_common(parser)
    add_state(parser)
    add_classic(parser)
    parser.set_defaults(run=run)
    return parser


def run(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the configuration that it would read again is read
    if options.kill or options.restart:
        return _tell_running(options)
    with no_garbage():
        from iplog_core.cli.setup import prepare

        host, rules, allow = prepare(options)
    return _Watch(options, host).run(rules, allow)


def _tell_running(options: argparse.Namespace) -> int:
    from iplog_core.cli.setup import load_config
    from iplog_core.process.control import kill, restart
    from iplog_core.process.pidfile import DEFAULT

    settings = load_config(options).settings
    path = settings.pid_file or DEFAULT
    return kill(path, settings.end_timeout + _TO_END) if options.kill else restart(path)


class _Watch:
    """A watch from its start to its end, and what SIGHUP changes of it."""

    def __init__(self, options: argparse.Namespace, host: Host) -> None:
        from iplog_core.notices import Notices
        from iplog_core.terminal import Terminal

        self._options = options
        self._host = host
        self._settings = host.settings
        self._terminal = Terminal(quiet=options.quiet)
        self._notices = Notices(self._terminal.note)
        self._live: Live
        self._names: Names | None = None
        self._captures = self._reread = False
        self._told_to_end = 0
        self._reading: _Reading | None = None
        self._failed = False

    def run(self, rules: Rules | None, allow: AllowLists | None) -> int:
        from iplog_core.cli.setup import identity, state_file
        from iplog_core.engine import Engine
        from iplog_core.memory import Usage
        from iplog_core.process.daemon import detach

        settings = self._settings
        user = identity(self._host)
        state = state_file(self._host, self._options, self._notices.note)
        rules = _within_scope(self._host, rules)
        readiness = detach() if settings.daemon else None
        with ExitStack() as stack:
            self._take_signals()
            self._take_pid_file(stack)
            self._live = self._capture(rules)
            stack.callback(self._live.close)
            self._names = self._resolver(stack)
            self._engine = Engine(
                self._host,
                self._live,
                self._sinks(self._host),
                rules,
                allow=allow,
                state=state,
                log=self._terminal.log,
                alerts_only=self._alerts_only(self._host),
                stats=self._options.stats,
                measure=Usage().measure,
                when_full=settings.when_full or "drop",
                progress=self._between_batches,
                notices=self._notices,
                interfaces=self._live.stats,
                patience=settings.end_timeout,
            )
            self._captures = True
            self._engine.open()
            if user:
                self._become(user)
            self._engine.recall()
            self._host.start()
            stack.callback(self._stop_plugins)
            self._engine.start()
            self._notices.log("iplog started.")
            for line in self._host.notes:
                self._notices.note(line)
            self._tell(self._host.config.skipped)
            self._say_what_is_watched()
            if readiness:
                readiness.ready()
            report = self._engine.run()
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # what comes too late shall spoil nothing
        self._terminal.summary(report, always=not self._options.quiet)
        return EXIT_PARTIAL if report.faults or self._failed else EXIT_OK

    def _become(self, user: Identity) -> None:
        """Become another user, who may not be able to read what would be imported later."""
        import iplog_core
        from iplog_core.events import Alert, Stats

        self._engine.hand_over(-1 if user.uid is None else user.uid, user.gid)
        for name in _IMPORTED_LATER:
            import_module(name)
        for model in (Alert, Stats):
            model.model_rebuild()
        user.take()
        for folder in map(os.path.dirname, (os.__file__, iplog_core.__file__)):
            if not os.access(folder, os.R_OK | os.X_OK):
                self._notices.note(f"{user}: may not read {folder}, so that no plugin can be added on SIGHUP; install iplog and Python where it may.")
                return

    def _take_pid_file(self, stack: ExitStack) -> None:
        from iplog_core.process.pidfile import DEFAULT, PidFile

        path = self._settings.pid_file or (DEFAULT if self._settings.daemon else None)
        if path:
            stack.enter_context(PidFile(path))

    def _capture(self, rules: Rules | None) -> Live:
        from iplog_core.capture.interfaces import to_watch
        from iplog_core.capture.live import Live
        from iplog_core.kernel_filter import kernel_filter

        settings = self._settings
        return Live(
            to_watch(settings.interfaces),
            settings.capture,
            promiscuous=bool(settings.promisc),
            batch_size=settings.batch_size,
            filter=kernel_filter(rules, settings.capture.filter),
            note=self._notices.note,
        )

    def _resolver(self, stack: ExitStack) -> Names | None:
        from iplog_core.names import Names

        if self._settings.names.resolve is False:
            return None
        names = Names(self._settings.names, patient=False)
        names.start(self._notices.note)
        stack.callback(names.close)
        return names

    def _sinks(self, host: Host) -> list[AnySink]:
        from iplog_core.cli.sinks import sinks_of_watch
        from iplog_core.sink import SinkContext

        to_terminal = sys.stdout.isatty()
        log_dest = host.settings.log_dest
        context = SinkContext(
            mode="watch",
            hostname=socket.gethostname().partition(".")[0],
            pid=os.getpid(),
            log_dest=bool(self._settings.promisc) if log_dest is None else log_dest,
            names=self._names,
            note=self._notices.note,
            settings=host.settings,
            terminal=self._terminal if to_terminal else None,
        )
        return sinks_of_watch(host, self._options.format, context, to_terminal=to_terminal, in_background=self._settings.daemon)

    def _alerts_only(self, host: Host) -> bool:
        return self._options.alerts_only or host.settings.alerts_only

    def _stop_plugins(self) -> None:
        try:
            self._host.stop()
        except PluginError as error:
            self._tell(error.faults)

    def _tell(self, faults: Iterable[str]) -> None:
        for line in faults:
            self._failed = True
            self._notices.note(line)

    def _take_signals(self) -> None:
        """SIGTERM and SIGINT end the watch, the second one without waiting for sinks, the third whatever runs; SIGHUP reads the configuration again.

        So it stays until all is over.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._ask_to_reread)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._told_to_end += 1
        if not self._captures or self._told_to_end > 2:
            raise KeyboardInterrupt
        self._live.stop()
        self._engine.hurry(self._settings.end_timeout if self._told_to_end == 1 else 0.0)

    def _ask_to_reread(self, number: int, frame: FrameType | None) -> None:
        self._reread = True
        if self._captures:
            self._live.wake()

    def _between_batches(self, stats: Stats) -> None:
        """Answer SIGHUP. The configuration is read on a thread of its own: a name server that a rule needs must not hold up the packets."""
        if self._reread and not self._reading:
            self._reread = False
            self._engine.reopen()
            self._reading = _Reading(self._options, self._live.wake)
            self._reading.start()
        elif self._reading and self._reading.done.is_set():
            reading, self._reading = self._reading, None
            self._change(reading)

    def _change(self, reading: _Reading) -> None:
        """Go on with the configuration that was read; where it is wrong, with the one in force."""
        from iplog_core.authors import reason
        from iplog_core.capture.interfaces import to_watch
        from iplog_core.kernel_filter import kernel_filter

        try:
            host, rules, allow = reading.result()
            sinks = self._sinks(host)
            before = self._host.settings.interfaces
            names = to_watch(host.settings.interfaces, self._live.names if host.settings.interfaces or not before else ())
            faults = self._live.rearm(names, kernel_filter(rules, host.settings.capture.filter))
        except (Exception, SystemExit) as error:
            lines = error.faults if isinstance(error, IplogError) else [f"the configuration: it could not be read: {reason(error)}."]
            self._tell([*lines, "the configuration was not changed; the one in force stays."])
            return
        self._tell([*faults, *host.config.skipped])
        try:
            self._engine.change(host, rules, sinks, allow=allow, alerts_only=self._alerts_only(host))
        except (Exception, SystemExit) as error:
            self._tell([f"the configuration: not all of it could be put in force: {reason(error)}; start iplog again."])
        self._stop_plugins()
        self._host = host
        try:
            host.start()
        except PluginError as error:
            self._tell(error.faults)
        for line in host.notes:
            self._notices.note(line)
        for name in _changed_in_vain(self._settings, host.settings):
            self._notices.note(f"{name}: what was changed takes effect when iplog is started again.")
        self._notices.note("the configuration was read again.")

    def _say_what_is_watched(self) -> None:
        if self._options.quiet:
            return
        settings, config = self._host.settings, self._host.config
        told = [
            f"watching {', '.join(self._live.names)}{' in promiscuous mode' if settings.promisc else ''}",
            f"configuration: {config.file or 'the defaults'}",
            f"plugins: {', '.join(settings.enable or ())}",
            f"writing: {', '.join(sink.name for sink in self._engine.sinks)}",
        ]
        if settings.capture.filter:
            told.append(f"filter: {settings.capture.filter}")
        self._terminal.note(f"{'; '.join(told)}.")


class _Reading(threading.Thread):
    """Reads the configuration. `done` is set, and `wake` called, when `result` has it, or raises what is wrong."""

    def __init__(self, options: argparse.Namespace, wake: Callable[[], None]) -> None:
        super().__init__(name="configuration", daemon=True)
        self.done = threading.Event()
        self._options = options
        self._wake = wake
        self._read: tuple[Host, Rules | None, AllowLists | None] | BaseException

    def result(self) -> tuple[Host, Rules | None, AllowLists | None]:
        if isinstance(self._read, BaseException):
            raise self._read
        return self._read

    def run(self) -> None:
        from iplog_core.cli.setup import prepare

        try:
            host, rules, allow = prepare(self._options)
            self._read = host, _within_scope(host, rules), allow
        except (Exception, SystemExit) as error:
            self._read = error
        self.done.set()
        self._wake()


def _within_scope(host: Host, rules: Rules | None) -> Rules | None:
    """Let rules hide, too, what is between hosts that nobody asked to watch. Raise ConfigError where `promisc` has a fault."""
    from iplog_core.cli.setup import scope

    watched = scope(host)
    if watched is None:
        return rules
    from iplog_core.rules import Rules

    return (rules or Rules([])).within(watched)


def _changed_in_vain(before: Settings, after: Settings) -> list[str]:
    """Return the settings that differ and hold from the start of a watch to its end."""
    names = [name for name in _AT_THE_START if getattr(before, name) != getattr(after, name)]
    if bool(before.promisc) != bool(after.promisc):
        names.append("promisc")
    if before.capture.model_copy(update={"filter": None}) != after.capture.model_copy(update={"filter": None}):
        names.append("capture")
    return names
