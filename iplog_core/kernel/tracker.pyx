"""Who did how much of something: per key, in packet time, the packets, the bytes, the distinct values; and which keys crossed a threshold.

A key is made of a packet's source, target, target port and label, as far as the tracker looks at them. Each counts what its threshold asks for:

- distinct values (target ports, targets, sources, labels), each for `memory` after it was first counted;
- packets, where there is no distinct value: the same, every packet a value of its own;
- a rate: a leaky bucket that drains `rate` packets a second (ITU-T I.371, generic cell rate algorithm).

A key that reaches the threshold is alerting until it has been quiet for `expiry`; a bucket is quiet when it is less than half full. Flows that are answered take back what their opening
counted. Where there are doubts (see `convinced`), a threshold is reached only by evidence that has none. `hint` is a lower threshold, which makes a key a suspect.

At most `capacity` keys and `values` distinct values are kept. What goes first is the coldest key with one value, then the coldest with more, then the coldest that is alerting, which ends
it. A key leaves a sixteenth of the values to others. The only value of a key stands in the key itself: a flood from random sources makes many keys of one value.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

import cython

from iplog_core.kernel.ahead cimport FAR, NEAR
from iplog_core.kernel.columns cimport KIND_FRAGMENT, Columns, columns_of
from iplog_core.kernel.flows cimport ANSWERED, HALF_OPEN, LATE, PENDING, PHASE_DEADLINE, PHASE_END, PHASE_PACKET, REFUSED, SILENT, FlowRow
from iplog_core.kernel.table cimport (
    List, Table, entry_of, list_append, list_expect_removal, list_remove, list_renew, node_of, table_close, table_expect, table_fetch, table_find, table_full, table_hash, table_insert, table_open, table_remove, table_restore, table_use,
)

cdef enum:
    OUTCOMES = 6
    SPORTS = 6

cdef enum Distinct:
    NO_VALUE, BY_DPORT, BY_DST, BY_SRC, BY_LABEL

cdef enum KeyPart:
    KEY_SRC = 1, KEY_DST = 2, KEY_DPORT = 4, KEY_LABEL = 8

# What a key does: it has one value, several, or has reached the threshold.
cdef enum:
    QUIET, WARM, ALERTING, TIERS

cdef enum Doubts:
    NO_DOUBTS, PENDING_DOUBTED, STRAYS_DOUBTED, SILENCE_DOUBTED

# What a row that is handed in is for.
cdef enum Role:
    ROLE_SURE = 1, ROLE_AGAINST = 2

# What is told of a row: a suspect's new value, one of the first; any row of a suspect; the row by which a key reached the threshold.
cdef enum Mark:
    MARK_NEW = 1, MARK_SUSPECT = 2, MARK_START = 4

KEY_PARTS = {
    "pair": KEY_SRC | KEY_DST, "source": KEY_SRC, "target": KEY_DST, "source_port": KEY_SRC | KEY_DPORT, "target_port": KEY_DST | KEY_DPORT,
    "source_label": KEY_SRC | KEY_LABEL, "target_label": KEY_DST | KEY_LABEL,
}
DISTINCT = {None: NO_VALUE, "dest_port": BY_DPORT, "dest": BY_DST, "source": BY_SRC, "label": BY_LABEL}
DOUBTS = {None: NO_DOUBTS, "pending": PENDING_DOUBTED, "strays": STRAYS_DOUBTED, "silence": SILENCE_DOUBTED}

# What answers take: an opening that waits for longer is hardly answered any more (RFC 6298: a retransmission comes after a second).
cdef int64_t PATIENCE = 1_000_000_000
# So many times the threshold leave no doubt.
cdef int BEYOND_DOUBT = 4

# One packet or decided flow, as far as a tracker looks at it, and what is kept of it: a cache line.
cdef struct Face:
    int64_t index
    uint64_t src_hi
    uint64_t src_lo
    uint64_t dst_hi
    uint64_t dst_lo
    uint64_t label
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

cdef struct Touch:
    int64_t time
    Face face

# A row that is soon taken, and the key it will count for.
cdef struct Coming:
    Touch touch
    uint64_t key[5]
    uint32_t hash

# With its key and its place in a list: two cache lines for a key that was counted once (`lone`), and two more for what means something only from the second time on.
cdef struct Entry:
    uint8_t tier
    uint8_t lone
    uint8_t suspect
    uint8_t many_sources
    uint8_t single_outcome
    uint8_t sport_count
    uint8_t spare[2]
    Face face
    int64_t first
    int64_t last
    int64_t filled
    int64_t single_since
    uint64_t packets
    uint64_t bytes
    uint64_t next_update
    double level
    List values
    uint32_t distinct
    uint32_t heard
    uint32_t outcomes[OUTCOMES]
    uint16_t sports[SPORTS]

# What `dump` writes and `load` reads: a key with its place in the table and in its list and how many values it has there, and such a value.
cdef struct SavedKey:
    uint64_t key[5]
    int64_t time
    uint32_t values
    uint32_t padding
    Entry entry

cdef struct SavedValue:
    uint64_t key[5]
    int64_t time
    uint8_t outcome


@cython.final
cdef class Tracker:
    """See above. `memory` and `expiry` are in ns, `rate` in packets a second (0: the threshold counts values or packets), `hint` 0 for none.

    `make` makes of each change what `update` returns; where it is None only the marks tell. `samples` values are shown of each key, and
    no more than `most` of them (0: any number) are told apart.
    """

    cdef Table table
    cdef Table values
    cdef List[TIERS] lists
    cdef int64_t memory
    cdef int64_t expiry
    cdef int64_t next_expiry
    cdef double threshold
    cdef double rate
    cdef int key_parts
    cdef int distinct
    cdef int doubts
    cdef uint64_t[5] before
    cdef uint32_t before_hash
    cdef bint lone_is_nothing
    cdef uint32_t hint
    cdef int samples
    cdef uint32_t most_values
    cdef uint32_t most
    cdef readonly int64_t evicted
    cdef object make
    cdef list changes
    cdef uint8_t mark

    def __cinit__(
        self, make, *, str key, object distinct, double threshold, double rate, int64_t memory, int64_t expiry, uint32_t capacity, uint32_t values,
        object doubts=None, uint32_t hint=0, int samples=10, uint32_t most=0, bytes secret=b"",
    ):
        self.make = make
        self.key_parts = KEY_PARTS[key]
        self.distinct = DISTINCT[distinct]
        self.doubts = DOUBTS[doubts]
        self.threshold = threshold
        self.hint = hint
        self.lone_is_nothing = threshold > 1 and hint != 1
        self.samples = samples
        self.most = most
        self.rate = rate
        self.memory = memory
        self.expiry = expiry
        self.most_values = values - values // 16
        self.changes = []
        table_open(&self.table, capacity, sizeof(Entry), secret)
        self.before_hash = table_hash(&self.table, self.before)
        table_open(&self.values, values, sizeof(uint8_t), secret)

    def __dealloc__(self):
        table_close(&self.table)
        table_close(&self.values)

    def __len__(self):
        return self.table.count

    cdef inline Entry *at(self, uint32_t slot) noexcept:
        return <Entry *> entry_of(&self.table, slot)

    cdef inline uint8_t *value_outcome(self, uint32_t value) noexcept:
        return <uint8_t *> entry_of(&self.values, value)

    def update(
        self, uint8_t[::1] block, Py_ssize_t n, const int64_t[::1] rows, const uint8_t[::1] roles, const uint64_t[::1] labels,
        const uint8_t[::1] flows, const int64_t[::1] decided, const uint8_t[::1] flow_roles, const uint64_t[::1] flow_labels,
        bint adds, int64_t now, bint final, uint8_t[::1] marks,
    ):
        """Take the packets in `rows` of a batch and the flows in `decided`, in the order in which they happened, and let time pass up to `now`.

        A failed flow counts by itself where `adds`, else it only tells the outcome of what its opening counted. Roles and labels go with rows and decided; none
        at all stand for sure ones without a label. `marks`, one for each packet of the batch or none, is filled in. Return what `make` made of each change.
        `final` ends every episode.
        """
        cdef Columns c
        cdef const FlowRow *all_flows = NULL
        cdef const FlowRow *f
        cdef Py_ssize_t packet = 0, flow = 0, packets = rows.shape[0], flow_count = decided.shape[0]
        cdef bint with_roles = roles.shape[0] > 0, with_flow_roles = flow_roles.shape[0] > 0
        cdef bint with_labels = labels.shape[0] > 0, with_flow_labels = flow_labels.shape[0] > 0, with_marks = marks.shape[0] > 0
        cdef Py_ssize_t i
        cdef Coming[FAR] coming_packets
        cdef Coming[FAR] coming_flows
        cdef Coming *coming
        cdef uint8_t role
        if packets:
            c = columns_of(&block[0], n)
        if flow_count:
            all_flows = <const FlowRow *> &flows[0]
        for i in range(min(packets, FAR)):
            self.packet_comes(&c, rows[i], labels[i] if with_labels else 0, &coming_packets[i])
        for i in range(min(flow_count, FAR)):
            if self.says_something(&all_flows[decided[i]], adds, flow_roles[i] if with_flow_roles else ROLE_SURE):
                self.flow_comes(&all_flows[decided[i]], flow_labels[i] if with_flow_labels else 0, &coming_flows[i])
        while packet < packets or flow < flow_count:
            if flow < flow_count:
                f = &all_flows[decided[flow]]
                if packet == packets or comes_first(f, c.clock[rows[packet]], c.index[rows[packet]]):
                    coming = &coming_flows[flow % FAR]
                    if flow + NEAR < flow_count:
                        self.fetch(&coming_flows[(flow + NEAR) % FAR])
                    role = flow_roles[flow] if with_flow_roles else ROLE_SURE
                    if self.says_something(f, adds, role):
                        self.expire(f.time)
                        self.take_flow(f, coming, adds, role)
                    i = flow + FAR
                    if i < flow_count and self.says_something(&all_flows[decided[i]], adds, flow_roles[i] if with_flow_roles else ROLE_SURE):
                        self.flow_comes(&all_flows[decided[i]], flow_labels[i] if with_flow_labels else 0, coming)
                    flow += 1
                    continue
            coming = &coming_packets[packet % FAR]
            role = roles[packet] if with_roles else ROLE_SURE
            if packet + NEAR < packets:
                self.fetch(&coming_packets[(packet + NEAR) % FAR])
            self.expire(coming.touch.time)
            if role & ROLE_AGAINST:
                self.withdraw(coming)
            else:
                self.count(coming, PENDING, role & ROLE_SURE)
                if with_marks:
                    marks[rows[packet]] = self.mark
            i = packet + FAR
            if i < packets:
                self.packet_comes(&c, rows[i], labels[i] if with_labels else 0, coming)
            packet += 1
        return self.wait(now, final)

    cpdef list wait(self, int64_t now, bint final):
        """Let time pass up to `now`, as `update` does where there is nothing to take."""
        cdef list changes
        self.expire(now)
        if final:
            while self.lists[ALERTING].oldest:
                self.end(self.lists[ALERTING].oldest, now, PHASE_END, self.at(self.lists[ALERTING].oldest).face.index)
        changes = self.changes
        self.changes = []
        return changes

    cdef inline bint says_something(self, const FlowRow *f, bint adds, uint8_t role) noexcept:
        """Tell whether a flow changes anything: one that was never decided says nothing before the end, and a bucket which counted what opened it hears of answers only."""
        if role & ROLE_AGAINST or f.outcome == ANSWERED or f.outcome == LATE:
            return True
        return (f.outcome != PENDING or f.phase == PHASE_END) and (adds or self.distinct != NO_VALUE or self.rate == 0)

    cdef inline void packet_comes(self, const Columns *c, Py_ssize_t i, uint64_t label, Coming *coming) noexcept:
        self.expect(coming, c.src_hi[i], c.src_lo[i], c.dst_hi[i], c.dst_lo[i], c.dport[i], label, c.version[i])
        packet_touch(c, i, label, &coming.touch)

    cdef inline void flow_comes(self, const FlowRow *f, uint64_t label, Coming *coming) noexcept:
        self.expect(coming, f.src_hi, f.src_lo, f.dst_hi, f.dst_lo, f.dport, label, f.version)
        flow_touch(f, label, &coming.touch)

    cdef inline void expect(
        self, Coming *coming, uint64_t src_hi, uint64_t src_lo, uint64_t dst_hi, uint64_t dst_lo, uint16_t dport, uint64_t label, uint8_t version
    ) noexcept:
        """Make the key of a row that comes, and have its group brought. A target that is flooded comes many times in a row.

        The version keeps IPv6 packets that forge a mapped address apart from IPv4.
        """
        cdef uint64_t *key = coming.key
        cdef uint64_t *before = self.before
        cdef int parts = self.key_parts
        if not parts & KEY_SRC:
            src_hi = src_lo = 0
        if not parts & KEY_DST:
            dst_hi = dst_lo = 0
        label = (dport if parts & KEY_DPORT else label if parts & KEY_LABEL else 0) | <uint64_t> (version == 6) << 63
        key[0] = src_hi
        key[1] = src_lo
        key[2] = dst_hi
        key[3] = dst_lo
        key[4] = label
        if src_lo != before[1] or dst_lo != before[3] or label != before[4] or src_hi != before[0] or dst_hi != before[2]:
            self.before_hash = table_hash(&self.table, key)
            before[0] = src_hi
            before[1] = src_lo
            before[2] = dst_hi
            before[3] = dst_lo
            before[4] = label
            table_expect(&self.table, self.before_hash)
        coming.hash = self.before_hash

    cdef void fetch(self, const Coming *coming) noexcept:
        cdef uint64_t[5] key
        cdef uint32_t slot = table_fetch(&self.table, coming.hash)
        if slot and self.values.count:
            self.value_key(slot, &coming.touch.face, key)
            table_expect(&self.values, table_hash(&self.values, key))

    cdef inline int expire(self, int64_t now) except -1:
        """End what has been quiet for long enough, and forget what nobody did for a while."""
        return self.run_expiry(now) if now >= self.next_expiry else 0

    cdef int run_expiry(self, int64_t now) except -1:
        cdef int64_t due
        cdef int tier
        while self.lists[ALERTING].oldest:
            due = node_of(&self.table, self.lists[ALERTING].oldest).time + self.expiry
            if due > now:
                break
            self.end(self.lists[ALERTING].oldest, due, PHASE_DEADLINE, self.at(self.lists[ALERTING].oldest).face.index)
        for tier in range(ALERTING):
            while self.lists[tier].oldest and node_of(&self.table, self.lists[tier].oldest).time + self.memory <= now:
                list_expect_removal(&self.table, &self.lists[tier])
                self.forget(self.lists[tier].oldest)
        # What comes into a list from now on is due later than what stands there, or than now would be.
        self.next_expiry = self.due_of(ALERTING, self.expiry, now)
        for tier in range(ALERTING):
            self.next_expiry = min(self.next_expiry, self.due_of(tier, self.memory, now))
        return 0

    cdef inline int64_t due_of(self, int tier, int64_t span, int64_t now) noexcept:
        return (node_of(&self.table, self.lists[tier].oldest).time if self.lists[tier].oldest else now) + span

    cdef int take_flow(self, const FlowRow *f, const Coming *coming, bint adds, uint8_t role) except -1:
        if role & ROLE_AGAINST or f.outcome == ANSWERED or f.outcome == LATE:
            self.withdraw(coming)
        elif adds:
            self.count(coming, f.outcome, role & ROLE_SURE)
        else:
            self.tell(coming, f.outcome, role & ROLE_SURE)
        return 0

    cdef int count(self, const Coming *coming, uint8_t outcome, bint sure) except -1:
        """Count a packet or a failed flow for its key."""
        cdef const Touch *touch = &coming.touch
        cdef uint32_t slot = table_find(&self.table, coming.key, coming.hash)
        cdef Entry *e
        cdef bint lively = True, fresh = False
        if not slot:
            if table_full(&self.table):
                self.evict(touch, 0)
            slot = table_insert(&self.table, coming.key, coming.hash)
            self.begin(slot, self.at(slot), touch, outcome)
            if self.lone_is_nothing:
                self.mark = 0
                return 0
            e = self.at(slot)
            e.lone = False
            memset(&e.first, 0, sizeof(Entry) - (<char *> &e.first - <char *> e))
            e.first = touch.time
            e.sport_count = 0
        e = self.at(slot)
        if e.lone:
            self.unfold(slot, e)
        if e.tier != ALERTING:
            self.fade(e, touch.time)
        # Whom an alert names does not change any more once it has started: its id depends on it.
        if e.tier != ALERTING and e.packets and (touch.face.src_lo != e.face.src_lo or touch.face.src_hi != e.face.src_hi):
            e.many_sources = True
        e.packets += 1
        e.bytes += touch.face.bytes
        e.last = touch.time
        add_sport(e, touch.face.sport)
        if self.distinct != NO_VALUE or (self.rate == 0 and e.tier != ALERTING):
            fresh = self.add_value(slot, e, touch, outcome)
        # The touch of a key with one value holds that value.
        if e.tier != ALERTING and (fresh or not is_single(e) or self.same_value(&e.face, &touch.face)):
            e.face = touch.face
        if self.rate > 0:
            e.level = drained(e, touch.time, self.rate) + 1
            if e.level > self.threshold:
                e.level = self.threshold
            e.filled = touch.time
            lively = e.level >= self.threshold / 2
        self.mark = 0
        if e.tier == ALERTING:
            if lively:
                list_renew(&self.table, &self.lists[ALERTING], slot, touch.time)
            if e.packets >= e.next_update:
                e.next_update *= 10
                self.tell_change(slot, "update", touch.time, touch.face.phase, touch.face.index)
        else:
            self.move(slot, e, WARM if e.distinct > 1 else e.tier, touch.time)
            self.judge(slot, e, touch, sure)
        if e.suspect or e.tier == ALERTING:
            self.mark |= MARK_SUSPECT
            if fresh and e.distinct <= 2 * self.threshold:
                self.mark |= MARK_NEW
        return 0

    cdef void begin(self, uint32_t slot, Entry *e, const Touch *touch, uint8_t outcome) noexcept:
        """Take a new key, which was counted once."""
        e.tier = QUIET
        e.lone = True
        e.suspect = False
        e.many_sources = False
        e.single_outcome = outcome
        e.sport_count = 1
        e.face = touch.face
        list_append(&self.table, &self.lists[QUIET], slot, touch.time)

    cdef void unfold(self, uint32_t slot, Entry *e) noexcept:
        """Write down what being counted once means, since there is more to come."""
        cdef int64_t time = node_of(&self.table, slot).time
        memset(&e.first, 0, sizeof(Entry) - (<char *> &e.first - <char *> e))
        e.lone = False
        e.first = time
        e.last = time
        e.packets = 1
        e.bytes = e.face.bytes
        e.sports[0] = e.face.sport
        if self.rate > 0:
            e.level = 1
            e.filled = time
        if self.distinct != NO_VALUE or self.rate == 0:
            e.distinct = 1
            e.single_since = time
            e.outcomes[e.single_outcome] = 1

    cdef int judge(self, uint32_t slot, Entry *e, const Touch *touch, bint sure) except -1:
        """Tell of a key that is not alerting what it has reached."""
        if self.hint and not e.suspect and e.distinct >= self.hint and self.convinced(e, self.hint, touch):
            e.suspect = True
            self.tell_change(slot, "suspect", touch.time, touch.face.phase, touch.face.index)
        if sure and (e.level if self.rate > 0 else e.distinct) >= self.threshold and self.convinced(e, self.threshold, touch):
            self.move(slot, e, ALERTING, touch.time)
            e.next_update = e.packets * 10
            self.mark |= MARK_START
            self.tell_change(slot, "start", touch.time, touch.face.phase, touch.face.index)
        return 0

    cdef bint convinced(self, const Entry *e, double threshold, const Touch *touch) noexcept:
        """Tell whether what has reached a threshold is evidence enough.

        Pending: openings that are not decided yet may still be answered, since a client may open several connections at once. They count where they left from one port, or from very few,
        which no TCP of a host does, once they wait for longer than answers take, and when the capture ends. Strays may be the keep-alives of connections that are older than the capture:
        few source ports tell, or a refusal. Silence says little in a capture that shows one direction, or where answers come late: ports take a refusal or any answer of their host, hosts
        take as many refusals, or few source ports; and what was answered counts against it, since peers come and go. Several times as many are beyond doubt, of ports.
        """
        cdef bint of_ports = self.distinct == BY_DPORT
        cdef bint at_end = touch.face.phase == PHASE_END
        cdef bint few_ports = from_few_ports(e)
        cdef bint beyond_doubt = e.distinct >= BEYOND_DOUBT * threshold
        if self.doubts == NO_DOUBTS or self.rate > 0:
            return True
        if self.doubts == PENDING_DOUBTED:
            return few_ports or beyond_doubt or (of_ports and at_end) or self.settled(e, threshold, touch.time)
        if self.doubts == STRAYS_DOUBTED:
            return few_ports or beyond_doubt or e.outcomes[<int> REFUSED] > 0
        if e.distinct < threshold + e.heard:
            return False
        if of_ports:
            return e.outcomes[<int> REFUSED] > 0 or beyond_doubt or (e.heard and (e.outcomes[<int> SILENT] or at_end))
        return e.outcomes[<int> REFUSED] >= threshold or (few_ports and (e.outcomes[<int> REFUSED] or e.outcomes[<int> SILENT] or at_end))

    cdef bint settled(self, const Entry *e, double threshold, int64_t now) noexcept:
        """Tell whether so many values have failed, or waited for long enough."""
        cdef uint32_t value = e.values.oldest
        cdef uint32_t count = 0
        if is_single(e):
            return threshold <= 1 and (e.single_outcome != PENDING or e.single_since + PATIENCE <= now)
        while value and count < threshold:
            if self.value_outcome(value)[0] != PENDING or node_of(&self.values, value).time + PATIENCE <= now:
                count += 1
            value = node_of(&self.values, value).newer
        return count >= threshold

    cdef void move(self, uint32_t slot, Entry *e, uint8_t tier, int64_t time) noexcept:
        if e.tier == tier:
            list_renew(&self.table, &self.lists[tier], slot, time)
            return
        list_remove(&self.table, &self.lists[e.tier], slot)
        e.tier = tier
        list_append(&self.table, &self.lists[tier], slot, time)

    cdef void withdraw(self, const Coming *coming) noexcept:
        """An opening was answered after all: it is no evidence, and a key without any is forgotten. What an alert has told already stays told."""
        cdef const Touch *touch = &coming.touch
        cdef uint32_t slot = table_find(&self.table, coming.key, coming.hash)
        cdef uint32_t value
        cdef Entry *e
        if not slot:
            return
        e = self.at(slot)
        if e.lone:
            if (self.rate > 0 or self.same_value(&e.face, &touch.face)) and self.doubts != SILENCE_DOUBTED:
                self.forget(slot)
                return
            self.unfold(slot, e)
        e.heard += 1
        if self.rate > 0 and e.tier != ALERTING:
            e.level = drained(e, touch.time, self.rate)
            e.level = e.level - 1 if e.level > 1 else 0
            e.filled = touch.time
        value = self.find_value(slot, e, touch)
        if value and e.tier == ALERTING:
            self.set_outcome(e, value, ANSWERED)
        elif value:
            self.remove_value(e, value)
        # Where silence is doubted, that anything came back is worth remembering.
        if e.tier != ALERTING and e.level <= 0 and (e.distinct == 0 or self.rate > 0) and self.doubts != SILENCE_DOUBTED:
            self.forget(slot)

    cdef int tell(self, const Coming *coming, uint8_t outcome, bint sure) except -1:
        """Note how the opening that counted a value went."""
        cdef const Touch *touch = &coming.touch
        cdef uint32_t slot = table_find(&self.table, coming.key, coming.hash)
        cdef uint32_t value
        cdef Entry *e
        if slot:
            e = self.at(slot)
            if e.lone:
                if e.single_outcome == PENDING and self.same_value(&e.face, &touch.face):
                    e.single_outcome = outcome
                return 0
            value = self.find_value(slot, e, touch)
            if value and self.outcome_of(e, value) == PENDING:
                self.set_outcome(e, value, outcome)
                if e.tier != ALERTING and self.doubts != NO_DOUBTS:
                    self.judge(slot, e, touch, sure)
        return 0

    # Values: each in its key's list, oldest first. The only one of a key, as long as there was no other, is that of its touch.

    cdef void value_key(self, uint32_t slot, const Face *face, uint64_t *key) noexcept:
        key[0] = slot
        key[1] = 0
        key[2] = 0
        key[3] = 0
        key[4] = 0
        if self.distinct == BY_DPORT:
            key[3] = face.dport
        elif self.distinct == BY_DST:
            key[1] = face.dst_hi
            key[2] = face.dst_lo
        elif self.distinct == BY_SRC:
            key[1] = face.src_hi
            key[2] = face.src_lo
        elif self.distinct == BY_LABEL:
            key[3] = face.label
        else:
            key[4] = face.index

    cdef uint32_t find_value(self, uint32_t slot, const Entry *e, const Touch *touch) noexcept:
        """Return the slot of a value, SINGLE or 0."""
        cdef uint64_t[5] key
        if is_single(e):
            return SINGLE if self.same_value(&e.face, &touch.face) else 0
        self.value_key(slot, &touch.face, key)
        return table_find(&self.values, key, table_hash(&self.values, key))

    cdef bint same_value(self, const Face *one, const Face *other) noexcept:
        if self.distinct == BY_DPORT:
            return one.dport == other.dport
        if self.distinct == BY_DST:
            return one.dst_lo == other.dst_lo and one.dst_hi == other.dst_hi
        if self.distinct == BY_SRC:
            return one.src_lo == other.src_lo and one.src_hi == other.src_hi
        if self.distinct == BY_LABEL:
            return one.label == other.label
        return one.index == other.index

    cdef int add_value(self, uint32_t slot, Entry *e, const Touch *touch, uint8_t outcome) except -1:
        """Count a value; return 1 where it is new."""
        cdef uint32_t value
        if e.distinct == 0:
            e.single_since = touch.time
            e.single_outcome = outcome
        else:
            value = self.find_value(slot, e, touch)
            if value:
                if self.outcome_of(e, value) == PENDING:
                    self.set_outcome(e, value, outcome)
                return 0
            if self.most and e.distinct >= self.most:
                return 0
            if e.distinct >= self.most_values:
                self.evicted += 1
                return 0
            if is_single(e):
                self.store_value(slot, e, &e.face, e.single_since, e.single_outcome, touch)
            self.store_value(slot, e, &touch.face, touch.time, outcome, touch)
        e.outcomes[outcome] += 1
        e.distinct += 1
        return 1

    cdef int store_value(self, uint32_t slot, Entry *e, const Face *what, int64_t since, uint8_t outcome, const Touch *touch) except -1:
        cdef uint64_t[5] key
        cdef uint32_t hash, value
        while table_full(&self.values):
            self.evict(touch, slot)
        self.value_key(slot, what, key)
        hash = table_hash(&self.values, key)
        value = table_insert(&self.values, key, hash)
        list_append(&self.values, &e.values, value, since)
        self.value_outcome(value)[0] = outcome
        return 0

    cdef uint8_t outcome_of(self, const Entry *e, uint32_t value) noexcept:
        return e.single_outcome if value == SINGLE else self.value_outcome(value)[0]

    cdef int64_t since(self, const Entry *e) noexcept:
        """Return when the oldest value was counted."""
        return e.single_since if is_single(e) else node_of(&self.values, e.values.oldest).time

    cdef void set_outcome(self, Entry *e, uint32_t value, uint8_t outcome) noexcept:
        e.outcomes[self.outcome_of(e, value)] -= 1
        e.outcomes[outcome] += 1
        if value == SINGLE:
            e.single_outcome = outcome
        else:
            self.value_outcome(value)[0] = outcome

    cdef void remove_value(self, Entry *e, uint32_t value) noexcept:
        e.outcomes[self.outcome_of(e, value)] -= 1
        e.distinct -= 1
        if value != SINGLE:
            list_remove(&self.values, &e.values, value)
            table_remove(&self.values, value)

    cdef void fade(self, Entry *e, int64_t now) noexcept:
        """Drop the values whose time is over; a key with none left, or an empty bucket, begins anew."""
        while e.distinct and self.since(e) + self.memory <= now:
            self.remove_value(e, e.values.oldest if e.values.oldest else SINGLE)
        if e.distinct == 0 and (self.rate == 0 or drained(e, now, self.rate) <= 0):
            e.first = now
            e.packets = 0
            e.bytes = 0
            e.sport_count = 0
            e.suspect = False
            e.many_sources = False
        elif e.distinct and self.rate == 0 and e.first + self.memory <= now:
            e.first = self.since(e)

    # Keys.

    cdef int evict(self, const Touch *touch, uint32_t spared) except -1:
        """Make room: forget the coldest key of the lowest tier other than `spared`; where there is no other, that one's oldest value."""
        cdef uint32_t slot = 0
        cdef int tier
        for tier in range(TIERS):
            slot = self.lists[tier].oldest
            if slot == spared and slot:
                slot = node_of(&self.table, slot).newer
            if slot:
                break
        if not slot:
            self.evicted += 1
            # Only the values of that one are left, so that it has some that are stored.
            self.remove_value(self.at(spared), self.at(spared).values.oldest)
            return 0
        if self.at(slot).lone or self.at(slot).distinct or self.rate > 0:
            self.evicted += 1
        if self.at(slot).tier == ALERTING:
            self.end(slot, touch.time, touch.face.phase, touch.face.index)
        else:
            list_expect_removal(&self.table, &self.lists[tier])
            self.forget(slot)
        return 0

    cdef int end(self, uint32_t slot, int64_t time, uint8_t phase, int64_t index) except -1:
        self.tell_change(slot, "end", time, phase, index)
        self.forget(slot)
        return 0

    cdef void forget(self, uint32_t slot) noexcept:
        cdef Entry *e = self.at(slot)
        while not e.lone and e.values.oldest:
            self.remove_value(e, e.values.oldest)
        list_remove(&self.table, &self.lists[e.tier], slot)
        table_remove(&self.table, slot)

    cdef int tell_change(self, uint32_t slot, str state, int64_t time, uint8_t phase, int64_t index) except -1:
        cdef Entry *e = self.at(slot)
        cdef const Face *t = &e.face
        cdef uint32_t value = e.values.oldest
        cdef list samples = []
        cdef uint64_t[5] key
        if self.make is None:
            return 0
        if self.distinct != NO_VALUE and is_single(e):
            self.value_key(slot, t, key)
            samples.append(self.sample(key))
        while value and self.distinct != NO_VALUE and len(samples) < self.samples:
            samples.append(self.sample(node_of(&self.values, value).key))
            value = node_of(&self.values, value).newer
        self.changes.append(self.make(
            state=state, time=time, phase=phase, index=index,
            src=(t.src_hi, t.src_lo), dst=(t.dst_hi, t.dst_lo), sport=t.sport, dport=t.dport, kind=t.kind, version=t.version, proto=t.proto,
            icmp_type=t.icmp_type, icmp_code=t.icmp_code, interface=t.interface,
            first=e.first, last=e.last, packets=e.packets, bytes=e.bytes,
            samples=samples, distinct=e.distinct if self.distinct != NO_VALUE else 0,
            many_sources=bool(e.many_sources), sports=[e.sports[k] for k in range(e.sport_count)], outcomes=[e.outcomes[k] for k in range(OUTCOMES)],
        ))
        return 0

    cdef object sample(self, const uint64_t *key):
        if self.distinct == BY_DPORT or self.distinct == BY_LABEL:
            return key[3]
        return key[1], key[2]

    # What is kept from one run to another.

    @property
    def value_count(self):
        return self.values.count

    @property
    def tables(self):
        """The use of the keys and of the values, as `table_use` tells it."""
        return table_use(&self.table), table_use(&self.values)

    def dump(self, SavedKey[::1] keys, SavedValue[::1] values):
        """Write all keys, tier by tier, and the values of each in the same order, oldest first, into rows of `layout`: as many as there are."""
        cdef Py_ssize_t i = 0, k = 0
        cdef uint32_t slot, value
        cdef int tier
        if keys.shape[0] != self.table.count or values.shape[0] != self.values.count:
            raise ValueError("as many rows as there are keys and values")
        for tier in range(TIERS):
            slot = self.lists[tier].oldest
            while slot:
                keys[i].key = node_of(&self.table, slot).key
                keys[i].time = node_of(&self.table, slot).time
                if self.at(slot).lone:
                    self.unfold(slot, self.at(slot))
                keys[i].entry = self.at(slot)[0]
                keys[i].values = 0
                memset(&keys[i].entry.values, 0, sizeof(List))
                value = self.at(slot).values.oldest
                while value:
                    values[k].key = node_of(&self.values, value).key
                    values[k].key[0] = 0
                    values[k].time = node_of(&self.values, value).time
                    values[k].outcome = self.value_outcome(value)[0]
                    k += 1
                    keys[i].values += 1
                    value = node_of(&self.values, value).newer
                i += 1
                slot = node_of(&self.table, slot).newer

    def load(self, const SavedKey[::1] keys, const SavedValue[::1] values, int64_t now):
        """Take what `dump` wrote on a clock that stood at `now`, while there is nothing yet. Raise ValueError where it cannot be: this is of no use any more then."""
        cdef Py_ssize_t i, k = 0
        cdef uint32_t slot, n
        cdef Entry *e
        if self.table.count or keys.shape[0] > self.table.capacity or values.shape[0] > self.values.capacity:
            raise ValueError("no room for the keys or their values")
        for i in range(keys.shape[0]):
            if not self.sound_key(&keys[i], now):
                raise ValueError(f"key {i} has values that none can have")
            slot = table_restore(&self.table, &self.lists[keys[i].entry.tier], keys[i].key, keys[i].time)
            if not slot:
                raise ValueError(f"key {i} is there twice, or older than the one before")
            e = self.at(slot)
            e[0] = keys[i].entry
            memset(&e.values, 0, sizeof(List))
            memset(e.outcomes, 0, sizeof(e.outcomes))
            if e.distinct and not keys[i].values:
                e.outcomes[e.single_outcome] = 1
            for n in range(keys[i].values):
                if k == values.shape[0] or not self.load_value(slot, e, &values[k], now):
                    raise ValueError(f"key {i} has values that it cannot have")
                k += 1
        if k != values.shape[0]:
            raise ValueError("there are values without a key")
        self.next_expiry = 0

    cdef bint load_value(self, uint32_t slot, Entry *e, const SavedValue *row, int64_t now) noexcept:
        cdef uint64_t[5] key
        cdef uint32_t hash, value
        cdef int64_t before = node_of(&self.values, e.values.newest).time if e.values.newest else 0
        key = row.key
        key[0] = slot
        hash = table_hash(&self.values, key)
        if not before <= row.time <= now or row.outcome >= OUTCOMES or table_find(&self.values, key, hash):
            return False
        value = table_insert(&self.values, key, hash)
        list_append(&self.values, &e.values, value, row.time)
        self.value_outcome(value)[0] = row.outcome
        e.outcomes[row.outcome] += 1
        return True

    cdef bint sound_key(self, const SavedKey *row, int64_t now) noexcept:
        """Tell whether a key from outside can be one: nothing else may be an index, an enumeration, a truth value or a time here."""
        cdef const Entry *e = &row.entry
        cdef const Face *t = &e.face
        return (
            0 <= row.time <= now and 0 <= e.first <= now and 0 <= e.last <= now and 0 <= e.filled <= now and 0 <= e.single_since <= now 
            and t.index >= 0 and 0 <= e.level <= self.threshold and (e.tier != ALERTING or e.next_update > 0)
            and e.distinct <= self.most_values and (row.values == e.distinct or (e.distinct == 1 and not row.values)) and e.single_outcome < OUTCOMES
            and e.tier < TIERS and e.sport_count <= SPORTS and e.suspect <= 1 and e.many_sources <= 1 and not e.lone
            and t.kind <= KIND_FRAGMENT and t.phase <= PHASE_END
        )


