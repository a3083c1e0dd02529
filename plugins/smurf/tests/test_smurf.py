"""What counts as broadcast amplification, seen from both its ends, and what does not."""

import random
from functools import partial

import pytest

from iplog_core.testing import icmp, icmp6, ping, udp, udp_exchange, unreachable
from iplog_smurf import Smurf

VICTIM, NETWORK = "192.0.2.1", "198.51.100."


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def kinds(alerts):
    return [alert.kind for alert in starts(alerts)]


def requests(count, **fields):
    """Echo requests in the victim's name, a tenth of a second apart."""
    return [icmp(VICTIM, f"{NETWORK}255", seq=n, at=n / 10, **fields) for n in range(count)]


def answers(hosts, times=20, at=0.0, gap=0.01, numbers=lambda n, host: (1, n), source=NETWORK, target=VICTIM):
    """Echo replies of many hosts to one that did not ask, to a request each `gap` seconds; `numbers` tells its identifier and number."""
    reply = partial(icmp6, type=129) if ":" in target else partial(icmp, type=0)
    sent = []
    for n in range(times):
        for host in range(1, hosts + 1):
            ident, seq = numbers(n, host)
            sent.append(reply(f"{source}{host}", target, ident=ident, seq=seq, at=at + n * gap + host * gap / 1000))
    return sent


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("count", "found"), [(9, []), (10, ["smurf"]), (100, ["smurf"])])
def test_ten_requests_to_a_broadcast_address_are_an_attack(run_detector, count, found, batch_size):
    assert kinds(run_detector(Smurf).feed(requests(count), batch_size)) == found


def test_an_address_that_the_link_sends_to_everybody_is_a_broadcast_address(run_detector):
    sent = [icmp(VICTIM, f"{NETWORK}127", seq=n, at=n / 10, broadcast=True) for n in range(10)]
    assert kinds(run_detector(Smurf).feed(sent)) == ["smurf"]


def test_the_amplifiers_side_names_the_victim_as_the_source(run_detector):
    (attack,) = starts(run_detector(Smurf).feed(requests(10)))
    assert (attack.src_ip, attack.dest_ip, attack.severity, attack.signature) == (VICTIM, f"{NETWORK}255", "high", "ICMP/UDP: smurf attack")


def test_requests_that_repeat_identifier_and_number_count_too(run_detector):
    assert kinds(run_detector(Smurf).feed(icmp(VICTIM, f"{NETWORK}255", at=n / 10) for n in range(10))) == ["smurf"]


def test_requests_that_come_slowly_are_none(run_detector):
    assert run_detector(Smurf).feed(icmp(VICTIM, f"{NETWORK}255", seq=n, at=n) for n in range(100)) == []


def test_a_host_whose_address_ends_in_255_may_be_pinged(run_detector):
    assert run_detector(Smurf).feed(ping(dst="192.0.2.255", count=100)) == []


def test_how_many_requests_make_an_attack_is_a_setting(run_detector):
    assert kinds(run_detector(Smurf, requests=3).feed(requests(3))) == ["smurf"]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("hosts", "found"), [(2, []), (3, ["smurf"]), (50, ["smurf"])])
@pytest.mark.parametrize(
    "numbers", [lambda n, host: (1, n), lambda n, host: (0, 0), lambda n, host: (n * 7919 % 65536, 0)], ids=["counted", "the same", "random"]
)
def test_unasked_replies_of_several_hosts_to_the_same_requests_are_an_attack(run_detector, hosts, found, batch_size, numbers):
    assert kinds(run_detector(Smurf).feed(answers(hosts, numbers=numbers), batch_size)) == found


@pytest.mark.parametrize(("times", "found"), [(9, []), (10, ["smurf"])])
def test_ten_requests_answered_by_several_hosts_are_an_attack(run_detector, times, found):
    assert kinds(run_detector(Smurf).feed(answers(5, times=times))) == found


def test_answers_that_were_lost_or_came_twice_hide_no_attack(run_detector):
    rng = random.Random(3)
    hits = [hit for hit in answers(8, times=40) for _ in range(rng.choice([0, 0, 1, 1, 2]))]
    assert kinds(run_detector(Smurf).feed(hits)) == ["smurf"]


@pytest.mark.parametrize("victim", ["2001:db8::1", "fe80::1"])
def test_unasked_ipv6_replies_of_several_hosts_are_one(run_detector, victim):
    (attack,) = starts(run_detector(Smurf).feed(answers(8, source=f"{victim[:-1]}66:", target=victim)))
    assert (attack.kind, attack.src_ip, attack.dest_ip) == ("smurf", None, victim)


@pytest.mark.parametrize("address", ["ff02::1", "ff05::1"])
def test_ipv6_requests_to_all_nodes_in_one_name_are_an_attack(run_detector, address):
    (attack,) = starts(run_detector(Smurf).feed(icmp6("2001:db8::9", address, seq=n, at=n / 10) for n in range(20)))
    assert (attack.kind, attack.src_ip, attack.dest_ip) == ("smurf", "2001:db8::9", address)


def test_ipv4_requests_to_a_group_are_an_attack(run_detector):
    assert kinds(run_detector(Smurf).feed(icmp(VICTIM, "224.0.0.1", seq=n, at=n / 10) for n in range(20))) == ["smurf"]


def test_the_victims_side_names_the_amplifiers(run_detector):
    (attack,) = starts(run_detector(Smurf).feed(answers(5)))
    assert (attack.src_ip, attack.dest_ip, attack.evidence.sources) == (None, VICTIM, [f"{NETWORK}{host}" for host in range(1, 6)])


