"""IP fragments: what each piece does to its datagram, and the transport header that several pieces hold together.

Which bytes of a datagram have come is kept as bitmaps over its 8-byte units (RFC 791, section 3.2; RFC 815 for the idea), so any order, overlap and
repetition is told exactly. The bitmaps are made by stretches of 8 KB as pieces come, since most datagrams are no longer than that. Of the bytes themselves
only the first 64 are kept, and the first to come win.

A datagram that is whole is remembered for a while: what comes with its identification then is a copy of it, or a later datagram, and no fault.

What points at datagrams that never become whole is marked as DOUBTFUL, and taken back by ARRIVED: see `doubt` and `settle`.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import cython

from iplog_core.kernel.columns cimport (
    BAD_EXTENSION, FRAGMENT_ARRIVED, FRAGMENT_COMPLETE, FRAGMENT_DOUBTFUL, FRAGMENT_DUPLICATE, FRAGMENT_HEADER, FRAGMENT_MORE, FRAGMENT_OVERLAP,
    FRAGMENT_OVERSIZED, FRAGMENT_PIECE, FRAGMENT_TINY, KIND_NONE, Columns, columns_of,
)
from iplog_core.kernel.decode cimport PROTO_AH, PROTO_FRAGMENT, PROTO_ICMP6, PROTO_SCTP, PROTO_TCP, PROTO_UDP, decode_transport
from iplog_core.kernel.table cimport (
    List, Table, entry_of, list_append, list_remove, list_renew, node_of, table_close, table_find, table_full, table_hash, table_insert, table_open, table_remove, table_use,
)

cdef enum:
    UNITS = 8192
    WORDS = 16
    HEAD = 64
    # The units of a stretch, as a power of two, and the most that a datagram has of them.
    STRETCH = 10
    STRETCHES = 8
    # What 65,535 bytes take on a link of 296 bytes, the smallest MTU that is in use, and some more.
    MOST_PIECES = 256
    # How often each piece may come, where a capture sees the same packets on several ways.
    MOST_COPIES = 8
    # How many datagrams that stay in pieces a whole one makes up for, and how many of those are remembered.
    CREDIT = 4
    MOST_CREDIT = 32

# The 16 bits of an IPv4 identification may have come round after so long, or so many packets of the capture (RFC 4963: at a gigabit it takes five seconds).
cdef int64_t ROUND_TIME = 5_000_000_000
cdef int64_t ROUND_PACKETS = 32768

# Which units of a stretch have come, and with which of them pieces began and ended.
cdef struct Stretch:
    uint64_t seen[WORDS]
    uint64_t begun[WORDS]
    uint64_t ended[WORDS]

cdef struct Datagram:
    uint8_t head[HEAD]
    List stretches
    int64_t last
    int64_t index
    uint32_t units
    uint32_t size
    uint32_t reach
    uint32_t pieces
    uint32_t parts
    uint8_t proto
    uint8_t head_seen
    uint8_t header
    uint8_t ragged
    uint8_t doubtful
    uint8_t settled
    uint8_t whole

# A piece: the units that it covers, its bytes, and where they stand in the frame.
cdef struct Piece:
    uint32_t first
    uint32_t last
    uint32_t sent
    uint32_t body
    bint more
    bint ragged

# The stretches of a datagram that a piece lies in; NULL where nothing has come yet.
cdef struct Around:
    Stretch *of[STRETCHES]


@cython.final
cdef class Fragments:
    """The datagrams whose pieces are under way: at most `capacity`, each for `timeout` ns after its first piece (RFC 1122, section 3.3.2).

    All together have as many stretches as there may be datagrams, and at least those that one needs; where they are too few, the datagram begun first goes.
    """

    cdef Table table
    cdef Table stretches
    cdef Table credits
    cdef List order
    cdef List complete
    cdef List trusted
    cdef int64_t timeout
    cdef readonly int64_t evicted

    def __cinit__(self, uint32_t capacity, int64_t timeout, bytes secret=b""):
        self.timeout = timeout
        table_open(&self.table, capacity, sizeof(Datagram), secret)
        table_open(&self.stretches, max(capacity, <uint32_t> STRETCHES), sizeof(Stretch), secret)
        table_open(&self.credits, capacity, sizeof(uint8_t), secret)

    def __dealloc__(self):
        table_close(&self.table)
        table_close(&self.stretches)
        table_close(&self.credits)

    def __len__(self):
        return self.table.count

    @property
    def tables(self):
        """The use of the datagrams, of their stretches and of the pairs whose datagrams arrive, as `table_use` tells it."""
        return table_use(&self.table), table_use(&self.stretches), table_use(&self.credits)

    cdef inline Datagram *at(self, uint32_t slot) noexcept nogil:
        return <Datagram *> entry_of(&self.table, slot)

    cdef inline uint8_t *credit_of(self, uint32_t slot) noexcept nogil:
        return <uint8_t *> entry_of(&self.credits, slot)

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
                    self.take(&c, i, &data[c.offset[i]])

    cdef void take(self, Columns *c, Py_ssize_t i, const uint8_t *frame) noexcept nogil:
        cdef Piece piece = piece_of(c, i, frame)
        cdef uint16_t fault
        cdef uint32_t slot
        cdef Datagram *d
        cdef Around around
        self.expire(c.clock[i])
        slot = self.find(c, i)
        d = self.at(slot)
        self.look_around(slot, &piece, &around)
        fault = misfit(d, &around, &piece)
        if fault and c.version[i] == 4 and (d.last + ROUND_TIME < c.clock[i] or d.index + ROUND_PACKETS < c.index[i]):
            self.begin(slot, c.clock[i])
            memset(&around, 0, sizeof(Around))
            fault = 0
        d.last = c.clock[i]
        d.index = c.index[i]
        d.pieces += 1
        self.doubt(d, c, i)
        c.fragment[i] |= fault | faults_alone(c, i, &piece)
        self.make_stretches(slot, &piece, &around)
        place(d, &around, c, i, &piece, frame)
        self.settle(slot, d, c, i)

    cdef uint32_t find(self, Columns *c, Py_ssize_t i) noexcept nogil:
        """The slot of a piece's datagram, a new one where it is the first to come.

        What several interfaces saw is kept apart: on its way through a router a datagram may have been cut anew. IPv6 tells datagrams apart without
        the protocol, which only the first piece may hold (RFC 8200, section 4.5).
        """
        cdef uint64_t[5] key
        cdef uint32_t slot, hash
        key[0] = c.src_hi[i]
        key[1] = c.src_lo[i]
        key[2] = c.dst_hi[i]
        key[3] = c.dst_lo[i]
        key[4] = <uint64_t> c.ip_id[i] << 32 | <uint64_t> c.interface[i] << 16 | <uint64_t> c.version[i] << 8 | (c.proto[i] if c.version[i] == 4 else 0)
        hash = table_hash(&self.table, key)
        slot = table_find(&self.table, key, hash)
        if not slot:
            if table_full(&self.table):
                if not self.complete.oldest:
                    self.evicted += 1
                self.forget(self.complete.oldest if self.complete.oldest else self.order.oldest)
            slot = table_insert(&self.table, key, hash)
            memset(self.at(slot), 0, sizeof(Datagram))
            list_append(&self.table, &self.order, slot, c.clock[i])
        return slot

    cdef void look_around(self, uint32_t slot, const Piece *piece, Around *around) noexcept nogil:
        cdef uint64_t[5] key
        cdef uint32_t number, stretch
        if piece.last <= piece.first:
            return
        for number in range(piece.first >> STRETCH, ((piece.last - 1) >> STRETCH) + 1):
            stretch_key(slot, number, key)
            stretch = table_find(&self.stretches, key, table_hash(&self.stretches, key))
            around.of[number] = <Stretch *> entry_of(&self.stretches, stretch) if stretch else NULL

    cdef void make_stretches(self, uint32_t slot, const Piece *piece, Around *around) noexcept nogil:
        """Make those stretches that a piece is the first to come in."""
        cdef uint64_t[5] key
        cdef uint32_t number, stretch
        if piece.last <= piece.first:
            return
        for number in range(piece.first >> STRETCH, ((piece.last - 1) >> STRETCH) + 1):
            if around.of[number] == NULL:
                while table_full(&self.stretches):
                    self.make_room(slot)
                stretch_key(slot, number, key)
                stretch = table_insert(&self.stretches, key, table_hash(&self.stretches, key))
                list_append(&self.stretches, &self.at(slot).stretches, stretch, 0)
                around.of[number] = <Stretch *> entry_of(&self.stretches, stretch)
                memset(around.of[number], 0, sizeof(Stretch))

    cdef void make_room(self, uint32_t spared) noexcept nogil:
        """Forget the oldest datagram that may have stretches: those that were whole have none, unless they come again."""
        cdef uint32_t slot = self.order.oldest
        if slot == spared and slot:
            slot = node_of(&self.table, slot).newer
        if slot:
            self.evicted += 1
        else:
            slot = self.complete.oldest
            if slot == spared:
                slot = node_of(&self.table, slot).newer
        self.forget(slot)

    cdef void empty(self, uint32_t slot) noexcept nogil:
        """Forget what has come of a datagram."""
        cdef Datagram *d = self.at(slot)
        cdef uint32_t stretch
        while d.stretches.oldest:
            stretch = d.stretches.oldest
            list_remove(&self.stretches, &d.stretches, stretch)
            table_remove(&self.stretches, stretch)
        memset(d, 0, sizeof(Datagram))

    cdef void doubt(self, Datagram *d, Columns *c, Py_ssize_t i) noexcept nogil:
        """Mark what points at datagrams that never become whole.

        It is the first piece of a datagram, unless whole ones from the same source to the same target make up for it: captures lose packets. And it is
        each piece of a datagram that has more of them, or more copies of them, than an honest one.
        """
        cdef uint64_t[5] key
        cdef uint32_t slot
        if d.parts > MOST_PIECES or d.pieces > MOST_COPIES * (d.parts + 1):
            c.fragment[i] |= FRAGMENT_DOUBTFUL
        elif d.pieces == 1 and not d.whole:
            pair_key(c, i, key)
            slot = table_find(&self.credits, key, table_hash(&self.credits, key))
            if slot and self.credit_of(slot)[0]:
                self.credit_of(slot)[0] -= 1
                list_renew(&self.credits, &self.trusted, slot, c.clock[i])
            else:
                d.doubtful = True
                c.fragment[i] |= FRAGMENT_DOUBTFUL

    cdef void settle(self, uint32_t slot, Datagram *d, Columns *c, Py_ssize_t i) noexcept nogil:
        """Tell whether a datagram is whole; or as good as that, so that a capture which loses packets raises no doubt: its end and half of it are there."""
        cdef uint32_t wanted = (d.size + 7) // 8
        if not d.size or d.reach > wanted:
            return
        if not d.whole and not d.settled and d.parts > 1 and d.units * 2 >= wanted:
            d.settled = True
            self.trust(c, i)
            if d.doubtful:
                c.fragment[i] |= FRAGMENT_ARRIVED
        if d.units == wanted:
            c.fragment[i] |= FRAGMENT_COMPLETE
            list_remove(&self.table, &self.complete if d.whole else &self.order, slot)
            list_append(&self.table, &self.complete, slot, c.clock[i])
            self.empty(slot)
            d.whole = True

    cdef void trust(self, Columns *c, Py_ssize_t i) noexcept nogil:
        """Remember that a source's datagrams reach a target."""
        cdef uint64_t[5] key
        cdef uint32_t slot, hash
        pair_key(c, i, key)
        hash = table_hash(&self.credits, key)
        slot = table_find(&self.credits, key, hash)
        if not slot:
            if table_full(&self.credits):
                slot = self.trusted.oldest
                list_remove(&self.credits, &self.trusted, slot)
                table_remove(&self.credits, slot)
            slot = table_insert(&self.credits, key, hash)
            self.credit_of(slot)[0] = 0
            list_append(&self.credits, &self.trusted, slot, c.clock[i])
        else:
            list_renew(&self.credits, &self.trusted, slot, c.clock[i])
        self.credit_of(slot)[0] = self.credit_of(slot)[0] + CREDIT if self.credit_of(slot)[0] < MOST_CREDIT - CREDIT else MOST_CREDIT

    cdef void begin(self, uint32_t slot, int64_t now) noexcept nogil:
        """Begin another datagram of the same identification."""
        list_remove(&self.table, &self.complete if self.at(slot).whole else &self.order, slot)
        list_append(&self.table, &self.order, slot, now)
        self.empty(slot)

    cdef void expire(self, int64_t now) noexcept nogil:
        while self.order.oldest and node_of(&self.table, self.order.oldest).time + self.timeout <= now:
            self.forget(self.order.oldest)
        while self.complete.oldest and node_of(&self.table, self.complete.oldest).time + self.timeout <= now:
            self.forget(self.complete.oldest)

    cdef void forget(self, uint32_t slot) noexcept nogil:
        list_remove(&self.table, &self.complete if self.at(slot).whole else &self.order, slot)
        self.empty(slot)
        table_remove(&self.table, slot)


