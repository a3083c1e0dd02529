"""Names of hosts: what a stranger's name server may put into the log."""

import socket

import pytest

from iplog_text.hosts import Hosts


@pytest.fixture
def names(monkeypatch):
    """A table of names in place of the resolver, which tests cannot rely on."""

    def use(table):
        def getnameinfo(address, flags):
            if address[0] not in table:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return table[address[0]], str(address[1])

        monkeypatch.setattr(socket, "getnameinfo", getnameinfo)

    return use


def test_a_host_that_has_a_name_is_called_by_it(names):
    names({"198.18.0.66": "intruder.example.com"})
    hosts = Hosts(resolve=True, log_ip=False)
    assert [hosts.text("198.18.0.66"), hosts.text("198.18.0.67")] == ["intruder.example.com", "198.18.0.67"]


def test_log_ip_puts_the_address_behind_the_name(names):
    names({"2001:db8::66": "intruder.example.com"})
    hosts = Hosts(resolve=True, log_ip=True)
    assert hosts.text("2001:db8::66") == hosts.before_port("2001:db8::66") == "intruder.example.com (2001:db8::66)"
    assert hosts.before_port("2001:db8::67") == "[2001:db8::67]"


def test_nothing_is_resolved_unless_asked_for(names):
    names({"198.18.0.66": "intruder.example.com"})
    assert Hosts(resolve=False, log_ip=True).text("198.18.0.66") == "198.18.0.66"


@pytest.mark.parametrize("name", ["evil\nJan 16 root: all is well", "\x1b[2Jevil", "a b", "", "x" * 300])
def test_a_name_that_no_host_can_have_is_not_written(names, name):
    names({"198.18.0.66": name})
    assert Hosts(resolve=True, log_ip=False).text("198.18.0.66") == "198.18.0.66"
