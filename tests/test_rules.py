"""The rule grammar, what each rule hides, and what is said about a rule that is wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplog_core.addresses import halves
from iplog_core.batch import BYTES_PER_PACKET, FLOW_DTYPE, FlowRows, Kind, PacketBatch
from iplog_core.errors import ConfigError
from iplog_core.rule_grammar import ICMP_TYPES
from iplog_core.rules import compile_rules, parse_rule

Row = np.void
Plain = dict[str, Any]
Clause = tuple[str, Callable[[Any], bool]]

NUMBERS = {Kind.TCP: 6, Kind.UDP: 17, Kind.ICMP: 1, Kind.ICMP6: 58, Kind.SCTP: 132}
COLUMNS = ("kind", "version", "proto", "src_hi", "src_lo", "dst_hi", "dst_lo", "sport", "dport", "icmp_type")
PORT = "a port number, a service name, a range such as 1024:2047 or 1024:, or *"
ADDRESS = "an address such as 192.0.2.1, 192.168/16 or 2001:db8::/32, a host name, or *"


def row(kind: Kind, src: str = "192.0.2.1", dst: str = "198.51.100.2", *, sport: int = 0, dport: int = 0, type: int = 0, proto: int | None = None) -> Row:
    source, destination = ip_address(src), ip_address(dst)
    made = np.zeros(1, FLOW_DTYPE)
    made["kind"], made["version"] = kind, source.version
    made["proto"] = NUMBERS.get(kind, 0) if proto is None else proto
    made["src_hi"], made["src_lo"] = (np.uint64(half) for half in halves(source))
    made["dst_hi"], made["dst_lo"] = (np.uint64(half) for half in halves(destination))
    made["sport"], made["dport"], made["icmp_type"] = sport, dport, type
    return cast(Row, made[0])


def tcp(src: str = "192.0.2.1", dst: str = "198.51.100.2", *, sport: int = 40000, dport: int = 80) -> Row:
    return row(Kind.TCP, src, dst, sport=sport, dport=dport)


def udp(src: str = "192.0.2.1", dst: str = "198.51.100.2", *, sport: int = 40000, dport: int = 5000) -> Row:
    return row(Kind.UDP, src, dst, sport=sport, dport=dport)


def icmp(type: int = 8) -> Row:
    return row(Kind.ICMP, type=type)


def icmp6(type: int = 128) -> Row:
    return row(Kind.ICMP6, "2001:db8::1", "2001:db8:1::2", type=type)


def fragment(proto: int, src: str = "192.0.2.1", dst: str = "198.51.100.2") -> Row:
    return row(Kind.FRAGMENT, src, dst, proto=proto)


def flows(rows: Iterable[Row]) -> FlowRows:
    return FlowRows(np.array(list(rows), FLOW_DTYPE))


def ignored(rules: str | list[str], rows: list[Row]) -> list[bool]:
    mask = compile_rules([rules] if isinstance(rules, str) else rules).ignored(flows(rows))
    return [False] * len(rows) if mask is None else [bool(hidden) for hidden in mask]


def assert_ignores(rules: str | list[str], *, drops: list[Row], keeps: list[Row]) -> None:
    assert ignored(rules, [*drops, *keeps]) == [True] * len(drops) + [False] * len(keeps)


def faults(*rules: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compile_rules(rules, "iplog.toml, rules")
    return list(caught.value.faults)


@pytest.fixture(autouse=True)
def hosts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for the name service, which tests cannot rely on: a table of host names, and how often each was asked for."""
    known = {"ns.example.com": ["192.0.2.53", "2001:db8::53"], "pool.example.com": ["203.0.113.5", "203.0.113.77"], "link.example.com": ["fe80::5%eth0"]}
    asked: list[str] = []

    def getaddrinfo(host: str, port: None, **hints: int) -> list[tuple[Any, ...]]:
        asked.append(host)
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        families = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [(families[ip_address(a).version], socket.SOCK_STREAM, 6, "", (a, 0)) for a in known[host]]

    monkeypatch.setattr("iplog_core.rules.getaddrinfo", getaddrinfo)
    return asked


# The examples of the manual, as they stand.


def test_ignore_tcp_sport_25() -> None:
    assert_ignores("ignore tcp sport 25", drops=[tcp(sport=25)], keeps=[tcp(dport=25), udp(sport=25), tcp(sport=24), tcp(sport=26)])