DATAGRAM_SIZE = sizeof(Datagram)
STRETCH_SIZE = sizeof(Stretch)
CREDIT_SIZE = sizeof(uint8_t)


cdef inline void stretch_key(uint32_t slot, uint32_t number, uint64_t *key) noexcept nogil:
    key[0] = slot
    key[1] = number
    key[2] = 0
    key[3] = 0
    key[4] = 0


cdef void pair_key(Columns *c, Py_ssize_t i, uint64_t *key) noexcept nogil:
    key[0] = c.src_hi[i]
    key[1] = c.src_lo[i]
    key[2] = c.dst_hi[i]
    key[3] = c.dst_lo[i]
    key[4] = c.version[i]


cdef Piece piece_of(Columns *c, Py_ssize_t i, const uint8_t *frame) noexcept nogil:
    cdef Piece piece
    cdef uint32_t header
    piece.first = c.fragment_offset[i]
    piece.more = c.fragment[i] & FRAGMENT_MORE
    piece.body = behind_fragment_header(c, i, frame) if c.version[i] == 6 and piece.first == 0 else c.transport[i]
    header = piece.body - c.network[i]
    piece.sent = c.length[i] - header if c.length[i] > header else 0
    piece.ragged = piece.more and piece.sent % 8
    # All pieces but the last are whole units; what is over is lost to the receiver, too (RFC 791, section 3.1).
    piece.last = piece.first + (piece.sent if piece.more else piece.sent + 7) // 8
    if piece.last > UNITS:
        piece.last = UNITS
    return piece


