# cython: language_level=3
"""Savefiles: the records of pcap and pcapng as columns, the packets left in place in the block that was read.

The formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. Where they leave a choice, it is libpcap's.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove

from iplog_core.kernel.ahead cimport prefetch

import cython
import numpy as np

cdef enum:
    SECTION_HEADER = 0x0A0D0D0A
    INTERFACE_DESCRIPTION = 1
    OBSOLETE_PACKET = 2
    SIMPLE_PACKET = 3
    ENHANCED_PACKET = 6

cdef enum:
    OPTION_END = 0
    OPTION_NAME = 2
    OPTION_RESOLUTION = 9
    OPTION_OFFSET = 14

cdef enum:
    AHEAD = 2048                    # bytes that are asked for before they are looked at: where the next record begins is known only from this one
    AT_ONCE = 512                   # of these at least
    SPARSE = 200                    # where records have so many bytes on average, scouts ask for their headers instead
    SCOUTS = 12
    SHORTEST = 1 << 18              # for fewer bytes it does not pay to find out where records begin
    STRETCH = 2 << 20               # bytes that scouts go over before the walk does: its headers fit the second cache
    SAME_TIME = 1 << 16             # s; what is further from a record at hand is no record, to a scout
    ORDINARY_PACKET = 262144        # what a packet may have whatever the header says, as in libpcap
    HELD_PACKET = 16 << 20          # what a packet may have if the header says so
    SKIPPED_PACKET = 128 << 20      # the same of a link type that is left out (USB, D-Bus): nothing has to hold it
    HELD_BLOCK = HELD_PACKET + 131072
    SECOND = 1000000000             # ns
    INTERFACES = 65536              # of one section
    FIRST_BLOCK = 65536             # read at first: many files may be open at once

cdef uint32_t PCAP = 0xA1B2C3D4
cdef uint32_t PCAP_NANOSECONDS = 0xA1B23C4D
cdef uint32_t PCAP_KUZNETSOV = 0xA1B2CD34
cdef uint32_t BYTE_ORDER = 0x1A2B3C4D
cdef uint32_t LINK_TYPE_BITS = 0x03FFFFFF
cdef uint64_t LATEST = (<uint64_t> 1 << 62) - 1
cdef uint64_t[20] POWERS_OF_TEN
POWERS_OF_TEN[:] = [10 ** exponent for exponent in range(20)]

cdef enum Step:
    FULL, HUNGRY, NEW_SECTION, NEW_INTERFACE, BAD_PACKET_LENGTH, BAD_BLOCK_LENGTH, BAD_TRAILER, BAD_INTERFACE, BAD_ORDER, BAD_VERSION

cdef enum Lengths:
    IN_ORDER, SWAPPED, SWAPPED_IF_ODD

cdef struct Interface:
    int64_t offset          # if_tsoffset, seconds
    int64_t left_out        # packets that were there, of a link type that is not known
    uint32_t link
    uint32_t snaplen
    uint32_t limit          # bytes that a packet may have
    uint16_t number
    uint8_t resolution      # if_tsresol
    bint known

cdef struct Rows:
    Py_ssize_t n
    Py_ssize_t room
    int64_t *offset
    int64_t *time
    uint32_t *captured
    uint32_t *wire_length
    uint16_t *link
    uint16_t *interface


@cython.final
cdef class SavefileReader:
    """Read a pcap or pcapng stream in blocks, and give its packets as columns.

    `stream` has `readinto`; `head` are bytes already read from it. `windows`, where there are any, give the same bytes without
    a copy (`iplog_core.capture.mapped`). Packets whose link type is not in `known` are counted in `left_out`, not given.
    `number` is called with the name of each interface described and gives its number. Raise ValueError with the reason where
    the header is not that of a capture; what `readinto` raises passes through, here and in `read`.

    `packets` counts the whole packets so far, those left out included. `fault` says, after the last batch, what was wrong
    with the record behind it; it is empty where the stream ended as it should.
    """

    cdef readonly int64_t packets
    cdef readonly str fault
    cdef object stream, known, number, data, windows, window
    cdef Py_ssize_t before_data     # bytes of the window before the data
    cdef Py_ssize_t there           # how many of the bytes held the file has
    cdef bint shorter               # it had more
    cdef uint8_t *bytes
    cdef Py_ssize_t size, largest, start, end, need, room
    cdef Py_ssize_t spread          # bytes that a record of the last batch had
    cdef int64_t origin             # where the block's first byte stands in the stream
    cdef int64_t record             # where the record that is looked at began
    cdef bint pcapng, swapped, done
    cdef Lengths lengths
    cdef uint32_t header            # bytes before a packet of a pcap
    cdef uint64_t tick              # ns of the smaller field of a pcap's time
    cdef uint32_t claimed, limit    # what a broken record says, and what could be right
    cdef int64_t skip               # bytes yet to be dropped
    cdef uint32_t trailer           # length that the end of the skipped block has to repeat; 0: none
    cdef int64_t leaving            # interface of the packet that is skipped; -1: no packet
    cdef Interface *interfaces
    cdef uint32_t described
    cdef uint32_t allocated
    cdef dict tallies

    def __cinit__(self):
        self.interfaces = NULL

    def __dealloc__(self):
        free(self.interfaces)

    def __init__(self, stream, bytes head, known, number, Py_ssize_t batch_size, Py_ssize_t block_size=1 << 23, windows=None):
        if batch_size < 1 or block_size < 1:
            raise ValueError("batch_size and block_size must be at least 1")
        self.stream, self.known, self.number, self.windows = stream, known, number, windows
        self.fault = ""
        self.tallies = {}
        self.leaving = -1
        self.room = batch_size
        self.largest = block_size
        self._hold(max(len(head), min(block_size, FIRST_BLOCK)))
        memcpy(self.bytes, <const uint8_t *> head, len(head))
        self.end = len(head)
        self._open()
        if windows is not None:
            self.end = self.start  # the first window has it, too

    def read(self):
        """Return the next batch as (data, offset, captured, wire_length, time, link, interface), or None after the last.

        `data` is good until the next call.
        """
        cdef Rows rows
        cdef Step step
        cdef Py_ssize_t room = min(self.room, self.size // 16 + 1)  # no record has fewer than 16 bytes
        wide = np.empty((2, room), np.int64)
        words = np.empty((2, room), np.uint32)
        halves = np.empty((2, room), np.uint16)
        cdef int64_t[:, ::1] wide_view = wide
        cdef uint32_t[:, ::1] words_view = words
        cdef uint16_t[:, ::1] halves_view = halves
        rows.n, rows.room = 0, room
        rows.offset, rows.time = &wide_view[0, 0], &wide_view[1, 0]
        rows.captured, rows.wire_length = &words_view[0, 0], &words_view[1, 0]
        rows.link, rows.interface = &halves_view[0, 0], &halves_view[1, 0]
        self._check_window()
        while not self.done:
            with nogil:
                step = self._blocks(&rows) if self.pcapng else self._records(&rows)
            if step == NEW_SECTION:
                self._forget_interfaces()
            elif step == NEW_INTERFACE:
                self._describe_interface()
            elif step == HUNGRY and rows.n == 0:
                if not self._fill():
                    self._end()
            elif step == FULL or step == HUNGRY:
                break
            else:
                self._break(step)
        self._check_window()
        while rows.n and rows.offset[rows.n - 1] + rows.captured[rows.n - 1] > self.there:
            # It lies where the file has nothing any more.
            rows.n -= 1
            self.packets -= 1
        n = rows.n
        if n:
            self.spread = (rows.offset[n - 1] - rows.offset[0]) // n
        else:
            self.data = self.stream = self.windows = self.window = None  # many files may be at their end long before the last one
            return None
        return self.data, wide[0, :n], words[0, :n], words[1, :n], wide[1, :n], halves[0, :n], halves[1, :n]

    @property
    def left_out(self):
        """How many packets of each link type that is not known were left out so far."""
        total = dict(self.tallies)
        for i in range(self.described):
            if self.interfaces[i].left_out:
                total[self.interfaces[i].link] = total.get(self.interfaces[i].link, 0) + self.interfaces[i].left_out
        return total

    cdef Step _records(self, Rows *rows) noexcept nogil:
        """Walk the records of a pcap."""
        cdef Interface *interface = self.interfaces
        cdef const uint8_t *p
        cdef Py_ssize_t left
        cdef uint32_t captured, wire_length
        cdef Py_ssize_t ahead = self.start
        while rows.n < rows.room:
            if ahead < self.start + AHEAD:
                ahead = self._ask(ahead, rows.room - rows.n)
            if self.leaving >= 0 and not self._skipped():
                return HUNGRY
            self.record = self.origin + self.start
            left = self.end - self.start
            if left < self.header:
                self.need = self.header
                return HUNGRY
            p = self.bytes + self.start
            captured = load32(p + 8, self.swapped)
            wire_length = load32(p + 12, self.swapped)
            if self.lengths == SWAPPED or (self.lengths == SWAPPED_IF_ODD and captured > wire_length):
                captured, wire_length = wire_length, captured
            if captured > interface.limit:
                self.claimed, self.limit = captured, interface.limit
                return BAD_PACKET_LENGTH
            if not interface.known:
                self._leave(0, self.header + captured, 0)
                continue
            if left < <Py_ssize_t> (self.header + captured):
                self.need = self.header + captured
                return HUNGRY
            rows.time[rows.n] = <uint64_t> load32(p, self.swapped) * SECOND + load32(p + 4, self.swapped) * self.tick
            self._row(rows, interface, self.start + self.header, captured, wire_length)
            self.start += self.header + captured
        return FULL

    cdef inline Py_ssize_t _ask(self, Py_ssize_t asked, Py_ssize_t room) noexcept nogil:
        """Ask for what the walk of `room` more records will look at, where that was not done up to `asked`; return how far it is now."""
        cdef Py_ssize_t stretch = 0
        if self.spread >= SPARSE:
            stretch = min(room * self.spread, self.end - self.start, <Py_ssize_t> STRETCH)
        if stretch < SHORTEST:
            while asked < self.start + AHEAD + AT_ONCE:
                prefetch(self.bytes + asked)
                asked += 64
        elif asked <= self.start:
            asked = self.start + stretch
            self._scout(asked)
        return asked

    cdef void _scout(self, Py_ssize_t stop) noexcept nogil:
        """Go from header to header up to `stop` at several places in turns, so that the walk finds all of them in the cache.

        One walk waits for the memory at each record, and asking for all bytes between would bring ten times what is needed.
        Where records begin beyond the first place is a guess. A wrong one costs time only: what is read is up to the walk.
        """
        cdef Py_ssize_t[SCOUTS] at
        cdef Py_ssize_t[SCOUTS] until
        cdef Py_ssize_t share = (stop - self.start) // SCOUTS & ~3  # blocks of a pcapng begin at multiples of 4
        cdef Py_ssize_t i, length
        cdef uint32_t seconds = load32(self.bytes + self.start, self.swapped)
        cdef bint under_way = True
        for i in range(SCOUTS):
            at[i] = self.start + i * share
            until[i] = at[i] + share
            prefetch(self.bytes + at[i])
        for i in range(1, SCOUTS):
            at[i] = self._guess(at[i], until[i], seconds)
        while under_way:
            under_way = False
            for i in range(SCOUTS):
                if at[i] >= until[i]:
                    continue
                length = self._length(at[i], seconds)
                at[i] = at[i] + length if length else until[i]
                # The second line is for decoding, which follows.
                prefetch(self.bytes + at[i])
                prefetch(self.bytes + at[i] + 64)
                under_way = True

    cdef Py_ssize_t _guess(self, Py_ssize_t at, Py_ssize_t stop, uint32_t seconds) noexcept nogil:
        """Return where, from `at` on, two packets seem to stand one behind the other; `stop`: nowhere before it."""
        cdef Py_ssize_t length
        while at < stop:
            length = self._length(at, seconds)
            if length and self._length(at + length, seconds):
                return at
            at += 4 if self.pcapng else 1
        return stop

    cdef inline Py_ssize_t _length(self, Py_ssize_t at, uint32_t seconds) noexcept nogil:
        """Return the bytes of the ordinary packet that seems to stand at `at`, with its header, or 0; `seconds` are those of another one, in a pcap."""
        cdef const uint8_t *p = self.bytes + at
        cdef uint32_t length, captured
        if self.end - at < 28:
            return 0
        if self.pcapng:
            length = load32(p + 4, self.swapped)
            captured = load32(p + 20, self.swapped)
            if load32(p, self.swapped) != ENHANCED_PACKET or length % 4 or captured > ORDINARY_PACKET or length < captured + 32 or length > HELD_BLOCK:
                return 0
            return length
        if <uint32_t> (load32(p, self.swapped) - seconds + SAME_TIME) > 2 * SAME_TIME:
            return 0
        captured = load32(p + 8, self.swapped)
        if load32(p + 4, self.swapped) >= SECOND or captured > ORDINARY_PACKET or captured > load32(p + 12, self.swapped):
            return 0
        return self.header + captured

    cdef Step _blocks(self, Rows *rows) noexcept nogil:
        """Walk the blocks of a pcapng."""
        cdef const uint8_t *p
        cdef Py_ssize_t left
        cdef uint32_t kind, total
        cdef Step step
        cdef Py_ssize_t ahead = self.start
        while rows.n < rows.room:
            if ahead < self.start + AHEAD:
                ahead = self._ask(ahead, rows.room - rows.n)
            if self.trailer and not self._skipped():
                return HUNGRY if self.trailer else BAD_TRAILER
            self.record = self.origin + self.start
            left = self.end - self.start
            if left < 12:
                self.need = 12
                return HUNGRY
            p = self.bytes + self.start
            kind = load32(p, self.swapped)
            if kind == SECTION_HEADER:
                return self._section()
            total = load32(p + 4, self.swapped)
            self.claimed = total
            if total % 4 or total < 12:
                return BAD_BLOCK_LENGTH
            if kind == ENHANCED_PACKET or kind == OBSOLETE_PACKET or kind == SIMPLE_PACKET:
                step = self._packet(rows, kind, total)
                if step != FULL:
                    return step
            elif kind == INTERFACE_DESCRIPTION:
                step = self._whole(total, 20)
                return NEW_INTERFACE if step == FULL else step
            else:
                self._leave(-1, total - 4, total)
        return FULL

    cdef Step _packet(self, Rows *rows, uint32_t kind, uint32_t total) noexcept nogil:
        """Take a packet block (opsawg-pcapng, sections 4.3, 4.4 and appendix A); FULL where it was taken, or is being skipped."""
        cdef const uint8_t *p = self.bytes + self.start
        cdef Interface *interface
        cdef uint32_t header = 12 if kind == SIMPLE_PACKET else 28
        cdef uint32_t number = 0
        cdef uint32_t captured, wire_length, limit
        cdef uint64_t ticks = 0
        cdef Step step
        if total < header + 4:
            return BAD_BLOCK_LENGTH
        if self.end - self.start < <Py_ssize_t> header:
            self.need = header
            return HUNGRY
        if kind == ENHANCED_PACKET:
            number = load32(p + 8, self.swapped)
        elif kind == OBSOLETE_PACKET:
            number = load16(p + 8, self.swapped)
        if number >= self.described:
            self.claimed = number
            return BAD_INTERFACE
        interface = &self.interfaces[number]
        if kind == SIMPLE_PACKET:
            wire_length = load32(p + 8, self.swapped)
            captured = min(wire_length, interface.snaplen) if interface.snaplen else wire_length
        else:
            ticks = <uint64_t> load32(p + 12, self.swapped) << 32 | load32(p + 16, self.swapped)
            captured = load32(p + 20, self.swapped)
            wire_length = load32(p + 24, self.swapped)
        limit = min(interface.limit, total - header - 4)
        if captured > limit:
            self.claimed, self.limit = captured, limit
            return BAD_PACKET_LENGTH
        if not interface.known:
            self._leave(number, total - 4, total)
            return FULL
        step = self._whole(total, header + 4)
        if step == FULL:
            rows.time[rows.n] = 0 if kind == SIMPLE_PACKET else nanoseconds(ticks, interface.resolution, interface.offset)
            self._row(rows, interface, self.start + header, captured, wire_length)
            self.start += total
        return step

    cdef Step _whole(self, uint32_t total, uint32_t least) noexcept nogil:
        """FULL where a block of `total` bytes is held whole and says so at its end, too."""
        if total < least or total > HELD_BLOCK:
            return BAD_BLOCK_LENGTH
        if self.end - self.start < <Py_ssize_t> total:
            self.need = total
            return HUNGRY
        return FULL if load32(self.bytes + self.start + total - 4, self.swapped) == total else BAD_TRAILER

    cdef void _row(self, Rows *rows, const Interface *interface, int64_t offset, uint32_t captured, uint32_t wire_length) noexcept nogil:
        rows.offset[rows.n] = offset
        rows.captured[rows.n] = captured
        rows.wire_length[rows.n] = wire_length
        rows.link[rows.n] = <uint16_t> interface.link
        rows.interface[rows.n] = interface.number
        rows.n += 1
        self.packets += 1

    cdef void _leave(self, int64_t interface, uint32_t count, uint32_t trailer) noexcept nogil:
        """Drop `count` bytes, now or as they come; a packet's are counted for its interface once they were there."""
        self.leaving, self.skip, self.trailer = interface, count, trailer

    cdef bint _skipped(self) noexcept nogil:
        """Go on dropping; False where more bytes have to be read, or, with `trailer` 0, where the block's end is wrong."""
        cdef int64_t step = min(self.skip, <int64_t> (self.end - self.start))
        self.start += step
        self.skip -= step
        self.need = 4 if self.trailer else 1
        if self.skip or (self.trailer and self.end - self.start < 4):
            return False
        if self.trailer:
            if load32(self.bytes + self.start, self.swapped) != self.trailer:
                self.trailer = 0
                return False
            self.start += 4
            self.trailer = 0
        if self.leaving >= 0:
            self.interfaces[self.leaving].left_out += 1
            self.packets += 1
            self.leaving = -1
        return True

    cdef Step _section(self) noexcept nogil:
        """Take the header of a section (opsawg-pcapng, section 4.1): its byte order holds up to the next one."""
        cdef const uint8_t *p = self.bytes + self.start
        if self.end - self.start < 28:
            self.need = 28
            return HUNGRY
        if load32(p + 8, False) == BYTE_ORDER:
            self.swapped = False
        elif load32(p + 8, True) == BYTE_ORDER:
            self.swapped = True
        else:
            return BAD_ORDER
        self.claimed = load32(p + 4, self.swapped)
        if self.claimed % 4 or self.claimed < 28:
            return BAD_BLOCK_LENGTH
        if load16(p + 12, self.swapped) != 1:
            self.claimed = load16(p + 12, self.swapped)
            return BAD_VERSION
        self._leave(-1, self.claimed - 4, self.claimed)
        return NEW_SECTION

    cdef int _open(self) except -1:
        """Check the file's header, and take what it says."""
        cdef uint32_t magic
        cdef Step step
        while self.end < 24:
            self.need = 28
            if not self._fill():
                raise ValueError("the file ends inside its header")
        magic = load32(self.bytes, False)
        if magic == SECTION_HEADER:
            self.pcapng = True
            while (step := self._section()) == HUNGRY:
                if not self._fill():
                    raise ValueError("the file ends inside its header")
            if step != NEW_SECTION:
                self._break(step)
                raise ValueError(self.fault)
            return 0
        if magic not in (PCAP, PCAP_NANOSECONDS, PCAP_KUZNETSOV):
            self.swapped = True
            magic = load32(self.bytes, True)
            if magic not in (PCAP, PCAP_NANOSECONDS, PCAP_KUZNETSOV):
                raise ValueError("the file does not begin like a capture")
        major, minor = load16(self.bytes + 4, self.swapped), load16(self.bytes + 6, self.swapped)
        if not (major == 2 and minor <= 4) and (major, minor) != (543, 0):
            raise ValueError(f"the file has version {major}.{minor} of pcap, and 2.4 is the last one known")
        # The two lengths of a record changed places in version 2.3, and 543.0 never took part (libpcap, sf-pcap.c).
        self.lengths = SWAPPED if major == 543 or minor < 3 else SWAPPED_IF_ODD if minor == 3 else IN_ORDER
        self.header = 24 if magic == PCAP_KUZNETSOV else 16
        self.tick = 1 if magic == PCAP_NANOSECONDS else 1000
        self.start = 24
        self._add_interface("", load32(self.bytes + 20, self.swapped) & LINK_TYPE_BITS, load32(self.bytes + 16, self.swapped), 6, 0)
        return 0

    cdef int _describe_interface(self) except -1:
        """Take an interface description block (opsawg-pcapng, section 4.2), which is whole in the block."""
        cdef const uint8_t *p = self.bytes + self.start
        cdef uint32_t total = load32(p + 4, self.swapped)
        cdef const uint8_t *end = p + total - 4
        cdef const uint8_t *option = p + 16
        cdef uint32_t code, length
        cdef uint8_t resolution = 6
        cdef int64_t offset = 0
        name = b""
        while end - option >= 4:
            code, length = load16(option, self.swapped), load16(option + 2, self.swapped)
            option += 4
            if code == OPTION_END:
                break
            if length > end - option or (code == OPTION_RESOLUTION and length != 1) or (code == OPTION_OFFSET and length != 8):
                self._say(f"the interface description at byte {self.origin + self.start:,} has an option of an impossible length")
                return 0
            if code == OPTION_NAME:
                name = option[:length]
            elif code == OPTION_RESOLUTION:
                resolution = option[0]
            elif code == OPTION_OFFSET:
                offset = <int64_t> load64(option, self.swapped)
            option += min(length + 3 & ~3, end - option)
        if self.described == INTERFACES:
            self._say(f"the section describes more than {INTERFACES:,} interfaces (byte {self.origin + self.start:,})")
            return 0
        text = name.rstrip(b"\0").decode(errors="replace")
        self._add_interface(text, load16(p + 8, self.swapped), load32(p + 12, self.swapped), resolution, offset)
        self.start += total
        return 0

    cdef int _add_interface(self, str name, uint32_t link, uint32_t snaplen, uint8_t resolution, int64_t offset) except -1:
        cdef Interface *grown
        cdef Interface *interface
        if self.described == self.allocated:
            grown = <Interface *> realloc(self.interfaces, (2 * self.allocated + 4) * sizeof(Interface))
            if grown == NULL:
                raise MemoryError
            self.interfaces = grown
            self.allocated = 2 * self.allocated + 4
        number = self.number(name)
        interface = &self.interfaces[self.described]
        interface.link, interface.snaplen, interface.resolution, interface.offset = link, snaplen, resolution, offset
        interface.number = number
        interface.left_out = 0
        interface.known = link in self.known
        interface.limit = min(max(snaplen, <uint32_t> ORDINARY_PACKET), <uint32_t> HELD_PACKET) if interface.known else SKIPPED_PACKET
        self.described += 1
        return 0

    cdef int _forget_interfaces(self) except -1:
        self.tallies = self.left_out
        self.described = 0
        return 0

    cdef int _hold(self, Py_ssize_t size) except -1:
        """Take a block of `size` bytes, with what is held of the old one."""
        cdef uint8_t[::1] view
        cdef Py_ssize_t held = self.end - self.start
        data = np.empty(size, np.uint8)
        view = data
        if held:
            memcpy(&view[0], self.bytes + self.start, held)
        self.data, self.bytes, self.size = data, &view[0], size
        self._moved(held)
        return 0

    cdef void _moved(self, Py_ssize_t held) noexcept:
        self.origin += self.start
        self.start, self.end = 0, held

    cdef bint _fill(self) except -1:
        """Bring more bytes behind those held, which go to the front; False at the end of the stream."""
        cdef Py_ssize_t held = self.end - self.start
        cdef Py_ssize_t count
        if self.windows is not None:
            return self._slide(held)
        if self.need > self.size or (self.origin and self.size < self.largest):
            self._hold(max(self.need, self.largest))
        else:
            memmove(self.bytes, self.bytes + self.start, held)
            self._moved(held)
        count = self.stream.readinto(memoryview(self.data)[held:])
        if count < 0 or count > self.size - held:
            raise OSError("the stream gave more bytes than were asked for")
        self.end += count
        return count > 0

    cdef bint _slide(self, Py_ssize_t held) except -1:
        """Look at more bytes, beginning with those held; False at the end of the file."""
        cdef const uint8_t[::1] view
        cdef int64_t position = self.origin + self.start
        if self.windows.size <= position + held:
            return False
        size = max(self.need, self.largest if self.origin else min(self.largest, FIRST_BLOCK))
        # The last window goes before there is another.
        self.window = self.data = None
        try:
            window, before = self.windows.at(position, size)
        except OSError:
            self.windows.leave(position)
            self.windows = None
            self.origin, self.start, self.end = position, 0, 0
            self._hold(size)
            return self._fill()
        data = np.frombuffer(window, np.uint8)[before:]
        self.window, self.before_data, self.data = window, before, data
        view = data
        self.bytes, self.size = <uint8_t *> &view[0] if len(data) else NULL, len(data)
        self.origin, self.start, self.end = position, 0, len(data)
        return len(data) > held

    cdef int _check_window(self) except -1:
        """Look no further than the file goes now: behind its end there are zeros."""
        cdef int64_t there
        self.there = self.size
        if self.window is None:
            return 0
        there = self.windows.size - self.origin
        if self.window.lost is not None:
            there = min(there, <int64_t> self.window.lost - self.before_data)
        if there < self.end:
            self.there = max(there, 0)
            self.shorter = True
            self.end = max(self.there, self.start)
            if self.there < self.start:
                self._end()
        return 0

    cdef int _end(self) except -1:
        """Nothing more comes: say where that is in the middle of something."""
        cdef Py_ssize_t left = self.end - self.start
        cdef bint packet = not self.pcapng or self.leaving >= 0
        self.done = True
        if self.shorter:
            where = self.origin + min(self.there, self.end)
            self._say(f"the file became shorter, or could not be read any more, while it was read (byte {where:,})")
            return 0
        if not (left or self.skip or self.trailer):
            return 0
        if self.pcapng and not self.trailer and left >= 4:
            packet = load32(self.bytes + self.start, self.swapped) in (ENHANCED_PACKET, SIMPLE_PACKET, OBSOLETE_PACKET)
        what = f"packet {self.packets + 1:,}" if packet else "a block"
        self._say(f"the file ends in the middle of {what} (byte {self.record:,})")
        return 0

    cdef int _break(self, Step step) except -1:
        """Say what is wrong with the record that the walk stopped at."""
        packet = f"packet {self.packets + 1:,} (byte {self.record:,})"
        if step == BAD_PACKET_LENGTH:
            self._say(f"{packet} claims {self.claimed:,} bytes where {self.limit:,} are the most")
        elif step == BAD_INTERFACE:
            self._say(f"{packet} is of interface {self.claimed:,}, which the file does not describe")
        elif step == BAD_BLOCK_LENGTH:
            self._say(f"the block at byte {self.record:,} claims an impossible length, {self.claimed:,} bytes")
        elif step == BAD_TRAILER:
            self._say(f"the block at byte {self.record:,} has another length at its end than at its beginning")
        elif step == BAD_ORDER:
            self._say(f"the section at byte {self.record:,} has no byte order that is known")
        elif step == BAD_VERSION:
            self._say(f"the section at byte {self.record:,} has version {self.claimed} of pcapng, and 1 is the last one known")
        return 0

    cdef int _say(self, str fault) except -1:
        self.fault, self.done = fault, True
        return 0


