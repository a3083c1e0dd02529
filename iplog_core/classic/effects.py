"""What the words of the classic program do to the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any, Protocol

from iplog_core.classic.nameservers import name_servers
from iplog_core.layers import Layers
from iplog_core.origin import Place
from iplog_core.rule_grammar import parse_rule

_BUNDLED = ("syslog", "text", "traffic")


@dataclass
class State:
    """What the words act on: the settings, and what these cannot hold.

    `off` are the detectors that are off, `logfile` is the file that was named last, `notes` has a line for each word that a plugin is missing for.
    """

    layers: Layers
    off: set[str] = field(default_factory=set)
    logfile: str | None = None
    notes: list[str] = field(default_factory=list)

    def has(self, plugin: str, place: Place) -> bool:
        """Tell whether a plugin is installed; note it where it is not."""
        if self.is_installed(plugin):
            return True
        remedy = "; pip install 'iplog[all]' brings it" if plugin in _BUNDLED else ""
        self.notes.append(f"{place.subject}: the plugin {plugin} is not installed{remedy}.")
        return False

    def is_installed(self, plugin: str) -> bool:
        return plugin in self._installed

    def runs(self, plugin: str) -> bool:
        return plugin in self._enabled() and plugin not in self.list_of("disable")

    def run(self, plugin: str, place: Place) -> None:
        if plugin in self.list_of("disable"):
            self.put_list("disable", [other for other in self.list_of("disable") if other != plugin], place)
        if plugin not in self._enabled():
            self.put_list("enable", [*self._enabled(), plugin], place)

    def do_not_run(self, plugin: str, place: Place) -> None:
        if plugin in self._enabled():
            self.put_list("enable", [other for other in self._enabled() if other != plugin], place)

    def list_of(self, name: str) -> list[Any]:
        """Return a list of the top level; empty where it is not set, or is none."""
        value = self.layers.get(name)
        return value if isinstance(value, list) else []

    def put_list(self, name: str, value: list[Any], place: Place) -> None:
        """Set a list of the top level; where what is there is none, it stays, so that the fault is told."""
        if isinstance(self.layers.get(name), list | None):
            self.layers.put((name,), value, place)

    def _enabled(self) -> list[Any]:
        if self.layers.get("enable") is None:
            return [name for name, by_default in self._installed.items() if by_default]
        return self.list_of("enable")

    @cached_property
    def _installed(self) -> dict[str, bool]:
        """Names of the installed plugins, and whether they run by default."""
        from iplog_core.installed import installed

        return {plugin.name: plugin.runs_by_default for plugin in installed()}


class Effect(Protocol):
    """What a flag does."""

    def is_on(self, state: State) -> bool:
        """Tell whether the flag is in force, for `toggle`."""

    def turn(self, on: bool, state: State, place: Place) -> None:
        """Bring it into force, or out of it."""


@dataclass(frozen=True)
class Setting:
    """A setting of the core that is true or false; with `inverted`, the flag says the opposite."""

    key: tuple[str, ...]
    inverted: bool = False

    def is_on(self, state: State) -> bool:
        from iplog_core.settings import Settings

        value = state.layers.get(*self.key)
        return bool(attrgetter(".".join(self.key))(Settings()) if value is None else value) != self.inverted

    def turn(self, on: bool, state: State, place: Place) -> None:
        state.layers.put(self.key, on != self.inverted, place)


@dataclass(frozen=True)
class SettingOfPlugin:
    """A setting of a plugin that is true or false, and false by default."""

    plugin: str
    name: str

    def is_on(self, state: State) -> bool:
        return state.layers.get("plugins", self.plugin, self.name) is True

    def turn(self, on: bool, state: State, place: Place) -> None:
        if on != self.is_on(state) and state.has(self.plugin, place):
            state.layers.put(("plugins", self.plugin, self.name), on, place)


class LogDest:
    """Whether lines name destinations: left to itself, when interfaces are promiscuous."""

    def is_on(self, state: State) -> bool:
        value = state.layers.get("log_dest")
        return bool(state.layers.get("promisc") if value is None else value)

    def turn(self, on: bool, state: State, place: Place) -> None:
        state.layers.put(("log_dest",), on, place)


class NoNames:
    """Whether names of hosts are not looked up. Otherwise it is left to the command: when watching they are."""

    def is_on(self, state: State) -> bool:
        return state.layers.get("names", "resolve") is False

    def turn(self, on: bool, state: State, place: Place) -> None:
        if on:
            state.layers.put(("names", "resolve"), False, place)
        elif self.is_on(state):
            state.layers.drop("names", "resolve")


@dataclass(frozen=True)
class Switch:
    """A protocol, by the rule that turns it off or on."""

    proto: str

    def is_on(self, state: State) -> bool:
        switches = [text for text in state.list_of("rules") if self._is_switch(text)]
        return not switches or parse_rule(switches[-1]).action == "log"

    def turn(self, on: bool, state: State, place: Place) -> None:
        if on != self.is_on(state):
            state.layers.add_rule(f"{'log' if on else 'ignore'} {self.proto}", place)

    def _is_switch(self, text: Any) -> bool:
        try:
            rule = parse_rule(str(text))
        except ValueError:
            return False
        return rule.is_switch and rule.proto == self.proto


class AnswersOfNameServers:
    """Rules that ignore what the name servers of this host answer."""

    def is_on(self, state: State) -> bool:
        return set(_answers()) <= set(map(str, state.list_of("rules")))

    def turn(self, on: bool, state: State, place: Place) -> None:
        if not on:
            state.layers.remove_rules(_answers())
            return
        for rule in _answers():
            if rule not in state.list_of("rules"):
                state.layers.add_rule(rule, place)


def _answers() -> list[str]:
    return [f"ignore udp from {server} sport 53" for server in name_servers()]


@dataclass(frozen=True)
class Detector:
    """A detector of the classic program. While it is off, alerts of `kinds` are muted; where it has a partner, while both are."""

    name: str
    kinds: Sequence[str]
    partner: str | None = None

    def is_on(self, state: State) -> bool:
        return self.name not in state.off and not set(self.kinds) <= set(map(str, state.list_of("mute")))

    def turn(self, on: bool, state: State, place: Place) -> None:
        muted = state.list_of("mute")
        if on:
            state.off.discard(self.name)
            wanted = [kind for kind in muted if kind not in self.kinds]
        else:
            state.off.add(self.name)
            alone = self.partner is not None and self.partner not in state.off
            wanted = muted if alone else [*muted, *(kind for kind in self.kinds if kind not in muted)]
        if wanted != muted:
            state.put_list("mute", wanted, place)


@dataclass(frozen=True)
class Plugin:
    """A plugin that runs while the flag is on."""

    name: str

    def is_on(self, state: State) -> bool:
        return state.runs(self.name)

    def turn(self, on: bool, state: State, place: Place) -> None:
        if not on:
            state.do_not_run(self.name, place)
        elif state.has(self.name, place):
            state.run(self.name, place)


_PATH = ("plugins", "text", "path")


class StandardOutput:
    """Lines go to standard output; where that is turned off again, to the log file that was named before."""

    def is_on(self, state: State) -> bool:
        return state.runs("text") and state.layers.get(*_PATH) in (None, "-")

    def turn(self, on: bool, state: State, place: Place) -> None:
        if on and state.has("text", place):
            state.run("text", place)
            state.layers.put(_PATH, "-", place)
        elif not on and self.is_on(state):
            if state.logfile is not None:
                state.layers.put(_PATH, state.logfile, place)
            else:
                state.do_not_run("text", place)
                state.layers.drop(*_PATH)


def log_to_file(name: str, state: State, place: Place) -> None:
    if state.has("text", place):
        state.run("text", place)
        state.layers.put(_PATH, name, place)
        state.logfile = name


def set_of_syslog(name: str, value: str, state: State, place: Place) -> None:
    if state.has("syslog", place):
        state.layers.put(("plugins", "syslog", name), value, place)
