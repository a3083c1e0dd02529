"""See table.pxd."""

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

import os

cdef extern from *:
    """
    #include <stdlib.h>
    #if defined(__GLIBC__)
    #include <malloc.h>
    #endif

    static void give_large_memory_back(void)
    {
    #if defined(__GLIBC__)
        mallopt(M_MMAP_THRESHOLD, 2 << 20);
        mallopt(M_TRIM_THRESHOLD, 64 << 20);
    #endif
    }
    """
    void give_large_memory_back() noexcept

# glibc would keep the memory of large tables once one was freed, and clear it by hand for the next, which then counts as used from its first byte to its last.
give_large_memory_back()


cdef int table_open(Table *table, uint32_t capacity, bytes secret) except -1:
    """Make an empty table of `capacity` entries; `secret` seeds the hash, 88 bytes, random where it is empty."""
    cdef uint64_t buckets = 1
    cdef bytes coefficients = secret if secret else os.urandom(88)
    if len(coefficients) != 88:
        raise ValueError("a table's secret has 88 bytes")
    while buckets < capacity:
        buckets *= 2
    # Fresh memory from the system counts only when it is touched, so a large capacity costs nothing until it is used.
    table.memory = calloc(<size_t> capacity + 2, sizeof(Node))
    table.buckets = <uint32_t *> calloc(buckets, sizeof(uint32_t))
    if table.memory == NULL or table.buckets == NULL:
        table_close(table)
        raise MemoryError(f"no memory for a table of {capacity:,} entries")
    # On a cache line each: finding a key touches one.
    table.nodes = <Node *> ((<size_t> table.memory + 63) & ~(<size_t> 63))
    table.mask = <uint32_t> (buckets - 1)
    table.capacity = capacity
    table.used = 0
    table.free = 0
    table.count = 0
    memcpy(table.secret, <const char *> coefficients, 88)
    return 0


cdef void table_close(Table *table) noexcept:
    free(table.memory)
    free(table.buckets)
    table.memory = NULL
    table.buckets = NULL
