"""Who did how much of something: per key, in packet time, the packets, the bytes, the distinct values; and which keys crossed a threshold.

A key is made of a packet's source, target and target port, as far as the tracker looks at them. Each counts what its threshold asks for:

- distinct values (target ports, targets, sources), each for `memory` after it was first counted;
- packets, where there is no distinct value: the same, every packet a value of its own;
- a rate: a leaky bucket that drains `rate` packets a second (ITU-T I.371, generic cell rate algorithm).

A key that reaches the threshold is alerting until it has been quiet for `expiry`; a bucket is quiet when it is less than half full. Flows that are answered take back what their opening
counted. At most `capacity` keys and `values` distinct values are kept; the coldest key that is not alerting goes first, then the coldest that is, which ends it. A key holds half of the values at the most.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from iplog_core.kernel.columns cimport Columns, columns_of
from iplog_core.kernel.flows cimport ANSWERED, LATE, PENDING, PHASE_DEADLINE, PHASE_END, PHASE_PACKET, FlowRow
from iplog_core.kernel.table cimport (
    List, Table, list_append, list_remove, list_renew, table_close, table_find, table_full, table_hash, table_insert, table_open, table_remove,
)

cdef enum:
    OUTCOMES = 6
    SAMPLES = 10
    SPORTS = 6

cdef enum Distinct:
    NO_VALUE, BY_DPORT, BY_DST, BY_SRC

cdef enum KeyPart:
    KEY_SRC = 1, KEY_DST = 2, KEY_DPORT = 4

KEY_PARTS = {"pair": KEY_SRC | KEY_DST, "source": KEY_SRC, "target": KEY_DST, "source_port": KEY_SRC | KEY_DPORT, "target_port": KEY_DST | KEY_DPORT}
DISTINCT = {None: NO_VALUE, "dest_port": BY_DPORT, "dest": BY_DST, "source": BY_SRC}

# One packet or decided flow, as far as a tracker looks at it.
cdef struct Touch:
    int64_t time
    int64_t index
    uint64_t src_hi
    uint64_t src_lo
    uint64_t dst_hi
    uint64_t dst_lo
    uint32_t bytes
    uint16_t sport
    uint16_t dport
    uint16_t interface
    uint8_t kind
    uint8_t version
    uint8_t proto
    uint8_t icmp_type
    uint8_t icmp_code
    uint8_t phase

cdef struct Entry:
    int64_t first
    int64_t last
    int64_t filled
    uint64_t packets
    uint64_t bytes
    uint64_t next_update
    double level
    List values
    uint32_t distinct
    uint32_t outcomes[OUTCOMES]
    uint16_t sports[SPORTS]
    uint8_t sport_count
    uint8_t alerting
    Touch touch


cdef class Tracker:
    """See above. `memory` and `expiry` are in ns, `rate` in packets a second (0: the threshold counts values or packets)."""

    cdef Table table
    cdef Table values
    cdef List quiet
    cdef List alerting
    cdef Entry *entries
    cdef uint8_t *outcomes
    cdef int64_t memory
    cdef int64_t expiry
    cdef double threshold
    cdef double rate
    cdef int key_parts
    cdef int distinct
    cdef uint32_t most_values
    cdef readonly int64_t evicted
    cdef object make
    cdef list changes

    def __cinit__(
        self, make, *, str key, object distinct, double threshold, double rate, int64_t memory, int64_t expiry, uint32_t capacity, uint32_t values,
        bytes secret=b"",
    ):
        self.make = make
        self.key_parts = KEY_PARTS[key]
        self.distinct = DISTINCT[distinct]
        self.threshold = threshold
        self.rate = rate
        self.memory = memory
        self.expiry = expiry
        self.most_values = values // 2 if values > 1 else 1
        self.changes = []
        table_open(&self.table, capacity, secret)
        table_open(&self.values, values, secret)
        self.entries = <Entry *> calloc(<size_t> capacity + 1, sizeof(Entry))
        self.outcomes = <uint8_t *> calloc(<size_t> values + 1, 1)
        if self.entries == NULL or self.outcomes == NULL:
            raise MemoryError(f"no memory for {capacity:,} keys")

    def __dealloc__(self):
        table_close(&self.table)
        table_close(&self.values)
        free(self.entries)
        free(self.outcomes)

    def __len__(self):
        return self.table.count

    def update(
        self, uint8_t[::1] block, Py_ssize_t n, const int64_t[::1] rows, const uint8_t[::1] flows, const int64_t[::1] decided, bint adds,
        int64_t now, bint final,
    ):
        """Take the packets in `rows` of a batch and the flows in `decided`, in the order in which they happened, and let time pass up to `now`.

        A failed flow counts by itself where `adds`, else it only tells the outcome of what its opening counted. Return what `make` made of each
        change. `final` ends every episode.
        """
        cdef Columns c
        cdef const FlowRow *all_flows = NULL
        cdef const FlowRow *f
        cdef Py_ssize_t packet = 0, flow = 0, packets = rows.shape[0], flow_count = decided.shape[0]
        cdef Py_ssize_t i
        cdef Touch touch
        cdef list changes
        memset(&touch, 0, sizeof(Touch))
        if packets:
            c = columns_of(&block[0], n)
        if flow_count:
            all_flows = <const FlowRow *> &flows[0]
        while packet < packets or flow < flow_count:
            if flow < flow_count:
                f = &all_flows[decided[flow]]
                if packet == packets or comes_first(f, c.clock[rows[packet]], c.index[rows[packet]]):
                    flow += 1
                    flow_touch(f, &touch)
                    self.expire(touch.time)
                    self.take_flow(f, &touch, adds)
                    continue
            i = rows[packet]
            packet += 1
            packet_touch(&c, i, &touch)
            self.expire(touch.time)
            self.count(&touch, PENDING)
        self.expire(now)
        if final:
            while self.alerting.oldest:
                self.end(self.alerting.oldest, now, PHASE_END, self.entries[self.alerting.oldest].touch.index)
        changes = self.changes
        self.changes = []
        return changes

    cdef int expire(self, int64_t now) except -1:
        """End what has been quiet for long enough, and forget what nobody did for a while."""
        cdef int64_t due
        while self.alerting.oldest:
            due = self.table.nodes[self.alerting.oldest].time + self.expiry
            if due > now:
                break
            self.end(self.alerting.oldest, due, PHASE_DEADLINE, self.entries[self.alerting.oldest].touch.index)
        while self.quiet.oldest and self.table.nodes[self.quiet.oldest].time + self.memory <= now:
            self.forget(self.quiet.oldest)
        return 0

    cdef int take_flow(self, const FlowRow *f, const Touch *touch, bint adds) except -1:
        if f.outcome == ANSWERED or f.outcome == LATE:
            self.withdraw(touch)
        elif f.outcome != PENDING:
            if adds:
                self.count(touch, f.outcome)
            else:
                self.tell(touch, f.outcome)
        return 0

    cdef int count(self, const Touch *touch, uint8_t outcome) except -1:
        """Count a packet or a failed flow for its key."""
        cdef uint64_t[5] key
        cdef uint32_t hash, slot
        cdef Entry *e
        cdef bint lively = True
        self.key_of(touch, key)
        hash = table_hash(&self.table, key)
        slot = table_find(&self.table, key, hash)
        if not slot:
            if table_full(&self.table):
                self.evict(touch, 0)
            slot = table_insert(&self.table, key, hash)
            memset(&self.entries[slot], 0, sizeof(Entry))
            self.entries[slot].first = touch.time
            list_append(&self.table, &self.quiet, slot, touch.time)
        e = &self.entries[slot]
        if not e.alerting:
            self.fade(slot, e, touch.time)
        e.packets += 1
        e.bytes += touch.bytes
        e.last = touch.time
        if not e.alerting:
            e.touch = touch[0]
        add_sport(e, touch.sport)
        if self.distinct != NO_VALUE or (self.rate == 0 and not e.alerting):
            self.add_value(slot, e, touch, outcome)
        if self.rate > 0:
            e.level = drained(e, touch.time, self.rate) + 1
            if e.level > self.threshold:
                e.level = self.threshold
            e.filled = touch.time
            lively = e.level >= self.threshold / 2
        if e.alerting:
            if lively:
                list_renew(&self.table, &self.alerting, slot, touch.time)
            if e.packets >= e.next_update:
                e.next_update *= 10
                self.tell_change(slot, "update", touch.time, touch.phase, touch.index)
        elif (e.level if self.rate > 0 else e.distinct) >= self.threshold:
            e.alerting = True
            e.next_update = e.packets * 10
            list_remove(&self.table, &self.quiet, slot)
            list_append(&self.table, &self.alerting, slot, touch.time)
            self.tell_change(slot, "start", touch.time, touch.phase, touch.index)
        else:
            list_renew(&self.table, &self.quiet, slot, touch.time)
        return 0

    cdef void withdraw(self, const Touch *touch) noexcept:
        """An opening was answered after all: it is no evidence, and a key without any is forgotten. What an alert has told already stays told."""
        cdef uint64_t[5] key
        cdef uint32_t slot, value
        cdef Entry *e
        self.key_of(touch, key)
        slot = table_find(&self.table, key, table_hash(&self.table, key))
        if not slot:
            return
        e = &self.entries[slot]
        if self.rate > 0 and not e.alerting:
            e.level = drained(e, touch.time, self.rate)
            e.level = e.level - 1 if e.level > 1 else 0
            e.filled = touch.time
        value = self.find_value(slot, touch)
        if value and e.alerting:
            self.set_outcome(e, value, ANSWERED)
        elif value:
            self.remove_value(e, value)
        if not e.alerting and e.level <= 0 and (e.distinct == 0 or self.rate > 0):
            self.forget(slot)

    cdef void tell(self, const Touch *touch, uint8_t outcome) noexcept:
        """Note how the opening that counted a value went."""
        cdef uint64_t[5] key
        cdef uint32_t slot, value
        self.key_of(touch, key)
        slot = table_find(&self.table, key, table_hash(&self.table, key))
        if slot:
            value = self.find_value(slot, touch)
            if value and self.outcomes[value] == PENDING:
                self.set_outcome(&self.entries[slot], value, outcome)

    # Values: each in its key's list, oldest first.

    cdef void value_key(self, uint32_t slot, const Touch *touch, uint64_t *key) noexcept:
        key[0] = slot
        key[1] = 0
        key[2] = 0
        key[3] = 0
        key[4] = 0
        if self.distinct == BY_DPORT:
            key[3] = touch.dport
        elif self.distinct == BY_DST:
            key[1] = touch.dst_hi
            key[2] = touch.dst_lo
        elif self.distinct == BY_SRC:
            key[1] = touch.src_hi
            key[2] = touch.src_lo
        else:
            key[4] = touch.index

    cdef uint32_t find_value(self, uint32_t slot, const Touch *touch) noexcept:
        cdef uint64_t[5] key
        self.value_key(slot, touch, key)
        return table_find(&self.values, key, table_hash(&self.values, key))

    cdef int add_value(self, uint32_t slot, Entry *e, const Touch *touch, uint8_t outcome) except -1:
        cdef uint64_t[5] key
        cdef uint32_t hash, value
        self.value_key(slot, touch, key)
        hash = table_hash(&self.values, key)
        value = table_find(&self.values, key, hash)
        if value:
            if self.outcomes[value] == PENDING:
                self.set_outcome(e, value, outcome)
            return 0
        if e.distinct >= self.most_values:
            self.evicted += 1
            return 0
        while table_full(&self.values):
            self.evict(touch, slot)
        value = table_insert(&self.values, key, hash)
        list_append(&self.values, &e.values, value, touch.time)
        self.outcomes[value] = outcome
        e.outcomes[outcome] += 1
        e.distinct += 1
        return 0

    cdef void set_outcome(self, Entry *e, uint32_t value, uint8_t outcome) noexcept:
        e.outcomes[self.outcomes[value]] -= 1
        e.outcomes[outcome] += 1
        self.outcomes[value] = outcome

    cdef void remove_value(self, Entry *e, uint32_t value) noexcept:
        e.outcomes[self.outcomes[value]] -= 1
        e.distinct -= 1
        list_remove(&self.values, &e.values, value)
        table_remove(&self.values, value)

    cdef void fade(self, uint32_t slot, Entry *e, int64_t now) noexcept:
        """Drop the values whose time is over; a key with none left, or an empty bucket, begins anew."""
        while e.values.oldest and self.values.nodes[e.values.oldest].time + self.memory <= now:
            self.remove_value(e, e.values.oldest)
        if e.distinct == 0 and (self.rate == 0 or drained(e, now, self.rate) <= 0):
            e.first = now
            e.packets = 0
            e.bytes = 0
            e.sport_count = 0
        elif e.values.oldest and self.rate == 0 and e.first + self.memory <= now:
            e.first = self.values.nodes[e.values.oldest].time

    # Keys.

    cdef void key_of(self, const Touch *touch, uint64_t *key) noexcept:
        key[0] = touch.src_hi if self.key_parts & KEY_SRC else 0
        key[1] = touch.src_lo if self.key_parts & KEY_SRC else 0
        key[2] = touch.dst_hi if self.key_parts & KEY_DST else 0
        key[3] = touch.dst_lo if self.key_parts & KEY_DST else 0
        key[4] = touch.dport if self.key_parts & KEY_DPORT else 0

    cdef int evict(self, const Touch *touch, uint32_t spared) except -1:
        """Make room: forget the coldest key other than `spared`; where there is no other, that one's oldest value."""
        cdef uint32_t slot = self.quiet.oldest
        if slot == spared and slot:
            slot = self.table.nodes[slot].newer
        if not slot:
            slot = self.alerting.oldest
            if slot == spared and slot:
                slot = self.table.nodes[slot].newer
        self.evicted += 1
        if not slot:
            self.remove_value(&self.entries[spared], self.entries[spared].values.oldest)
        elif self.entries[slot].alerting:
            self.end(slot, touch.time, touch.phase, touch.index)
        else:
            self.forget(slot)
        return 0

    cdef int end(self, uint32_t slot, int64_t time, uint8_t phase, int64_t index) except -1:
        self.tell_change(slot, "end", time, phase, index)
        self.forget(slot)
        return 0

    cdef void forget(self, uint32_t slot) noexcept:
        cdef Entry *e = &self.entries[slot]
        while e.values.oldest:
            self.remove_value(e, e.values.oldest)
        list_remove(&self.table, &self.alerting if e.alerting else &self.quiet, slot)
        table_remove(&self.table, slot)

    cdef int tell_change(self, uint32_t slot, str state, int64_t time, uint8_t phase, int64_t index) except -1:
        cdef Entry *e = &self.entries[slot]
        cdef const Touch *t = &e.touch
        cdef uint32_t value = e.values.oldest
        cdef list samples = []
        cdef const uint64_t *key
        while value and len(samples) < SAMPLES:
            key = self.values.nodes[value].key
            if self.distinct == BY_DPORT:
                samples.append(key[3])
            else:
                samples.append((key[1], key[2]))
            value = self.values.nodes[value].newer
        self.changes.append(self.make(
            state=state, time=time, phase=phase, index=index,
            src=(t.src_hi, t.src_lo), dst=(t.dst_hi, t.dst_lo), sport=t.sport, dport=t.dport, kind=t.kind, version=t.version, proto=t.proto,
            icmp_type=t.icmp_type, icmp_code=t.icmp_code, interface=t.interface,
            first=e.first, last=e.last, packets=e.packets, bytes=e.bytes,
            samples=samples if self.distinct != NO_VALUE else [], distinct=e.distinct if self.distinct != NO_VALUE else 0,
            sports=[e.sports[k] for k in range(e.sport_count)], outcomes=[e.outcomes[k] for k in range(OUTCOMES)],
        ))
        return 0


