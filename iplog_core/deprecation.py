"""What of the plugin interface is old: it works, and who uses it is told once."""

from __future__ import annotations

from dataclasses import dataclass

from iplog_core.authors import caller


@dataclass(frozen=True)
class Use:
    """A package that uses what is deprecated since a version of the interface; `instead` is what its author should do."""

    package: str
    what: str
    since: int
    instead: str


def deprecated(what: str, *, since: int, instead: str) -> None:
    """Note that the plugin whose code runs now uses something that is deprecated."""
    use = Use(caller() or "a plugin", what, since, instead)
    if use not in _known:
        _known.add(use)
        _untold.append(use)


def untold() -> list[Use]:
    """Return the uses that were not returned before."""
    uses = _untold.copy()
    _untold.clear()
    return uses


_known: set[Use] = set()
_untold: list[Use] = []
