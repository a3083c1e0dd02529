"""Packets made to order: `tcp(dport=22, flags="S", at=1.5)` is a frame with right lengths and checksums.

Every factory takes addresses as text (the family follows from them), `at` in seconds after `EPOCH`, and what is in `Wire`. Defaults: a CLIENT at an
address of RFC 5737 or RFC 3849 talks to a SERVER, over Ethernet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import pack
from typing import TypedDict, Unpack

import dpkt

EPOCH = 1_780_000_000
"""Packet time 0 of the kit, in seconds: 2026-05-28 20:26:40 UTC."""

CLIENT, SERVER, ROUTER = "198.51.100.7", "192.0.2.1", "192.0.2.254"
CLIENT6, SERVER6, ROUTER6 = "2001:db8:66::7", "2001:db8::1", "2001:db8::fe"

CLIENT_MAC = bytes.fromhex("0200c6336407")
SERVER_MAC = bytes.fromhex("0200c0000201")
BROADCAST_MAC = b"\xff" * 6

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
_FLAGS = {"F": FIN, "S": SYN, "R": RST, "P": PSH, "A": ACK, "U": URG, "E": ECE, "C": CWR}
_IPV4, _ARP, _IPV6, _VLAN, _QINQ = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8


class Link(IntEnum):
    """Link types that the kit can write, as in capture files."""

    NULL = 0
    ETHERNET = 1
    PPP = 9
    DLT_RAW = 12
    RAW = 101
    LOOP = 108
    SLL = 113
    IPV4 = 228
    IPV6 = 229
    SLL2 = 276


@dataclass(frozen=True, slots=True)
class Frame:
    """A captured packet: `time` in ns since the epoch, the captured bytes from the link layer on, and the link type (a DLT number).

    `network` is the offset of the IP or ARP header in `data`; `wire_length` the packet's length where less was captured, None for the whole packet.
    """

    time: int
    data: bytes
    link: int = Link.ETHERNET
    network: int = 0
    wire_length: int | None = None

    @property
    def datagram(self) -> bytes:
        """The packet from its network header on."""
        return self.data[self.network :]


class Wire(TypedDict, total=False):
    """What every factory of an IP packet takes besides its own fields; each may be left out."""

    at: float
    """Seconds after EPOCH."""
    ttl: int
    """Time to live, or hop limit; 64."""
    ip_id: int
    """Identification of an IPv4 datagram; 1."""
    df: bool
    """Don't fragment, IPv4; true."""
    ip_options: bytes
    """IPv4 options, a multiple of four bytes."""
    extensions: Sequence[int]
    """IPv6 extension headers of eight bytes, padding only: 0 (hop by hop), 43 (routing) or 60 (destination options)."""
    link: Link
    """Link layer; Ethernet."""
    vlan: Sequence[int]
    """VLAN tags on Ethernet, outer first: one is 802.1Q, of several the outer ones are 802.1ad (QinQ)."""
    broadcast: bool
    """Sent to everybody on the link, whatever the address."""


