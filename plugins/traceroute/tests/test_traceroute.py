"""What counts as a traceroute, and what does not."""

import pytest
from communityid import CommunityID, FlowTuple

from iplog_core.testing import connection, icmp, icmp6, refused, tcp, udp, udp_exchange
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
    assert run_detector(Traceroute).feed(route([1, 64], probes=1)) == []


def test_how_many_packets_make_one_is_a_setting(run_detector):
    assert len(starts(run_detector(Traceroute, probes=1).feed(route([1], probes=1)))) == 1


def test_one_has_the_community_id_of_the_probe_by_which_it_was_found(run_detector):
    (alert,) = starts(run_detector(Traceroute, probes=3).feed([udp(sport=33000, dport=33434 + n, ttl=1, at=n) for n in range(6)]))
    assert alert.community_id == CommunityID().calc(FlowTuple.make_udp(CLIENT, SERVER, 33000, 33436))


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


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("source", "target"), [(CLIENT, SERVER), (CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("flags", ["S", "A"])
def test_one_by_tcp_is_one(run_detector, flags, source, target, batch_size):
    probes = [tcp(source, target, sport=40000 + 3 * hop + n, flags=flags, ttl=hop, at=hop + n / 10) for hop in (1, 2, 3, 4) for n in range(3)]
    (alert,) = starts(run_detector(Traceroute).feed(probes, batch_size))
    assert (alert.kind, alert.proto, alert.src_ip, alert.dest_ip) == ("traceroute", "TCP", source, target)


def test_one_whose_target_answers_at_once_is_one(run_detector):
    assert len(starts(run_detector(Traceroute).feed(refused(sport=40000 + n, ttl=1, at=n) for n in range(3)))) == 1


def test_one_with_a_probe_a_hop_from_far_to_near_is_one(run_detector):
    """nmap begins at the distance that it takes the target to have."""
    assert len(starts(run_detector(Traceroute).feed(tcp(sport=50000 + hop, ttl=hop, at=1 - hop / 100) for hop in range(10, 3, -1)))) == 1


def test_how_many_times_to_live_make_one_is_a_setting(run_detector):
    probes = [tcp(sport=50000 + hop, ttl=hop, at=1 - hop / 100) for hop in range(7, 3, -1)]
    assert run_detector(Traceroute, hops=5).feed(probes) == []


def test_a_host_that_is_reached_by_ways_of_different_length_is_none(run_detector):
    visits = [connection(sport=40000 + n, ttl=30 + n % 20, at=n / 10) for n in range(40)]
    assert run_detector(Traceroute).feed([visits, [udp(sport=50000 + n, ttl=40 + n % 20, at=n / 10) for n in range(40)]]) == []


@pytest.mark.parametrize("port", [179, 646, 639])
def test_routers_that_call_their_neighbour_with_one_hop_are_none(run_detector, port):
    assert run_detector(Traceroute).feed(tcp(dport=port, sport=40000 + n, ttl=1, at=n) for n in range(20)) == []


def test_a_session_of_bgp_seen_in_one_direction_is_none(run_detector):
    assert run_detector(Traceroute).feed(tcp(sport=179, dport=40000 + n % 3, flags="A", ttl=1, at=n) for n in range(20)) == []


@pytest.mark.parametrize("port", [520, 1985, 3784])
def test_what_routers_tell_each_other_with_one_hop_is_none(run_detector, port):
    assert run_detector(Traceroute).feed(udp(sport=port + n % 2, dport=port, ttl=1, at=n) for n in range(20)) == []


@pytest.mark.parametrize(("source", "target"), [("fe80::1", "fe80::2"), ("169.254.1.1", "169.254.1.2")])
def test_hosts_that_only_know_their_link_are_none(run_detector, source, target):
    assert run_detector(Traceroute).feed(udp(source, target, sport=5000 + n, dport=6000, ttl=1 + n % 4, at=n) for n in range(20)) == []


def test_what_a_rule_ignores_is_not_counted(run_detector):
    assert run_detector(Traceroute).feed(route([1, 2, 3]), rules=["ignore udp dport 33434:"]) == []
