"""The test kit itself: what it makes is what it says, and what a plugin's test sees is what the engine does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dpkt
import pytest

from iplog_core import (
    Alert,
    AlertKind,
    CaptureError,
    Detector,
    DetectorSettings,
    Event,
    Packet,
    PacketBatch,
    PacketDetector,
    Policy,
    PolicySettings,
    Severity,
    Sink,
    SinkSettings,
)
from iplog_core.capture.savefile import open_savefile
from iplog_core.testing import (
    EPOCH,
    Frame,
    Link,
    alert,
    arp,
    connection,
    every_alert,
    every_event,
    every_packet,
    fragments,
    handshake,
    icmp,
    in_order,
    malformed_packets,
    ping,
    read_pcap,
    records,
    refused,
    silent,
    tcp,
    udp,
    udp_refused,
    write_pcap,
)
from iplog_core.testing.run import DetectorRun, PolicyRun, SinkRun


class TelnetTouched(PacketDetector[DetectorSettings]):
    """Somebody knocked on telnet."""

    name = "telnet_touched"
    kinds = {"telnet_touched": AlertKind("TCP: telnet touched", "low")}

    def on_packet(self, packet: Packet) -> None:
        if packet.is_syn and packet.dport == 23:
            self.alert("telnet_touched", packet)


class Broken(Detector[DetectorSettings]):
    """It fails on the first batch."""

    name = "broken"

    def on_batch(self, batch: PacketBatch) -> None:
        raise ZeroDivisionError("on purpose")


class Kinds(Sink[SinkSettings]):
    """Print the kind of each alert."""

    name = "kinds"

    def write(self, events: list[Event]) -> None:  # type: ignore[override]
        for event in events:
            if isinstance(event, Alert):
                print(event.kind)


class OwnHosts(Policy[PolicySettings]):
    """Knows one host, and has had enough of another."""

    name = "own_hosts"

    def keep(self, alert: Alert) -> bool | None:
        return False if alert.src_ip == "192.0.2.66" else None

    def grade(self, alert: Alert) -> Severity | None:
        return "info"

    def fields(self, alert: Alert) -> dict[str, str]:
        return {"asset": {"192.0.2.1": "www"}[alert.dest_ip or ""]}


@pytest.mark.parametrize("batch_size", [1, 2, [3, 1], 256])
def test_a_detector_is_fed_conversations_and_gives_its_alerts(run_detector: Callable[..., DetectorRun], batch_size: int | list[int]) -> None:
    alerts = run_detector(TelnetTouched).feed([refused(dport=port, at=port) for port in (22, 23, 24)], batch_size)
    assert [(alert.kind, alert.state) for alert in alerts] == [("telnet_touched", "start"), ("telnet_touched", "end")]


def test_rules_hide_packets_from_the_detector(run_detector: Callable[..., DetectorRun]) -> None:
    assert run_detector(TelnetTouched).feed(refused(dport=23), rules=["ignore tcp dport 23"]) == []


def test_a_detector_that_raises_fails_the_test_and_shows_where(run_detector: Callable[..., DetectorRun]) -> None:
    with pytest.raises(RuntimeError, match=r'raise ZeroDivisionError\("on purpose"\)'):
        run_detector(Broken).feed([tcp()])


def test_a_sink_gives_what_it_wrote_to_standard_output(run_detector: Callable[..., DetectorRun], run_sink: Callable[..., SinkRun]) -> None:
    alerts = run_detector(TelnetTouched).feed([tcp(dport=23)])
    assert run_sink(Kinds).write(alerts) == "telnet_touched\ntelnet_touched\n"


def test_a_capture_file_holds_the_packets_in_order_of_time(pcap: Callable[..., Path]) -> None:
    (batch,) = open_savefile(str(pcap([tcp(at=2), udp(at=1.000000001)])), 10)
    assert batch.time.tolist() == [EPOCH * 10**9 + 10**9 + 1, EPOCH * 10**9 + 2 * 10**9]


def test_a_capture_file_refuses_packets_of_two_link_types(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one link type; these packets have \[1, 113\]"):
        write_pcap(tmp_path / "mixed.pcap", [tcp(), tcp(link=Link.SLL)])


def test_conversations_that_overlap_are_woven_by_time() -> None:
    frames = in_order([handshake(dport=1), [handshake(dport=2, at=0.0005)]])
    assert [dpkt.ethernet.Ethernet(frame.data).ip.tcp.flags for frame in frames] == [2, 2, 18, 18, 16, 16]


@pytest.mark.parametrize("dst", ["192.0.2.1", "2001:db8::1"])
@pytest.mark.parametrize("make", [connection, udp_refused, ping])
def test_checksums_are_right(make: Callable[..., list[Frame]], dst: str) -> None:
    for frame in make(dst=dst):
        datagram = frame.datagram
        four = datagram[0] >> 4 == 4
        header, proto, ends = (20, datagram[9], datagram[12:20]) if four else (40, datagram[6], datagram[8:40])
        segment = datagram[header:]
        pseudo = b"" if proto == 1 else ends + bytes([0, proto]) + len(segment).to_bytes(2, "big")
        assert dpkt.dpkt.in_cksum(pseudo + segment) == 0
        assert not four or dpkt.dpkt.in_cksum(datagram[:20]) == 0


@pytest.mark.parametrize("dst", ["192.0.2.1", "2001:db8::1"])
def test_fragments_hold_the_whole_datagram(dst: str) -> None:
    whole = udp(dst=dst, payload=bytes(range(50)))
    header = 20 if dst == "192.0.2.1" else 48
    pieces = [frame.datagram[header:] for frame in fragments(whole, 24)]
    assert b"".join(pieces) == whole.datagram[20 if header == 20 else 40 :]


def test_retries_come_after_one_and_three_seconds() -> None:
    assert [(frame.time - silent()[0].time) // 10**9 for frame in silent(retries=2)] == [0, 1, 3]


def test_arguments_that_make_no_packet_are_refused() -> None:
    with pytest.raises(ValueError, match="VLAN tags on Ethernet only"):
        icmp(link=Link.RAW, vlan=(1,))


def test_a_policy_gives_the_alerts_that_it_keeps(run_policy: Callable[..., PolicyRun]) -> None:
    (kept,) = run_policy(OwnHosts).judge([alert(id="a", src_ip="192.0.2.66"), alert(id="b")])
    assert (kept.id, kept.severity, kept.extra) == ("b", "info", {"asset": "www"})


def test_an_alert_that_a_policy_was_given_stays_as_it_is(run_policy: Callable[..., PolicyRun]) -> None:
    run_policy(OwnHosts).judge([given := alert()])
    assert given == alert()


def test_a_policy_that_raises_fails_the_test_and_shows_where(run_policy: Callable[..., PolicyRun]) -> None:
    with pytest.raises(RuntimeError, match=r"own_hosts: fields:(.|\n)*KeyError"):
        run_policy(OwnHosts).judge([alert(dest_ip="192.0.2.2")])


@pytest.mark.parametrize("link", [link for link in Link if link != Link.IPV6])
def test_what_was_written_to_a_capture_file_is_read_again(tmp_path: Path, link: Link) -> None:
    frames = in_order([connection(link=link), udp(link=link, at=1.000000001)])
    write_pcap(tmp_path / "it.pcap", frames)
    assert read_pcap(tmp_path / "it.pcap") == frames


def test_a_capture_tells_where_the_header_of_arp_and_of_tagged_packets_is(tmp_path: Path) -> None:
    frames = [arp(), tcp(vlan=(7, 8), at=1), Frame(tcp(at=2).time, tcp().data[:40], network=14, wire_length=54)]
    write_pcap(tmp_path / "it.pcap", frames)
    assert read_pcap(tmp_path / "it.pcap") == frames


def test_a_capture_that_ends_in_the_middle_of_a_packet_is_not_read_as_a_whole(tmp_path: Path) -> None:
    write_pcap(tmp_path / "it.pcap", [tcp(), tcp()])
    (tmp_path / "it.pcap").write_bytes((tmp_path / "it.pcap").read_bytes()[:-1])
    with pytest.raises(ValueError, match="ends in the middle of packet 2"):
        read_pcap(tmp_path / "it.pcap")


def test_what_is_no_capture_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "it.pcap").write_text("hello")
    with pytest.raises(CaptureError, match="expected pcap or pcapng"):
        read_pcap(tmp_path / "it.pcap")


def test_fields_that_an_alert_does_not_have_are_evidence() -> None:
    made = alert("udp_scan", at=2, dest_ports=[53], probed=True)
    assert (made.kind, made.time, made.evidence.dest_ports, made.evidence.model_extra) == ("udp_scan", (EPOCH + 2) * 10**9, [53], {"probed": True})


def test_records_follow_each_other(run_sink: Callable[..., SinkRun]) -> None:
    made = records(3, src="192.0.2.9", dport=22, at=1, gap=0.5)
    assert (len(made), made.rows["sport"].tolist(), (made.rows["time"] - EPOCH * 10**9).tolist()) == (3, [40000, 40001, 40002], [10**9, 1500000000, 2 * 10**9])


def test_malformed_packets_are_the_same_each_time_and_others_with_another_seed() -> None:
    assert malformed_packets(7) == malformed_packets(7) != malformed_packets(8)


def test_malformed_packets_have_every_packet_cut_off_at_every_length() -> None:
    made = {(frame.link, frame.data) for frame in malformed_packets()}
    cut_off = {(packet.link, packet.data[:length]) for packet in every_packet().values() for length in range(len(packet.data))}
    assert cut_off - made == set()


def test_events_of_every_kind_are_made_anew_each_time() -> None:
    first = every_event()["an alert: a start"]
    assert isinstance(first, Alert)
    first.severity = "info"
    assert every_alert()["a start"].severity == "high"


def test_the_kit_needs_nothing_but_iplog_and_pytest() -> None:
    others = "hypothesis", "xdist", "mypy", "ruff", "Cython"
    code = f"import sys; sys.modules.update(dict.fromkeys({others})); import iplog_core.testing.conformance, iplog_core.testing.plugin"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_of_the_kit_but_the_suite_and_the_fixtures_needs_pytest() -> None:
    subprocess.run([sys.executable, "-c", "import sys; sys.modules['pytest'] = None; import iplog_core.testing"], check=True)
