"""The lines of an alert: its start and its end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

SOURCE = {"src_ip": "198.18.0.66"}
PAIR = SOURCE | {"dest_ip": "198.18.1.1"}
HOSTS = [f"198.18.2.{number}" for number in range(1, 13)]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            PAIR | {"dest_ports": [22, 23, 80], "dest_port_count": 3, "src_ports": [40000, 40001], "src_port_count": 2},
            "detected to 198.18.1.1 [ports 22,23,80] from 198.18.0.66 [ports 40000,40001]",
        ),
        (PAIR | {"dest_ports": [22], "src_ports": [40000]}, "detected to 198.18.1.1 [port 22] from 198.18.0.66 [port 40000]"),
        (PAIR | {"dest_port": 22, "src_port": 40000}, "detected to 198.18.1.1 [port 22] from 198.18.0.66 [port 40000]"),
        (
            PAIR | {"dest_ports": list(range(1, 13)), "src_ports": list(range(7, 13))},
            "detected to 198.18.1.1 [ports 1,2,3,4,5,6,7,8,9,10,...] from 198.18.0.66 [ports 7,8,9,10,11,...]",
        ),
        (PAIR | {"dest_ports": list(range(1, 11)), "dest_port_count": 10}, "detected to 198.18.1.1 [ports 1,2,3,4,5,6,7,8,9,10] from 198.18.0.66"),
        (PAIR | {"dest_ports": [22, 23], "dest_port_count": 9}, "detected to 198.18.1.1 [ports 22,23,...] from 198.18.0.66"),
        (PAIR, "detected to 198.18.1.1 from 198.18.0.66"),
        (PAIR | {"src_ip": "2001:db8::66", "dest_ip": "2001:db8::1"}, "detected to 2001:db8::1 from 2001:db8::66"),
    ],
)
def test_a_start_lists_the_first_ports_of_both_sides(lines, alert, fields, line):
    assert lines(alert(**fields)) == [f"TCP: port scan {line}"]


def test_an_alert_on_icmp_lists_no_ports(lines, alert):
    smurf = alert("ICMP/UDP: smurf attack", **PAIR, proto="ICMP", dest_ports=[7], src_ports=[7])
    assert lines(smurf) == ["ICMP/UDP: smurf attack detected to 198.18.1.1 from 198.18.0.66"]


def test_the_target_of_a_named_source_is_left_out_without_log_dest(lines, alert):
    assert lines(alert(**PAIR), log_dest=False) == ["TCP: port scan detected from 198.18.0.66"]


@pytest.mark.parametrize("log_dest", [True, False])
def test_a_victim_is_named_in_any_case_where_nobody_is_blamed(lines, alert, log_dest):
    flood = {"dest_ip": "198.18.1.1", "dest_port": 65000, "src_port": 9, "source_count": 400}
    assert lines(alert("TCP: SYN flood", **flood), alert("TCP: SYN flood", **flood, state="end"), log_dest=log_dest) == [
        "TCP: SYN flood detected to 198.18.1.1 [port 65000]",
        "TCP: SYN flood mode to 198.18.1.1 expired - received a total of 5 packets (220 bytes).",
    ]


@pytest.mark.parametrize(
    ("fields", "who"),
    [
        ({"sources": HOSTS[:3]}, "198.18.2.1,198.18.2.2,198.18.2.3"),
        ({"sources": HOSTS[:3], "source_count": 40}, "198.18.2.1,198.18.2.2,198.18.2.3,..."),
        ({"sources": HOSTS}, ",".join(HOSTS[:10]) + ",..."),
    ],
)
def test_a_set_of_sources_stands_where_one_would(lines, alert, fields, who):
    target = {"dest_ip": "198.18.1.1"}
    assert lines(alert(**target, **fields), alert(**target, **fields, state="end")) == [
        f"TCP: port scan detected to 198.18.1.1 from {who}",
        f"TCP: port scan mode to 198.18.1.1 expired for {who} - received a total of 5 packets (220 bytes).",
    ]


def test_a_sweep_names_what_was_asked_of_the_hosts(lines, alert):
    sweep = SOURCE | {"dest_port": 65000, "dest_ips": HOSTS[:2], "dest_ip_count": 10, "src_ports": [40000]}
    assert lines(alert("TCP: port sweep", **sweep), alert("TCP: port sweep", **sweep, state="end")) == [
        "TCP: port sweep of port 65000 detected to 198.18.2.1,198.18.2.2,... from 198.18.0.66 [port 40000]",
        "TCP: port sweep of port 65000 mode to 198.18.2.1,198.18.2.2,... expired for 198.18.0.66 - received a total of 5 packets (220 bytes).",
    ]


def test_a_sweep_of_several_ports_lists_them(lines, alert):
    sweep = SOURCE | {"dest_ports": [65000, 65001], "dest_ips": HOSTS[:1]}
    assert lines(alert("TCP: port sweep", **sweep), log_dest=False) == ["TCP: port sweep detected [ports 65000,65001] from 198.18.0.66"]


def test_a_ping_sweep_has_hosts_and_no_port(lines, alert):
    sweep = alert("ICMP: ping sweep", **SOURCE, proto="ICMP", dest_ips=HOSTS[:2], dest_ip_count=2)
    assert lines(sweep) == ["ICMP: ping sweep detected to 198.18.2.1,198.18.2.2 from 198.18.0.66"]


def test_an_end_gives_the_totals(lines, alert):
    end = {"state": "end", "packets": 70000, "bytes": 3080000}
    assert lines(alert(**PAIR, **end)) == ["TCP: port scan mode to 198.18.1.1 expired for 198.18.0.66 - received a total of 70000 packets (3080000 bytes)."]
    assert lines(alert(**PAIR, **end), log_dest=False) == ["TCP: port scan mode expired for 198.18.0.66 - received a total of 70000 packets (3080000 bytes)."]


def test_an_update_has_no_line(lines, alert):
    assert lines(alert(**PAIR, state="update")) == []


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("Oversized IP fragment{to} from {src}", "Oversized IP fragment to 198.18.1.1 from 198.18.0.66"),
        ("Duplicate IP fragments{to} from {src}", "Duplicate IP fragments to 198.18.1.1 from 198.18.0.66"),
        ("Overlapping IP fragments{to} from {src}", "Overlapping IP fragments to 198.18.1.1 from 198.18.0.66"),
        ("UDP: traceroute from {src}{to}", "UDP: traceroute from 198.18.0.66 to 198.18.1.1"),
        (
            "TCP: Bogus TCP flags set by {src}:{sport} (dest port {dport})",
            "TCP: Bogus TCP flags set by 198.18.0.66:40000 (dest port 22)",
        ),
        ("{dst} {nonsense} {", "198.18.1.1 {nonsense} {"),
    ],
)
def test_an_alert_with_a_line_of_its_own_starts_with_it_and_has_no_end(lines, alert, template, line):
    fields = PAIR | {"line": template, "src_port": 40000, "dest_port": 22}
    assert lines(alert(**fields), alert(**fields, state="end")) == [line]


def test_an_ipv6_address_before_a_port_has_brackets_in_a_line_of_its_own_too(lines, alert):
    bogus = alert(src_ip="2001:db8::66", src_port=9, dest_port=22, line="TCP: Bogus TCP flags set by {src}:{sport} (dest port {dport})")
    assert lines(bogus) == ["TCP: Bogus TCP flags set by [2001:db8::66]:9 (dest port 22)"]


@given(st.text(), st.text(), st.none() | st.text(), st.lists(st.text()), st.sampled_from(["start", "end"]))
def test_no_text_of_an_alert_can_begin_a_line_or_move_the_cursor(written, alert, signature, src, line, sources, state):
    text = written([alert(signature, state=state, src_ip=src, line=line, dest_ips=sources, sources=sources)]).decode()
    assert text == "" or text.removesuffix("\n").isprintable()
