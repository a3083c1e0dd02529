"""What every command that runs or shows something needs: the configuration, the plugins, the rules."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from iplog_core.config import Config, load
from iplog_core.errors import ConfigError
from iplog_core.host import Host

if TYPE_CHECKING:
    from iplog_core.rules import Rules


def prepare(options: argparse.Namespace) -> tuple[Host, Rules | None]:
    """Load configuration, plugins and rules. Raise ConfigError with every fault of all three."""
    host = load_host(options)
    faults = list(host.faults)
    rules = None
    try:
        rules = _compile(host.config)
    except ConfigError as error:
        faults += error.faults
    if faults:
        raise ConfigError(*dict.fromkeys(faults))
    return host, rules


def load_host(options: argparse.Namespace) -> Host:
    """Load configuration and plugins; what is wrong stands in the host's `faults`."""
    config = load(
        options.config,
        enable=options.enable,
        disable=options.disable,
        assignments=options.set,
        rules=options.rule,
    )
    return Host.load(config)


def _compile(config: Config) -> Rules | None:
    lines = config.settings.rules
    if not lines:
        return None
    from iplog_core.rules import compile_rules

    try:
        return compile_rules(lines)
    except ConfigError:
        pass
    # Once more, those of each origin by themselves, so that each fault tells where its rule stands.
    faults: list[str] = []
    given = len(lines) - config.rules
    for where, some in ((config.origin.subject(("rules",)), lines[:given]), *(("--rule", [line]) for line in lines[given:])):
        try:
            compile_rules(some, where)
        except ConfigError as error:
            faults += [fault.replace("--rule[0]", "--rule", 1) for fault in error.faults]
    raise ConfigError(*faults)
