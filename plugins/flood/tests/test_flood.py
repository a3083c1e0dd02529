"""What counts as a flood: the rate, and what came back."""

import pytest

from iplog_core.testing import connection, handshake, icmp, icmp6, ping, refused, tcp, udp, udp_exchange
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6
from iplog_flood import Flood

FAMILIES = pytest.mark.parametrize(("source", "target"), [(CLIENT, SERVER), (CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])


# Each kind with what it is made of, `packet(n, at)`, and the settings that make 100 packets at once one.
def attempt(n, at):
    return tcp(sport=10000 + n, dport=80, at=at)


def stray(n, at):
    return tcp(sport=10000 + n, dport=80, flags="A", at=at)


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
    packets = [packet(n, n / 10) for n in range(500)]
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


def test_a_flood_from_random_sources_blames_nobody_and_names_its_victim(run_detector):
    packets = [tcp(f"198.51.{n % 100}.{n // 2}", dport=80, at=n / 1000) for n in range(400)]
    (flood,) = starts(run_detector(Flood).feed(packets))
    assert (flood.kind, flood.src_ip, flood.dest_ip, flood.dest_port, flood.severity) == ("syn_flood", None, SERVER, 80, "high")
    assert (flood.evidence.sources, flood.evidence.source_count) == (None, flood.packets)


@FAMILIES
def test_syns_that_are_copies_of_one_packet_are_a_flood(run_detector, source, target):
    assert kinds(run_detector(Flood).feed(tcp(source, target, at=n / 1000) for n in range(400))) == ["syn_flood"]


@FAMILIES
def test_syns_that_are_refused_are_a_flood_too(run_detector, source, target):
    assert kinds(run_detector(Flood).feed(refused(source, target, sport=10000 + n, at=n / 1000) for n in range(400))) == ["syn_flood"]


def test_a_busy_service_that_answers_is_none(run_detector):
    visits = [handshake(f"198.51.100.{n % 250}", sport=10000 + n, at=n / 1000) for n in range(5000)]
    assert run_detector(Flood).feed(visits) == []


def test_a_scan_of_many_ports_is_no_flood(run_detector):
    assert run_detector(Flood).feed(refused(dport=n, at=n / 1000) for n in range(1, 3000)) == []


@pytest.mark.parametrize(("echo", "kind", "source", "target"), [(icmp, 8, CLIENT, SERVER), (icmp6, 128, CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])
def test_pings_faster_than_anybody_waits_for_are_a_flood(run_detector, echo, kind, source, target):
    (flood,) = starts(run_detector(Flood).feed(echo(source, target, type=kind, seq=n, at=n / 500) for n in range(1000)))
    assert (flood.kind, flood.severity, flood.signature) == ("ping_flood", "medium", "ICMP: ping flood")


def test_a_ping_each_second_for_hours_is_none(run_detector):
    assert run_detector(Flood).feed(ping(count=5000)) == []


def test_pings_of_many_hosts_are_none(run_detector):
    assert run_detector(Flood).feed(ping(dst=f"192.0.{n // 250}.{n % 250}", ident=n, at=n / 1000) for n in range(2000)) == []


def test_a_busy_udp_service_that_answers_is_none(run_detector):
    asked = [udp_exchange(sport=10000 + n, at=n / 3000) for n in range(5000)]
    assert run_detector(Flood).feed(asked) == []


def test_a_stream_of_datagrams_to_one_who_answers_is_none(run_detector):
    call = [udp_exchange(dport=5004, at=0), [udp(dport=5004, at=0.1 + n / 5000) for n in range(5000)]]
    assert run_detector(Flood).feed(call) == []


def test_datagrams_to_a_group_are_none(run_detector):
    assert run_detector(Flood).feed(udp(dst="239.1.1.1", dport=5004, at=n / 5000) for n in range(5000)) == []


def test_the_resets_of_a_host_that_is_being_scanned_are_none(run_detector):
    assert "rst_flood" not in kinds(run_detector(Flood).feed(refused(dport=n, at=n / 5000) for n in range(1, 5000)))


def test_connections_that_began_before_the_capture_are_none(run_detector):
    middle = [[stray(n, n / 2000), tcp(SERVER, CLIENT, sport=80, dport=10000 + n, flags="A", at=n / 2000 + 0.001)] for n in range(5000)]
    assert run_detector(Flood).feed(middle) == []


def test_what_a_rule_ignores_is_not_counted(run_detector):
    assert run_detector(Flood).feed((attempt(n, n / 1000) for n in range(400)), rules=["ignore tcp dport 80"]) == []
