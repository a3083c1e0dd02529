"""Which fragments are an attack, and which are ordinary."""

import random
from dataclasses import replace

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


def without_end(source, target):
    """Bonk: the first piece ends amid a unit of eight bytes, though more follow."""
    return [fragment(source, target, payload=bytes(28), more=True), fragment(source, target, offset=32, payload=bytes(3), at=0.1)]


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
        (without_end, "fragment_overlap", "medium"),
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


def test_fragmented_probes_that_hold_the_flags_are_ordinary(run_detector):
    assert run_detector(Frag).feed(fragments(tcp(dport=port, df=False, at=port / 100), 16, ident=port) for port in range(1, 200)) == []


def test_an_identification_that_comes_round_is_ordinary(run_detector):
    lost = fragments(udp(payload=bytes(8000), df=False), 1480)[::2]
    later = fragments(udp(payload=bytes(5000), df=False, at=6), 1480)
    assert run_detector(Frag).feed([lost, later]) == []


def test_what_one_source_does_to_one_target_again_is_one_episode(run_detector):
    attacks = [overlapping(CLIENT, SERVER, at=n, ident=n) for n in range(12)]
    alerts = run_detector(Frag).feed(attacks)
    assert [(alert.state, alert.packets) for alert in alerts] == [("start", 1), ("update", 10), ("end", 12)]


def test_an_attack_that_comes_again_after_its_end_is_another_one(run_detector):
    alerts = run_detector(Frag).feed([overlapping(CLIENT, SERVER), overlapping(CLIENT, SERVER, at=300)])
    assert [alert.state for alert in alerts] == ["start", "end"] * 2


def test_what_a_rule_ignores_is_not_reported(run_detector):
    assert run_detector(Frag).feed(fragments(tcp(dport=80, df=False), 8), rules=["ignore tcp"]) == []


@FAMILIES
@pytest.mark.parametrize("size", [1472, 8000, 65000])
def test_any_rate_of_large_datagrams_that_become_whole_is_ordinary(run_detector, source, target, size):
    assert run_detector(Frag, rate=1, burst=10).feed(whole(source, target, size)) == []


@pytest.mark.parametrize("copies", [2, 3])
def test_a_capture_that_holds_each_piece_several_times_shows_no_more_than_duplicates(run_detector, copies):
    pieces = [[piece] * copies for pieces in whole(CLIENT, SERVER, 4000) for piece in pieces]
    assert set(kinds(run_detector(Frag, rate=1, burst=10).feed(pieces))) == {"fragment_duplicate"}


def test_a_capture_that_begins_amid_a_datagram_shows_nothing(run_detector):
    first, *others = whole(CLIENT, SERVER, 8000)
    assert run_detector(Frag, rate=1, burst=10).feed([first[3:], *others]) == []


def test_a_capture_that_cut_its_packets_shows_nothing(run_detector):
    cut = [replace(piece, data=piece.data[:64], wire_length=len(piece.data)) for pieces in whole(CLIENT, SERVER, 8000) for piece in pieces]
    assert run_detector(Frag, rate=1, burst=10).feed(cut) == []


@pytest.mark.parametrize(("size", "loss"), [(2000, 0.2), (8000, 0.1), (60000, 0.1)])
def test_a_capture_that_lost_packets_of_a_busy_stream_shows_nothing(run_detector, size, loss):
    rng = random.Random(5)
    assert run_detector(Frag).feed([piece for piece in pieces if rng.random() > loss] for pieces in whole(CLIENT, SERVER, size, count=1000)) == []


@pytest.mark.parametrize("idents", [1, 20])
def test_identifications_that_are_soon_used_again_are_ordinary(run_detector, idents):
    assert run_detector(Frag, rate=1, burst=10).feed(whole(CLIENT, SERVER, 8000, idents=idents)) == []


def whole(source, target, size, count=200, idents=65536):
    """Datagrams in their pieces, a thousand a second."""
    return [fragments(udp(source, target, sport=2049, payload=bytes(size), df=False, at=n / 1000), 1480, ident=n % idents, gap=1e-6) for n in range(count)]


FLOODS = {"first pieces": (0, True), "pieces of the middle": (1480, True), "last pieces": (1480, False), "pieces that begin at byte eight": (8, False)}


def pieces(count, per_second, source="198.51.100.{}", target=SERVER, offset=0, more=True):
    """Single pieces of datagrams whose rest never comes, from 250 sources in turn."""
    return [fragment(source.format(n % 250), target, ident=n, offset=offset, payload=bytes(32), more=more, at=n / per_second) for n in range(count)]


@FAMILIES
@pytest.mark.parametrize(("offset", "more"), FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize("spread", [False, True], ids=["one source", "many sources"])
def test_pieces_whose_datagrams_never_become_whole_are_a_flood(run_detector, source, target, offset, more, spread):
    names = (source.rstrip("7") + "{}") if spread else source
    (flood,) = starts(run_detector(Frag).feed(pieces(2000, 10000, names, target, offset, more)))
    assert (flood.kind, flood.src_ip, flood.dest_ip) == ("fragment_flood", None if spread else source, target)


@FAMILIES
def test_datagrams_that_all_lack_their_last_piece_are_a_flood(run_detector, source, target):
    assert kinds(run_detector(Frag).feed(datagram[:-1] for datagram in whole(source, target, 8000, count=1500))) == ["fragment_flood"]


@pytest.mark.parametrize(("idents", "places"), [(1, 1), (1, 8000), (50, 1)])
def test_pieces_of_few_datagrams_without_end_are_a_flood(run_detector, idents, places):
    sent = [fragment(CLIENT, SERVER, ident=n % idents, offset=8 * (n % places), more=True, at=n / 10000) for n in range(4000)]
    assert "fragment_flood" in kinds(run_detector(Frag).feed(sent))


def test_a_flood_is_seen_beside_whole_datagrams_of_another_source(run_detector):
    honest = whole("198.51.100.201", SERVER, 8000, count=1000)
    assert kinds(run_detector(Frag).feed([*honest, *pieces(4000, 4000, "203.0.113.{}")])) == ["fragment_flood"]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("count", "found"), [(99, []), (110, ["fragment_flood"])])
def test_more_pieces_than_the_rate_lets_off_are_a_flood(run_detector, count, found, batch_size):
    assert kinds(run_detector(Frag, rate=1, burst=100).feed(pieces(count, 100), batch_size)) == found


def test_pieces_at_the_rate_are_no_flood_however_long(run_detector):
    assert run_detector(Frag, rate=10, burst=20).feed(pieces(500, 10)) == []


def test_a_flood_names_its_victim_and_its_sources(run_detector):
    (flood,) = starts(run_detector(Frag, rate=1, burst=100).feed(pieces(120, 100)))
    assert (flood.src_ip, flood.dest_ip, flood.severity) == (None, SERVER, "high")
    assert flood.evidence.source_count == flood.packets


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_a_fault_under_many_names_is_told_of_the_victim(run_detector, batch_size):
    attacks = [overlapping(f"203.0.113.{n}", SERVER, at=n / 100) for n in range(40)]
    alerts = starts(run_detector(Frag).feed(attacks, batch_size))
    assert [(alert.src_ip, alert.dest_ip) for alert in alerts] == [*((f"203.0.113.{n}", SERVER) for n in range(4)), (None, SERVER)]