cdef uint32_t behind_fragment_header(Columns *c, Py_ssize_t i, const uint8_t *frame) noexcept nogil:
    """Where the datagram begins in its first piece: extension headers may come before its transport header (RFC 8200, section 4.5)."""
    cdef uint32_t at = c.network[i] + 40, body = at, size
    cdef uint8_t proto = frame[c.network[i] + 6]
    while at + 8 <= c.captured[i] and (c.transport[i] == 0 or at < c.transport[i]):
        if proto == PROTO_FRAGMENT:
            body = at + 8
            proto = frame[at]
            at += 8
        elif c.transport[i] == 0 and body > c.network[i] + 40u:
            break
        else:
            size = (frame[at + 1] + 2) * 4 if proto == PROTO_AH else (frame[at + 1] + 1) * 8
            proto = frame[at]
            at += size
    return body


cdef uint16_t faults_alone(Columns *c, Py_ssize_t i, const Piece *piece) noexcept nogil:
    """What is wrong with a piece whatever the others are: its end is beyond the longest datagram, or it is too short for its transport header."""
    cdef uint16_t fault = 0
    cdef uint32_t around = piece.body - c.network[i] if c.version[i] == 4 else piece.body - c.network[i] - 48
    if piece.first * 8 + piece.sent + around > 0xFFFF:
        fault = FRAGMENT_OVERSIZED
    if piece.first == 0 and piece.more:
        if c.version[i] == 4:
            # RFC 1858: 16 bytes hold the flags.
            if c.proto[i] == PROTO_TCP and piece.sent < 16:
                fault |= FRAGMENT_TINY
        elif c.malformed[i] == BAD_EXTENSION or (c.transport[i] and c.length[i] - (c.transport[i] - c.network[i]) < header_size(c.proto[i])):
            # RFC 7112: all headers.
            fault |= FRAGMENT_TINY
    return fault


