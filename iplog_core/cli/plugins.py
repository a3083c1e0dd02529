"""`iplog plugins`: what is installed, whether it runs, and why it does not; and a new one."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from iplog_core.cli import new
from iplog_core.errors import EXIT_OK, EXIT_PARTIAL, ConfigError, did_you_mean
from iplog_core.terminal import tell

if TYPE_CHECKING:
    from iplog_core.catalogue import Entry
    from iplog_core.describe import Setting

_EXAMPLES = """\
examples:
  iplog plugins
  iplog plugins show tcp_scan
  iplog plugins --json
  iplog plugins new ssh_failures                    a project of your own in iplog-plugin-ssh-failures
  iplog plugins new telnet_touched --single-file    a plugin that is one file
"""
_USAGE = "expected iplog plugins, iplog plugins show NAME, or iplog plugins new NAME"


def add_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add(
        "plugins",
        usage="iplog plugins [show NAME] [--json] [OPTIONS]\n       iplog plugins new NAME [--kind KIND] [--single-file] [--folder DIR]",
        description="List the plugins that are installed, or show the alerts and the settings of one; or write a new one, to begin with.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("words", metavar="show|new NAME", nargs="*", help="show a plugin: what it reports, and its settings; or write a new one")
    parser.add_argument("--json", action="store_true", help="write JSON")
    new.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.words[:1] == ["new"]:
        return new.run(options)
    name = _wanted(options)
    from iplog_core.catalogue import catalogue
    from iplog_core.cli.setup import load_host

    host = load_host(options)
    entries = catalogue(host)
    if name is not None:
        known = [entry.name for entry in entries]
        entries = [entry for entry in entries if entry.name == name]
        if not entries:
            there_are = f" Installed: {', '.join(known)}." if known else ""
            raise ConfigError(f"{name}: no plugin of that name is installed.{did_you_mean(name, known)}{there_are}")
    if options.json:
        described = [_as_json(entry) for entry in entries]
        print(json.dumps(described if name is None else described[0], indent=2))
    elif name is not None:
        print("\n\n".join("\n".join(_page(entry)) for entry in entries))
    else:
        sys.stdout.writelines(f"{line}\n" for line in _table(entries))
    failed = [fault for entry in entries for fault in entry.faults] if options.json else []
    tell(fault for fault in host.faults if fault not in failed)
    return EXIT_PARTIAL if host.faults and entries else EXIT_OK


def _wanted(options: argparse.Namespace) -> str | None:
    """Return the plugin to show; None: list all."""
    words = options.words
    if given := new.given(options):
        raise ConfigError(f"{given}: belongs to iplog plugins new NAME; {_USAGE}.")
    if not words:
        return None
    if words[0] != "show":
        raise ConfigError(f"{words[0]}: not known to iplog plugins; {_USAGE}.{did_you_mean(words[0], ['show', 'new'])}")
    if len(words) != 2:
        raise ConfigError(f"iplog plugins show: takes the name of one plugin; {_USAGE}.")
    shown: str = words[1]
    return shown


def _table(entries: Sequence[Entry]) -> Iterator[str]:
    rows = [("NAME", "STATUS", "FROM", "WHAT IT DOES")]
    rows += [(entry.name, entry.status, _origin(entry), entry.summary) for entry in entries]
    name, status, origin = (max(len(row[column]) for row in rows) for column in range(3))
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    faults = iter([(), *(entry.faults for entry in entries)])
    for row in rows if entries else ():
        yield f"{row[0]:{name}}  {row[1]:{status}}  {row[2]:{origin}}  {row[3]}"[:width].rstrip()
        yield from (f"  {fault}" for fault in next(faults))


def _page(entry: Entry) -> Iterator[str]:
    from iplog_core.describe import settings_of
    from iplog_core.settings import named_tables

    yield f"{entry.owner if entry.name in str(entry.owner) else f'{entry.name} ({entry.owner})'}: {entry.status}"
    yield from entry.faults
    if entry.plugin is None:
        return
    yield entry.summary
    yield f"Written for plugin API {entry.api}."
    if kinds := _kinds(entry):
        yield "\nAlerts"
        width = max(len(kind["kind"]) for kind in kinds)
        yield from (f"  {kind['kind']:{width}}  {kind['severity']:6}  {kind['signature']}" for kind in kinds)
    if asked := _questions(entry):
        yield f"\nAsked of each alert\n  {', '.join(asked)}"
    if output := getattr(entry.plugin.cls, "format", None):
        yield f"\nFormat\n  --format {output}"
    settings = list(settings_of(entry.plugin.model))
    yield f"\nSettings, in [plugins.{entry.name}]" if settings else "\nIt has no settings."
    yield from _described(settings)
    if table := named_tables(entry.plugin.model):
        yield f"\nSettings, in each [plugins.{entry.name}.NAME]"
        yield from _described(settings_of(table))


def _described(settings: Iterable[Setting]) -> Iterator[str]:
    for setting in settings:
        default = "must be set" if setting.required else f"default {setting.default}" if setting.default else "not set"
        yield f"  {setting.name}: {setting.type}; {default}"
        if setting.meaning:
            yield f"      {setting.meaning}"


def _as_json(entry: Entry) -> dict[str, Any]:
    from iplog_core.describe import settings_of
    from iplog_core.settings import named_tables
    from iplog_core.single import SingleFile

    plugin = entry.plugin
    tables = named_tables(plugin.model) if plugin else None
    return {
        "name": entry.name,
        "status": entry.status,
        "enabled": entry.enabled,
        "distribution": getattr(entry.owner, "distribution", None),
        "version": getattr(entry.owner, "version", None),
        "file": str(entry.owner.path) if isinstance(entry.owner, SingleFile) else None,
        "api": entry.api,
        "faults": list(entry.faults),
        "summary": entry.summary,
        "alerts": _kinds(entry),
        "policy": _questions(entry),
        "format": getattr(plugin.cls, "format", None) if plugin else None,
        "settings": [vars(setting) for setting in settings_of(plugin.model)] if plugin else [],
        "table_settings": [vars(setting) for setting in settings_of(tables)] if tables else [],
    }


def _kinds(entry: Entry) -> list[dict[str, str]]:
    return [{"kind": name, "severity": kind.severity, "signature": kind.signature} for name, kind in entry.kinds.items()]


def _questions(entry: Entry) -> list[str]:
    from iplog_core.policy import Policy, questions

    cls = entry.plugin.cls if entry.plugin else None
    return questions(cls) if cls is not None and issubclass(cls, Policy) else []


def _origin(entry: Entry) -> str:
    from iplog_core.installed import Installed

    return f"{entry.owner.distribution} {entry.owner.version}" if isinstance(entry.owner, Installed) else str(entry.owner)
