"""Import a plugin and look at what it contributes; what is wrong with it becomes one line a fault."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import pluggy

from iplog_core import hookspec
from iplog_core.authors import reason
from iplog_core.detector import AlertKind, Detector
from iplog_core.errors import PluginError, did_you_mean
from iplog_core.hookspec import API_VERSION, OLDEST_API, HookManager
from iplog_core.installed import Installed
from iplog_core.policy import Policy, questions
from iplog_core.settings import DetectorSettings, PluginSettings, PolicySettings, SinkSettings
from iplog_core.single import SingleFile
from iplog_core.sink import Sink

Owner = Installed | SingleFile
PluginClass = type[Detector[Any]] | type[Sink[Any]] | type[Policy[Any]]

_CONTRIBUTIONS: dict[str, tuple[type[Any], type[PluginSettings]]] = {
    "iplog_detectors": (Detector, DetectorSettings),
    "iplog_sinks": (Sink, SinkSettings),
    "iplog_policies": (Policy, PolicySettings),
}


class Plugin(NamedTuple):
    """A plugin that was imported, and the class that it contributes; None where it has hooks only."""

    name: str
    owner: Owner
    module: Any
    cls: PluginClass | None

    @property
    def model(self) -> type[PluginSettings]:
        """The model of its settings; one without fields where it has none."""
        return settings_model(self.cls) if self.cls else PluginSettings


def load_plugin(owner: Owner) -> list[Plugin]:
    """Import a plugin. One distribution's entry point gives one, a single file as many as it has classes.

    Raise PluginError where it cannot be imported or does not keep to the interface: its lines name the distribution and its version.
    """
    module = _import(owner)
    _check_api(owner, module)
    hooks = _hooks(owner, module)
    contributed = [(hook, cls) for hook in _CONTRIBUTIONS if hook in hooks for cls in _classes(owner, hook, hooks[hook])]
    if isinstance(owner, SingleFile) and not set(hooks) & set(_CONTRIBUTIONS):
        contributed = _defined(module)
    if not hooks and not contributed:
        wanted = "a Detector, a Sink or a Policy" if isinstance(owner, SingleFile) else "a function marked @iplog_core.hookimpl, such as iplog_detectors"
        raise PluginError(f"{owner}: contributes nothing; expected {wanted}.")
    faults = [fault for hook, cls in contributed for fault in _class_faults(owner, hook, cls)]
    names = [getattr(cls, "name", "") for _, cls in contributed]
    faults += [f"{owner}: two classes have the name {name}; expected one." for name in sorted({n for n in names if n and names.count(n) > 1})]
    if faults:
        raise PluginError(*faults)
    if not contributed:
        return [Plugin(owner.name, owner, module, None)]
    return [Plugin(cls.name, owner, module, cls) for _, cls in contributed]


def settings_model(cls: PluginClass) -> type[PluginSettings]:
    """Return the model in a class's `Detector[...]`, `Sink[...]` or `Policy[...]`, else the base of all."""
    for base in cls.__mro__:
        for generic in vars(base).get("__orig_bases__", ()):
            for argument in typing.get_args(generic):
                if isinstance(argument, type):
                    return argument
    return next(settings for base, settings in _CONTRIBUTIONS.values() if issubclass(cls, base))


def label(plugins: Mapping[str, Plugin], name: str) -> str:
    """Return what a plugin is called in a line about it: its name, its version, and its distribution or file."""
    if name not in plugins:
        return name
    owner = plugins[name].owner
    return str(owner) if isinstance(owner, Installed) else f"{name} ({owner})"


def owner_of(plugins: Mapping[str, Plugin], package: str | None) -> Owner | None:
    """Return whose a package is; None where it is of none of these plugins."""
    return next((plugin.owner for plugin in plugins.values() if _package(plugin) == package), None)


def are_kinds(kinds: Any) -> bool:
    """Whether these are kinds of alerts, as a detector declares them."""
    return isinstance(kinds, Mapping) and all(isinstance(name, str) and isinstance(kind, AlertKind) for name, kind in kinds.items())


def _package(plugin: Plugin) -> str:
    """Return the package that a plugin is of: what its entry point names may be a class or another object in it."""
    owner = plugin.owner
    name = owner.entry_point.module if isinstance(owner, Installed) else str(plugin.module.__name__)
    return name.partition(".")[0]


def _import(owner: Owner) -> Any:
    try:
        return owner.load()
    except KeyboardInterrupt:
        raise
    except PluginError as error:
        raise PluginError(f"{owner}: {error}.") from None
    except BaseException as error:  # a plugin that calls sys.exit() is as broken as one that raises
        raise PluginError(f"{owner}: cannot be imported: {reason(error)}; {owner.remedy}.") from error


