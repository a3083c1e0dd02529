"""It keeps to what every detector must."""

from __future__ import annotations

from iplog_core.testing import Packets, refused, silent, tcp, udp_exchange
from iplog_core.testing.conformance import DetectorConformance
from iplog_tcp_scan import TcpScan


class TestConformance(DetectorConformance):
    detector = TcpScan
    rounds = 100

    def packets(self) -> Packets:
        ports = [refused(dport=port, at=port / 10) for port in range(1, 30)]
        hosts = [refused("198.51.100.8", f"192.0.2.{host}", dport=22, at=host / 10) for host in range(1, 20)]
        shared = [silent(f"203.0.113.{n}", "192.0.2.9", dport=n, at=n / 10) for n in range(1, 30)]
        odd = [tcp("198.51.100.9", dport=port, flags="F", at=port / 10) for port in range(1, 20)]
        return [ports, hosts, shared, odd, udp_exchange(at=3600)]
