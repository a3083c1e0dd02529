"""The flow table: who began it, and how it went.

A flow is the two-way 5-tuple; ICMP requests are one each by identifier and sequence number, ARP requests by their two addresses, other IP protocols by addresses and protocol.
Its outcome is decided once:

- answered: TCP, the initiator's own ACK or data after its SYN; UDP, ARP, ICMP requests and other protocols, a packet the other way; SCTP, COOKIE-ECHO;
- half open: SYN-ACK (INIT-ACK) seen, then either side's RST (ABORT), or nothing of the initiator's own within `half_open_timeout`; the initiator's also where the other side's was not captured;
- refused: RST (ABORT) to the opening, or an ICMP unreachable that quotes it, path MTU discovery apart; over IPv6 also an unrecognised next header (RFC 4443, section 3.4);
- silent: none of these within `silent_timeout` of the opening. An answer after that is told once more, as late.

A SYN with another sequence number than the flow's own opens a new flow; with the same one it is a retransmission. A TCP packet without flow and SYN is a stray: it opens one in which nothing
was asked for, so that a RST to it counts as refused, any other answer as answered. RSTs and replies without a request are strays that open nothing.

A contact is a source's first flow to a host, protocol and port. Whether one was answered is remembered (`known`), and also that a host answered anything by the same protocol, TCP or UDP (`host_known`). That of an ICMP request is kept for three times `udp_idle` after its answer or its silence, so that its end tells whether
more of the kind followed (`again`): whoever goes from host to host asks each of them once.

Time is the packet clock. A deadline happens at its time, before the first packet that is not earlier. Flows stand in one list for each timeout, oldest first; when the table is full, the one goes whose
list holds it for longest, by its time, then by the lists' order. The timeouts of idle flows, `tcp_idle` and `udp_idle`, begin anew with a packet only when a 64th of them has passed.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdlib cimport free, realloc
from libc.string cimport memset

import cython

from iplog_core.kernel.ahead cimport FAR, NEAR
from iplog_core.kernel.columns cimport (
    FLOW_CONTACT, FLOW_DECIDES, FLOW_KNOWN, FLOW_MEMBER, FLOW_OPENS, FLOW_REPLY, FLOW_STRAY, FLOW_UNANSWERED, KIND_ARP, KIND_FRAGMENT, KIND_ICMP, KIND_ICMP6, KIND_OTHER, KIND_SCTP,
    KIND_TCP, KIND_UDP, MULTICAST, Columns, columns_of,
)
from iplog_core.kernel.decode cimport PROTO_ICMP, PROTO_ICMP6, PROTO_SCTP, PROTO_TCP, PROTO_UDP, Quote, decode_quote
from iplog_core.kernel.table cimport (
    List, Node, Table, entry_of, list_append, list_expect_removal, list_fetch_next, list_remove, list_renew, node_of, table_close, table_expect, table_fetch, table_find, table_full, table_hash, table_insert, table_open, table_remove, table_restore, table_use,
)

cdef enum TcpFlag:
    FIN = 1, SYN = 2, RST = 4, ACK = 16

cdef enum Chunk:
    CHUNK_DATA = 0, CHUNK_INIT = 1, CHUNK_INIT_ACK = 2, CHUNK_ABORT = 6, CHUNK_COOKIE_ECHO = 10

# Lists: what the flows in them wait for.
cdef enum:
    WAIT_ANSWER, WAIT_ACK, WAIT_TCP, WAIT_OTHER, WAIT_CLOSED, WAIT_AGAIN, WAITS

# `again`: so often or more, or after so long a pause that it is no repetition; and what is not known any more.
cdef enum:
    AGAIN_MOST = 254, AGAIN_UNKNOWN = 255

# A flow moves in its list of idle ones only when so small a part of the timeout has passed: each packet would bring three other flows to mind.
cdef enum:
    IDLE_STEPS = 64

# What stands for the hash of a packet's contact that was not asked for.
cdef enum:
    UNKNOWN = -1

# What stands for the protocol in a contact with a host at whatever port.
cdef enum:
    ANY_PORT = 0

# With its key and its place in a list: what each packet asks for is on the first cache line, what the first packet said on the second. What was counted stands on the third,
# which is touched, and means something, only once there was a second packet (`counted`): most flows of a flood have one.
cdef struct Flow:
    uint8_t kind
    uint8_t wait
    uint8_t outcome
    uint8_t flipped
    uint8_t stray
    uint8_t late
    uint8_t fins
    uint8_t counted
    int64_t opened
    int64_t opened_clock
    int64_t index
    uint32_t length
    uint32_t payload_length
    uint32_t seq
    uint16_t sport
    uint16_t dport
    uint16_t tcp_flags
    uint16_t interface
    uint16_t icmp_id
    uint16_t icmp_seq
    uint8_t version
    uint8_t proto
    uint8_t ttl
    uint8_t icmp_type
    uint8_t icmp_code
    uint8_t contact
    uint8_t known
    uint8_t cast
    uint8_t sctp_chunk
    int64_t last
    uint64_t bytes[2]
    uint32_t packets[2]

# What is remembered of a contact: the packet that opened its first flow, what that asked for (ICMP), whether it was ever answered, and how often it was asked again.
cdef struct Contact:
    uint32_t index
    uint8_t icmp_type
    uint8_t answered
    uint8_t again

# What `dump` writes and `load` reads: an entry with its place in the table and in its list.
cdef struct SavedFlow:
    uint64_t key[5]
    int64_t time
    Flow flow

cdef struct SavedContact:
    uint64_t key[5]
    int64_t time
    Contact contact

@cython.final
cdef class Taken:
    """Rows that were handed out, as a buffer."""

    cdef FlowRow *rows
    cdef Py_ssize_t size
    cdef Py_ssize_t room
    cdef Py_ssize_t lookers

    def __dealloc__(self):
        free(self.rows)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.rows, self.size, True, flags)
        self.lookers += 1

    def __releasebuffer__(self, Py_buffer *buffer):
        self.lookers -= 1


@cython.final
cdef class Rows:
    """Rows of flows that are told next.

    What was handed out is not copied. Its memory serves again once nobody looks at it any more: the system would have to clear fresh memory page by page.
    """

    cdef FlowRow *rows
    cdef Py_ssize_t count
    cdef Py_ssize_t room
    cdef bint lost
    cdef Taken before
    cdef Taken before_that

    def __dealloc__(self):
        free(self.rows)

    cdef FlowRow *next(self) noexcept nogil:
        """Return room for one more row, or NULL where there is no memory."""
        cdef void *more
        if self.count == self.room:
            more = realloc(self.rows, max(256, 2 * self.room) * sizeof(FlowRow))
            if more == NULL:
                self.lost = True
                return NULL
            self.rows = <FlowRow *> more
            self.room = max(256, 2 * self.room)
        self.count += 1
        return &self.rows[self.count - 1]

    cdef object take(self):
        """Hand out the rows, and start afresh."""
        cdef Taken taken
        if not self.count:
            return memoryview(b"")
        taken = Taken.__new__(Taken)
        taken.rows, taken.size, taken.room = self.rows, self.count * sizeof(FlowRow), self.room
        self.rows = NULL
        self.room = 0
        if self.before_that is not None and not self.before_that.lookers and self.before_that.room <= 4 * self.count:
            self.rows, self.room = self.before_that.rows, self.before_that.room
            self.before_that.rows = NULL
        self.count = 0
        self.before_that, self.before = self.before, taken
        return memoryview(taken)


@cython.final
cdef class Flows:
    """At most `capacity` flows and `contacts` first contacts; timeouts in ns. `keep_ends` asks for the flows that ended, too: a bit for each kind, 1 << Kind."""

    cdef Table table
    cdef Table contacts
    cdef List[WAITS] lists
    cdef List seen
    cdef uint32_t pinged
    cdef uint32_t answering
    cdef int64_t[WAITS] timeouts
    cdef int64_t[WAITS] idle_steps
    cdef int64_t next_deadline
    cdef int64_t contact_hash
    cdef Rows decided
    cdef Rows ended
    cdef public uint32_t keep_ends
    cdef readonly int64_t opened
    cdef readonly int64_t evicted

    def __cinit__(
        self, *, uint32_t capacity, uint32_t contacts, int64_t silent_timeout, int64_t half_open_timeout, int64_t tcp_idle, int64_t udp_idle,
        int64_t closed_idle, uint32_t keep_ends=0, bytes secret=b"",
    ):
        self.decided = Rows()
        self.ended = Rows()
        table_open(&self.table, capacity, sizeof(Flow), secret)
        table_open(&self.contacts, contacts, sizeof(Contact), secret)
        self.timeouts[WAIT_ANSWER] = silent_timeout
        self.timeouts[WAIT_ACK] = half_open_timeout
        self.timeouts[WAIT_TCP] = tcp_idle
        self.timeouts[WAIT_OTHER] = udp_idle
        self.timeouts[WAIT_CLOSED] = closed_idle
        self.timeouts[WAIT_AGAIN] = 3 * udp_idle
        memset(self.idle_steps, 0, sizeof(self.idle_steps))
        self.idle_steps[WAIT_TCP] = tcp_idle // IDLE_STEPS
        self.idle_steps[WAIT_OTHER] = udp_idle // IDLE_STEPS
        self.next_deadline = NEVER
        self.keep_ends = keep_ends

    def __dealloc__(self):
        table_close(&self.table)
        table_close(&self.contacts)

    def __len__(self):
        return self.table.count

    cdef inline Flow *at(self, uint32_t slot) noexcept nogil:
        return <Flow *> entry_of(&self.table, slot)

    cdef inline Contact *contact_at(self, uint32_t slot) noexcept nogil:
        return <Contact *> entry_of(&self.contacts, slot)

    @property
    def capacity(self):
        return self.table.capacity

    @property
    def tables(self):
        """The use of the flows and of the contacts, as `table_use` tells it."""
        return table_use(&self.table), table_use(&self.contacts)

    def update(self, const uint8_t[::1] data, uint8_t[::1] block, Py_ssize_t n, int64_t now):
        """Fill the column `flow` of a decoded batch whose clock ends at `now`.

        Return the flows that were decided and those that ended, each as the bytes of `FLOW_DTYPE` rows.
        """
        cdef Columns c
        cdef Py_ssize_t i
        cdef uint32_t[FAR] hashes
        cdef int64_t[FAR] contact_hashes
        # A packet of no bytes may begin where the data end.
        cdef const uint8_t *bytes = &data[0] if data.shape[0] else NULL
        with nogil:
            if n:
                c = columns_of(&block[0], n)
                for i in range(min(n, FAR)):
                    hashes[i] = self.expect(&c, i)
                for i in range(min(n, NEAR)):
                    contact_hashes[i] = self.fetch(&c, i, hashes[i])
                for i in range(n):
                    if c.clock[i] >= self.next_deadline:
                        self.run_deadlines(c.clock[i])
                    if i + NEAR < n:
                        contact_hashes[(i + NEAR) % FAR] = self.fetch(&c, i + NEAR, hashes[(i + NEAR) % FAR])
                    self.contact_hash = contact_hashes[i % FAR]
                    self.packet(&c, i, hashes[i % FAR], bytes + c.offset[i])
                    if i + FAR < n:
                        hashes[i % FAR] = self.expect(&c, i + FAR)
            if now >= self.next_deadline:
                self.run_deadlines(now)
        return self.take()

    def finish(self, int64_t now):
        """Let go of every flow after the last packet; what is not decided yet is told as pending. Return as `update` does."""
        cdef int wait
        cdef uint32_t slot
        for wait in range(WAITS):
            while self.lists[wait].oldest:
                slot = self.lists[wait].oldest
                list_fetch_next(&self.table, slot)
                self.end(slot, now, PHASE_END, self.at(slot).index)
        return self.take()

    cdef tuple take(self):
        if self.decided.lost or self.ended.lost:
            raise MemoryError("no memory for decided flows")
        return self.decided.take(), self.ended.take()

    cdef void run_deadlines(self, int64_t now) noexcept nogil:
        """Let happen, in order of time, what was due by `now`."""
        cdef int64_t due, nearest
        cdef int wait, next_wait
        cdef uint32_t slot
        while True:
            nearest = NEVER
            next_wait = 0
            for wait in range(WAITS):
                slot = self.lists[wait].oldest
                if slot:
                    due = node_of(&self.table, slot).time + self.timeouts[wait]
                    if due < nearest:
                        nearest = due
                        next_wait = wait
            self.next_deadline = nearest
            if nearest > now:
                return
            slot = self.lists[next_wait].oldest
            list_fetch_next(&self.table, slot)
            if next_wait == WAIT_ANSWER:
                self.decide(slot, SILENT, nearest, PHASE_DEADLINE, self.at(slot).index)
                self.move(slot, rest(self.at(slot), WAIT_OTHER), nearest)
            elif next_wait == WAIT_ACK:
                self.decide(slot, HALF_OPEN, nearest, PHASE_DEADLINE, self.at(slot).index)
                self.move(slot, WAIT_OTHER, nearest)
            else:
                self.end(slot, nearest, PHASE_DEADLINE, self.at(slot).index)

    cdef uint32_t expect(self, Columns *c, Py_ssize_t i) noexcept nogil:
        """Return the hash of the flow that a packet with ports belongs to, and have its group brought."""
        cdef uint64_t[5] key
        cdef uint32_t hash
        if not has_ports(c.kind[i]):
            return 0
        flow_key(c, i, c.sport[i], c.dport[i], 0, key)
        hash = table_hash(&self.table, key)
        table_expect(&self.table, hash)
        return hash

    cdef int64_t fetch(self, Columns *c, Py_ssize_t i, uint32_t hash) noexcept nogil:
        """Have the flow of a packet with ports brought, or, where there is none yet, the group of its contact. Return the contact's hash, or UNKNOWN."""
        cdef uint64_t[5] key
        cdef uint32_t contact_hash
        if not has_ports(c.kind[i]) or table_fetch(&self.table, hash):
            return UNKNOWN
        contact_key(c.src_hi[i], c.src_lo[i], c.dst_hi[i], c.dst_lo[i], contact_what(c.version[i], c.kind[i], c.proto[i], c.dport[i]), key)
        contact_hash = table_hash(&self.contacts, key)
        table_expect(&self.contacts, contact_hash)
        return contact_hash

    cdef void packet(self, Columns *c, Py_ssize_t i, uint32_t hash, const uint8_t *frame) noexcept nogil:
        cdef uint8_t kind = c.kind[i]
        if kind == KIND_TCP:
            self.tcp(c, i, hash)
        elif kind == KIND_UDP:
            self.exchange(c, i, hash)
        elif kind == KIND_ICMP or kind == KIND_ICMP6:
            self.icmp(c, i, frame)
        elif kind == KIND_ARP:
            self.arp(c, i)
        elif kind == KIND_SCTP:
            self.sctp(c, i)
        elif kind == KIND_OTHER:
            self.exchange(c, i, 0)

    # One method for each way of opening and answering.

    cdef void tcp(self, Columns *c, Py_ssize_t i, uint32_t hash) noexcept nogil:
        cdef uint64_t[5] key
        cdef uint32_t slot
        cdef uint16_t flags = c.tcp_flags[i]
        cdef bint asks = (flags & (SYN | ACK)) == SYN
        cdef bint flipped = flow_key(c, i, c.sport[i], c.dport[i], 0, key)
        cdef bint reply
        cdef Flow *f
        slot = table_find(&self.table, key, hash)
        if slot and asks and self.opens_anew(slot, flipped, c.tcp_seq[i]):
            self.end(slot, c.clock[i], PHASE_PACKET, c.index[i])
            slot = 0
        if not slot:
            if flags & RST and not flags & SYN:
                c.flow[i] = FLOW_STRAY
            else:
                self.open(c, i, key, hash, flipped, not asks)
            return
        f = self.at(slot)
        reply = f.flipped != flipped
        self.member(c, i, f, reply)
        if flags & FIN:
            f.fins |= 2 if reply else 1
        if f.stray:
            if reply:
                self.answer(c, i, slot, not flags & RST)
        elif reply:
            if flags & RST:
                if f.wait == WAIT_ANSWER:
                    self.decide_by(c, i, slot, REFUSED)
                elif f.wait == WAIT_ACK:
                    self.decide_by(c, i, slot, HALF_OPEN)
            elif f.wait == WAIT_ANSWER:
                self.move(slot, WAIT_ACK, c.clock[i])
                return
            else:
                self.late(c, i, slot)
        elif flags & RST:
            if f.wait == WAIT_ANSWER or f.wait == WAIT_ACK:
                self.decide_by(c, i, slot, HALF_OPEN)
        elif flags & ACK and not flags & SYN:
            if f.outcome == PENDING:
                self.decide_by(c, i, slot, ANSWERED)
            else:
                self.late(c, i, slot)
        if f.wait == WAIT_ANSWER or f.wait == WAIT_ACK:
            return
        if flags & RST or f.fins == 3:
            self.move(slot, WAIT_CLOSED, c.clock[i])
        elif f.outcome == ANSWERED and f.wait != WAIT_CLOSED:
            self.move(slot, WAIT_TCP, c.clock[i])
        else:
            self.move(slot, f.wait, c.clock[i])

    cdef bint opens_anew(self, uint32_t slot, bint flipped, uint32_t seq) noexcept nogil:
        """Tell whether a SYN on a known 5-tuple begins another flow."""
        cdef Flow *f = self.at(slot)
        if f.stray:
            return True
        if f.flipped != flipped:
            return f.wait == WAIT_CLOSED or f.wait == WAIT_OTHER
        return f.seq != seq

    cdef void exchange(self, Columns *c, Py_ssize_t i, uint32_t hash) noexcept nogil:
        """UDP, and other protocols, which have no ports: the first packet opens, any packet the other way answers."""
        cdef uint64_t[5] key
        cdef uint32_t slot
        cdef bint flipped = flow_key(c, i, c.sport[i], c.dport[i], 0, key)
        cdef bint reply
        if not has_ports(c.kind[i]):
            hash = table_hash(&self.table, key)
        slot = table_find(&self.table, key, hash)
        if not slot:
            self.open(c, i, key, hash, flipped, False)
            return
        reply = self.at(slot).flipped != flipped
        self.member(c, i, self.at(slot), reply)
        if reply:
            self.answer(c, i, slot, True)
        if self.at(slot).wait != WAIT_ANSWER:
            self.move(slot, WAIT_OTHER, c.clock[i])

    cdef void icmp(self, Columns *c, Py_ssize_t i, const uint8_t *frame) noexcept nogil:
        cdef uint8_t kind = c.icmp_type[i]
        cdef bint six = c.kind[i] == KIND_ICMP6
        if six:
            if kind == 128 or kind == 129:
                self.request(c, i, c.icmp_id[i], c.icmp_seq[i], 128, kind == 129)
            elif kind == 1 or (kind == 4 and c.icmp_code[i] == 1):
                self.unreachable(c, i, frame)
        elif kind == 8 or kind == 0:
            self.request(c, i, c.icmp_id[i], c.icmp_seq[i], 8, kind == 0)
        elif kind == 13 or kind == 15 or kind == 17:
            self.request(c, i, c.icmp_id[i], c.icmp_seq[i], kind, False)
        elif kind == 14 or kind == 16 or kind == 18:
            self.request(c, i, c.icmp_id[i], c.icmp_seq[i], kind - 1, True)
        elif kind == 3 and c.icmp_code[i] != 4:
            self.unreachable(c, i, frame)

    cdef void arp(self, Columns *c, Py_ssize_t i) noexcept nogil:
        if c.src_lo[i] != c.dst_lo[i] and (c.icmp_type[i] == 1 or c.icmp_type[i] == 2):
            self.request(c, i, 0, 0, 1, c.icmp_type[i] == 2)

    cdef void request(self, Columns *c, Py_ssize_t i, uint16_t one, uint16_t two, uint16_t tag, bint reply) noexcept nogil:
        """A request opens, also again after its answer or a silence; the matching reply answers."""
        cdef uint64_t[5] key
        cdef uint32_t hash, slot
        cdef bint flipped = flow_key(c, i, 0, 0, tag, key)
        cdef Flow *f
        key[4] |= <uint64_t> one << 48 | <uint64_t> two << 32
        hash = table_hash(&self.table, key)
        slot = table_find(&self.table, key, hash)
        f = self.at(slot)
        if reply:
            if not slot or f.flipped == flipped:
                c.flow[i] = FLOW_STRAY
                return
            self.member(c, i, f, True)
            self.answer(c, i, slot, True)
            self.move(slot, rest(f, WAIT_CLOSED), c.clock[i])
        elif slot and f.flipped == flipped and f.wait == WAIT_ANSWER:
            self.member(c, i, f, False)
        else:
            if slot:
                self.end(slot, c.clock[i], PHASE_PACKET, c.index[i])
            self.open(c, i, key, hash, flipped, False)

    cdef void sctp(self, Columns *c, Py_ssize_t i) noexcept nogil:
        cdef uint64_t[5] key
        cdef uint32_t hash, slot
        cdef uint8_t chunk = c.sctp_chunk[i]
        cdef bint flipped = flow_key(c, i, c.sport[i], c.dport[i], 0, key)
        cdef bint reply
        cdef Flow *f
        hash = table_hash(&self.table, key)
        slot = table_find(&self.table, key, hash)
        if slot and chunk == CHUNK_INIT and self.opens_anew(slot, flipped, self.at(slot).seq):
            self.end(slot, c.clock[i], PHASE_PACKET, c.index[i])
            slot = 0
        if not slot:
            if chunk == CHUNK_ABORT:
                c.flow[i] = FLOW_STRAY
            else:
                self.open(c, i, key, hash, flipped, chunk != CHUNK_INIT)
            return
        f = self.at(slot)
        reply = f.flipped != flipped
        self.member(c, i, f, reply)
        if f.stray:
            if reply:
                self.answer(c, i, slot, chunk != CHUNK_ABORT)
        elif reply:
            if chunk == CHUNK_ABORT:
                if f.wait == WAIT_ANSWER:
                    self.decide_by(c, i, slot, REFUSED)
                elif f.wait == WAIT_ACK:
                    self.decide_by(c, i, slot, HALF_OPEN)
            elif f.wait == WAIT_ANSWER:
                self.move(slot, WAIT_ACK, c.clock[i])
                return
            else:
                self.late(c, i, slot)
        elif chunk == CHUNK_ABORT:
            if f.wait == WAIT_ANSWER or f.wait == WAIT_ACK:
                self.decide_by(c, i, slot, HALF_OPEN)
        elif chunk == CHUNK_COOKIE_ECHO or chunk == CHUNK_DATA:
            if f.outcome == PENDING:
                self.decide_by(c, i, slot, ANSWERED)
            else:
                self.late(c, i, slot)
        if f.wait != WAIT_ANSWER and f.wait != WAIT_ACK:
            self.move(slot, WAIT_TCP if f.outcome == ANSWERED else WAIT_OTHER, c.clock[i])

    cdef void unreachable(self, Columns *c, Py_ssize_t i, const uint8_t *frame) noexcept nogil:
        """An ICMP unreachable refuses the flow whose opening side it quotes."""
        cdef uint64_t[5] key
        cdef uint32_t slot
        cdef bint flipped
        cdef Quote q
        if c.transport[i] == 0 or c.captured[i] < c.transport[i] + 8:
            return
        if not decode_quote(&q, frame + c.transport[i] + 8, frame + c.captured[i]):
            return
        flipped = quote_key(&q, key)
        slot = table_find(&self.table, key, table_hash(&self.table, key))
        if not slot:
            return
        c.flow[i] |= FLOW_MEMBER
        if self.at(slot).flipped == flipped:
            if self.at(slot).wait == WAIT_ANSWER:
                self.decide_by(c, i, slot, REFUSED)

    # What these share.

    cdef void open(self, Columns *c, Py_ssize_t i, const uint64_t *key, uint32_t hash, bint flipped, bint stray) noexcept nogil:
        cdef uint32_t slot
        cdef Flow *f
        if table_full(&self.table):
            self.evict(c, i)
        slot = table_insert(&self.table, key, hash)
        f = self.at(slot)
        f.outcome = PENDING
        f.late = False
        f.counted = False
        f.contact = False
        f.known = False
        f.opened = c.time[i]
        f.opened_clock = c.clock[i]
        f.index = c.index[i]
        f.length = c.length[i]
        f.payload_length = c.payload_length[i]
        f.seq = c.tcp_seq[i]
        f.sport = c.sport[i]
        f.dport = c.dport[i]
        f.tcp_flags = c.tcp_flags[i]
        f.interface = c.interface[i]
        f.icmp_id = c.icmp_id[i]
        f.icmp_seq = c.icmp_seq[i]
        f.kind = c.kind[i]
        f.version = c.version[i]
        f.proto = c.proto[i]
        f.ttl = c.ttl[i]
        f.icmp_type = c.icmp_type[i]
        f.icmp_code = c.icmp_code[i]
        f.cast = c.cast[i]
        f.sctp_chunk = c.sctp_chunk[i]
        f.flipped = flipped
        f.stray = stray
        f.fins = 1 if f.tcp_flags & FIN else 0
        if not stray:
            self.contact(c, i, f)
        f.wait = WAIT_ANSWER
        list_append(&self.table, &self.lists[WAIT_ANSWER], slot, c.clock[i])
        if c.clock[i] + self.timeouts[WAIT_ANSWER] < self.next_deadline:
            self.next_deadline = c.clock[i] + self.timeouts[WAIT_ANSWER]
        c.flow[i] = FLOW_OPENS | FLOW_UNANSWERED | (FLOW_STRAY if stray else 0) | (FLOW_CONTACT if f.contact else 0) | (FLOW_KNOWN if f.known else 0)
        self.opened += 1

    cdef void contact(self, Columns *c, Py_ssize_t i, Flow *f) noexcept nogil:
        """Tell whether this is its source's first flow to that host, protocol and port, and whether one was answered before. The coldest contact goes first."""
        cdef uint64_t[5] key
        cdef uint32_t hash, slot
        cdef Contact *contact
        cdef int64_t pause
        contact_key(c.src_hi[i], c.src_lo[i], c.dst_hi[i], c.dst_lo[i], contact_what(f.version, f.kind, f.proto, f.dport), key)
        hash = <uint32_t> self.contact_hash if self.contact_hash != UNKNOWN else table_hash(&self.contacts, key)
        slot = table_find(&self.contacts, key, hash)
        if slot:
            pause = c.clock[i] - node_of(&self.contacts, slot).time
            list_renew(&self.contacts, &self.seen, slot, c.clock[i])
            contact = self.contact_at(slot)
            f.known = contact.answered
            # A host that is tried by several sorts of requests is tried once.
            if contact.icmp_type == f.icmp_type:
                contact.again = AGAIN_MOST if pause >= self.timeouts[WAIT_CLOSED] or contact.again == AGAIN_MOST else contact.again + 1
            return
        slot = self.remember(key, hash, f.index, c.clock[i])
        self.contact_at(slot).icmp_type = f.icmp_type
        f.contact = True

    cdef uint32_t remember(self, const uint64_t *key, uint32_t hash, int64_t index, int64_t time) noexcept nogil:
        """Make a contact that is not there yet. The coldest goes first."""
        cdef uint32_t slot
        if table_full(&self.contacts):
            slot = self.seen.oldest
            self.count_contact(slot, -1)
            list_remove(&self.contacts, &self.seen, slot)
            table_remove(&self.contacts, slot)
            list_expect_removal(&self.contacts, &self.seen)
        slot = table_insert(&self.contacts, key, hash)
        list_append(&self.contacts, &self.seen, slot, time)
        memset(self.contact_at(slot), 0, sizeof(Contact))
        self.contact_at(slot).index = <uint32_t> index
        self.count_contact(slot, 1)
        return slot

    cdef void count_contact(self, uint32_t slot, int by) noexcept nogil:
        cdef uint8_t kind = kind_of(node_of(&self.contacts, slot).key[4])
        if is_ping(kind):
            self.pinged += by
        elif has_ports(kind) and <uint8_t> node_of(&self.contacts, slot).key[4] == ANY_PORT:
            self.answering += by

    cdef void welcomed(self, uint32_t flow, int64_t time) noexcept nogil:
        """Remember that a contact was answered, and that its host answers its source."""
        cdef uint64_t[5] key
        cdef uint32_t hash, slot
        cdef const Flow *f = self.at(flow)
        if f.stray or f.known:
            return
        slot = self.find_contact(flow, f.kind, f.proto, f.dport)
        if slot:
            self.contact_at(slot).answered = True
        if has_ports(f.kind):
            self.key_of_contact(flow, f.kind, ANY_PORT, 0, key)
            hash = table_hash(&self.contacts, key)
            slot = table_find(&self.contacts, key, hash)
            if slot:
                list_renew(&self.contacts, &self.seen, slot, time)
            else:
                self.contact_at(self.remember(key, hash, f.index, time)).answered = True

    cdef uint32_t find_contact(self, uint32_t flow, uint8_t kind, uint8_t proto, uint16_t dport) noexcept nogil:
        """Return the contact of a flow's two ends, by a protocol and at a port; 0 where there is none."""
        cdef uint64_t[5] key
        self.key_of_contact(flow, kind, proto, dport, key)
        return table_find(&self.contacts, key, table_hash(&self.contacts, key))

    cdef void key_of_contact(self, uint32_t flow, uint8_t kind, uint8_t proto, uint16_t dport, uint64_t *key) noexcept nogil:
        cdef const Node *node = node_of(&self.table, flow)
        cdef const Flow *f = self.at(flow)
        cdef int a = 2 if f.flipped else 0
        cdef int b = 0 if f.flipped else 2
        key[0] = node.key[a]
        key[1] = node.key[a + 1]
        key[2] = node.key[b]
        key[3] = node.key[b + 1]
        key[4] = contact_what(f.version, kind, proto, dport)

    cdef uint8_t asked_again(self, uint32_t flow) noexcept nogil:
        """How many flows followed a contact of ICMP; where it was forgotten meanwhile, that is not known (AGAIN_UNKNOWN)."""
        cdef uint32_t slot
        cdef const Flow *f = self.at(flow)
        if not f.contact or not is_ping(f.kind):
            return 0
        slot = self.find_contact(flow, f.kind, f.proto, 0)
        return self.contact_at(slot).again if slot and self.contact_at(slot).index == <uint32_t> f.index else AGAIN_UNKNOWN

    cdef bint was_pinged(self, uint32_t flow) noexcept nogil:
        """Tell whether the source of a TCP flow has sent the host an ICMP request, too."""
        cdef const Flow *f = self.at(flow)
        if not self.pinged or f.kind != KIND_TCP:
            return False
        return self.find_contact(flow, KIND_ICMP6 if f.version == 6 else KIND_ICMP, PROTO_ICMP6 if f.version == 6 else PROTO_ICMP, 0) != 0

    cdef bint knows_host(self, uint32_t flow) noexcept nogil:
        """Tell whether the host has answered the source anything by TCP, of a TCP flow, or by UDP."""
        cdef uint8_t kind = self.at(flow).kind
        return self.answering and has_ports(kind) and self.find_contact(flow, kind, ANY_PORT, 0) != 0

    cdef void member(self, Columns *c, Py_ssize_t i, Flow *f, bint reply) noexcept nogil:
        if not f.counted:
            f.counted = True
            f.packets[0] = 1
            f.packets[1] = 0
            f.bytes[0] = f.length
            f.bytes[1] = 0
        f.packets[reply] += 1
        f.bytes[reply] += c.length[i]
        f.last = c.clock[i]
        c.flow[i] = FLOW_MEMBER | (FLOW_REPLY if reply else FLOW_UNANSWERED if f.outcome != ANSWERED and not f.late else 0)

    cdef void answer(self, Columns *c, Py_ssize_t i, uint32_t slot, bint accepts) noexcept nogil:
        """A packet the other way, where one is enough to decide."""
        cdef Flow *f = self.at(slot)
        if f.outcome == PENDING:
            self.decide_by(c, i, slot, ANSWERED if accepts else REFUSED)
        elif accepts:
            self.late(c, i, slot)

    cdef void decide_by(self, Columns *c, Py_ssize_t i, uint32_t slot, uint8_t outcome) noexcept nogil:
        """Decide a flow at this packet. It waits for nothing in particular until the caller knows better."""
        c.flow[i] |= FLOW_DECIDES
        self.decide(slot, outcome, c.clock[i], PHASE_PACKET, c.index[i])
        self.move(slot, rest(self.at(slot), WAIT_OTHER), c.clock[i])

    cdef void late(self, Columns *c, Py_ssize_t i, uint32_t slot) noexcept nogil:
        """Tell, once, of an answer after a silence, or of the initiator's own after it was half open."""
        cdef Flow *f = self.at(slot)
        if (f.outcome == SILENT or (f.outcome == HALF_OPEN and not c.flow[i] & FLOW_REPLY)) and not f.late:
            f.late = True
            c.flow[i] |= FLOW_DECIDES
            self.welcomed(slot, c.clock[i])
            self.tell(self.decided, slot, LATE, c.clock[i], PHASE_PACKET, c.index[i])

    cdef void decide(self, uint32_t slot, uint8_t outcome, int64_t time, uint8_t phase, int64_t index) noexcept nogil:
        cdef Flow *f = self.at(slot)
        f.outcome = outcome
        if outcome == ANSWERED:
            self.welcomed(slot, time)
        self.tell(self.decided, slot, outcome, time, phase, index)

    cdef void tell(self, Rows out, uint32_t slot, uint8_t outcome, int64_t time, uint8_t phase, int64_t index) noexcept nogil:
        cdef FlowRow *row = out.next()
        if not row:
            return
        fill_row(row, node_of(&self.table, slot), self.at(slot), outcome, time, phase, index)
        row.again = self.asked_again(slot)
        if (row.contact or row.stray) and (HALF_OPEN <= outcome <= SILENT or (outcome == PENDING and phase == PHASE_END)):
            row.pinged = self.was_pinged(slot)
            row.host_known = self.knows_host(slot)

    cdef void move(self, uint32_t slot, uint8_t wait, int64_t time) noexcept nogil:
        cdef Flow *f = self.at(slot)
        if f.wait == wait:
            if time - node_of(&self.table, slot).time >= self.idle_steps[wait]:
                list_renew(&self.table, &self.lists[wait], slot, time)
            return
        list_remove(&self.table, &self.lists[f.wait], slot)
        f.wait = wait
        list_append(&self.table, &self.lists[wait], slot, time)
        if time + self.timeouts[wait] < self.next_deadline:
            self.next_deadline = time + self.timeouts[wait]

    cdef void evict(self, Columns *c, Py_ssize_t i) noexcept nogil:
        cdef uint32_t slot, coldest = 0
        cdef int wait
        for wait in range(WAITS):
            slot = self.lists[wait].oldest
            if slot and (not coldest or node_of(&self.table, slot).time < node_of(&self.table, coldest).time):
                coldest = slot
        self.evicted += 1
        wait = self.at(coldest).wait
        self.end(coldest, c.clock[i], PHASE_PACKET, c.index[i])
        list_expect_removal(&self.table, &self.lists[wait])

    cdef void end(self, uint32_t slot, int64_t time, uint8_t phase, int64_t index) noexcept nogil:
        """Forget a flow. One that nothing decided is told as pending."""
        cdef Flow *f = self.at(slot)
        if f.wait == WAIT_ANSWER or f.wait == WAIT_ACK:
            self.decide(slot, PENDING, time, phase, index)
        if self.keep_ends >> f.kind & 1:
            self.tell(self.ended, slot, f.outcome, time, phase, index)
        list_remove(&self.table, &self.lists[f.wait], slot)
        table_remove(&self.table, slot)

    # What is kept from one run to another.

    @property
    def contact_count(self):
        return self.contacts.count

    @property
    def contact_capacity(self):
        return self.contacts.capacity

    def dump(self, SavedFlow[::1] flows, SavedContact[::1] contacts):
        """Write all flows, list by list, and all contacts, each oldest first, into rows of `layout`: as many as there are."""
        cdef Py_ssize_t i = 0
        cdef uint32_t slot
        cdef int wait
        if flows.shape[0] != self.table.count or contacts.shape[0] != self.contacts.count:
            raise ValueError("as many rows as there are flows and contacts")
        for wait in range(WAITS):
            slot = self.lists[wait].oldest
            while slot:
                flows[i].key = node_of(&self.table, slot).key
                flows[i].time = node_of(&self.table, slot).time
                flows[i].flow = self.at(slot)[0]
                if not flows[i].flow.counted:
                    # What a former flow left there says nothing.
                    flows[i].flow.last = 0
                    flows[i].flow.bytes = [0, 0]
                    flows[i].flow.packets = [0, 0]
                i += 1
                slot = node_of(&self.table, slot).newer
        i = 0
        slot = self.seen.oldest
        while slot:
            contacts[i].key = node_of(&self.contacts, slot).key
            contacts[i].time = node_of(&self.contacts, slot).time
            contacts[i].contact = self.contact_at(slot)[0]
            i += 1
            slot = node_of(&self.contacts, slot).newer

    def load(self, const SavedFlow[::1] flows, const SavedContact[::1] contacts, int64_t now):
        """Take what `dump` wrote on a clock that stood at `now`, while there is nothing yet. Raise ValueError where it cannot be: this is of no use any more then."""
        cdef Py_ssize_t i
        cdef uint32_t slot
        if self.table.count or self.contacts.count or flows.shape[0] > self.table.capacity or contacts.shape[0] > self.contacts.capacity:
            raise ValueError("no room for the flows or their contacts")
        for i in range(flows.shape[0]):
            if not sound_flow(&flows[i], now):
                raise ValueError(f"flow {i} has values that none can have")
            slot = table_restore(&self.table, &self.lists[flows[i].flow.wait], flows[i].key, flows[i].time)
            if not slot:
                raise ValueError(f"flow {i} is there twice, or older than the one before")
            self.at(slot)[0] = flows[i].flow
        for i in range(contacts.shape[0]):
            if not 0 <= contacts[i].time <= now or contacts[i].contact.answered > 1:
                raise ValueError(f"contact {i} has values that none can have")
            slot = table_restore(&self.contacts, &self.seen, contacts[i].key, contacts[i].time)
            if not slot:
                raise ValueError(f"contact {i} is there twice, or older than the one before")
            self.contact_at(slot)[0] = contacts[i].contact
            self.count_contact(slot, 1)
        self.next_deadline = 0


