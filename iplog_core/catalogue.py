"""Every plugin there is, enabled or not: what lists and describes them imports each, and says which cannot be."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from iplog_core.detector import AlertKind, Detector
from iplog_core.errors import PluginError
from iplog_core.host import Host
from iplog_core.loader import Owner, Plugin, load_plugin
from iplog_core.settings import PluginSettings


@dataclass(frozen=True)
class Entry:
    """A plugin as far as it is known: one that cannot be imported has no `plugin`, but the reasons in `faults`; one that is not enabled has no `settings`."""

    name: str
    owner: Owner
    enabled: bool
    plugin: Plugin | None
    faults: tuple[str, ...] = ()
    settings: PluginSettings | None = None

    @property
    def status(self) -> Literal["enabled", "off", "failed"]:
        return "failed" if self.faults else "enabled" if self.enabled else "off"

    @property
    def api(self) -> int | None:
        """The version of the interface that it was written for; None where it could not be imported."""
        return self.plugin.module.iplog_api if self.plugin else None

    @property
    def kinds(self) -> Mapping[str, AlertKind]:
        """The kinds of alerts that it may raise, as it is set."""
        cls = self.plugin.cls if self.plugin else None
        if cls is None or not issubclass(cls, Detector):
            return {}
        return cls.kinds_of(self.settings) if self.settings else cls.kinds

    @property
    def summary(self) -> str:
        """What it says of itself: the first paragraph of its class's docstring, or of its module's."""
        if self.plugin is None:
            return ""
        text = inspect.getdoc(self.plugin.cls or self.plugin.module) or ""
        return " ".join(text.partition("\n\n")[0].split())


def catalogue(host: Host) -> list[Entry]:
    """Return the installed plugins and those of single files, by name."""
    enabled = set(host.settings.enable or ())
    names = [owner.name for owner in host.installed]
    entries = [Entry(name, plugin.owner, name in enabled, plugin, (), host.plugin_settings.get(name)) for name, plugin in host.files.items()]
    for owner in host.installed:
        plugin, faults = _load(owner, host.plugins.get(owner.name))
        if names.count(owner.name) > 1:
            faults = (*faults, f"{owner}: another distribution gives a plugin of this name, too; uninstall one.")
        entries.append(Entry(owner.name, owner, owner.name in enabled, plugin, faults, host.plugin_settings.get(owner.name)))
    return sorted(entries, key=lambda entry: entry.name)


def _load(owner: Owner, loaded: Plugin | None) -> tuple[Plugin | None, tuple[str, ...]]:
    if loaded is not None and loaded.owner is owner:
        return loaded, ()
    try:
        return load_plugin(owner)[0], ()
    except PluginError as error:
        return None, error.faults
