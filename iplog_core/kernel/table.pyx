"""See table.pxd."""

from libc.string cimport memcpy, memset

import os

cdef extern from *:
    """
    #include <stdlib.h>
    #include <string.h>
    #include <sys/mman.h>
    #if defined(__GLIBC__)
    #include <malloc.h>
    #endif

    static void keep_what_batches_take(void)
    {
    #if defined(__GLIBC__)
        mallopt(M_MMAP_THRESHOLD, 2 << 20);
        mallopt(M_TRIM_THRESHOLD, 64 << 20);
    #endif
    }

    /* Memory that counts only when it is touched, so that a large capacity costs nothing until it is used: the C library would hand out what was used before, and clear it. */
    #if defined(__SANITIZE_ADDRESS__)
    static void *fresh(size_t size)
    {
        void *memory = aligned_alloc(64, (size + 63) & ~(size_t) 63);
        return memory ? memset(memory, 0, size) : NULL;
    }
    static void give_back(void *memory, size_t size) { (void) size; free(memory); }
    #else
    static void *fresh(size_t size)
    {
        void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return memory == MAP_FAILED ? NULL : memory;
    }
    static void give_back(void *memory, size_t size)
    {
        if (memory)
            munmap(memory, size);
    }
    #endif
    """
    void keep_what_batches_take() noexcept
    char *fresh(size_t size) noexcept
    void give_back(void *memory, size_t size) noexcept

# A batch's columns are freed when the next ones are asked for: the system would clear fresh pages for each batch.
keep_what_batches_take()


cdef int table_open(Table *table, uint32_t capacity, size_t size, bytes secret) except -1:
    """Make an empty table of `capacity` entries, of which its owner keeps `size` bytes each; `secret` seeds the hash, 88 bytes, random where it is empty."""
    cdef size_t groups = groups_of(capacity)
    cdef bytes coefficients = secret if secret else os.urandom(88)
    if len(coefficients) != 88:
        raise ValueError("a table's secret has 88 bytes")
    table.stride = stride_of(size)
    table.mask = <uint32_t> (groups - 1)
    table.capacity = capacity
    table.nodes = fresh(nodes_size(table))
    table.groups = <Group *> fresh(groups * sizeof(Group))
    if table.nodes == NULL or table.groups == NULL:
        table_close(table)
        raise MemoryError(f"no memory for a table of {capacity:,} entries")
    table.used = 0
    table.free = 0
    table.count = 0
    memset(table.leaving, 0, sizeof(table.leaving))
    memcpy(table.secret, <const char *> coefficients, 88)
    return 0


cdef void table_close(Table *table) noexcept:
    give_back(table.nodes, nodes_size(table))
    give_back(table.groups, (<size_t> table.mask + 1) * sizeof(Group))
    table.nodes = NULL
    table.groups = NULL


cpdef size_t table_bytes(size_t capacity, size_t size):
    """Return the memory that a table of `capacity` entries takes when it is full, of which its owner keeps `size` bytes each."""
    return (capacity + 1) * stride_of(size) + groups_of(capacity) * sizeof(Group)


cdef tuple table_use(const Table *table):
    """Return how many entries a table has and may have, and the bytes of it that were ever used and that may be."""
    cdef size_t groups = (<size_t> table.mask + 1) * sizeof(Group)
    return table.count, table.capacity, (table.used + 1) * table.stride + groups, nodes_size(table) + groups


cdef inline size_t nodes_size(const Table *table) noexcept nogil:
    """Slot 0 is nobody's."""
    return (<size_t> table.capacity + 1) * table.stride


cdef inline size_t stride_of(size_t size) noexcept nogil:
    """From one cache line on each: finding a key touches one, and what is kept of it the next."""
    return (sizeof(Node) + size + 63) & ~(<size_t> 63)


cdef inline size_t groups_of(size_t capacity) noexcept nogil:
    """A power of two, with at most 32 keys for seven groups."""
    cdef size_t groups = 1
    while 32 * groups < 7 * capacity:
        groups *= 2
    return groups
