"""Whom it would block, and whom never; what it says of settings that would be dangerous."""

import pytest
from pydantic import ValidationError

from iplog_block import Block, Settings
from iplog_block.history import History
from iplog_block.spared import gateways
from iplog_core import IplogError, SinkContext
from iplog_core import Settings as CoreSettings
from iplog_core.testing import alert
from iplog_core.testing.conformance import SinkConformance


@pytest.fixture
def told():
    """A function that gives alerts to the sink, in a dry run, and returns what it says."""

    def made(*alerts, core=None, mode="watch", **settings):
        notes: list[str] = []
        sink = Block(Settings(**settings), SinkContext(mode=mode, note=notes.append, settings=core or CoreSettings()))
        sink.open()
        for each in alerts:
            sink.write(each if isinstance(each, list) else [each])
        sink.close()
        return [line.removeprefix("block: ") for line in notes]

    return made


def scan(src_ip="203.0.113.7", *, answered=1, **fields):
    return alert(src_ip=src_ip, answered=answered, **fields)


def test_a_source_that_completed_a_connection_would_be_blocked(told):
    assert told(scan(id="a1")) == ["203.0.113.7 would be blocked (dry run) for 1h: port_scan, alert a1 of tcp_scan."]


def test_a_datagram_that_was_answered_proves_nothing(told):
    assert told(scan(proto="UDP")) == []


def test_a_source_that_completed_none_would_not_since_anybody_can_send_that_in_its_name(told):
    assert told(scan(answered=0), alert(src_ip="203.0.113.7", refused=9), alert(src_ip="203.0.113.7", half_open=9)) == []


def test_an_update_that_proves_the_source_counts(told):
    assert len(told(scan(answered=0), scan(answered=1, state="update"))) == 1


@pytest.mark.parametrize(
    "given",
    [
        {"state": "end"},
        {"kind": "port_sweep_of_ours"},
        {"src_ip": None},
        {"src_ip": "fe80::1%} ; flush ruleset"},
        {"src_ip": "x; flush ruleset"},
        {"src_ip": "::ffff:198.51.100.7"},
    ],
)
def test_what_is_no_running_scan_of_one_source_blocks_nobody(given, told):
    assert told(scan(**given)) == []


def test_who_is_blocked_is_told_once(told):
    assert len(told(scan(), scan(state="update"), scan())) == 1


def test_spoofable_blocks_without_proof(told):
    assert len(told(alert("udp_scan", src_ip="203.0.113.7"), kinds=["udp_scan"], spoofable=True)) == 1


def test_a_capture_blocks_nobody_whatever_the_settings_say(told):
    assert "would be blocked (dry run)" in told(scan(), mode="read", dry_run=False)[0]


def test_no_more_are_blocked_than_may_be(told):
    lines = told(*(scan(f"203.0.113.{n}") for n in range(1, 6)), entries=2)
    assert [line for line in lines if "would be" not in line] == [
        f"2 sources are blocked, as many as may be; {what} not." for what in ("1 more was", "2 more were")
    ]


def test_no_more_are_blocked_than_may_be_where_many_come_at_once(told):
    lines = told([scan(f"203.0.113.{n}") for n in range(1, 6)], entries=2)
    assert [line.partition(" ")[0] for line in lines if "would be" in line] == ["203.0.113.1", "203.0.113.2"]


# Who is never blocked


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.3.4", "fe80::1", "224.0.0.1", "ff02::1", "0.0.0.0"])
def test_what_is_no_host_elsewhere_is_never_blocked(address, told):
    assert told(scan(address)) == [f"{address} is never blocked: no host beyond this link has such an address."]


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7"])
def test_never_block_holds(address, told):
    assert told(scan(address), never_block=["203.0.113.0/24", "2001:db8::/32"]) == [f"{address} is never blocked: never_block has it."]


def test_trusted_scanners_are_never_blocked(told):
    assert told(scan(), core=CoreSettings(trusted_scanners=["203.0.113.0/28"])) == ["203.0.113.7 is never blocked: trusted_scanners has it."]


def test_name_servers_of_the_settings_are_never_blocked(told):
    assert told(scan(), core=CoreSettings(names={"servers": ["203.0.113.7"]})) == ["203.0.113.7 is never blocked: names.servers has it."]


def test_gateways_are_read_from_the_routes():
    routes = "Iface Destination Gateway Flags\neth0 00000000 010012C6 0003 0 0\neth0 000012C6 00000000 0001 0 0\n"
    nothing = "0" * 32
    routes6 = f"{nothing} 00 {nothing} 00 20010db8000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
    routes6 += f"20010db8{'0' * 24} 40 {nothing} 00 {nothing} 00000100 00000001 00000000 00000001     eth0\n"
    assert list(gateways(routes, routes6)) == ["198.18.0.1", "2001:db8::1"]


# How long


def test_each_time_it_is_twice_as_long_up_to_the_longest():
    history = History(60, 200, 10)
    now, lengths = 0.0, []
    for _ in range(4):
        seconds = history.seconds("203.0.113.7", now)
        history.add("203.0.113.7", now, seconds)
        lengths.append(seconds)
        now += seconds + 1
    assert lengths == [60, 120, 200, 200]


def test_who_stays_away_for_long_begins_anew():
    history = History(60, 200, 10)
    history.add("203.0.113.7", 0, 60)
    assert (history.seconds("203.0.113.7", 259), history.seconds("203.0.113.7", 261)) == (120, 60)


def test_those_that_are_blocked_are_never_forgotten_for_want_of_room():
    history = History(60, 200, 2)
    for n in range(20):
        history.add(f"203.0.113.{n}", n * 100.0, 60)
    history.add("203.0.113.99", 2000.0, 1000)
    for n in range(20):
        history.add(f"198.51.100.{n}", 2000.0 + n * 40, 10)
    assert history.is_blocked("203.0.113.99", 2900.0)


# What is refused


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (
            {"kinds": ["syn_flood"]},
            "anybody can send what raises 'syn_flood' in the name of another host; expected port_scan or port_sweep, or spoofable = true",
        ),
        ({"kinds": []}, "at least 1 item"),
        ({"never_block": ["192.0.2.1/24"]}, "expected '192.0.2.0/24'"),
        ({"never_block": ["gateway"]}, "expected an address or a network"),
        ({"timeout": "1h", "longest": "5m"}, "longest is less than timeout"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings, what):
    with pytest.raises(ValidationError, match=what):
        Settings(**settings)


def test_a_user_that_may_change_no_firewall_stops_the_start():
    sink = Block(Settings(dry_run=False), SinkContext(mode="watch", settings=CoreSettings(user="iplog")))
    with pytest.raises(IplogError, match="nftables take root, and user = 'iplog' gives that up"):
        sink.open()


class TestConformance(SinkConformance):
    sink = Block
    settings = {"spoofable": True}
