"""What could be watched, what is watched where nothing is named, and `iplog interfaces`, which shows it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
from namespaces import Host, hosts, join, why_not

from iplog_core import CaptureError
from iplog_core.capture.interfaces import Interface, interfaces, own_addresses, to_watch

LOOPBACK = Interface("lo", True, True, ("127.0.0.1", "::1"))


@pytest.fixture
def host() -> Iterator[Host]:
    """A host with an interface that is up, one that is down, and loopback; the thread is in it."""
    if reason := why_not():
        pytest.skip(reason)
    with hosts(2) as (host, other):
        for name in ("up0", "down0"):
            join(host, name, other, name)
            host("ip", "-6", "address", "flush", "dev", name)
        host.address("up0", "198.18.0.1/24", "198.18.0.2/24", "2001:db8::1/64")
        host("ip", "link", "set", "down0", "down")
        with host.inside():
            yield host


def test_each_interface_is_told_with_its_state_and_addresses_loopback_last(host: Host) -> None:
    up = Interface("up0", True, False, ("198.18.0.1", "198.18.0.2", "2001:db8::1"))
    assert interfaces() == [Interface("down0", False, False, ()), up, LOOPBACK]


def test_an_interface_without_a_cable_is_up_all_the_same(host: Host) -> None:
    host("ip", "link", "add", "left0", "type", "veth", "peer", "name", "right0")
    host("ip", "link", "set", "left0", "up")
    assert [interface.up for interface in interfaces() if interface.name == "left0"] == [True]


def test_an_address_with_a_label_of_its_own_belongs_to_its_interface(host: Host) -> None:
    host("ip", "address", "add", "198.18.9.1/24", "dev", "down0", "label", "down0:1")
    assert interfaces()[0] == Interface("down0", False, False, ("198.18.9.1",))


def test_where_nothing_is_named_all_that_are_up_are_watched_but_loopback(host: Host) -> None:
    assert to_watch([]) == ["up0"]


def test_what_is_named_is_watched_once_each_in_that_order(host: Host) -> None:
    assert to_watch(["lo", "down0", "lo"]) == ["lo", "down0"]


def test_any_is_taken_for_a_name(host: Host) -> None:
    assert to_watch(["any"]) == ["any"]


def test_any_beside_others_is_refused_since_packets_would_come_twice(host: Host) -> None:
    with pytest.raises(CaptureError) as told:
        to_watch(["any", "up0"])
    assert told.value.faults == ("any: it stands for all interfaces, and packets would come twice; name it alone, or leave it out.",)


def test_unknown_names_are_told_all_at_once_with_those_that_there_are(host: Host) -> None:
    with pytest.raises(CaptureError) as told:
        to_watch(["eth7", "up0", "eth8"])
    assert told.value.faults == (
        "eth7: no such interface. There are: down0, up0, lo.",
        "eth8: no such interface. There are: down0, up0, lo.",
    )


def test_with_nothing_up_it_says_so(host: Host) -> None:
    host("ip", "link", "set", "up0", "down")
    with pytest.raises(CaptureError) as told:
        to_watch([])
    assert told.value.faults == ("no interface is up but loopback; bring one up, or name one with -i. There are: down0, up0, lo.",)


def test_its_own_addresses_are_those_that_packets_to_it_bear(host: Host) -> None:
    host("ip", "address", "add", "198.18.5.1/24", "broadcast", "198.18.5.255", "dev", "up0")
    assert set(own_addresses()) == {"198.18.0.1", "198.18.0.2", "2001:db8::1", "198.18.5.1", "198.18.5.255", "127.0.0.1", "::1"}


def iplog_interfaces(host: Host, *options: str) -> str:
    return host(sys.executable, "-m", "iplog_core.cli.main", "interfaces", *options)


def test_the_command_shows_a_table(host: Host) -> None:
    assert iplog_interfaces(host).splitlines() == [
        "NAME   STATE  BY DEFAULT  ADDRESSES",
        "down0  down",
        "up0    up     watched     198.18.0.1, 198.18.0.2, 2001:db8::1",
        "lo     up                 127.0.0.1, ::1",
    ]


def test_the_command_writes_json(host: Host) -> None:
    _, up, loopback = json.loads(iplog_interfaces(host, "--json"))
    assert up == {
        "name": "up0",
        "up": True,
        "loopback": False,
        "addresses": ["198.18.0.1", "198.18.0.2", "2001:db8::1"],
        "watched_by_default": True,
    }
    assert (loopback["loopback"], loopback["watched_by_default"]) == (True, False)
