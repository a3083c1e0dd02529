"""What counts as a ping sweep, and what does not."""

from ipaddress import IPv4Address

import pytest

from iplog_core.testing import icmp, in_order, ping, refused, silent, tcp, udp_exchange, unreachable
from iplog_core.testing.packets import CLIENT, CLIENT6, nanoseconds
from iplog_host_sweep import HostSweep

MINUTE = 60
HOUR = 3600
NETWORKS = [(CLIENT, "192.0.2."), (CLIENT6, "2001:db8::")]
FAMILIES = pytest.mark.parametrize(("source", "network"), NETWORKS, ids=["IPv4", "IPv6"])
BATCH_SIZES = pytest.mark.parametrize("batch_size", [1, 7, 256])
TIMESTAMP, TIMESTAMP_REPLY, MASK = 13, 14, 17
# Long enough for a sweep to be over before it.
LATER = udp_exchange(at=1.5 * HOUR)


def starts(alerts):
    return [alert for alert in alerts if alert.state == "start"]


def kinds(alerts):
    return [alert.kind for alert in starts(alerts)]


def hosts(count, first=1, network="192.0.2."):
    return [f"{network}{n:x}" if ":" in network else f"{network}{n}" for n in range(first, first + count)]


def once_each(targets, source=CLIENT, *, gap=0.1, at=0.0, **how):
    return [ping(source, target, at=at + n * gap, **how) for n, target in enumerate(targets)]


def out_of_reach(targets, *, gap=0.1):
    """Requests to hosts that a router says are not there."""
    probes = [icmp(CLIENT, target, at=n * gap) for n, target in enumerate(targets)]
    return [(probe, unreachable(probe, port=False, at=n * gap + 0.01)) for n, probe in enumerate(probes)]


def only(frames, source):
    """What a capture of one direction would show."""
    return [frame for frame in in_order(frames) if frame.datagram[12:16] == IPv4Address(source).packed]


@BATCH_SIZES
@FAMILIES
def test_silent_hosts_of_a_source_that_others_answered_are_a_sweep_once_they_are_silent(run_detector, source, network, batch_size):
    probes = [once_each(hosts(1, 100, network), source), once_each(hosts(40, 1, network), source, answered=False, at=1)]
    (sweep,) = starts(run_detector(HostSweep).feed([probes, LATER], batch_size))
    assert (sweep.kind, sweep.src_ip, sweep.dest_ip, sweep.evidence.dest_ip_count, sweep.evidence.silent) == ("ping_sweep", source, None, 10, 10)
    assert sweep.time == nanoseconds(1 + 0.9 + 5)


@BATCH_SIZES
def test_unreachable_hosts_are_a_sweep_at_the_tenth(run_detector, batch_size):
    (sweep,) = starts(run_detector(HostSweep).feed(out_of_reach(hosts(30)), batch_size))
    assert (sweep.time, sweep.evidence.refused, sweep.severity) == (nanoseconds(0.9 + 0.01), 10, "medium")


@BATCH_SIZES
@FAMILIES
def test_hosts_that_answered_and_were_not_asked_again_are_a_sweep(run_detector, source, network, batch_size):
    (sweep,) = starts(run_detector(HostSweep).feed([once_each(hosts(30, 1, network), source), LATER], batch_size))
    assert (sweep.kind, sweep.src_ip, sweep.evidence.answered, sweep.evidence.half_open) == ("ping_sweep", source, 10, 0)


def test_it_is_told_six_minutes_later_when_every_host_answers(run_detector):
    (sweep,) = starts(run_detector(HostSweep).feed([once_each(hosts(30)), LATER]))
    assert sweep.time == nanoseconds(0.9 + 0.001 + 6 * MINUTE)


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "silent"])
def test_the_end_of_a_capture_is_late_enough(run_detector, answered):
    assert kinds(run_detector(HostSweep).feed(once_each(hosts(10), answered=answered))) == ["ping_sweep"]


