"""The lines of malformed packets."""

import pytest

from iplog_core import Malformed, RecordKind

PACKET = {"record": RecordKind.MALFORMED, "version": 4, "bytes": 40}


@pytest.mark.parametrize(
    ("fault", "proto", "line"),
    [
        (Malformed.TRUNCATED, 6, "TCP: short header from 198.18.0.66"),
        (Malformed.TRUNCATED, 17, "UDP: short header from 198.18.0.66"),
        (Malformed.TRUNCATED, 1, "ICMP: short header from 198.18.0.66"),
        (Malformed.TRUNCATED, 132, "SCTP: short header from 198.18.0.66"),
        (Malformed.TRUNCATED, 0, "IP: short header from 198.18.0.66"),
        (Malformed.BAD_IP_LENGTH, 6, "IP: bad length from 198.18.0.66"),
        (Malformed.BAD_EXTENSION, 6, "IP: bad extension header from 198.18.0.66"),
        (Malformed.BAD_TCP_HEADER, 6, "TCP: bad header length from 198.18.0.66"),
        (Malformed.BAD_UDP_LENGTH, 17, "UDP: bad length from 198.18.0.66"),
    ],
)
def test_a_malformed_packet_says_what_is_wrong_and_whose_it_was(lines, record, fault, proto, line):
    assert lines(record(**PACKET, malformed=fault, proto=proto), log_dest=False) == [line]


def test_the_destination_is_named_where_destinations_are(lines, record):
    packet = record(**PACKET | {"version": 6}, malformed=Malformed.TRUNCATED, proto=58, src="2001:db8::66", dst="2001:db8::1")
    assert lines(packet, log_dest=True) == ["ICMP: short header from 2001:db8::66 to 2001:db8::1"]


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (Malformed.TRUNCATED, "IP: short header (40 bytes)"),
        (Malformed.BAD_IP_HEADER, "IP: bad header (40 bytes)"),
        (Malformed.BAD_LINK, "IP: bad link header (40 bytes)"),
    ],
)
def test_a_packet_whose_addresses_are_unknown_says_how_long_it_was(lines, record, fault, line):
    assert lines(record(**PACKET | {"version": 0}, malformed=fault), log_dest=True) == [line]