def test_ignore_tcp_dport_25() -> None:
    assert_ignores("ignore tcp dport 25", drops=[tcp(dport=25)], keeps=[tcp(sport=25), udp(dport=25)])


def test_ignore_udp_sport_53() -> None:
    assert_ignores("ignore udp sport 53", drops=[udp(sport=53)], keeps=[udp(dport=53), tcp(sport=53)])


def test_ignore_udp_dport_53() -> None:
    assert_ignores("ignore udp dport 53", drops=[udp(dport=53)], keeps=[udp(sport=53), tcp(dport=53)])


def test_ignore_udp_from_a_network() -> None:
    assert_ignores(
        "ignore udp from 192.168.0.0/16",
        drops=[udp("192.168.0.0"), udp("192.168.255.255")],
        keeps=[
            udp("192.167.255.255"),
            udp("192.169.0.0"),
            udp(dst="192.168.0.1"),
            tcp("192.168.0.1"),
            udp("2001:db8::1", "::1"),
        ],
    )


def test_ignore_icmp() -> None:
    assert_ignores("ignore icmp", drops=[icmp(8), icmp(0), icmp6(128)], keeps=[tcp(), udp()])


def test_log_tcp_dport_range_and_sport_by_name() -> None:
    assert_ignores(
        ["ignore tcp", "log tcp dport 1045:1055 sport ftp-data"],
        drops=[tcp(sport=20, dport=1044), tcp(sport=20, dport=1056), tcp(sport=21, dport=1050)],
        keeps=[tcp(sport=20, dport=1045), tcp(sport=20, dport=1055), udp(sport=20, dport=1050)],
    )


def test_ignore_tcp_open_ended_dport_and_sport() -> None:
    assert_ignores(
        "ignore tcp dport 1024: sport 20",
        drops=[tcp(sport=20, dport=1024), tcp(sport=20, dport=65535)],
        keeps=[tcp(sport=20, dport=1023), tcp(sport=19, dport=1024)],
    )


def test_ignore_icmp_type_other_than_echo() -> None:
    assert_ignores(
        "ignore icmp type !echo",
        drops=[icmp(0), icmp(3), icmp6(129), icmp6(8), icmp(128)],
        keeps=[icmp(8), icmp6(128), udp()],
    )


def test_ignore_udp_from_a_short_address_with_a_netmask() -> None:
    assert_ignores(
        "ignore udp from 127.1.2/255.255.255.0",
        drops=[udp("127.1.2.0"), udp("127.1.2.255")],
        keeps=[udp("127.1.1.255"), udp("127.1.3.0"), tcp("127.1.2.3")],
    )


# Addresses.


@pytest.mark.parametrize(
    ("address", "first", "last"),
    [
        ("127.1.2/24", "127.1.2.0", "127.1.2.255"),
        ("192/8", "192.0.0.0", "192.255.255.255"),
        ("10", "10.0.0.0", "10.0.0.0"),
        ("192.168", "192.168.0.0", "192.168.0.0"),
        ("198.18.0.66/24", "198.18.0.0", "198.18.0.255"),
        ("198.18.0.66/255.255.255.252", "198.18.0.64", "198.18.0.67"),
        ("198.18.0.66/32", "198.18.0.66", "198.18.0.66"),
        ("0/0", "0.0.0.0", "255.255.255.255"),
        ("2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8::7/126", "2001:db8::4", "2001:db8::7"),
        ("2001:db8::1", "2001:db8::1", "2001:db8::1"),
        ("2001:db8:0:1::/64", "2001:db8:0:1::", "2001:db8:0:1:ffff:ffff:ffff:ffff"),
        ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ],
)
def test_an_address_matches_from_the_first_to_the_last_of_its_network(address: str, first: str, last: str) -> None:
    family = type(ip_address(first))
    low, high = int(ip_address(first)), int(ip_address(last))
    beside = [n for n in (low - 1, high + 1) if 0 <= n < 1 << family(0).max_prefixlen]
    to = "192.0.2.1" if family is IPv4Address else "2001:db8::9"
    assert_ignores(
        f"ignore tcp from {address}",
        drops=[tcp(str(family(low)), to), tcp(str(family(high)), to)],
        keeps=[tcp(str(family(n)), to) for n in beside],
    )


def test_a_negated_network_matches_every_source_outside_it_of_both_families() -> None:
    assert_ignores(
        "ignore tcp from !192.168/16",
        drops=[tcp("192.169.0.1"), tcp("2001:db8::1", "2001:db8::2")],
        keeps=[tcp("192.168.3.4"), udp("192.169.0.1")],
    )