def test_nine_hosts_are_no_sweep(run_detector):
    assert run_detector(HostSweep).feed([once_each(hosts(9)), LATER]) == []


@pytest.mark.parametrize(("asked", "found"), [(3, []), (4, ["ping_sweep"])])
def test_how_many_hosts_make_a_sweep_is_a_setting(run_detector, asked, found):
    assert kinds(run_detector(HostSweep, hosts=4).feed([once_each(hosts(asked)), LATER])) == found


@pytest.mark.parametrize("requests", [1, 2])
def test_hosts_that_nobody_answered_for_are_a_sweep_when_they_were_asked_once_or_twice(run_detector, requests):
    assert kinds(run_detector(HostSweep).feed([once_each(hosts(12), count=requests, answered=False), LATER])) == ["ping_sweep"]


@pytest.mark.parametrize(("count", "found"), [(39, []), (40, ["ping_sweep"])])
def test_silent_hosts_asked_four_times_are_a_sweep_when_they_are_many(run_detector, count, found):
    assert kinds(run_detector(HostSweep).feed([once_each(hosts(count), count=4, answered=False), LATER])) == found


def test_dead_and_living_hosts_are_one_sweep(run_detector):
    probes = [once_each(hosts(20)), once_each(hosts(40, 100), answered=False, count=2, at=1)]
    (sweep,) = starts(alerts := run_detector(HostSweep).feed([probes, LATER]))
    (end,) = (alert for alert in alerts if alert.state == "end")
    assert (sweep.id, end.evidence.dest_ip_count, end.evidence.answered, end.evidence.silent) == (end.id, 60, 20, 40)


def test_a_mixture_of_probes_is_one_sweep(run_detector):
    echoes = once_each(hosts(30), answered=False)
    stamps = [icmp(CLIENT, host, type=TIMESTAMP, at=0.02 + n / 10) for n, host in enumerate(hosts(30))]
    syns = [silent(CLIENT, host, dport=443, at=0.04 + n / 10) for n, host in enumerate(hosts(30))]
    acks = [lone_ack(host, at=0.06 + n / 10) for n, host in enumerate(hosts(30))]
    alerts = starts(run_detector(HostSweep).feed([echoes, stamps, syns, acks, LATER]))
    assert [(alert.kind, alert.evidence.dest_ip_count) for alert in alerts] == [("ping_sweep", 10)]


def test_hosts_that_get_several_sorts_of_requests_are_asked_once(run_detector):
    both = [(ping(CLIENT, host, at=n), stamp(host, at=n + 0.1)) for n, host in enumerate(hosts(20))]
    assert kinds(run_detector(HostSweep).feed([both, LATER])) == ["ping_sweep"]


@pytest.mark.parametrize("kind", [TIMESTAMP, MASK])
def test_timestamps_and_address_masks_look_for_hosts_as_well_as_echoes(run_detector, kind):
    assert kinds(run_detector(HostSweep).feed([icmp(CLIENT, host, type=kind, at=n) for n, host in enumerate(hosts(12))])) == ["ping_sweep"]


def test_a_sweep_that_comes_again_elsewhere_is_another_one(run_detector):
    alerts = run_detector(HostSweep).feed([once_each(hosts(20)), once_each(hosts(20, 100), at=HOUR), udp_exchange(at=3 * HOUR)])
    assert [alert.state for alert in alerts] == ["start", "end"] * 2
    assert alerts[0].id != alerts[2].id


@BATCH_SIZES
def test_stray_acknowledgements_that_resets_answer_are_a_sweep(run_detector, batch_size):
    (sweep,) = starts(run_detector(HostSweep).feed([lone_ack(host, at=n) for n, host in enumerate(hosts(14))], batch_size))
    assert (sweep.kind, sweep.evidence.refused, sweep.time) == ("ping_sweep", 10, nanoseconds(9.01))


