"""Packets as no honest host sends them, for a detector that must survive them all. The same seed gives the same packets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from struct import pack_into

from iplog_core.testing.conversations import unreachable
from iplog_core.testing.packets import CLIENT6, SERVER6, Frame, Link, arp, fragment, icmp, icmp6, ip, nanoseconds, sctp, tcp, udp

_IN_TURN = 0.001
"""Seconds from one packet to the next."""

_LENGTHS = (0, 1, 4, 7, 19, 20, 39, 1500, 0x7FFF, 0xFFFF)


def every_packet() -> dict[str, Frame]:
    """Return one packet of each kind that the factories make, over each link, by what it is."""
    six = (CLIENT6, SERVER6)
    packets = {
        "TCP": tcp(payload=b"GET / HTTP/1.0\r\n\r\n"),
        "TCP with options": tcp(options=bytes.fromhex("020405b40101080a0000000100000000")),
        "TCP over IPv6": tcp(*six),
        "TCP, ACK": tcp(flags="PA", ack=1, payload=b"x"),
        "UDP": udp(payload=b"question"),
        "UDP over IPv6": udp(*six, payload=b"question"),
        "UDP with IP options": udp(ip_options=b"\x01" * 8),
        "ICMP": icmp(payload=bytes(16)),
        "ICMP error": unreachable(udp()),
        "ICMP redirect": icmp(type=5, code=1, rest=bytes([192, 0, 2, 254]), quote=udp()),
        "ICMPv6": icmp6(payload=bytes(16)),
        "ICMPv6 error": unreachable(udp(*six)),
        "ICMPv6 neighbour solicitation": icmp6(type=135, rest=bytes(4), payload=bytes(16)),
        "SCTP": sctp(payload=bytes(16)),
        "SCTP over IPv6": sctp(*six),
        "ARP request": arp(),
        "ARP reply": arp(reply=True),
        "IGMP": ip(proto=2, payload=bytes(8)),
        "IP without payload": ip(proto=255),
        "IP in IP": ip(proto=4, payload=udp().datagram),
        "first fragment": fragment(offset=0, more=True, payload=bytes(16)),
        "last fragment": fragment(offset=16, payload=bytes(5)),
        "fragment of IPv6": fragment(*six, proto=6, offset=0, more=True, payload=tcp(*six).datagram[40:56]),
        "IPv6 extension headers": udp(*six, extensions=(0, 43, 60), payload=b"x"),
        "VLAN": tcp(vlan=(7,)),
        "QinQ": tcp(vlan=(7, 8)),
    }
    for link in Link:
        if link != Link.ETHERNET:
            packets[f"TCP over {link.name}"] = tcp(*(six if link == Link.IPV6 else ()), link=link)
    return packets


def malformed_packets(seed: int = 0, *, at: float = 0.0, random: int = 20) -> list[Frame]:
    """Return packets, the first `at` seconds after EPOCH: every factory's packet cut off at every length, with each length in it contradicted, with bytes
    turned over; `random` ones of noise for each link type; the empty packet.

    Example::

        run_detector(TcpScan).feed(malformed_packets())
    """
    lot = Random(seed)
    made = [frame for packet in every_packet().values() for frame in (*_cut_off(packet), *_contradicting(packet), *_turned_over(packet, lot, random))]
    made += [frame for link in Link for frame in _noise(link, lot, random)]
    lot.shuffle(made)
    return [replace(frame, time=nanoseconds(at + number * _IN_TURN)) for number, frame in enumerate(made)]


def _cut_off(packet: Frame) -> Iterator[Frame]:
    """Cut off by the capture, which tells how long the packet was, and by whoever sent it."""
    for length in range(len(packet.data)):
        yield replace(packet, data=packet.data[:length], wire_length=len(packet.data) if length % 2 else None)


def _contradicting(packet: Frame) -> Iterator[Frame]:
    """Every length and offset in its headers is what it cannot be. Two bytes anywhere in a header may be one: all are tried."""
    for place in range(packet.network, min(len(packet.data) - 1, packet.network + 64), 2):
        for length in _LENGTHS:
            data = bytearray(packet.data)
            pack_into(">H", data, place, length)
            yield replace(packet, data=bytes(data))
    # The nibbles: version and length of the IP header, data offset of TCP.
    for place in {packet.network, packet.network + 32} & set(range(len(packet.data))):
        for value in range(0, 256, 5):
            data = bytearray(packet.data)
            data[place] = value
            yield replace(packet, data=bytes(data))
    yield replace(packet, wire_length=0)
    yield replace(packet, wire_length=0xFFFF_FFFF)


def _turned_over(packet: Frame, lot: Random, count: int) -> Iterator[Frame]:
    for _ in range(count):
        data = bytearray(packet.data)
        for _ in range(lot.randint(1, 8)):
            data[lot.randrange(len(data))] = lot.randrange(256)
        yield replace(packet, data=bytes(data))


def _noise(link: Link, lot: Random, count: int) -> Iterator[Frame]:
    yield Frame(0, b"", link)
    for _ in range(count):
        yield Frame(0, lot.randbytes(lot.randint(1, 120)), link)
