"""A bounded hash table whose entries also stand in lists, oldest first: what flows, contacts, trackers and datagrams are kept in.

Entries are slots of one array; slot 0 is nobody. A slot holds its key, its place in a list and, behind these, what its owner keeps of it, so that an entry is found on neighbouring cache lines. Keys are
five 64-bit words. A group is a cache line of twelve places, each a slot and a byte of the hash of its key (its tag): all tags are compared at once, so that a key is found, or found not to be there,
without a guess where the search ends, which a processor would get wrong half of the time. What finds its own group full stands in one of the next, and each group on the way counts that it was passed
(Bronson and Shi, Open-sourcing F14 for faster, more memory-efficient hash tables, 2019). There are at most 32 keys for seven groups, so hardly any group is ever full. The hash multiplies pairs of 32-bit words with secret
random numbers added: strongly universal, so nobody can aim at a group (Thorup, High speed hashing for integers and strings, 2015, section 3.5). Nothing that is visible outside depends on it.

A table beyond the caches is slow where it is waited for: who knows what he will look for asks for the group early (`table_expect`), and for the entry some time after (`table_fetch`).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from iplog_core.kernel.ahead cimport prefetch

cdef struct Node:
    uint64_t key[5]
    uint32_t older
    uint32_t newer
    int64_t time

cdef enum:
    PLACES = 12
    FIRST_TAGS = 8

# A free place has the tag 0, and an old slot. The first eight tags stand in one word, the lowest byte first, the others in `more_tags`.
cdef struct Group:
    uint64_t tags
    uint32_t more_tags
    uint32_t passed
    uint32_t slots[PLACES]

cdef struct List:
    uint32_t oldest
    uint32_t newest

# So many entries whose removal is expected have their hash remembered.
cdef enum:
    LEAVING = 4

cdef struct Table:
    char *nodes
    Group *groups
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


cdef extern from *:
    """
    #if defined(__GNUC__)
    #define iplog_lowest(bits) ((unsigned) __builtin_ctzll(bits))
    #else
    static unsigned iplog_lowest(unsigned long long bits)
    {
        unsigned lowest = 0;
        for (; !(bits & 1); bits >>= 1)
            lowest++;
        return lowest;
    }
    #endif
    """
    uint32_t lowest "iplog_lowest"(uint64_t bits) noexcept nogil


cdef inline uint32_t tag_of(uint32_t hash) noexcept nogil:
    """Never 0, nor 1: what looks like a 1 by mistake (see `equal_bytes`) would be a free place, in which a slot stands that is forgotten."""
    cdef uint32_t tag = hash >> 24
    return tag if tag > 1 else tag + 2


cdef inline uint64_t equal_bytes(uint64_t word, uint32_t byte) noexcept nogil:
    """Set the highest bit of each byte of a word that equals `byte`, and maybe of one above such a byte that differs from it in the lowest bit only (Warren, Hacker's Delight, section 6-1)."""
    cdef uint64_t differing = word ^ byte * <uint64_t> 0x0101010101010101
    return (differing - <uint64_t> 0x0101010101010101) & ~differing & <uint64_t> 0x8080808080808080


cdef inline uint32_t equal_bytes_of_four(uint32_t word, uint32_t byte) noexcept nogil:
    cdef uint32_t differing = word ^ byte * <uint32_t> 0x01010101
    return (differing - <uint32_t> 0x01010101) & ~differing & <uint32_t> 0x80808080


cdef inline bint same_key(const uint64_t *one, const uint64_t *other) noexcept nogil:
    return one[4] == other[4] and one[1] == other[1] and one[3] == other[3] and one[0] == other[0] and one[2] == other[2]


cdef inline Node *node_of(const Table *table, uint32_t slot) noexcept nogil:
    return <Node *> (table.nodes + slot * table.stride)


cdef inline void *entry_of(const Table *table, uint32_t slot) noexcept nogil:
    """What the owner keeps of a slot: so many bytes as the table was opened for."""
    return <void *> (table.nodes + slot * table.stride + sizeof(Node))


cdef inline void table_expect(const Table *table, uint32_t hash) noexcept nogil:
    """Have the group of a key brought that will be looked for soon."""
    prefetch(&table.groups[hash & table.mask])


cdef inline uint32_t table_fetch(const Table *table, uint32_t hash) noexcept nogil:
    """Have the entry of a key brought that will be looked for next. Return its slot, most likely, or 0."""
    cdef const Group *group = &table.groups[hash & table.mask]
    cdef uint64_t found = equal_bytes(group.tags, tag_of(hash))
    cdef uint32_t slot
    cdef size_t line
    if not found:
        return 0
    slot = group.slots[lowest(found) >> 3]
    for line in range(0, table.stride, 64):
        prefetch(table.nodes + slot * table.stride + line)
    return slot


cdef inline uint32_t table_find(const Table *table, const uint64_t *key, uint32_t hash) noexcept nogil:
    """Return the slot of a key, or 0."""
    cdef uint32_t at = hash & table.mask
    cdef uint32_t tag = tag_of(hash)
    cdef const Group *group = &table.groups[at]
    cdef uint64_t found
    cdef uint32_t slot
    while True:
        found = equal_bytes(group.tags, tag)
        while found:
            slot = group.slots[lowest(found) >> 3]
            if same_key(node_of(table, slot).key, key):
                return slot
            found &= found - 1
        if group.more_tags:
            found = equal_bytes_of_four(group.more_tags, tag)
            while found:
                slot = group.slots[FIRST_TAGS + (lowest(found) >> 3)]
                if same_key(node_of(table, slot).key, key):
                    return slot
                found &= found - 1
        if not group.passed:
            return 0
        at = (at + 1) & table.mask
        if at == hash & table.mask:
            return 0
        group = &table.groups[at]


cdef inline uint32_t table_insert(Table *table, const uint64_t *key, uint32_t hash) noexcept nogil:
    """Give a new key a slot. The caller makes room first: the table must not be full."""
    cdef uint32_t slot = table.free
    cdef uint32_t at = hash & table.mask
    cdef uint64_t free
    cdef uint32_t place
    cdef Group *group = &table.groups[at]
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
    while True:
        free = equal_bytes(group.tags, 0)
        if free:
            place = lowest(free) >> 3
            group.tags |= <uint64_t> tag_of(hash) << 8 * place
            break
        free = equal_bytes_of_four(group.more_tags, 0)
        if free:
            place = lowest(free) >> 3
            group.more_tags |= tag_of(hash) << 8 * place
            place += FIRST_TAGS
            break
        group.passed += 1
        at = (at + 1) & table.mask
        group = &table.groups[at]
    group.slots[place] = slot
    return slot


cdef inline bint take_out(Group *group, uint32_t tag, uint32_t slot) noexcept nogil:
    """Free the place of a slot; return False where it has none in this group."""
    cdef uint64_t found = equal_bytes(group.tags, tag)
    cdef uint32_t place
    while found:
        place = lowest(found) >> 3
        if group.slots[place] == slot:
            group.tags &= ~(<uint64_t> 0xFF << 8 * place)
            return True
        found &= found - 1
    found = equal_bytes_of_four(group.more_tags, tag)
    while found:
        place = lowest(found) >> 3
        if group.slots[FIRST_TAGS + place] == slot:
            group.more_tags &= ~(<uint32_t> 0xFF << 8 * place)
            return True
        found &= found - 1
    return False


cdef inline void table_remove(Table *table, uint32_t slot) noexcept nogil:
    """Forget a key. It must stand in no list any more."""
    cdef Node *node = node_of(table, slot)
    cdef uint32_t hash, at
    cdef Group *group
    if table.leaving[slot % LEAVING] == slot:
        hash = table.leaving_hash[slot % LEAVING]
        table.leaving[slot % LEAVING] = 0
    else:
        hash = table_hash(table, node.key)
    at = hash & table.mask
    group = &table.groups[at]
    while not take_out(group, tag_of(hash), slot):
        group.passed -= 1
        at = (at + 1) & table.mask
        group = &table.groups[at]
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
