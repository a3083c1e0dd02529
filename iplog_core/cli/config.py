"""`iplog config`: check the configuration, show it with where each setting comes from, and begin one."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from iplog_core.errors import EXIT_OK, EXIT_PARTIAL, ConfigError, did_you_mean
from iplog_core.origin import COMMAND_LINE, DEFAULT, Key
from iplog_core.terminal import tell
from iplog_core.toml import dump_key, dump_value

if TYPE_CHECKING:
    from pydantic import BaseModel

    from iplog_core.host import Host

_EXAMPLES = """\
examples:
  iplog config init > iplog.toml             a file with every setting, commented out
  iplog config check --config iplog.toml     all that is wrong, at once
  iplog config show --set plugins.tcp_scan.ports=20
  iplog config schema > iplog.schema.json    JSON Schema, for an editor
  iplog config convert /etc/iplog.conf       a classic configuration as TOML
"""
_WIDTH = 100
_INTRODUCTION = """\
# Configuration of iplog (https://toml.io). What is commented out has its default.
# Environment variables such as IPLOG__PLUGINS__TCP_SCAN__PORTS=20 come before this file, the command line before both.
"""
_TABLES = ("flows", "capture", "names")


def add_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add(
        "config",
        usage="iplog config check|show|schema|init|convert [OPTIONS]",
        description="check: tell all that is wrong with the configuration. show: the settings in force as TOML, and where each comes from.\n"
        "schema: JSON Schema of the settings, plugins included. init: a commented file to begin with.\n"
        "convert [FILE]: what a classic iplog.conf says, as TOML; FILE is that of --config, else /etc/iplog.conf.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("words", metavar="check|show|schema|init|convert", nargs="*", help="what to do")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    actions = {"check": _check, "show": _show, "schema": _schema, "init": _init, "convert": _convert}
    first, *rest = options.words or [""]
    if first not in actions or (rest and first != "convert") or len(rest) > 1:
        near = did_you_mean(first, actions) if first not in ("", *actions) else ""
        subject = " ".join(["iplog config", *options.words])
        raise ConfigError(f"{subject}: expected one of {', '.join(actions)}.{near}")
    left_out: list[str] = []
    sys.stdout.writelines(f"{line}\n" for line in actions[first](options, left_out))
    tell(left_out)
    return EXIT_PARTIAL if left_out else EXIT_OK


def _check(options: argparse.Namespace, left_out: list[str]) -> Iterator[str]:
    from iplog_core.cli.setup import identity, scope, state_path

    host, _ = _prepared(options, left_out, identity, scope, state_path)
    names = ", ".join(host.settings.enable or ())
    right = "the rest is right" if left_out else "all is right"
    yield f"{host.config.file or 'the defaults'}: {right}; enabled: {names or 'nothing'}."


def _show(options: argparse.Namespace, left_out: list[str]) -> Iterator[str]:
    host, rules = _prepared(options, left_out)
    yield from _in_force(host, host.settings, (), rules)
    for table in _TABLES:
        yield f"\n[{table}]"
        yield from _in_force(host, getattr(host.settings, table), (table,))
    for name, settings in host.plugin_settings.items():
        yield f"\n[plugins.{dump_key(name)}]"
        yield from _in_force(host, settings, ("plugins", name))
        for table, inner in (settings.model_extra or {}).items():
            yield f"\n[plugins.{dump_key(name)}.{dump_key(table)}]"
            yield from _in_force(host, inner, ("plugins", name, table))


def _prepared(options: argparse.Namespace, left_out: list[str], *find: Callable[[Host], object]) -> tuple[Host, list[int]]:
    """Load all, and let `find` look for more faults; return the indices of the rules in force, too.

    What a classic file loses goes to `left_out`, what it asks for in vain is told.
    """
    from iplog_core.cli.setup import allow_lists, compiled_rules, load_host

    host = load_host(options)
    faults = list(host.faults)
    rules = [index for index, _ in compiled_rules(host.config, faults)]
    allow_lists(host, faults)
    for part in find:
        try:
            part(host)
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(*dict.fromkeys([*host.config.skipped, *faults]))
    tell(host.notes)
    left_out += host.config.skipped
    return host, rules


def _in_force(host: Host, model: BaseModel, prefix: Key, rules: Sequence[int] = ()) -> Iterator[str]:
    """Write the settings of a table, the tables in it apart, each with where it comes from; of the rules, those in force. Pydantic masks secrets."""
    origin, config = host.config.origin, host.config
    for name, value in model.model_dump(mode="json", exclude={*_TABLES, "plugins"} if not prefix else {*(model.model_extra or ())}).items():
        key = (*prefix, name)
        told = origin.of(key)
        if key == ("disable",):
            value = sorted({*value, *config.disable} - set(config.enable))
        if key in (("enable",), ("disable",)) and (config.enable or config.disable):
            told = COMMAND_LINE if told == DEFAULT else f"{told}, {COMMAND_LINE}"
        elif key == ("rules",) and config.rules:
            value = [value[index] for index in rules]
            told = ", ".join(dict.fromkeys(config.rules[index].source for index in rules)) or told
        yield f"# {dump_key(name)} is not set" if value is None else _assignment(name, value, f"  # {told}")


def _assignment(name: str, value: Any, comment: str = "", mark: str = "") -> str:
    """Write `name = value`, an array that is too long for a line with a line for each item."""
    line = f"{mark}{dump_key(name)} = {dump_value(value)}{comment}"
    if len(line) <= _WIDTH or not isinstance(value, list):
        return line
    items = "".join(f"{mark}    {dump_value(item)},\n" for item in value)
    return f"{mark}{dump_key(name)} = [\n{items}{mark}]{comment}"


def _convert(options: argparse.Namespace, left_out: list[str]) -> Iterator[str]:
    from iplog_core.cli.convert import as_toml
    from iplog_core.cli.setup import compiled_rules
    from iplog_core.config import CLASSIC_FILE, load

    _, *named = options.words
    name = named[0] if named else options.config or str(CLASSIC_FILE)
    if not name.endswith(CLASSIC_FILE.suffix):
        raise ConfigError(f"{name}: not the name of a classic configuration; expected one that ends in {CLASSIC_FILE.suffix}.")
    config = load(name, environ={})
    faults = list(config.faults)
    rules = [index for index, _ in compiled_rules(config, faults)]
    if faults:
        raise ConfigError(*faults)
    tell(config.notes)
    left_out += config.skipped
    yield from as_toml(config, rules)


def _schema(options: argparse.Namespace, left_out: list[str]) -> Iterator[str]:
    from pydantic.json_schema import models_json_schema

    from iplog_core.catalogue import catalogue
    from iplog_core.cli.setup import load_host
    from iplog_core.settings import Settings

    plugins = {entry.name: entry.plugin.model for entry in catalogue(load_host(options)) if entry.plugin}
    models: list[type[BaseModel]] = [Settings, *plugins.values()]
    references, definitions = models_json_schema([(model, "validation") for model in dict.fromkeys(models)])
    tables: dict[str, Any] = definitions["$defs"]
    core = tables.pop(references[Settings, "validation"]["$ref"].rpartition("/")[2])
    core["properties"]["plugins"] = {
        "type": "object",
        "description": core["properties"]["plugins"]["description"],
        "properties": {name: references[model, "validation"] for name, model in plugins.items()},
    }
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **core, "title": "iplog.toml", "$defs": tables}
    yield json.dumps(_with_secret_tables(schema), indent=2)


def _with_secret_tables(schema: Any) -> Any:
    """Let a secret be a table that tells where it is."""
    if isinstance(schema, list):
        return [_with_secret_tables(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "string" and schema.get("format") == "password":
        tables = [{"type": "object", "properties": {key: {"type": "string"}}, "required": [key]} for key in ("env", "file")]
        described = {key: schema[key] for key in ("title", "description") if key in schema}
        return {**described, "anyOf": [{"type": "string"}, *({**table, "additionalProperties": False} for table in tables)]}
    return {key: _with_secret_tables(part) for key, part in schema.items()}


def _init(options: argparse.Namespace, left_out: list[str]) -> Iterator[str]:
    from iplog_core.catalogue import catalogue
    from iplog_core.config import load
    from iplog_core.host import Host
    from iplog_core.settings import Settings, named_tables

    host = Host.load(load(environ={}, default_files=()))
    yield _INTRODUCTION
    yield from _commented(Settings, {"enable": [owner.name for owner in host.installed if owner.runs_by_default]})
    for table in _TABLES:
        yield f"[{table}]\n# {Settings.model_fields[table].description}\n"
        yield from _commented(type(getattr(host.settings, table)))
    for entry in catalogue(host):
        if entry.plugin is None:
            yield f"# {entry.name} has no table here, for it cannot be imported: iplog plugins tells why.\n"
        elif entry.plugin.model.model_fields:
            yield f"[plugins.{dump_key(entry.name)}]"
            yield from (f"# {line}" for line in textwrap.wrap(entry.summary, _WIDTH))
            yield ""
            yield from _commented(entry.plugin.model)
            if inner := named_tables(entry.plugin.model):
                yield f"#[plugins.{dump_key(entry.name)}.NAME]"
                yield ""
                yield from _commented(inner)


def _commented(model: type[BaseModel], values: dict[str, Any] | None = None) -> Iterator[str]:
    """Write the settings of a table, the tables in it apart, commented out, each below its meaning."""
    from iplog_core.describe import settings_of
    from iplog_core.settings import Settings

    for setting in settings_of(model):
        if model is Settings and setting.name in (*_TABLES, "plugins"):
            continue
        about = f"{setting.meaning} ({setting.type}{'; it must be set' if setting.required else ''})"
        yield from (f"# {line}" for line in textwrap.wrap(about, _WIDTH))
        if values and setting.name in values:
            yield _assignment(setting.name, values[setting.name], mark="#")
        else:
            yield f"#{dump_key(setting.name)} = {setting.default or ''}".rstrip()
        yield ""
