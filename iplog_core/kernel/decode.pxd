"""Decoding what stands behind the network header, for packets and for datagrams put together from fragments."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from iplog_core.kernel.columns cimport Columns

cdef enum Protocol:
    PROTO_HOP_BY_HOP = 0, PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17, PROTO_ROUTING = 43, PROTO_FRAGMENT = 44, PROTO_AH = 51, PROTO_ICMP6 = 58,
    PROTO_DESTINATION = 60, PROTO_SCTP = 132, PROTO_MOBILITY = 135, PROTO_HIP = 139, PROTO_SHIM6 = 140

cdef struct Quote:
    uint64_t src_hi
    uint64_t src_lo
    uint64_t dst_hi
    uint64_t dst_lo
    uint16_t sport
    uint16_t dport
    uint16_t icmp_id
    uint16_t icmp_seq
    uint8_t version
    uint8_t proto
    uint8_t icmp_type

cdef bint decode_transport(Columns *c, Py_ssize_t i, const uint8_t *p, Py_ssize_t held, Py_ssize_t sent, bint piece) noexcept nogil
cdef bint decode_quote(Quote *q, const uint8_t *p, const uint8_t *end) noexcept nogil


cdef inline uint16_t be16(const uint8_t *p) noexcept nogil:
    return <uint16_t> (p[0] << 8 | p[1])


cdef inline uint32_t be32(const uint8_t *p) noexcept nogil:
    return <uint32_t> p[0] << 24 | <uint32_t> p[1] << 16 | <uint32_t> p[2] << 8 | p[3]


cdef inline uint64_t be64(const uint8_t *p) noexcept nogil:
    return <uint64_t> be32(p) << 32 | be32(p + 4)


cdef inline uint64_t mapped(const uint8_t *p) noexcept nogil:
    """The lower half of an IPv4 address as ::ffff:a.b.c.d."""
    return <uint64_t> 0xFFFF << 32 | be32(p)
