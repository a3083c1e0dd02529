"""The names that the administrator gave: /etc/hosts (hosts(5))."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from iplog_core.names.files import Watched
from iplog_core.names.grammar import host_name


class HostsFile:
    """Names by address, as the file has them now: it is read again when it has changed. A file that is not there names nobody."""

    def __init__(self, path: Path) -> None:
        self._file = Watched(path)
        self._names: dict[str, str] = {}

    def names(self) -> Mapping[str, str]:
        """Return the name of each address: the first that stands beside it. Whether the file has changed is looked at once a second at the most."""
        if self._file.changed():
            self._names = _names(self._file.text())
        return self._names


def _names(text: str) -> dict[str, str]:
    """Return the first name of each address. The unspecified one is nobody's: lists of blocked names stand beside it."""
    first: dict[str, str] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split()[:2] or [""]
        if names and address not in first:
            first[address] = names[0]
    names_by_address: dict[str, str] = {}
    for spelled, written in first.items():
        try:
            address_of = ip_address(spelled)
        except ValueError:
            continue
        if (name := host_name(written)) and not address_of.is_unspecified:
            names_by_address.setdefault(str(address_of), name)
    return names_by_address