FLOW_SIZE = sizeof(Flow)
CONTACT_SIZE = sizeof(Contact)

cdef SavedFlow one_flow
cdef SavedContact one_contact


def layout():
    """Return a row of flows and one of contacts, which tell numpy what their fields are."""
    cdef SavedFlow[::1] flow = <SavedFlow[:1]> &one_flow
    cdef SavedContact[::1] contact = <SavedContact[:1]> &one_contact
    return flow, contact


cdef inline bint sound_flow(const SavedFlow *row, int64_t now) noexcept:
    """Tell whether a flow from outside can be one: nothing else may be an index, an enumeration, a truth value or a time here."""
    cdef const Flow *f = &row.flow
    return (
        0 <= row.time <= now and 0 <= f.opened_clock <= now and (not f.counted or 0 <= f.last <= now) and -now <= f.opened <= now and f.index >= 0
        and f.wait < WAITS and f.outcome <= LATE and f.kind <= KIND_FRAGMENT and f.cast <= MULTICAST and f.fins <= 3
        and f.flipped <= 1 and f.stray <= 1 and f.contact <= 1 and f.known <= 1 and f.late <= 1 and f.counted <= 1
    )


cdef int64_t NEVER = 0x7FFFFFFFFFFFFFFF


cdef inline uint32_t what_of(uint8_t version, uint8_t kind, uint8_t proto, uint16_t tag) noexcept nogil:
    """What a flow is besides its endpoints. The version keeps IPv6 packets that forge a mapped address out of IPv4 flows."""
    return <uint32_t> tag << 16 | <uint32_t> (version == 6) << 15 | <uint32_t> kind << 8 | proto