def _check_api(owner: Owner, module: Any) -> None:
    version = getattr(module, "iplog_api", None)
    if not isinstance(version, int) or isinstance(version, bool):
        raise PluginError(f"{owner}: does not say which plugin API it is written for; expected iplog_api = {API_VERSION} in its module.")
    if version > API_VERSION:
        raise PluginError(f"{owner} is written for plugin API {version}, this iplog has {API_VERSION}: upgrade iplog.")
    if version < OLDEST_API:
        remedy = f"upgrade {owner.distribution}" if isinstance(owner, Installed) else f"bring it up to date, and set iplog_api = {API_VERSION}"
        raise PluginError(f"{owner} is written for plugin API {version}, the oldest that this iplog understands is {OLDEST_API}: {remedy}.")


def _hooks(owner: Owner, module: Any) -> dict[str, Callable[..., Any]]:
    """Return the hook functions of a plugin by the name of their hook."""
    manager = _manager()
    try:
        manager.register(module)
        callers = manager.get_hookcallers(module) or []
        implementations = {caller.name: caller.get_hookimpls()[0] for caller in callers}
    except pluggy.PluginValidationError as error:
        found = re.search(r"for hook '(\w+)'.*Argument\(s\) \{(.*)\}", str(error), re.DOTALL)
        what = f"{found[1]} takes {found[2]}, which that hook does not give" if found else " ".join(str(error).split())
        raise PluginError(f"{owner}: {what}; expected what iplog_core.hookspec shows.") from None
    finally:
        if manager.is_registered(module):
            manager.unregister(module)
    known = [name for name in vars(hookspec) if name.startswith("iplog_")]
    unknown = sorted(caller.name for caller in callers if not caller.has_spec())
    if unknown:
        raise PluginError(*(f"{owner}: {name} is no hook.{did_you_mean(name, known)} There are: {', '.join(known)}." for name in unknown))
    if wrappers := sorted(name for name, implementation in implementations.items() if implementation.wrapper or implementation.hookwrapper):
        raise PluginError(*(f"{owner}: {name} is a wrapper of other plugins' hooks; expected one that answers for itself." for name in wrappers))
    return {name: implementation.function for name, implementation in implementations.items()}


@cache
def _manager() -> HookManager:
    """What looks at one plugin after another; none stays registered."""
    return HookManager()


def _classes(owner: Owner, hook: str, function: Callable[[], Iterable[Any]]) -> list[Any]:
    try:
        return list(function())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"{owner}: {hook} failed: {reason(error)}; expected a list of classes.") from error


def _defined(module: Any) -> list[tuple[str, Any]]:
    """Return the detectors, sinks and policies that a file defines, in its order: it needs no hook for them."""
    return [
        (hook, cls)
        for cls in vars(module).values()
        for hook, (base, _) in _CONTRIBUTIONS.items()
        if isinstance(cls, type) and issubclass(cls, base) and cls.__module__ == module.__name__ and not cls.__name__.startswith("_")
    ]


def _class_faults(owner: Owner, hook: str, cls: Any) -> list[str]:
    base, settings = _CONTRIBUTIONS[hook]
    if not (isinstance(cls, type) and issubclass(cls, base)):
        return [f"{owner}: {hook} gives {getattr(cls, '__name__', cls)!r}, which is no {base.__name__}."]
    name = getattr(cls, "name", None)
    if not isinstance(name, str) or not name:
        return [f'{owner}: class {cls.__name__} has no name; expected name = "{owner.name}".']
    faults = []
    if not re.fullmatch(r"[\w.-]+", name):
        faults.append(f"{owner}: class {cls.__name__} has the name {name!r}; expected small letters, digits and underscores.")
    if isinstance(owner, Installed) and name != owner.name:
        faults.append(f'{owner}: class {cls.__name__} has the name "{name}"; expected "{owner.name}", as its entry point has.')
    kinds = getattr(cls, "kinds", {})
    if not are_kinds(kinds):
        faults.append(f'{owner}: class {cls.__name__} has the kinds {kinds!r}; expected a dict such as {{"telnet": AlertKind("TCP: telnet", "low")}}.')
    if base is Policy and not questions(cls):
        faults.append(f"{owner}: class {cls.__name__} has none of keep, grade and fields; expected one of them, or more.")
    model = settings_model(cls)
    if not issubclass(model, settings):
        faults.append(f"{owner}: class {cls.__name__} takes {model.__name__}; expected a model derived from {settings.__name__}.")
    elif wrong := _no_model(cls):
        faults.append(f"{owner}: class {cls.__name__} takes {wrong}; expected a model derived from {settings.__name__}.")
    else:
        try:
            model.model_rebuild()
        except Exception as error:
            faults.append(f"{owner}: its settings cannot be made into a model: {reason(error)}.")
    return faults


def _no_model(cls: type[Any]) -> Any:
    """Return what stands in `Detector[...]` or the like of a class, and is neither a model nor a type variable; None where all is right."""
    generics = (generic for generic in vars(cls).get("__orig_bases__", ()) if isinstance(typing.get_origin(generic), type))
    arguments = (argument for generic in generics for argument in typing.get_args(generic))
    return next((argument for argument in arguments if not isinstance(argument, type | typing.TypeVar) or typing.get_args(argument)), None)
