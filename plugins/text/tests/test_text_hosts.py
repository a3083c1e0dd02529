"""Names in lines: where they stand, and which hosts are asked about."""

import re

import pytest

from iplog_core import Kind, RecordKind, Records, SinkContext
from iplog_core.lines import Lines
from iplog_core.names import Names
from iplog_core.settings import NameSettings

TCP = {"record": RecordKind.CONNECTION_ATTEMPT, "kind": Kind.TCP, "sport": 2925, "dport": 65000}
UDP = {"record": RecordKind.DATAGRAM, "kind": Kind.UDP, "sport": 53, "dport": 65000, "payload": 245}
ICMP = {"record": RecordKind.ICMP, "kind": Kind.ICMP, "icmp_type": 8, "payload": 8}
SIX = {"src": "2001:db8::66", "dst": "2001:db8::1"}
ALERT = {"src_ip": "198.18.0.66", "dest_ip": "198.18.1.1"}

HOSTS = """\
198.18.0.66 intruder.example
198.18.1.1 matrix
203.0.113.9 far.example
203.0.113.254 gateway.example
2001:db8::66 six.example
2001:db8::1 matrix
fe80::7 neighbour
"""


@pytest.fixture
def names(tmp_path, monkeypatch):
    """A function that makes names which know what a hosts file says, and ask nobody."""
    path = tmp_path / "hosts"
    path.write_text(HOSTS)
    monkeypatch.setattr("iplog_core.names._HOSTS", path)

    def make(**settings):
        return Names(NameSettings(**settings), patient=True)

    return make


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (TCP, "TCP: port 65000 connection attempt to matrix from intruder.example:2925"),
        (UDP, "UDP: dgram to matrix:port 65000 from intruder.example:53 (245 data bytes)"),
        (ICMP, "ICMP: echo from intruder.example to matrix (8 bytes)"),
        (TCP | SIX, "TCP: port 65000 connection attempt to matrix from six.example:2925"),
        (TCP | SIX | {"src": "2001:db8::67"}, "TCP: port 65000 connection attempt to matrix from [2001:db8::67]:2925"),
        (
            ICMP | {"icmp_type": 5, "icmp_code": 1, "about": "203.0.113.254", "route": "203.0.113.9"},
            "ICMP: (gateway.example) redirect intruder.example to host far.example",
        ),
        (
            ICMP | SIX | {"kind": Kind.ICMP6, "icmp_type": 135, "about": "fe80::7"},
            "ICMP: neighbour solicitation for neighbour from six.example to matrix",
        ),
    ],
)
def test_a_name_stands_where_the_address_would(lines, record, names, fields, line):
    assert lines(record(**fields), names=names()) == [line]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (ALERT, "TCP: port scan detected to matrix from intruder.example"),
        (ALERT | {"state": "end"}, "TCP: port scan mode to matrix expired for intruder.example - received a total of 5 packets (220 bytes)."),
        ({"sources": ["198.18.0.66", "203.0.113.9"], "dest_ip": "198.18.1.1"}, "TCP: port scan detected to matrix from intruder.example,far.example"),
        ({"src_ip": "198.18.0.66", "dest_ips": ["198.18.1.1", "198.18.1.2"]}, "TCP: port scan detected to matrix,198.18.1.2 from intruder.example"),
        (ALERT | {"line": "UDP: traceroute from {src}{to}"}, "UDP: traceroute from intruder.example to matrix"),
    ],
)
def test_an_alert_names_hosts_too(lines, alert, names, fields, line):
    assert lines(alert(**fields), names=names()) == [line]


def test_log_ip_puts_the_address_behind_a_name_of_ours_too(lines, record, names):
    assert lines(record(**TCP, **SIX), names=names(log_ip=True)) == [
        "TCP: port 65000 connection attempt to matrix (2001:db8::1) from six.example (2001:db8::66):2925"
    ]


@pytest.mark.parametrize("proto", ["tcp", "udp", "icmp"])
def test_lines_about_a_protocol_keep_their_addresses_where_its_names_are_off(lines, record, alert, names, proto):
    events = {"tcp": [record(**TCP), alert(**ALERT)], "udp": [record(**UDP), alert("UDP: scan/flood", **ALERT, proto="UDP")], "icmp": [record(**ICMP)]}
    written = {name: lines(*some, names=names(**{proto: False})) for name, some in events.items()}
    assert {name: any("198.18." in line for line in some) for name, some in written.items()} == {name: name == proto for name in events}


@pytest.mark.parametrize("log_dest", [True, False])
def test_only_hosts_that_a_line_names_are_asked_about(record, alert, log_dest):
    asked = []

    class Asked(Names):
        def texts(self, hosts, queued):
            asked.extend(hosts)
            return {}

    lines = Lines(SinkContext(names=Asked(NameSettings(), patient=True), log_dest=log_dest))
    unreachable = ICMP | {"icmp_type": 3, "about": "203.0.113.9", "about_proto": 17}
    rows = [record(**TCP), record(**UDP), record(**unreachable), record(**TCP | {"record": RecordKind.FLOW}, src="203.0.113.254")]
    events = [*(Records(row, [""]) for row in rows), alert(**ALERT), alert(src_ip="203.0.113.7", state="update")]
    lines.prepare(events, 0.0)
    named = {address for event in events for line in lines.of(event)[1] for address in re.findall(r"\d+\.\d+\.\d+\.\d+", line)}
    assert set(asked) == named
