"""What counts as a traceroute, and what does not."""

import pytest

from iplog_core.testing import icmp, icmp6, tcp, udp, udp_exchange
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6, Link
from iplog_traceroute import Traceroute


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def route(hops, source=CLIENT, target=SERVER, probes=3):
    """Three datagrams for each hop, to ports that count up."""
    return [udp(source, target, dport=33434 + 3 * hop + n, ttl=hop, at=hop + n / 10) for hop in hops for n in range(probes)]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("source", "target"), [(CLIENT, SERVER), (CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])
def test_a_traceroute_is_reported_once(run_detector, source, target, batch_size):
    (alert,) = starts(run_detector(Traceroute).feed(route(range(1, 20), source, target), batch_size))
    assert (alert.kind, alert.src_ip, alert.dest_ip, alert.severity) == ("traceroute", source, target, "low")


def test_one_packet_on_its_last_hop_is_none(run_detector):
    assert run_detector(Traceroute).feed(route(range(1, 20), probes=1)) == []


def test_how_many_packets_make_one_is_a_setting(run_detector):
    assert len(starts(run_detector(Traceroute, probes=1).feed(route([1], probes=1)))) == 1


def test_one_that_keeps_its_ports_is_one(run_detector):
    probes = [udp(sport=33000, dport=33434, ttl=hop, at=hop + n / 10) for hop in (1, 2, 3) for n in range(3)]
    assert len(starts(run_detector(Traceroute).feed(probes))) == 1


@pytest.mark.parametrize(
    ("echo", "kind", "source", "target", "proto"), [(icmp, 8, CLIENT, SERVER, "ICMP"), (icmp6, 128, CLIENT6, SERVER6, "IPv6-ICMP")], ids=["IPv4", "IPv6"]
)
def test_one_made_of_pings_is_one(run_detector, echo, kind, source, target, proto):
    probes = [echo(source, target, type=kind, ttl=hop, seq=3 * hop + n, at=hop + n / 10) for hop in (1, 2, 3) for n in range(3)]
    (alert,) = starts(run_detector(Traceroute).feed(probes))
    assert alert.proto == proto


def test_one_has_ended_when_its_source_was_quiet(run_detector):
    alerts = run_detector(Traceroute).feed([route([1, 2, 3]), udp_exchange(at=100), [udp(dport=33500 + n, ttl=1, at=200 + n) for n in range(3)]])
    assert [alert.state for alert in alerts] == ["start", "end", "start", "end"]


def test_ordinary_packets_are_none(run_detector):
    assert run_detector(Traceroute).feed(udp_exchange(dport=port, ttl=64, at=port / 10) for port in range(1, 100)) == []


@pytest.mark.parametrize("link", [Link.ETHERNET, Link.RAW], ids=["Ethernet", "raw IP"])
@pytest.mark.parametrize("group", ["224.0.0.251", "239.255.255.250", "ff02::fb"])
def test_what_is_sent_to_a_group_on_the_link_is_none(run_detector, group, link):
    source = CLIENT6 if ":" in group else CLIENT
    assert run_detector(Traceroute).feed(udp(source, group, dport=1900, ttl=1, at=n, link=link) for n in range(20)) == []


def test_neighbours_that_speak_to_each_other_with_one_hop_are_none(run_detector):
    spoken = [udp_exchange(CLIENT, SERVER, sport=520, dport=520, ttl=1, at=n) for n in range(20)]
    assert run_detector(Traceroute).feed(spoken) == []


def test_tcp_with_one_hop_is_none(run_detector):
    assert run_detector(Traceroute).feed(tcp(dport=179, sport=40000 + n, ttl=1, at=n) for n in range(20)) == []


def test_what_a_rule_ignores_is_not_counted(run_detector):
    assert run_detector(Traceroute).feed(route([1, 2, 3]), rules=["ignore udp dport 33434:"]) == []