cdef inline uint16_t load16(const uint8_t *p, bint swapped) noexcept nogil:
    cdef uint16_t value
    memcpy(&value, p, 2)
    return <uint16_t> (value >> 8 | value << 8) if swapped else value


cdef inline uint32_t load32(const uint8_t *p, bint swapped) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, p, 4)
    return reversed32(value) if swapped else value


cdef inline uint64_t load64(const uint8_t *p, bint swapped) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, p, 8)
    return <uint64_t> reversed32(<uint32_t> value) << 32 | reversed32(<uint32_t> (value >> 32)) if swapped else value


cdef inline uint32_t reversed32(uint32_t value) noexcept nogil:
    return value >> 24 | (value >> 8 & 0xFF00) | (value << 8 & 0xFF0000) | value << 24


cdef int64_t nanoseconds(uint64_t ticks, uint8_t resolution, int64_t offset) noexcept nogil:
    """Return a time of pcapng in ns since the epoch, from 1970 to `LATEST` (2116) whatever the file says.

    `resolution` is if_tsresol: a negative power of ten, or of two with the upper bit set (opsawg-pcapng, section 4.2).
    """
    cdef unsigned int exponent = resolution & 0x7F
    cdef uint64_t seconds = 0
    cdef uint64_t fraction = ticks
    cdef uint64_t low
    if resolution & 0x80:
        if exponent < 64:
            seconds = ticks >> exponent
            fraction = ticks & ((<uint64_t> 1 << exponent) - 1)
        if exponent < 32:
            fraction = fraction * SECOND >> exponent
        elif exponent - 32 < 64:
            # The product may have more than 64 bits; the lowest 32 are shifted out in any case.
            low = <uint64_t> <uint32_t> fraction * SECOND
            fraction = ((fraction >> 32) * SECOND + (low >> 32)) >> (exponent - 32)
        else:
            fraction = 0
    else:
        if exponent < 20:
            seconds = ticks // POWERS_OF_TEN[exponent]
            fraction = ticks % POWERS_OF_TEN[exponent]
        if exponent <= 9:
            fraction *= POWERS_OF_TEN[9 - exponent]
        elif exponent - 9 < 20:
            fraction //= POWERS_OF_TEN[exponent - 9]
        else:
            fraction = 0
    if offset < 0:
        if seconds < 0 - <uint64_t> offset:
            return 0
        seconds -= 0 - <uint64_t> offset
    elif seconds + <uint64_t> offset < seconds:
        return LATEST
    else:
        seconds += <uint64_t> offset
    if seconds > LATEST // SECOND:
        return LATEST
    return min(seconds * SECOND + fraction, LATEST)