def test_how_many_amplifiers_make_an_attack_is_a_setting(run_detector):
    assert run_detector(Smurf, amplifiers=20).feed(answers(19)) == []


def test_replies_that_were_asked_for_are_none(run_detector):
    pings = [ping(dst=f"192.0.2.{host}", ident=host, at=host / 10, count=3) for host in range(1, 100)]
    assert run_detector(Smurf).feed(pings) == []


MONITORS = {
    "fping: a number for each request": (0.02, lambda n, host: (77, n * 20 + host)),
    "a ping for each host": (1, lambda n, host: (1000 + host, n)),
    "pings of one second each": (0.2, lambda n, host: (1000 + host, n)),
    "one identifier, numbers that each process counts": (1, lambda n, host: (1, n)),
    "one identifier and number": (1, lambda n, host: (1, 0)),
    "nmap: random identifiers": (0.01, lambda n, host: ((n * 20 + host) * 40503 % 65536, 0)),
}


@pytest.mark.parametrize(("gap", "numbers"), MONITORS.values(), ids=MONITORS)
def test_the_answers_to_a_monitor_whose_requests_are_not_in_the_capture_are_none(run_detector, gap, numbers):
    assert run_detector(Smurf).feed(answers(20, times=60, gap=gap, numbers=numbers)) == []


def test_answers_to_a_request_before_the_capture_began_are_none(run_detector):
    assert run_detector(Smurf).feed(answers(100, times=1)) == []


@pytest.mark.parametrize(("all_nodes", "source", "request_of", "reply_of"), [(f"{NETWORK}255", NETWORK, icmp, 0), ("ff02::1", "fe80::", icmp6, 129)])
def test_one_who_pings_all_hosts_of_a_link_each_second_is_none(run_detector, all_nodes, source, request_of, reply_of):
    asked = [request_of(f"{source}250", all_nodes, seq=n, at=n) for n in range(60)]
    assert run_detector(Smurf).feed([asked, answers(30, times=60, gap=1, source=source, target=f"{source}250")]) == []


@pytest.mark.parametrize("port", [7, 19])
def test_datagrams_to_echo_and_chargen_of_a_broadcast_address_are_a_fraggle(run_detector, port):
    sent = [udp(VICTIM, f"{NETWORK}255", dport=port, at=n / 10) for n in range(10)]
    assert kinds(run_detector(Smurf).feed(sent)) == ["fraggle"]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize("ports", [1, 20], ids=["one port", "many ports"])
@pytest.mark.parametrize("port", [7, 19])
def test_unasked_answers_of_these_services_are_a_fraggle(run_detector, port, ports, batch_size):
    (attack,) = starts(run_detector(Smurf).feed(service_answers(20, port, ports=ports), batch_size))
    assert (attack.kind, attack.src_ip, attack.dest_ip) == ("fraggle", None, VICTIM)


def test_answers_that_the_victim_refuses_are_a_fraggle(run_detector):
    hits = service_answers(20, 7)
    assert kinds(run_detector(Smurf).feed([hits, [unreachable(hit, VICTIM, at=0.0005 + n * 0.002) for n, hit in enumerate(hits)]])) == ["fraggle"]


@pytest.mark.parametrize("port", [7, 19, 123])
def test_the_answers_to_a_monitor_of_services_whose_requests_are_not_in_the_capture_are_none(run_detector, port):
    assert run_detector(Smurf).feed(service_answers(60, port, gap=1)) == []


@pytest.mark.parametrize("port", [7, 19])
def test_a_stream_of_one_of_these_services_is_none(run_detector, port):
    assert run_detector(Smurf).feed(udp(f"{NETWORK}9", VICTIM, sport=port, dport=5000, at=n / 100) for n in range(500)) == []


def service_answers(times, port, gap=0.01, ports=1):
    """Datagrams of five hosts from a service's port, in rounds."""
    return [udp(f"{NETWORK}{host}", VICTIM, sport=port, dport=5000 + n % ports, at=n * gap + host * gap / 5) for n in range(times) for host in range(5)]


def test_answers_of_the_echo_service_that_were_asked_for_are_none(run_detector):
    assert run_detector(Smurf).feed(udp_exchange(dst=f"192.0.2.{host}", dport=7, at=host / 10) for host in range(1, 50)) == []


@pytest.mark.parametrize("port", [53, 67, 137, 1900])
def test_ordinary_broadcasts_are_none(run_detector, port):
    sent = [udp(VICTIM, "255.255.255.255", dport=port, at=n / 10) for n in range(200)]
    assert run_detector(Smurf).feed(sent) == []


def test_waking_up_a_room_of_machines_is_no_fraggle(run_detector):
    sent = [udp(VICTIM, "255.255.255.255", dport=7, payload=b"\xff" * 6 + bytes([2, 0, 0, 0, 0, n]) * 16, at=n / 10) for n in range(40)]
    assert run_detector(Smurf).feed(sent) == []


def test_an_attack_ends_when_it_was_quiet_and_may_come_again(run_detector):
    alerts = run_detector(Smurf).feed([answers(5), answers(5, at=120)])
    assert [alert.state for alert in alerts] == ["start", "end", "start", "end"]


def test_what_a_rule_ignores_is_not_counted(run_detector):
    assert run_detector(Smurf).feed(answers(50), rules=["ignore icmp type echoreply"]) == []
