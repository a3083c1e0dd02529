"""The plugin host: what is enabled, in which order, with which settings."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iplog_core.annotations import arms, texts_in
from iplog_core.authors import reason
from iplog_core.batch import Kind
from iplog_core.config import Config
from iplog_core.detector import Detector
from iplog_core.errors import CaptureError, ConfigError, PluginError, did_you_mean
from iplog_core.hookspec import HookManager
from iplog_core.installed import Installed, installed
from iplog_core.loader import Plugin, are_kinds, load_plugin
from iplog_core.origin import COMMAND_LINE, ENVIRONMENT, Key
from iplog_core.policy import Policy
from iplog_core.settings import IS_KIND, DetectorSettings, PluginSettings, PolicySettings, Settings, SinkSettings
from iplog_core.single import SingleFile
from iplog_core.sink import Sink
from iplog_core.validation import Faults, validate

if TYPE_CHECKING:
    from iplog_core.capture.source import Source

NOWHERE_TO_WRITE = (
    "nowhere to write to: standard output is no terminal, no sink is enabled, and none for the system log is installed; "
    "name a file with --logfile, or pip install iplog-plugin-syslog."
)
NOTHING_INSTALLED = "no plugin is installed; pip install 'iplog[all]' installs those that come with iplog."


class Host:
    """The enabled plugins.

    `detectors`, `sinks` and `policies` are the classes to run with their settings, in configured order; `hook` calls all plugins, the
    one enabled first first; `settings` are those of the core, with the names in force in `enable`; `files` are the plugins
    of `plugin_paths`, by name; `known` are those that run, by name. `faults` has a line for each thing that is wrong with the configuration or with an enabled
    plugin: where there is any, nothing may be run. `notes` has a line for each thing that its user should know of.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.settings: Settings = config.settings
        self.installed = installed()
        self.files: dict[str, Plugin] = {}
        self.plugins: dict[str, Plugin] = {}
        self._chosen: dict[str, Plugin] = {}
        self.plugin_settings: dict[str, PluginSettings] = {}
        self.faults = list(config.faults)
        self.notes = list(config.notes)
        self._manager = HookManager()

    @classmethod
    def load(cls, config: Config) -> Host:
        """Import the enabled plugins, no other, and validate their settings."""
        host = cls(config)
        host.files = host._load_files()
        if not host.installed and not config.settings.plugin_paths:
            host.faults.append(NOTHING_INSTALLED)
            return host
        names = host._enabled()
        host.settings = config.settings.model_copy(update={"enable": names})
        for name in names:
            host._load(name)
        host._register()
        host.faults.extend(host._unknown_tables())
        for plugin in host.plugins.values():
            host._validate(plugin)
        if not host.faults:
            host.faults.extend(host._found_by_plugins())
            host.notes.extend(host._undeclared_kinds())
        return host

    @property
    def hook(self) -> Any:
        return self._manager.hook

    @property
    def detectors(self) -> list[tuple[type[Detector[Any]], DetectorSettings]]:
        return list(self._of_kind(Detector))

    @property
    def sinks(self) -> list[tuple[type[Sink[Any]], SinkSettings]]:
        return list(self._of_kind(Sink))

    @property
    def policies(self) -> list[tuple[type[Policy[Any]], PolicySettings]]:
        return list(self._of_kind(Policy))

    @property
    def known(self) -> dict[str, Plugin]:
        """The enabled plugins, and the sinks that were chosen beside them."""
        return {**self._chosen, **self.plugins}

    @property
    def places(self) -> dict[Any, int]:
        """The place of each plugin, by its name and by its module, among those that are enabled."""
        places: dict[Any, int] = {}
        for place, (name, plugin) in enumerate(self.plugins.items()):
            places[name] = place
            places.setdefault(plugin.module, place)
        return places

    def sink_for(self, format: str) -> tuple[type[Sink[Any]], SinkSettings]:
        """Return the sink that declares `format`, and its settings; it need not be enabled.

        Raise ConfigError where none does, or where its settings are wrong.
        """
        formats: list[str] = []
        failed: list[str] = []
        for cls, plugin in self._sinks_there_are(format, failed):
            if cls.format == format:
                return cls, self._choose(plugin)
            if cls.format:
                formats.append(cls.format)
        raise ConfigError(*failed, _no_such_format(format, formats, {*self.settings.disable, *self.config.disable}))

    def system_log(self) -> tuple[type[Sink[Any]], SinkSettings]:
        """Return the sink of the system log, and its settings; it need not be enabled. Raise ConfigError where there is none, or its settings are wrong."""
        failed: list[str] = []
        for cls, plugin in self._sinks_there_are("syslog", failed):
            if cls.is_system_log:
                return cls, self._choose(plugin)
        raise ConfigError(*failed, NOWHERE_TO_WRITE)

    def _sinks_there_are(self, like: str, failed: list[str]) -> Iterator[tuple[type[Sink[Any]], Plugin]]:
        """Give every sink, the enabled ones first, then those whose names begin like `like`; what cannot be imported goes to `failed`."""
        for plugin in self.plugins.values():
            if plugin.cls is not None and issubclass(plugin.cls, Sink):
                yield plugin.cls, plugin
        for candidate in self._candidates(like):
            try:
                plugin = load_plugin(candidate)[0]
            except PluginError as error:
                failed += error.faults
                continue
            if plugin.cls is not None and issubclass(plugin.cls, Sink):
                yield plugin.cls, plugin

    @contextmanager
    def running(self, faults: list[str]) -> Iterator[None]:
        """Tell the plugins that the run begins, and that it is over.

        Raise PluginError where one cannot begin; one that cannot end is a line in `faults`.
        """
        try:
            self.start()
            yield
        finally:
            try:
                self.stop()
            except PluginError as error:
                faults += error.faults

    def start(self) -> None:
        """Tell the plugins that the run begins. Raise PluginError with a line for each that cannot."""
        self._call("iplog_start", self.settings)

    def stop(self) -> None:
        """Tell the plugins that the run is over. Raise PluginError with a line for each that fails."""
        self._call("iplog_stop")

    def open_source(self, name: str, batch_size: int) -> Source | None:
        """Open a capture that a plugin knows; None where none does. Raise CaptureError where it fails."""
        for implementation in reversed(self.hook.iplog_source.get_hookimpls()):
            given = {"name": name, "batch_size": batch_size}
            try:
                source: Source | None = implementation.function(*(given[argument] for argument in implementation.argnames))
            except CaptureError:
                raise
            except (Exception, SystemExit) as error:
                raise CaptureError(f"{name}: {implementation.plugin_name}: iplog_source failed: {reason(error)}.") from error
            if source is not None:
                if not (hasattr(source, "__iter__") and hasattr(source, "close")):
                    raise CaptureError(f"{name}: {implementation.plugin_name}: iplog_source gives {source!r}; expected a Source.")
                return source
        return None

    def commands(self, adder: Callable[[str], Callable[..., argparse.ArgumentParser]]) -> None:
        """Let the plugins add their commands: `adder` is called with the name of each. Raise PluginError with a line for each that fails."""
        faults = []
        for implementation in reversed(self.hook.iplog_commands.get_hookimpls()):
            try:
                implementation.function(*(adder(implementation.plugin_name) for _ in implementation.argnames))
            except (Exception, SystemExit) as error:
                faults.append(f"{implementation.plugin_name}: iplog_commands failed: {reason(error)}.")
        if faults:
            raise PluginError(*faults)

    def _call(self, hook: str, *arguments: Any) -> None:
        """Call each plugin's hook. Raise PluginError with a line for each that fails."""
        faults = []
        for implementation in reversed(getattr(self.hook, hook).get_hookimpls()):
            try:
                implementation.function(*arguments[: len(implementation.argnames)])
            except (Exception, SystemExit) as error:
                faults.append(f"{implementation.plugin_name}: {hook} failed: {reason(error)}.")
        if faults:
            raise PluginError(*faults)

    def label(self, owner: Installed | SingleFile) -> str:
        return f"{owner.distribution} {owner.version}" if isinstance(owner, Installed) else str(owner)

    def _load_files(self) -> dict[str, Plugin]:
        """Import the files of `plugin_paths`: what they are called is not known before."""
        set_by = self.config.origin.of(("plugin_paths",))
        folder = Path() if set_by in (COMMAND_LINE, ENVIRONMENT) else self.config.folder
        found: dict[str, Plugin] = {}
        for path in dict.fromkeys(folder / path.expanduser() for path in self.config.settings.plugin_paths):
            try:
                plugins = load_plugin(SingleFile(path))
            except PluginError as error:
                self.faults += error.faults
                continue
            for plugin in plugins:
                if (other := found.setdefault(plugin.name, plugin)) is not plugin:
                    self.faults.append(f"{plugin.name}: both {other.owner} and {plugin.owner} give it; rename one.")
        return found

    def _enabled(self) -> list[str]:
        """Return the names in force, in order; those that nobody gives are faults."""
        settings, config = self.settings, self.config
        known = sorted({plugin.name for plugin in self.installed} | set(self.files))
        wanted: list[tuple[str, str]] = []
        if settings.enable is None:
            wanted += [(plugin.name, plugin.name) for plugin in self.installed if plugin.runs_by_default]
        else:
            wanted += [(name, config.origin.subject(("enable", index))) for index, name in enumerate(settings.enable)]
        wanted += [(name, name) for name in self.files]
        disabled = [(name, config.origin.subject(("disable", index))) for index, name in enumerate(settings.disable)]
        added = [(name, "--enable") for name in config.enable]
        removed = [(name, "--disable") for name in config.disable]
        for name, subject in (*wanted, *disabled, *added, *removed):
            if name not in known:
                self.faults.append(f"{subject}: {_not_installed(name, known, name)}")
        off = {name for name, _ in disabled}
        names = [name for name, _ in wanted if name not in off] + [name for name, _ in added]
        off = {name for name, _ in removed}
        return [name for name in dict.fromkeys(names) if name in known and name not in off]

    def _load(self, name: str) -> None:
        owners: list[Installed | SingleFile] = [plugin for plugin in self.installed if plugin.name == name]
        if name in self.files:
            owners.append(self.files[name].owner)
        if len(owners) > 1:
            givers = " and ".join(self.label(owner) for owner in owners)
            self.faults.append(f"{name}: both {givers} give a plugin of this name; uninstall one, or run with --disable {name}.")
        elif name in self.files:
            self.plugins[name] = self.files[name]
        else:
            try:
                self.plugins[name] = load_plugin(owners[0])[0]
            except PluginError as error:
                self.faults += error.faults

    def _register(self) -> None:
        """Register the hooks; pluggy calls first what was registered last."""
        modules = {id(plugin.module): plugin for plugin in reversed(self.plugins.values())}
        for plugin in modules.values():
            self._manager.register(plugin.module, name=str(plugin.owner))

    def _unknown_tables(self) -> Iterator[str]:
        origin = self.config.origin
        known = sorted({plugin.name for plugin in self.installed} | set(self.files))
        for name in self.settings.plugins:
            if name not in known:
                key: Key = ("plugins", name)

                def near(found: str, key: Key = key) -> str:
                    return origin.spelled(("plugins", found), like=key)

                yield f"{origin.subject(key)}: {_not_installed(name, known, 'of that name', near)}"

    def _undeclared_kinds(self) -> Iterator[str]:
        """Give a line for each kind of alert that a setting names and no plugin declares. One that is not declared can be raised all the same."""
        named: list[tuple[Key, str]] = [(("mute", index), kind) for index, kind in enumerate(self.settings.mute)]
        for name, plugin in self.plugins.items():
            found = texts_in(plugin.model, self.settings.plugins.get(name, {}), _is_a_kind)
            named += [(("plugins", name, *key), kind) for key, kind in found]
        declared = {kind for cls, settings in self.detectors for kind in cls.kinds_of(settings)}
        if any(kind not in declared for _, kind in named):
            declared.update(self._kinds_of_others())
        for key, kind in named:
            if kind not in declared:
                subject = self.config.origin.subject(key)
                yield f"{subject}: no plugin that is installed declares alerts of the kind {kind!r}.{did_you_mean(kind, sorted(declared))}"

    def _kinds_of_others(self) -> Iterator[str]:
        """Give the kinds of detectors that are installed and do not run, and those that a classic configuration may mute without them."""
        from iplog_core.classic.words import KINDS

        yield from KINDS
        for plugin in self.installed:
            if plugin.name not in self.plugins:
                with suppress(PluginError):
                    yield from getattr(load_plugin(plugin)[0].cls, "kinds", ())

    def _validate(self, plugin: Plugin) -> None:
        key: Key = ("plugins", plugin.name)
        table = self.settings.plugins.get(plugin.name, {})
        try:
            settings = validate(plugin.model, table, self.config.origin, key, self.config.folder)
            _check_detector(plugin, settings)
        except Faults as found:
            self.faults += [f"{line} ({self.label(plugin.owner)})" for line in found.lines]
        except PluginError as error:
            self.faults += error.faults
        except (Exception, SystemExit) as error:
            self.faults.append(f"{plugin.owner}: its settings could not be checked: {reason(error)}.")
        else:
            self.plugin_settings[plugin.name] = settings

    def _choose(self, plugin: Plugin) -> SinkSettings:
        """Take a sink, and return its settings. Raise ConfigError where they are wrong."""
        self._chosen[plugin.name] = plugin
        before = len(self.faults)
        if plugin.name not in self.plugin_settings:
            self._validate(plugin)
        if len(self.faults) > before:
            raise ConfigError(*self.faults[before:])
        settings = self.plugin_settings[plugin.name]
        assert isinstance(settings, SinkSettings)
        return settings

    def _found_by_plugins(self) -> Iterator[str]:
        for implementation in reversed(self.hook.iplog_check_config.get_hookimpls()):
            try:
                yield from _lines(implementation.plugin_name, implementation.function(*(self.settings for _ in implementation.argnames)))
            except (Exception, SystemExit) as error:
                yield f"{implementation.plugin_name}: iplog_check_config failed: {reason(error)}."

    def _of_kind(self, base: type[Any]) -> Iterator[tuple[Any, Any]]:
        for name, plugin in self.plugins.items():
            if plugin.cls is not None and issubclass(plugin.cls, base) and name in self.plugin_settings:
                yield plugin.cls, self.plugin_settings[name]

    def _candidates(self, format: str) -> list[Installed]:
        """Return the plugins that may have a sink for `format`, those whose names look like it first: the others then stay unimported."""
        off = {*self.settings.disable, *self.config.disable} - set(self.config.enable)
        names = [plugin.name for plugin in self.installed]
        candidates = [
            plugin
            for plugin in self.installed
            if not plugin.runs_by_default and plugin.name not in self.plugins and plugin.name not in off and names.count(plugin.name) == 1
        ]
        return sorted(candidates, key=lambda plugin: (not plugin.name.startswith(format), plugin.name))


