"""The messages themselves, as a socket receives them."""

import socket
import time

import numpy as np
import pytest

from iplog_core import NO_OUTCOME, RECORD_DTYPE, Alert, Kind, Malformed, Notice, RecordKind, Records, SinkContext, Stats
from iplog_core.addresses import halves
from iplog_syslog import Settings, Syslog

START = 1_780_000_019_000_123_456  # 2026-05-28T20:26:59Z
STARTED = Notice(time=START, message="iplog started.")


@pytest.fixture
def messages(tmp_path):
    """A function that gives events to the sink and returns the messages that its socket receives."""

    def sent(*events, hostname="matrix", **settings):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
            path = tmp_path / "log"
            path.unlink(missing_ok=True)
            daemon.bind(str(path))
            sink = Syslog(Settings.model_validate({"address": str(path), **settings}), SinkContext(hostname=hostname, pid=19624, log_dest=False))
            sink.open()
            sink.write(list(events))
            received = []
            daemon.setblocking(False)
            try:
                while True:
                    received.append(daemon.recv(65536))
            except BlockingIOError:
                pass
            sink.close()
            return received

    return sent


@pytest.fixture
def central_europe(monkeypatch):
    """The local time of Berlin."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_local_form_is_that_of_syslog_in_local_time(messages, central_europe):
    assert messages(STARTED) == [b"<29>May 28 22:26:59 iplog[19624]: iplog started."]


def test_the_form_of_rfc_5424_has_time_host_and_kind(messages, central_europe):
    assert messages(STARTED, format="rfc5424") == [b"<29>1 2026-05-28T20:26:59.000123+00:00 matrix iplog 19624 engine - iplog started."]


@pytest.mark.parametrize(
    ("address", "settings", "is_local"),
    [
        ("/dev/log", {}, True),
        ("/dev/log", {"format": "rfc5424"}, False),
        ("udp://localhost", {}, False),
        ("tcp://localhost", {}, False),
        ("tls://localhost", {}, False),
        ("udp://localhost", {"format": "local"}, True),
    ],
)
def test_the_address_decides_on_the_form_where_the_settings_do_not(address, settings, is_local):
    sink = Syslog(Settings.model_validate({"address": address, **settings}), SinkContext(pid=1))
    (message,) = sink._form(np.array([START]), ["engine"], ["line"])
    assert message.startswith(b"<29>1 ") is not is_local


def test_facility_and_priority_stand_in_front(messages):
    assert messages(STARTED, facility="local7", priority="debug")[0].startswith(b"<191>")


def record(record_kind, **fields):
    row = np.zeros(1, RECORD_DTYPE)
    row["time"], row["outcome"], row["record"] = START, NO_OUTCOME, record_kind
    row["src_hi"], row["src_lo"] = halves("198.18.0.66")
    for name, value in fields.items():
        row[name] = value
    return row


def test_each_message_says_what_it_is_about_as_eve_does(messages):
    rows = [
        record(RecordKind.ICMP, kind=Kind.ICMP, icmp_type=8, payload=64),
        record(RecordKind.FLOW, kind=Kind.TCP),
        record(RecordKind.MALFORMED, version=4, proto=6, malformed=Malformed.TRUNCATED),
    ]
    scan = Alert(
        id="5e0c", plugin="tcp_scan", kind="port_scan", state="start", severity="high", signature="TCP: port scan", src_ip="198.18.0.66",
        time=START, first_seen=START, last_seen=START, packets=5, bytes=220,
    )  # fmt: skip
    sent = messages(Records(np.concatenate(rows), []), scan, Stats(time=START), STARTED, format="rfc5424")
    assert [tuple(message.decode().split(" ", 7)[5:]) for message in sent] == [
        ("traffic", "-", "ICMP: echo from 198.18.0.66 (64 bytes)"),
        ("anomaly", "-", "TCP: short header from 198.18.0.66"),
        ("alert", "-", "TCP: port scan detected from 198.18.0.66"),
        ("stats", "-", "statistics: 0 packets (0 bytes), 0 flows, 0 alerts"),
        ("engine", "-", "iplog started."),
    ]


def test_the_end_of_a_flow_sends_nothing(messages):
    assert messages(Records(record(RecordKind.FLOW, kind=Kind.TCP), [])) == []


@pytest.mark.parametrize(("hostname", "shown"), [("", "-"), ("my host\n", "myhost"), ("h\u00f6st", "hst"), ("a" * 300, "a" * 255)])
def test_a_host_name_stands_as_a_header_may_hold_it(messages, hostname, shown):
    assert messages(STARTED, hostname=hostname, format="rfc5424")[0].decode().split(" ")[2] == shown


def test_a_line_that_is_not_ascii_is_announced_as_utf_8(messages):
    (message,) = messages(Notice(time=START, message="k\u00e4se"), format="rfc5424")
    assert message.endswith(b" - \xef\xbb\xbfk\xc3\xa4se")


def test_no_line_can_begin_a_message_of_its_own(messages):
    (message,) = messages(Notice(time=START, message="a\n<0>b\0"))
    assert message.endswith(b": a\\n<0>b\\x00")


@pytest.mark.parametrize("letter", ["x", "\u00e4", "\U0001f600"])
def test_a_message_is_cut_at_what_every_receiver_takes(messages, letter):
    (message,) = messages(Notice(time=START, message=letter * 5000))
    assert 2044 < len(message) <= 2048
    assert message.decode().endswith(letter)
