"""The test kit itself: what it makes is what it says, and what a plugin's test sees is what the engine does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dpkt
import pytest

from iplog_core import Alert, AlertKind, Detector, DetectorSettings, Event, Packet, PacketBatch, PacketDetector, Sink, SinkSettings
from iplog_core.capture.savefile import open_savefile
from iplog_core.testing import (
    EPOCH,
    Frame,
    Link,
    connection,
    fragments,
    handshake,
    icmp,
    in_order,
    ping,
    refused,
    silent,
    tcp,
    udp,
    udp_refused,
    write_pcap,
)
from iplog_core.testing.run import DetectorRun, SinkRun


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
