"""Which packets no honest TCP sends, and which only look odd."""

import pytest

from iplog_bogus_flags import BogusFlags
from iplog_core.testing import connection, half_open, icmp, icmp6, ip, ping, refused, tcp, udp
from iplog_core.testing.packets import CLIENT, CLIENT6, SERVER, SERVER6, Frame, Link

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


@pytest.mark.parametrize("host", [SERVER, SERVER6], ids=["IPv4", "IPv6"])
def test_a_datagram_from_a_port_of_a_host_to_itself_is_one(run_detector, host):
    (alert,) = starts(run_detector(BogusFlags).feed([udp(host, host, sport=53, dport=53)]))
    assert (alert.kind, alert.src_ip, alert.dest_ip, alert.dest_port, alert.proto) == ("land", host, host, 53, "UDP")


@pytest.mark.parametrize("packet", [icmp(SERVER, SERVER), icmp6(SERVER6, SERVER6), ip(SERVER, SERVER, proto=47)], ids=["ICMP", "ICMPv6", "GRE"])
def test_what_has_no_ports_from_a_host_to_itself_is_one(run_detector, packet):
    assert [alert.kind for alert in starts(run_detector(BogusFlags).feed([packet]))] == ["land"]


def test_a_host_that_pings_itself_is_none_where_its_loopback_device_is_captured(run_detector):
    echo = icmp(SERVER, SERVER)
    device = Frame(echo.time, bytes(12) + echo.data[12:], echo.link, echo.network)
    cooked = icmp(SERVER, SERVER, link=Link.SLL)
    all_devices = Frame(cooked.time, cooked.data[:2] + b"\x03\x04" + cooked.data[4:], cooked.link, cooked.network)
    assert [run_detector(BogusFlags).feed([packet]) for packet in (device, all_devices)] == [[], []]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1"])
def test_a_host_may_talk_to_itself_on_loopback(run_detector, host):
    assert run_detector(BogusFlags).feed([tcp(host, host, sport=5000, dport=5000)]) == []


def test_a_host_may_talk_to_another_port_of_its_own_address(run_detector):
    assert run_detector(BogusFlags).feed(connection(SERVER, SERVER, sport=40000, dport=80)) == []


def test_what_a_rule_ignores_is_not_reported(run_detector):
    assert run_detector(BogusFlags).feed([tcp(dport=80, flags="SF")], rules=["ignore tcp dport 80"]) == []


# What nmap -O sends (T2 to T7, ECN, IE, U1), what xprobe2 and queso do.
NMAP_OPTIONS = bytes.fromhex("03030a0102040109080affffffff000000000402")
LAST_OPTIONS = bytes.fromhex("03030f0102040109080affffffff000000000402")


def urgent(packet):
    """With an urgent pointer, without URG."""
    start = packet.network + (20 if packet.datagram[0] >> 4 == 4 else 40) + 18
    return Frame(packet.time, packet.data[:start] + b"\xf7\xf5" + packet.data[start + 2 :], packet.link, packet.network)


def nmap(source=CLIENT, target=SERVER):
    echo, request = (icmp6, 128) if ":" in target else (icmp, 8)
    return {
        "IE": [echo(source, target, type=request, code=9, payload=bytes(120), at=0), echo(source, target, type=request, payload=bytes(150), at=0.01)],
        "U1": [udp(source, target, sport=40000, dport=40125, payload=b"C" * 300, at=0.02)],
        "ECN": [urgent(tcp(source, target, sport=40001, flags=0x8C2, options=NMAP_OPTIONS, at=0.03))],
        "T2": [tcp(source, target, sport=40002, flags="", options=NMAP_OPTIONS, window=128, at=0.04)],
        "T3": [tcp(source, target, sport=40003, flags="SFUP", options=NMAP_OPTIONS, window=256, at=0.05)],
        "T4": [tcp(source, target, sport=40004, flags="A", options=NMAP_OPTIONS, window=1024, df=True, at=0.06)],
        "T5": [refused(source, target, sport=40005, dport=81, at=0.07)],
        "T6": [tcp(source, target, sport=40006, dport=81, flags="A", options=NMAP_OPTIONS, window=32768, at=0.09)],
        "T7": [tcp(source, target, sport=40007, dport=81, flags="FPU", options=LAST_OPTIONS, window=65535, at=0.1)],
    }


