"""How a host stands in a line: its address, or its name."""

from __future__ import annotations

import re
import socket
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from iplog_core.addresses import address, addresses


class Hosts:
    """Texts of hosts: addresses, with `resolve` names where there are any, with `log_ip` `name (address)`."""

    def __init__(self, *, resolve: bool, log_ip: bool) -> None:
        self._resolve = resolve
        self._log_ip = log_ip
        self._name = lru_cache(maxsize=16384)(_name)

    def text(self, host: str) -> str:
        """Return the text of an address."""
        if not self._resolve or not (name := self._name(host)):
            return printable(host)
        return f"{name} ({host})" if self._log_ip else name

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
        return list(map(self.text, texts)) if self._resolve else texts

    def column_before_port(self, rows: NDArray[Any], side: str) -> list[str]:
        """Return the same, each as a port may follow it."""
        texts = addresses(rows[f"{side}_hi"], rows[f"{side}_lo"])
        if self._resolve:
            return list(map(self.before_port, texts))
        return [f"[{text}]" if ":" in text else text for text in texts]


def printable(text: str) -> str:
    """Return a text with what is no printable character escaped: nothing may move the cursor or begin a line of its own."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _name(host: str) -> str | None:
    """Return the name of an address, None where it has none or one that is no host name: names come from strangers (RFC 1123, section 2.1)."""
    try:
        name = socket.getnameinfo((host, 0), socket.NI_NAMEREQD)[0]
    except OSError:
        return None
    return name if re.fullmatch(r"[A-Za-z0-9_.-]{1,253}", name) else None
