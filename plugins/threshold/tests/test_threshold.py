"""What a table counts, and when that is too much."""

import pytest

from iplog_core.testing import connection, fragments, half_open, icmp, icmp6, ping, refused, silent, tcp, udp, udp_exchange
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6, nanoseconds
from iplog_threshold import Threshold

LATER = udp_exchange("192.0.2.250", "192.0.2.251", at=600)
SYN = 2


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def found(run_detector, packets, batch_size=256, *, rules=(), trusted=(), **table):
    """The alerts that begin with one table."""
    return starts(run_detector(Threshold, table=table).feed(packets, batch_size, rules, trusted))


def times(alerts):
    return [(alert.time - nanoseconds(0)) / 1e9 for alert in alerts]


def test_without_a_table_nothing_is_reported(run_detector):
    assert run_detector(Threshold).feed(refused(dport=port, at=port) for port in range(1, 50)) == []


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("source", "target"), [(CLIENT, SERVER), (CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])
def test_the_packet_that_reaches_the_threshold_raises_the_alert(run_detector, source, target, batch_size):
    packets = [tcp(source, target, dport=23, at=n) for n in range(9)]
    (alert,) = found(run_detector, packets, batch_size, match="tcp dport 23", threshold=3)
    assert (alert.kind, alert.src_ip, alert.packets, alert.time) == ("table", source, 3, nanoseconds(2))


@pytest.mark.parametrize(("gap", "alerts"), [(19, 1), (31, 0)])
def test_what_is_older_than_the_window_does_not_count(run_detector, gap, alerts):
    packets = [tcp(dport=23, at=n * gap) for n in range(3)]
    assert len(found(run_detector, packets, match="tcp", threshold=3, window="60s")) == alerts


@pytest.mark.parametrize(("pause", "alerts"), [(50, 1), (70, 2)])
def test_an_alert_is_over_when_nothing_was_counted_for_its_expiry(run_detector, pause, alerts):
    packets = [tcp(dport=23, at=at) for at in (0, pause)]
    assert len(found(run_detector, packets, match="tcp dport 23", expiry="60s")) == alerts


@pytest.mark.parametrize(
    ("match", "alerts"),
    [
        ("udp", 0),
        ("tcp dport 22", 0),
        ("tcp sport 40000", 1),
        (f"from {CLIENT}", 1),
        ("from *", 1),
        (f"tcp to !{SERVER}", 0),
        (["udp dport 23", "tcp dport 23"], 1),
    ],
)
def test_only_what_is_matched_counts(run_detector, match, alerts):
    assert len(found(run_detector, [tcp(sport=40000, dport=23)], match=match)) == alerts


@pytest.mark.parametrize(("flags", "alerts"), [("syn !ack", 1), ("syn", 1), ("SYN ACK", 0), ("!syn", 0), ("!fin !rst", 1), ("", 1)])
def test_flags_that_a_packet_does_not_have_leave_it_out(run_detector, flags, alerts):
    assert len(found(run_detector, [tcp(dport=23, flags=SYN)], match="tcp", flags=flags)) == alerts


@pytest.mark.parametrize(("size", "alerts"), [(128, 1), (129, 0)])
@pytest.mark.parametrize("request_", [icmp(type=8, payload=bytes(100)), icmp6(type=128, payload=bytes(80))], ids=["ICMP", "ICMPv6"])
def test_a_packet_below_the_least_size_does_not_count(run_detector, request_, size, alerts):
    assert len(found(run_detector, [request_], match="icmp type echo", min_size=size)) == alerts


def test_pieces_of_a_datagram_have_the_size_of_the_piece(run_detector):
    pieces = fragments(udp(dport=9, payload=bytes(1600), df=False), 800, ident=7)
    assert found(run_detector, [pieces], match="udp", min_size=1000) == []


def test_what_a_table_allows_does_not_count_nor_does_its_answer(run_detector):
    assert found(run_detector, ping(), match="icmp", allow=[f"from {CLIENT}"]) == []


def test_what_the_plugin_allows_counts_in_no_table(run_detector):
    assert run_detector(Threshold, allow=[f"from {CLIENT}"], table={"match": "tcp"}).feed(refused(dport=23)) == []


def test_a_trusted_scanner_counts_in_no_table(run_detector):
    assert found(run_detector, refused(dport=23), trusted=[CLIENT], match="tcp") == []


def test_what_a_rule_ignores_does_not_count(run_detector):
    assert found(run_detector, refused(dport=23), rules=["ignore tcp"], match="tcp dport 23") == []


def test_openings_are_counted_once_a_flow(run_detector):
    talks = [connection(sport=40000 + n, dport=25, at=n) for n in range(5)]
    (alert,) = found(run_detector, talks, match="tcp", count="openings", threshold=5)
    assert times([alert]) == [4.0]


