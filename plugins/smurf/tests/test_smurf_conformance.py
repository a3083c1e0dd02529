"""It keeps to what every detector must."""

from __future__ import annotations

from iplog_core.testing import Packets, icmp, udp_exchange
from iplog_core.testing.conformance import DetectorConformance
from iplog_smurf import Smurf

VICTIM, NETWORK = "192.0.2.1", "198.51.100."


class TestConformance(DetectorConformance):
    detector = Smurf
    rounds = 100

    def packets(self) -> Packets:
        requests = [icmp(VICTIM, f"{NETWORK}255", seq=n, at=n / 10) for n in range(30)]
        answers = [icmp(f"{NETWORK}{host}", VICTIM, type=0, seq=n, at=5 + n / 100 + host / 1e5) for n in range(10) for host in range(1, 13)]
        return [requests, answers, udp_exchange(at=3600)]
