"""A classic configuration written as TOML, with the line that each setting comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from iplog_core.config import Config
from iplog_core.toml import dump_key, dump_value


def as_toml(config: Config, rules: Collection[int]) -> Iterator[str]:
    """Yield the lines of an iplog.toml that means what the classic file of `config` says; `rules` are the indices of the rules that can be compiled."""
    yield f"# What {config.file} says."
    yield from (f"# Left out: {line}" for line in (*config.skipped, *config.notes))
    settings = config.settings.model_dump(mode="json", exclude_unset=True, exclude={"rules"})
    tables = {name: value for name, value in settings.items() if isinstance(value, dict)}
    yield from (_assignment(config, (name,), value) for name, value in settings.items() if name not in tables)
    if rules:
        yield "rules = ["
        yield from (f"    {dump_value(config.settings.rules[index])},{_line(config, config.rules[index].subject)}" for index in rules)
        yield "]"
    for key, table in _flat(tables):
        yield f"\n[{'.'.join(map(dump_key, key))}]"
        yield from (_assignment(config, (*key, name), value) for name, value in table.items())


def _flat(tables: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield each table that holds settings, by its key."""
    for name, table in tables.items():
        if name == "plugins":
            yield from ((("plugins", plugin), settings) for plugin, settings in table.items() if settings)
        elif table:
            yield (name,), table


def _assignment(config: Config, key: tuple[str, ...], value: Any) -> str:
    return f"{dump_key(key[-1])} = {dump_value(value)}{_line(config, config.origin.of(key))}"


def _line(config: Config, origin: str) -> str:
    """The comment that tells which line says so; nothing where that is what every classic file implies."""
    _, _, line = origin.partition(f"{config.file}, ")
    return f"  # {line}" if line else ""
