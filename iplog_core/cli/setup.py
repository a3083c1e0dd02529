"""What every command that runs or shows something needs: the configuration, the plugins, the rules."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from iplog_core.config import Config, load
from iplog_core.errors import ConfigError
from iplog_core.host import Host
from iplog_core.origin import COMMAND_LINE, ENVIRONMENT

if TYPE_CHECKING:
    from iplog_core.allow import AllowLists
    from iplog_core.process.privileges import Identity
    from iplog_core.rules import CompiledRule, Rules, Scope
    from iplog_core.state import StateFile


def prepare(options: argparse.Namespace) -> tuple[Host, Rules | None, AllowLists | None]:
    """Load configuration, plugins, rules and allow-lists. Raise ConfigError with every fault of all of them.

    What was wrong in a classic file and left out stands in the `config.skipped` of the host.
    """
    host = load_host(options)
    faults = list(host.faults)
    rules = compiled_rules(host.config, faults)
    allow = allow_lists(host, faults)
    if faults:
        raise ConfigError(*dict.fromkeys(faults))
    if not rules:
        return host, None, allow
    from iplog_core.rules import Rules

    return host, Rules(rule for _, rule in rules), allow


def load_host(options: argparse.Namespace) -> Host:
    """Load configuration and plugins; what is wrong stands in the host's `faults`."""
    return Host.load(load_config(options))


def load_config(options: argparse.Namespace) -> Config:
    """Load the configuration alone."""
    return load(
        options.config,
        enable=options.enable,
        disable=options.disable,
        assignments=options.set,
        classic=getattr(options, "classic", ()),  # the options of watching
        rules=options.rule,
    )


def compiled_rules(config: Config, faults: list[str]) -> list[tuple[int, CompiledRule]]:
    """Compile the rules; return each with its index in the settings.

    What is wrong with one goes to `faults`; where it stands in a classic file, as a host name that cannot be looked up may, to `config.skipped`.
    """
    if not config.settings.rules:
        return []
    from iplog_core.rule_grammar import quoted
    from iplog_core.rules import compile_each

    compiled: list[tuple[int, CompiledRule]] = []
    texts = config.settings.rules
    for index, (text, place, rule) in enumerate(zip(texts, config.rules, compile_each(texts), strict=True)):
        if isinstance(rule, ValueError):
            shown = quoted(text.strip(), '"')
            (config.skipped if config.may_skip(place) else faults).append(f"{place.subject}: {shown}: {rule}")
        else:
            compiled.append((index, rule))
    return compiled


def allow_lists(host: Host, faults: list[str]) -> AllowLists | None:
    """Compile what detectors do not look at; None where that is nothing. What is wrong goes to `faults`."""
    trusted = host.settings.trusted_scanners
    lists = {cls.name: settings.allow for cls, settings in host.detectors if settings.allow}
    if not trusted and not lists:
        return None
    from iplog_core.allow import compile_allow_lists

    try:
        return compile_allow_lists(trusted, lists, host.config.origin.subject)
    except ConfigError as error:
        faults += error.faults
        return None


def state_file(host: Host, options: argparse.Namespace, note: Callable[[str], None]) -> StateFile | None:
    """Return the file of `--state`, or of the setting; None where there is neither. Raise ConfigError where it can be no file."""
    path = state_path(host, options.state)
    if path is None:
        return None
    from iplog_core.state import StateFile

    return StateFile(path, note)


def state_path(host: Host, option: str | None = None) -> Path | None:
    """Return where the state is: what the option says, else the setting. One that the configuration file names is relative to its folder.

    Raise ConfigError where there can be no file.
    """
    origin = host.config.origin
    if option is not None:
        subject, shown, path = "--state", option, Path(option)
    elif host.settings.state is not None:
        given = origin.of(("state",)) in (COMMAND_LINE, ENVIRONMENT)
        subject, shown = origin.subject(("state",)), str(host.settings.state)
        path = (Path() if given else host.config.folder) / host.settings.state.expanduser()
    else:
        return None
    from iplog_core.rule_grammar import quoted

    named = f"{subject}: {quoted(shown)}"
    try:
        if not shown or "\0" in shown or os.path.isdir(path):
            what = "a folder" if shown and "\0" not in shown else "no name"
            raise ConfigError(f"{named} is {what}; expected the name of a file, such as week.state.")
        os.stat(path.parent)
    except FileNotFoundError:
        raise ConfigError(f"{named}: its folder {path.parent} does not exist; expected the name of a file in one that does.") from None
    except OSError:
        pass  # whoever iplog becomes may see more; it is told when it is opened
    return path


def identity(host: Host) -> Identity | None:
    """Find whom to become; None where nobody is set. Raise ConfigError with the place of each name that is unknown."""
    from iplog_core.process.privileges import find

    settings, origin = host.settings, host.config.origin
    return find(settings.user, settings.group, lambda name: origin.subject((name,)))


def scope(host: Host) -> Scope | None:
    """Compile what `promisc` says; None where it is not set, or hides nothing. Raise ConfigError with the place of each network that is wrong."""
    networks, origin = host.settings.promisc, host.config.origin
    if not networks:
        return None
    from iplog_core.capture.interfaces import own_addresses
    from iplog_core.rules import compile_scope

    return compile_scope(networks, own_addresses(), lambda index: origin.subject(("promisc", index)))
