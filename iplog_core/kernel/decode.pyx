"""Headers to columns: one pass over a batch, link layer to transport header.

Sources: IEEE 802.3 and 802.1Q; libpcap's link-layer header types (SLL, SLL2, NULL, LOOP, RAW, PPP); RFC 826 (ARP), 791 (IPv4), 8200 (IPv6), 9293 (TCP), 768 (UDP), 792
(ICMP), 4443 (ICMPv6), 9260 (SCTP). A packet that breaks off or contradicts itself is marked in `malformed`, keeps the columns that were read before, and has kind NONE.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from iplog_core.kernel.ahead cimport FAR, prefetch
from iplog_core.kernel.columns cimport (
    BAD_EXTENSION, BAD_IP_HEADER, BAD_IP_LENGTH, BAD_LINK, BAD_TCP_HEADER, BAD_UDP_LENGTH, BROADCAST, FRAGMENT_HEADER, FRAGMENT_MORE,
    FRAGMENT_PIECE, KIND_ARP, KIND_FRAGMENT, KIND_ICMP, KIND_ICMP6, KIND_NONE, KIND_OTHER, KIND_SCTP, KIND_TCP, KIND_UDP, MULTICAST, TRUNCATED,
    Columns, columns_of,
)

cdef enum Link:
    DLT_NULL = 0, DLT_EN10MB = 1, DLT_PPP = 9, DLT_RAW_BSD = 12, DLT_RAW_OPENBSD = 14, DLT_PPP_SERIAL = 50, DLT_RAW = 101, DLT_LOOP = 108,
    DLT_LINUX_SLL = 113, DLT_IPV4 = 228, DLT_IPV6 = 229, DLT_LINUX_SLL2 = 276

cdef enum EtherType:
    ETHER_IP = 0x0800, ETHER_ARP = 0x0806, ETHER_VLAN = 0x8100, ETHER_IP6 = 0x86DD, ETHER_QINQ = 0x88A8, ETHER_QINQ_OLD = 0x9100


# The clock stops here (in 2116), so that adding a timeout to it never overflows.
cdef int64_t LATEST = 1 << 62


def decode(
    const uint8_t[::1] data,
    const int64_t[::1] offset,
    const uint32_t[::1] captured,
    const uint32_t[::1] wire_length,
    const int64_t[::1] time,
    const uint16_t[::1] link,
    const uint16_t[::1] interface,
    uint8_t[::1] block,
    int64_t first,
    int64_t clock,
):
    """Fill `block`, the columns of as many packets as `offset` has, numbered from `first` on a clock that stands at `clock` ns.

    Return the clock after the last packet, and how many of them are pieces of datagrams. Every packet must lie inside `data`.
    """
    cdef Py_ssize_t n = offset.shape[0], i, pieces = 0
    cdef const uint8_t *frame
    cdef Columns c
    if n == 0:
        return clock, 0
    with nogil:
        c = columns_of(&block[0], n)
        memset(&block[0], 0, block.shape[0])
        for i in range(n):
            if i + FAR < n:
                # Headers lie far from each other, in a file that was mapped mostly beyond the nearest cache.
                prefetch(&data[0] + offset[i + FAR])
                prefetch(&data[0] + offset[i + FAR] + 63)
            if time[i] > clock:
                clock = time[i] if time[i] < LATEST else LATEST
            c.time[i] = time[i]
            c.clock[i] = clock
            c.index[i] = first + i
            c.offset[i] = offset[i]
            c.captured[i] = captured[i]
            c.wire_length[i] = wire_length[i]
            c.interface[i] = interface[i]
            c.link[i] = link[i]
            if captured[i] == 0:
                c.malformed[i] = TRUNCATED
                continue
            frame = &data[offset[i]]
            decode_link(&c, i, frame, frame + captured[i])
            if c.malformed[i]:
                c.kind[i] = KIND_NONE
            pieces += c.fragment[i] & FRAGMENT_PIECE
    return clock, pieces


cdef void decode_link(Columns *c, Py_ssize_t i, const uint8_t *frame, const uint8_t *end) noexcept nogil:
    cdef uint16_t link = c.link[i]
    cdef const uint8_t *p = frame
    cdef uint32_t family
    if link == DLT_EN10MB:
        if end - p < 14:
            c.malformed[i] = TRUNCATED
            return
        if p[0] & 1:
            c.cast[i] = BROADCAST if (p[0] & p[1] & p[2] & p[3] & p[4] & p[5]) == 0xFF else MULTICAST
        decode_ethertype(c, i, frame, p + 14, end, be16(p + 12))
    elif link == DLT_RAW or link == DLT_RAW_BSD or link == DLT_RAW_OPENBSD or link == DLT_IPV4 or link == DLT_IPV6:
        if p[0] >> 4 == 6:
            decode_ip6(c, i, frame, p, end)
        else:
            decode_ip4(c, i, frame, p, end)
    elif link == DLT_LINUX_SLL:
        if end - p < 16:
            c.malformed[i] = TRUNCATED
            return
        decode_cooked(c, i, be16(p))
        decode_ethertype(c, i, frame, p + 16, end, be16(p + 14))
    elif link == DLT_LINUX_SLL2:
        if end - p < 20:
            c.malformed[i] = TRUNCATED
            return
        decode_cooked(c, i, p[10])
        decode_ethertype(c, i, frame, p + 20, end, be16(p))
    elif link == DLT_NULL or link == DLT_LOOP:
        if end - p < 4:
            c.malformed[i] = TRUNCATED
            return
        # The address family of the capturing host, in its own byte order; 24, 28 and 30 are IPv6 on the BSDs, 10 on Linux.
        family = be32(p)
        if family > 0xFFFF:
            family = family >> 24 | (family >> 8 & 0xFF00)
        if family == 2:
            decode_ip4(c, i, frame, p + 4, end)
        elif family == 10 or family == 24 or family == 28 or family == 30:
            decode_ip6(c, i, frame, p + 4, end)
    elif link == DLT_PPP or link == DLT_PPP_SERIAL:
        decode_ppp(c, i, frame, p, end)
    else:
        c.malformed[i] = BAD_LINK


cdef inline void decode_cooked(Columns *c, Py_ssize_t i, uint16_t packet_type) noexcept nogil:
    if packet_type == 1:
        c.cast[i] = BROADCAST
    elif packet_type == 2:
        c.cast[i] = MULTICAST


cdef void decode_ppp(Columns *c, Py_ssize_t i, const uint8_t *frame, const uint8_t *p, const uint8_t *end) noexcept nogil:
    """Skip PPP's address and control bytes, where they are, and a protocol field of one or two bytes (RFC 1661, 1662)."""
    cdef uint16_t protocol
    if end - p >= 4 and p[1] == 0 and (p[0] == 0x0F or p[0] == 0x8F):
        # Cisco HDLC: an Ethernet type follows.
        decode_ethertype(c, i, frame, p + 4, end, be16(p + 2))
        return
    if end - p >= 2 and p[0] == 0xFF and p[1] == 0x03:
        p += 2
    if end - p < 2:
        c.malformed[i] = TRUNCATED
        return
    if p[0] & 1:
        protocol = p[0]
        p += 1
    else:
        protocol = be16(p)
        p += 2
    if protocol == 0x0021:
        decode_ip4(c, i, frame, p, end)
    elif protocol == 0x0057:
        decode_ip6(c, i, frame, p, end)


