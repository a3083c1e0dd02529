"""Every plugin there is, enabled or not: what lists and describes them imports each, and says which cannot be."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Literal

from iplog_core.errors import PluginError
from iplog_core.host import Host
from iplog_core.loader import Owner, Plugin, load_plugin


@dataclass(frozen=True)
class Entry:
    """A plugin as far as it is known: one that cannot be imported has no `plugin`, but the reasons in `faults`."""

    name: str
    owner: Owner
    enabled: bool
    plugin: Plugin | None
    faults: tuple[str, ...] = ()

    @property
    def status(self) -> Literal["enabled", "off", "failed"]:
        return "failed" if self.faults else "enabled" if self.enabled else "off"

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
    entries = [Entry(name, plugin.owner, name in enabled, plugin) for name, plugin in host.files.items()]
    for owner in host.installed:
        plugin, faults = _load(owner, host.plugins.get(owner.name))
        if names.count(owner.name) > 1:
            faults = (*faults, f"{owner}: another distribution gives a plugin of this name, too; uninstall one.")
        entries.append(Entry(owner.name, owner, owner.name in enabled, plugin, faults))
    return sorted(entries, key=lambda entry: entry.name)


def _load(owner: Owner, loaded: Plugin | None) -> tuple[Plugin | None, tuple[str, ...]]:
    if loaded is not None and loaded.owner is owner:
        return loaded, ()
    try:
        return load_plugin(owner)[0], ()
    except PluginError as error:
        return None, error.faults