cdef inline uint8_t kind_of(uint64_t what) noexcept nogil:
    return what >> 8 & 0x7F


cdef inline bint is_ping(uint8_t kind) noexcept nogil:
    return kind == KIND_ICMP or kind == KIND_ICMP6


cdef inline bint has_ports(uint8_t kind) noexcept nogil:
    return kind == KIND_TCP or kind == KIND_UDP


cdef inline uint8_t rest(const Flow *f, uint8_t otherwise) noexcept nogil:
    """What a flow waits for when it was decided."""
    return WAIT_AGAIN if f.contact and is_ping(f.kind) else otherwise


cdef inline uint64_t contact_what(uint8_t version, uint8_t kind, uint8_t proto, uint16_t dport) noexcept nogil:
    return <uint64_t> dport << 32 | what_of(version, kind, proto, 0)


cdef inline void contact_key(
    uint64_t src_hi, uint64_t src_lo, uint64_t dst_hi, uint64_t dst_lo, uint64_t what, uint64_t *key
) noexcept nogil:
    key[0] = src_hi
    key[1] = src_lo
    key[2] = dst_hi
    key[3] = dst_lo
    key[4] = what


cdef inline bint flow_key(Columns *c, Py_ssize_t i, uint16_t sport, uint16_t dport, uint16_t tag, uint64_t *key) noexcept nogil:
    """The same key for both directions: the lesser endpoint first. Return whether that swapped them."""
    return pair_key(c.src_hi[i], c.src_lo[i], c.dst_hi[i], c.dst_lo[i], sport, dport, what_of(c.version[i], c.kind[i], c.proto[i], tag), key)


