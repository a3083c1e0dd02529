"""What counts as broadcast amplification, seen from both its ends, and what does not."""

import pytest

from iplog_core.testing import icmp, icmp6, ping, udp, udp_exchange
from iplog_smurf import Smurf

VICTIM, NETWORK = "192.0.2.1", "198.51.100."


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def kinds(alerts):
    return [alert.kind for alert in starts(alerts)]


def requests(count, **fields):
    """Echo requests in the victim's name, a tenth of a second apart."""
    return [icmp(VICTIM, f"{NETWORK}255", seq=n, at=n / 10, **fields) for n in range(count)]


def answers(hosts, times=1, at=0.0):
    """Unasked echo replies to the victim."""
    return [icmp(f"{NETWORK}{host}", VICTIM, type=0, seq=n, at=at + n + host / 100) for n in range(times) for host in range(1, hosts + 1)]


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
    assert run_detector(Smurf).feed(icmp(VICTIM, f"{NETWORK}255", seq=n, at=4 * n) for n in range(100)) == []


def test_a_host_whose_address_ends_in_255_may_be_pinged(run_detector):
    assert run_detector(Smurf).feed(ping(dst="192.0.2.255", count=100)) == []


def test_how_many_requests_make_an_attack_is_a_setting(run_detector):
    assert kinds(run_detector(Smurf, requests=3).feed(requests(3))) == ["smurf"]


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize(("hosts", "found"), [(4, []), (5, ["smurf"]), (50, ["smurf"])])
def test_unasked_replies_of_five_hosts_to_one_are_an_attack(run_detector, hosts, found, batch_size):
    assert kinds(run_detector(Smurf).feed(answers(hosts, times=5), batch_size)) == found


def test_unasked_ipv6_replies_of_five_hosts_are_one(run_detector):
    replies = [icmp6(f"2001:db8:66::{host}", "2001:db8::1", type=129, at=host / 10) for host in range(1, 6)]
    assert kinds(run_detector(Smurf).feed(replies)) == ["smurf"]


def test_the_victims_side_names_the_amplifiers(run_detector):
    (attack,) = starts(run_detector(Smurf).feed(answers(5)))
    assert (attack.src_ip, attack.dest_ip, attack.evidence.sources) == (None, VICTIM, [f"{NETWORK}{host}" for host in range(1, 6)])


def test_how_many_amplifiers_make_an_attack_is_a_setting(run_detector):
    assert run_detector(Smurf, amplifiers=20).feed(answers(19, times=5)) == []


def test_replies_that_were_asked_for_are_none(run_detector):
    pings = [ping(dst=f"192.0.2.{host}", ident=host, at=host / 10, count=3) for host in range(1, 100)]
    assert run_detector(Smurf).feed(pings) == []


def test_what_all_nodes_of_a_link_answer_is_none(run_detector):
    asked = icmp6("fe80::7", "ff02::1", at=0)
    replies = [icmp6(f"fe80::{host}", "fe80::7", type=129, at=host / 1000) for host in range(100, 200)]
    assert run_detector(Smurf).feed([asked, replies]) == []


@pytest.mark.parametrize("port", [7, 19])
def test_datagrams_to_echo_and_chargen_of_a_broadcast_address_are_a_fraggle(run_detector, port):
    sent = [udp(VICTIM, f"{NETWORK}255", dport=port, at=n / 10) for n in range(10)]
    assert kinds(run_detector(Smurf).feed(sent)) == ["fraggle"]


@pytest.mark.parametrize("port", [7, 19])
def test_unasked_answers_of_these_services_are_a_fraggle(run_detector, port):
    hits = [udp(f"{NETWORK}{host}", VICTIM, sport=port, dport=5000, at=host / 10) for host in range(1, 6)]
    assert kinds(run_detector(Smurf).feed(hits)) == ["fraggle"]


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
