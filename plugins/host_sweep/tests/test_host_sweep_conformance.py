"""It keeps to what every detector must."""

from __future__ import annotations

from iplog_core.testing import Packets, arp, ping, udp_exchange
from iplog_core.testing.conformance import DetectorConformance
from iplog_host_sweep import HostSweep


class TestConformance(DetectorConformance):
    detector = HostSweep
    rounds = 100

    def packets(self) -> Packets:
        pinged: Packets = [ping(dst="192.0.2.200"), [ping(dst=f"192.0.2.{host}", answered=False, at=host / 10) for host in range(1, 30)]]
        asked_for = [arp("10.0.0.254", f"10.0.0.{host}", at=host / 10) for host in range(1, 60)]
        return [pinged, asked_for, udp_exchange(at=5400)]
