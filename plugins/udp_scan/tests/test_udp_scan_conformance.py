"""It keeps to what every detector must."""

from __future__ import annotations

from iplog_core.testing import Packets, udp_exchange, udp_refused
from iplog_core.testing.conformance import DetectorConformance
from iplog_udp_scan import UdpScan


class TestConformance(DetectorConformance):
    detector = UdpScan
    rounds = 100

    def packets(self) -> Packets:
        ports = [udp_refused(dport=port, at=port * 6) for port in range(1, 31)]
        hosts = [udp_refused("198.51.100.8", f"192.0.2.{host}", dport=161, at=host / 10) for host in range(1, 31)]
        return [ports, hosts, udp_exchange(at=7200)]