def test_a_negated_ipv6_network_matches_every_ipv4_source() -> None:
    assert_ignores(
        "ignore tcp from !2001:db8::/32",
        drops=[tcp("192.0.2.1"), tcp("2001:db9::1", "2001:db8::2")],
        keeps=[tcp("2001:db8::1", "2001:db8::2")],
    )


def test_to_holds_for_the_destination() -> None:
    assert_ignores("ignore udp to 198.51.100.2", drops=[udp(dst="198.51.100.2")], keeps=[udp("198.51.100.2", "192.0.2.1")])


def test_an_ipv4_rule_does_not_match_an_ipv6_packet_whose_source_pretends_to_be_mapped() -> None:
    assert_ignores("ignore tcp from 192.0.2.1", drops=[tcp("192.0.2.1")], keeps=[tcp("::ffff:192.0.2.1", "2001:db8::2")])


def test_an_ipv6_prefix_that_holds_the_mapped_range_does_not_match_ipv4() -> None:
    assert_ignores("ignore tcp from ::/64", drops=[tcp("::1", "::2")], keeps=[tcp("192.0.2.1")])


def test_a_star_is_any_address_of_both_families() -> None:
    assert_ignores("ignore tcp from * to *", drops=[tcp(), tcp("::1", "::2")], keeps=[udp()])


def test_a_host_name_means_all_its_addresses_of_both_families() -> None:
    assert_ignores(
        "ignore udp from ns.example.com",
        drops=[udp("192.0.2.53"), udp("2001:db8::53", "2001:db8::1")],
        keeps=[udp("192.0.2.54"), udp("2001:db8::54", "2001:db8::1")],
    )


def test_a_host_name_whose_address_has_a_zone_holds_for_every_interface() -> None:
    assert_ignores("ignore udp from link.example.com", drops=[udp("fe80::5", "fe80::1")], keeps=[udp("fe80::6", "fe80::1")])


def test_a_negated_host_name_means_none_of_its_addresses() -> None:
    assert_ignores(
        "ignore udp from !pool.example.com",
        drops=[udp("203.0.113.6"), udp("2001:db8::53", "2001:db8::1")],
        keeps=[udp("203.0.113.5"), udp("203.0.113.77")],
    )


def test_a_mask_behind_a_host_name_holds_for_its_ipv4_addresses() -> None:
    assert_ignores(
        "ignore udp from ns.example.com/24",
        drops=[udp("192.0.2.1"), udp("2001:db8::53", "2001:db8::1")],
        keeps=[udp("192.0.3.1"), udp("2001:db8::54", "2001:db8::1")],
    )


def test_a_host_name_is_looked_up_when_rules_are_compiled_and_never_after(hosts: list[str]) -> None:
    rules = compile_rules(["ignore udp from NS.example.com"])
    rules.ignored(flows([udp()]))
    assert hosts == ["ns.example.com"]


def test_all_host_names_are_looked_up_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"host{number}.example.com" for number in range(20)]
    together = threading.Barrier(len(names), timeout=20)

    def getaddrinfo(host: str, port: None, **hints: int) -> list[tuple[Any, ...]]:
        together.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr("iplog_core.rules.getaddrinfo", getaddrinfo)
    told = faults(*(f"ignore tcp from {name}" for name in names))
    assert [line.split(": ")[1] for line in told] == [f'"ignore tcp from {name}"' for name in names]


def test_a_host_name_in_several_rules_is_looked_up_once(hosts: list[str]) -> None:
    compile_rules(["ignore udp from ns.example.com", "ignore tcp from ns.example.com to pool.example.com"])
    assert sorted(hosts) == ["ns.example.com", "pool.example.com"]


def test_an_unknown_host_is_an_error_and_does_not_match_everything() -> None:
    assert faults("ignore tcp from nowhere.example.com") == [
        'iplog.toml, rules[0]: "ignore tcp from nowhere.example.com": '
        "'nowhere.example.com' cannot be looked up (Name or service not known); expected a host name that can, or its addresses."
    ]


# Ports.


