"""A bounded hash table whose entries also stand in lists, oldest first: what flows, contacts, trackers and datagrams are kept in.

Entries are slots of one array; slot 0 is nobody. A slot holds its key, its place in a list and, behind these, what its owner keeps of it, so that an entry is found on neighbouring cache lines. Keys are
five 64-bit words. Buckets hold a slot and the hash of its key, so that a key which is not there is mostly not looked for any further; at most four in seven are taken, and what
finds its own taken stands in the next free one (linear probing; Knuth, The Art of Computer Programming 3, section 6.4, algorithms L and R). The hash multiplies pairs of 32-bit words with secret
random numbers added: strongly universal, so nobody can aim at a bucket (Thorup, High speed hashing for integers and strings, 2015, section 3.5). Nothing that is visible outside depends on it.

A table beyond the caches is slow where it is waited for: who knows what he will look for asks for the bucket early (`table_expect`), and for the entry some time after (`table_fetch`).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from iplog_core.kernel.ahead cimport prefetch

cdef struct Node:
    uint64_t key[5]
    uint32_t older
    uint32_t newer
    int64_t time

cdef struct Bucket:
    uint32_t hash
    uint32_t slot

cdef struct List:
    uint32_t oldest
    uint32_t newest

# So many entries whose removal is expected have their hash remembered.
cdef enum:
    LEAVING = 4

cdef struct Table:
    char *nodes
    void *memory
    Bucket *buckets
    size_t stride
    uint32_t mask
    uint32_t capacity
    uint32_t used
    uint32_t free
    uint32_t count
    uint32_t leaving[LEAVING]
    uint32_t leaving_hash[LEAVING]
    uint64_t secret[11]

cdef int table_open(Table *table, uint32_t capacity, size_t size, bytes secret) except -1
cdef void table_close(Table *table) noexcept
cdef tuple table_use(const Table *table)
cpdef size_t table_bytes(size_t capacity, size_t size)


cdef inline uint32_t table_hash(const Table *table, const uint64_t *key) noexcept nogil:
    cdef const uint64_t *a = table.secret
    return <uint32_t> ((
        a[0]
        + (a[1] + <uint32_t> key[0]) * (a[2] + (key[0] >> 32))
        + (a[3] + <uint32_t> key[1]) * (a[4] + (key[1] >> 32))
        + (a[5] + <uint32_t> key[2]) * (a[6] + (key[2] >> 32))
        + (a[7] + <uint32_t> key[3]) * (a[8] + (key[3] >> 32))
        + (a[9] + <uint32_t> key[4]) * (a[10] + (key[4] >> 32))
    ) >> 32)


cdef inline Node *node_of(const Table *table, uint32_t slot) noexcept nogil:
    return <Node *> (table.nodes + slot * table.stride)


cdef inline void *entry_of(const Table *table, uint32_t slot) noexcept nogil:
    """What the owner keeps of a slot: so many bytes as the table was opened for."""
    return <void *> (table.nodes + slot * table.stride + sizeof(Node))


cdef inline void table_expect(const Table *table, uint32_t hash) noexcept nogil:
    """Have the bucket of a key brought that will be looked for soon."""
    prefetch(&table.buckets[hash & table.mask])


cdef inline uint32_t table_fetch(const Table *table, uint32_t hash) noexcept nogil:
    """Have the entry of a key brought that will be looked for next. Return its slot, most likely, or 0."""
    cdef uint32_t place = hash & table.mask
    cdef size_t line
    while table.buckets[place].slot and table.buckets[place].hash != hash:
        place = (place + 1) & table.mask
    if table.buckets[place].slot:
        for line in range(0, table.stride, 64):
            prefetch(table.nodes + table.buckets[place].slot * table.stride + line)
    return table.buckets[place].slot


cdef inline uint32_t table_find(const Table *table, const uint64_t *key, uint32_t hash) noexcept nogil:
    """Return the slot of a key, or 0."""
    cdef uint32_t place = hash & table.mask
    cdef const Bucket *bucket = &table.buckets[place]
    cdef const Node *node
    while bucket.slot:
        if bucket.hash == hash:
            node = node_of(table, bucket.slot)
            if (node.key[4] == key[4] and node.key[1] == key[1] and node.key[3] == key[3] and node.key[0] == key[0] and node.key[2] == key[2]):
                return bucket.slot
        place = (place + 1) & table.mask
        bucket = &table.buckets[place]
    return 0


cdef inline uint32_t table_insert(Table *table, const uint64_t *key, uint32_t hash) noexcept nogil:
    """Give a new key a slot. The caller makes room first: the table must not be full."""
    cdef uint32_t slot = table.free
    cdef uint32_t place = hash & table.mask
    cdef Node *node
    if slot:
        node = node_of(table, slot)
        table.free = node.newer
    else:
        table.used += 1
        slot = table.used
        node = node_of(table, slot)
    table.count += 1
    node.key[0] = key[0]
    node.key[1] = key[1]
    node.key[2] = key[2]
    node.key[3] = key[3]
    node.key[4] = key[4]
    node.older = 0
    node.newer = 0
    while table.buckets[place].slot:
        place = (place + 1) & table.mask
    table.buckets[place].hash = hash
    table.buckets[place].slot = slot
    return slot


cdef inline void table_remove(Table *table, uint32_t slot) noexcept nogil:
    """Forget a key. It must stand in no list any more."""
    cdef Node *node = node_of(table, slot)
    cdef uint32_t place, after
    if table.leaving[slot % LEAVING] == slot:
        place = table.leaving_hash[slot % LEAVING] & table.mask
        table.leaving[slot % LEAVING] = 0
    else:
        place = table_hash(table, node.key) & table.mask
    while table.buckets[place].slot != slot:
        place = (place + 1) & table.mask
    # What stands behind the gap moves up into it, unless it would stand before its own bucket then.
    after = (place + 1) & table.mask
    while table.buckets[after].slot:
        if ((after - table.buckets[after].hash) & table.mask) >= ((after - place) & table.mask):
            table.buckets[place] = table.buckets[after]
            place = after
        after = (after + 1) & table.mask
    table.buckets[place].slot = 0
    node.newer = table.free
    table.free = slot
    table.count -= 1


cdef inline void list_fetch_next(const Table *table, uint32_t slot) noexcept nogil:
    """Have the entry brought that follows in a list."""
    cdef char *next = table.nodes + node_of(table, slot).newer * table.stride
    cdef size_t line
    for line in range(0, table.stride, 64):
        prefetch(next + line)


cdef inline void list_expect_removal(Table *table, const List *list) noexcept nogil:
    """Have brought what removing the oldest of a list takes, some entries ahead."""
    cdef uint32_t slot = list.oldest
    if slot:
        slot = node_of(table, slot).newer
    if slot and table.leaving[slot % LEAVING] != slot:
        table.leaving[slot % LEAVING] = slot
        table.leaving_hash[slot % LEAVING] = table_hash(table, node_of(table, slot).key)
        table_expect(table, table.leaving_hash[slot % LEAVING])
        prefetch(node_of(table, node_of(table, slot).newer))


cdef inline bint table_full(const Table *table) noexcept nogil:
    return table.count == table.capacity


cdef inline void list_append(Table *table, List *list, uint32_t slot, int64_t time) noexcept nogil:
    """Put a slot that stands in no list at a list's new end."""
    cdef Node *node = node_of(table, slot)
    node.time = time
    node.newer = 0
    node.older = list.newest
    if list.newest:
        node_of(table, list.newest).newer = slot
    else:
        list.oldest = slot
    list.newest = slot


cdef inline void list_remove(Table *table, List *list, uint32_t slot) noexcept nogil:
    cdef Node *node = node_of(table, slot)
    if node.older:
        node_of(table, node.older).newer = node.newer
    else:
        list.oldest = node.newer
    if node.newer:
        node_of(table, node.newer).older = node.older
    else:
        list.newest = node.older


cdef inline void list_renew(Table *table, List *list, uint32_t slot, int64_t time) noexcept nogil:
    """Move a slot to its list's new end."""
    if list.newest == slot:
        node_of(table, slot).time = time
        return
    list_remove(table, list, slot)
    list_append(table, list, slot, time)


cdef inline uint32_t table_restore(Table *table, List *list, const uint64_t *key, int64_t time) noexcept nogil:
    """Give a key that was saved a slot at a list's new end; 0 where it is there already, or older than the one before. The table must not be full."""
    cdef uint32_t hash = table_hash(table, key)
    cdef uint32_t slot
    if (list.newest and time < node_of(table, list.newest).time) or table_find(table, key, hash):
        return 0
    slot = table_insert(table, key, hash)
    list_append(table, list, slot, time)
    return slot
