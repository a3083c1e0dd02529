"""What counts as a flood: the rate, and what came back."""

import random
import struct

import pytest

from iplog_core.testing import connection, handshake, icmp, icmp6, in_order, ping, refused, tcp, udp, udp_exchange, udp_refused
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6
from iplog_flood import Flood

FAMILIES = pytest.mark.parametrize(("source", "target"), [(CLIENT, SERVER), (CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])


# Each kind with what it is made of, `packet(n, at)`, and the settings that make 100 packets at once one.
def attempt(n, at):
    return tcp(sport=10000 + n, dport=80, at=at)


def stray(n, at):
    """An ACK without a connection, and the RST that it meets."""
    return [tcp(sport=10000 + n, dport=80, flags="A", at=at), tcp(SERVER, CLIENT, sport=80, dport=10000 + n, flags="R", at=at)]


def reset(n, at):
    return tcp(sport=10000 + n, dport=80, flags="R", at=at)


def datagram(n, at):
    return udp(sport=10000 + n, dport=9, at=at)


def echo(n, at):
    return icmp(seq=n, at=at)


KINDS = [(attempt, "syn", "syn_flood"), (stray, "tcp", "ack_flood"), (reset, "tcp", "rst_flood"), (datagram, "udp", "udp_flood"), (echo, "ping", "ping_flood")]
EVERY_KIND = pytest.mark.parametrize(("packet", "setting", "kind"), KINDS)


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def kinds(alerts):
    return [alert.kind for alert in starts(alerts)]


def settings(setting, rate, burst):
    return {f"{setting}_rate": rate, f"{setting}_burst": burst}


def by_lot(count, seed=4):
    """Source addresses as flooding tools draw them: any at all."""
    numbers = random.Random(seed)
    return [".".join(str(numbers.randrange(256)) for _ in range(4)) for _ in range(count)]


def one_way(packets, source):
    """What a sensor sees of a talk where the way back is another."""
    address = bytes(map(int, source.split(".")))
    return [frame for frame in in_order(packets) if frame.datagram[12:16] == address]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@EVERY_KIND
def test_what_overflows_the_bucket_is_a_flood(run_detector, packet, setting, kind, batch_size):
    packets = [packet(n, n / 10000) for n in range(110)]
    assert kinds(run_detector(Flood, **settings(setting, 1, 100)).feed(packets, batch_size)) == [kind]


@EVERY_KIND
def test_one_packet_less_than_the_bucket_holds_is_none(run_detector, packet, setting, kind):
    packets = [packet(n, n / 10000) for n in range(99)]
    assert run_detector(Flood, **settings(setting, 1, 100)).feed(packets) == []


@EVERY_KIND
def test_packets_at_the_rate_are_no_flood_however_long(run_detector, packet, setting, kind):
    packets = [packet(n, n / 10) for n in range(100)]
    assert run_detector(Flood, **settings(setting, 10, 20)).feed(packets) == []


@EVERY_KIND
def test_a_flood_names_its_victim_and_the_one_source(run_detector, packet, setting, kind):
    (flood,) = starts(run_detector(Flood, **settings(setting, 1, 100)).feed(packet(n, n / 10000) for n in range(110)))
    assert (flood.src_ip, flood.dest_ip) == (CLIENT, SERVER)


@EVERY_KIND
def test_a_flood_ends_once_it_was_quiet(run_detector, packet, setting, kind):
    packets = [packet(n, n / 10000) for n in range(110)]
    alerts = run_detector(Flood, **settings(setting, 1, 100)).feed([packets, connection(dport=443, at=600)])
    assert [alert.state for alert in alerts if alert.kind == kind] == ["start", "end"]


@EVERY_KIND
def test_what_a_rule_ignores_is_not_counted(run_detector, packet, setting, kind):
    packets = [packet(n, n / 10000) for n in range(110)]
    protocol = {"udp_flood": "udp", "ping_flood": "icmp"}.get(kind, "tcp")
    assert run_detector(Flood, **settings(setting, 1, 100)).feed(packets, rules=[f"ignore {protocol} to {SERVER}"]) == []


# SYN floods.


def test_a_flood_from_random_sources_blames_nobody_and_names_its_victim(run_detector):
    packets = [tcp(source, dport=80, at=n / 1000) for n, source in enumerate(by_lot(800))]
    (flood,) = starts(run_detector(Flood).feed(packets))
    assert (flood.kind, flood.src_ip, flood.dest_ip, flood.dest_port, flood.severity) == ("syn_flood", None, SERVER, 80, "high")
    assert (flood.evidence.sources, flood.evidence.source_count) == (None, flood.packets)


def test_a_flood_that_changes_source_and_port_with_each_packet_is_one(run_detector):
    packets = [tcp(source, dport=1 + n, at=n / 2000) for n, source in enumerate(by_lot(800))]
    (flood,) = starts(run_detector(Flood).feed(packets))
    assert (flood.kind, flood.src_ip, flood.dest_ip, flood.dest_port) == ("syn_flood", None, SERVER, None)


def test_a_flood_by_a_few_sources_is_one_that_names_them(run_detector):
    sources = [f"198.51.100.{n}" for n in range(1, 6)]
    (flood,) = starts(run_detector(Flood).feed(tcp(sources[n % 5], sport=10000 + n, at=n / 2000) for n in range(800)))
    assert (flood.src_ip, sorted(flood.evidence.sources), flood.evidence.source_count) == (None, sources, 5)


def test_who_floods_a_busy_service_is_named_all_the_same(run_detector):
    visits = [handshake(f"203.0.113.{n % 250}", sport=10000 + n, at=n / 50 + 0.0005) for n in range(100)]
    floods = run_detector(Flood).feed([visits, [tcp(sport=20000 + n, at=n / 500) for n in range(1000)]])
    assert {(flood.kind, flood.src_ip, flood.id) for flood in floods} == {("syn_flood", CLIENT, floods[0].id)}


@FAMILIES
def test_syns_that_are_copies_of_one_packet_are_a_flood(run_detector, source, target):
    assert kinds(run_detector(Flood).feed(tcp(source, target, at=n / 1000) for n in range(500))) == ["syn_flood"]


@FAMILIES
def test_syns_that_are_refused_are_a_flood_too(run_detector, source, target):
    assert kinds(run_detector(Flood).feed(refused(source, target, sport=10000 + n, at=n / 1000) for n in range(500))) == ["syn_flood"]


def test_a_busy_service_that_answers_is_none(run_detector):
    visits = [handshake(f"198.51.100.{n % 250}", sport=10000 + n, at=n / 1000) for n in range(1000)]
    assert run_detector(Flood).feed(visits) == []


def test_a_crowd_from_far_away_with_hundreds_of_attempts_under_way_is_none(run_detector):
    def visit(n, at):
        return [tcp(f"198.18.{n // 250}.{n % 250}", at=at), tcp(f"198.18.{n // 250}.{n % 250}", flags="A", seq=1001, ack=1, at=at + 0.3)]

    # It grows from nothing to 2,400 visitors a second, of whom more than 600 wait for their answer.
    assert run_detector(Flood).feed(visit(n, (n / 1000) ** 0.5) for n in range(1500)) == []


def test_a_crowd_seen_in_one_direction_only_is_none(run_detector):
    visits = [handshake(f"198.51.100.{n % 250}", sport=10000 + n, at=n / 1000, payload=b"GET /") for n in range(800)]
    assert run_detector(Flood).feed([frame for visit in visits for frame in (visit[0], *visit[2:])]) == []


def test_a_service_that_is_down_and_was_used_before_is_none(run_detector):
    assert run_detector(Flood).feed([handshake(), [refused(sport=10000 + n, at=1 + n / 1000) for n in range(1000)]]) == []


@FAMILIES
def test_a_scan_of_every_port_is_no_flood(run_detector, source, target):
    assert run_detector(Flood).feed(refused(source, target, dport=n, at=n / 10000) for n in range(1, 1000)) == []


def test_a_scan_by_twenty_sources_or_with_as_many_decoys_is_no_flood(run_detector):
    probes = [refused(f"198.51.100.{n}", dport=port, at=port / 500 + n / 50000) for port in range(1, 60) for n in range(1, 21)]
    assert run_detector(Flood).feed(probes) == []


# UDP floods.


def test_datagrams_that_are_refused_and_go_on_are_a_flood(run_detector):
    packets = [udp_refused(sport=4000, dport=9, at=0), [udp(sport=4000, dport=9, at=n / 1500) for n in range(1, 800)]]
    assert kinds(run_detector(Flood).feed(packets)) == ["udp_flood"]


@pytest.mark.parametrize("ports", [lambda n: 9, lambda n: 1 + n], ids=["one port", "changing ports"])
def test_datagrams_from_random_sources_are_a_flood_that_blames_nobody(run_detector, ports):
    packets = [udp(source, sport=10000 + n, dport=ports(n), at=n / 2000) for n, source in enumerate(by_lot(800))]
    (flood,) = starts(run_detector(Flood).feed(packets))
    assert (flood.kind, flood.src_ip, flood.dest_ip) == ("udp_flood", None, SERVER)


@pytest.mark.parametrize("payload", [b"", b"X" * 64, b"X" * 5])
@FAMILIES
def test_copies_of_one_datagram_are_a_flood_though_nobody_refuses_them(run_detector, source, target, payload):
    assert kinds(run_detector(Flood).feed(udp(source, target, sport=4000, dport=9, payload=payload, at=n / 5000) for n in range(1200))) == ["udp_flood"]


@pytest.mark.parametrize("payload", [lambda n: struct.pack("!HHI", 0x8060, n, 160 * n) + bytes(160), lambda n: bytes(1392) + struct.pack("!Q", n)])
def test_a_fast_stream_whose_datagrams_differ_is_none(run_detector, payload):
    assert run_detector(Flood).feed(udp(sport=4000, dport=5004, payload=payload(n), at=n / 5000) for n in range(1200)) == []


@pytest.mark.parametrize(
    ("sport", "dport", "size"), [(5004, 5004, 172), (443, 50000, 1250), (51820, 51820, 1420), (40000, 514, 200), (40000, 2055, 1400), (40000, 5201, 1460)]
)
def test_a_stream_that_only_goes_one_way_is_none(run_detector, sport, dport, size):
    assert run_detector(Flood).feed(udp(sport=sport, dport=dport, payload=bytes(size), at=n / 2000) for n in range(1000)) == []


def test_what_many_hosts_send_to_one_collector_is_none(run_detector):
    assert run_detector(Flood).feed(udp(f"198.51.100.{n % 200}", dport=514, payload=b"<30>hello", at=n / 2000) for n in range(1000)) == []


def test_a_busy_udp_service_that_answers_is_none(run_detector):
    asked = [udp_exchange(sport=10000 + n, dport=3478, at=n / 3000) for n in range(1000)]
    assert run_detector(Flood).feed(asked) == []


DNS_QUESTION = struct.pack("!6H", 1, 0x100, 1, 0, 0, 1) + b"\x07example\0\0\1\0\1"
NTP_QUESTION = b"\x23" + bytes(47)
QUIC_INITIAL = b"\xc3\0\0\0\1" + bytes(1195)


@pytest.mark.parametrize(("port", "question"), [(53, DNS_QUESTION), (123, NTP_QUESTION), (443, QUIC_INITIAL)], ids=["DNS", "NTP", "QUIC"])
def test_the_questions_to_a_busy_server_are_none_where_its_answers_go_another_way(run_detector, port, question):
    asked = [udp(f"198.51.{n % 50}.{n % 250}", sport=10000 + n, dport=port, payload=question, at=n / 2000) for n in range(1000)]
    assert run_detector(Flood).feed(asked) == []


@pytest.mark.parametrize("payload", [b"", b"X" * 120])
def test_what_asks_a_name_server_nothing_is_a_flood(run_detector, payload):
    assert kinds(run_detector(Flood).feed(udp(sport=10000 + n, dport=53, payload=payload, at=n / 2000) for n in range(800))) == ["udp_flood"]


def test_the_answers_that_a_resolver_gets_are_none_where_its_questions_go_another_way(run_detector):
    answers = [udp(f"198.51.{n % 200}.{n % 250}", sport=53, dport=20000 + n, payload=bytes(80), at=n / 2000) for n in range(1000)]
    assert run_detector(Flood).feed(answers) == []


def test_datagrams_to_a_group_are_none(run_detector):
    assert run_detector(Flood).feed(udp(dst="239.1.1.1", sport=10000 + n, dport=5004, at=n / 5000) for n in range(1000)) == []


def test_a_fast_udp_scan_is_none(run_detector):
    assert run_detector(Flood).feed(udp_refused(dport=n, at=n / 3000) for n in range(1, 1200)) == []


# Ping floods.


@pytest.mark.parametrize("answered", [True, False])
@FAMILIES
def test_pings_faster_than_anybody_waits_for_are_a_flood(run_detector, source, target, answered):
    pings = [frame for n in range(400) for frame in ping(source, target, ident=n, answered=answered, at=n / 500)]
    (flood,) = starts(run_detector(Flood).feed(pings))
    assert (flood.kind, flood.severity, flood.signature, flood.src_ip, flood.dest_ip) == ("ping_flood", "medium", "ICMP: ping flood", source, target)


def test_pings_from_random_sources_are_a_flood_that_blames_nobody(run_detector):
    (flood,) = starts(run_detector(Flood).feed(icmp(source, at=n / 2000) for n, source in enumerate(by_lot(1000))))
    assert (flood.kind, flood.src_ip, flood.dest_ip) == ("ping_flood", None, SERVER)


def test_who_floods_a_host_that_others_ping_is_named(run_detector):
    others = [ping(f"203.0.113.{n}", ident=n, count=5, at=n / 50) for n in range(50)]
    (flood,) = starts(run_detector(Flood).feed([others, [icmp(seq=n, at=n / 500) for n in range(1000)]]))
    assert flood.src_ip == CLIENT


def test_a_ping_each_second_for_hours_is_none(run_detector):
    assert run_detector(Flood).feed(ping(count=1000)) == []


@pytest.mark.parametrize("answered", [True, False])
def test_many_hosts_that_ping_one_host_a_little_are_none(run_detector, answered):
    pings = [ping(f"198.51.{n // 100}.{n % 100}", ident=n, count=3, answered=answered, at=n / 200) for n in range(200)]
    assert run_detector(Flood).feed(pings) == []


def test_pings_of_many_hosts_are_none(run_detector):
    assert run_detector(Flood).feed(ping(dst=f"192.0.{n // 250}.{n % 250}", ident=n, at=n / 1000) for n in range(800)) == []


@pytest.mark.parametrize(("reply", "kind", "source", "target"), [(icmp, 0, CLIENT, SERVER), (icmp6, 129, CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])
def test_replies_alone_are_none(run_detector, reply, kind, source, target):
    assert run_detector(Flood).feed(reply(source, target, type=kind, seq=n, at=n / 2000) for n in range(1000)) == []


# ACK and RST floods.


def test_acks_from_forged_sources_are_a_flood_though_nobody_refuses_them(run_detector):
    packets = [tcp(source, sport=10000 + n, flags="A", at=n / 2000) for n, source in enumerate(by_lot(1000))]
    (flood,) = starts(run_detector(Flood).feed(packets))
    assert (flood.kind, flood.src_ip, flood.dest_ip, flood.dest_port) == ("ack_flood", None, SERVER, 80)


def test_acks_with_data_that_are_refused_are_a_flood_too(run_detector):
    def sent(n):
        return [tcp(sport=10000 + n, flags="PA", payload=b"X" * 60, at=n / 2000), tcp(SERVER, CLIENT, sport=80, dport=10000 + n, flags="R", at=n / 2000)]

    assert kinds(run_detector(Flood).feed(sent(n) for n in range(800))) == ["ack_flood"]


def test_connections_that_began_before_the_capture_are_none(run_detector):
    middle = [[tcp(sport=n, flags="A", at=n / 2000), tcp(SERVER, CLIENT, sport=80, dport=n, flags="A", at=n / 2000 + 0.001)] for n in range(1, 1200)]
    assert run_detector(Flood).feed(middle) == []


def test_hundreds_of_connections_in_mid_stream_seen_in_one_direction_are_none(run_detector):
    middle = [tcp(f"198.51.{n // 250}.{n % 250}", sport=10000 + n, flags="A", seq=n, ack=n, at=n / 5000) for n in range(1500)]
    assert run_detector(Flood).feed(middle) == []


def test_a_fast_ack_scan_is_none(run_detector):
    scan = [[tcp(sport=50000, dport=n, flags="A", at=n / 5000), tcp(SERVER, CLIENT, sport=n, dport=50000, flags="R", at=n / 5000)] for n in range(1, 1200)]
    assert run_detector(Flood).feed(scan) == []


def test_resets_from_random_sources_are_a_flood_that_blames_nobody(run_detector):
    (flood,) = starts(run_detector(Flood).feed(tcp(source, flags="R", at=n / 2000) for n, source in enumerate(by_lot(1000))))
    assert (flood.kind, flood.src_ip, flood.dest_ip, flood.dest_port) == ("rst_flood", None, SERVER, 80)


@pytest.mark.parametrize("sees_probes", [True, False])
def test_the_resets_of_a_host_that_is_being_scanned_are_none(run_detector, sees_probes):
    scan = [refused(sport=50000, dport=n, at=n / 5000) for n in range(1, 1200)]
    assert run_detector(Flood).feed(scan if sees_probes else one_way(scan, SERVER)) == []


def test_the_resets_of_a_host_that_is_flooded_are_none(run_detector):
    flood = [refused(sport=2000 + n, dport=81, at=n / 5000) for n in range(1200)]
    assert run_detector(Flood).feed(one_way(flood, SERVER)) == []


@pytest.mark.parametrize("flags", ["F", "FPU", "", "SA", "FA"])
def test_a_flood_of_another_sort_gets_no_wrong_name(run_detector, flags):
    assert run_detector(Flood).feed(tcp(sport=10000 + n, flags=flags, at=n / 2000) for n in range(1200)) == []
