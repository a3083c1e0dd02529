"""Headers to columns: held against dpkt, against tshark, and against what bytes can mean at all."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from harness import columns_of, decoded, frames_of, read
from hypothesis import given
from hypothesis import strategies as st
from models.decode import dpkt_columns

from iplog_core.batch import Cast, Fragment, Kind, Malformed
from iplog_core.testing import Frame, Link, arp, fragments, icmp, icmp6, ip, sctp, tcp, udp, unreachable, write_pcap

pytestmark = pytest.mark.kernel

V6: dict[str, Any] = {"dst": "2001:db8::1"}
LINKS = [link for link in Link if link not in (Link.IPV4, Link.IPV6)]
PACKETS = [
    tcp(payload=b"GET /"),
    tcp(**V6, flags="SA", options=bytes(12), payload=b"GET /"),
    tcp(ip_options=bytes(8), flags=0xE02),
    udp(payload=b"question", vlan=(10,)),
    udp(**V6, payload=b"question", extensions=(0, 43, 60)),
    icmp(payload=bytes(56)),
    icmp6(payload=bytes(56), vlan=(10, 20)),
    unreachable(udp()),
    unreachable(udp(**V6)),
    sctp(payload=bytes(16)),
    arp(),
    ip(proto=47, payload=bytes(30)),
    *fragments(udp(payload=bytes(40)), 16),
    *fragments(udp(**V6, payload=bytes(40)), 16),
    *(udp(payload=b"x", link=link) for link in LINKS),
    *(tcp(**V6, link=link) for link in LINKS),
]
ANY_LINK = st.sampled_from([1, 0, 9, 12, 14, 50, 101, 108, 113, 228, 229, 276, 105, 7])
LOCATION = ("network", "transport")
HEADER = (
    "kind", "version", "proto", "ttl", "ip_id", "src_hi", "src_lo", "dst_hi", "dst_lo", "sport", "dport", "tcp_flags", "tcp_seq", "icmp_type",
    "icmp_code", "icmp_id", "icmp_seq", "sctp_chunk", "cast", "fragment", "fragment_offset", "length", "payload_length", *LOCATION,
)  # fmt: skip


def test_columns_say_what_dpkt_says_of_every_capture(every_capture: list[Path]) -> None:
    wrong = {path.name: found for path in every_capture if (found := differences(frames_of(path)))}
    assert wrong == {}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("packet", [tcp, udp, sctp, icmp])
def test_ipv4_is_read_over_every_link_layer(link: Link, packet: Any) -> None:
    assert row(packet(link=link, ttl=9)) == row(packet(ttl=9)) | row(packet(link=link, ttl=9), LOCATION)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("packet", [tcp, udp, sctp])
def test_ipv6_is_read_over_every_link_layer(link: Link, packet: Any) -> None:
    assert row(packet(**V6, link=link)) == row(packet(**V6)) | row(packet(**V6, link=link), LOCATION)


@pytest.mark.parametrize("vlan", [(1,), (1, 2), (1, 2, 3)])
def test_vlan_tags_are_passed_over_however_many(vlan: tuple[int, ...]) -> None:
    assert row(udp(vlan=vlan)) == row(udp()) | {"network": 14 + 4 * len(vlan), "transport": 34 + 4 * len(vlan)}


def test_a_tcp_segment_fills_its_columns() -> None:
    frame = tcp("198.18.0.66", "192.0.2.9", sport=4000, dport=25, flags="SEC", seq=77, ttl=3, ip_id=5, payload=b"12345", options=bytes(4))
    expected = {
        "kind": Kind.TCP, "version": 4, "proto": 6, "ttl": 3, "ip_id": 5, "sport": 4000, "dport": 25, "tcp_flags": 0xC2, "tcp_seq": 77,
        "length": 49, "payload_length": 5, "network": 14, "transport": 34,
    }  # fmt: skip
    assert row(frame, expected) == expected
    assert addresses(frame) == ("198.18.0.66", "192.0.2.9")


def test_reserved_bits_and_all_nine_flags_are_in_tcp_flags() -> None:
    assert row(tcp(flags=0xFFF), ["tcp_flags"]) == {"tcp_flags": 0xFFF}


def test_a_neighbour_asks_by_arp() -> None:
    assert row(arp(), ("kind", "icmp_type", "cast")) == {"kind": Kind.ARP, "icmp_type": 1, "cast": Cast.BROADCAST}
    assert addresses(arp("192.0.2.1", "192.0.2.2", reply=True)) == ("192.0.2.1", "192.0.2.2")


@pytest.mark.parametrize("link", [Link.ETHERNET, Link.SLL, Link.SLL2])
@pytest.mark.parametrize(
    ("frame", "cast"),
    [({}, Cast.UNICAST), ({"dst": "224.0.0.5"}, Cast.MULTICAST), ({"dst": "ff02::1"}, Cast.MULTICAST), ({"broadcast": True}, Cast.BROADCAST)],
)
def test_the_link_layer_tells_to_whom_a_packet_went(link: Link, frame: dict[str, Any], cast: Cast) -> None:
    assert row(udp(**frame, link=link), ["cast"]) == {"cast": cast}


def test_ethernet_padding_belongs_to_no_packet() -> None:
    short = tcp()
    assert row(replace(short, data=short.data + bytes(6))) == row(short)


def test_a_datagram_without_a_length_is_as_long_as_the_packet() -> None:
    whole = udp(payload=b"left to the network card")
    offloaded = replace(whole, data=whole.data[:16] + bytes(2) + whole.data[18:])
    assert row(offloaded) == row(whole)


def test_a_snap_length_that_keeps_the_headers_keeps_the_columns() -> None:
    whole = tcp(payload=bytes(1000))
    assert row(replace(whole, data=whole.data[:54], wire_length=1054)) == row(whole)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (Frame(0, b""), Malformed.TRUNCATED),
        (replace(tcp(), data=tcp().data[:40]), Malformed.TRUNCATED),
        (ip(proto=6, payload=tcp().data[34:50]), Malformed.TRUNCATED),
        (replace(tcp(), data=tcp().data[:14] + b"\x55" + tcp().data[15:]), Malformed.BAD_IP_HEADER),
        (replace(tcp(), data=tcp().data[:14] + b"\x44" + tcp().data[15:]), Malformed.BAD_IP_HEADER),
        (replace(tcp(), data=tcp().data[:16] + b"\0\x10" + tcp().data[18:]), Malformed.BAD_IP_LENGTH),
        (ip(dst="2001:db8::1", proto=0, payload=b"\x06\xff" + bytes(30)), Malformed.BAD_EXTENSION),
        (ip(proto=6, payload=tcp().data[34:46] + b"\x40" + bytes(7)), Malformed.BAD_TCP_HEADER),
        (ip(proto=6, payload=tcp().data[34:46] + b"\xf0" + bytes(7)), Malformed.BAD_TCP_HEADER),
        (ip(proto=17, payload=b"\0\1\0\2\0\x07\0\0"), Malformed.BAD_UDP_LENGTH),
        (ip(proto=17, payload=b"\0\1\0\2\0\x09\0\0"), Malformed.BAD_UDP_LENGTH),
        (replace(tcp(), link=147), Malformed.BAD_LINK),
    ],
)
def test_a_packet_that_contradicts_itself_says_how_and_has_no_kind(frame: Frame, reason: Malformed) -> None:
    assert row(frame, ("kind", "malformed")) == {"kind": Kind.NONE, "malformed": reason}


def test_a_chain_of_vlan_tags_longer_than_an_offset_can_tell_is_malformed() -> None:
    whole = udp()
    endless = whole.data[:12] + b"\x81\x00\x00\x01" * 17_000 + whole.data[12:]
    assert row(replace(whole, data=endless), ("malformed", "network")) == {"malformed": Malformed.BAD_LINK, "network": 0}


def test_what_is_neither_ip_nor_arp_has_no_kind_and_is_not_malformed() -> None:
    lldp = Frame(0, bytes.fromhex("0180c200000e0200c000020188cc") + bytes(50))
    assert row(lldp, ("kind", "malformed", "network")) == {"kind": Kind.NONE, "malformed": Malformed.OK, "network": 0}


def test_a_packet_is_decoded_the_same_whatever_stands_around_it() -> None:
    assert columns_of(decoded(PACKETS), (*HEADER, "malformed")) == [row(frame) for frame in PACKETS]


@given(st.lists(st.tuples(st.binary(max_size=200), ANY_LINK, st.one_of(st.none(), st.integers(0, 2**32 - 1))), max_size=5))
def test_any_bytes_on_any_link_stay_within_their_bounds(packets: list[tuple[bytes, int, int | None]]) -> None:
    frames = [Frame(0, data, link, wire_length=length) for data, link, length in packets]
    for got, frame in zip(columns_of(decoded(frames)), frames, strict=True):
        check_bounds(got, frame)


@given(st.data())
def test_damaged_packets_stay_within_their_bounds(data: st.DataObject) -> None:
    frame = data.draw(damaged())
    check_bounds(columns_of(decoded([frame]))[0], frame)


@given(st.data())
def test_packets_damaged_behind_the_link_layer_are_read_as_dpkt_reads_them(data: st.DataObject) -> None:
    frame = data.draw(damaged(from_network=True))
    assert differences([frame]) == []


@given(st.sampled_from(PACKETS), st.data())
def test_a_packet_cut_short_tells_nothing_that_the_whole_one_does_not(whole: Frame, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(whole.data)))
    cut, full = row(replace(whole, data=whole.data[:size], wire_length=len(whole.data))), row(whole)
    may_differ = {"malformed"}
    if cut["malformed"]:
        # The last of the IPv6 headers that are there.
        may_differ |= {"proto"}
    elif full["fragment"]:
        # A first piece without its header is a piece like any other.
        may_differ |= {"kind", "fragment", "payload_length"}
    assert {name: value for name, value in cut.items() if value not in (0, full[name]) and name not in may_differ} == {}


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("link", LINKS)
def test_tshark_reads_the_packets_of_the_kit_the_same(tmp_path: Path, link: Link) -> None:
    makers: list[Any] = [tcp, udp, sctp, icmp, partial(tcp, **V6), partial(udp, **V6), partial(sctp, **V6), icmp6]
    frames = [make(link=link, at=0.25 * n) for n, make in enumerate(makers)]
    write_pcap(tmp_path / "kit.pcap", frames)
    assert by_us(tmp_path / "kit.pcap") == by_tshark(tmp_path / "kit.pcap")


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize(
    "name",
    [
        "syn_scan.pcap", "udp_scan.pcap", "ipv6_scan.pcap", "ipv6_udp_scan.pcap", "xmas_scan.pcap", "traceroute.pcap", "icmp.pcap", "os_fingerprint.pcap",
        "vlan.pcap", "qinq.pcap", "sll.pcap", "sll2.pcap", "ppp.pcap", "null.pcap", "loop.pcap", "raw.pcap", "nanoseconds.pcap",
        "two_interfaces.pcapng", "arp_scan.pcap", "sctp_scan.pcap",
    ],
)  # fmt: skip
def test_tshark_reads_the_captures_of_the_repository_the_same(name: str) -> None:
    capture = Path(__file__).parent / "captures" / name
    assert by_us(capture) == by_tshark(capture)


def row(frame: Frame, names: Iterable[str] = (*HEADER, "malformed")) -> dict[str, int]:
    return columns_of(decoded([frame]), names)[0]


def addresses(frame: Frame) -> tuple[str, str]:
    packet = decoded([frame]).packet(0)
    return packet.src, packet.dst


def differences(frames: list[Frame]) -> list[tuple[int, str, int, int]]:
    """Where columns and dpkt disagree: packet, column, by dpkt, by the kernel."""
    found = []
    for i, (got, frame) in enumerate(zip(columns_of(decoded(frames)), frames, strict=True)):
        for name, value in dpkt_columns(frame.data, frame.link).items():
            told = got[name] & (Fragment.PIECE | Fragment.MORE) if name == "fragment" else got[name]
            if told != value:
                found.append((i, name, value, told))
    return found


def check_bounds(got: dict[str, int], frame: Frame) -> None:
    """Whatever a packet is made of, these hold."""
    assert all(got[name] <= len(frame.data) for name in LOCATION)
    assert not got["transport"] or got["transport"] >= got["network"]
    assert got["kind"] in set(Kind)
    assert got["malformed"] in set(Malformed)
    assert got["version"] in (0, 4, 6)
    if got["malformed"]:
        assert got["kind"] == Kind.NONE
    if got["version"] == 4:
        assert got["src_hi"] == got["dst_hi"] == 0
        assert got["src_lo"] >> 32 == got["dst_lo"] >> 32 == 0xFFFF
    if got["kind"] != Kind.NONE:
        assert got["payload_length"] <= got["length"] or got["fragment"]
    if got["kind"] in (Kind.TCP, Kind.UDP, Kind.SCTP) and not got["fragment"]:
        at = got["transport"]
        assert (got["sport"], got["dport"]) == (int.from_bytes(frame.data[at : at + 2], "big"), int.from_bytes(frame.data[at + 2 : at + 4], "big"))
    if got["kind"] not in (Kind.TCP, Kind.UDP, Kind.SCTP):
        assert (got["sport"], got["dport"], got["tcp_flags"], got["tcp_seq"]) == (0, 0, 0, 0)
    if got["kind"] not in (Kind.ICMP, Kind.ICMP6, Kind.ARP):
        assert (got["icmp_type"], got["icmp_code"], got["icmp_id"], got["icmp_seq"]) == (0, 0, 0, 0)


@st.composite
def damaged(draw: st.DrawFn, from_network: bool = False) -> Frame:
    """A packet with some bytes changed, perhaps cut short, perhaps lengthened."""
    frame = draw(st.sampled_from(PACKETS))
    data = bytearray(frame.data)
    first = frame.network if from_network else 0
    for place, value in draw(st.lists(st.tuples(st.integers(first, len(data) - 1), st.integers(0, 255)), max_size=4)):
        data[place] = value
    data = data[: draw(st.integers(first, len(data)))] if draw(st.booleans()) else data + draw(st.binary(max_size=20))
    return replace(frame, data=bytes(data))


TSHARK_FIELDS = (
    "frame.time_epoch", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "ip.ttl", "ipv6.hlim", "ip.len", "tcp.srcport", "tcp.dstport", "tcp.flags",
    "udp.srcport", "udp.dstport", "icmp.type", "icmp.code", "icmpv6.type", "icmpv6.code",
)  # fmt: skip


def by_tshark(capture: Path) -> list[dict[str, str]]:
    fields = [option for field in TSHARK_FIELDS for option in ("-e", field)]
    command = ["tshark", "-r", str(capture), "-n", "-T", "fields", "-E", "occurrence=f", "-o", "ip.defragment:FALSE", *fields]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    told = [dict(zip(TSHARK_FIELDS, line.split("\t"), strict=True)) for line in lines]
    for packet in told:
        if packet["tcp.flags"]:
            packet["tcp.flags"] = str(int(packet["tcp.flags"], 16))
        seconds, fraction = packet["frame.time_epoch"].split(".")
        packet["frame.time_epoch"] = seconds + fraction
        if packet["icmp.type"] or packet["icmpv6.type"]:
            # The packet that an error quotes is not the packet.
            packet |= {"udp.srcport": "", "udp.dstport": "", "tcp.srcport": "", "tcp.dstport": "", "tcp.flags": ""}
    return told


def by_us(capture: Path) -> list[dict[str, str]]:
    told = []
    for batch in read(capture):
        for packet in batch:
            row = dict.fromkeys(TSHARK_FIELDS, "")
            row["frame.time_epoch"] = str(packet.time)
            version = int(batch.version[packet.row])
            if version and packet.kind != Kind.ARP:
                network = "ip" if version == 4 else "ipv6"
                row |= {f"{network}.src": packet.src, f"{network}.dst": packet.dst}
                row["ip.ttl" if version == 4 else "ipv6.hlim"] = str(packet.ttl)
                row["ip.len"] = str(packet.length) if version == 4 else ""
            if packet.is_tcp:
                row |= {"tcp.srcport": str(packet.sport), "tcp.dstport": str(packet.dport), "tcp.flags": str(packet.tcp_flags)}
            elif packet.is_udp:
                row |= {"udp.srcport": str(packet.sport), "udp.dstport": str(packet.dport)}
            elif packet.is_icmp:
                name = "icmp" if packet.kind == Kind.ICMP else "icmpv6"
                row |= {f"{name}.type": str(packet.icmp_type), f"{name}.code": str(packet.icmp_code)}
            told.append(row)
    return told
