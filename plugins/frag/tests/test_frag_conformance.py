"""It keeps to what every detector must."""

from __future__ import annotations

from iplog_core.testing import Packets, fragment, fragments, tcp, udp, udp_exchange
from iplog_core.testing.conformance import DetectorConformance
from iplog_frag import Frag


class TestConformance(DetectorConformance):
    detector = Frag

    # Nothing that is saved has the pieces of a datagram that is not whole: there is a packet between any two datagrams that the suite cuts apart.
    def packets(self) -> Packets:
        teardrop = [fragment(payload=bytes(40), more=True), fragment(offset=24, payload=bytes(8), at=0.1)]
        repeated = [fragment(ident=8, payload=bytes(40), more=True, at=at) for at in (1, 1.1, 1.2)]
        oversized = fragment(ident=9, offset=65528, payload=bytes(400), at=2)
        return [
            teardrop,
            udp(at=0.5),
            repeated,
            oversized,
            fragments(tcp(df=False, at=3), 8),
            udp_exchange(at=1000),
            fragment(payload=bytes(3), more=True, at=1001),
        ]