@pytest.mark.parametrize(
    ("port", "drops", "keeps"),
    [
        ("80", [80], [79, 81]),
        ("!80", [0, 79, 81, 65535], [80]),
        ("http", [80], [79, 81]),
        ("!www", [79, 81], [80]),
        ("ftp-data", [20], [19, 21]),
        ("ftp-data:ssh", [20, 22], [19, 23]),
        ("80:80", [80], [79, 81]),
        ("1024:2047", [1024, 2047], [1023, 2048]),
        ("!1024:2047", [1023, 2048], [1024, 2047]),
        ("1024:", [1024, 65535], [0, 1023]),
        ("!1024:", [0, 1023], [1024, 65535]),
        (":1023", [0, 1023], [1024, 65535]),
        ("0", [0], [1]),
        ("65535", [65535], [0, 65534]),
        ("0080", [80], [79]),
        ("*", [0, 80, 65535], []),
        ("!0:65535", [], [0, 80, 65535]),
    ],
)
def test_a_port_clause_matches(port: str, drops: list[int], keeps: list[int]) -> None:
    assert_ignores(f"ignore tcp dport {port}", drops=[tcp(dport=n) for n in drops], keeps=[tcp(dport=n) for n in keeps])


def test_a_reversed_range_is_an_error() -> None:
    assert faults("ignore tcp dport 2000:1000") == [
        "iplog.toml, rules[0]: \"ignore tcp dport 2000:1000\": '2000:1000' is a reversed range; expected the lower port first: 1000:2000."
    ]


def test_a_service_of_the_other_protocol_is_an_error() -> None:
    assert faults("ignore udp dport ssh") == [
        "iplog.toml, rules[0]: \"ignore udp dport ssh\": 'ssh' is a service of tcp, not of udp; write its number to mean that port of udp."
    ]


# ICMP types.


@pytest.mark.parametrize("spelling", ["echo", "ECHO", "ICMP_ECHO", "icmp_echo", "Icmp_Echo"])
def test_a_type_name_may_have_any_case_and_icmp_in_front(spelling: str) -> None:
    assert_ignores(f"ignore icmp type {spelling}", drops=[icmp(8), icmp6(128)], keeps=[icmp(0), icmp6(129), icmp(128), icmp6(8)])


@pytest.mark.parametrize(
    ("name", "v4", "v6"),
    [
        ("ECHOREPLY", 0, 129), ("UNREACH", 3, 1), ("SOURCEQUENCH", 4, None), ("REDIRECT", 5, 137), ("ECHO", 8, 128),
        ("ROUTERADVERT", 9, 134), ("ROUTERSOLICIT", 10, 133), ("TIMXCEED", 11, 3), ("PARAMPROB", 12, 4), ("TSTAMP", 13, None),
        ("TSTAMPREPLY", 14, None), ("IREQ", 15, None), ("IREQREPLY", 16, None), ("MASKREQ", 17, None), ("MASKREPLY", 18, None),
        ("PKTTOOBIG", None, 2), ("MLDQUERY", None, 130), ("MLDREPORT", None, 131), ("MLDDONE", None, 132),
        ("NEIGHBORSOLICIT", None, 135), ("NEIGHBORADVERT", None, 136), ("MLDV2REPORT", None, 143),
    ],
)  # fmt: skip
def test_a_type_name_means_its_type_in_each_family(name: str, v4: int | None, v6: int | None) -> None:
    rows = [icmp(n) for n in range(256)] + [icmp6(n) for n in range(256)]
    matched = [at for at, hidden in enumerate(ignored(f"ignore icmp type {name}", rows)) if hidden]
    assert matched == [n for n in (v4, None if v6 is None else 256 + v6) if n is not None]


@pytest.mark.parametrize(
    ("number", "drops", "keeps"),
    [
        ("3", [icmp(3)], [icmp6(3), icmp(4)]),
        ("127", [icmp(127)], [icmp6(127)]),
        ("128", [icmp6(128)], [icmp(128)]),
        ("255", [icmp6(255)], [icmp(255)]),
        ("!3", [icmp(4), icmp6(3), icmp6(128)], [icmp(3)]),
        ("!128", [icmp(8), icmp(128), icmp6(129)], [icmp6(128)]),
        ("*", [icmp(3), icmp6(3), icmp6(200)], [udp()]),
    ],
)
def test_a_type_number_below_128_is_of_icmp_and_above_of_icmpv6(number: str, drops: list[Row], keeps: list[Row]) -> None:
    assert_ignores(f"ignore icmp type {number}", drops=drops, keeps=keeps)


# Protocols, fragments, and what no rule speaks of.


def test_nothing_is_ignored_without_a_rule_that_ignores() -> None:
    assert compile_rules(["log tcp", "log udp dport 53"]).ignored(flows([tcp(), udp()])) is None


