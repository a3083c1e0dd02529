"""Which fragments are an attack, and which are ordinary."""

import pytest

from iplog_core.testing import fragment, fragments, icmp, tcp, udp
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6
from iplog_frag import Frag

FAMILIES = pytest.mark.parametrize(("source", "target"), [(CLIENT, SERVER), (CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def kinds(alerts):
    return [alert.kind for alert in starts(alerts)]


def overlapping(source, target, at=0.0, ident=7):
    """The teardrop: the second piece lies inside the first."""
    return [
        fragment(source, target, ident=ident, payload=bytes(40), more=True, at=at),
        fragment(source, target, ident=ident, offset=24, payload=bytes(8), at=at + 0.1),
    ]


def oversized(source, target):
    """The ping of death: the datagram's last byte would be beyond 65,535."""
    return [fragment(source, target, offset=65528, payload=bytes(400))]


def repeated(source, target):
    return [fragment(source, target, payload=bytes(40), more=True, at=at) for at in (0, 0.1)]


def tiny(source, target):
    """A first piece that ends before the TCP flags."""
    return fragments(tcp(source, target, df=False), 8)


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@FAMILIES
@pytest.mark.parametrize(
    ("attack", "kind", "severity"),
    [
        (overlapping, "fragment_overlap", "medium"),
        (oversized, "fragment_oversized", "high"),
        (repeated, "fragment_duplicate", "info"),
        (tiny, "fragment_tiny", "medium"),
    ],
)
def test_one_hostile_fragment_is_reported(run_detector, attack, kind, severity, source, target, batch_size):
    (alert,) = starts(run_detector(Frag).feed(attack(source, target), batch_size))
    assert (alert.kind, alert.severity, alert.src_ip, alert.dest_ip) == (kind, severity, source, target)


@FAMILIES
@pytest.mark.parametrize("size", [512, 1480])
def test_a_datagram_too_large_for_one_packet_is_ordinary(run_detector, source, target, size):
    assert run_detector(Frag).feed(fragments(udp(source, target, payload=bytes(8000), df=False), size)) == []


def test_a_large_ping_is_ordinary(run_detector):
    assert run_detector(Frag).feed(fragments(icmp(payload=bytes(65000), df=False), 1480)) == []


def test_pieces_that_come_in_another_order_are_ordinary(run_detector):
    pieces = fragments(udp(payload=bytes(8000), df=False), 1480)
    assert run_detector(Frag).feed([*pieces[:0:-1], pieces[0]]) == []


def test_an_identification_used_again_after_its_datagram_is_ordinary(run_detector):
    assert run_detector(Frag).feed(fragments(udp(payload=bytes(3000), at=at, df=False), 1480) for at in range(5)) == []


def test_a_small_first_piece_that_holds_the_whole_header_is_ordinary(run_detector):
    assert run_detector(Frag).feed(fragments(udp(payload=bytes(64), df=False), 8)) == []


def test_what_one_source_does_to_one_target_again_is_one_episode(run_detector):
    attacks = [overlapping(CLIENT, SERVER, at=n, ident=n) for n in range(12)]
    alerts = run_detector(Frag).feed(attacks)
    assert [(alert.state, alert.packets) for alert in alerts] == [("start", 1), ("update", 10), ("end", 12)]


def test_an_attack_that_comes_again_after_its_end_is_another_one(run_detector):
    alerts = run_detector(Frag).feed([overlapping(CLIENT, SERVER), overlapping(CLIENT, SERVER, at=300)])
    assert [alert.state for alert in alerts] == ["start", "end"] * 2


def test_what_a_rule_ignores_is_not_reported(run_detector):
    assert run_detector(Frag).feed(fragments(tcp(dport=80, df=False), 8), rules=["ignore tcp"]) == []


def pieces(count, per_second):
    """First pieces of datagrams whose rest never comes."""
    return [fragment(f"198.51.100.{n % 250}", SERVER, ident=n, payload=bytes(32), more=True, at=n / per_second) for n in range(count)]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("count", "found"), [(99, []), (110, ["fragment_flood"])])
def test_more_fragments_than_the_rate_lets_off_are_a_flood(run_detector, count, found, batch_size):
    assert kinds(run_detector(Frag, rate=1, burst=100).feed(pieces(count, 100), batch_size)) == found


def test_fragments_at_the_rate_are_no_flood_however_long(run_detector):
    assert run_detector(Frag, rate=10, burst=20).feed(pieces(500, 10)) == []


def test_a_flood_names_its_victim_and_its_sources(run_detector):
    (flood,) = starts(run_detector(Frag, rate=1, burst=100).feed(pieces(120, 100)))
    assert (flood.src_ip, flood.dest_ip, flood.severity) == (None, SERVER, "high")
    assert flood.evidence.source_count == flood.packets
