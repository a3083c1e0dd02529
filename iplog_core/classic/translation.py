"""From the words of the classic program to the settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from iplog_core.classic.conf import lines, parse
from iplog_core.classic.effects import State
from iplog_core.classic.words import BY_OPTION, Directive, Flag
from iplog_core.layers import Layers
from iplog_core.origin import COMMAND_LINE, Place
from iplog_core.rule_grammar import parse_rule, quoted
from iplog_core.toml import is_text

_TRUTH = {"true": True, "yes": True, "false": False, "no": False}


class Translation:
    """The classic configuration on its way into `layers`.

    `skipped` has a line for each bad line of a file, `faults` for each bad value on the command line, `notes` for each word that a plugin is missing for.
    """

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._state = State(layers)
        self.notes = self._state.notes
        self.skipped: list[str] = []
        self.faults: list[str] = []

    def add_file(self, content: bytes, name: str) -> None:
        """Take in an iplog.conf; it logs each datagram, as the classic program did."""
        if self._state.is_installed("traffic"):
            self._layers.put(("plugins", "traffic", "udp"), "datagram", Place(name, name))
        given: dict[str, list[Any]] = {}
        for line in lines(content.decode("utf-8-sig", errors="surrogateescape")):
            place = Place(name, f"{name}, line {line.number}")
            try:
                statement = parse(line.text)
            except ValueError as error:
                shown = quoted(line.text, '"')
                self.skipped.append(f"{place.subject}: {shown}: {error}")
                continue
            match statement.word:
                case Flag() as flag:
                    flag.effect.turn(statement.value, self._state, place)
                case Directive() as directive:
                    directive.set(_added_up(directive, statement.value, given), self._state, place)
                case None:
                    self._layers.add_rule(statement.value, place)

    def add_options(self, options: Iterable[tuple[str, str]]) -> None:
        """Take in options of the command line with their values: true, yes, false, no or toggle for one that is on or off."""
        given: dict[str, list[Any]] = {}
        for option, text in options:
            place = Place(COMMAND_LINE, option)
            match BY_OPTION[option]:
                case Flag(effect=effect):
                    effect.turn(_TRUTH.get(text, not effect.is_on(self._state)), self._state, place)
                case Directive() as directive:
                    try:
                        value = directive.parse(text)
                        if not is_text(text):
                            raise ValueError("not UTF-8 text.")
                    except ValueError as error:
                        self.faults.append(f"{option}: {error}")
                    else:
                        directive.set(_added_up(directive, value, given), self._state, place)


def _added_up(directive: Directive, value: Any, given: dict[str, list[Any]]) -> Any:
    """Return a value; a list with those that were given in the same place before."""
    if isinstance(value, list):
        value = given[directive.keyword] = [*given.get(directive.keyword, []), *value]
    return value


def nothing_to_log(rules: Sequence[str], places: Sequence[Place]) -> str | None:
    """Return a fault where every protocol is off and no rule logs any of one; None else."""
    off: dict[str, Place] = {}
    for text, place in zip(rules, places, strict=True):
        try:
            rule = parse_rule(text)
        except ValueError:
            continue
        if rule.action == "log" and not rule.is_switch:
            return None
        if rule.is_switch and rule.action == "ignore":
            off[rule.proto] = place
        elif rule.is_switch:
            off.pop(rule.proto, None)
    if len(off) < 3:
        return None
    remedy = "leave one on, or add a rule such as 'log tcp dport 22'"
    return f"{list(off.values())[-1].subject}: tcp, udp and icmp are all off, so that nothing would be logged; {remedy}."