OPEN, CLOSED = ("IE", "U1", "ECN", "T2", "T3", "T4"), ("IE", "U1", "T5", "T6", "T7")


@pytest.mark.parametrize("batch_size", [1, 7, 256])
@pytest.mark.parametrize("tests", [OPEN, CLOSED, ("ECN", "T2", "T3", "T4"), tuple(nmap())], ids=["open port", "closed port", "only TCP", "both"])
@pytest.mark.parametrize(("source", "target"), [(CLIENT, SERVER), (CLIENT6, SERVER6)], ids=["IPv4", "IPv6"])
def test_a_set_of_probes_that_only_a_fingerprinter_sends_is_one_alert(run_detector, source, target, tests, batch_size):
    probes = nmap(source, target)
    (alert,) = starts(run_detector(BogusFlags).feed([probes[test] for test in tests], batch_size))
    assert (alert.kind, alert.src_ip, alert.dest_ip, alert.severity) == ("os_fingerprint", source, target, "medium")


def test_probes_that_are_sent_again_are_the_same_alert(run_detector):
    again = [list(nmap()["T2"][:1]) for _ in range(5)]
    assert len(starts(run_detector(BogusFlags).feed([list(nmap().values()), again]))) == 1


def test_odd_requests_of_icmp_are_a_fingerprint_too(run_detector):
    requests = [icmp(code=123), icmp(type=13, payload=bytes(12), at=0.1), icmp(type=17, payload=bytes(4), at=0.2)]
    assert [alert.kind for alert in starts(run_detector(BogusFlags).feed(requests))] == ["os_fingerprint"]


def test_the_seven_packets_of_queso_are_a_fingerprint_too(run_detector):
    sent = [tcp(sport=4000 + n, flags=flags, at=n / 10) for n, flags in enumerate(("S", "SA", "F", "FA", "SF", "P", "SEC"))]
    assert "os_fingerprint" in [alert.kind for alert in starts(run_detector(BogusFlags).feed(sent))]


@pytest.mark.parametrize("flags", ["F", "", "FPU", "A", "FA", "SFPU"])
def test_a_scan_with_one_sort_of_flags_is_no_fingerprint(run_detector, flags):
    alerts = run_detector(BogusFlags).feed(tcp(sport=50000, dport=port, flags=flags, at=port / 100) for port in range(1, 100))
    assert "os_fingerprint" not in [alert.kind for alert in alerts]


def test_bogus_flags_of_every_sort_without_options_are_no_fingerprint(run_detector):
    sent = [tcp(sport=4000 + n, flags=flags, at=n) for n, flags in enumerate(("SF", "SR", "FR", "SFPU", "SRAFPU", "P", "U", "", "SEC"))]
    assert [alert.kind for alert in starts(run_detector(BogusFlags).feed(sent))] == ["bogus_flags"]


def test_two_classes_of_odd_probes_are_none_yet(run_detector):
    assert run_detector(BogusFlags).feed([nmap()["T2"], nmap()["T7"], nmap()["T5"]]) == []


def test_how_many_classes_make_one_is_a_setting(run_detector):
    assert len(starts(run_detector(BogusFlags, classes=2).feed([nmap()["T2"], nmap()["T7"]]))) == 1


def test_a_sweep_that_pings_hosts_in_every_way_is_none(run_detector):
    assert run_detector(BogusFlags).feed([ping(), icmp(type=13, payload=bytes(12), at=0.1), icmp(type=17, payload=bytes(4), at=0.2)]) == []


def test_connections_with_ecn_and_with_accurate_ecn_are_none(run_detector):
    opening: list[str | int] = ["SEC", 0x1C2, "SE", "SC", 0x102, "S"]
    visits = [tcp(sport=40000 + n, flags=flags, options=bytes.fromhex("020405b4"), at=n) for n, flags in enumerate(opening)]
    assert run_detector(BogusFlags).feed(visits) == []


def test_connections_in_mid_stream_with_timestamps_are_none(run_detector):
    options = bytes.fromhex("0101080a0000000200000004")
    assert run_detector(BogusFlags).feed(tcp(sport=40000 + n, flags=flags, options=options, at=n) for n, flags in enumerate(("A", "FA", "PA", "R"))) == []