cdef inline bint comes_first(const FlowRow *f, int64_t time, int64_t index) noexcept:
    """Tell whether a decided flow comes before the packet `index` at `time`: by time, a deadline before packets, a decision before what its packet opens."""
    if f.time != time:
        return f.time < time
    return f.phase == PHASE_DEADLINE or (f.phase == PHASE_PACKET and f.index <= index)


cdef inline void packet_touch(const Columns *c, Py_ssize_t i, Touch *touch) noexcept:
    touch.time = c.clock[i]
    touch.index = c.index[i]
    touch.src_hi = c.src_hi[i]
    touch.src_lo = c.src_lo[i]
    touch.dst_hi = c.dst_hi[i]
    touch.dst_lo = c.dst_lo[i]
    touch.bytes = c.length[i]
    touch.sport = c.sport[i]
    touch.dport = c.dport[i]
    touch.interface = c.interface[i]
    touch.kind = c.kind[i]
    touch.version = c.version[i]
    touch.proto = c.proto[i]
    touch.icmp_type = c.icmp_type[i]
    touch.icmp_code = c.icmp_code[i]
    touch.phase = PHASE_PACKET


cdef inline void flow_touch(const FlowRow *f, Touch *touch) noexcept:
    touch.time = f.time
    touch.index = f.index
    touch.src_hi = f.src_hi
    touch.src_lo = f.src_lo
    touch.dst_hi = f.dst_hi
    touch.dst_lo = f.dst_lo
    touch.bytes = f.length
    touch.sport = f.sport
    touch.dport = f.dport
    touch.interface = f.interface
    touch.kind = f.kind
    touch.version = f.version
    touch.proto = f.proto
    touch.icmp_type = f.icmp_type
    touch.icmp_code = f.icmp_code
    touch.phase = f.phase


cdef inline double drained(const Entry *e, int64_t now, double rate) noexcept:
    """What is left in a bucket."""
    cdef double left = e.level - (now - e.filled) * 1e-9 * rate
    return left if left > 0 else 0


cdef inline void add_sport(Entry *e, uint16_t sport) noexcept:
    """Remember the first few distinct source ports; one more than is shown tells that there are more."""
    cdef int k
    if e.sport_count == SPORTS:
        return
    for k in range(e.sport_count):
        if e.sports[k] == sport:
            return
    e.sports[e.sport_count] = sport
    e.sport_count += 1
