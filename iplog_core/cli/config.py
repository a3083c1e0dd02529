"""`iplog config`: check the configuration, show it with where each setting comes from, and begin one."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from iplog_core.errors import EXIT_OK, ConfigError, did_you_mean
from iplog_core.origin import COMMAND_LINE, DEFAULT, Key
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
"""
_WIDTH = 100
_INTRODUCTION = """\
# Configuration of iplog (https://toml.io). What is commented out has its default.
# Environment variables such as IPLOG__PLUGINS__TCP_SCAN__PORTS=20 come before this file, the command line before both.
"""


def add_command(add: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add(
        "config",
        usage="iplog config check|show|schema|init [OPTIONS]",
        description="check: tell all that is wrong with the configuration. show: the settings in force as TOML, and where each comes from.\n"
        "schema: JSON Schema of the settings, plugins included. init: a commented file to begin with.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("words", metavar="check|show|schema|init", nargs="*", help="what to do")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    actions = {"check": _check, "show": _show, "schema": _schema, "init": _init}
    words = options.words
    if len(words) != 1 or words[0] not in actions:
        near = did_you_mean(words[0], actions) if words else ""
        subject = " ".join(["iplog config", *words])
        raise ConfigError(f"{subject}: expected one of {', '.join(actions)}.{near}")
    sys.stdout.writelines(f"{line}\n" for line in actions[words[0]](options))
    return EXIT_OK


def _check(options: argparse.Namespace) -> Iterator[str]:
    from iplog_core.cli.setup import prepare

    host, _ = prepare(options)
    names = ", ".join(host.settings.enable or ())
    yield f"{host.config.file or 'the defaults'}: all is right; enabled: {names or 'nothing'}."


def _show(options: argparse.Namespace) -> Iterator[str]:
    from iplog_core.cli.setup import prepare

    host, _ = prepare(options)
    yield from _in_force(host, host.settings, ())
    yield "\n[flows]"
    yield from _in_force(host, host.settings.flows, ("flows",))
    for name, settings in host.plugin_settings.items():
        yield f"\n[plugins.{dump_key(name)}]"
        yield from _in_force(host, settings, ("plugins", name))


def _in_force(host: Host, model: BaseModel, prefix: Key) -> Iterator[str]:
    """Write the settings of a table, the tables in it apart, each with where it comes from. Pydantic masks secrets."""
    origin, config = host.config.origin, host.config
    for name, value in model.model_dump(mode="json", exclude={"flows", "plugins"}).items():
        key = (*prefix, name)
        told = origin.of(key)
        if key == ("disable",):
            value = sorted({*value, *config.disable} - set(config.enable))
        if (key in (("enable",), ("disable",)) and (config.enable or config.disable)) or (key == ("rules",) and config.rules):
            told = COMMAND_LINE if told == DEFAULT else f"{told}, {COMMAND_LINE}"
        yield f"# {dump_key(name)} is not set" if value is None else _assignment(name, value, f"  # {told}")


def _assignment(name: str, value: Any, comment: str = "", mark: str = "") -> str:
    """Write `name = value`, an array that is too long for a line with a line for each item."""
    line = f"{mark}{dump_key(name)} = {dump_value(value)}{comment}"
    if len(line) <= _WIDTH or not isinstance(value, list):
        return line
    items = "".join(f"{mark}    {dump_value(item)},\n" for item in value)
    return f"{mark}{dump_key(name)} = [\n{items}{mark}]{comment}"


def _schema(options: argparse.Namespace) -> Iterator[str]:
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


def _init(options: argparse.Namespace) -> Iterator[str]:
    from iplog_core.catalogue import catalogue
    from iplog_core.config import load
    from iplog_core.host import Host
    from iplog_core.settings import FlowSettings, Settings

    host = Host.load(load(environ={}, default_file=None))
    yield _INTRODUCTION
    yield from _commented(Settings, {"enable": [owner.name for owner in host.installed if owner.runs_by_default]})
    yield f"[flows]\n# {Settings.model_fields['flows'].description}\n"
    yield from _commented(FlowSettings)
    for entry in catalogue(host):
        if entry.plugin is None:
            yield f"# {entry.name} has no table here, for it cannot be imported: iplog plugins tells why.\n"
        elif entry.plugin.model.model_fields:
            yield f"[plugins.{dump_key(entry.name)}]"
            yield from (f"# {line}" for line in textwrap.wrap(entry.summary, _WIDTH))
            yield ""
            yield from _commented(entry.plugin.model)


def _commented(model: type[BaseModel], values: dict[str, Any] | None = None) -> Iterator[str]:
    """Write the settings of a table, the tables in it apart, commented out, each below its meaning."""
    from iplog_core.describe import settings_of
    from iplog_core.settings import Settings

    for setting in settings_of(model):
        if (model, setting.name) in ((Settings, "flows"), (Settings, "plugins")):
            continue
        about = f"{setting.meaning} ({setting.type}{'; it must be set' if setting.required else ''})"
        yield from (f"# {line}" for line in textwrap.wrap(about, _WIDTH))
        if values and setting.name in values:
            yield _assignment(setting.name, values[setting.name], mark="#")
        else:
            yield f"#{dump_key(setting.name)} = {setting.default or ''}".rstrip()
        yield ""
