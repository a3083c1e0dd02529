"""The settings of the sink: addresses, names of facilities and priorities, files of TLS."""

import pytest

from iplog_core.origin import Origins
from iplog_core.validation import Faults, validate
from iplog_syslog import Settings
from iplog_syslog.address import Address, parse_address
from iplog_syslog.priority import priority


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/dev/log", Address("local", "/dev/log")),
        ("udp://logs.example.net", Address("udp", "logs.example.net", 514)),
        ("udp://192.0.2.1:5514", Address("udp", "192.0.2.1", 5514)),
        ("tcp://[2001:db8::1]", Address("tcp", "2001:db8::1", 514)),
        ("tcp://[2001:db8::1]:601", Address("tcp", "2001:db8::1", 601)),
        ("tls://logs.example.net/", Address("tls", "logs.example.net", 6514)),
        ("TLS://logs.example.net:10514", Address("tls", "logs.example.net", 10514)),
    ],
)
def test_an_address_is_a_path_or_a_server(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "dev/log", "logs.example.net", "udp:logs", "udp://", "udp://:514", "udp://2001:db8::1", "udp://host:0", "udp://host:65536", "udp://host:x",
        "http://host", "tcp://me@host", "tcp://host/path", "tcp://host?x", "tcp://ho st", "tcp://host\n", "tcp://a..b", "tcp://" + 64 * "a", "/dev/lo\0g",
    ],
)  # fmt: skip
def test_what_is_no_address_says_what_is(text):
    assert "address: expected the path of a socket, such as /dev/log, or udp://HOST" in fault(address=text)


@pytest.mark.parametrize(("facility", "severity", "number"), [("kern", "emerg", 0), ("daemon", "notice", 29), ("ftp", "debug", 95), ("local7", "info", 190)])
def test_a_facility_and_a_severity_make_the_number_of_rfc_5424(facility, severity, number):
    assert priority(facility, severity) == number


@pytest.mark.parametrize("name", ["local3", "LOCAL3", "LOG_LOCAL3", "log_local3"])
def test_names_are_taken_in_any_case_and_with_log_in_front(name):
    assert valid(facility=name).facility == "local3"


def test_a_facility_that_is_none_is_told_with_the_nearest_one():
    assert fault(facility="LOG_DEAMON").endswith('not "deamon". Did you mean daemon?')


def test_a_priority_that_is_none_is_told_with_all_that_are():
    expected = "'emerg', 'alert', 'crit', 'err', 'warning', 'notice', 'info' or 'debug'"
    assert f'priority: expected {expected}, not "loud".' in fault(priority="loud")


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"ca_file": "ca.pem"}, "ca_file is for TLS, but address = '/dev/log' does not begin with tls://."),
        ({"address": "tcp://host", "cert_file": "me.pem"}, "cert_file is for TLS, but address = 'tcp://host' does not begin with tls://."),
        ({"address": "tls://host", "key_file": "me.key"}, "key_file is the key of a certificate, and cert_file names none."),
    ],
)
def test_files_that_would_be_of_no_use_are_a_fault(settings, what):
    assert fault(**settings).endswith(what)


def valid(**settings):
    return validate(Settings, settings, Origins(), ("plugins", "syslog"))


def fault(**settings):
    with pytest.raises(Faults) as error:
        valid(**settings)
    (line,) = error.value.lines
    return line
