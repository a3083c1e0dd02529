"""See table.pxd."""

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

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


cdef int table_open(Table *table, uint32_t capacity, size_t size, bytes secret) except -1:
    """Make an empty table of `capacity` entries, of which its owner keeps `size` bytes each; `secret` seeds the hash, 88 bytes, random where it is empty."""
    cdef size_t buckets = buckets_of(capacity)
    cdef bytes coefficients = secret if secret else os.urandom(88)
    if len(coefficients) != 88:
        raise ValueError("a table's secret has 88 bytes")
    table.stride = stride_of(size)
    # Fresh memory from the system counts only when it is touched, so a large capacity costs nothing until it is used.
    table.memory = calloc(<size_t> capacity + 2, table.stride)
    table.buckets = <Bucket *> calloc(buckets, sizeof(Bucket))
    if table.memory == NULL or table.buckets == NULL:
        table_close(table)
        raise MemoryError(f"no memory for a table of {capacity:,} entries")
    table.nodes = <char *> ((<size_t> table.memory + 63) & ~(<size_t> 63))
    table.mask = <uint32_t> (buckets - 1)
    table.capacity = capacity
    table.used = 0
    table.free = 0
    table.count = 0
    memset(table.leaving, 0, sizeof(table.leaving))
    memcpy(table.secret, <const char *> coefficients, 88)
    return 0


cdef void table_close(Table *table) noexcept:
    free(table.memory)
    free(table.buckets)
    table.memory = NULL
    table.buckets = NULL


cpdef size_t table_bytes(size_t capacity, size_t size):
    """Return the memory that a table of `capacity` entries takes when it is full, of which its owner keeps `size` bytes each."""
    return (capacity + 2) * stride_of(size) + buckets_of(capacity) * sizeof(Bucket)


cdef tuple table_use(const Table *table):
    """Return how many entries a table has and may have, and the bytes of it that were ever used and that may be."""
    cdef size_t buckets = (<size_t> table.mask + 1) * sizeof(Bucket)
    return table.count, table.capacity, (table.used + 2) * table.stride + buckets, (<size_t> table.capacity + 2) * table.stride + buckets


cdef inline size_t stride_of(size_t size) noexcept nogil:
    """From one cache line on each: finding a key touches one, and what is kept of it the next."""
    return (sizeof(Node) + size + 63) & ~(<size_t> 63)


cdef inline size_t buckets_of(size_t capacity) noexcept nogil:
    """A power of two, of which at most four in seven are taken."""
    cdef size_t buckets = 2
    while 4 * buckets < 7 * capacity:
        buckets *= 2
    return buckets
