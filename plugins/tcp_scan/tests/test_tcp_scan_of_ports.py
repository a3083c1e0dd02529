"""What counts as a scan of one host's ports, and what does not."""

import pytest

from iplog_core.testing import connection, fragments, half_open, handshake, refused, silent, tcp, unreachable
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6, nanoseconds
from iplog_tcp_scan import TcpScan

FAMILIES = [(CLIENT, SERVER), (CLIENT6, SERVER6)]
MINUTE, HOUR = 60, 3600


def states(alerts):
    return [(alert.kind, alert.state) for alert in alerts]


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def kinds(alerts):
    return [alert.kind for alert in starts(alerts)]


def unanswered_for_a_second(*, sport, dport, at):
    """The third and later probes follow when the first has waited for a second."""
    return tcp(sport=sport, dport=dport, at=at if dport < 3 else at + 1)


def probe_of_filtered_port(*, dport, at):
    probe = tcp(dport=dport, at=at)
    return [probe, unreachable(probe, at=at + 0.01)]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("source", "target"), FAMILIES, ids=["IPv4", "IPv6"])
def test_a_scan_is_reported_once_at_its_fifth_distinct_port(run_detector, source, target, batch_size):
    probes = [refused(source, target, dport=port, at=port / 10) for port in range(1, 41)]
    (scan,) = starts(run_detector(TcpScan).feed(probes, batch_size))
    assert (scan.kind, scan.src_ip, scan.dest_ip, scan.evidence.dest_ports) == ("port_scan", source, target, [1, 2, 3, 4, 5])


def test_four_ports_are_no_scan(run_detector):
    assert run_detector(TcpScan).feed(refused(dport=port, at=port) for port in range(1, 5)) == []


@pytest.mark.parametrize(("tried", "found"), [(7, []), (8, ["port_scan"])])
def test_how_many_ports_make_a_scan_is_a_setting(run_detector, tried, found):
    assert kinds(run_detector(TcpScan, ports=8).feed(refused(dport=port, at=port) for port in range(tried))) == found


@pytest.mark.parametrize("probe", [refused, silent, half_open, probe_of_filtered_port], ids=["closed", "silent", "open", "filtered"])
def test_a_port_counts_whatever_came_back_short_of_a_connection(run_detector, probe):
    assert kinds(run_detector(TcpScan).feed(probe(dport=port, at=port * 10) for port in range(1, 6))) == ["port_scan"]


def test_attempts_at_once_from_one_port_are_told_at_the_fifth_without_waiting_for_answers(run_detector):
    (scan,) = starts(run_detector(TcpScan).feed(tcp(dport=port, at=port / 100) for port in range(1, 7)))
    assert (scan.time, scan.evidence.pending) == (nanoseconds(0.05), 5)


@pytest.mark.parametrize("answered", [tcp, refused, unanswered_for_a_second], ids=["nothing till the end", "a reset", "nothing for a second"])
def test_attempts_at_once_from_ports_of_their_own_are_told_when_one_has_failed(run_detector, answered):
    probes = [answered(sport=40000 + port, dport=port, at=port / 100) for port in range(1, 7)]
    found = [alert.time for alert in starts(run_detector(TcpScan).feed(probes))]
    assert found == {tcp: [nanoseconds(0.06)], refused: [nanoseconds(0.051)], unanswered_for_a_second: [nanoseconds(1.06)]}[answered]


def test_a_client_that_opens_many_connections_at_once_over_a_long_way_is_no_scanner(run_detector):
    opened = [tcp(sport=40000 + port, dport=port, seq=1000, at=port / 1000) for port in range(1, 13)]
    answers = [tcp(SERVER, CLIENT, sport=port, dport=40000 + port, flags="SA", at=port / 1000 + 0.3) for port in range(1, 13)]
    taken = [tcp(sport=40000 + port, dport=port, flags="A", seq=1001, ack=1, at=port / 1000 + 0.31) for port in range(1, 13)]
    assert run_detector(TcpScan).feed([opened, answers, taken]) == []


def test_so_many_at_once_that_no_client_would_are_a_scan_whatever_comes_back(run_detector):
    (scan,) = starts(run_detector(TcpScan).feed(tcp(sport=40000 + port, dport=port, at=port / 10000) for port in range(1, 40)))
    assert scan.evidence.dest_port_count == 20


def test_the_end_tells_what_came_back(run_detector):
    probes = [[refused(dport=port, at=port) for port in (1, 2, 3)], silent(dport=4, at=4), half_open(dport=5, at=5), handshake(dport=6, at=6)]
    end = run_detector(TcpScan).feed([*probes, tcp(dport=7, at=30)])[-1].evidence
    assert (end.refused, end.silent, end.half_open, end.answered, end.pending) == (3, 1, 1, 1, 1)