cdef void decode_ethertype(Columns *c, Py_ssize_t i, const uint8_t *frame, const uint8_t *p, const uint8_t *end, uint16_t kind) noexcept nogil:
    while kind == ETHER_VLAN or kind == ETHER_QINQ or kind == ETHER_QINQ_OLD:
        if end - p < 4:
            c.malformed[i] = TRUNCATED
            return
        kind = be16(p + 2)
        p += 4
    if p - frame > 0xFF00:
        # More tags than an offset can tell.
        c.malformed[i] = BAD_LINK
        return
    if kind <= 1500 and end - p >= 8 and p[0] == 0xAA and p[1] == 0xAA and p[2] == 3 and p[3] == 0 and p[4] == 0 and p[5] == 0:
        # LLC and SNAP with an Ethernet type (RFC 1042).
        kind = be16(p + 6)
        p += 8
    if kind == ETHER_IP:
        decode_ip4(c, i, frame, p, end)
    elif kind == ETHER_IP6:
        decode_ip6(c, i, frame, p, end)
    elif kind == ETHER_ARP:
        decode_arp(c, i, frame, p, end)


cdef void decode_arp(Columns *c, Py_ssize_t i, const uint8_t *frame, const uint8_t *p, const uint8_t *end) noexcept nogil:
    """Sender and target protocol addresses are source and destination, the operation stands in `icmp_type`."""
    if end - p < 8:
        c.malformed[i] = TRUNCATED
        return
    if be16(p) != 1 or be16(p + 2) != ETHER_IP or p[4] != 6 or p[5] != 4:
        return
    if end - p < 28:
        c.malformed[i] = TRUNCATED
        return
    c.kind[i] = KIND_ARP
    c.version[i] = 4
    c.network[i] = <uint16_t> (p - frame)
    c.length[i] = 28
    c.icmp_type[i] = p[7]
    c.src_lo[i] = mapped(p + 14)
    c.dst_lo[i] = mapped(p + 24)


