"""Where lines go: a socket of this host, or a syslog server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

EXPECTED = "expected the path of a socket, such as /dev/log, or udp://HOST, tcp://HOST or tls://HOST, with :PORT behind it where it is not the usual one"


@dataclass(frozen=True)
class Address:
    """A socket of this host, whose path is `host`, or a server.

    The usual ports are 514 (RFC 5426; with TCP by custom, RFC 6587) and 6514 (TLS, RFC 5425).
    """

    transport: Literal["local", "udp", "tcp", "tls"]
    host: str
    port: int = 0


def parse_address(text: str) -> Address:
    """Read an address: an absolute path, or a URL whose IPv6 address stands in brackets. Raise ValueError with what was expected."""
    if text.startswith("/") and "\0" not in text:
        return Address("local", text)
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
        (host or "").encode("idna")
    except ValueError:
        raise ValueError(EXPECTED) from None
    if not host or port == 0 or text.split() != [text] or "@" in url.netloc or url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError(EXPECTED)
    match url.scheme:
        case "udp" | "tcp" as transport:
            return Address(transport, host, port or 514)
        case "tls":
            return Address("tls", host, port or 6514)
    raise ValueError(EXPECTED)
