"""Where `iplog` begins: find the command, run it, turn what goes wrong into one clear line and an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Any

from iplog_core.cli.arguments import Parser, add_common, parse_common
from iplog_core.errors import EXIT_FAILED, EXIT_OK, EXIT_PARTIAL, ConfigError, IplogError, PluginError, did_you_mean
from iplog_core.terminal import tell

_COMMANDS = {
    "read": "read captures: who contacted whom, who is scanning",
    "interfaces": "list what could be watched",
    "plugins": "list the plugins, or show one",
    "config": "check, show or begin a configuration",
}
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # as numpy is imported, its OpenBLAS starts threads that spin, waiting for matrices that nobody multiplies here
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # pydantic reads the metadata of all that is installed in search of its own plugins, and imports them
}
"""What libraries are told before they are imported, unless the user tells them otherwise."""

_EXAMPLES = """\
commands:
{commands}

examples:
  sudo iplog                                  watch every interface that is up
  sudo iplog -i eth0 --alerts-only            one interface, the alerts alone
  iplog read evening.pcap                     every contact and every alert
  iplog read --alerts-only monday.pcap.gz     the alerts alone
  iplog read --format json - < evening.pcap   JSON lines in the shape of EVE

`iplog COMMAND --help` tells more of each. Plugins may bring commands of their own.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `iplog` with these arguments, by default those of the process; return the exit status."""
    _have_standard_streams()
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        status = _answer(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        tell(["interrupted."])
    except BrokenPipeError:
        tell(["standard output: its reader closed it; what was not written is lost."])
    except OSError as error:
        tell([f"{error.filename or 'standard output'}: {error.strerror or error}; what was not written is lost."])
    _drop_standard_output()
    return EXIT_PARTIAL


def _answer(arguments: Sequence[str]) -> int:
    try:
        return _run(arguments)
    except SystemExit as exit:  # from argparse, after --help and --version
        return exit.code if isinstance(exit.code, int) else EXIT_OK
    except IplogError as error:
        tell(error.faults)
        return EXIT_FAILED


def _run(arguments: Sequence[str]) -> int:
    common, rest = parse_common(arguments)
    if not rest or rest[0].startswith("-"):
        return _without_command(common, rest)
    name, *rest = rest
    if name in _COMMANDS:
        return _run_built_in(name, rest, common)
    return _run_of_plugin(name, rest, common)


def _without_command(common: argparse.Namespace, rest: list[str]) -> int:
    """Read the capture of `-r`, or watch."""
    first = rest[0] if rest else ""
    if first.startswith("-r"):
        attached = [first[2:]] if first != "-r" else []
        return _run_built_in("read", [*attached, *rest[1:]], common)
    from iplog_core.cli.watch import make_parser

    commands = "\n".join(f"  {name:12}{what}" for name, what in _COMMANDS.items())
    parsed = make_parser(_EXAMPLES.format(commands=commands)).parse_all(rest, common)
    status: int = parsed.run(parsed)
    return status


def _run_built_in(name: str, rest: list[str], common: argparse.Namespace) -> int:
    parsed = _built_in(name).parse_all(rest, common)
    status: int = parsed.run(parsed)
    return status


def _built_in(name: str) -> Parser:
    """Return the parser of a command; its module is imported now, and no other's."""
    commands: dict[str, Parser] = {}
    import_module(f"iplog_core.cli.{name}").add_command(_adder(commands))
    return commands[name]


def _run_of_plugin(name: str, rest: list[str], common: argparse.Namespace) -> int:
    """Run a command that an enabled plugin contributes. Raise PluginError where it raises what is no fault of its user's."""
    from iplog_core.authors import own_frames, reason

    parser, owner = _from_plugins(name, common)
    parsed = parser.parse_all(rest, common)
    try:
        status = parsed.run(parsed)
    except (IplogError, BrokenPipeError):
        raise
    except SystemExit as exit:
        if isinstance(exit.code, str):
            tell([exit.code])
            return EXIT_PARTIAL
        status = exit.code
    except Exception as error:
        tell(own_frames(error).splitlines())
        raise PluginError(f"{owner}: iplog {name} failed: {reason(error)}.") from error
    return status if isinstance(status, int) else EXIT_OK


def _from_plugins(name: str, common: argparse.Namespace) -> tuple[Parser, str]:
    """Return the parser of a command that an enabled plugin contributes, and whose it is. Raise ConfigError where none does."""
    from iplog_core.cli.setup import load_host

    commands: dict[str, Parser] = {}
    owners: dict[str, str] = {}
    host = load_host(common)
    if not host.faults:

        def adder(owner: str) -> Callable[..., Parser]:
            return _adder(commands, lambda name: owners.update({name: owner}))

        host.commands(adder)
        common.settings = host.settings
    if name in commands:
        return commands[name], owners[name]
    if os.path.exists(name):
        raise ConfigError(f"{name}: no command; to read a capture: iplog read {name}.")
    known = [*_COMMANDS, *commands]
    raise ConfigError(f"{name}: no such command.{did_you_mean(name, known)} There are: {', '.join(known)}.", *host.faults)


def _adder(commands: dict[str, Parser], added: Callable[[str], None] = lambda name: None) -> Callable[..., Parser]:
    """Return what stands in for argparse's `add_parser`; `added` is called with the name of each command."""

    def add(name: str, *, help: str = "", **options: Any) -> Parser:
        parser = Parser(prog=f"iplog {name}", **{"description": help, **options})
        add_common(parser)
        commands[name] = parser
        added(name)
        return parser

    return add


def _have_standard_streams() -> None:
    """Give a process that was started without standard output or error somewhere to write to, and write any name whatever the locale."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _drop_standard_output() -> None:
    """Point standard output elsewhere, so that Python does not trip over it once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(main())
