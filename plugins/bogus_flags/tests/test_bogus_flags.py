"""Which packets no honest TCP sends, and which only look odd."""

import pytest

from iplog_bogus_flags import BogusFlags
from iplog_core.testing import connection, half_open, refused, tcp, udp
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6

RESERVED_BITS = [0x200, 0x400, 0x800]


def states(alerts):
    return [(alert.kind, alert.state) for alert in alerts]


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


@pytest.mark.parametrize("flags", ["SF", "SR", "FR", "SFA", "SRA", "FRA", "SFPU", "SFRPAU", *(bit | 0x10 for bit in RESERVED_BITS)])
@pytest.mark.parametrize(("source", "target"), [(CLIENT, SERVER), (CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])
def test_one_packet_with_impossible_flags_is_reported(run_detector, flags, source, target):
    (alert,) = starts(run_detector(BogusFlags).feed([tcp(source, target, sport=4321, dport=80, flags=flags)]))
    assert (alert.kind, alert.src_ip, alert.src_port, alert.dest_ip, alert.dest_port) == ("bogus_flags", source, 4321, target, 80)


@pytest.mark.parametrize("flags", ["S", "SEC", "SAE", "A", "PA", "FA", "R", "RA", "RPA", "UA", 0x110, 0x1C2])
def test_flags_that_stacks_do_send_are_not(run_detector, flags):
    assert run_detector(BogusFlags).feed([tcp(flags=flags)]) == []


@pytest.mark.parametrize("flags", ["", "F", "FPU"])
def test_odd_flags_that_contradict_nothing_are_left_to_the_scans(run_detector, flags):
    assert run_detector(BogusFlags).feed([tcp(flags=flags)]) == []


def test_connections_of_every_outcome_are_not(run_detector):
    assert run_detector(BogusFlags).feed([connection(), refused(dport=81), half_open(dport=82)]) == []


def test_bits_that_are_no_flags_of_tcp_are_not(run_detector):
    assert run_detector(BogusFlags).feed([udp(payload=b"\xff" * 40)]) == []


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_what_one_source_sends_to_one_target_is_one_episode(run_detector, batch_size):
    alerts = run_detector(BogusFlags).feed((tcp(dport=port, flags="SF", at=port / 10) for port in range(1, 31)), batch_size)
    assert [(alert.state, alert.packets) for alert in alerts] == [("start", 1), ("update", 10), ("end", 30)]


def test_sources_are_told_apart_even_when_they_take_turns(run_detector):
    packets = [tcp(f"198.51.100.{1 + n % 2}", flags="SF", at=n) for n in range(10)]
    assert [alert.src_ip for alert in starts(run_detector(BogusFlags).feed(packets))] == ["198.51.100.1", "198.51.100.2"]


def test_a_source_that_was_quiet_is_reported_again(run_detector):
    packets = [tcp(flags="SF", at=at) for at in (0, 59, 200)]
    assert states(run_detector(BogusFlags).feed(packets)) == [("bogus_flags", "start"), ("bogus_flags", "end")] * 2


def test_how_long_quiet_is_over_is_a_setting(run_detector):
    packets = [tcp(flags="SF", at=at) for at in (0, 59, 200)]
    assert states(run_detector(BogusFlags, expiry="5m").feed(packets)) == [("bogus_flags", "start"), ("bogus_flags", "end")]


def test_bogus_flags_are_medium_and_land_is_high(run_detector):
    alerts = run_detector(BogusFlags).feed([tcp(flags="SF"), tcp(SERVER, SERVER, sport=80, dport=80, at=1)])
    assert {alert.kind: alert.severity for alert in alerts} == {"bogus_flags": "medium", "land": "high"}


@pytest.mark.parametrize("host", [SERVER, SERVER6], ids=["IPv4", "IPv6"])
def test_a_syn_from_a_port_of_a_host_to_itself_is_a_land_attack(run_detector, host):
    (alert,) = starts(run_detector(BogusFlags).feed([tcp(host, host, sport=139, dport=139)]))
    assert (alert.kind, alert.src_ip, alert.dest_ip, alert.dest_port) == ("land", host, host, 139)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1"])
def test_a_host_may_talk_to_itself_on_loopback(run_detector, host):
    assert run_detector(BogusFlags).feed([tcp(host, host, sport=5000, dport=5000)]) == []


def test_a_host_may_talk_to_another_port_of_its_own_address(run_detector):
    assert run_detector(BogusFlags).feed(connection(SERVER, SERVER, sport=40000, dport=80)) == []


def test_what_a_rule_ignores_is_not_reported(run_detector):
    assert run_detector(BogusFlags).feed([tcp(dport=80, flags="SF")], rules=["ignore tcp dport 80"]) == []
