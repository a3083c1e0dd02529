"""What counts as a sweep over many hosts, and as a scan by many sources."""

import pytest

from iplog_core.testing import connection, refused, silent
from iplog_core.testing.packets import nanoseconds
from iplog_tcp_scan import TcpScan


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def kinds(alerts):
    return [alert.kind for alert in starts(alerts)]


def sweep(hosts, probe=refused, dport=22, at=0.0, **fields):
    return [probe(dst=f"192.0.2.{host}", dport=dport, at=at + host / 10, **fields) for host in range(1, hosts + 1)]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("failures", "found"), [(9, []), (10, ["port_sweep"])])
def test_one_port_of_ten_hosts_without_an_answer_is_a_sweep(run_detector, failures, found, batch_size):
    assert kinds(run_detector(TcpScan).feed(sweep(failures), batch_size)) == found


@pytest.mark.parametrize(("failures", "found"), [(19, []), (20, ["port_sweep"])])
def test_how_many_hosts_make_a_sweep_is_a_setting(run_detector, failures, found):
    assert kinds(run_detector(TcpScan, hosts=20).feed(sweep(failures))) == found


def test_three_failures_prove_nothing_whatever_is_set(run_detector):
    assert kinds(run_detector(TcpScan, hosts=2).feed(sweep(3))) == []


def test_a_sweep_names_its_source_its_port_and_its_first_targets(run_detector):
    (found,) = starts(run_detector(TcpScan).feed(sweep(12)))
    assert (found.src_ip, found.dest_ip, found.dest_port) == ("198.51.100.7", None, 22)
    assert (found.evidence.dest_ips, found.evidence.dest_ip_count) == ([f"192.0.2.{host}" for host in range(1, 11)], 10)


def test_a_sweep_of_ipv6_hosts_is_one(run_detector):
    probes = [refused(dst=f"2001:db8::{host:x}", dport=22, at=host) for host in range(1, 30)]
    assert kinds(run_detector(TcpScan).feed(probes)) == ["port_sweep"]


def test_silent_hosts_count_when_their_silence_is_sure(run_detector):
    (found,) = starts(run_detector(TcpScan).feed([sweep(10, silent), connection(at=60)]))
    assert found.time == nanoseconds(1 + 5)


def test_a_client_of_many_servers_of_which_some_are_dead_is_no_sweeper(run_detector):
    visits = [(silent if host % 5 == 0 else connection)(dst=f"192.0.2.{host}", dport=443, at=host) for host in range(1, 250)]
    assert run_detector(TcpScan).feed(visits) == []


@pytest.mark.parametrize("ports", [(22,), (22, 23), (22, 23, 80, 445)])
def test_a_sweep_of_a_few_ports_is_one_for_each(run_detector, ports):
    probes = [refused(dst=f"192.0.2.{host}", dport=port, at=host) for host in range(1, 30) for port in ports]
    assert sorted(alert.dest_port for alert in starts(run_detector(TcpScan).feed(probes))) == sorted(ports)


def test_scans_of_many_ports_of_many_hosts_are_no_sweeps_besides(run_detector):
    probes = [refused(dst=f"192.0.2.{host}", dport=port, at=host + port / 1000) for host in range(1, 15) for port in range(1, 30)]
    assert kinds(run_detector(TcpScan).feed(probes)) == ["port_scan"] * 14


def test_peers_that_are_silent_on_ports_of_their_own_and_on_the_usual_one_are_no_sweep(run_detector):
    asked = [silent(dst=f"192.0.2.{peer}", dport=6881 if peer % 3 == 0 else 50000 + peer, at=peer) for peer in range(1, 200)]
    assert run_detector(TcpScan).feed([asked, connection(at=300)]) == []


def test_a_sweep_is_one_although_some_hosts_answer(run_detector):
    visits = [(connection if host % 5 == 0 else silent)(dst=f"192.0.2.{host}", dport=22, at=host / 10) for host in range(1, 50)]
    assert kinds(run_detector(TcpScan).feed([visits, connection(at=60)])) == ["port_sweep"]


def test_peers_that_are_silent_on_ports_of_their_own_are_no_sweep(run_detector):
    asked = [silent(dst=f"192.0.2.{peer}", dport=50000 + peer, at=peer) for peer in range(1, 200)]
    assert run_detector(TcpScan).feed([asked, connection(at=300)]) == []


def test_one_dead_host_tried_again_and_again_is_no_sweep(run_detector):
    assert run_detector(TcpScan).feed(silent(dport=22, sport=40000 + n, at=10 * n) for n in range(100)) == []


def spread(sources, ports=3, step=10):
    """Each source tries ports of its own at one host."""
    return [
        refused(f"198.51.100.{source}", dport=step * source + port, at=source + port / 10) for source in range(1, sources + 1) for port in range(1, ports + 1)
    ]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("sources", "found"), [(4, []), (5, ["distributed_scan"])])
def test_five_sources_that_share_the_ports_of_a_host_are_a_distributed_scan(run_detector, sources, found, batch_size):
    assert kinds(run_detector(TcpScan).feed(spread(sources), batch_size)) == found


def test_a_distributed_scan_names_all_sources_and_blames_no_single_one(run_detector):
    (scan,) = starts(run_detector(TcpScan, sources=3).feed(spread(3)))
    assert (scan.src_ip, scan.dest_ip) == (None, "192.0.2.1")
    assert scan.evidence.sources == ["198.51.100.1", "198.51.100.2", "198.51.100.3"]


def test_sources_that_try_two_ports_each_are_none(run_detector):
    assert run_detector(TcpScan).feed(spread(20, ports=2)) == []


def test_sources_that_try_the_same_ports_share_nothing(run_detector):
    assert run_detector(TcpScan).feed(spread(20, step=0)) == []


def in_turn(sources, ports=8):
    """Sources that take turns at the ports of a host."""
    return [
        refused(f"198.51.100.{source}", sport=50000 + source, dport=10 * source + port, at=port + source / 100)
        for source in range(1, sources + 1)
        for port in range(1, ports + 1)
    ]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_twenty_sources_with_eight_ports_each_are_one_alert_that_names_twenty(run_detector, batch_size):
    alerts = run_detector(TcpScan).feed(in_turn(20), batch_size)
    assert kinds(alerts) == ["distributed_scan"]
    assert (alerts[-1].state, alerts[-1].evidence.sources) == ("end", [f"198.51.100.{source}" for source in range(1, 21)])


def test_a_source_that_goes_on_on_its_own_after_a_shared_scan_is_one_of_its_own(run_detector):
    later = [refused("198.51.100.1", dport=1000 + port, at=7200 + port) for port in range(1, 9)]
    assert kinds(run_detector(TcpScan).feed([in_turn(20), later])) == ["distributed_scan", "port_scan"]


def test_clients_of_a_host_whose_six_services_are_down_share_no_scan(run_detector):
    services = (25, 110, 143, 587, 993, 995)
    tried = [silent(f"198.51.100.{client}", dport=services[(client + n) % 6], at=client + n * 60) for client in range(1, 60) for n in range(4)]
    assert run_detector(TcpScan).feed(tried) == []


def test_clients_of_one_busy_host_are_no_distributed_scan(run_detector):
    visits = [connection(f"198.51.100.{client}", dport=port, at=client + port / 1000) for client in range(1, 50) for port in (80, 443, 8080, 8443)]
    assert run_detector(TcpScan).feed(visits) == []
