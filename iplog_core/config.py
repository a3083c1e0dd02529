"""The configuration in force: the command line, over the environment, over a file, over the defaults."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iplog_core.errors import ConfigError, did_you_mean
from iplog_core.origin import COMMAND_LINE, ENVIRONMENT, PREFIX, Origins
from iplog_core.settings import Settings
from iplog_core.toml import dump_key, parse_value, read_document
from iplog_core.validation import Faults, validate

DEFAULT_FILE = Path("/etc/iplog/iplog.toml")

_KEY = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_LISTS = ("enable", "disable", "interfaces", "rules", "plugin_paths")


@dataclass(frozen=True)
class Config:
    """The settings in force and where each came from.

    `enable` and `disable` are the names that the command line adds and takes away, `rules` the number of rules at the end of `settings.rules` that
    it adds. `faults` has a line for each thing that is wrong; its setting then has its default, so that whatever else is wrong can be told too.
    """

    settings: Settings
    origin: Origins
    file: Path | None
    enable: tuple[str, ...]
    disable: tuple[str, ...]
    rules: int
    faults: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """What file names in the configuration file are relative to."""
        return self.file.parent if self.file else Path()


def load(
    file: str | None = None,
    *,
    enable: Iterable[str] = (),
    disable: Iterable[str] = (),
    assignments: Iterable[str] = (),
    rules: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    default_file: Path | None = DEFAULT_FILE,
) -> Config:
    """Merge and validate the configuration.

    `file` is that of `--config`; without one `default_file` is read where it exists. `assignments` are the KEY=VALUE of `--set`, `rules` those of `--rule`.
    Raise ConfigError where the file cannot be read or is no TOML: nothing else can be told then. Any other fault is in `Config.faults`.
    """
    path = _find(file, default_file)
    faults: list[str] = []
    layers = [
        (str(path), _read(path) if path else {}),
        (ENVIRONMENT, _from_environment(os.environ if environ is None else environ, faults)),
        (COMMAND_LINE, _from_assignments(assignments, faults)),
    ]
    origin = Origins()
    table: dict[str, Any] = {}
    for name, layer in layers:
        origin.add(layer, name)
        table = _merged(table, layer)
    settings = _validated(table, origin, path, faults)
    return Config(
        settings=settings.model_copy(update={"rules": [*settings.rules, *rules]}),
        origin=origin,
        file=path,
        enable=_names(enable),
        disable=_names(disable),
        rules=len(rules),
        faults=tuple(faults),
    )


def _find(file: str | None, default: Path | None) -> Path | None:
    if file is None:
        return default if default and _may_exist(default) else None
    path = Path(file)
    if path.suffix == ".conf":
        raise ConfigError(f"{file}: the classic iplog.conf is not read by this version; write an iplog.toml (iplog config init shows one).")
    if path.suffix != ".toml":
        raise ConfigError(f"{file}: not the name of a configuration file; expected one that ends in .toml.")
    return path


def _may_exist(path: Path) -> bool:
    """Whether a file is there, or is hidden by a folder that may not be entered, which reading it will tell."""
    try:
        return path.exists()
    except PermissionError:
        return True


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_document(path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; iplog config init writes one to standard output.") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: a folder; expected a configuration file.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigError(f"{path}{error}") from None


def _from_environment(environ: Mapping[str, str], faults: list[str]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        keys = name.removeprefix(PREFIX).lower().split("__")
        if not all(keys) or not _is_text(name):
            faults.append(f"{name}: no setting's name; expected one such as IPLOG__ENABLE or IPLOG__PLUGINS__TCP_SCAN__PORTS.")
        elif not _is_text(environ[name]):
            faults.append(f"{name}: not UTF-8 text.")
        else:
            table = _merged(table, _nested(keys, environ[name]))
    return table


def _from_assignments(assignments: Iterable[str], faults: list[str]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        key = key.strip()
        if not equals or not _KEY.fullmatch(key) or not _is_text(value):
            faults.append(f"--set {key}: no assignment; expected KEY=VALUE, such as plugins.tcp_scan.ports=20.")
        else:
            table = _merged(table, _nested(key.split("."), value))
    return table


def _nested(keys: list[str], text: str) -> dict[str, Any]:
    value = parse_value(text.strip())
    if len(keys) == 1 and keys[0] in _LISTS and isinstance(value, str):
        value = list(_names([value]))
    for key in reversed(keys):
        value = {key: value}
    table: dict[str, Any] = value
    return table


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        older = merged.get(key)
        merged[key] = _merged(older, value) if isinstance(older, dict) and isinstance(value, dict) else value
    return merged


def _validated(table: dict[str, Any], origin: Origins, path: Path | None, faults: list[str]) -> Settings:
    """Validate the core's own settings; each key with a fault is left out and has its default."""
    folder = path.parent if path else None
    strays = [key for key, value in table.items() if isinstance(value, dict) and key not in Settings.model_fields]
    faults.extend(_stray_table(key, origin) for key in strays)
    table = {key: value for key, value in table.items() if key not in strays}
    try:
        return validate(Settings, table, origin, folder=folder)
    except Faults as found:
        faults.extend(found.lines)
        right = {key: value for key, value in table.items() if key not in found.keys} if found.keys else {}
        return validate(Settings, right, origin, folder=folder)


def _stray_table(key: str, origin: Origins) -> str:
    def spelled(name: str) -> str:
        variable = origin.spelled((name,), like=(key,))
        return variable if variable != name else f"[{name}]"

    near = did_you_mean(key, ("flows", "plugins"), spelled) or f" A plugin's settings stand in [plugins.{dump_key(key)}]."
    subject = origin.subject((key,)).removesuffix(f", {key}")
    return f"{subject}: no such table.{near}" if origin.of((key,)) in (ENVIRONMENT, COMMAND_LINE) else f"{subject}: [{key}]: no such table.{near}"


def _names(lists: Iterable[str]) -> tuple[str, ...]:
    """Split comma lists into names."""
    return tuple(name for text in lists for name in (part.strip() for part in text.split(",")) if name)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
