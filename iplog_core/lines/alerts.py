"""The lines of alerts: where a scan or an attack begins, and where it ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from iplog_core.events import Alert
from iplog_core.lines.hosts import Hosts, printable
from iplog_core.services import service

_DESTINATION_PORTS = 10
_SOURCE_PORTS = 5
_HOSTS = 10
_WITHOUT_PORTS = ("ICMP", "IPv6-ICMP")


class AlertLines:
    """Lines of alerts, without their prefixes; `log_dest` tells whether they name a target beside whom they blame."""

    def __init__(self, hosts: Hosts, log_dest: bool) -> None:
        self._hosts = hosts
        self._log_dest = log_dest

    def line(self, alert: Alert) -> str | None:
        """Return the line of an alert; None where it has none: an update, or the end of what is told in a line of its own kind."""
        if alert.state == "start":
            return printable(self._template(alert, alert.line) if alert.line else self._start(alert))
        if alert.state == "end" and not alert.line:
            return printable(self._end(alert))
        return None

    def mentioned(self, alert: Alert) -> Iterator[str]:
        """Return the addresses in the line of an alert."""
        if alert.state == "update" or (alert.state == "end" and alert.line):
            return
        blamed = [alert.src_ip] if alert.src_ip is not None else (alert.evidence.sources or [])[:_HOSTS]
        yield from blamed
        if self._log_dest or alert.line or not blamed:
            yield from [alert.dest_ip] if alert.dest_ip is not None else (alert.evidence.dest_ips or [])[:_HOSTS]

    def _start(self, alert: Alert) -> str:
        line = f"{_name(alert)} detected{self._to(alert)}"
        if not _swept_service(alert):
            line += _ports(alert, alert.evidence.dest_ports, alert.evidence.dest_port_count, alert.dest_port, _DESTINATION_PORTS)
        if who := self._who(alert):
            line += f" from {who}"
            line += _ports(alert, alert.evidence.src_ports, alert.evidence.src_port_count, alert.src_port, _SOURCE_PORTS)
        return line

    def _end(self, alert: Alert) -> str:
        who = self._who(alert)
        blamed = f" for {who}" if who else ""
        total = f"received a total of {alert.packets} packets ({alert.bytes} bytes)."
        return f"{_name(alert)} mode{self._to(alert)} expired{blamed} - {total}"

    def _template(self, alert: Alert, template: str) -> str:
        """Fill in the fields that are known; what is none of them stays as it stands."""
        fields = {
            "src": self._who(alert),
            "sport": _port(alert.src_port, alert.evidence.src_ports),
            "dst": self._targets(alert),
            "dport": _port(alert.dest_port, alert.evidence.dest_ports),
            "to": self._to(alert),
            "proto": (alert.proto or "IP").removeprefix("IPv6-"),
            "src_with_port": self._hosts.before_port(alert.src_ip or ""),
            "dst_with_port": self._hosts.before_port(alert.dest_ip or ""),
        }
        template = template.replace("{src}:", "{src_with_port}:").replace("{dst}:", "{dst_with_port}:")
        return re.sub(r"\{(\w+)\}", lambda field: fields.get(field[1], field[0]), template)

    def _who(self, alert: Alert) -> str:
        """Return whom an alert blames: a host, a set of them, or nobody."""
        if alert.src_ip is not None:
            return self._hosts.text(alert.src_ip)
        return self._set(alert.evidence.sources, alert.evidence.source_count)

    def _to(self, alert: Alert) -> str:
        """Return " to DST" where destinations are named, or there is nobody else to name."""
        targets = self._targets(alert)
        return f" to {targets}" if targets and (self._log_dest or not self._who(alert)) else ""

    def _targets(self, alert: Alert) -> str:
        if alert.dest_ip is not None:
            return self._hosts.text(alert.dest_ip)
        return self._set(alert.evidence.dest_ips, alert.evidence.dest_ip_count)

    def _set(self, hosts: list[str] | None, count: int | None) -> str:
        return _listed(map(self._hosts.text, hosts[:_HOSTS]), len(hosts), count, _HOSTS) if hosts else ""


def _name(alert: Alert) -> str:
    swept = _swept_service(alert)
    return f"{alert.signature} of {swept}" if swept else alert.signature


def _swept_service(alert: Alert) -> str | None:
    """Return what was asked of many hosts, where that is one port."""
    if alert.dest_ip is not None or not alert.evidence.dest_ips:
        return None
    ports = alert.evidence.dest_ports or []
    port = alert.dest_port if alert.dest_port is not None else ports[0] if len(ports) == 1 else None
    if port is None or max(len(ports), alert.evidence.dest_port_count or 0) > 1:
        return None
    return service(port, "udp" if alert.proto == "UDP" else "tcp") or f"port {port}"


def _ports(alert: Alert, ports: list[int] | None, count: int | None, single: int | None, limit: int) -> str:
    """Return ` [ports 22,23,...]`, ` [port 22]`, or nothing."""
    if not ports and single is not None:
        ports = [single]
    if not ports or alert.proto in _WITHOUT_PORTS:
        return ""
    listed = _listed(map(str, ports[:limit]), len(ports), count, limit)
    return f" [port{'s' if ',' in listed else ''} {listed}]"


def _listed(shown: Iterable[str], given: int, count: int | None, limit: int) -> str:
    return ",".join(shown) + (",..." if max(given, count or 0) > min(given, limit) else "")


def _port(port: int | None, ports: list[int] | None) -> str:
    return str(port if port is not None else ports[0] if ports else 0)
