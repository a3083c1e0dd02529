"""It keeps to what every detector must."""

from __future__ import annotations

from iplog_core.testing import Packets, udp, udp_exchange
from iplog_core.testing.conformance import DetectorConformance
from iplog_traceroute import Traceroute


class TestConformance(DetectorConformance):
    detector = Traceroute

    def packets(self) -> Packets:
        return [[udp(dport=33434 + 3 * hop + n, ttl=hop, at=hop + n / 10) for hop in range(1, 15) for n in range(3)], udp_exchange(at=3600)]