def test_no_rule_matches_arp_sctp_or_an_undecoded_packet() -> None:
    assert_ignores(
        ["ignore tcp", "ignore udp", "ignore icmp", "ignore tcp from *", "ignore icmp type *"],
        drops=[],
        keeps=[row(Kind.ARP), row(Kind.SCTP), row(Kind.NONE), row(Kind.OTHER, proto=47)],
    )


@pytest.mark.parametrize(("proto", "number"), [("tcp", 6), ("udp", 17), ("icmp", 1)])
@pytest.mark.parametrize("clause", ["", " from 192.0.2.0/24"])
def test_a_fragment_without_its_header_counts_for_its_protocol(proto: str, number: int, clause: str) -> None:
    others = [fragment(other) for other in (6, 17, 1, 58, 132) if other != number]
    assert_ignores(f"ignore {proto}{clause}", drops=[fragment(number)], keeps=others)


def test_a_fragment_of_icmpv6_counts_for_icmp() -> None:
    assert_ignores("ignore icmp", drops=[fragment(58, "2001:db8::1", "2001:db8::2")], keeps=[fragment(58)])


@pytest.mark.parametrize("clause", ["tcp sport *", "tcp dport 0", "tcp dport !80", "tcp sport 0:"])
def test_a_fragment_without_its_header_matches_no_port(clause: str) -> None:
    assert_ignores(f"ignore {clause}", drops=[], keeps=[fragment(6)])


@pytest.mark.parametrize("clause", ["type *", "type !echo", "type 0"])
def test_a_fragment_without_its_header_matches_no_type(clause: str) -> None:
    assert_ignores(f"ignore icmp {clause}", drops=[], keeps=[fragment(1)])


def test_packets_are_ignored_as_flows_are() -> None:
    rows = flows([tcp(sport=25), udp("192.168.1.1"), icmp(3), icmp6(129), tcp("2001:db8::1", "::2"), fragment(6)])
    batch = PacketBatch(np.zeros(BYTES_PER_PACKET * len(rows), np.uint8), np.empty(0, np.uint8), now=0)
    for column in COLUMNS:
        getattr(batch, column)[:] = getattr(rows, column)
    rules = compile_rules(["ignore tcp sport 25", "ignore udp from 192.168/16", "ignore icmp type !echo", "ignore tcp from 2001:db8::/32"])
    expected = np.array([True, True, True, True, True, False])
    np.testing.assert_array_equal(rules.ignored(rows), expected)
    np.testing.assert_array_equal(rules.ignored(batch), expected)


def test_a_batch_without_rows_has_an_empty_mask() -> None:
    assert ignored("ignore tcp from 192.0.2.1", []) == []


# Precedence.


@pytest.mark.parametrize(
    "rules",
    [
        ["log tcp dport 22", "ignore tcp from 192.0.2.0/24"],
        ["ignore tcp from 192.0.2.0/24", "log tcp dport 22"],
        ["ignore tcp dport :1023", "log tcp dport 22", "ignore tcp from 192.0.2.0/24"],
        ["ignore tcp", "log tcp dport 22"],
        ["log tcp dport 22", "ignore tcp"],
        ["log tcp dport 22", "log tcp", "ignore tcp"],
    ],
)
def test_a_matching_log_rule_wins_wherever_it_stands(rules: list[str]) -> None:
    assert_ignores(rules, drops=[tcp(dport=80)], keeps=[tcp(dport=22)])


def test_a_log_rule_speaks_for_its_own_protocol_only() -> None:
    assert_ignores(["ignore udp", "log tcp from *"], drops=[udp()], keeps=[tcp()])


def test_of_two_switches_the_last_counts() -> None:
    assert_ignores(["ignore udp", "log udp", "log tcp", "ignore tcp"], drops=[tcp()], keeps=[udp()])


@pytest.mark.parametrize("rules", [["log tcp", "ignore tcp dport 80"], ["ignore tcp dport 80", "log tcp"]])
def test_a_protocol_that_is_on_still_obeys_its_ignore_rules(rules: list[str]) -> None:
    assert_ignores(rules, drops=[tcp(dport=80)], keeps=[tcp(dport=22)])


def test_a_log_rule_with_a_star_beats_every_ignore_rule() -> None:
    assert_ignores(["ignore tcp", "ignore tcp dport 80", "log tcp from *"], drops=[], keeps=[tcp(dport=80), tcp(dport=22)])


def test_one_of_several_ignore_rules_is_enough() -> None:
    assert_ignores(["ignore tcp dport 22", "ignore tcp dport 80"], drops=[tcp(dport=22), tcp(dport=80)], keeps=[tcp(dport=443)])


