"""Which plugins are installed: told from the metadata of distributions, without importing any."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any, NamedTuple

GROUP = "iplog"
OPTIONAL_GROUP = "iplog.optional"


class Installed(NamedTuple):
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
            if GROUP not in (distribution.read_text("entry_points.txt") or ""):  # as most: what they declare need not be parsed
                continue
            declared = [point for point in distribution.entry_points if point.group in (GROUP, OPTIONAL_GROUP)]
            if not declared:
                continue
            name, version = _name_and_version(distribution)
            if _normalised(name) not in seen:
                found += [Installed(point.name, name, version, point.group, point) for point in declared]
                seen.add(_normalised(name))
        except Exception:
            continue
    return sorted(found, key=lambda plugin: (plugin.name, plugin.distribution))


def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    """Read them from the metadata. `distribution.metadata` parses all of it as an e-mail, the whole README too."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    headers = dict(re.findall(r"^(Name|Version):[ \t]*(\S+)", text.partition("\n\n")[0], re.MULTILINE))
    return headers["Name"], headers["Version"]


def _normalised(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
