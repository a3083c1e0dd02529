"""Options of the command line: argparse, with the errors in our own words and without abbreviations."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, NoReturn

from iplog_core import __version__
from iplog_core.errors import ConfigError, did_you_mean

_TRUE = ("", "=true", "=yes")
_FALSE = ("=false", "=no")
_TOGGLE = ("=toggle",)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ConfigErrors; every parser takes the common options."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        if found := re.fullmatch(r"argument \S+: ignored explicit argument '(.).*'", message):  # of short options in one word
            message = f"-{found[1]}: no such option of {self.prog}"
        elif message.startswith("argument "):
            message = message.removeprefix("argument ")
        else:
            message = f"{self.prog}: {message}"
        raise ConfigError(message if message.endswith(".") else f"{message}; see {self.prog} --help.")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        arguments = self._with_lower_values(sys.argv[1:] if args is None else args)
        if faults := list(self._wrong_values(arguments)):
            raise ConfigError(*faults)
        return super().parse_known_args(arguments, namespace)

    def parse_all(self, arguments: Sequence[str], namespace: argparse.Namespace) -> argparse.Namespace:
        """Parse; options may stand among the other arguments, where these have no `--` and no subcommands, which argparse cannot mix."""
        mixed = "--" not in arguments and not any(action.nargs == argparse.PARSER for action in self._actions)
        parsed, rest = (self.parse_known_intermixed_args if mixed else self.parse_known_args)(arguments, namespace)
        if rest:
            unknown = [argument for argument in rest if argument.startswith("-")]  # what stands behind one may have been meant for it
            raise ConfigError(*(self._not_expected(argument) for argument in unknown or rest))
        return parsed

    def _with_lower_values(self, arguments: Sequence[str]) -> list[str]:
        """Write the values of options that are on or off in small letters, as argparse knows them."""
        end = list(arguments).index("--") if "--" in arguments else len(arguments)
        lowered = [name + equals + value.lower() for name, equals, value in (argument.partition("=") for argument in arguments[:end])]
        known = self._option_string_actions
        return [*(low if low in known else given for low, given in zip(lowered, arguments[:end], strict=True)), *arguments[end:]]

    def _wrong_values(self, arguments: Sequence[str]) -> Iterator[str]:
        """What is wrong with values of options that are on or off; argparse would take `-d=no` for `-d -n -o`."""
        known = self._option_string_actions
        for argument in takewhile(lambda argument: argument != "--", arguments):
            name, equals, value = argument.partition("=")
            if equals and argument not in known and name in known and known[name].nargs == 0:
                takes = "expected true, yes, false, no or toggle" if f"{name}=toggle" in known else "takes no value"
                yield f"{name}: {takes}, not {value!r}; see {self.prog} --help."

    def _not_expected(self, argument: str) -> str:
        if not argument.startswith("-"):
            return f"{argument}: not expected by {self.prog}; see {self.prog} --help."
        name = argument.partition("=")[0]
        known = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        return f"{name}: no such option of {self.prog}.{did_you_mean(name, known)} See {self.prog} --help."


class _Flag(argparse.Action):
    """An option that is on or off: `--x`, `--x=true`, `--x=no`, `--x=toggle`."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None) -> None:
        _, equals, value = (option_string or "").partition("=")
        now = bool(getattr(namespace, self.dest))
        setattr(namespace, self.dest, equals + value in _TRUE or (equals + value in _TOGGLE and not now))


def add_flag(parser: argparse._ActionsContainer, name: str, *, default: bool = False, help: str) -> None:
    """Add a long option that is on or off."""
    spellings = [name + value for value in (*_TRUE, *_FALSE, *_TOGGLE)]
    action = parser.add_argument(*spellings, action=_Flag, nargs=0, default=default, help=help)
    action.option_strings = [name]  # what --help shows; argparse looks the others up as they stand


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that stand before or after the name of any command."""
    common = parser.add_argument_group("common options")
    common.add_argument("--config", metavar="FILE", help="read this configuration: .toml, or .conf in the classic form")
    common.add_argument("--enable", metavar="A,B", action="append", default=[], help="run these plugins, too")
    common.add_argument("--disable", metavar="A,B", action="append", default=[], help="do not run these plugins")
    common.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="set a setting, such as plugins.tcp_scan.ports=20")
    common.add_argument("--rule", metavar="RULE", action="append", default=[], help="add a rule, such as 'ignore udp sport 53'")
    common.add_argument("--format", metavar="NAME", help="what to write to standard output: text (the default) or json")
    add_flag(common, "--alerts-only", help="write no traffic, only alerts")
    add_flag(common, "--stats", help="write the counters of the run at its end")
    add_flag(common, "--quiet", help="show no progress and no summary")
    common.add_argument("-v", "--version", action=_Version, nargs=0, help="print the version and exit")


def add_state(parser: argparse.ArgumentParser) -> None:
    """Add `--state`, for what reads or watches."""
    parser.add_argument("--state", metavar="FILE", help="go on from what FILE knows, and keep there what is known at the end")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None) -> None:
        sys.stdout.write(f"iplog {__version__}\n")
        parser.exit()


def parse_common(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Take the common options out of the arguments, wherever they stand before a `--`; return them and the rest."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    parser = Parser(prog="iplog", add_help=False)
    add_common(parser)
    common, rest = parser.parse_known_args(arguments[:end])
    return common, [*rest, *arguments[end:]]
