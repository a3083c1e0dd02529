"""Scans by packets that open no connection: which flags make which scan, and which are ordinary."""

import pytest

from iplog_core.testing import connection, tcp
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6
from iplog_tcp_scan import TcpScan

ODD = [
    ("F", "fin_scan"), ("FEC", "fin_scan"), ("", "null_scan"), ("FPU", "xmas_scan"), ("FU", "xmas_scan"), ("FP", "xmas_scan"), ("PU", "xmas_scan"),
    ("P", "xmas_scan"), ("U", "xmas_scan"), ("FR", "flags_scan"), ("FRA", "flags_scan"), ("SAF", "flags_scan"), ("SRA", "flags_scan"),
]  # fmt: skip
MIDDLE = [("A", "ack_scan"), ("AE", "ack_scan"), ("FA", "maimon_scan")]
LATER = connection(dport=80, at=60)


def kinds(alerts):
    return [alert.kind for alert in alerts if alert.state == "start"]


def probes(flags, ports=range(1, 6), source=CLIENT, target=SERVER, answer="", sport=40000):
    """A packet to each port, and what comes back where anything does."""
    sent = [tcp(source, target, sport=sport, dport=port, flags=flags, at=port / 10) for port in ports]
    back = [tcp(target, source, sport=port, dport=sport, flags=answer, at=port / 10 + 0.001) for port in ports if answer]
    return [sent, back]


@pytest.mark.parametrize(("flags", "kind"), ODD + MIDDLE)
def test_five_ports_are_a_scan_of_the_kind_that_the_flags_tell(run_detector, flags, kind):
    assert kinds(run_detector(TcpScan).feed([probes(flags), LATER])) == [kind]


@pytest.mark.parametrize(("flags", "kind"), ODD + MIDDLE)
def test_four_ports_are_none(run_detector, flags, kind):
    assert run_detector(TcpScan).feed([probes(flags, range(1, 5)), LATER]) == []


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("flags", "kind"), [("F", "fin_scan"), ("A", "ack_scan")])
def test_a_scan_is_told_once_whatever_the_batch(run_detector, flags, kind, batch_size):
    assert kinds(run_detector(TcpScan).feed(probes(flags, range(1, 50), answer="R"), batch_size)) == [kind]


@pytest.mark.parametrize(("flags", "kind"), [("F", "fin_scan"), ("", "null_scan"), ("FPU", "xmas_scan"), *MIDDLE])
def test_ipv6_probes_count_alike(run_detector, flags, kind):
    assert kinds(run_detector(TcpScan).feed(probes(flags, source=CLIENT6, target=SERVER6, answer="RA"))) == [kind]


def test_the_scan_that_a_reset_answers_has_refused_ports_as_evidence(run_detector):
    (start, *_) = run_detector(TcpScan).feed(probes("A", answer="R"))
    assert (start.evidence.dest_ports, start.evidence.refused, start.severity) == ([1, 2, 3, 4, 5], 4, "high")


def test_a_scan_of_which_only_the_probes_were_captured_is_told(run_detector):
    assert kinds(run_detector(TcpScan).feed(probes("A", range(1, 50)))) == ["ack_scan"]


def test_the_same_port_again_and_again_is_no_scan(run_detector):
    assert run_detector(TcpScan).feed(tcp(sport=40000 + n, flags="F", at=n) for n in range(100)) == []


@pytest.mark.parametrize("flags", ["RP", "RPA", "RU", "R", "RA", "SA", "PA", "FPA", "UA"])
def test_flags_that_stacks_do_send_are_no_scan(run_detector, flags):
    assert run_detector(TcpScan).feed([probes(flags, range(1, 100)), LATER]) == []


@pytest.mark.parametrize("flags", ["A", "FA"])
def test_connections_that_began_before_the_capture_are_no_scan(run_detector, flags):
    assert run_detector(TcpScan).feed(probes(flags, range(40000, 40100), answer="A")) == []


def test_a_stream_of_which_one_side_is_seen_is_no_scan(run_detector):
    stream = [tcp(dport=port, flags="A", seq=1000 + n, at=port / 10 + n / 100) for port in range(1, 30) for n in range(4)]
    assert run_detector(TcpScan).feed([stream, LATER]) == []


@pytest.mark.parametrize(("service", "first"), [(443, 1025), (5432, 40000)])
@pytest.mark.parametrize("flags", ["A", "FA"])
def test_a_server_that_ends_connections_its_client_has_forgotten_is_no_scanner(run_detector, flags, service, first):
    assert run_detector(TcpScan).feed(probes(flags, range(first, first + 100), answer="R", sport=service)) == []


def test_the_packets_of_a_connection_are_no_scan(run_detector):
    assert run_detector(TcpScan).feed(connection(dport=port, at=port) for port in range(1, 100)) == []
