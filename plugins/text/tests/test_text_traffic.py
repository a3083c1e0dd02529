"""The line of each form of traffic."""

import pytest

from iplog_core import Kind, RecordKind
from iplog_core.batch import Outcome
from iplog_core.services import service

TCP = {"record": RecordKind.CONNECTION_ATTEMPT, "kind": Kind.TCP, "version": 4, "proto": 6, "sport": 2925, "dport": 65000}
UDP = {"record": RecordKind.DATAGRAM, "kind": Kind.UDP, "version": 4, "proto": 17, "sport": 53, "dport": 65000, "payload": 245}
ICMP = {"record": RecordKind.ICMP, "kind": Kind.ICMP, "version": 4, "proto": 1, "payload": 8}
ICMP6 = {"record": RecordKind.ICMP, "kind": Kind.ICMP6, "version": 6, "proto": 58, "payload": 8, "src": "2001:db8::66", "dst": "2001:db8::1"}
QUOTED_UDP = {"about": "203.0.113.9", "about_proto": 17, "about_dport": 33434, "about_sport": 40000}


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (TCP, "TCP: port 65000 connection attempt to 198.18.1.1 from 198.18.0.66:2925"),
        (UDP, "UDP: dgram to 198.18.1.1:port 65000 from 198.18.0.66:53 (245 data bytes)"),
        (
            TCP | {"version": 6, "src": "2001:db8::66", "dst": "2001:db8::1"},
            "TCP: port 65000 connection attempt to 2001:db8::1 from [2001:db8::66]:2925",
        ),
        (
            UDP | {"version": 6, "src": "2001:db8::66", "dst": "2001:db8::1"},
            "UDP: dgram to [2001:db8::1]:port 65000 from [2001:db8::66]:53 (245 data bytes)",
        ),
    ],
)
def test_tcp_and_udp_name_both_ends(lines, record, fields, line):
    assert lines(record(**fields)) == [line]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (TCP, "TCP: port 65000 connection attempt from 198.18.0.66:2925"),
        (UDP, "UDP: dgram to port 65000 from 198.18.0.66:53 (245 data bytes)"),
        (ICMP | {"icmp_type": 8}, "ICMP: echo from 198.18.0.66 (8 bytes)"),
        (ICMP | {"icmp_type": 4}, "ICMP: source quench from 198.18.0.66"),
        (ICMP | {"icmp_type": 11} | QUOTED_UDP, "ICMP: 198.18.0.66 time exceeded (udp: dest port 33434, source port 40000)"),
        (
            ICMP | {"icmp_type": 3, "icmp_code": 3} | QUOTED_UDP,
            "ICMP: 198.18.0.66: port is unreachable to (udp: dest port 33434, source port 40000)",
        ),
        (ICMP | {"icmp_type": 3, "icmp_code": 3}, "ICMP: 198.18.0.66: port is unreachable"),
    ],
)
def test_destinations_are_left_out_without_log_dest(lines, record, fields, line):
    assert lines(record(**fields), log_dest=False) == [line]


@pytest.mark.skipif(not (service(25, "tcp") and service(53, "udp")), reason="this host has no services database")
def test_a_port_that_a_service_is_known_for_has_its_name(lines, record):
    assert lines(record(**TCP | {"dport": 25}), record(**UDP | {"dport": 53})) == [
        "TCP: smtp connection attempt to 198.18.1.1 from 198.18.0.66:2925",
        "UDP: dgram to 198.18.1.1:domain from 198.18.0.66:53 (245 data bytes)",
    ]


@pytest.mark.parametrize(
    ("icmp_type", "line"),
    [
        (0, "echo reply from 198.18.0.66 to 198.18.1.1 (8 bytes)"),
        (4, "source quench from 198.18.0.66 to 198.18.1.1"),
        (8, "echo from 198.18.0.66 to 198.18.1.1 (8 bytes)"),
        (9, "router advertisement from 198.18.0.66 to 198.18.1.1"),
        (10, "router solicitation from 198.18.0.66 to 198.18.1.1"),
        (11, "198.18.0.66 time exceeded to 198.18.1.1"),
        (12, "parameter problem (ptr 20) from 198.18.0.66 to 198.18.1.1"),
        (13, "timestamp request from 198.18.0.66 to 198.18.1.1"),
        (14, "timestamp reply from 198.18.0.66 to 198.18.1.1"),
        (15, "information request from 198.18.0.66 to 198.18.1.1"),
        (16, "information reply from 198.18.0.66 to 198.18.1.1"),
        (17, "address mask request from 198.18.0.66 to 198.18.1.1"),
        (18, "address mask reply from 198.18.0.66 to 198.18.1.1"),
        (77, "undefined ICMP type 77 from 198.18.0.66 to 198.18.1.1"),
    ],
)
def test_an_icmp_message_is_named_by_its_type(lines, record, icmp_type, line):
    assert lines(record(**ICMP, icmp_type=icmp_type, about_lo=20)) == [f"ICMP: {line}"]


