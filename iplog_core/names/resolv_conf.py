"""The name servers that this host asks (resolv.conf(5))."""

from __future__ import annotations

from ipaddress import ip_address

_MOST = 3
_LOCAL = "127.0.0.1"


def name_servers(text: str) -> list[str]:
    """Return the servers that a resolv.conf names: those that count, with their zones; without any, the one on this host."""
    words = [line.split()[:2] for line in text.splitlines()]
    return [word[1] for word in words if word[:1] == ["nameserver"] and _is_address(word[-1])][:_MOST] or [_LOCAL]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
