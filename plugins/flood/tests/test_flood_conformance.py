"""It keeps to what every detector must."""

from __future__ import annotations

from iplog_core.testing import Packets, icmp, tcp, udp, udp_exchange
from iplog_core.testing.conformance import DetectorConformance
from iplog_flood import Flood


class TestConformance(DetectorConformance):
    detector = Flood
    settings = {"syn_rate": 10, "syn_burst": 10, "udp_rate": 10, "udp_burst": 10, "ping_rate": 10, "ping_burst": 10}
    rounds = 100

    def packets(self) -> Packets:
        attempts = [tcp(sport=10000 + n, at=n / 100) for n in range(100)]
        datagrams = [udp(sport=10000 + n, dport=9, at=20 + n / 100) for n in range(100)]
        return [attempts, datagrams, [icmp(seq=n, at=40 + n / 100) for n in range(100)], udp_exchange(at=4000)]
