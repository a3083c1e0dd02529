"""The object of each event."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplog_core import RECORD_DTYPE, Alert, Evidence, Kind, Malformed, Notice, RecordKind, Records, Stats
from iplog_core.addresses import halves
from iplog_core.batch import Outcome
from iplog_core.events import InterfaceStats

SECOND = 1_000_000_000
START = 1_780_000_019_000_123_000
TCP = {"record": RecordKind.CONNECTION_ATTEMPT, "kind": Kind.TCP, "proto": 6, "sport": 40000, "dport": 25, "bytes": 44}
UDP = {"record": RecordKind.DATAGRAM, "kind": Kind.UDP, "proto": 17, "sport": 53, "dport": 1025, "bytes": 273}
ICMP = {"record": RecordKind.ICMP, "kind": Kind.ICMP, "proto": 1, "icmp_type": 8, "bytes": 84, "sport": 7}
ICMP6 = {"record": RecordKind.ICMP, "kind": Kind.ICMP6, "proto": 58, "icmp_type": 128, "bytes": 104, "src": "2001:db8::66", "dst": "2001:db8::1"}
FLOW = TCP | {
    "record": RecordKind.FLOW, "end": START + 3 * SECOND, "clock": START + 13 * SECOND, "packets": 9, "reply_packets": 7,
    "reply_bytes": 4400, "outcome": Outcome.HALF_OPEN,
}  # fmt: skip
MALFORMED = {"record": RecordKind.MALFORMED, "version": 4, "proto": 6, "bytes": 40, "malformed": Malformed.BAD_TCP_HEADER}
ALERT = {
    "id": "5e0c", "plugin": "tcp_scan", "kind": "port_scan", "state": "start", "severity": "high", "signature": "TCP: port scan",
    "time": START, "first_seen": START - SECOND, "last_seen": START, "packets": 5, "bytes": 220,
}  # fmt: skip


def test_a_connection_attempt_reads_as_in_the_design(written, record):
    assert written(record(**TCP)) == [
        '{"timestamp":"2026-05-28T20:26:59.000123+00:00","event_type":"traffic","in_iface":"eth0","src_ip":"198.18.0.66","src_port":40000,'
        '"dest_ip":"198.18.1.1","dest_port":25,"proto":"TCP","traffic":{"kind":"connection_attempt","bytes":44}}'
    ]


def test_a_datagram_has_the_like(objects, record):
    (datagram,) = objects(record(**UDP))
    assert (datagram["proto"], datagram["src_port"], datagram["dest_port"]) == ("UDP", 53, 1025)
    assert datagram["traffic"] == {"kind": "datagram", "bytes": 273}


@pytest.mark.parametrize(("fields", "proto", "icmp_type"), [(ICMP, "ICMP", 8), (ICMP6, "IPv6-ICMP", 128)])
def test_an_icmp_message_has_type_and_code_and_no_ports(objects, record, fields, proto, icmp_type):
    (message,) = objects(record(**fields))
    assert list(message) == ["timestamp", "event_type", "in_iface", "src_ip", "dest_ip", "proto", "icmp_type", "icmp_code", "traffic"]
    assert (message["proto"], message["icmp_type"], message["icmp_code"]) == (proto, icmp_type, 0)


def test_an_outcome_is_told_where_it_is_known(objects, record):
    assert objects(record(**TCP, outcome=Outcome.HALF_OPEN))[0]["traffic"] == {"kind": "connection_attempt", "bytes": 44, "outcome": "half_open"}


def test_an_interface_without_a_name_is_left_out(objects, record):
    assert "in_iface" not in objects(record(**TCP, interface=1))[0]


def test_the_end_of_a_flow_has_the_members_of_eve(written, record):
    assert written(record(**FLOW)) == [
        '{"timestamp":"2026-05-28T20:27:12.000123+00:00","event_type":"flow","in_iface":"eth0","src_ip":"198.18.0.66","src_port":40000,'
        '"dest_ip":"198.18.1.1","dest_port":25,"proto":"TCP","flow":{"pkts_toserver":9,"pkts_toclient":7,"bytes_toserver":44,"bytes_toclient":4400,'
        '"start":"2026-05-28T20:26:59.000123+00:00","end":"2026-05-28T20:27:02.000123+00:00","age":3,"state":"half_open"}}'
    ]


def test_a_malformed_packet_is_an_anomaly_of_eve(written, record):
    assert written(record(**MALFORMED)) == [
        '{"timestamp":"2026-05-28T20:26:59.000123+00:00","event_type":"anomaly","in_iface":"eth0","src_ip":"198.18.0.66","dest_ip":"198.18.1.1",'
        '"proto":"TCP","anomaly":{"type":"decode","event":"bad_tcp_header"}}'
    ]


def test_a_malformed_packet_without_addresses_names_none(objects, record):
    unread = MALFORMED | {"version": 0, "proto": 0, "malformed": Malformed.BAD_IP_HEADER, "src": "::", "dst": "::"}
    (anomaly,) = objects(record(**unread), community_id=True)
    assert list(anomaly) == ["timestamp", "event_type", "in_iface", "anomaly"]


def test_records_of_all_kinds_in_one_run_keep_their_order(objects, record):
    rows = np.concatenate([record(**fields).rows for fields in (TCP, FLOW, MALFORMED, UDP)])
    assert [event["event_type"] for event in objects(Records(rows, []))] == ["traffic", "flow", "anomaly", "traffic"]


@pytest.mark.parametrize(("kind", "number", "proto"), [(Kind.SCTP, 132, "SCTP"), (Kind.ARP, 0, "ARP"), (Kind.OTHER, 47, "GRE"), (Kind.OTHER, 253, "253")])
def test_any_protocol_of_a_flow_has_a_name(objects, record, kind, number, proto):
    (flow,) = objects(record(**FLOW | {"kind": kind, "proto": number}))
    assert (flow["proto"], "src_port" in flow) == (proto, kind == Kind.SCTP)


@pytest.mark.parametrize(
    ("fields", "identity"),
    [
        (TCP | {"src": "128.232.110.120", "dst": "66.35.250.204", "sport": 34855, "dport": 80}, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
        (UDP | {"src": "192.168.1.52", "dst": "8.8.8.8", "sport": 54585, "dport": 53}, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
        (ICMP | {"src": "192.168.0.89", "dst": "192.168.0.1"}, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
    ],
)
def test_traffic_has_the_community_id_of_its_specification_where_asked_for(objects, record, fields, identity):
    assert "community_id" not in objects(record(**fields))[0]
    assert objects(record(**fields), community_id=True)[0]["community_id"] == identity


def test_a_flow_without_ports_has_no_community_id(objects, record):
    assert "community_id" not in objects(record(**FLOW | {"kind": Kind.ARP, "proto": 0}), community_id=True)[0]


def test_an_alert_reads_as_in_the_design(written):
    scan = Alert(
        **ALERT, src_ip="198.18.0.66", dest_ip="198.18.1.1", proto="TCP",
        evidence=Evidence(dest_ports=[22, 23], dest_port_count=2, refused=3, silent=0),
    )  # fmt: skip
    assert written(scan) == [
        '{"timestamp":"2026-05-28T20:26:59.000123+00:00","event_type":"alert","src_ip":"198.18.0.66","dest_ip":"198.18.1.1","proto":"TCP",'
        '"alert":{"id":"5e0c","plugin":"tcp_scan","kind":"port_scan","state":"start","severity":"high","signature":"TCP: port scan",'
        '"first_seen":"2026-05-28T20:26:58.000123+00:00","last_seen":"2026-05-28T20:26:59.000123+00:00","packets":5,"bytes":220,"suppressed":0,'
        '"evidence":{"dest_ports":[22,23],"dest_port_count":2,"refused":3,"silent":0}}}'
    ]


def test_an_alert_on_one_flow_has_its_community_id(objects):
    tcp = Alert(**ALERT, proto="TCP", src_ip="128.232.110.120", dest_ip="66.35.250.204", src_port=34855, dest_port=80)
    icmp = Alert(**ALERT, proto="ICMP", src_ip="192.168.0.89", dest_ip="192.168.0.1", icmp_type=8, icmp_code=0)
    given_one = Alert(**ALERT, community_id="1:given")
    assert [event["community_id"] for event in objects(tcp, icmp, given_one)] == [
        "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=",
        "1:given",
    ]


def test_fields_that_plugins_add_stand_beside_those_of_the_alert_and_replace_none(objects):
    (event,) = objects(Alert(**ALERT, extra={"asset": "mail server", "kind": "harmless"}))
    assert (event["alert"]["asset"], event["alert"]["kind"]) == ("mail server", "port_scan")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (2**70, 2**70),
        ("\ud800", "\ud800"),
        (np.int64(7), 7),
        ({"a": None, 1: [1, {"b": None}]}, {"1": [1, {}]}),
        ({4}, [4]),
        (1j, "1j"),
        ([float("nan")], [None]),
    ],
)
def test_a_value_that_json_has_no_form_for_does_not_break_the_line(objects, value, read):
    assert objects(Alert(**ALERT, extra={"value": value}))[0]["alert"]["value"] == read


def test_a_number_that_json_does_not_have_is_left_out(objects):
    assert "score" not in objects(Alert(**ALERT, evidence=Evidence(score=float("inf"))))[0]["alert"]["evidence"]


def test_statistics_have_every_counter(written):
    (line,) = written(Stats(time=START, packets=1200000, malformed={"truncated": 2}))
    assert line.startswith('{"timestamp":"2026-05-28T20:26:59.000123+00:00","event_type":"stats","stats":{"packets":1200000,')
    assert json.loads(line)["stats"] == Stats(packets=1200000, malformed={"truncated": 2}).model_dump(exclude={"time"})


def test_statistics_have_what_the_capture_of_each_interface_counts(objects):
    (event,) = objects(Stats(interfaces={"eth0": InterfaceStats(packets=7, kernel_drops=4, ring=65536, rate=3.5)}))
    assert event["stats"]["interfaces"] == {"eth0": {"packets": 7, "kernel_drops": 4, "interface_drops": 0, "ring": 65536, "rate": 3.5}}


def test_what_iplog_says_of_itself_is_an_event_of_the_engine(written):
    assert written(Notice(time=START, message="iplog started.")) == [
        '{"timestamp":"2026-05-28T20:26:59.000123+00:00","event_type":"engine","engine":{"message":"iplog started."}}'
    ]


def nulls(value):
    """Return the names of members that are null, at any depth."""
    if isinstance(value, dict):
        return [name for name, member in value.items() if member is None or nulls(member)]
    return [null for item in value for null in nulls(item)] if isinstance(value, list) else []


@given(st.lists(st.binary(min_size=RECORD_DTYPE.itemsize, max_size=RECORD_DTYPE.itemsize), min_size=1, max_size=4), st.booleans())
def test_records_of_any_values_read_back_one_a_line(objects, contents, with_community_id):
    rows = np.frombuffer(b"".join(contents), RECORD_DTYPE).copy()
    rows["record"] %= len(RecordKind)
    rows["version"] |= 4
    rows["kind"] %= len(Kind)
    events = objects(Records(rows, ['a"\n\x1b']), community_id=with_community_id)
    assert len(events) == len(rows)
    for row, event in zip(rows, events, strict=True):
        assert (halves(event["src_ip"]), halves(event["dest_ip"])) == ((row["src_hi"], row["src_lo"]), (row["dst_hi"], row["dst_lo"]))
        if row["kind"] in (Kind.TCP, Kind.UDP, Kind.SCTP):
            assert (event["src_port"], event["dest_port"]) == (row["sport"], row["dport"])
        if row["kind"] in (Kind.ICMP, Kind.ICMP6):
            assert (event["icmp_type"], event["icmp_code"]) == (row["icmp_type"], row["icmp_code"])
        details = event[event["event_type"]]
        if row["record"] != RecordKind.MALFORMED:
            assert details["bytes_toserver" if row["record"] == RecordKind.FLOW else "bytes"] == row["bytes"]
        assert event.get("in_iface", 'a"\n\x1b') == 'a"\n\x1b'
        assert nulls(event) == []


JSON = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.dictionaries(st.text().filter(lambda name: name not in ALERT and name != "evidence"), JSON, max_size=3),
)
def test_an_alert_of_any_values_reads_back(objects, signature, extra):
    (event,) = objects(Alert(**ALERT | {"signature": signature}, extra=extra))
    assert event["alert"]["signature"] == signature
    assert {name: event["alert"][name] for name in extra if name != "suppressed"} == {name: extra[name] for name in extra if name != "suppressed"}
    assert nulls(event) == []