def tcp(
    src: str | None = None,
    dst: str | None = None,
    *,
    sport: int = 40000,
    dport: int = 80,
    flags: str | int = "S",
    seq: int = 1000,
    ack: int = 0,
    window: int = 64240,
    options: bytes = b"",
    payload: bytes = b"",
    **wire: Unpack[Wire],
) -> Frame:
    """Return a TCP segment. `flags` are letters out of FSRPAUEC, or a number of up to twelve bits; `options` are a multiple of four bytes."""
    bits = flags if isinstance(flags, int) else sum(_FLAGS[letter] for letter in flags)
    segment = dpkt.tcp.TCP(sport=sport, dport=dport, seq=seq, ack=ack, win=window, opts=options, data=payload)
    segment._off_flags = (5 + len(options) // 4) << 12 | bits
    return _transport(src, dst, 6, segment, wire)


def udp(src: str | None = None, dst: str | None = None, *, sport: int = 40000, dport: int = 53, payload: bytes = b"", **wire: Unpack[Wire]) -> Frame:
    """Return a UDP datagram."""
    return _transport(src, dst, 17, dpkt.udp.UDP(sport=sport, dport=dport, ulen=8 + len(payload), data=payload), wire)


def icmp(
    src: str | None = None,
    dst: str | None = None,
    *,
    type: int = 8,
    code: int = 0,
    ident: int = 1,
    seq: int = 1,
    rest: bytes | None = None,
    quote: Frame | None = None,
    payload: bytes = b"",
    **wire: Unpack[Wire],
) -> Frame:
    """Return an ICMP message over IPv4; an echo request as it stands.

    `rest` are bytes 4 to 7, `ident` and `seq` in an echo; an error quotes the IP header and eight bytes of `quote` (RFC 792), and has zeros there.
    """
    if quote is not None:
        payload = quote.datagram[: (quote.datagram[0] & 15) * 4 + 8]
    return _transport(src, dst, 1, _icmp(type, code, ident, seq, rest, quote, payload), wire)


def icmp6(
    src: str | None = None,
    dst: str | None = None,
    *,
    type: int = 128,
    code: int = 0,
    ident: int = 1,
    seq: int = 1,
    rest: bytes | None = None,
    quote: Frame | None = None,
    payload: bytes = b"",
    **wire: Unpack[Wire],
) -> Frame:
    """Return an ICMPv6 message; an echo request as it stands. An error quotes as much of `quote` as 1280 bytes hold (RFC 4443)."""
    if src is None and dst is None:
        src, dst = CLIENT6, SERVER6
    if quote is not None:
        payload = quote.datagram[: 1280 - 48]
    return _transport(src, dst, 58, _icmp(type, code, ident, seq, rest, quote, payload), wire)


def sctp(
    src: str | None = None,
    dst: str | None = None,
    *,
    sport: int = 40000,
    dport: int = 3868,
    chunk: int = dpkt.sctp.INIT,
    tag: int = 0,
    payload: bytes = b"",
    **wire: Unpack[Wire],
) -> Frame:
    """Return an SCTP packet of one chunk (RFC 9260): 1 INIT, 2 INIT ACK, 6 ABORT, 10 COOKIE ECHO."""
    packet = dpkt.sctp.SCTP(sport=sport, dport=dport, vtag=tag)
    packet.chunks = [dpkt.sctp.Chunk(type=chunk, len=4 + len(payload), data=payload, padding=b"\0" * (-len(payload) % 4))]
    return ip(src, dst, proto=132, payload=bytes(packet), **wire)


def arp(
    src: str = CLIENT,
    dst: str = SERVER,
    *,
    reply: bool = False,
    at: float = 0.0,
    link: Link = Link.ETHERNET,
    vlan: Sequence[int] = (),
) -> Frame:
    """Return an ARP request of `src` for `dst`, sent to everybody, or a reply from `src` to `dst`."""
    packet = dpkt.arp.ARP(
        op=2 if reply else 1,
        sha=CLIENT_MAC,
        spa=IPv4Address(src).packed,
        tha=SERVER_MAC if reply else bytes(6),
        tpa=IPv4Address(dst).packed,
    )
    return _on_link(bytes(packet), _ARP, SERVER_MAC if reply else BROADCAST_MAC, at, link, vlan)


def ip(src: str | None = None, dst: str | None = None, *, proto: int, payload: bytes = b"", **wire: Unpack[Wire]) -> Frame:
    """Return an IP packet of any protocol."""
    source, target = endpoints(src, dst)
    return _datagram(source, target, proto, payload, wire)


def fragment(
    src: str | None = None,
    dst: str | None = None,
    *,
    proto: int = 17,
    offset: int = 0,
    more: bool = False,
    ident: int = 7,
    payload: bytes = bytes(8),
    **wire: Unpack[Wire],
) -> Frame:
    """Return one fragment: `payload` is the piece of the datagram that begins at byte `offset` (a multiple of eight)."""
    source, target = endpoints(src, dst)
    return _datagram(source, target, proto, payload, wire, (ident, offset, more))


def fragments(whole: Frame, size: int = 8, *, ident: int = 7, gap: float = 0.0) -> list[Frame]:
    """Return a packet cut into fragments of `size` bytes of IP payload each, a multiple of eight; they come `gap` seconds apart.

    The packet has no IP options and no extension headers.
    """
    head, datagram = whole.data[: whole.network], whole.datagram
    version, header = datagram[0] >> 4, 20 if datagram[0] >> 4 == 4 else 40
    body = datagram[header:]
    cut = []
    for number, offset in enumerate(range(0, len(body), size)):
        piece, more = body[offset : offset + size], offset + size < len(body)
        if version == 4:
            data = _ipv4(datagram[12:16], datagram[16:20], datagram[9], piece, datagram[8], ident, _fragment_field(offset, more))
        else:
            extended = _fragment_header(datagram[6], ident, offset, more) + piece
            data = _ipv6(datagram[8:24], datagram[24:40], 44, extended, datagram[7])
        cut.append(Frame(whole.time + round(number * gap * 1e9), head + data, whole.link, whole.network))
    return cut


def endpoints(src: str | None, dst: str | None) -> tuple[str, str]:
    """Fill in the address that was left out, in the family of the other."""
    if (src or dst) and ip_address(src or dst or "").version == 6:
        return src or CLIENT6, dst or SERVER6
    return src or CLIENT, dst or SERVER


def nanoseconds(at: float) -> int:
    """Return the packet time `at` seconds after EPOCH."""
    return EPOCH * 1_000_000_000 + round(at * 1e9)


def _icmp(type: int, code: int, ident: int, seq: int, rest: bytes | None, quote: Frame | None, payload: bytes) -> dpkt.Packet:
    if rest is None:
        rest = bytes(4) if quote is not None else pack(">HH", ident, seq)
    # The header is the same in both families; this class leaves the checksum to us.
    return dpkt.icmp6.ICMP6(type=type, code=code, data=rest + payload)


def _transport(src: str | None, dst: str | None, proto: int, segment: dpkt.Packet, wire: Wire) -> Frame:
    source, target = endpoints(src, dst)
    segment.sum = 0
    covered = bytes(segment)
    if proto != 1:
        covered = ip_address(source).packed + ip_address(target).packed + pack(">II", len(covered), proto) + covered
    segment.sum = dpkt.dpkt.in_cksum(covered)
    if proto == 17 and segment.sum == 0:
        segment.sum = 0xFFFF
    return _datagram(source, target, proto, bytes(segment), wire)


def _datagram(src: str, dst: str, proto: int, payload: bytes, wire: Wire, piece: tuple[int, int, bool] | None = None) -> Frame:
    source, target = ip_address(src), ip_address(dst)
    ttl = wire.get("ttl", 64)
    if source.version == 4:
        flags = 0x4000 if wire.get("df", piece is None) else 0
        ident = wire.get("ip_id", 1)
        if piece:
            ident, flags = piece[0], flags | _fragment_field(piece[1], piece[2])
        data = _ipv4(source.packed, target.packed, proto, payload, ttl, ident, flags, wire.get("ip_options", b""))
    else:
        if piece:
            payload, proto = _fragment_header(proto, *piece) + payload, 44
        for extension in reversed(wire.get("extensions", ())):
            payload, proto = pack(">BBBBI", proto, 0, *((0, 0) if extension == 43 else (1, 4)), 0) + payload, extension
        data = _ipv6(source.packed, target.packed, proto, payload, ttl)
    return _on_link(
        data,
        _IPV4 if source.version == 4 else _IPV6,
        BROADCAST_MAC if wire.get("broadcast") else _mac(target),
        wire.get("at", 0.0),
        wire.get("link", Link.ETHERNET),
        wire.get("vlan", ()),
    )


def _ipv4(src: bytes, dst: bytes, proto: int, payload: bytes, ttl: int, ident: int, flags: int, options: bytes = b"") -> bytes:
    header = dpkt.ip.IP(src=src, dst=dst, p=proto, ttl=ttl, id=ident, opts=options, data=payload)
    header.hl = 5 + len(options) // 4
    header._flags_offset = flags
    return bytes(header)


def _ipv6(src: bytes, dst: bytes, proto: int, payload: bytes, ttl: int) -> bytes:
    return bytes(dpkt.ip6.IP6(src=src, dst=dst, nxt=proto, plen=len(payload), hlim=ttl, data=payload))


def _fragment_field(offset: int, more: bool) -> int:
    return 0x2000 * more | offset // 8


def _fragment_header(proto: int, ident: int, offset: int, more: bool) -> bytes:
    """RFC 8200, section 4.5."""
    return pack(">BBHI", proto, 0, offset // 8 << 3 | more, ident)


def _mac(target: IPv4Address | IPv6Address) -> bytes:
    """The link address of a network address: RFC 1112 and RFC 2464 say which groups have one of their own."""
    if target == IPv4Address("255.255.255.255"):
        return BROADCAST_MAC
    if target.is_multicast:
        return b"\x33\x33" + target.packed[-4:] if target.version == 6 else bytes((1, 0, 0x5E, target.packed[1] & 127)) + target.packed[2:]
    return SERVER_MAC


def _on_link(data: bytes, ethertype: int, dst_mac: bytes, at: float, link: Link, vlan: Sequence[int]) -> Frame:
    if vlan and link != Link.ETHERNET:
        raise ValueError(f"{link.name}: the kit writes VLAN tags on Ethernet only.")
    header = _link_header(link, ethertype, dst_mac, vlan)
    return Frame(nanoseconds(at), header + data, link, len(header))


def _link_header(link: Link, ethertype: int, dst_mac: bytes, vlan: Sequence[int]) -> bytes:
    if link == Link.ETHERNET:
        tags = b"".join(pack(">HH", _QINQ, tag) for tag in vlan[:-1]) + b"".join(pack(">HH", _VLAN, tag) for tag in vlan[-1:])
        return dst_mac + CLIENT_MAC + tags + pack(">H", ethertype)
    # Cooked captures tell to whom a packet was sent: 0 this host, 1 everybody, 2 a group.
    cast = 1 if dst_mac == BROADCAST_MAC else dst_mac[0] & 1 and 2
    if link == Link.SLL:
        return pack(">HHH8sH", cast, 1, 6, CLIENT_MAC, ethertype)
    if link == Link.SLL2:
        return pack(">HHIHBB8s", ethertype, 0, 1, 1, cast, 6, CLIENT_MAC)
    if ethertype == _ARP:
        raise ValueError(f"{link.name}: there is no ARP on this link.")
    if link in (Link.NULL, Link.LOOP):
        family = 2 if ethertype == _IPV4 else 30
        return pack("<I" if link == Link.NULL else ">I", family)
    if link == Link.PPP:
        return pack(">BBH", 0xFF, 3, 0x21 if ethertype == _IPV4 else 0x57)
    return b""
