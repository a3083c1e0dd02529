"""The configuration in force: the command line, over the environment, over a file, over the defaults."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from iplog_core.errors import ConfigError, did_you_mean
from iplog_core.layers import Layers, merged
from iplog_core.origin import COMMAND_LINE, ENVIRONMENT, PREFIX, Origins, Place
from iplog_core.settings import Settings
from iplog_core.toml import dump_key, is_text, parse_value, read_document
from iplog_core.validation import Faults, validate

if TYPE_CHECKING:
    from iplog_core.classic.translation import Translation

T = TypeVar("T")

CLASSIC_FILE = Path("/etc/iplog.conf")
DEFAULT_FILES = (Path("/etc/iplog/iplog.toml"), CLASSIC_FILE)

_KEY = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"
_LISTS = ("enable", "disable", "interfaces", "promisc", "rules", "trusted_scanners", "mute", "plugin_paths")


class Config(NamedTuple):
    """The settings in force and where each came from.

    `enable` and `disable` are the names that the command line adds and takes away, `rules` the place of each of `settings.rules`. `faults` has a line for
    each thing that is wrong; its setting then has its default, so that whatever else is wrong can be told too.

    Of a classic configuration, `skipped` has a line for each bad line of the file, which is left out and keeps nothing else from running (those of rules
    whose hosts cannot be looked up come when the rules are compiled), and `notes` one for each plugin that it asks for and that is not installed.
    """

    settings: Settings
    origin: Origins
    file: Path | None
    enable: tuple[str, ...]
    disable: tuple[str, ...]
    rules: tuple[Place, ...]
    faults: tuple[str, ...]
    skipped: list[str]
    notes: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """What file names in the configuration file are relative to."""
        return self.file.parent if self.file else Path()

    def may_skip(self, place: Place) -> bool:
        """Tell whether what is wrong there is skipped: it stands in a classic file."""
        return self.file is not None and _is_classic(self.file) and place.source == str(self.file)


def load(
    file: str | None = None,
    *,
    enable: Iterable[str] = (),
    disable: Iterable[str] = (),
    assignments: Iterable[str] = (),
    classic: Sequence[tuple[str, str]] = (),
    rules: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    default_files: Iterable[Path] = DEFAULT_FILES,
) -> Config:
    """Merge and validate the configuration.

    `file` is that of `--config`; without one the first of `default_files` that exists is read. `assignments` are the KEY=VALUE of `--set`, `classic` the
    options of the classic program with their values, `rules` those of `--rule`. Raise ConfigError where the file cannot be read or is no TOML: nothing
    else can be told then. Any other fault is in `Config.faults`.
    """
    path = _find(file, default_files)
    faults: list[str] = []
    layers = Layers()
    translation: Translation | None = None
    if classic or (path is not None and _is_classic(path)):
        # Imported for those who need it: the grammar of the classic program is a tenth of what a start takes.
        from iplog_core.classic.translation import Translation, nothing_to_log

        translation = Translation(layers)
    if translation and path is not None and _is_classic(path):
        translation.add_file(_read(path, Path.read_bytes), str(path))
    elif path is not None:
        layers.add(_read(path, read_document), str(path))
    layers.add(_from_environment(os.environ if environ is None else environ, faults), ENVIRONMENT)
    layers.add(_from_assignments(assignments, faults), COMMAND_LINE)
    if translation:
        translation.add_options(classic)
        faults += translation.faults
    settings = _validated(layers.table, layers.origin, path, faults)
    places = layers.rules if len(settings.rules) == len(layers.rules) else []  # not where the array has a fault
    settings = settings.model_copy(update={"rules": [*settings.rules, *rules]})
    places = [*places, *(Place(COMMAND_LINE, "--rule") for _ in rules)]
    if translation and (fault := nothing_to_log(settings.rules, places)):
        faults.append(fault)
    return Config(
        settings=settings,
        origin=layers.origin,
        file=path,
        enable=_names(enable),
        disable=_names(disable),
        rules=tuple(places),
        faults=tuple(faults),
        skipped=translation.skipped if translation else [],
        notes=tuple(translation.notes) if translation else (),
    )


def _find(file: str | None, defaults: Iterable[Path]) -> Path | None:
    if file is None:
        return next(filter(_may_exist, defaults), None)
    path = Path(file)
    if path.suffix not in (".toml", CLASSIC_FILE.suffix):
        raise ConfigError(f"{file}: not the name of a configuration file; expected one that ends in .toml, or in .conf for the classic form.")
    return path


def _may_exist(path: Path) -> bool:
    """Whether a file is there, or is hidden by a folder that may not be entered, which reading it will tell."""
    try:
        return path.exists()
    except PermissionError:
        return True


def _is_classic(path: Path) -> bool:
    return path.suffix == CLASSIC_FILE.suffix


def _read(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except FileNotFoundError:
        remedy = "" if _is_classic(path) else "; iplog config init writes one to standard output"
        raise ConfigError(f"{path}: no such file{remedy}.") from None
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
        if not all(keys) or not is_text(name):
            faults.append(f"{name}: no setting's name; expected one such as IPLOG__ENABLE or IPLOG__PLUGINS__TCP_SCAN__PORTS.")
        elif not is_text(environ[name]):
            faults.append(f"{name}: not UTF-8 text.")
        else:
            table = merged(table, _nested(keys, environ[name]))
    return table


def _from_assignments(assignments: Iterable[str], faults: list[str]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        key = key.strip()
        if not equals or not re.fullmatch(_KEY, key) or not is_text(value):
            faults.append(f"--set {key}: no assignment; expected KEY=VALUE, such as plugins.tcp_scan.ports=20.")
        else:
            table = merged(table, _nested(key.split("."), value))
    return table


def _nested(keys: list[str], text: str) -> dict[str, Any]:
    value = parse_value(text.strip())
    if len(keys) == 1 and keys[0] in _LISTS and isinstance(value, str):
        value = list(_names([value]))
    for key in reversed(keys):
        value = {key: value}
    table: dict[str, Any] = value
    return table


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

    near = did_you_mean(key, ("flows", "capture", "names", "plugins"), spelled) or f" A plugin's settings stand in [plugins.{dump_key(key)}]."
    subject = origin.subject((key,)).removesuffix(f", {key}")
    return f"{subject}: no such table.{near}" if origin.of((key,)) in (ENVIRONMENT, COMMAND_LINE) else f"{subject}: [{key}]: no such table.{near}"


def _names(lists: Iterable[str]) -> tuple[str, ...]:
    """Split comma lists into names."""
    return tuple(name for text in lists for name in (part.strip() for part in text.split(",")) if name)