cdef inline uint32_t header_size(uint8_t proto) noexcept nogil:
    if proto == PROTO_TCP:
        return 20
    if proto == PROTO_SCTP:
        return 12
    if proto == PROTO_UDP:
        return 8
    return 4 if proto == PROTO_ICMP6 else 0


cdef uint16_t misfit(const Datagram *d, const Around *around, const Piece *piece) noexcept nogil:
    """Tell how a piece does not fit to those that came before: it repeats one (DUPLICATE), or cannot be put together with them (OVERLAP).

    That is: it covers bytes of another; it lies beyond the end, or has another end; or one of them ends amid a unit of eight, though more is to follow.
    """
    cdef uint32_t known
    if not d.pieces:
        return 0
    known = count_units(around, SEEN, piece.first, piece.last)
    if known and known == piece.last - piece.first and not (not piece.more and d.size != piece.first * 8 + piece.sent):
        if (
            count_units(around, BEGUN, piece.first, piece.first + 1) and count_units(around, ENDED, piece.last - 1, piece.last)
            and not count_units(around, BEGUN, piece.first + 1, piece.last)
        ):
            return FRAGMENT_DUPLICATE
    if known or piece.ragged or d.ragged:
        return FRAGMENT_OVERLAP
    if d.size and (piece.last > (d.size + 7) // 8 or (not piece.more and d.size != piece.first * 8 + piece.sent)):
        return FRAGMENT_OVERLAP
    if not piece.more and d.reach > piece.last:
        return FRAGMENT_OVERLAP
    return 0


cdef void place(Datagram *d, Around *around, Columns *c, Py_ssize_t i, const Piece *piece, const uint8_t *frame) noexcept nogil:
    """Note which units have come, and give the transport header to the piece that completes it."""
    cdef uint32_t word, known
    cdef Py_ssize_t held = <Py_ssize_t> c.captured[i] - piece.body
    if c.fragment[i] & FRAGMENT_HEADER or c.malformed[i] or (c.transport[i] != piece.body):
        # Seen, broken, or behind extension headers that are themselves in pieces.
        d.header = True
    d.ragged |= piece.ragged
    if piece.first == 0 and not d.head_seen & 1:
        d.proto = c.proto[i]
    if not piece.more:
        d.size = piece.first * 8 + piece.sent
    if not d.header and piece.first * 8 < HEAD:
        keep_head(d, piece, frame + piece.body, held if held < piece.sent else piece.sent)
    if piece.last > piece.first:
        known = count_units(around, SEEN, piece.first, piece.last)
        d.units += piece.last - piece.first - known
        d.parts += known < piece.last - piece.first
        for word in range(piece.first >> 6, (piece.last + 63) >> 6):
            word_of(around, SEEN, word)[0] |= window(word, piece.first, piece.last)
        word_of(around, BEGUN, piece.first >> 6)[0] |= <uint64_t> 1 << (piece.first & 63)
        word_of(around, ENDED, (piece.last - 1) >> 6)[0] |= <uint64_t> 1 << ((piece.last - 1) & 63)
        if piece.first < HEAD // 8:
            d.head_seen |= <uint8_t> window(0, piece.first, piece.last)
        if piece.last > d.reach:
            d.reach = piece.last
    if not d.header and piece.first * 8 < HEAD:
        read_head(d, c, i)


cdef inline uint64_t window(uint32_t word, uint32_t first, uint32_t last) noexcept nogil:
    """The units from `first` up to `last`, in this order, that a word of a bitmap tells of; one at the least is in it."""
    cdef uint64_t bits = ~<uint64_t> 0
    if first > word << 6:
        bits &= ~<uint64_t> 0 << (first & 63)
    if last < (word + 1) << 6:
        bits &= ~<uint64_t> 0 >> (64 - (last & 63))
    return bits


cdef enum Bitmap:
    SEEN, BEGUN, ENDED


cdef inline uint64_t *word_of(const Around *around, Bitmap which, uint32_t word) noexcept nogil:
    """A word of a bitmap, where there is such a stretch."""
    cdef Stretch *stretch = around.of[word >> (STRETCH - 6)]
    cdef uint32_t place = word & (WORDS - 1)
    return &stretch.seen[place] if which == SEEN else &stretch.begun[place] if which == BEGUN else &stretch.ended[place]


cdef uint32_t count_units(const Around *around, Bitmap which, uint32_t first, uint32_t last) noexcept nogil:
    """How many of the units from `first` up to `last` are in a bitmap."""
    cdef uint32_t word, count = 0
    cdef uint64_t bits
    if first >= last:
        return 0
    for word in range(first >> 6, (last + 63) >> 6):
        if around.of[word >> (STRETCH - 6)] == NULL:
            continue
        # The bits of all bytes at once, added pairwise.
        bits = word_of(around, which, word)[0] & window(word, first, last)
        bits -= bits >> 1 & 0x5555555555555555u
        bits = (bits & 0x3333333333333333u) + (bits >> 2 & 0x3333333333333333u)
        bits = (bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0Fu
        count += <uint32_t> (bits * 0x0101010101010101u >> 56)
    return count


cdef void keep_head(Datagram *d, const Piece *piece, const uint8_t *p, Py_ssize_t held) noexcept nogil:
    """Keep those of the datagram's first bytes that had not come before. A snap length that cut them off gives the header up."""
    cdef uint32_t unit
    cdef Py_ssize_t start, size
    for unit in range(piece.first, piece.last if piece.last < HEAD // 8 else HEAD // 8):
        start = (unit - piece.first) * 8
        size = 8 if piece.sent - start > 8 else piece.sent - start
        if held < start + size:
            d.header = True
            return
        if not d.head_seen >> unit & 1:
            memcpy(d.head + unit * 8, p + start, size)


cdef void read_head(Datagram *d, Columns *c, Py_ssize_t i) noexcept nogil:
    """Where the first bytes in a row make up the transport header now, give it to the piece that completed it."""
    cdef Py_ssize_t have = 0
    cdef uint8_t proto = c.proto[i]
    while have < HEAD and d.head_seen >> (have >> 3) & 1:
        have += 8
    if not have:
        return
    if d.size and have > d.size:
        have = d.size
    # The first piece tells the protocol (RFC 8200, section 4.5).
    c.proto[i] = d.proto
    if decode_transport(c, i, d.head, have, d.size if d.size else have, True):
        d.header = True
        c.fragment[i] |= FRAGMENT_HEADER
    elif c.malformed[i]:
        d.header = True
        c.kind[i] = KIND_NONE
    else:
        c.proto[i] = proto
