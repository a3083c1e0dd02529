"""A bounded hash table whose entries also stand in lists, oldest first: what flows, contacts, trackers and datagrams are kept in.

Entries are slots of one array; slot 0 is nobody. Keys are five 64-bit words. The hash is multilinear over 32-bit words with secret random
coefficients: strongly universal, so nobody can aim at a bucket (Lemire and Kaser, Strongly universal string hashing is fast, 2014). Nothing that is
visible outside depends on it.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef struct Node:
    uint64_t key[5]
    uint32_t hash
    uint32_t chain
    uint32_t older
    uint32_t newer
    int64_t time

cdef struct List:
    uint32_t oldest
    uint32_t newest

cdef struct Table:
    Node *nodes
    void *memory
    uint32_t *buckets
    uint32_t mask
    uint32_t capacity
    uint32_t used
    uint32_t free
    uint32_t count
    uint64_t secret[11]

cdef int table_open(Table *table, uint32_t capacity, bytes secret) except -1
cdef void table_close(Table *table) noexcept


cdef inline uint32_t table_hash(const Table *table, const uint64_t *key) noexcept nogil:
    cdef const uint64_t *a = table.secret
    return <uint32_t> ((
        a[0]
        + a[1] * <uint32_t> key[0] + a[2] * (key[0] >> 32)
        + a[3] * <uint32_t> key[1] + a[4] * (key[1] >> 32)
        + a[5] * <uint32_t> key[2] + a[6] * (key[2] >> 32)
        + a[7] * <uint32_t> key[3] + a[8] * (key[3] >> 32)
        + a[9] * <uint32_t> key[4] + a[10] * (key[4] >> 32)
    ) >> 32)


cdef inline uint32_t table_find(const Table *table, const uint64_t *key, uint32_t hash) noexcept nogil:
    """Return the slot of a key, or 0."""
    cdef uint32_t slot = table.buckets[hash & table.mask]
    cdef const Node *node
    while slot:
        node = &table.nodes[slot]
        if (node.hash == hash and node.key[4] == key[4] and node.key[1] == key[1] and node.key[3] == key[3]
                and node.key[0] == key[0] and node.key[2] == key[2]):
            return slot
        slot = node.chain
    return 0


cdef inline uint32_t table_insert(Table *table, const uint64_t *key, uint32_t hash) noexcept nogil:
    """Give a new key a slot. The caller makes room first: the table must not be full."""
    cdef uint32_t slot = table.free
    cdef Node *node
    if slot:
        node = &table.nodes[slot]
        table.free = node.chain
    else:
        table.used += 1
        slot = table.used
        node = &table.nodes[slot]
    table.count += 1
    node.key[0] = key[0]
    node.key[1] = key[1]
    node.key[2] = key[2]
    node.key[3] = key[3]
    node.key[4] = key[4]
    node.hash = hash
    node.older = 0
    node.newer = 0
    node.chain = table.buckets[hash & table.mask]
    table.buckets[hash & table.mask] = slot
    return slot


cdef inline void table_remove(Table *table, uint32_t slot) noexcept nogil:
    """Forget a key. It must stand in no list any more."""
    cdef Node *node = &table.nodes[slot]
    cdef uint32_t *link = &table.buckets[node.hash & table.mask]
    while link[0] != slot:
        link = &table.nodes[link[0]].chain
    link[0] = node.chain
    node.chain = table.free
    table.free = slot
    table.count -= 1


cdef inline bint table_full(const Table *table) noexcept nogil:
    return table.count == table.capacity


cdef inline void list_append(Table *table, List *list, uint32_t slot, int64_t time) noexcept nogil:
    """Put a slot that stands in no list at a list's new end."""
    cdef Node *node = &table.nodes[slot]
    node.time = time
    node.newer = 0
    node.older = list.newest
    if list.newest:
        table.nodes[list.newest].newer = slot
    else:
        list.oldest = slot
    list.newest = slot


cdef inline void list_remove(Table *table, List *list, uint32_t slot) noexcept nogil:
    cdef Node *node = &table.nodes[slot]
    if node.older:
        table.nodes[node.older].newer = node.newer
    else:
        list.oldest = node.newer
    if node.newer:
        table.nodes[node.newer].older = node.older
    else:
        list.newest = node.older


cdef inline void list_renew(Table *table, List *list, uint32_t slot, int64_t time) noexcept nogil:
    """Move a slot to its list's new end."""
    if list.newest == slot:
        table.nodes[slot].time = time
        return
    list_remove(table, list, slot)
    list_append(table, list, slot, time)


cdef inline uint32_t table_restore(Table *table, List *list, const uint64_t *key, int64_t time) noexcept nogil:
    """Give a key that was saved a slot at a list's new end; 0 where it is there already, or older than the one before. The table must not be full."""
    cdef uint32_t hash = table_hash(table, key)
    cdef uint32_t slot
    if (list.newest and time < table.nodes[list.newest].time) or table_find(table, key, hash):
        return 0
    slot = table_insert(table, key, hash)
    list_append(table, list, slot, time)
    return slot