cdef uint32_t SINGLE = 0xFFFFFFFF


cdef inline bint is_single(const Entry *e) noexcept:
    """Tell whether a key has one value, which stands in the key itself."""
    return e.distinct == 1 and not e.values.oldest


KEY_SIZE = sizeof(Entry)
VALUE_SIZE = sizeof(uint8_t)

cdef SavedKey one_key
cdef SavedValue one_value


def layout():
    """Return a row of keys and one of values, which tell numpy what their fields are."""
    cdef SavedKey[::1] key = <SavedKey[:1]> &one_key
    cdef SavedValue[::1] value = <SavedValue[:1]> &one_value
    return key, value


cdef inline bint from_few_ports(const Entry *e) noexcept:
    """Tell whether what a key tried left from one port, or from a tenth as many ports: scanners change theirs when they repeat themselves."""
    return e.sport_count == 1 or (e.sport_count < SPORTS and 10 * e.sport_count <= e.distinct)


cdef inline bint comes_first(const FlowRow *f, int64_t time, int64_t index) noexcept:
    """Tell whether a decided flow comes before the packet `index` at `time`: by time, a deadline before packets, a decision before what its packet opens."""
    if f.time != time:
        return f.time < time
    return f.phase == PHASE_DEADLINE or (f.phase == PHASE_PACKET and f.index <= index)


