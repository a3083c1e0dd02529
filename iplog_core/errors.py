"""What iplog says when something is wrong: one clear line a fault, and the exit status that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

EXIT_OK = 0
EXIT_PARTIAL = 1
EXIT_FAILED = 2


class IplogError(Exception):
    """A fault that ends the run; `faults` are the lines that the user reads, one a fault."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class ConfigError(IplogError):
    """The configuration or the command line is wrong."""


class PluginError(IplogError):
    """An enabled plugin cannot be loaded."""


class CaptureError(IplogError):
    """A capture cannot be opened, or breaks off."""


def did_you_mean(word: str, known: Iterable[str], spelled: Callable[[str], str] = str) -> str:
    """Return ` Did you mean X?` for the known word nearest to `word`, or an empty string where none is near; `spelled` writes X."""
    from difflib import get_close_matches

    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean {spelled(near[0])}?" if near else ""
