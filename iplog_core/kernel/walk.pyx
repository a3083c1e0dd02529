"""Threshold random walk: a sequential test on how a source's first contacts went (Jung, Paxson, Berger, Balakrishnan: Fast portscan detection using sequential hypothesis testing, 2004).

With their values (an honest source succeeds with probability 0.8, a scanner with 0.2) each failure multiplies the likelihood ratio by four and each success divides it by
four, so a source's ratio is a count of steps. Four steps up are more than 99 to 1. An answer that comes late takes its failure back and counts as a success; what waits
for one when the capture ends has failed.

A source at the top must have failed at a third of its last contacts, too. Two more questions can be asked of a source before it is guilty: whether anything came back to it at all, since a capture may show one direction only; and whether what failed went to few
ports, since a sweep asks many hosts for the same, and a peer-to-peer client each for something else.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

import cython

from iplog_core.kernel.ahead cimport FAR, NEAR
from iplog_core.kernel.flows cimport ANSWERED, HALF_OPEN, LATE, PENDING, PHASE_END, REFUSED, SILENT, FlowRow
from iplog_core.kernel.table cimport (
    List, Table, entry_of, list_append, list_expect_removal, list_remove, list_renew, node_of, table_close, table_expect, table_fetch, table_find, table_full, table_hash, table_insert, table_open, table_remove, table_restore, table_use,
)

# Failed contacts whose ports are remembered together; the last two lots are looked at.
cdef enum:
    LOT = 32

# So many contacts are looked back at: whoever opens many connections at once hears answers first and silence last, so that the order of outcomes says little.
cdef enum:
    RECENT = 256

cdef struct Place:
    uint64_t ports
    uint64_t ports_before
    uint16_t failed
    uint16_t answered
    uint8_t lot
    uint8_t heard
    signed char step

# What `dump` writes and `load` reads: a walk with its place in the table and in the list.
cdef struct SavedWalk:
    uint64_t key[5]
    int64_t time
    Place place


@cython.final
cdef class Walk:
    """The walks of at most `capacity` sources, the coldest of which goes first. A walk stays between `steps` up and twice as many down.

    `heard` asks that something came back to a source before it is guilty, `narrow` that its last failures went to at most so many ports (0: any number).
    """

    cdef Table table
    cdef List order
    cdef signed char steps
    cdef bint heard
    cdef int narrow
    cdef readonly int64_t evicted

    def __cinit__(self, *, uint32_t capacity, signed char steps, bint heard=False, int narrow=0, bytes secret=b""):
        self.steps = steps
        self.heard = heard
        self.narrow = narrow
        table_open(&self.table, capacity, sizeof(Place), secret)

    def __dealloc__(self):
        table_close(&self.table)

    def __len__(self):
        return self.table.count

    cdef inline Place *at(self, uint32_t slot) noexcept nogil:
        return <Place *> entry_of(&self.table, slot)

    def update(self, const uint8_t[::1] flows, const int64_t[::1] rows, uint8_t[::1] guilty):
        """Walk on for the flows in `rows`, and set in `guilty` those whose source stands at the top after them."""
        cdef const FlowRow *all_flows
        cdef Py_ssize_t i, n = rows.shape[0]
        cdef uint32_t[FAR] hashes
        if n == 0:
            return
        all_flows = <const FlowRow *> &flows[0]
        with nogil:
            for i in range(min(n, FAR)):
                hashes[i] = self.expect(&all_flows[rows[i]])
            for i in range(n):
                if i + NEAR < n:
                    table_fetch(&self.table, hashes[(i + NEAR) % FAR])
                guilty[rows[i]] = self.step(&all_flows[rows[i]], hashes[i % FAR])
                if i + FAR < n:
                    hashes[i % FAR] = self.expect(&all_flows[rows[i + FAR]])

    cdef uint32_t expect(self, const FlowRow *f) noexcept nogil:
        """Return the hash of a flow's source, and have its group brought."""
        cdef uint64_t[5] key
        cdef uint32_t hash
        source_key(f, key)
        hash = table_hash(&self.table, key)
        table_expect(&self.table, hash)
        return hash

    cdef bint step(self, const FlowRow *f, uint32_t hash) noexcept nogil:
        cdef Place *place = self.place_of(f, hash)
        cdef bint fails = HALF_OPEN <= f.outcome <= SILENT or (f.outcome == PENDING and f.phase == PHASE_END)
        if f.outcome == ANSWERED or f.outcome == LATE or f.outcome == REFUSED or f.outcome == HALF_OPEN:
            place.heard = True
        if f.contact and fails:
            place.failed += 1
            place.step += 1
            if place.lot == LOT:
                place.lot = 0
                place.ports_before = place.ports
                place.ports = 0
            place.lot += 1
            place.ports |= <uint64_t> 1 << (f.dport * <uint32_t> 0x9E3779B1 >> 26)
        elif f.contact and f.outcome == ANSWERED:
            place.answered += 1
            place.step -= 1
        elif f.contact and f.outcome == LATE:
            place.answered += 1
            place.step -= 2
        if place.failed + place.answered >= RECENT:
            place.failed //= 2
            place.answered //= 2
        if place.step > self.steps:
            place.step = self.steps
        elif place.step < -2 * self.steps:
            place.step = -2 * self.steps
        return (
            place.step == self.steps
            and 2 * place.failed >= place.answered
            and (place.heard or not self.heard)
            and (self.narrow == 0 or ones(place.ports | place.ports_before) <= self.narrow)
        )

    cdef Place *place_of(self, const FlowRow *f, uint32_t hash) noexcept nogil:
        cdef uint64_t[5] key
        cdef uint32_t slot
        source_key(f, key)
        slot = table_find(&self.table, key, hash)
        if slot:
            list_renew(&self.table, &self.order, slot, f.time)
            return self.at(slot)
        if table_full(&self.table):
            self.evicted += 1
            slot = self.order.oldest
            list_remove(&self.table, &self.order, slot)
            table_remove(&self.table, slot)
            list_expect_removal(&self.table, &self.order)
        slot = table_insert(&self.table, key, hash)
        list_append(&self.table, &self.order, slot, f.time)
        memset(self.at(slot), 0, sizeof(Place))
        return self.at(slot)

    @property
    def tables(self):
        """The use of the walks, as `table_use` tells it."""
        return (table_use(&self.table),)

    # What is kept from one run to another.

    def dump(self, SavedWalk[::1] walks):
        """Write all walks, oldest first, into rows of `layout`: as many as there are."""
        cdef Py_ssize_t i
        cdef uint32_t slot = self.order.oldest
        if walks.shape[0] != self.table.count:
            raise ValueError("as many rows as there are walks")
        for i in range(walks.shape[0]):
            walks[i].key = node_of(&self.table, slot).key
            walks[i].time = node_of(&self.table, slot).time
            walks[i].place = self.at(slot)[0]
            slot = node_of(&self.table, slot).newer

    def load(self, const SavedWalk[::1] walks, int64_t now):
        """Take what `dump` wrote on a clock that stood at `now`, while there is nothing yet. Raise ValueError where it cannot be: this is of no use any more then."""
        cdef Py_ssize_t i
        cdef uint32_t slot
        cdef const Place *place
        if self.table.count or walks.shape[0] > self.table.capacity:
            raise ValueError("no room for the walks")
        for i in range(walks.shape[0]):
            place = &walks[i].place
            if not 0 <= walks[i].time <= now or place.heard > 1 or place.lot > LOT or not -2 * self.steps <= place.step <= self.steps:
                raise ValueError(f"walk {i} has values that none can have")
            slot = table_restore(&self.table, &self.order, walks[i].key, walks[i].time)
            if not slot:
                raise ValueError(f"walk {i} is there twice, or older than the one before")
            self.at(slot)[0] = place[0]


cdef inline void source_key(const FlowRow *f, uint64_t *key) noexcept nogil:
    key[0] = f.src_hi
    key[1] = f.src_lo
    key[2] = 0
    key[3] = 0
    key[4] = f.version == 6


WALK_SIZE = sizeof(Place)

cdef SavedWalk one_walk


def layout():
    """Return a row of walks, which tells numpy what its fields are."""
    cdef SavedWalk[::1] walk = <SavedWalk[:1]> &one_walk
    return walk


cdef inline int ones(uint64_t bits) noexcept nogil:
    """How many bits are set; each is a port, or a few that fall together."""
    cdef int count = 0
    while bits:
        bits &= bits - 1
        count += 1
    return count
