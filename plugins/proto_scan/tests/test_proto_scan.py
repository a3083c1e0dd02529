"""What counts as a scan of IP protocols or of SCTP ports, and what does not."""

import pytest

from iplog_core.testing import icmp6, ip, sctp, udp_exchange, unreachable
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6, nanoseconds
from iplog_proto_scan import ProtoScan

FAMILIES = pytest.mark.parametrize(("source", "target"), [(CLIENT, SERVER), (CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])
BATCH_SIZES = pytest.mark.parametrize("batch_size", [1, 7, 256])
INIT_ACK, ABORT, SHUTDOWN, COOKIE_ECHO, COOKIE_ACK = 2, 6, 7, 10, 11
GRE, ESP, AH, IPIP, IPV6 = 47, 50, 51, 4, 41
HOUR = 3600
LATER = udp_exchange(at=HOUR)


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def kinds(alerts):
    return [alert.kind for alert in starts(alerts)]


def protocols(numbers, source=CLIENT, target=SERVER, *, gap=0.1):
    return [ip(source, target, proto=number, payload=bytes(20), at=n * gap) for n, number in enumerate(numbers)]


def unreachables(probes, target):
    """Protocol unreachable, or over IPv6 an unrecognised next header."""
    if ":" in target:
        return [icmp6(target, CLIENT6, type=4, code=1, quote=probe, at=n / 10 + 0.01) for n, probe in enumerate(probes)]
    return [unreachable(probe, target, at=n / 10 + 0.01) for n, probe in enumerate(probes)]


@BATCH_SIZES
@FAMILIES
def test_a_scan_is_reported_once_at_its_fifth_protocol(run_detector, source, target, batch_size):
    probes = protocols(range(150, 210), source, target)
    (scan,) = starts(run_detector(ProtoScan).feed([probes, unreachables(probes, target)], batch_size))
    assert (scan.kind, scan.src_ip, scan.dest_ip, scan.time) == ("protocol_scan", source, target, nanoseconds(0.4))
    assert (scan.evidence.protocols, scan.evidence.protocol_count, scan.evidence.refused) == ([150, 151, 152, 153, 154], 5, 4)


def test_four_protocols_are_no_scan(run_detector):
    probes = protocols(range(140, 144))
    assert run_detector(ProtoScan).feed([probes, unreachables(probes, SERVER)]) == []


@pytest.mark.parametrize(("tried", "found"), [(7, []), (8, ["protocol_scan"])])
def test_how_many_protocols_make_a_scan_is_a_setting(run_detector, tried, found):
    probes = protocols(range(140, 140 + tried))
    assert kinds(run_detector(ProtoScan, protocols=8).feed([probes, unreachables(probes, SERVER)])) == found


def test_protocols_that_nobody_says_anything_about_are_a_scan(run_detector):
    assert kinds(run_detector(ProtoScan).feed([protocols(range(117, 137)), LATER])) == ["protocol_scan"]


def test_protocols_of_tunnels_and_of_open_shortest_path_first_are_no_evidence(run_detector):
    probes = protocols([2, 4, 41, 47, 50, 51, 89, 97, 115, 137])
    assert run_detector(ProtoScan).feed([probes, unreachables(probes, SERVER)]) == []


def test_protocols_that_are_answered_are_no_scan(run_detector):
    there = protocols(range(140, 180))
    back = [ip(SERVER, CLIENT, proto=number, payload=bytes(20), at=n / 10 + 0.01) for n, number in enumerate(range(140, 180))]
    assert run_detector(ProtoScan).feed([there, back]) == []


@pytest.mark.parametrize("shown", [(CLIENT, SERVER), (SERVER, CLIENT)], ids=["there", "back"])
def test_tunnels_seen_in_one_direction_are_no_scan(run_detector, shown):
    tunnels = [ip(*shown, proto=number, payload=bytes(100), at=n) for n in range(200) for number in (GRE, ESP, AH, IPIP, IPV6)]
    assert run_detector(ProtoScan).feed([tunnels, LATER]) == []


def test_what_routers_send_to_their_groups_is_no_scan(run_detector):
    assert run_detector(ProtoScan).feed([protocols(range(140, 160), CLIENT, "224.0.0.5"), LATER]) == []


def test_decoys_and_the_scanner_are_one_set(run_detector):
    sources = [CLIENT, "198.51.100.8", "198.51.100.9"]
    probes = [ip(source, SERVER, proto=number, payload=bytes(20), at=number / 10) for number in range(140, 170) for source in sources]
    answers = [unreachable(probe, SERVER, at=14 + n // 3 / 10 + 0.01) for n, probe in enumerate(probes)]
    (scan,) = starts(run_detector(ProtoScan).feed([probes, answers]))
    assert (scan.src_ip, scan.evidence.sources) == (None, sources)


def probe(port, *, chunk=1, answer=None, at=None, source=CLIENT, target=SERVER):
    """An SCTP packet to a port, and what comes back."""
    when = float(port) if at is None else at
    asked = [sctp(source, target, dport=port, chunk=chunk, at=when)]
    return asked if answer is None else [*asked, sctp(target, source, sport=port, dport=40000, chunk=answer, at=when + 0.01)]


@BATCH_SIZES
@FAMILIES
@pytest.mark.parametrize("chunk", [1, COOKIE_ECHO], ids=["INIT", "COOKIE-ECHO"])
def test_an_sctp_scan_is_reported_once_at_its_fifth_port(run_detector, chunk, source, target, batch_size):
    probes = [probe(port, chunk=chunk, answer=ABORT, source=source, target=target) for port in range(1, 31)]
    (scan,) = starts(run_detector(ProtoScan).feed(probes, batch_size))
    assert (scan.kind, scan.src_ip, scan.dest_ip, scan.evidence.dest_ports, scan.time) == ("sctp_scan", source, target, [1, 2, 3, 4, 5], nanoseconds(5))


def test_half_open_associations_are_evidence(run_detector):
    opened = [[*probe(port, answer=INIT_ACK), sctp(dport=port, chunk=ABORT, at=port + 0.02)] for port in range(1, 6)]
    assert kinds(run_detector(ProtoScan).feed(opened)) == ["sctp_scan"]


def test_four_ports_are_no_scan(run_detector):
    assert run_detector(ProtoScan).feed(probe(port, answer=ABORT) for port in range(1, 5)) == []


@pytest.mark.parametrize(("tried", "found"), [(7, []), (8, ["sctp_scan"])])
def test_how_many_ports_make_a_scan_is_a_setting(run_detector, tried, found):
    assert kinds(run_detector(ProtoScan, ports=8).feed(probe(port, answer=ABORT) for port in range(1, tried + 1))) == found


@pytest.mark.parametrize("chunk", [1, COOKIE_ECHO], ids=["INIT", "COOKIE-ECHO"])
def test_silent_ports_are_a_scan(run_detector, chunk):
    assert kinds(run_detector(ProtoScan).feed([[probe(port, chunk=chunk) for port in range(1, 21)], LATER])) == ["sctp_scan"]


def association(port, *, at, target=SERVER):
    """INIT, INIT-ACK, COOKIE-ECHO, COOKIE-ACK."""
    return [
        frame
        for n, (chunk, answer) in enumerate([(1, INIT_ACK), (COOKIE_ECHO, COOKIE_ACK)])
        for frame in probe(port, chunk=chunk, answer=answer, at=at + n / 10, target=target)
    ]


def test_associations_are_no_scan(run_detector):
    paths = [association(port, at=port, target=target) for port in range(2900, 2950) for target in (SERVER, "192.0.2.2")]
    assert run_detector(ProtoScan).feed([paths, LATER]) == []


def test_a_capture_that_begins_in_the_middle_of_a_handshake_shows_no_scan(run_detector):
    middles = [probe(port, chunk=COOKIE_ECHO, answer=COOKIE_ACK) for port in range(2900, 2950)]
    assert run_detector(ProtoScan).feed([middles, LATER]) == []


@pytest.mark.parametrize("chunk", [0, 3, 4, 5, SHUTDOWN])
def test_associations_that_began_before_the_capture_are_no_scan(run_detector, chunk):
    assert run_detector(ProtoScan).feed([[probe(port, chunk=chunk) for port in range(2900, 2950)], LATER]) == []


def test_a_port_asked_again_and_again_is_no_scan(run_detector):
    assert run_detector(ProtoScan).feed(probe(3868, answer=ABORT, at=n) for n in range(50)) == []


def test_a_scan_that_comes_again_after_its_end_is_another_one(run_detector):
    scans = [probe(port, answer=ABORT, at=start + port) for start in (0, HOUR) for port in range(1, 6)]
    alerts = run_detector(ProtoScan).feed(scans)
    assert [alert.state for alert in alerts] == ["start", "end"] * 2
    assert alerts[0].id != alerts[2].id


def test_what_it_does_not_look_at_is_not_counted(run_detector):
    assert run_detector(ProtoScan, allow=[f"from {CLIENT}"]).feed(probe(port, answer=ABORT) for port in range(1, 50)) == []
