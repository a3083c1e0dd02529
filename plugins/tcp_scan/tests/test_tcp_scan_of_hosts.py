"""What counts as a sweep over many hosts, and as a scan by many sources."""

import pytest

from iplog_core.testing import connection, refused, silent
from iplog_core.testing.packets import nanoseconds
from iplog_tcp_scan import TcpScan

# Four failures more than answers prove a source guilty; that fourth one is the first to count.
PROOF = 3


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def kinds(alerts):
    return [alert.kind for alert in starts(alerts)]


def sweep(hosts, probe=refused, dport=22, at=0.0, **fields):
    return [probe(dst=f"192.0.2.{host}", dport=dport, at=at + host / 10, **fields) for host in range(1, hosts + 1)]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("failures", "found"), [(PROOF + 9, []), (PROOF + 10, ["port_sweep"])])
def test_one_port_of_ten_hosts_without_an_answer_is_a_sweep(run_detector, failures, found, batch_size):
    assert kinds(run_detector(TcpScan).feed(sweep(failures), batch_size)) == found


def test_how_many_hosts_make_a_sweep_is_a_setting(run_detector):
    assert kinds(run_detector(TcpScan, hosts=3).feed(sweep(PROOF + 3))) == ["port_sweep"]


def test_a_sweep_names_its_source_its_port_and_its_first_targets(run_detector):
    (found,) = starts(run_detector(TcpScan, hosts=3).feed(sweep(PROOF + 3)))
    assert (found.src_ip, found.dest_ip, found.dest_port) == ("198.51.100.7", None, 22)
    assert (found.evidence.dest_ips, found.evidence.dest_ip_count) == (["192.0.2.4", "192.0.2.5", "192.0.2.6"], 3)


def test_a_sweep_of_ipv6_hosts_is_one(run_detector):
    probes = [refused(dst=f"2001:db8::{host:x}", dport=22, at=host) for host in range(1, 30)]
    assert kinds(run_detector(TcpScan).feed(probes)) == ["port_sweep"]


def test_silent_hosts_count_when_their_silence_is_sure(run_detector):
    (found,) = starts(run_detector(TcpScan).feed([sweep(PROOF + 10, silent), connection(at=60)]))
    assert found.time == nanoseconds((PROOF + 10) / 10 + 5)


def test_a_client_of_many_servers_of_which_some_are_dead_is_no_sweeper(run_detector):
    visits = [(silent if host % 5 == 0 else connection)(dst=f"192.0.2.{host}", dport=443, at=host) for host in range(1, 250)]
    assert run_detector(TcpScan).feed(visits) == []


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


def test_clients_of_one_busy_host_are_no_distributed_scan(run_detector):
    visits = [connection(f"198.51.100.{client}", dport=port, at=client + port / 1000) for client in range(1, 50) for port in (80, 443, 8080, 8443)]
    assert run_detector(TcpScan).feed(visits) == []