def test_retries_to_one_closed_port_are_no_scan(run_detector):
    assert run_detector(TcpScan).feed(refused(dport=23, sport=40000 + n, at=n) for n in range(200)) == []


def test_a_client_whose_connections_are_answered_is_no_scanner(run_detector):
    assert run_detector(TcpScan).feed(connection(dport=port, at=port / 10) for port in range(1, 200)) == []


def test_an_answer_seen_only_by_the_clients_own_acknowledgment_is_one(run_detector):
    sent = [[tcp(dport=port, at=port), tcp(dport=port, flags="A", seq=1001, ack=1, at=port + 0.1)] for port in range(1, 20)]
    assert run_detector(TcpScan).feed(sent) == []


def test_a_late_answer_takes_its_probe_back(run_detector):
    late = [tcp(dport=1, at=0), tcp(SERVER, CLIENT, sport=1, dport=40000, flags="SA", at=8), tcp(dport=1, flags="A", seq=1001, ack=1, at=8.1)]
    others = [silent(dport=port, at=10 + port) for port in (2, 3, 4, 5)]
    assert run_detector(TcpScan).feed([late, others]) == []


def test_services_that_answered_before_are_no_evidence_when_they_are_down(run_detector):
    up = [connection(dport=port, sport=40000, at=port) for port in range(1, 9)]
    down = [silent(dport=port, sport=50000, at=HOUR + port) for port in range(1, 9)]
    assert run_detector(TcpScan).feed([up, down]) == []


def test_a_probe_every_five_minutes_is_a_scan_at_the_fifth(run_detector):
    (scan,) = starts(run_detector(TcpScan).feed(silent(dport=port, at=port * 5 * MINUTE) for port in range(1, 8)))
    assert scan.last_seen - scan.first_seen == 20 * MINUTE * 1_000_000_000


def test_a_probe_counts_no_longer_than_the_memory_that_is_set(run_detector):
    assert run_detector(TcpScan, memory="10m").feed(silent(dport=port, at=port * 5 * MINUTE) for port in range(1, 30)) == []


def test_probes_of_others_in_between_do_not_hide_a_scan(run_detector):
    decoys = [refused(f"198.51.100.{100 + n}", dport=n, at=n / 100) for n in range(1, 100)]
    scan = [refused("198.51.100.9", dport=port, at=port / 7) for port in range(1, 6)]
    assert [alert.src_ip for alert in starts(run_detector(TcpScan).feed([decoys, scan]))] == ["198.51.100.9"]


@pytest.mark.parametrize("flags", ["S", "SEC", "SF", "SR", "SPU"])
def test_a_probe_is_whatever_has_syn_and_no_ack(run_detector, flags):
    assert kinds(run_detector(TcpScan).feed(tcp(dport=port, flags=flags, at=port) for port in range(1, 6))) == ["port_scan"]


def test_probes_cut_into_fragments_of_eight_bytes_count(run_detector):
    probes = [fragments(tcp(dport=port, at=port, df=False), 8, ident=port) for port in range(1, 6)]
    assert kinds(run_detector(TcpScan).feed(probes)) == ["port_scan"]


def test_backscatter_of_a_flood_in_ones_name_is_no_scan(run_detector):
    assert run_detector(TcpScan).feed(tcp(SERVER, CLIENT, sport=80, dport=port, flags="SA", at=port / 10) for port in range(1, 100)) == []


def test_a_scan_tells_of_each_tenfold_and_of_its_end(run_detector):
    alerts = run_detector(TcpScan).feed(refused(dport=port, at=port / 10) for port in range(1, 61))
    assert [(alert.state, alert.packets, alert.evidence.dest_port_count) for alert in alerts] == [("start", 5, 5), ("update", 50, 50), ("end", 60, 60)]


def test_start_update_and_end_have_one_id(run_detector):
    alerts = run_detector(TcpScan).feed(refused(dport=port, at=port / 10) for port in range(1, 61))
    assert len({alert.id for alert in alerts}) == 1


def test_a_scan_that_comes_again_after_its_end_is_another_one(run_detector):
    scans = [refused(dport=port, sport=40000 + port, at=start + port) for start in (0, HOUR) for port in range(1, 6)]
    alerts = run_detector(TcpScan).feed(scans)
    assert states(alerts) == [("port_scan", "start"), ("port_scan", "end")] * 2
    assert alerts[0].id != alerts[2].id


