"""Names of ports, from the services database of this host (services(5)).

The file is read once, and not asked through the C library: that reads it again for each port, in 65 us, and a scan asks for thousands.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

Protocol = Literal["tcp", "udp"]

_DATABASE = Path("/etc/services")


def service(port: int, proto: Protocol) -> str | None:
    """Return the service that a port (0 to 65535) is known for, such as `smtp`, or None."""
    return _services()[0].get((port, proto))


def services(proto: Protocol) -> dict[int, str]:
    """Return the services that ports are known for."""
    return {port: name for (port, of), name in _services()[0].items() if of == proto}


def port_number(name: str, proto: Protocol) -> int | None:
    """Return the port of a service by its name or an alias, in any case; None where the protocol has no such service."""
    return _services()[1].get((name.lower(), proto))


@cache
def _services() -> tuple[dict[tuple[int, str], str], dict[tuple[str, str], int]]:
    """Names by port, and ports by name; the first entry of each counts. A host without the file knows none."""
    names: dict[tuple[int, str], str] = {}
    ports: dict[tuple[str, str], int] = {}
    for line in _lines():
        name, place, *aliases = line
        number, _, proto = place.partition("/")
        if number.isdecimal():
            names.setdefault((int(number), proto), name)
            for word in (name, *aliases):
                ports.setdefault((word.lower(), proto), int(number))
    return names, ports


def _lines() -> list[list[str]]:
    try:
        text = _DATABASE.read_text("utf-8", errors="replace")
    except OSError:
        return []
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return [line for line in lines if len(line) > 1]
