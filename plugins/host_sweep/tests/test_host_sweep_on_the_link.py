"""What counts as an ARP scan, and what does not."""

import random

import pytest

from iplog_core.testing import Frame, arp, refused, tcp, udp_exchange
from iplog_core.testing.packets import SERVER_MAC, nanoseconds
from iplog_host_sweep import HostSweep

ROUTER = "10.0.0.254"
BATCH_SIZES = pytest.mark.parametrize("batch_size", [1, 7, 256])
LATER = udp_exchange(at=3600)


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def addresses(count, first=1, third=0):
    return [f"10.0.{third}.{n}" for n in range(first, first + count)]


def asked(targets, *, gap, requests=1, every=1.0, source=ROUTER, answered=False):
    """Requests for each target; a switch shows no reply to anybody but the one who asked."""
    frames = [arp(source, target, at=n * gap + r * every) for n, target in enumerate(targets) for r in range(requests)]
    return [frames, [arp(target, source, reply=True, at=n * gap + 0.001) for n, target in enumerate(targets) if answered]]


def to_one(frame):
    """The same request, sent to its target alone."""
    return Frame(frame.time, SERVER_MAC + frame.data[6:], frame.link, frame.network)


@BATCH_SIZES
@pytest.mark.parametrize("gap", [0.001, 1.0], ids=["at once", "one a second"])
@pytest.mark.parametrize("answered", [False, True], ids=["silent", "answered"])
def test_neighbours_asked_for_one_after_another_are_a_scan(run_detector, gap, answered, batch_size):
    (scan,) = starts(run_detector(HostSweep).feed([asked(addresses(254), gap=gap, answered=answered), LATER], batch_size))
    assert (scan.kind, scan.src_ip, scan.proto, scan.evidence.dest_ip_count) == ("arp_scan", ROUTER, "ARP", 10)


def test_a_scan_is_told_when_it_is_sure_that_its_requests_are_not_repeated(run_detector):
    (scan,) = starts(run_detector(HostSweep).feed([asked(addresses(30), gap=0.1, requests=2, every=0.5), LATER]))
    assert (scan.time, scan.evidence.silent, scan.severity) == (nanoseconds(0.9 + 5), 10, "medium")


def test_the_end_of_a_capture_is_late_enough(run_detector):
    assert len(starts(run_detector(HostSweep).feed(asked(addresses(10), gap=0.01)))) == 1


@pytest.mark.parametrize(("count", "found"), [(3, 0), (4, 1)])
def test_how_many_addresses_make_a_scan_is_a_setting(run_detector, count, found):
    assert len(starts(run_detector(HostSweep, hosts=4).feed([asked(addresses(count), gap=0.1), LATER]))) == found


def test_nine_addresses_are_no_scan(run_detector):
    assert run_detector(HostSweep).feed([asked(addresses(9), gap=0.1), LATER]) == []


def test_a_router_that_asks_for_hundreds_of_hosts_over_time_is_no_scanner(run_detector):
    targets = random.Random(1).sample(addresses(250) + addresses(250, third=1), 400)
    assert run_detector(HostSweep).feed([asked(targets, gap=1.0), LATER]) == []


def test_hosts_asked_for_every_two_seconds_are_no_scan(run_detector):
    assert run_detector(HostSweep).feed([asked(addresses(200), gap=2.0), LATER]) == []


def test_dead_neighbours_that_a_kernel_asks_for_three_times_are_no_scan(run_detector):
    assert run_detector(HostSweep).feed([asked(addresses(60), gap=0.01, requests=3), LATER]) == []


def test_neighbours_that_are_spoken_to_are_no_scan(run_detector):
    talk = [udp_exchange(ROUTER, target, at=n / 100 + 0.002) for n, target in enumerate(addresses(60))]
    assert run_detector(HostSweep).feed([asked(addresses(60), gap=0.01, answered=True), talk, LATER]) == []


def test_a_server_that_answers_its_neighbours_is_no_scanner(run_detector):
    clients = addresses(60)
    calls = [refused(client, ROUTER, at=n / 100 - 0.0005 + 0.01) for n, client in enumerate(clients)]
    resolved = [[arp(ROUTER, client, at=n / 100 + 0.0097), arp(client, ROUTER, reply=True, at=n / 100 + 0.0098)] for n, client in enumerate(clients)]
    assert run_detector(HostSweep).feed([calls, resolved, LATER]) == []


def test_nor_is_one_of_which_the_capture_shows_only_what_it_sends(run_detector):
    clients = addresses(60)
    asked_for = [arp(ROUTER, client, at=n / 100) for n, client in enumerate(clients)]
    answers = [tcp(ROUTER, client, sport=80, dport=40000, flags="SA", at=n / 100 + 0.001) for n, client in enumerate(clients)]
    assert run_detector(HostSweep).feed([asked_for, answers, LATER]) == []


def test_requests_to_one_host_alone_only_refresh_what_is_known(run_detector):
    frames = [to_one(arp(ROUTER, target, at=n / 100)) for n, target in enumerate(addresses(200))]
    assert run_detector(HostSweep).feed([frames, LATER]) == []


def test_hosts_that_try_whether_an_address_is_free_are_no_scanner(run_detector):
    assert run_detector(HostSweep).feed([asked(addresses(60), gap=0.01, source="0.0.0.0"), LATER]) == []


def test_replies_alone_are_no_scan(run_detector):
    assert run_detector(HostSweep).feed([arp(target, ROUTER, reply=True, at=n / 100) for n, target in enumerate(addresses(100))]) == []
