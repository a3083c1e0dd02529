"""The Community ID of alerts is what the library of its authors calculates."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from communityid import CommunityID, FlowTuple

from iplog_core import AlertKind, Detector, DetectorSettings, PacketBatch
from iplog_core.testing import Frame, arp, icmp, icmp6, sctp, tcp, udp
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6
from iplog_core.testing.run import DetectorRun


class Seen(Detector[DetectorSettings]):
    """Every pair of hosts."""

    name = "seen"
    kinds = {"seen": AlertKind("IP: seen", "low")}

    def setup(self) -> None:
        self.pairs = self.tracker(key="pair", threshold=1, memory=60, expiry=60)

    def on_batch(self, batch: PacketBatch) -> None:
        for pair in self.pairs.update(batch, where=batch.kind > 0):
            self.alert("seen", pair)


@pytest.mark.parametrize(
    ("packet", "flow"),
    [
        (tcp(sport=40000, dport=80), FlowTuple.make_tcp(CLIENT, SERVER, 40000, 80)),
        (tcp(SERVER, CLIENT, sport=80, dport=40000), FlowTuple.make_tcp(CLIENT, SERVER, 40000, 80)),
        (tcp(CLIENT6, SERVER6, sport=40000, dport=80), FlowTuple.make_tcp(CLIENT6, SERVER6, 40000, 80)),
        (tcp(CLIENT, CLIENT, sport=256, dport=255), FlowTuple.make_tcp(CLIENT, CLIENT, 256, 255)),
        (tcp("::1", "::ffff:192.0.2.1", sport=0, dport=1), FlowTuple.make_tcp("::1", SERVER, 0, 1)),
        (udp(SERVER6, CLIENT6, sport=53, dport=65535), FlowTuple.make_udp(SERVER6, CLIENT6, 53, 65535)),
        (sctp(sport=7, dport=80), FlowTuple.make_sctp(CLIENT, SERVER, 7, 80)),
        (icmp(type=8, code=0), FlowTuple.make_icmp(CLIENT, SERVER, 8, 0)),
        (icmp(type=3, code=1), FlowTuple.make_icmp(CLIENT, SERVER, 3, 1)),
        (icmp6(type=129, code=0), FlowTuple.make_icmp6(CLIENT6, SERVER6, 129, 0)),
    ],
)
def test_an_alert_has_the_community_id_of_its_flow(run_detector: Callable[..., DetectorRun], packet: Frame, flow: FlowTuple) -> None:
    assert run_detector(Seen).feed([packet])[0].community_id == CommunityID().calc(flow)


def test_an_alert_on_what_has_neither_ports_nor_types_has_no_community_id(run_detector: Callable[..., DetectorRun]) -> None:
    assert run_detector(Seen).feed([arp()])[0].community_id is None