@pytest.mark.parametrize(
    ("icmp_type", "line"),
    [
        (2, "packet too big from 2001:db8::66 to 2001:db8::1"),
        (3, "2001:db8::66 time exceeded to 2001:db8::1"),
        (4, "parameter problem (ptr 40) from 2001:db8::66 to 2001:db8::1"),
        (128, "echo from 2001:db8::66 to 2001:db8::1 (8 bytes)"),
        (129, "echo reply from 2001:db8::66 to 2001:db8::1 (8 bytes)"),
        (130, "multicast listener query from 2001:db8::66 to 2001:db8::1"),
        (131, "multicast listener report from 2001:db8::66 to 2001:db8::1"),
        (132, "multicast listener done from 2001:db8::66 to 2001:db8::1"),
        (133, "router solicitation from 2001:db8::66 to 2001:db8::1"),
        (134, "router advertisement from 2001:db8::66 to 2001:db8::1"),
        (143, "multicast listener report from 2001:db8::66 to 2001:db8::1"),
        (200, "undefined ICMPv6 type 200 from 2001:db8::66 to 2001:db8::1"),
    ],
)
def test_an_icmpv6_message_is_named_by_its_type(lines, record, icmp_type, line):
    assert lines(record(**ICMP6, icmp_type=icmp_type, about_lo=40)) == [f"ICMP: {line}"]


@pytest.mark.parametrize(("icmp_type", "what"), [(135, "solicitation"), (136, "advertisement")])
def test_neighbour_discovery_names_its_target(lines, record, icmp_type, what):
    message = record(**ICMP6, icmp_type=icmp_type, about="fe80::7")
    assert lines(message) == [f"ICMP: neighbour {what} for fe80::7 from 2001:db8::66 to 2001:db8::1"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "net is unreachable"),
        (1, "host is unreachable"),
        (2, "protocol is unreachable"),
        (3, "port is unreachable"),
        (4, "fragmentation needed"),
        (5, "source route failed"),
        (6, "unknown net is unreachable"),
        (7, "unknown host is unreachable"),
        (8, "isolated host is unreachable"),
        (9, "net is prohibited"),
        (10, "host is prohibited"),
        (11, "net-tos is unreachable"),
        (12, "host-tos is unreachable"),
        (13, "communication is prohibited"),
        (14, "host precedence violated"),
        (15, "precedence cut off"),
        (16, "undefined code 16 is unreachable"),
    ],
)
def test_each_code_of_unreachable_has_its_own_word(lines, record, code, words):
    message = record(**ICMP, **QUOTED_UDP, icmp_type=3, icmp_code=code)
    assert lines(message) == [f"ICMP: 198.18.0.66: {words} to 198.18.1.1 (udp: dest port 33434, source port 40000)"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "net is unreachable"),
        (1, "communication is prohibited"),
        (2, "scope is unreachable"),
        (3, "host is unreachable"),
        (4, "port is unreachable"),
        (5, "source is prohibited"),
        (6, "net is prohibited"),
        (7, "source route failed"),
        (8, "undefined code 8 is unreachable"),
    ],
)
def test_each_code_of_unreachable_in_icmpv6_has_its_own_word(lines, record, code, words):
    message = record(**ICMP6, icmp_type=1, icmp_code=code, about="2001:db8::9", about_proto=6, about_dport=80, about_sport=40000)
    assert lines(message) == [f"ICMP: 2001:db8::66: {words} to 2001:db8::1 (tcp: dest port 80, source port 40000)"]


@pytest.mark.parametrize(
    ("proto", "quoted"),
    [
        (0, ""),
        (1, " (icmp)"),
        (6, " (tcp: dest port 7, source port 9)"),
        (47, " (protocol 47)"),
        (132, " (sctp: dest port 7, source port 9)"),
    ],
)
def test_a_time_exceeded_tells_the_protocol_and_the_ports_of_the_packet_it_quotes(lines, record, proto, quoted):
    message = record(**ICMP, icmp_type=11, about_proto=proto, about_dport=7, about_sport=9)
    assert lines(message) == [f"ICMP: 198.18.0.66 time exceeded to 198.18.1.1{quoted}"]


@pytest.mark.parametrize(("code", "what"), [(0, "network"), (1, "host"), (2, "network-tos"), (3, "host-tos"), (9, "undefined code 9")])
def test_a_redirect_names_the_gateway_and_what_it_leads_to(lines, record, code, what):
    message = record(**ICMP, icmp_type=5, icmp_code=code, about="198.18.0.254", route="203.0.113.9")
    assert lines(message) == [f"ICMP: (198.18.0.254) redirect 198.18.0.66 to {what} 203.0.113.9"]


def test_a_redirect_of_icmpv6_reads_like_one_of_icmp(lines, record):
    message = record(**ICMP6, icmp_type=137, about="fe80::fe", route="2001:db8:9::9")
    assert lines(message) == ["ICMP: (fe80::fe) redirect 2001:db8::66 to host 2001:db8:9::9"]


def test_a_redirect_that_was_cut_short_says_what_is_unknown(lines, record):
    assert lines(record(**ICMP, icmp_type=5, icmp_code=1)) == ["ICMP: (unknown) redirect 198.18.0.66 to host unknown"]


@pytest.mark.parametrize(("outcome", "words"), [(Outcome.REFUSED, "refused"), (Outcome.HALF_OPEN, "half open"), (Outcome.ANSWERED, "answered")])
def test_an_outcome_stands_behind_the_line(lines, record, outcome, words):
    attempt = record(**TCP, outcome=outcome)
    assert lines(attempt) == [f"TCP: port 65000 connection attempt to 198.18.1.1 from 198.18.0.66:2925 ({words})"]


def test_the_end_of_a_flow_has_no_line(lines, record):
    assert lines(record(**TCP | {"record": RecordKind.FLOW})) == []


def test_kinds_of_records_in_one_run_keep_their_order(lines, record):
    import numpy as np

    run = np.concatenate([record(**ICMP, icmp_type=8), record(**TCP), record(**TCP | {"record": RecordKind.FLOW}), record(**UDP)])
    assert [line.split(":")[0] for line in lines(run)] == ["ICMP", "TCP", "UDP"]
