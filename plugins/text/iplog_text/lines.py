"""The lines of traffic: connection attempts, datagrams, ICMP messages."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iplog_core import RecordKind
from iplog_core.batch import Outcome
from iplog_core.events import NO_OUTCOME
from iplog_core.services import service
from iplog_text.hosts import Hosts, printable
from iplog_text.icmp import icmp_lines

_OUTCOMES = {outcome.value: f" ({outcome.name.lower().replace('_', ' ')})" for outcome in Outcome}


class TrafficLines:
    """Lines of records, without their prefixes; `log_dest` tells whether they name destinations."""

    def __init__(self, hosts: Hosts, log_dest: bool) -> None:
        self._hosts = hosts
        self._log_dest = log_dest
        self._tcp = Services("tcp")
        self._udp = Services("udp")

    def lines(self, rows: NDArray[Any]) -> list[str]:
        """Return one line for each row (`RECORD_DTYPE`) of connection attempts, datagrams and ICMP messages."""
        lines = np.empty(len(rows), object)
        record = rows["record"]
        for kind, form in (
            (RecordKind.CONNECTION_ATTEMPT, self._attempts),
            (RecordKind.DATAGRAM, self._datagrams),
            (RecordKind.ICMP, self._icmp),
        ):
            chosen = record == kind
            if chosen.all():
                return _with_outcome(rows, form(rows))
            if chosen.any():
                lines[chosen] = form(rows[chosen])
        return _with_outcome(rows, lines.tolist())

    def _attempts(self, rows: NDArray[Any]) -> list[str]:
        services = map(self._tcp.__getitem__, rows["dport"].tolist())
        sources = self._hosts.column_before_port(rows, "src")
        ports = rows["sport"].tolist()
        if not self._log_dest:
            return [f"TCP: {name} connection attempt from {src}:{port}" for name, src, port in zip(services, sources, ports, strict=True)]
        return [
            f"TCP: {name} connection attempt to {dst} from {src}:{port}"
            for name, dst, src, port in zip(services, self._hosts.column(rows, "dst"), sources, ports, strict=True)
        ]

    def _datagrams(self, rows: NDArray[Any]) -> list[str]:
        services = map(self._udp.__getitem__, rows["dport"].tolist())
        sources = self._hosts.column_before_port(rows, "src")
        ports = rows["sport"].tolist()
        sizes = rows["payload"].tolist()
        if not self._log_dest:
            return [
                f"UDP: dgram to {name} from {src}:{port} ({size} data bytes)" for name, src, port, size in zip(services, sources, ports, sizes, strict=True)
            ]
        targets = self._hosts.column_before_port(rows, "dst")
        return [
            f"UDP: dgram to {dst}:{name} from {src}:{port} ({size} data bytes)"
            for dst, name, src, port, size in zip(targets, services, sources, ports, sizes, strict=True)
        ]

    def _icmp(self, rows: NDArray[Any]) -> list[str]:
        return icmp_lines(rows, self._hosts, self._log_dest)


class Services(dict[int, str]):
    """What a port is called: its service, or `port N`."""

    def __init__(self, proto: Literal["tcp", "udp"]) -> None:
        super().__init__()
        self._proto = proto

    def __missing__(self, port: int) -> str:
        name = self[port] = printable(service(port, self._proto) or f"port {port}")
        return name


def _with_outcome(rows: NDArray[Any], lines: list[str]) -> list[str]:
    outcome = rows["outcome"]
    if (outcome == NO_OUTCOME).all():
        return lines
    return [line + _OUTCOMES.get(told, "") for line, told in zip(lines, outcome.tolist(), strict=True)]
