"""It keeps to what every detector must."""

from __future__ import annotations

from iplog_core.testing import Packets, connection, half_open, ping, refused, silent, udp_exchange, udp_refused
from iplog_core.testing.conformance import DetectorConformance
from iplog_traffic import Traffic


class TestConformance(DetectorConformance):
    detector = Traffic
    settings = {"outcome": True, "flows": True}

    def packets(self) -> Packets:
        attempts = [talk(dport=20 + n, at=n * 3) for n, talk in enumerate((connection, refused, half_open, silent))]
        return [attempts, udp_exchange(at=1), udp_refused(dport=54, at=2), ping(count=3, at=3), udp_exchange(at=3600)]