def test_contacts_are_counted_once_a_host_and_port(run_detector):
    talks = [connection(sport=40000 + n, dport=25 + n // 3, at=n) for n in range(9)]
    (alert,) = found(run_detector, talks, match="tcp", count="contacts", threshold=3)
    assert times([alert]) == [6.0]


OUTCOMES = {
    "refused": [refused(sport=40000 + n, dport=100 + n, at=n) for n in range(3)],
    "silent": [silent(sport=40000 + n, dport=200 + n, at=n) for n in range(3)],
    "half_open": [half_open(sport=40000 + n, dport=300 + n, at=n) for n in range(3)],
    "answered": [connection(sport=40000 + n, dport=400 + n, at=n) for n in range(3)],
}


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize("distinct", [None, "dest_port"])
@pytest.mark.parametrize("seen", OUTCOMES)
@pytest.mark.parametrize("wanted", OUTCOMES)
def test_flows_count_when_they_end_as_the_table_has_it(run_detector, seen, wanted, distinct, batch_size):
    alerts = found(run_detector, [OUTCOMES[seen], LATER], batch_size, match="tcp", outcome=wanted, threshold=3, distinct=distinct)
    assert len(alerts) == (1 if seen == wanted else 0)


@pytest.mark.parametrize("seen", OUTCOMES)
def test_failed_is_all_but_answered(run_detector, seen):
    alerts = found(run_detector, [OUTCOMES[seen], LATER], match="tcp", outcome="failed", threshold=3)
    assert len(alerts) == (0 if seen == "answered" else 1)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_evidence_tells_how_the_flows_ended(run_detector, outcome):
    (alert,) = found(run_detector, [OUTCOMES[outcome], LATER], match="tcp", outcome=outcome, threshold=3, distinct="dest_port")
    counts = {name: getattr(alert.evidence, name) for name in OUTCOMES}
    assert counts == {name: 3 if name == outcome else 0 for name in OUTCOMES}


def test_packets_that_are_counted_whatever_becomes_of_them_say_nothing_of_outcomes(run_detector):
    (alert,) = found(run_detector, OUTCOMES["refused"], match="tcp", threshold=3, distinct="dest_port", count="contacts")
    assert {alert.evidence.refused, alert.evidence.pending, alert.evidence.answered} == {None}


def test_an_answer_that_comes_late_takes_the_silence_back(run_detector):
    late = [udp(dport=1, at=0), udp(SERVER, CLIENT, sport=1, dport=40000, at=9)]
    mute = [udp(dport=port, at=20 + port) for port in (2, 3)]
    assert found(run_detector, [late, mute, LATER], match="udp", outcome="silent", threshold=3, window="1h") == []


def test_failed_contacts_of_a_host_count_once(run_detector):
    tries = [refused(sport=40000 + n, dport=22, at=n) for n in range(9)]
    assert found(run_detector, tries, match="tcp dport 22", outcome="failed", count="contacts", threshold=2) == []


@pytest.mark.parametrize(
    ("key", "alerts"),
    [("source", 2), ("target", 3), ("pair", 6), ("source_port", 4), ("target_port", 6)],
)
def test_the_key_is_for_whom_it_is_counted(run_detector, key, alerts):
    packets = [
        tcp(f"198.51.100.{source}", f"192.0.2.{target}", dport=port, at=source + target / 10 + port / 1000)
        for source in (1, 2) for target in (1, 2, 3) for port in (22, 23)
    ]  # fmt: skip
    assert len(found(run_detector, packets, match="tcp", key=key)) == alerts


@pytest.mark.parametrize(
    ("key", "distinct", "evidence"),
    [
        ("pair", "dest_port", {"dest_ports": [1, 2, 3], "dest_port_count": 3}),
        ("source", "dest", {"dest_ips": ["192.0.2.1", "192.0.2.2", "192.0.2.3"], "dest_ip_count": 3}),
        ("target", "source", {"sources": ["198.51.100.1", "198.51.100.2", "198.51.100.3"], "source_count": 3}),
    ],
)
def test_distinct_values_are_counted_once_and_named(run_detector, key, distinct, evidence):
    def packet(value, at):
        sides = {"dest_port": {"dport": value}, "dest": {"dst": f"192.0.2.{value}"}, "source": {"src": f"198.51.100.{value}"}}
        return tcp(**{"dport": 80, **sides[distinct]}, at=at)

    (alert,) = found(run_detector, [packet(value, at) for at, value in enumerate((1, 1, 1, 2, 2, 3, 4))], match="tcp", key=key, distinct=distinct, threshold=3)
    assert {name: getattr(alert.evidence, name) for name in evidence} == evidence


def test_an_alert_about_one_packet_names_its_ports(run_detector):
    (alert,) = found(run_detector, [tcp(sport=40000, dport=23)], match="tcp", key="pair")
    assert (alert.src_port, alert.dest_port) == (40000, 23)


def test_what_people_read_is_that_of_the_table(run_detector):
    (alert,) = found(run_detector, [tcp(dport=23)], match="tcp", severity="high", kind="knock", signature="TCP: telnet", line="{src} knocked")
    assert (alert.kind, alert.severity, alert.signature, alert.line) == ("knock", "high", "TCP: telnet", "{src} knocked")


@pytest.mark.parametrize(("match", "signature"), [("udp", "UDP: table"), (["udp", "tcp"], "IP: table"), ("from *", "IP: table")])
def test_without_a_signature_it_is_protocol_and_kind(run_detector, match, signature):
    (alert,) = found(run_detector, [udp(dport=53)], match=match)
    assert alert.signature == signature


def test_tables_count_each_for_themselves(run_detector):
    tables = {"few": {"match": "tcp", "threshold": 2}, "many": {"match": "tcp", "threshold": 4}, "other": {"match": "udp"}}
    alerts = starts(run_detector(Threshold, **tables).feed(tcp(dport=23, at=n) for n in range(3)))
    assert [alert.kind for alert in alerts] == ["few"]