cdef inline bint pair_key(
    uint64_t src_hi, uint64_t src_lo, uint64_t dst_hi, uint64_t dst_lo, uint16_t sport, uint16_t dport, uint32_t what, uint64_t *key
) noexcept nogil:
    cdef bint flipped = src_hi > dst_hi or (src_hi == dst_hi and (src_lo > dst_lo or (src_lo == dst_lo and sport > dport)))
    if flipped:
        key[0] = dst_hi
        key[1] = dst_lo
        key[2] = src_hi
        key[3] = src_lo
        key[4] = <uint64_t> dport << 48 | <uint64_t> sport << 32 | what
    else:
        key[0] = src_hi
        key[1] = src_lo
        key[2] = dst_hi
        key[3] = dst_lo
        key[4] = <uint64_t> sport << 48 | <uint64_t> dport << 32 | what
    return flipped


cdef inline bint quote_key(Quote *q, uint64_t *key) noexcept nogil:
    """The key of the flow that a quoted packet belongs to. Return whether its endpoints were swapped."""
    cdef uint32_t what
    cdef bint flipped
    if q.proto == PROTO_TCP:
        what = what_of(q.version, KIND_TCP, q.proto, 0)
    elif q.proto == PROTO_UDP:
        what = what_of(q.version, KIND_UDP, q.proto, 0)
    elif q.proto == PROTO_SCTP:
        what = what_of(q.version, KIND_SCTP, q.proto, 0)
    elif q.proto == PROTO_ICMP or q.proto == PROTO_ICMP6:
        what = what_of(q.version, KIND_ICMP if q.proto == PROTO_ICMP else KIND_ICMP6, q.proto, q.icmp_type)
        flipped = pair_key(q.src_hi, q.src_lo, q.dst_hi, q.dst_lo, 0, 0, what, key)
        key[4] |= <uint64_t> q.icmp_id << 48 | <uint64_t> q.icmp_seq << 32
        return flipped
    else:
        what = what_of(q.version, KIND_OTHER, q.proto, 0)
    return pair_key(q.src_hi, q.src_lo, q.dst_hi, q.dst_lo, q.sport, q.dport, what, key)