cdef void decode_ip4(Columns *c, Py_ssize_t i, const uint8_t *frame, const uint8_t *p, const uint8_t *end) noexcept nogil:
    cdef Py_ssize_t header, total
    cdef uint16_t position
    if end - p < 20:
        c.malformed[i] = TRUNCATED
        return
    header = (p[0] & 15) * 4
    if p[0] >> 4 != 4 or header < 20:
        c.malformed[i] = BAD_IP_HEADER
        return
    total = be16(p + 2)
    if total == 0:
        # Left to the network card by the sender's own capture (segmentation offload).
        total = c.wire_length[i] - (p - frame) if c.wire_length[i] > p - frame else end - p
    c.version[i] = 4
    c.network[i] = <uint16_t> (p - frame)
    c.length[i] = <uint32_t> total
    c.ip_id[i] = be16(p + 4)
    c.ttl[i] = p[8]
    c.proto[i] = p[9]
    c.src_lo[i] = mapped(p + 12)
    c.dst_lo[i] = mapped(p + 16)
    if total < header:
        c.malformed[i] = BAD_IP_LENGTH
        return
    if end - p < header:
        c.malformed[i] = TRUNCATED
        return
    position = be16(p + 6)
    decode_payload(c, i, frame, p + header, end, total - header, position & 0x1FFF, position & 0x2000)


cdef void decode_ip6(Columns *c, Py_ssize_t i, const uint8_t *frame, const uint8_t *p, const uint8_t *end) noexcept nogil:
    """The fixed header and the extension headers before the upper layer (RFC 8200, section 4; AH: RFC 4302)."""
    cdef const uint8_t *start = p
    cdef Py_ssize_t total, size
    cdef uint16_t position = 0
    cdef uint8_t proto
    cdef bint piece = False
    if end - p < 40:
        c.malformed[i] = TRUNCATED
        return
    if p[0] >> 4 != 6:
        c.malformed[i] = BAD_IP_HEADER
        return
    total = 40 + be16(p + 4)
    if total == 40 and end - p > 40 and p[6] != 59:
        # A jumbogram (RFC 2675), or left to the network card.
        total = c.wire_length[i] - (p - frame) if c.wire_length[i] > p - frame else end - p
    proto = p[6]
    c.version[i] = 6
    c.network[i] = <uint16_t> (p - frame)
    c.length[i] = <uint32_t> total
    c.ttl[i] = p[7]
    c.src_hi[i] = be64(p + 8)
    c.src_lo[i] = be64(p + 16)
    c.dst_hi[i] = be64(p + 24)
    c.dst_lo[i] = be64(p + 32)
    p += 40
    while True:
        c.proto[i] = proto
        if (proto == PROTO_HOP_BY_HOP or proto == PROTO_ROUTING or proto == PROTO_DESTINATION or proto == PROTO_MOBILITY
                or proto == PROTO_HIP or proto == PROTO_SHIM6 or proto == PROTO_AH or proto == PROTO_FRAGMENT):
            if p - start + 8 > total:
                c.malformed[i] = BAD_EXTENSION
                return
            if end - p < 8:
                c.malformed[i] = TRUNCATED
                return
        if proto == PROTO_FRAGMENT:
            if piece:
                # A piece of a piece is for its receiver to see.
                break
            position = be16(p + 2)
            c.ip_id[i] = be32(p + 4)
            piece = (position & 0xFFF9) != 0
            if piece:
                c.fragment[i] = FRAGMENT_PIECE | (FRAGMENT_MORE if position & 1 else 0)
                c.fragment_offset[i] = position >> 3
            proto = p[0]
            p += 8
            c.proto[i] = proto
            if position >> 3:
                break
            continue
        elif proto == PROTO_AH:
            size = (p[1] + 2) * 4
        elif (proto == PROTO_HOP_BY_HOP or proto == PROTO_ROUTING or proto == PROTO_DESTINATION or proto == PROTO_MOBILITY
                or proto == PROTO_HIP or proto == PROTO_SHIM6):
            size = (p[1] + 1) * 8
        else:
            break
        if p - start + size > total:
            c.malformed[i] = BAD_EXTENSION
            return
        if end - p < size:
            c.malformed[i] = TRUNCATED
            return
        proto = p[0]
        p += size
    decode_payload(c, i, frame, p, end, total - (p - start), (position >> 3) if piece else 0, piece and position & 1)