def test_keep_alives_of_connections_that_servers_have_forgotten_are_no_sweep(run_detector):
    assert run_detector(HostSweep).feed([lone_ack(host, sport=40000 + n, at=n / 10) for n, host in enumerate(hosts(100))]) == []


def test_a_server_whose_clients_have_forgotten_their_connections_is_no_sweeper(run_detector):
    asked = [lone_ack(host, sport=5222, dport=50000 + n, at=n / 10) for n, host in enumerate(hosts(100))]
    assert run_detector(HostSweep).feed(asked) == []


def test_connections_that_fail_are_no_ping_sweep(run_detector):
    assert run_detector(HostSweep).feed([refused(CLIENT, host, dport=443, at=n) for n, host in enumerate(hosts(100))]) == []


def monitor(rounds, every, count=20, each=1, answered=True):
    """Rounds in which every host gets a few echo requests."""
    return [
        ping(CLIENT, host, count=each, answered=answered, ident=100 * r + n, at=r * every + n / 100)
        for r in range(rounds)
        for n, host in enumerate(hosts(count))
    ]


ORDINARY = {
    "a monitor, every five minutes": monitor(4, 5 * MINUTE),
    "a monitor, every minute": monitor(30, MINUTE, count=50),
    "rounds of twenty pings": monitor(3, 5 * MINUTE, each=20),
    "five pings each, in parallel": once_each(hosts(20), count=5, gap=0.0),
    "five pings each, one host after another": once_each(hosts(20), count=5, gap=5.0),
    "three pings each": once_each(hosts(20), count=3, gap=0.025),
    "one host for hours": ping(count=3 * HOUR // 10),
}


@pytest.mark.parametrize("frames", ORDINARY.values(), ids=ORDINARY)
@pytest.mark.parametrize("shown", ["both directions", "requests", "replies"])
def test_hosts_that_are_asked_again_are_no_sweep(run_detector, frames, shown):
    if shown != "both directions":
        sources = [CLIENT] if shown == "requests" else hosts(50)
        frames = [frame for source in sources for frame in only(frames, source)]
    assert run_detector(HostSweep).feed([frames, udp_exchange(at=12 * HOUR)]) == []


def test_a_monitor_of_hosts_of_which_some_are_dead_is_no_sweeper(run_detector):
    assert run_detector(HostSweep).feed([monitor(20, 10, count=30), monitor(20, 10, answered=False), LATER]) == []


def test_a_monitor_that_began_before_the_capture_is_no_sweeper_when_all_its_hosts_go_down(run_detector):
    down = [ping(CLIENT, host, answered=False, ident=999, at=HOUR + 10 * r + n / 100) for r in range(30) for n, host in enumerate(hosts(20))]
    assert run_detector(HostSweep).feed([monitor(30, MINUTE), down, udp_exchange(at=3 * HOUR)]) == []


def test_replies_to_requests_that_the_capture_does_not_show_are_no_sweep(run_detector):
    assert run_detector(HostSweep).feed([icmp(CLIENT, host, type=0, at=n) for n, host in enumerate(hosts(100))]) == []


@pytest.mark.parametrize("group", ["224.0.0.", "239.1.1."])
def test_pings_to_groups_are_no_sweep(run_detector, group):
    assert run_detector(HostSweep).feed(once_each(hosts(50, 1, group), answered=False)) == []


def test_what_a_rule_ignores_is_not_counted(run_detector):
    assert run_detector(HostSweep).feed([once_each(hosts(30)), LATER], rules=["ignore icmp"]) == []


def lone_ack(host, *, sport=50000, dport=80, at=0.0):
    """An ACK that belongs to nothing, and the RST of a host that is alive."""
    return [tcp(CLIENT, host, sport=sport, dport=dport, flags="A", at=at), tcp(host, CLIENT, sport=dport, dport=sport, flags="R", at=at + 0.01)]


def stamp(host, *, at):
    return [icmp(CLIENT, host, type=TIMESTAMP, at=at), icmp(host, CLIENT, type=TIMESTAMP_REPLY, at=at + 0.001)]
