"""The options of the classic program, as they were."""

from __future__ import annotations

import argparse
from typing import Any

from iplog_core.classic.words import BY_OPTION, DAEMON, DIRECTIVES, FLAGS, Directive, Flag

_VALUES = ("true", "yes", "false", "no", "toggle")


class _Classic(argparse.Action):
    """Adds (option, value) to `classic`, in the order of the command line."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None) -> None:
        option, equals, value = (option_string or "").partition("=")
        given = values if isinstance(BY_OPTION[option], Directive) else value if equals else "true"
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), (option, given)])


def add_classic(parser: argparse._ActionsContainer) -> None:
    """Add every option of the classic program.

    What was given stands in `classic`, as (option, value) in order, for `iplog_core.config.load`; `--kill` and `--restart` are flags of their own.
    """
    group = parser.add_argument_group("options of the classic iplog", "those without a value take =true, =yes, =false, =no or =toggle; (on): by default")
    for word in (*DIRECTIVES, *FLAGS, DAEMON):
        _add(group, word)
    group.add_argument("-k", "--kill", action="store_true", help="end the iplog that runs in the background")
    group.add_argument("-R", "--restart", action="store_true", help="let the iplog that runs in the background read its configuration again")


def _add(group: argparse._ActionsContainer, word: Flag | Directive) -> None:
    if isinstance(word, Directive):
        group.add_argument(*word.options, action=_Classic, dest="classic", default=[], metavar=word.metavar, help=word.help)
        return
    spellings = [f"{option}={value}" for option in word.options for value in _VALUES]
    action = group.add_argument(*word.options, *spellings, action=_Classic, dest="classic", default=[], nargs=0, help=word.help)
    action.option_strings = list(word.options)  # what --help shows; argparse looks the others up as they stand
