"""What counts as a UDP scan, and what does not."""

import pytest

from iplog_core.testing import fragments, udp, udp_exchange, udp_refused
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6, Link, nanoseconds
from iplog_udp_scan import UdpScan

FAMILIES = [(CLIENT, SERVER), (CLIENT6, SERVER6)]
HOUR = 3600


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def kinds(alerts):
    return [alert.kind for alert in starts(alerts)]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("source", "target"), FAMILIES, ids=["IPv4", "IPv6"])
def test_a_scan_is_reported_once_at_its_fifth_distinct_port(run_detector, source, target, batch_size):
    probes = [udp_refused(source, target, dport=port, at=port * 6) for port in range(1, 31)]
    (scan,) = starts(run_detector(UdpScan).feed(probes, batch_size))
    assert (scan.kind, scan.src_ip, scan.dest_ip, scan.evidence.dest_ports) == ("udp_scan", source, target, [1, 2, 3, 4, 5])


def test_four_ports_are_no_scan(run_detector):
    assert run_detector(UdpScan).feed(udp_refused(dport=port, at=port) for port in range(1, 5)) == []


@pytest.mark.parametrize(("tried", "found"), [(7, []), (8, ["udp_scan"])])
def test_how_many_ports_make_a_scan_is_a_setting(run_detector, tried, found):
    assert kinds(run_detector(UdpScan, ports=8).feed(udp_refused(dport=port, at=port) for port in range(1, tried + 1))) == found


def test_a_scan_says_who_from_which_ports_and_what_came_back(run_detector):
    probes = [udp_refused(sport=40000 + port % 2, dport=port, at=port) for port in (1, 2, 3, 4)]
    (scan,) = starts(run_detector(UdpScan).feed([probes, udp(dport=5, at=5, payload=bytes(12))]))
    assert (scan.severity, scan.signature, scan.proto, scan.packets, scan.bytes) == ("high", "UDP: scan/flood", "UDP", 5, 4 * 28 + 40)
    assert (scan.evidence.refused, scan.evidence.pending, scan.evidence.src_ports) == (4, 1, [40001, 40000])


def test_one_port_asked_again_and_again_is_no_scan(run_detector):
    assert run_detector(UdpScan).feed(udp_refused(sport=40000 + n, dport=161, at=n) for n in range(100)) == []


def test_ports_that_answer_are_no_scan(run_detector):
    assert run_detector(UdpScan).feed(udp_exchange(dport=port, at=port / 10) for port in range(1, 200)) == []


def test_a_late_answer_takes_its_probe_back(run_detector):
    late = [udp(dport=1, at=0), udp(SERVER, CLIENT, sport=1, dport=40000, at=9)]
    assert run_detector(UdpScan).feed([late, [udp(dport=port, at=10 + port) for port in (2, 3, 4, 5)]]) == []


def test_services_that_answered_before_are_no_evidence_when_they_are_down(run_detector):
    up = [udp_exchange(dport=port, at=port) for port in range(1, 9)]
    down = [udp(sport=50000, dport=port, at=HOUR + port) for port in range(1, 9)]
    assert run_detector(UdpScan).feed([up, down]) == []


@pytest.mark.parametrize("service", [53, 123, 443])
def test_late_answers_of_a_server_are_no_scan_of_its_client(run_detector, service):
    answers = [udp(SERVER, CLIENT, sport=service, dport=port, at=port / 10) for port in range(1024, 1124)]
    assert run_detector(UdpScan).feed(answers) == []


@pytest.mark.parametrize("service", [1900, 3702, 5353, 5355])
def test_answers_to_what_a_group_was_asked_are_no_scan(run_detector, service):
    asked = [udp(CLIENT, "239.255.255.250", sport=port, dport=service, at=port) for port in range(50000, 50020)]
    answers = [udp(SERVER, CLIENT, sport=service, dport=port, at=port + 0.1) for port in range(50000, 50020)]
    assert run_detector(UdpScan).feed([asked, answers]) == []


@pytest.mark.parametrize("group", ["224.0.0.251", "255.255.255.255", "ff02::fb"])
@pytest.mark.parametrize("link", [Link.ETHERNET, Link.RAW], ids=["Ethernet", "raw IP"])
def test_what_is_sent_to_everybody_or_a_group_is_no_scan(run_detector, group, link):
    source = CLIENT6 if ":" in group else CLIENT
    assert run_detector(UdpScan).feed(udp(source, group, dport=port, at=port, link=link) for port in range(1, 50)) == []


@pytest.mark.parametrize("hops", [range(1, 31), range(1, 5)], ids=["near its source", "near its target"])
def test_a_traceroute_is_no_scan(run_detector, hops):
    probes = [udp(dport=33434 + 3 * hop + n, ttl=hop, at=hop + n / 10) for hop in hops for n in range(3)]
    assert run_detector(UdpScan).feed(probes) == []


def test_a_scan_of_the_ports_of_traceroute_is_one(run_detector):
    assert kinds(run_detector(UdpScan).feed(udp_refused(dport=33434 + n, ttl=50, at=n) for n in range(5))) == ["udp_scan"]


def test_a_resolver_that_asks_from_many_ports_is_no_scanner(run_detector):
    asked = [udp_exchange(sport=10000 + n, dst=f"192.0.2.{1 + n % 9}", dport=53, at=n / 10) for n in range(300)]
    assert run_detector(UdpScan).feed(asked) == []