def test_all_clauses_of_a_rule_must_match() -> None:
    rule = "ignore tcp from 192.0.2.1 sport 1024: to 198.51.100.2 dport 80"
    assert_ignores(rule, drops=[tcp()], keeps=[tcp("192.0.2.2"), tcp(sport=1023), tcp(dst="198.51.100.3"), tcp(dport=81)])


# Spelling.


@pytest.mark.parametrize(
    "text",
    [
        "IGNORE TCP FROM 10/8 DPORT 25",
        "  ignore\ttcp  dport 25   from 10/8 ",
        "ignore tcp from 10.0.0.0/8 dport 25 # mail",
        "ignore tcp from 10/8 dport 25#mail",
    ],
)
def test_case_blanks_clause_order_and_comments_do_not_matter(text: str) -> None:
    assert str(parse_rule(text)) == "ignore tcp from 10.0.0.0/8 dport 25"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("LOG Icmp FROM !fe80::/10 TYPE !ICMP_ECHO", "log icmp type !echo from !fe80::/10"),
        ("ignore udp from 127.1.2/255.255.255.0", "ignore udp from 127.1.2.0/24"),
        ("ignore tcp to 198.18.0.66/24 sport ftp-data", "ignore tcp sport ftp-data to 198.18.0.0/24"),
        ("ignore tcp dport !01024:", "ignore tcp dport !1024:"),
        ("ignore tcp dport :ssh from *", "ignore tcp from * dport :ssh"),
        ("ignore tcp from NS.Example.COM/255.255.255.0", "ignore tcp from ns.example.com/24"),
        ("ignore tcp to 2001:DB8:0::0/32", "ignore tcp to 2001:db8::/32"),
        ("ignore icmp type 128", "ignore icmp type 128"),
        ("ignore tcp", "ignore tcp"),
    ],
)
def test_the_text_of_a_rule_is_canonical(text: str, canonical: str) -> None:
    assert str(parse_rule(text)) == canonical


def test_the_examples_of_the_guide_compile() -> None:
    guide = (Path(__file__).resolve().parents[1] / "docs" / "rules.md").read_text()
    examples = [line for line in guide.split("## Examples")[1].split("##")[0].splitlines() if line]
    assert compile_rules(examples).ignored(flows([icmp(0)])) is not None


# What is wrong with a rule.


