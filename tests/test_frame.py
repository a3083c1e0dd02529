"""dpkt's view of one packet, and what the columns tell of the packet that an ICMP error quotes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import dpkt
import numpy as np
import pytest
from harness import decoded
from hypothesis import given
from hypothesis import strategies as st

from iplog_core.addresses import address
from iplog_core.batch import ABOUT_DTYPE
from iplog_core.frame import decode_frame
from iplog_core.kernel.decode import icmp_about
from iplog_core.testing import Frame, Link, icmp, icmp6, sctp, tcp, udp, unreachable

pytestmark = pytest.mark.kernel

V6: dict[str, Any] = {"dst": "2001:db8::1"}


@pytest.mark.parametrize(
    ("link", "layer"),
    [
        (Link.ETHERNET, dpkt.ethernet.Ethernet),
        (Link.SLL, dpkt.sll.SLL),
        (Link.SLL2, dpkt.sll2.SLL2),
        (Link.PPP, dpkt.ppp.PPP),
        (Link.NULL, dpkt.ip.IP),
        (Link.LOOP, dpkt.ip.IP),
        (Link.RAW, dpkt.ip.IP),
        (Link.DLT_RAW, dpkt.ip.IP),
    ],
)
def test_a_frame_is_what_dpkt_knows_of_its_link_layer_else_its_datagram(link: Link, layer: type[dpkt.Packet]) -> None:
    assert isinstance(decoded([tcp(link=link)]).packet(0).frame, layer)


def test_an_ipv6_datagram_on_a_link_that_dpkt_does_not_know_is_found() -> None:
    frame = decoded([tcp(**V6, link=Link.NULL, dport=25)]).packet(0).frame
    assert frame.data.dport == 25


def test_a_frame_gives_what_columns_cannot_hold() -> None:
    assert decoded([udp(payload=b"hello")]).packet(0).frame.ip.udp.data == b"hello"


@given(st.binary(max_size=120), st.sampled_from([0, 1, 9, 101, 113, 276, 7]), st.integers(0, 65535))
def test_a_frame_of_any_bytes_is_read_or_refused(data: bytes, link: int, network: int) -> None:
    with suppress(dpkt.UnpackError):
        assert isinstance(decode_frame(data, link, network), dpkt.Packet)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (unreachable(udp(sport=7, dport=9)), ("192.0.2.1", 7, 9, 17)),
        (unreachable(tcp(**V6, sport=7, dport=9)), ("2001:db8::1", 7, 9, 6)),
        (unreachable(udp(**V6, sport=7, dport=9, extensions=(0, 60))), ("2001:db8::1", 7, 9, 17)),
        (unreachable(udp(sport=7, dport=9, ip_options=bytes(8))), ("192.0.2.1", 7, 9, 17)),
        (unreachable(sctp(sport=7, dport=9)), ("192.0.2.1", 7, 9, 132)),
        (unreachable(icmp()), ("192.0.2.1", 0, 0, 1)),
        (icmp(type=11, quote=udp(sport=7, dport=9)), ("192.0.2.1", 7, 9, 17)),
        (icmp(type=5, code=1, rest=bytes([192, 0, 2, 99]), quote=udp(sport=7, dport=9)), ("192.0.2.99", 7, 9, 17)),
        (icmp(type=12, rest=b"\x14\0\0\0", quote=udp(sport=7, dport=9)), ("::14", 7, 9, 17)),
        (icmp6(type=4, rest=b"\0\0\0\x28", quote=udp(**V6, sport=7, dport=9)), ("::28", 7, 9, 17)),
        (icmp6(type=135, rest=bytes(4), payload=bytes.fromhex("20010db8000000000000000000000099")), ("2001:db8::99", 0, 0, 0)),
        (icmp(type=3, payload=b"\x45"), ("::", 0, 0, 0)),
        (icmp(), ("::", 0, 0, 0)),
    ],
)
def test_what_an_icmp_message_speaks_of_is_told(message: Frame, told: tuple[str, int, int, int]) -> None:
    assert about([message]) == [told]


@given(st.integers(0, 255), st.binary(max_size=100), st.booleans())
def test_any_icmp_message_is_taken(type: int, payload: bytes, six: bool) -> None:
    make = icmp6 if six else icmp
    assert len(about([make(type=type, payload=payload)])) == 1


def about(frames: list[Frame]) -> list[tuple[str, int, int, int]]:
    batch = decoded(frames)
    rows = np.frombuffer(icmp_about(batch.data, batch.block, len(batch), np.arange(len(batch))), ABOUT_DTYPE)
    return [(address(int(row["hi"]), int(row["lo"])), int(row["sport"]), int(row["dport"]), int(row["proto"])) for row in rows]
