"""IP fragments: what each piece does to its datagram, and the transport header that several pieces hold together.

Which bytes of a datagram have come is kept as two bitmaps over its 8-byte units (RFC 791, section 3.2; RFC 815 for the idea), so any order, overlap and
repetition is told exactly. Of the bytes themselves only the first 64 are kept, and the first to come win.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from iplog_core.kernel.columns cimport (
    FRAGMENT_COMPLETE, FRAGMENT_DUPLICATE, FRAGMENT_HEADER, FRAGMENT_MORE, FRAGMENT_OVERLAP, FRAGMENT_OVERSIZED, FRAGMENT_PIECE,
    FRAGMENT_TINY, KIND_NONE, Columns, columns_of,
)
from iplog_core.kernel.decode cimport PROTO_TCP, decode_transport
from iplog_core.kernel.table cimport (
    List, Table, list_append, list_remove, table_close, table_find, table_full, table_hash, table_insert, table_open, table_remove,
)

cdef enum:
    UNITS = 8192
    WORDS = 128
    HEAD = 64

cdef struct Datagram:
    uint64_t seen[WORDS]
    uint64_t begun[WORDS]
    uint8_t head[HEAD]
    uint32_t units
    uint32_t size
    bint header


cdef class Fragments:
    """The datagrams whose pieces are under way: at most `capacity`, each for `timeout` ns after its first piece (RFC 1122, section 3.3.2)."""

    cdef Table table
    cdef List order
    cdef Datagram *datagrams
    cdef int64_t timeout
    cdef readonly int64_t evicted

    def __cinit__(self, uint32_t capacity, int64_t timeout, bytes secret=b""):
        self.timeout = timeout
        table_open(&self.table, capacity, secret)
        self.datagrams = <Datagram *> calloc(<size_t> capacity + 1, sizeof(Datagram))
        if self.datagrams == NULL:
            raise MemoryError("no memory for datagrams")

    def __dealloc__(self):
        table_close(&self.table)
        free(self.datagrams)

    def __len__(self):
        return self.table.count

    def update(self, const uint8_t[::1] data, uint8_t[::1] block, Py_ssize_t n):
        """Fill the column `fragment` of every piece in the batch, and the transport columns of each piece that completes a header."""
        cdef Columns c
        cdef Py_ssize_t i
        if n == 0:
            return
        with nogil:
            c = columns_of(&block[0], n)
            for i in range(n):
                if c.fragment[i] & FRAGMENT_PIECE:
                    self.place(&c, i, &data[c.offset[i]] + c.transport[i], &data[c.offset[i]] + c.captured[i])

    cdef void place(self, Columns *c, Py_ssize_t i, const uint8_t *p, const uint8_t *end) noexcept nogil:
        cdef uint64_t[5] key
        cdef uint32_t slot, hash
        cdef uint32_t first = c.fragment_offset[i]
        cdef uint32_t sent = piece_length(c, i)
        # All pieces but the last are whole units; what is over is lost to the receiver, too (RFC 791, section 3.1).
        cdef uint32_t last = first + (sent if c.fragment[i] & FRAGMENT_MORE else sent + 7) // 8
        cdef Datagram *d
        self.expire(c.clock[i])
        key[0] = c.src_hi[i]
        key[1] = c.src_lo[i]
        key[2] = c.dst_hi[i]
        key[3] = c.dst_lo[i]
        key[4] = <uint64_t> c.ip_id[i] << 32 | <uint64_t> c.version[i] << 8 | c.proto[i]
        hash = table_hash(&self.table, key)
        slot = table_find(&self.table, key, hash)
        if not slot:
            if table_full(&self.table):
                self.evicted += 1
                self.forget(self.order.oldest)
            slot = table_insert(&self.table, key, hash)
            list_append(&self.table, &self.order, slot, c.clock[i])
            memset(&self.datagrams[slot], 0, sizeof(Datagram))
        d = &self.datagrams[slot]
        if c.fragment[i] & FRAGMENT_HEADER or c.malformed[i]:
            d.header = True
        if first == 0 and sent < 20 and c.proto[i] == PROTO_TCP and c.fragment[i] & FRAGMENT_MORE:
            c.fragment[i] |= FRAGMENT_TINY
        if first * 8 + sent + (c.transport[i] - c.network[i] if c.version[i] == 4 else 0) > 0xFFFF:
            c.fragment[i] |= FRAGMENT_OVERSIZED
        if last > UNITS:
            last = UNITS
        if not c.fragment[i] & FRAGMENT_MORE:
            d.size = first * 8 + sent
        if not d.header and first * 8 < HEAD:
            keep_head(d, first, last, p, end - p if end - p < sent else sent, sent)
        if last > first:
            self.mark(c, i, d, first, last)
        if not d.header and first * 8 < HEAD:
            read_head(d, c, i)
        if d.size and d.units == (d.size + 7) // 8:
            c.fragment[i] |= FRAGMENT_COMPLETE
            self.forget(slot)

    cdef void mark(self, Columns *c, Py_ssize_t i, Datagram *d, uint32_t first, uint32_t last) noexcept nogil:
        """Note that units `first` up to `last` have come, and tell what of it had come before."""
        cdef uint32_t unit, known = 0
        for unit in range(first, last):
            known += d.seen[unit >> 6] >> (unit & 63) & 1
            d.seen[unit >> 6] |= <uint64_t> 1 << (unit & 63)
        if known:
            if known == last - first and d.begun[first >> 6] >> (first & 63) & 1:
                c.fragment[i] |= FRAGMENT_DUPLICATE
            else:
                c.fragment[i] |= FRAGMENT_OVERLAP
        d.begun[first >> 6] |= <uint64_t> 1 << (first & 63)
        d.units += last - first - known

    cdef void expire(self, int64_t now) noexcept nogil:
        while self.order.oldest and self.table.nodes[self.order.oldest].time + self.timeout <= now:
            self.forget(self.order.oldest)

    cdef void forget(self, uint32_t slot) noexcept nogil:
        list_remove(&self.table, &self.order, slot)
        table_remove(&self.table, slot)


cdef inline uint32_t piece_length(Columns *c, Py_ssize_t i) noexcept nogil:
    """Bytes of the datagram that this piece carries, by its IP header."""
    cdef uint32_t header = c.transport[i] - c.network[i]
    return c.length[i] - header if c.length[i] > header else 0


cdef void keep_head(Datagram *d, uint32_t first, uint32_t last, const uint8_t *p, Py_ssize_t held, Py_ssize_t sent) noexcept nogil:
    """Keep those of the datagram's first bytes that had not come before. A snap length that cut them off gives the header up."""
    cdef uint32_t unit
    cdef Py_ssize_t start, size
    for unit in range(first, last if last < HEAD // 8 else HEAD // 8):
        start = (unit - first) * 8
        size = 8 if sent - start > 8 else sent - start
        if held < start + size:
            d.header = True
            return
        if not d.seen[0] >> unit & 1:
            memcpy(d.head + unit * 8, p + start, size)


cdef void read_head(Datagram *d, Columns *c, Py_ssize_t i) noexcept nogil:
    """Where the first bytes in a row make up the transport header now, give it to the piece that completed it."""
    cdef Py_ssize_t have = 0
    while have < HEAD and d.seen[0] >> (have >> 3) & 1:
        have += 8
    if not have:
        return
    if d.size and have > d.size:
        have = d.size
    if decode_transport(c, i, d.head, have, d.size if d.size else have, True):
        d.header = True
        c.fragment[i] |= FRAGMENT_HEADER
    elif c.malformed[i]:
        d.header = True
        c.kind[i] = KIND_NONE
