# cython: language_level=3
"""The layout of a packet batch: one block of memory, one column after the other, widest first.

`LAYOUT` tells numpy what `columns_of` tells the kernel; a test holds the two together.
"""

LAYOUT = (
    ("time", "i8"), ("clock", "i8"), ("index", "i8"), ("offset", "i8"),
    ("src_hi", "u8"), ("src_lo", "u8"), ("dst_hi", "u8"), ("dst_lo", "u8"),
    ("captured", "u4"), ("wire_length", "u4"), ("length", "u4"), ("payload_length", "u4"), ("ip_id", "u4"), ("tcp_seq", "u4"),
    ("interface", "u2"), ("link", "u2"), ("network", "u2"), ("transport", "u2"), ("sport", "u2"), ("dport", "u2"),
    ("tcp_flags", "u2"), ("fragment_offset", "u2"), ("icmp_id", "u2"), ("icmp_seq", "u2"), ("fragment", "u2"),
    ("kind", "u1"), ("version", "u1"), ("proto", "u1"), ("ttl", "u1"), ("icmp_type", "u1"), ("icmp_code", "u1"),
    ("sctp_chunk", "u1"), ("cast", "u1"), ("malformed", "u1"), ("flow", "u1"),
)


cdef Columns columns_of(uint8_t *block, Py_ssize_t n) noexcept nogil:
    """Return where each column of a block of `n` packets begins."""
    cdef Columns c
    cdef int64_t *wide = <int64_t *> block
    cdef uint32_t *word
    cdef uint16_t *half
    cdef uint8_t *byte
    c.n = n
    c.time = wide
    c.clock = wide + n
    c.index = wide + 2 * n
    c.offset = wide + 3 * n
    c.src_hi = <uint64_t *> (wide + 4 * n)
    c.src_lo = <uint64_t *> (wide + 5 * n)
    c.dst_hi = <uint64_t *> (wide + 6 * n)
    c.dst_lo = <uint64_t *> (wide + 7 * n)
    word = <uint32_t *> (wide + 8 * n)
    c.captured = word
    c.wire_length = word + n
    c.length = word + 2 * n
    c.payload_length = word + 3 * n
    c.ip_id = word + 4 * n
    c.tcp_seq = word + 5 * n
    half = <uint16_t *> (word + 6 * n)
    c.interface = half
    c.link = half + n
    c.network = half + 2 * n
    c.transport = half + 3 * n
    c.sport = half + 4 * n
    c.dport = half + 5 * n
    c.tcp_flags = half + 6 * n
    c.fragment_offset = half + 7 * n
    c.icmp_id = half + 8 * n
    c.icmp_seq = half + 9 * n
    c.fragment = half + 10 * n
    byte = <uint8_t *> (half + 11 * n)
    c.kind = byte
    c.version = byte + n
    c.proto = byte + 2 * n
    c.ttl = byte + 3 * n
    c.icmp_type = byte + 4 * n
    c.icmp_code = byte + 5 * n
    c.sctp_chunk = byte + 6 * n
    c.cast = byte + 7 * n
    c.malformed = byte + 8 * n
    c.flow = byte + 9 * n
    return c
