"""How a host stands in a line: its address, or its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from iplog_core.addresses import address, addresses


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

    def known(self, hi: int, lo: int) -> str:
        """Return the text of an address that a record may lack: nothing where it is 0."""
        return self.text(address(hi, lo)) if hi or lo else ""

    def column(self, rows: NDArray[Any], side: str) -> list[str]:
        """Return the texts of the addresses in the columns `SIDE_hi` and `SIDE_lo`."""
        texts = addresses(rows[f"{side}_hi"], rows[f"{side}_lo"])
        return [self.names.get(text, text) for text in texts] if self.names else texts

    def column_before_port(self, rows: NDArray[Any], side: str) -> list[str]:
        """Return the same, each as a port may follow it."""
        texts = addresses(rows[f"{side}_hi"], rows[f"{side}_lo"])
        if self.names:
            return list(map(self.before_port, texts))
        return [f"[{text}]" if ":" in text else text for text in texts]


def printable(text: str) -> str:
    """Return a text with what is no printable character escaped: nothing may move the cursor or begin a line of its own."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
