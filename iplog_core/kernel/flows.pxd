"""The row of a flow that was decided or ended: what `FLOW_DTYPE` is to numpy."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum Outcome:
    PENDING, ANSWERED, HALF_OPEN, REFUSED, SILENT, LATE

cdef enum Phase:
    PHASE_DEADLINE, PHASE_PACKET, PHASE_END

cdef struct FlowRow:
    int64_t time
    int64_t opened
    int64_t opened_clock
    int64_t last
    int64_t index
    uint64_t src_hi
    uint64_t src_lo
    uint64_t dst_hi
    uint64_t dst_lo
    uint64_t bytes
    uint64_t reply_bytes
    uint32_t packets
    uint32_t reply_packets
    uint32_t length
    uint32_t payload_length
    uint16_t sport
    uint16_t dport
    uint16_t tcp_flags
    uint16_t interface
    uint16_t icmp_id
    uint16_t icmp_seq
    uint8_t kind
    uint8_t version
    uint8_t proto
    uint8_t ttl
    uint8_t icmp_type
    uint8_t icmp_code
    uint8_t outcome
    uint8_t stray
    uint8_t contact
    uint8_t phase
    uint8_t known
    uint8_t again
    uint8_t pinged
    uint8_t cast
    uint8_t sctp_chunk
    uint8_t host_known
    uint8_t spare[4]
