"""The table `inet iplog` of nftables, changed and read by nft(8). What is given to it is made here, of addresses and numbers only."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from iplog_core import IplogError
from iplog_core.lines.hosts import printable

_PATH = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"
_PATIENCE = 10.0

_TABLE = """\
table inet iplog {
    set v4 { type ipv4_addr; flags timeout; }
    set v6 { type ipv6_addr; flags timeout; }
    chain input { type filter hook input priority -10; policy accept; }
    chain forward { type filter hook forward priority -10; policy accept; }
}
flush chain inet iplog input
flush chain inet iplog forward
table inet iplog {
    chain input {
        ip saddr @v4 counter drop
        ip6 saddr @v6 counter drop
    }
    chain forward {
        ip saddr @v4 counter drop
        ip6 saddr @v6 counter drop
    }
}
"""
"""Before the rules of other tables (priority 0), which may accept what belongs to a connection. Sets that are there keep their elements."""


@dataclass(frozen=True)
class Blocked:
    """An address, and for how many seconds it is blocked."""

    address: str
    seconds: int


class Nft:
    """nft(8). Every method raises IplogError where it fails."""

    def __init__(self) -> None:
        program = shutil.which("nft", path=_PATH)
        if program is None:
            raise IplogError("block: there is no program nft in the folders of the system; install the package nftables.")
        self._program = program

    def create(self) -> None:
        """Make the table, its sets and its rules, where they are not there; others stay as they are."""
        self._run("-f", "-", text=_TABLE)

    def add(self, blocked: Iterable[Blocked]) -> None:
        """Block addresses, all or none. One that is blocked already gets the new time: adding alone would leave it as it is."""
        lines = []
        for each in blocked:
            element = f"element inet iplog {'v6' if ':' in each.address else 'v4'}"
            lines += [
                f"add {element} {{ {each.address} }}",
                f"delete {element} {{ {each.address} }}",
                f"add {element} {{ {each.address} timeout {each.seconds}s }}",
            ]
        self._run("-f", "-", text="\n".join([*lines, ""]))

    def flush(self) -> None:
        """Let all addresses go."""
        self._run("-f", "-", text="flush set inet iplog v4\nflush set inet iplog v6\n")

    def blocked(self) -> list[Blocked]:
        """Return who is blocked, with the seconds that are left; those without an end are blocked by somebody else, for ever."""
        return [found for name in ("v4", "v6") for found in _elements(self._run("-j", "list", "set", "inet", "iplog", name))]

    def _run(self, *arguments: str, text: str = "") -> str:
        try:
            done = subprocess.run(
                [self._program, *arguments], input=text, capture_output=True, text=True, timeout=_PATIENCE, env={"PATH": _PATH, "LC_ALL": "C"}, cwd="/"
            )
        except subprocess.TimeoutExpired:
            raise IplogError(f"block: nft did not answer within {_PATIENCE:g} seconds.") from None
        except OSError as error:
            raise IplogError(f"block: {self._program}: {error.strerror}.") from None
        if done.returncode:
            raise IplogError(f"block: nft refuses: {_reason(done.stderr)}")
        return done.stdout


def _elements(answer: str) -> Iterator[Blocked]:
    for entry in json.loads(answer)["nftables"]:
        for element in entry.get("set", {}).get("elem", []):
            found: dict[str, Any] = element["elem"] if isinstance(element, dict) and "elem" in element else {}
            if isinstance(found.get("val"), str) and "expires" in found:
                yield Blocked(found["val"], found["expires"])


def _reason(errors: str) -> str:
    said = next((line for line in errors.splitlines() if "Error:" in line), errors.strip() or "it does not say why")
    text = printable(said.partition("Error:")[2].strip() or said)
    if "No such file" in text:
        return "there is no table inet iplog with sets v4 and v6; plugins.block.create = true, or who set up the firewall, makes them."
    return f"{text}; iplog must run as root, or with the capability CAP_NET_ADMIN." if "not permitted" in text else f"{text}."
