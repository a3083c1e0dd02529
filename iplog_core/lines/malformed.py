"""The lines of packets that could not be decoded to the end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

from numpy.typing import NDArray

from iplog_core.batch import Malformed
from iplog_core.lines.hosts import Hosts

_PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMP", 132: "SCTP"}
_FAULTS = {
    Malformed.TRUNCATED.value: "short header",
    Malformed.BAD_IP_HEADER.value: "bad header",
    Malformed.BAD_IP_LENGTH.value: "bad length",
    Malformed.BAD_EXTENSION.value: "bad extension header",
    Malformed.BAD_TCP_HEADER.value: "bad header length",
    Malformed.BAD_UDP_LENGTH.value: "bad length",
    Malformed.BAD_LINK.value: "bad link header",
}
_OF_THE_PROTOCOL = {Malformed.TRUNCATED.value, Malformed.BAD_TCP_HEADER.value, Malformed.BAD_UDP_LENGTH.value}


def malformed_lines(rows: NDArray[Any], hosts: Hosts, log_dest: bool) -> list[str]:
    """Return one line for each row (`RECORD_DTYPE`) of a malformed packet: what is wrong, and whose it was as far as that could be read."""
    targets: Sequence[str] | repeat[str] = [f" to {text}" for text in hosts.column(rows, "dst")] if log_dest else repeat("", len(rows))
    columns = (rows[name].tolist() for name in ("malformed", "version", "proto", "bytes"))
    return [
        f"{_what(fault, proto)} from {src}{to}" if version else f"{_what(fault, 0)} ({size} bytes)"
        for src, to, fault, version, proto, size in zip(hosts.column(rows, "src"), targets, *columns, strict=True)
    ]


def _what(fault: int, proto: int) -> str:
    named = _PROTOCOLS.get(proto, "IP") if fault in _OF_THE_PROTOCOL else "IP"
    return f"{named}: {_FAULTS.get(fault, f'undefined fault {fault}')}"