def test_a_scan_ends_when_it_was_quiet_for_its_expiry(run_detector):
    start, end = run_detector(TcpScan, expiry="1m").feed([[refused(dport=port, at=port) for port in range(1, 6)], connection(at=HOUR)])
    assert end.time - start.last_seen == MINUTE * 1_000_000_000


@pytest.mark.parametrize("rule", ["ignore tcp dport 1:100", "ignore tcp from 198.51.100.7", "ignore tcp sport 25", "ignore tcp"])
def test_what_a_rule_ignores_is_not_counted(run_detector, rule):
    assert run_detector(TcpScan).feed((refused(sport=25, dport=port, at=port) for port in range(1, 41)), rules=[rule]) == []


def test_what_a_rule_leaves_is_counted(run_detector):
    probes = [refused(dport=port, at=port) for port in range(96, 106)]
    (scan,) = starts(run_detector(TcpScan).feed(probes, rules=["ignore tcp dport 1:100"]))
    assert scan.evidence.dest_ports == [101, 102, 103, 104, 105]


def test_a_scan_says_who_from_which_ports_and_how_bad(run_detector):
    (scan,) = starts(run_detector(TcpScan).feed(refused(sport=40000 + port % 2, dport=port, at=port) for port in range(1, 6)))
    assert (scan.plugin, scan.severity, scan.signature, scan.proto) == ("tcp_scan", "high", "TCP: port scan", "TCP")
    assert (scan.evidence.src_ports, scan.packets, scan.bytes) == ([40001, 40000], 5, 200)


DECOYS = [f"198.51.100.{host}" for host in (70, 71, 7, 72)]


def with_decoys(ports, sources=DECOYS, probe=refused):
    """Every port is tried in the name of each source, a few microseconds apart."""
    return [probe(source, dport=port, at=port / 10 + n / 100000) for port in ports for n, source in enumerate(sources)]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize("probe", [refused, silent, half_open])
def test_a_scan_with_decoys_is_one_that_names_them_all(run_detector, probe, batch_size):
    alerts = run_detector(TcpScan).feed(with_decoys(range(1, 41), probe=probe), batch_size)
    assert kinds(alerts) == ["port_scan"]
    assert [(alert.src_ip, alert.dest_ip, alert.evidence.sources) for alert in starts(alerts)] == [(None, SERVER, DECOYS)]


def test_the_end_of_a_scan_with_decoys_adds_up_what_all_of_them_sent(run_detector):
    start, *_, end = run_detector(TcpScan).feed(with_decoys(range(1, 41)))
    assert (end.state, end.id, end.packets, end.bytes) == ("end", start.id, 160, 160 * 40)


def test_two_who_scan_the_same_ports_one_after_the_other_are_two_scans(run_detector):
    scans = [refused(source, dport=port, at=start + port / 10) for source, start in ((DECOYS[0], 0), (DECOYS[1], 60)) for port in range(1, 20)]
    assert [alert.src_ip for alert in starts(run_detector(TcpScan).feed(scans))] == DECOYS[:2]


def test_two_who_scan_other_ports_at_the_same_time_are_two_scans(run_detector):
    scans = [refused(source, dport=first + port, at=port / 10) for source, first in ((DECOYS[0], 0), (DECOYS[1], 100)) for port in range(1, 20)]
    assert [alert.src_ip for alert in starts(run_detector(TcpScan).feed(scans))] == DECOYS[:2]


def test_a_crowd_that_tries_the_same_ports_at_once_is_one_scan_that_counts_them(run_detector):
    crowd = [f"198.51.{n // 250}.{n % 250 + 1}" for n in range(400)]
    alerts = run_detector(TcpScan).feed([tcp(source, dport=port, at=port / 10 + n / 100000) for port in range(1, 8) for n, source in enumerate(crowd)])
    assert kinds(alerts) == ["port_scan"]
    assert (len(alerts[-1].evidence.sources), alerts[-1].evidence.source_count) == (256, 400)


def test_a_decoy_that_comes_back_while_the_scan_goes_on_starts_no_other(run_detector):
    first = with_decoys(range(1, 8))
    busy = [refused(DECOYS[0], dport=100 + n, sport=50000 + n, at=60 * n) for n in range(1, 40)]
    again = [refused(DECOYS[1], dport=port, sport=50000, at=1800 + port) for port in range(200, 210)]
    alerts = run_detector(TcpScan).feed([first, busy, again])
    assert len([alert.id for alert in starts(alerts)]) == len({alert.id for alert in starts(alerts)})