cdef void decode_payload(
    Columns *c, Py_ssize_t i, const uint8_t *frame, const uint8_t *p, const uint8_t *end, Py_ssize_t sent, uint16_t position, bint more
) noexcept nogil:
    """What is behind the network header: `sent` bytes at `p`, the piece of a datagram at `position` (in 8 bytes) where `more` or `position`."""
    cdef Py_ssize_t held = end - p if end - p < sent else sent
    if p - frame > 0xFFFF:
        c.malformed[i] = BAD_EXTENSION
        return
    if not position and not more:
        c.transport[i] = <uint16_t> (p - frame)
        decode_transport(c, i, p, held, sent, False)
        return
    c.fragment[i] = FRAGMENT_PIECE | (FRAGMENT_MORE if more else 0)
    c.fragment_offset[i] = position
    c.payload_length[i] = <uint32_t> sent
    # Where its bytes begin, for putting the datagram together; the header of a first piece that has it whole stands there too.
    c.transport[i] = <uint16_t> (p - frame)
    if position == 0 and decode_transport(c, i, p, held, sent, True):
        c.fragment[i] |= FRAGMENT_HEADER
        return
    c.kind[i] = KIND_FRAGMENT


cdef bint decode_transport(Columns *c, Py_ssize_t i, const uint8_t *p, Py_ssize_t held, Py_ssize_t sent, bint piece) noexcept nogil:
    """Decode a transport header of which `held` bytes are here; `sent` bytes were behind the network header.

    Return whether it was there whole. One that is not is malformed, unless this is a `piece` of a datagram: then it is left as it was.
    """
    cdef uint8_t proto = c.proto[i]
    cdef Py_ssize_t need = 0, length
    if proto == PROTO_TCP:
        need = 20
    elif proto == PROTO_UDP or proto == PROTO_ICMP:
        need = 8
    elif proto == PROTO_ICMP6 and c.version[i] == 6:
        need = 4
    elif proto == PROTO_SCTP:
        need = 12
    if piece and held < need:
        return False
    # A short snap length may cut a TCP header behind its flags.
    if sent < need or held < (14 if proto == PROTO_TCP else need):
        c.malformed[i] = TRUNCATED
        return False
    if proto == PROTO_TCP:
        length = (p[12] >> 4) * 4
        if length < 20 or (length > sent and not piece):
            c.malformed[i] = BAD_TCP_HEADER
            return False
        c.kind[i] = KIND_TCP
        c.sport[i] = be16(p)
        c.dport[i] = be16(p + 2)
        c.tcp_seq[i] = be32(p + 4)
        c.tcp_flags[i] = be16(p + 12) & 0xFFF
        c.payload_length[i] = <uint32_t> (sent - length) if sent > length else 0
    elif proto == PROTO_UDP:
        length = be16(p + 4)
        if length == 0 and c.version[i] == 6:
            length = sent
        if length < 8 or (length > sent and not piece):
            c.malformed[i] = BAD_UDP_LENGTH
            return False
        c.kind[i] = KIND_UDP
        c.sport[i] = be16(p)
        c.dport[i] = be16(p + 2)
        c.payload_length[i] = <uint32_t> (length - 8)
    elif need == 8 or need == 4:
        c.kind[i] = KIND_ICMP if need == 8 else KIND_ICMP6
        c.icmp_type[i] = p[0]
        c.icmp_code[i] = p[1]
        c.payload_length[i] = <uint32_t> sent
        if held >= 8:
            c.icmp_id[i] = be16(p + 4)
            c.icmp_seq[i] = be16(p + 6)
    elif proto == PROTO_SCTP:
        c.kind[i] = KIND_SCTP
        c.sport[i] = be16(p)
        c.dport[i] = be16(p + 2)
        c.payload_length[i] = <uint32_t> (sent - 12)
        if held > 12:
            c.sctp_chunk[i] = p[12]
    else:
        c.kind[i] = KIND_OTHER
        c.payload_length[i] = <uint32_t> sent
    return True


