"""Columns by dpkt."""

from __future__ import annotations

import dpkt

from iplog_core.batch import Fragment, Kind, Malformed

_LINK_LAYERS = {
    1: dpkt.ethernet.Ethernet,
    9: dpkt.ppp.PPP,
    113: dpkt.sll.SLL,
    276: dpkt.sll2.SLL2,
    0: dpkt.loopback.Loopback,
    108: dpkt.loopback.Loopback,
}
_RAW_LINKS = (12, 14, 101, 228, 229)
_EXTENSIONS_UNKNOWN_TO_DPKT = (135, 139, 140)


def dpkt_columns(frame: bytes, link: int) -> dict[str, int]:
    """Return the columns that dpkt's reading of a frame leads to, as far as it reads; none where it finds no IP and no ARP in it.

    dpkt believes lengths and versions that contradict the packet; the few checks that it leaves out are made here.
    """
    network = _network_layer(frame, link)
    if isinstance(network, dpkt.ip.IP):
        return _ip4_columns(network)
    if isinstance(network, dpkt.ip6.IP6):
        return _ip6_columns(network)
    if isinstance(network, dpkt.arp.ARP) and (network.hrd, network.pro, network.hln, network.pln) == (1, 0x0800, 6, 4):
        return {
            "kind": Kind.ARP,
            "version": 4,
            "src_lo": mapped(network.spa),
            "dst_lo": mapped(network.tpa),
            "icmp_type": network.op & 255,
        }
    return {}


def _network_layer(frame: bytes, link: int) -> dpkt.Packet | None:
    try:
        if link in _RAW_LINKS:
            return dpkt.ip6.IP6(frame) if frame[0] >> 4 == 6 else dpkt.ip.IP(frame)
        if link not in _LINK_LAYERS:
            return None
        layer = _LINK_LAYERS[link](frame)
    except Exception:
        return None
    if getattr(layer, "mpls_labels", None):
        return None
    network = layer.data
    return network.data if isinstance(network, dpkt.llc.LLC) else network


def mapped(address: bytes) -> int:
    """The lower half of an IPv4 address, ::ffff:a.b.c.d."""
    return 0xFFFF << 32 | int.from_bytes(address, "big")


def _ip4_columns(ip: dpkt.ip.IP) -> dict[str, int]:
    if ip.v != 4:
        return {"malformed": Malformed.BAD_IP_HEADER}
    columns: dict[str, int] = {
        "version": 4,
        "src_lo": mapped(ip.src),
        "dst_lo": mapped(ip.dst),
        "ttl": ip.ttl,
        "proto": ip.p,
        "ip_id": ip.id,
    }
    if ip.len:
        columns["length"] = ip.len
        if ip.len < ip.hl * 4:
            return columns | {"malformed": Malformed.BAD_IP_LENGTH}
    if len(ip.opts) < ip.hl * 4 - 20:
        return columns | ({"malformed": Malformed.TRUNCATED} if ip.len else {})
    columns["fragment_offset"] = ip.offset
    if ip.offset or ip.mf:
        return columns | {"fragment": Fragment.PIECE | (Fragment.MORE if ip.mf else 0)}
    return columns | _transport_columns(ip.data, ip.p, 8, ip.len - ip.hl * 4 if ip.len else None)


def _ip6_columns(ip: dpkt.ip6.IP6) -> dict[str, int]:
    if ip.v != 6:
        return {"malformed": Malformed.BAD_IP_HEADER}
    columns: dict[str, int] = {
        "version": 6,
        "src_hi": int.from_bytes(ip.src[:8], "big"),
        "src_lo": int.from_bytes(ip.src[8:], "big"),
        "dst_hi": int.from_bytes(ip.dst[:8], "big"),
        "dst_lo": int.from_bytes(ip.dst[8:], "big"),
        "ttl": ip.hlim,
    }
    if ip.plen:
        columns["length"] = 40 + ip.plen
    extensions = sum(header.length for header in ip.all_extension_headers)
    pieces = [header for header in ip.all_extension_headers if isinstance(header, dpkt.ip6.IP6FragmentHeader)]
    if (ip.plen and extensions > ip.plen) or (extensions and not ip.data):
        # dpkt goes on behind the end of the packet.
        return columns
    if len(pieces) == 1:
        columns |= {"ip_id": pieces[0].id, "fragment_offset": pieces[0].frag_off}
        if pieces[0].frag_off or pieces[0].m_flag:
            columns["fragment"] = Fragment.PIECE | (Fragment.MORE if pieces[0].m_flag else 0)
    if not pieces:
        # An ESP header has no next one, and dpkt tells no protocol then.
        columns |= _transport_columns(ip.data, getattr(ip, "p", 50), 0, ip.plen - extensions if ip.plen else None)
    return columns


def _transport_columns(data: dpkt.Packet, proto: int, least: int, sent: int | None) -> dict[str, int]:
    """`sent` are the bytes behind the network header, None where it does not tell; `least` is the least length that a UDP header may give."""
    columns: dict[str, int]
    if isinstance(data, dpkt.tcp.TCP):
        if data.off * 4 > (len(data) if sent is None else sent):
            return {"malformed": Malformed.BAD_TCP_HEADER}
        columns = {"kind": Kind.TCP, "sport": data.sport, "dport": data.dport, "tcp_seq": data.seq, "tcp_flags": data._off_flags & 0xFFF}
        if sent is not None:
            columns["payload_length"] = sent - data.off * 4
    elif isinstance(data, dpkt.udp.UDP):
        if data.ulen > (len(data) if sent is None else sent) or data.ulen < least or 0 < data.ulen < 8:
            return {"malformed": Malformed.BAD_UDP_LENGTH}
        columns = {"kind": Kind.UDP, "sport": data.sport, "dport": data.dport}
        if data.ulen:
            columns["payload_length"] = data.ulen - 8
    elif isinstance(data, dpkt.icmp.ICMP | dpkt.icmp6.ICMP6):
        six = isinstance(data, dpkt.icmp6.ICMP6)
        if len(data) < 8:
            return {} if six else {"malformed": Malformed.TRUNCATED}
        columns = {"kind": Kind.ICMP6 if six else Kind.ICMP, "icmp_type": data.type, "icmp_code": data.code}
        if hasattr(data.data, "id"):
            columns |= {"icmp_id": data.data.id, "icmp_seq": data.data.seq}
        if sent is not None:
            columns["payload_length"] = sent
    elif isinstance(data, dpkt.sctp.SCTP):
        columns = {"kind": Kind.SCTP, "sport": data.sport, "dport": data.dport}
        if data.chunks:
            columns["sctp_chunk"] = data.chunks[0].type
    elif proto not in (1, 6, 17, 58, 132, *_EXTENSIONS_UNKNOWN_TO_DPKT):
        columns = {"kind": Kind.OTHER}
    else:
        return {}
    return columns | {"malformed": Malformed.OK}
