"""Names of ports come from the services database of the host."""

from __future__ import annotations

from socket import getservbyport

import pytest

from iplog_core.services import Protocol, port_number, service


def test_a_port_has_the_name_of_its_service() -> None:
    assert service(25, "tcp") == "smtp"


def test_a_port_without_a_service_has_no_name() -> None:
    assert service(0, "tcp") is None


def test_a_port_is_named_by_its_own_protocol_only() -> None:
    assert (service(22, "tcp"), service(22, "udp")) == ("ssh", None)


def test_a_service_has_the_number_of_its_port() -> None:
    assert port_number("ftp-data", "tcp") == 20


def test_an_alias_names_the_same_port() -> None:
    assert port_number("www", "tcp") == port_number("http", "tcp") == 80


def test_the_case_of_a_service_name_does_not_matter() -> None:
    assert port_number("FTP-Data", "tcp") == 20


def test_a_service_of_another_protocol_is_not_taken() -> None:
    assert port_number("ssh", "udp") is None


@pytest.mark.parametrize("name", ["", "no-such-service", "25", "a\0b", "\ud800"])
def test_what_is_no_service_has_no_number(name: str) -> None:
    assert port_number(name, "tcp") is None


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_names_are_those_of_the_c_library(proto: Protocol) -> None:
    assert [service(port, proto) for port in range(10_000)] == [asked_of_the_c_library(port, proto) for port in range(10_000)]


def asked_of_the_c_library(port: int, proto: Protocol) -> str | None:
    try:
        return getservbyport(port, proto)
    except OSError:
        return None
