"""The lines of traffic: connection attempts, datagrams, ICMP messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iplog_core.addresses import addresses
from iplog_core.batch import Outcome
from iplog_core.events import NO_OUTCOME, RecordKind
from iplog_core.lines.hosts import Hosts, printable
from iplog_core.lines.icmp import icmp_lines, spoken_of
from iplog_core.lines.malformed import malformed_lines
from iplog_core.services import service

_OUTCOMES = {outcome.value: f" ({outcome.name.lower().replace('_', ' ')})" for outcome in Outcome}


class TrafficLines:
    """Lines of records, without their prefixes; `hosts` are those of a protocol's lines, `log_dest` tells whether lines name destinations."""

    def __init__(self, hosts: Callable[[str], Hosts], log_dest: bool) -> None:
        self._hosts = {
            RecordKind.CONNECTION_ATTEMPT: hosts("TCP"),
            RecordKind.DATAGRAM: hosts("UDP"),
            RecordKind.ICMP: hosts("ICMP"),
            RecordKind.MALFORMED: hosts("IP"),
        }
        self._log_dest = log_dest
        self._tcp = Services("tcp")
        self._udp = Services("udp")

    def lines(self, rows: NDArray[Any]) -> list[str]:
        """Return one line for each row (`RECORD_DTYPE`) of connection attempts, datagrams, ICMP messages and malformed packets."""
        lines = np.empty(len(rows), object)
        record = rows["record"]
        for kind, form in (
            (RecordKind.CONNECTION_ATTEMPT, self._attempts),
            (RecordKind.DATAGRAM, self._datagrams),
            (RecordKind.ICMP, self._icmp),
            (RecordKind.MALFORMED, self._malformed),
        ):
            chosen = record == kind
            if chosen.all():
                return _with_outcome(rows, form(rows))
            if chosen.any():
                lines[chosen] = form(rows[chosen])
        return _with_outcome(rows, lines.tolist())

    def mentioned(self, rows: NDArray[Any], named: Hosts) -> Iterator[str]:
        """Return the addresses in the lines of rows, of those protocols whose hosts are `named`."""
        for kind, hosts in self._hosts.items():
            if hosts is not named:
                continue
            chosen = rows[rows["record"] == kind]
            for side in ("src", "dst") if self._log_dest else ("src",):
                yield from addresses(chosen[f"{side}_hi"], chosen[f"{side}_lo"])
            if kind == RecordKind.ICMP:
                yield from spoken_of(chosen)

    def _attempts(self, rows: NDArray[Any]) -> list[str]:
        hosts = self._hosts[RecordKind.CONNECTION_ATTEMPT]
        services = map(self._tcp.__getitem__, rows["dport"].tolist())
        sources = hosts.column_before_port(rows, "src")
        ports = rows["sport"].tolist()
        if not self._log_dest:
            return [f"TCP: {name} connection attempt from {src}:{port}" for name, src, port in zip(services, sources, ports, strict=True)]
        return [
            f"TCP: {name} connection attempt to {dst} from {src}:{port}"
            for name, dst, src, port in zip(services, hosts.column(rows, "dst"), sources, ports, strict=True)
        ]

    def _datagrams(self, rows: NDArray[Any]) -> list[str]:
        hosts = self._hosts[RecordKind.DATAGRAM]
        services = map(self._udp.__getitem__, rows["dport"].tolist())
        sources = hosts.column_before_port(rows, "src")
        ports = rows["sport"].tolist()
        sizes = rows["payload"].tolist()
        if not self._log_dest:
            return [
                f"UDP: dgram to {name} from {src}:{port} ({size} data bytes)" for name, src, port, size in zip(services, sources, ports, sizes, strict=True)
            ]
        targets = hosts.column_before_port(rows, "dst")
        return [
            f"UDP: dgram to {dst}:{name} from {src}:{port} ({size} data bytes)"
            for dst, name, src, port, size in zip(targets, services, sources, ports, sizes, strict=True)
        ]

    def _icmp(self, rows: NDArray[Any]) -> list[str]:
        return icmp_lines(rows, self._hosts[RecordKind.ICMP], self._log_dest)

    def _malformed(self, rows: NDArray[Any]) -> list[str]:
        return malformed_lines(rows, self._hosts[RecordKind.MALFORMED], self._log_dest)


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
