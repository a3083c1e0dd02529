"""What is remembered of names, and which ones count."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iplog_core.names import Names
from iplog_core.names.cache import Cache
from iplog_core.names.files import Watched
from iplog_core.names.grammar import host_name
from iplog_core.names.hosts_file import HostsFile
from iplog_core.names.resolv_conf import name_servers
from iplog_core.settings import NameSettings


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Intruder.Example.COM.", "intruder.example.com"),
        ("matrix", "matrix"),
        ("3com.example", "3com.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        (".".join(["x" * 63] * 3 + ["y" * 61]), ".".join(["x" * 63] * 3 + ["y" * 61])),
    ],
)
def test_a_name_that_a_host_can_have_is_written_in_small_letters(text, name):
    assert host_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "a..b", "-a.example", "a-.example", "a_b.example", "a b", "evil\nJan 16 root: all is well", "\x1b[2Jevil", r"a\010b.example",
        "ex\u0430mple.com",
        "198.18.0.1", "2130706433", "0x7f.1", "0x7f", "2001:db8::1", "x" * 64, ".".join(["x" * 63] * 4),
    ],
)  # fmt: skip
def test_what_no_host_can_be_called_is_no_name(text):
    assert host_name(text) is None


@given(st.text())
def test_no_name_holds_what_is_not_printable(text):
    name = host_name(text)
    assert name is None or (name.isascii() and name.isprintable() and " " not in name)


def test_a_hosts_file_names_each_address_by_the_first_name_beside_it(tmp_path):
    path = tmp_path / "hosts"
    path.write_text(
        "127.0.0.1\tlocalhost\n198.18.0.1  Matrix.example matrix # this host\n198.18.0.1 other\n2001:DB8:0::1 six\n"
        "0.0.0.0 blocked.example\nnonsense evil\n198.18.0.7\n198.18.0.8 a_b\n#198.18.0.9 off\n"
    )
    assert HostsFile(path).names() == {"127.0.0.1": "localhost", "198.18.0.1": "matrix.example", "2001:db8::1": "six"}


def test_a_hosts_file_that_is_not_there_names_nobody(tmp_path):
    assert HostsFile(tmp_path / "hosts").names() == {}


def test_a_file_has_changed_when_it_is_another(tmp_path, monkeypatch):
    path = tmp_path / "hosts"
    watched = Watched(path)
    monkeypatch.setattr("iplog_core.names.files._PAUSE", 0.0)
    seen = [watched.changed(), watched.changed()]
    path.write_text("127.0.0.1 localhost\n")
    seen += [watched.changed(), watched.changed()]
    os.utime(path, (1, 1))
    seen += [watched.changed(), watched.changed()]
    assert seen == [True, False] * 3


def test_the_cache_forgets_first_what_nobody_asked_for_the_longest():
    cache = Cache(2)
    cache.put("198.18.0.1", "one.example", 60)
    cache.put("198.18.0.2", None, 60)
    cache.known(["198.18.0.1"])
    cache.put("198.18.0.3", "three.example", 60)
    assert cache.known(["198.18.0.1", "198.18.0.2", "198.18.0.3"]) == {"198.18.0.1": "one.example", "198.18.0.3": "three.example"}


def test_the_cache_forgets_what_no_longer_holds():
    cache = Cache(2)
    cache.put("198.18.0.1", "one.example", 0)
    assert (cache.known(["198.18.0.1"]), len(cache)) == ({}, 0)


def test_the_cache_knows_who_has_no_name():
    cache = Cache(2)
    cache.put("198.18.0.1", None, 60)
    assert cache.known(["198.18.0.1", "198.18.0.2"]) == {"198.18.0.1": None}


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("nameserver 198.18.0.66\nsearch example\nnameserver 2001:db8::66 # two\n", ["198.18.0.66", "2001:db8::66"]),
        ("nameserver fe80::1%eth0\n", ["fe80::1%eth0"]),
        ("nameserver\nnameserver nonsense\n;nameserver 198.18.0.1\noptions timeout:1\n", ["127.0.0.1"]),
        ("", ["127.0.0.1"]),
        ("".join(f"nameserver 198.18.0.{number}\n" for number in range(5)), ["198.18.0.0", "198.18.0.1", "198.18.0.2"]),
    ],
)
def test_the_servers_of_resolv_conf_are_those_that_its_manual_says(text, servers):
    assert name_servers(text) == servers


def test_names_that_were_not_started_ask_nobody():
    assert Names(NameSettings(), patient=True).texts(["198.18.0.66"], 0.0) == {}
