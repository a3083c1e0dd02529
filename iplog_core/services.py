"""Names of ports, from the services database of this host (services(5)); nothing is asked over the network by iplog itself."""

from __future__ import annotations

from functools import cache, lru_cache
from socket import getservbyname, getservbyport
from threading import Lock
from typing import Literal

Protocol = Literal["tcp", "udp"]

# The C library answers in one static buffer, which Python reads with its own lock released: sinks ask from several threads.
_one_at_a_time = Lock()


@cache
def service(port: int, proto: Protocol) -> str | None:
    """Return the service that a port (0 to 65535) is known for, such as `smtp`, or None."""
    try:
        with _one_at_a_time:
            return getservbyport(port, proto)
    except OSError:
        return None


@lru_cache(maxsize=1024)
def port_number(name: str, proto: Protocol) -> int | None:
    """Return the port of a service by its name or an alias, in any case; None where the protocol has no such service."""
    for spelling in dict.fromkeys((name, name.lower())):
        try:
            with _one_at_a_time:
                return getservbyname(spelling, proto)
        except (OSError, ValueError):  # ValueError: a NUL or a lone surrogate, which no name has
            continue
    return None
