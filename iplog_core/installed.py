"""Which plugins are installed: told from the metadata of distributions, without importing any."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, distributions
from typing import Any

GROUP = "iplog"
OPTIONAL_GROUP = "iplog.optional"


@dataclass(frozen=True)
class Installed:
    """A plugin that a distribution declares. One of the group `iplog` runs by default, one of `iplog.optional` when it is named."""

    name: str
    distribution: str
    version: str
    group: str
    entry_point: EntryPoint

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.distribution})"

    @property
    def runs_by_default(self) -> bool:
        return self.group == GROUP

    @property
    def remedy(self) -> str:
        """What its user can do when it is broken."""
        return f"reinstall {self.distribution}, or run with --disable {self.name}"

    def load(self) -> Any:
        return self.entry_point.load()


def installed() -> list[Installed]:
    """Return the installed plugins by name; a name that two distributions give stands there twice.

    Of a distribution that lies on the path twice the first counts, as in an import. One whose metadata cannot be read is left out: it can break nothing.
    """
    seen: set[str] = set()
    found: list[Installed] = []
    for distribution in distributions():
        try:
            declared = [point for point in distribution.entry_points if point.group in (GROUP, OPTIONAL_GROUP)]
            if not declared:
                continue
            about = distribution.metadata  # read anew each time that it is asked for
            name, version = about["Name"], about["Version"]
            if _normalised(name) not in seen:
                found += [Installed(point.name, name, version, point.group, point) for point in declared]
                seen.add(_normalised(name))
        except Exception:
            continue
    return sorted(found, key=lambda plugin: (plugin.name, plugin.distribution))


def _normalised(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