cdef inline void packet_touch(const Columns *c, Py_ssize_t i, uint64_t label, Touch *touch) noexcept:
    touch.face.label = label
    touch.time = c.clock[i]
    touch.face.index = c.index[i]
    touch.face.src_hi = c.src_hi[i]
    touch.face.src_lo = c.src_lo[i]
    touch.face.dst_hi = c.dst_hi[i]
    touch.face.dst_lo = c.dst_lo[i]
    touch.face.bytes = c.length[i]
    touch.face.sport = c.sport[i]
    touch.face.dport = c.dport[i]
    touch.face.interface = c.interface[i]
    touch.face.kind = c.kind[i]
    touch.face.version = c.version[i]
    touch.face.proto = c.proto[i]
    touch.face.icmp_type = c.icmp_type[i]
    touch.face.icmp_code = c.icmp_code[i]
    touch.face.phase = PHASE_PACKET


cdef inline void flow_touch(const FlowRow *f, uint64_t label, Touch *touch) noexcept:
    touch.face.label = label
    touch.time = f.time
    touch.face.index = f.index
    touch.face.src_hi = f.src_hi
    touch.face.src_lo = f.src_lo
    touch.face.dst_hi = f.dst_hi
    touch.face.dst_lo = f.dst_lo
    touch.face.bytes = f.length
    touch.face.sport = f.sport
    touch.face.dport = f.dport
    touch.face.interface = f.interface
    touch.face.kind = f.kind
    touch.face.version = f.version
    touch.face.proto = f.proto
    touch.face.icmp_type = f.icmp_type
    touch.face.icmp_code = f.icmp_code
    touch.face.phase = f.phase


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