def test_all_faults_are_told_at_once_with_their_place() -> None:
    assert faults("ignore tcp", "ignore arp", "ignore tcp dprt 80", "drop udp") == [
        "iplog.toml, rules[1]: \"ignore arp\": 'arp' is no protocol; expected tcp, udp or icmp.",
        "iplog.toml, rules[2]: \"ignore tcp dprt 80\": 'dprt' is no clause; expected from, sport, to or dport.",
        "iplog.toml, rules[3]: \"drop udp\": 'drop' is no action; expected log or ignore.",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no rule; expected log or ignore, then tcp, udp or icmp."),
        ("# nothing", "there is no rule; expected log or ignore, then tcp, udp or icmp."),
        ("ignore", "the protocol is missing; expected tcp, udp or icmp."),
        ("ignore icmp sport 3", "'sport' is no clause of icmp; expected type, from or to."),
        ("ignore tcp type 3", "'type' is no clause of tcp; expected from, sport, to or dport."),
        ("ignore tcp 25", "'25' is no clause; expected from, sport, to or dport."),
        ("ignore tcp sport 25 SPORT 26", "'sport' stands twice; each clause may stand once."),
        ("ignore tcp sport", f"'sport' has no value; expected {PORT}."),
        ("ignore tcp from # all", f"'from' has no value; expected {ADDRESS}."),
        ("ignore tcp from !*", f"'!*' matches nothing; expected {ADDRESS}."),
        ("ignore tcp sport 25\nignore udp", "a rule stands on one line; write each as a rule of its own."),
        ("ignore tcp sport :", f"':' is no port; expected {PORT}."),
        ("ignore tcp sport !", f"'!' is no port; expected {PORT}."),
        ("ignore tcp sport 65536", "'65536' is no port; expected a number from 0 to 65535."),
        ("ignore tcp sport 80-90", "'80-90' is no port; a range is written 80:90."),
        ("ignore tcp sport 80,90", f"'80,90' is no tcp service that this host knows; expected {PORT}."),
        ("ignore tcp sport !!80", f"'!80' is no tcp service that this host knows; expected {PORT}."),
        ("ignore icmp type ech", "'ech' is no ICMP type; expected a number from 0 to 255, a name such as echo or unreach, or *. Did you mean echo?"),
        ("ignore icmp type 256", "'256' is no ICMP type; expected a number from 0 to 255, a name such as echo or unreach, or *."),
        ("ignore tcp from 10/33", "'33' is no prefix length; expected 0 to 32 or a netmask such as 255.255.255.0."),
        ("ignore tcp from 10/", "'' is no prefix length; expected 0 to 32 or a netmask such as 255.255.255.0."),
        ("ignore tcp from ::1/129", "'129' is no prefix length; expected 0 to 128."),
        ("ignore tcp from ::1/255.255.255.0", "'255.255.255.0' is no prefix length; expected 0 to 128."),
        ("ignore tcp from 10/255.0.255.0", "'255.0.255.0' is no netmask, its bits have gaps; expected one such as 255.255.255.0."),
        ("ignore tcp from 10/0.0.0.255", "'0.0.0.255' is no netmask, its bits have gaps; expected one such as 255.255.255.0."),
        ("ignore tcp from 10/255.255", "'255.255' is no netmask; expected one such as 255.255.255.0."),
        ("ignore tcp from fe80::1%eth0", "'fe80::1%eth0' names a zone; a rule holds for every interface: leave '%eth0' away."),
        ("ignore tcp from 2001:db8::g", "'2001:db8::g' is no IPv6 address; expected one such as 2001:db8::1."),
        ("ignore tcp from ns.example.com/64", "'64' is no prefix length; expected 0 to 32 or a netmask such as 255.255.255.0."),
        ("ignore tcp from a..example.com", f"'a..example.com' is no address; expected {ADDRESS}."),
        ("ignore tcp from 0x7f.1", f"'0x7f.1' is no address; expected {ADDRESS}."),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_told_with_what_would_be_right(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        parse_rule(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize("address", ["256.1.1.1", "1.2.3.4.5", "10.", ".10", "192.168.010.1"])
def test_numbers_and_dots_that_are_no_address_are_no_host_name_either(address: str, hosts: list[str]) -> None:
    assert "is no IPv4 address; expected one to four numbers from 0 to 255" in faults(f"ignore tcp from {address}")[0]
    assert hosts == []


def test_a_message_stays_on_one_line_and_short_whatever_the_rule() -> None:
    (fault,) = faults("ignore tcp \x1b[31m\x07" + "x" * 1000)
    assert fault.isprintable()
    assert len(fault) < 400


# Against models.


@st.composite
def address_clause(draw: st.DrawFn) -> Clause:
    """Return the text of an ADDR, and whether an address object matches it, by the standard library."""
    base = draw(near_address(draw(st.sampled_from([4, 6]))))
    bits = draw(st.integers(0, base.max_prefixlen))
    network = ip_network(f"{base}/{bits}", strict=False)
    negated = draw(st.booleans())
    return f"{'!' * negated}{base}/{bits}", lambda address: (address in network) != negated


@st.composite
def port_clause(draw: st.DrawFn) -> Clause:
    low, high = sorted(draw(st.tuples(PORTS, PORTS)))
    form, ports = draw(
        st.sampled_from(
            [
                (str(low), {low}),
                (f"{low}:{high}", range(low, high + 1)),
                (f"{low}:", range(low, 65536)),
                (f":{high}", range(high + 1)),
            ]
        )
    )
    negated = draw(st.booleans())
    return f"{'!' * negated}{form}", lambda port: (port in ports) != negated


@st.composite
def type_clause(draw: st.DrawFn) -> Clause:
    negated = draw(st.booleans())
    if draw(st.booleans()):
        number = draw(st.integers(0, 255))
        form, types = str(number), {(4 if number < 128 else 6, number)}
    else:
        form = draw(st.sampled_from(sorted(ICMP_TYPES)))
        v4, v6 = ICMP_TYPES[form]
        types = {(family, number) for family, number in ((4, v4), (6, v6)) if number is not None}
    return f"{'!' * negated}{form}", lambda type: (type in types) != negated


class RuleModel:
    """A rule as a list of predicates, each on one plain value of a row: slow, and obviously right."""

    def __init__(self, action: str, proto: str, clauses: dict[str, Clause]) -> None:
        self.action, self.proto, self.clauses = action, proto, clauses
        words = [f"{name} {text}" for name, (text, _) in clauses.items()]
        self.text = " ".join([action, proto, *words])

    def matches(self, row: Plain) -> bool:
        return row["name"] == self.proto and all((row["header"] or name in ("from", "to")) and holds(row[name]) for name, (_, holds) in self.clauses.items())


def is_ignored(rules: list[RuleModel], row: Plain) -> bool:
    """Return what the manual says, word by word."""
    if any(rule.action == "log" and rule.clauses and rule.matches(row) for rule in rules):
        return False
    if any(rule.action == "ignore" and rule.clauses and rule.matches(row) for rule in rules):
        return True
    switches = [rule.action for rule in rules if not rule.clauses and rule.proto == row["name"]]
    return switches[-1:] == ["ignore"]


@st.composite
def rule_models(draw: st.DrawFn) -> RuleModel:
    proto = draw(st.sampled_from(["tcp", "udp", "icmp"]))
    kinds = {"from": address_clause(), "to": address_clause()}
    kinds |= {"type": type_clause()} if proto == "icmp" else {"sport": port_clause(), "dport": port_clause()}
    names = draw(st.just([]) | st.lists(st.sampled_from(sorted(kinds)), unique=True, min_size=1, max_size=3))
    return RuleModel(draw(st.sampled_from(["log", "ignore"])), proto, {name: draw(kinds[name]) for name in names})


@st.composite
def row_models(draw: st.DrawFn) -> tuple[Plain, Row]:
    """Return a row as plain values, and the same as a row of columns."""
    six = draw(st.booleans())
    kind = draw(st.sampled_from([Kind.TCP, Kind.UDP, Kind.ICMP6 if six else Kind.ICMP, Kind.SCTP, Kind.FRAGMENT]))
    number = draw(st.sampled_from([6, 17, 1, 58, 132])) if kind == Kind.FRAGMENT else NUMBERS[kind]
    name = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp" if six else None}.get(number)
    src, dst = draw(near_address(6 if six else 4)), draw(near_address(6 if six else 4))
    fields = {"sport": draw(PORTS), "dport": draw(PORTS)} if kind in (Kind.TCP, Kind.UDP) else {}
    if kind in (Kind.ICMP, Kind.ICMP6):
        fields = {"type": draw(st.sampled_from([0, 1, 3, 8, 11, 128, 129]) | st.integers(0, 255))}
    plain: Plain = {"name": name, "header": kind != Kind.FRAGMENT, "from": src, "to": dst, **fields}
    if "type" in plain:
        plain["type"] = (6 if six else 4, plain["type"])
    return plain, row(kind, str(src), str(dst), proto=number, **fields)


PORTS = st.sampled_from([0, 25, 26, 65535])


def near_address(version: int) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    """Addresses that differ in a bit or two, so that they often share a network and often just miss it."""
    bit = st.integers(0, 31 if version == 4 else 127).map(lambda place: 1 << place) | st.just(0)
    if version == 4:
        return bit.map(lambda flipped: IPv4Address(int(IPv4Address("192.0.2.0")) ^ flipped))
    return bit.map(lambda flipped: IPv6Address(int(IPv6Address("2001:db8::")) ^ flipped))


@given(rules=st.lists(rule_models(), max_size=6), rows=st.lists(row_models(), min_size=8, max_size=40))
def test_the_compiled_rules_agree_with_the_model(rules: list[RuleModel], rows: list[tuple[Plain, Row]]) -> None:
    assert ignored([rule.text for rule in rules], [made for _, made in rows]) == [is_ignored(rules, plain) for plain, _ in rows]


@given(rule=rule_models())
def test_the_canonical_text_of_a_rule_parses_to_the_same_rule(rule: RuleModel) -> None:
    parsed = parse_rule(rule.text)
    assert parse_rule(str(parsed)) == parsed


WORDS = st.sampled_from(
    [
        "log",
        "ignore",
        "tcp",
        "udp",
        "icmp",
        "from",
        "to",
        "sport",
        "dport",
        "type",
        "!",
        "*",
        "!*",
        "10/8",
        "::1/64",
        "echo",
        "ssh",
        ":",
        "#",
        "/",
    ]
)


@given(text=st.text() | st.lists(WORDS | st.text(max_size=8), max_size=8).map(" ".join))
def test_any_text_compiles_or_is_refused_with_one_line(text: str) -> None:
    try:
        compile_rules([text], "--rule")
    except ConfigError as error:
        (fault,) = error.faults
        assert fault.startswith("--rule[0]: ")
        assert fault.isprintable()
