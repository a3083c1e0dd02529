"""It keeps to what every detector must, whatever its tables count."""

from __future__ import annotations

from iplog_core.testing import Packets, half_open, icmp, refused, tcp, udp_exchange
from iplog_core.testing.conformance import DetectorConformance
from iplog_threshold import Threshold


class TestConformance(DetectorConformance):
    detector = Threshold
    settings = {
        "telnet": {"match": "tcp dport 23", "flags": "syn !ack", "key": "pair"},
        "many_hosts": {"match": "tcp", "count": "contacts", "key": "source_port", "distinct": "dest", "threshold": 6},
        "doors": {"match": "tcp dport 22", "outcome": "failed", "count": "contacts", "threshold": 4},
        "large_pings": {"match": "icmp type echo", "min_size": 1000, "threshold": 3},
    }

    def packets(self) -> Packets:
        doors = [refused(dst=f"192.0.2.{host}", dport=22, at=host) for host in range(1, 8)]
        knocks = [half_open(dst=f"192.0.2.{host}", dport=8765, at=10 + host / 10) for host in range(1, 8)]
        pings = [icmp(payload=bytes(1400), at=20 + number) for number in range(4)]
        return [doors, knocks, tcp(dport=23, at=15), pings, udp_exchange(at=5400)]
