"""Threshold random walk: a sequential test on how a source's first contacts went (Jung, Paxson, Berger, Balakrishnan: Fast portscan detection using sequential hypothesis testing, 2004).

With their values (an honest source succeeds with probability 0.8, a scanner with 0.2) each failure multiplies the likelihood ratio by four and each success divides it by
four, so a source's ratio is a count of steps. Four steps up are more than 99 to 1.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from iplog_core.kernel.flows cimport ANSWERED, HALF_OPEN, SILENT, FlowRow
from iplog_core.kernel.table cimport (
    List, Table, list_append, list_remove, list_renew, table_close, table_find, table_full, table_hash, table_insert, table_open, table_remove,
)


cdef class Walk:
    """The walks of at most `capacity` sources, the coldest of which goes first. A walk stays between minus and plus `steps`."""

    cdef Table table
    cdef List order
    cdef signed char *places
    cdef signed char steps
    cdef readonly int64_t evicted

    def __cinit__(self, *, uint32_t capacity, signed char steps, bytes secret=b""):
        self.steps = steps
        table_open(&self.table, capacity, secret)
        self.places = <signed char *> calloc(<size_t> capacity + 1, 1)
        if self.places == NULL:
            raise MemoryError(f"no memory for {capacity:,} sources")

    def __dealloc__(self):
        table_close(&self.table)
        free(self.places)

    def __len__(self):
        return self.table.count

    def update(self, const uint8_t[::1] flows, const int64_t[::1] rows, uint8_t[::1] guilty):
        """Walk on for the flows in `rows`, and set in `guilty` those whose source stands at the top after them."""
        cdef const FlowRow *all_flows
        cdef Py_ssize_t i
        if rows.shape[0] == 0:
            return
        all_flows = <const FlowRow *> &flows[0]
        with nogil:
            for i in range(rows.shape[0]):
                guilty[rows[i]] = self.step(&all_flows[rows[i]])

    cdef bint step(self, const FlowRow *f) noexcept nogil:
        cdef uint64_t[5] key
        cdef uint32_t hash, slot
        key[0] = f.src_hi
        key[1] = f.src_lo
        key[2] = 0
        key[3] = 0
        key[4] = 0
        hash = table_hash(&self.table, key)
        slot = table_find(&self.table, key, hash)
        if slot:
            list_renew(&self.table, &self.order, slot, f.time)
        else:
            if table_full(&self.table):
                self.evicted += 1
                slot = self.order.oldest
                list_remove(&self.table, &self.order, slot)
                table_remove(&self.table, slot)
            slot = table_insert(&self.table, key, hash)
            list_append(&self.table, &self.order, slot, f.time)
            self.places[slot] = 0
        if f.contact and f.outcome == ANSWERED and self.places[slot] > -self.steps:
            self.places[slot] -= 1
        elif f.contact and HALF_OPEN <= f.outcome <= SILENT and self.places[slot] < self.steps:
            self.places[slot] += 1
        return self.places[slot] == self.steps