cdef inline void fill_row(FlowRow *row, const Node *node, const Flow *f, uint8_t outcome, int64_t time, uint8_t phase, int64_t index) noexcept nogil:
    cdef int a = 2 if f.flipped else 0
    cdef int b = 0 if f.flipped else 2
    row.time = time
    row.opened = f.opened
    row.opened_clock = f.opened_clock
    row.last = f.last if f.counted else f.opened_clock
    row.index = index
    row.src_hi = node.key[a]
    row.src_lo = node.key[a + 1]
    row.dst_hi = node.key[b]
    row.dst_lo = node.key[b + 1]
    row.bytes = f.bytes[0] if f.counted else f.length
    row.reply_bytes = f.bytes[1] if f.counted else 0
    row.packets = f.packets[0] if f.counted else 1
    row.reply_packets = f.packets[1] if f.counted else 0
    row.length = f.length
    row.payload_length = f.payload_length
    row.sport = f.sport
    row.dport = f.dport
    row.tcp_flags = f.tcp_flags
    row.interface = f.interface
    row.icmp_id = f.icmp_id
    row.icmp_seq = f.icmp_seq
    row.kind = f.kind
    row.version = f.version
    row.proto = f.proto
    row.ttl = f.ttl
    row.icmp_type = f.icmp_type
    row.icmp_code = f.icmp_code
    row.outcome = outcome
    row.stray = f.stray
    row.contact = f.contact
    row.phase = phase
    row.known = f.known
    row.again = 0
    row.pinged = 0
    row.host_known = 0
    row.cast = f.cast
    row.sctp_chunk = f.sctp_chunk
    memset(row.spare, 0, sizeof(row.spare))
