"""How a host stands in a line: its address, or its name."""

from __future__ import annotations

from collections.abc import Mapping


class Hosts:
    """Texts of hosts: addresses, and what `names` has in their place."""

    def __init__(self) -> None:
        self.names: Mapping[str, str] = {}

    def text(self, host: str) -> str:
        """Return the text of an address."""
        return self.names.get(host) or printable(host)

    def before_port(self, host: str) -> str:
        """Return the text of an address that a port follows: an IPv6 one in brackets (RFC 3986, section 3.2.2)."""
        text = self.text(host)
        return f"[{text}]" if ":" in text and text == host else text


def printable(text: str) -> str:
    """Return a text with what is no printable character escaped: nothing may move the cursor or begin a line of its own."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