cdef bint decode_quote(Quote *q, const uint8_t *p, const uint8_t *end) noexcept nogil:
    """Read the packet that an ICMP error quotes: its addresses, protocol and first 8 bytes (RFC 792, RFC 4443 section 3). Return whether it is whole."""
    cdef uint8_t proto, version
    cdef Py_ssize_t size
    memset(q, 0, sizeof(Quote))
    if end - p < 20:
        return False
    version = p[0] >> 4
    if version == 4:
        size = (p[0] & 15) * 4
        if size < 20 or end - p < size or be16(p + 6) & 0x1FFF:
            return False
        proto = p[9]
        q.src_lo = mapped(p + 12)
        q.dst_lo = mapped(p + 16)
        p += size
    elif version == 6 and end - p >= 40:
        proto = p[6]
        q.src_hi = be64(p + 8)
        q.src_lo = be64(p + 16)
        q.dst_hi = be64(p + 24)
        q.dst_lo = be64(p + 32)
        p += 40
        while proto == PROTO_HOP_BY_HOP or proto == PROTO_ROUTING or proto == PROTO_DESTINATION or proto == PROTO_FRAGMENT:
            if end - p < 8 or (proto == PROTO_FRAGMENT and be16(p + 2) >> 3):
                return False
            size = 8 if proto == PROTO_FRAGMENT else (p[1] + 1) * 8
            proto = p[0]
            p += size
            if p > end:
                return False
    else:
        return False
    q.version = version
    q.proto = proto
    if proto == PROTO_TCP or proto == PROTO_UDP or proto == PROTO_SCTP:
        if end - p < 4:
            return False
        q.sport = be16(p)
        q.dport = be16(p + 2)
    elif proto == PROTO_ICMP or proto == PROTO_ICMP6:
        if end - p < 8:
            return False
        q.icmp_type = p[0]
        q.icmp_id = be16(p + 4)
        q.icmp_seq = be16(p + 6)
    return True


cdef packed struct About:
    uint64_t hi
    uint64_t lo
    uint64_t route_hi
    uint64_t route_lo
    uint16_t sport
    uint16_t dport
    uint8_t proto


def icmp_about(const uint8_t[::1] data, uint8_t[::1] block, Py_ssize_t n, const int64_t[::1] rows):
    """Return what the ICMP messages in `rows` speak of, 37 bytes each: two addresses (each two 64-bit halves), source port, destination port, protocol.

    An error: the quoted packet's destination, ports and protocol. A redirect: likewise, but the first address is the gateway's, the second the
    destination that it is for. A parameter problem: the pointer in place of the address. A neighbour solicitation or advertisement: its target.
    """
    cdef Py_ssize_t k, i, count = rows.shape[0]
    cdef bytearray out = bytearray(count * sizeof(About))
    cdef uint8_t[::1] view = out
    cdef About *about
    cdef Columns c
    cdef Quote q
    cdef const uint8_t *p
    cdef const uint8_t *end
    cdef uint8_t kind
    cdef bint six
    if count == 0:
        return out
    c = columns_of(&block[0], n)
    for k in range(count):
        i = rows[k]
        if c.transport[i] == 0 or c.captured[i] < c.transport[i] + 8:
            continue
        about = (<About *> &view[0]) + k
        p = &data[c.offset[i] + c.transport[i]]
        end = &data[c.offset[i]] + c.captured[i]
        kind = c.icmp_type[i]
        six = c.kind[i] == KIND_ICMP6
        if not is_icmp_error(six, kind):
            if six and (kind == 135 or kind == 136) and end - p >= 24:
                about.hi = be64(p + 8)
                about.lo = be64(p + 16)
            elif six and kind == 137 and end - p >= 40:
                about.hi = be64(p + 8)
                about.lo = be64(p + 16)
                about.route_hi = be64(p + 24)
                about.route_lo = be64(p + 32)
            continue
        if decode_quote(&q, p + 8, end):
            about.sport = q.sport
            about.dport = q.dport
            about.proto = q.proto
        about.hi = q.dst_hi
        about.lo = q.dst_lo
        if not six and kind == 5:
            about.route_lo = about.lo
            about.hi = 0
            about.lo = mapped(p + 4)
        elif (six and kind == 4) or (not six and kind == 12):
            about.hi = 0
            about.lo = be32(p + 4) if six else p[4]
    return out


cdef inline bint is_icmp_error(bint six, uint8_t kind) noexcept nogil:
    if six:
        return 1 <= kind <= 4
    return kind == 3 or kind == 4 or kind == 5 or kind == 11 or kind == 12