def _not_installed(name: str, known: Iterable[str], called: str, spelled: Callable[[str], str] = str) -> str:
    return f"no plugin {called} is installed.{did_you_mean(name, known, spelled)} Installed: {', '.join(known)}."


def _check_detector(plugin: Plugin, settings: PluginSettings) -> None:
    """Raise PluginError where a detector says of its alerts or of what it wants what cannot be."""
    cls = plugin.cls
    if cls is None or not issubclass(cls, Detector):
        return
    try:
        kinds, ends = cls.kinds_of(settings), cls.wants_ends(settings)
        if not are_kinds(kinds):
            raise TypeError(f"kinds_of gives {kinds!r}; expected a dict of names, each with its AlertKind")
        if not isinstance(ends, bool) and not all(isinstance(kind, Kind) for kind in ends):
            raise TypeError(f"wants_ends gives {ends!r}; expected True, False, or a set of Kind")
    except (Exception, SystemExit) as error:
        raise PluginError(f"{plugin.owner}: what it reports could not be asked: {reason(error)}.") from error


def _lines(plugin: str, given: Any) -> Iterator[str]:
    """Give the lines of a hook's answer; of one that is none, a line that says so."""
    for line in [given] if isinstance(given, str) else given or ():
        yield line if isinstance(line, str) else f"{plugin}: iplog_check_config gives {line!r}; expected lines of text."


def _is_a_kind(annotation: Any) -> bool:
    """Whether a text of this type is the name of a kind: by itself, or for an array of them."""
    parts = (annotation, *(part for arm in (annotation, *arms(annotation)) for part in typing.get_args(arm)))
    return any(IS_KIND in getattr(part, "__metadata__", ()) for part in parts)


def _no_such_format(format: str, formats: Iterable[str], disabled: Iterable[str]) -> str:
    known = sorted(set(formats))
    if off := ", ".join(sorted(disabled)):
        return f"--format {format}: no plugin that is not disabled writes it; disabled: {off}." + (f" There are: {', '.join(known)}." if known else "")
    if not known:
        return f"--format {format}: no installed plugin writes it; pip install 'iplog[all]' brings text and json."
    return f"--format {format}: no installed plugin writes it.{did_you_mean(format, known)} There are: {', '.join(known)}."
