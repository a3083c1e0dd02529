"""The layout of a packet batch: one block of memory, one column after the other, widest first."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum Kind:
    KIND_NONE, KIND_ARP, KIND_TCP, KIND_UDP, KIND_ICMP, KIND_ICMP6, KIND_SCTP, KIND_OTHER, KIND_FRAGMENT

cdef enum Malformed:
    OK, TRUNCATED, BAD_IP_HEADER, BAD_IP_LENGTH, BAD_EXTENSION, BAD_TCP_HEADER, BAD_UDP_LENGTH, BAD_LINK

cdef enum Cast:
    UNICAST, BROADCAST, MULTICAST

cdef enum Fragment:
    FRAGMENT_PIECE = 1, FRAGMENT_MORE = 2, FRAGMENT_HEADER = 4, FRAGMENT_COMPLETE = 8,
    FRAGMENT_OVERLAP = 16, FRAGMENT_DUPLICATE = 32, FRAGMENT_OVERSIZED = 64, FRAGMENT_TINY = 128, FRAGMENT_DOUBTFUL = 256, FRAGMENT_ARRIVED = 512

cdef enum FlowBit:
    FLOW_OPENS = 1, FLOW_CONTACT = 2, FLOW_STRAY = 4, FLOW_MEMBER = 8, FLOW_REPLY = 16, FLOW_DECIDES = 32, FLOW_UNANSWERED = 64, FLOW_KNOWN = 128

cdef struct Columns:
    Py_ssize_t n
    int64_t *time
    int64_t *clock
    int64_t *index
    int64_t *offset
    uint64_t *src_hi
    uint64_t *src_lo
    uint64_t *dst_hi
    uint64_t *dst_lo
    uint32_t *captured
    uint32_t *wire_length
    uint32_t *length
    uint32_t *payload_length
    uint32_t *ip_id
    uint32_t *tcp_seq
    uint16_t *interface
    uint16_t *link
    uint16_t *network
    uint16_t *transport
    uint16_t *sport
    uint16_t *dport
    uint16_t *tcp_flags
    uint16_t *fragment_offset
    uint16_t *icmp_id
    uint16_t *icmp_seq
    uint16_t *fragment
    uint8_t *kind
    uint8_t *version
    uint8_t *proto
    uint8_t *ttl
    uint8_t *icmp_type
    uint8_t *icmp_code
    uint8_t *sctp_chunk
    uint8_t *cast
    uint8_t *malformed
    uint8_t *flow

cdef Columns columns_of(uint8_t *block, Py_ssize_t n) noexcept nogil
