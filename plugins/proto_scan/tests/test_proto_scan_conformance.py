"""It keeps to what every detector must."""

from __future__ import annotations

from iplog_core.testing import Packets, ip, sctp, udp_exchange
from iplog_core.testing.conformance import DetectorConformance
from iplog_proto_scan import ProtoScan


class TestConformance(DetectorConformance):
    detector = ProtoScan

    def packets(self) -> Packets:
        protocols = [ip(proto=number, payload=bytes(20), at=number / 100) for number in range(150, 180)]
        return [protocols, [sctp(dport=port, at=port / 10) for port in range(1, 30)], udp_exchange(at=3600)]
