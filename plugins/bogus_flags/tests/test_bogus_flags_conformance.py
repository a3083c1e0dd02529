"""It keeps to what every detector must."""

from __future__ import annotations

from iplog_bogus_flags import BogusFlags
from iplog_core.testing import Packets, icmp, tcp, udp_exchange
from iplog_core.testing.conformance import DetectorConformance
from iplog_core.testing.packets import SERVER


class TestConformance(DetectorConformance):
    detector = BogusFlags
    rounds = 100

    def packets(self) -> Packets:
        impossible = [tcp(dport=port, flags="SF", at=port / 10) for port in range(1, 31)]
        fingerprint = [icmp(code=123), icmp(type=13, payload=bytes(12), at=0.1), icmp(type=17, payload=bytes(4), at=0.2)]
        return [impossible, fingerprint, tcp(SERVER, SERVER, sport=139, dport=139, at=1), udp_exchange(at=200), tcp(flags="SR", at=201)]