def test_probes_cut_into_fragments_of_eight_bytes_count(run_detector):
    probes = [fragments(udp(dport=port, at=port * 6, payload=bytes(16), df=False), 8, ident=port) for port in range(1, 31)]
    assert kinds(run_detector(UdpScan).feed(probes)) == ["udp_scan"]


def test_what_a_rule_ignores_is_not_counted(run_detector):
    assert run_detector(UdpScan).feed((udp(dport=port, at=port) for port in range(1, 50)), rules=["ignore udp dport 1:1023"]) == []


def test_a_scan_that_comes_again_after_its_end_is_another_one(run_detector):
    scans = [udp_refused(dport=port, at=start + port) for start in (0, HOUR) for port in range(1, 6)]
    alerts = run_detector(UdpScan).feed(scans)
    assert [alert.state for alert in alerts] == ["start", "end"] * 2
    assert alerts[0].id != alerts[2].id


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("failures", "found"), [(9, []), (10, ["udp_sweep"])])
def test_one_port_of_ten_hosts_without_an_answer_is_a_sweep(run_detector, failures, found, batch_size):
    probes = [udp_refused(dst=f"192.0.2.{host}", dport=161, at=host) for host in range(1, failures + 1)]
    assert kinds(run_detector(UdpScan).feed(probes, batch_size)) == found


@pytest.mark.parametrize("network", ["192.0.2.", "2001:db8::"], ids=["IPv4", "IPv6"])
def test_silent_hosts_count_when_their_silence_is_sure(run_detector, network):
    (source, alive) = (CLIENT6, f"{network}99") if ":" in network else (CLIENT, f"{network}99")
    probes = [udp(source, f"{network}{host}", dport=161, at=host / 10) for host in range(1, 12)]
    (sweep,) = starts(run_detector(UdpScan).feed([udp_exchange(source, alive, dport=161), probes, udp_exchange(at=60)]))
    assert (sweep.time, sweep.dest_port, sweep.dest_ip, sweep.evidence.dest_ip_count) == (nanoseconds(1 + 5), 161, None, 10)


def test_a_resolver_whose_answers_are_not_captured_is_no_sweeper(run_detector):
    asked = [udp(dst=f"192.0.2.{host}", sport=20000 + host, dport=53, at=host / 10) for host in range(1, 200)]
    assert run_detector(UdpScan).feed([asked, udp("192.0.2.200", "192.0.2.201", at=60)]) == []


def test_a_client_of_five_services_whose_answers_are_not_captured_is_no_scanner(run_detector):
    asked = [udp(sport=20000 + n, dport=port, at=n) for n in range(20) for port in (53, 123, 161, 443, 514)]
    assert run_detector(UdpScan).feed([asked, udp(at=60)]) == []


def test_streams_of_which_one_direction_is_seen_are_no_scan(run_detector):
    calls = [udp(sport=6000, dport=10000 + 2 * call, payload=bytes(160), at=call + n / 50) for call in range(40) for n in range(50)]
    assert run_detector(UdpScan).feed([calls, udp(at=120)]) == []


def test_peers_behind_one_address_of_which_half_are_gone_are_no_targets(run_detector):
    talks = [(udp_exchange if peer % 2 else udp_refused)(sport=51413, dport=20000 + peer, at=peer) for peer in range(1, 19)]
    assert run_detector(UdpScan).feed(talks) == []


def test_silence_counts_once_the_host_has_answered_anything(run_detector):
    probes = [udp(dport=port, at=port * 6) for port in range(1, 31)]
    (scan,) = starts(run_detector(UdpScan).feed([udp_exchange(dport=53), probes]))
    assert scan.evidence.dest_port_count == 6


def test_a_peer_to_peer_client_of_which_one_direction_is_seen_is_no_scanner(run_detector):
    asked = [udp(sport=51413, dport=20000 + peer, at=peer) for peer in range(1, 16)]
    assert run_detector(UdpScan).feed([asked, udp(at=60)]) == []


def test_twenty_silent_ports_are_a_scan_from_whatever_ports(run_detector):
    (scan,) = starts(run_detector(UdpScan).feed(udp(sport=2000 + port, dport=port, at=port / 100) for port in range(1, 60)))
    assert scan.evidence.dest_port_count == 20


def test_a_scan_with_decoys_is_one_that_names_them_all(run_detector):
    decoys = ["198.51.100.70", CLIENT, "198.51.100.71"]
    probes = [udp_refused(source, dport=port, at=port + n / 100000) for port in range(1, 31) for n, source in enumerate(decoys)]
    (scan,) = starts(run_detector(UdpScan).feed(probes))
    assert (scan.src_ip, scan.dest_ip, scan.evidence.sources) == (None, SERVER, decoys)


def test_how_many_hosts_make_a_sweep_is_a_setting(run_detector):
    probes = [udp_refused(dst=f"192.0.2.{host}", dport=161, at=host) for host in range(1, 5)]
    assert kinds(run_detector(UdpScan, hosts=4).feed(probes)) == ["udp_sweep"]


def test_a_client_of_many_name_servers_of_which_some_are_dead_is_no_sweeper(run_detector):
    asked = [(udp_refused if host % 5 == 0 else udp_exchange)(dst=f"192.0.2.{host}", dport=53, at=host) for host in range(1, 250)]
    assert run_detector(UdpScan).feed(asked) == []


def test_peers_that_are_silent_on_ports_of_their_own_are_no_sweep(run_detector):
    asked = [udp(dst=f"192.0.2.{peer}", sport=51413, dport=40000 + peer, at=peer / 10) for peer in range(1, 250)]
    assert run_detector(UdpScan).feed([asked, udp_exchange(at=120)]) == []
