"""The name servers of this host, as resolv.conf lists them (resolv.conf(5))."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

RESOLV_CONF = Path("/etc/resolv.conf")
_LOCAL = "127.0.0.1"


def name_servers(file: Path = RESOLV_CONF) -> list[str]:
    """Return the addresses of the name servers, without zones; the one on this host where the file names none, as the resolver does."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    words = [line.split() for line in lines]
    named = [found[1] for found in words if len(found) > 1 and found[0] == "nameserver"]
    return list(dict.fromkeys(filter(None, map(_address, named)))) or [_LOCAL]


def _address(text: str) -> str | None:
    try:
        return str(ip_address(text.partition("%")[0]))
    except ValueError:
        return None
