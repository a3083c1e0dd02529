# cython: language_level=3
"""Lines of text from rows of numbers, in one pass into one buffer.

What a line says is no business of this module: it stands in the form that Python gives for it, a sequence of parts. Each part writes a text that stays the
same, or what one column of the row holds: a number, an address, a time, or the word that a table has for a number.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, strlen

cdef extern from "arpa/inet.h":
    const char *inet_ntop(int family, const void *source, char *out, unsigned int size) nogil

cdef extern from "sys/socket.h":
    enum: AF_INET6

cdef enum Op:
    TEXT, NUMBER, HOST, WORD, SECOND, MICROS, AGE, GIVEN, MARK

cdef enum:
    LONGEST_NUMBER = 21   # of 64 bits, with its sign
    LONGEST_HOST = 48     # INET6_ADDRSTRLEN, and brackets
    LONGEST_SECOND = 64

cdef struct Text:
    const char *text
    Py_ssize_t length

cdef struct Table:
    uint16_t *index       # by number: which of the texts, counted from 1; 0 where it has none
    Py_ssize_t count      # of numbers in the index
    Text *texts
    Text before           # what stands for a number without a text: this, the number if `counted`, and that
    Text behind
    bint counted
    Py_ssize_t longest

cdef struct Part:
    Op op
    int width             # bytes of the column
    int clock
    bint brackets
    bint named
    Py_ssize_t at         # where the column lies in the row
    Py_ssize_t other
    Text text
    const Table *table

cdef struct Form:
    Part *parts
    Py_ssize_t count
    Py_ssize_t most       # bytes of a line, the given text apart
    Py_ssize_t given

cdef struct Clock:
    bint known
    int64_t second
    Py_ssize_t length
    char text[LONGEST_SECOND]

cdef struct Octet:
    char text[4]
    uint8_t length

cdef Octet OCTETS[256]
cdef char PAIRS[200]

cdef void _prepare() noexcept:
    cdef int value
    cdef bytes text
    for value in range(256):
        text = str(value).encode()
        memcpy(OCTETS[value].text, PyBytes_AS_STRING(text), len(text))
        OCTETS[value].length = <uint8_t> len(text)
    for value in range(100):
        PAIRS[2 * value] = <char> (48 + value // 10)
        PAIRS[2 * value + 1] = <char> (48 + value % 10)

_prepare()


cdef inline uint64_t number_of(const uint8_t *column, int width) noexcept nogil:
    cdef uint16_t half
    cdef uint32_t word
    cdef uint64_t wide
    if width == 1:
        return column[0]
    if width == 2:
        memcpy(&half, column, 2)
        return half
    if width == 4:
        memcpy(&word, column, 4)
        return word
    memcpy(&wide, column, 8)
    return wide


cdef inline char *put_number(char *out, uint64_t value) noexcept nogil:
    cdef char digits[20]
    cdef int begin = 20
    cdef uint64_t rest
    while value >= 100:
        rest = value % 100
        value //= 100
        begin -= 2
        memcpy(digits + begin, PAIRS + 2 * rest, 2)
    if value >= 10:
        begin -= 2
        memcpy(digits + begin, PAIRS + 2 * value, 2)
    else:
        begin -= 1
        digits[begin] = <char> (48 + value)
    memcpy(out, digits + begin, 20 - begin)
    return out + (20 - begin)


cdef inline char *put_text(char *out, Text text) noexcept nogil:
    memcpy(out, text.text, text.length)
    return out + text.length


cdef inline char *put_octet(char *out, uint64_t value) noexcept nogil:
    memcpy(out, OCTETS[value & 255].text, 4)
    return out + OCTETS[value & 255].length


cdef inline bint is_mapped(uint64_t hi, uint64_t lo) noexcept nogil:
    return hi == 0 and lo >> 32 == 0xFFFF


cdef inline char *put_mapped(char *out, uint64_t lo) noexcept nogil:
    """Write an IPv4 address."""
    out = put_octet(out, lo >> 24)
    out[0] = b"."
    out = put_octet(out + 1, lo >> 16)
    out[0] = b"."
    out = put_octet(out + 1, lo >> 8)
    out[0] = b"."
    return put_octet(out + 1, lo)


cdef char *put_group(char *out, uint16_t group) noexcept nogil:
    """Write four hexadecimal digits, without the zeroes that they begin with."""
    cdef const char *digits = b"0123456789abcdef"
    if group >= 0x1000:
        out[0] = digits[group >> 12]
        out += 1
    if group >= 0x100:
        out[0] = digits[group >> 8 & 15]
        out += 1
    if group >= 0x10:
        out[0] = digits[group >> 4 & 15]
        out += 1
    out[0] = digits[group & 15]
    return out + 1


cdef char *put_wide(char *out, uint64_t hi, uint64_t lo) noexcept nogil:
    """Write an IPv6 address (RFC 5952)."""
    cdef uint8_t octets[16]
    cdef uint16_t groups[8]
    cdef int i, begin = -1, length = 1, first
    for i in range(8):
        groups[i] = <uint16_t> ((hi if i < 4 else lo) >> (48 - 16 * (i & 3)))
    if hi == 0:  # such as ::192.0.2.1: of these the system has forms of its own
        for i in range(8):
            octets[2 * i] = <uint8_t> (groups[i] >> 8)
            octets[2 * i + 1] = <uint8_t> (groups[i] & 255)
        inet_ntop(AF_INET6, octets, out, LONGEST_HOST)
        return out + strlen(out)
    # The first of the longest runs of zeroes, of two at the least.
    i = 0
    while i < 8:
        first = i
        while i < 8 and groups[i] == 0:
            i += 1
        if i - first > length:
            begin, length = first, i - first
        i += 1
    i = 0
    while i < 8:
        if i == begin:
            out[0] = b":"
            out[1] = b":"
            out += 2
            i += length
            continue
        if i and i != begin + length:
            out[0] = b":"
            out += 1
        out = put_group(out, groups[i])
        i += 1
    return out


cdef inline char *put_micros(char *out, int64_t time) noexcept nogil:
    """Write the six digits behind the second of a time in ns; what is below a microsecond is cut off."""
    cdef int64_t micros = time % 1000000000
    if micros < 0:
        micros += 1000000000
    micros //= 1000
    memcpy(out, PAIRS + 2 * (micros // 10000), 2)
    memcpy(out + 2, PAIRS + 2 * (micros // 100 % 100), 2)
    memcpy(out + 4, PAIRS + 2 * (micros % 100), 2)
    return out + 6


cdef inline int64_t second_of(int64_t time) noexcept nogil:
    """The whole seconds of a time in ns, rounded down."""
    cdef int64_t second = time // 1000000000
    return second - 1 if time % 1000000000 < 0 else second


cdef class Words:
    """What stands in place of a number: its text in `texts` (numbers below 65536), else `before`, the number if `counted`, and `behind`."""

    cdef Table table
    cdef list kept

    def __cinit__(self, dict texts, bytes before=b"", bytes behind=b"", bint counted=True):
        cdef Py_ssize_t place = 0
        cdef bytes text
        self.kept = [before, behind]
        self.table.count = max(texts) + 1 if texts else 0
        if texts and (min(texts) < 0 or self.table.count > 65536):
            raise ValueError("words are for numbers from 0 to 65535")
        self.table.index = <uint16_t *> calloc(self.table.count + 1, sizeof(uint16_t))
        self.table.texts = <Text *> calloc(len(texts) + 1, sizeof(Text))
        if self.table.index == NULL or self.table.texts == NULL:
            raise MemoryError
        self.table.before = text_of(before)
        self.table.behind = text_of(behind)
        self.table.counted = counted
        self.table.longest = len(before) + len(behind) + LONGEST_NUMBER
        for number, text in texts.items():
            if place == 65535:
                break
            place += 1
            self.kept.append(text)
            self.table.index[<Py_ssize_t> number] = <uint16_t> place
            self.table.texts[place] = text_of(text)
            self.table.longest = max(self.table.longest, len(text))

    def __dealloc__(self):
        free(self.table.index)
        free(self.table.texts)


cdef Text text_of(bytes text) except *:
    cdef Text given
    if text is None:
        raise TypeError("bytes are wanted")
    given.text = PyBytes_AS_STRING(text)
    given.length = PyBytes_GET_SIZE(text)
    return given


cdef inline char *put_word(char *out, const Table *table, uint64_t number) noexcept nogil:
    cdef uint16_t place = 0
    if number < <uint64_t> table.count:
        place = table.index[number]
    if place:
        return put_text(out, table.texts[place])
    out = put_text(out, table.before)
    if table.counted:
        out = put_number(out, number)
    return put_text(out, table.behind)


cdef class Forms:
    """Forms of lines about rows of `row_size` bytes. One thread at a time may use it.

    A part is one of these; `at` is where a column begins in a row:

    - bytes: that text
    - `("number", at, width)`: an unsigned number of `width` bytes
    - `("host", at, at_lo, brackets, named)`: an address of two columns; an IPv6 one in brackets if `brackets`; its name instead, if `named` and it has one
    - `("word", at, width, words)`: what `Words` have for a number
    - `("second", at, text)`: the second of a time in ns, as the function `text` writes it; it is called once for each run of the same second
    - `("micros", at)`: the six digits behind it
    - `("age", at, at_earlier)`: the whole seconds between two times in ns
    - `("given",)`: a text that the caller has for the row
    - `("mark",)`: nothing; what is compared with the line before begins here
    """

    cdef Py_ssize_t row_size
    cdef Form *forms
    cdef Py_ssize_t count
    cdef Clock *clocks
    cdef list functions
    cdef list kept
    cdef dict names
    cdef char *out
    cdef Py_ssize_t room

    def __cinit__(self, Py_ssize_t row_size):
        self.row_size = row_size
        self.functions = []
        self.kept = []

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            free(self.forms[i].parts)
        free(self.forms)
        free(self.clocks)
        free(self.out)

    def add(self, parts):
        """Add a form, and return its number."""
        cdef Form form
        cdef Form *forms = <Form *> realloc(self.forms, (self.count + 1) * sizeof(Form))
        cdef Py_ssize_t i
        if forms == NULL:
            raise MemoryError
        self.forms = forms
        parts = list(parts)
        form.count = len(parts)
        form.most = 1
        form.given = 0
        form.parts = <Part *> calloc(form.count + 1, sizeof(Part))
        if form.parts == NULL:
            raise MemoryError
        try:
            for i in range(form.count):
                form.most += self._part(&form.parts[i], parts[i])
                form.given += form.parts[i].op == GIVEN
        except BaseException:
            free(form.parts)
            raise
        self.kept.append(parts)
        self.forms[self.count] = form
        self.count += 1
        return self.count - 1

    def fill(
        self,
        const uint8_t[:, ::1] rows,
        const int32_t[::1] chosen,
        int64_t[::1] begins,
        int64_t[::1] marks,
        uint8_t[::1] again,
        dict names=None,
        list given=None,
    ):
        """Return a line for each row, by its chosen form, each with a newline.

        `begins` takes where each begins, and where the last one ends; `marks` where what is compared begins; `again` whether that is the same as in the
        line before. `names` are texts of hosts by their addresses, `given` a text for each row.
        """
        cdef Py_ssize_t n = rows.shape[0], i
        cdef Text *texts = NULL
        if n and rows.shape[1] != self.row_size:
            raise ValueError("rows of another size")
        if chosen.shape[0] != n or begins.shape[0] != n + 1 or marks.shape[0] != n or again.shape[0] != n:
            raise ValueError("columns of another length")
        for i in range(n):
            if not 0 <= chosen[i] < self.count:
                raise IndexError("no such form")
            if self.forms[chosen[i]].given and (given is None or len(given) != n):
                raise ValueError("a text for each row is wanted")
        begins[0] = 0
        if n == 0:
            return b""
        self.names = names or None
        try:
            if given is not None:
                texts = <Text *> malloc(n * sizeof(Text))
                if texts == NULL:
                    raise MemoryError
                for i in range(n):
                    texts[i] = text_of(given[i])
            with nogil:
                self._fill(&rows[0, 0], n, &chosen[0], &begins[0], &marks[0], &again[0], texts)
            return PyBytes_FromStringAndSize(self.out, begins[n])
        finally:
            free(texts)
            self.names = None

    cdef Py_ssize_t _part(self, Part *part, object given) except -1:
        """Read a part, and return how many bytes it may write at the most."""
        cdef Words words
        if isinstance(given, bytes):
            part.op = TEXT
            part.text = text_of(given)
            return part.text.length
        kind = given[0]
        if kind == "given":
            part.op = GIVEN
            return 0
        if kind == "mark":
            part.op = MARK
            return 0
        part.at = given[1]
        part.width = given[2] if kind in ("number", "word") else 8
        if part.width not in (1, 2, 4, 8) or not 0 <= part.at <= self.row_size - part.width:
            raise ValueError("no such column")
        if kind == "number":
            part.op = NUMBER
            return LONGEST_NUMBER
        if kind == "word":
            words = given[3]
            part.op = WORD
            part.table = &words.table
            return words.table.longest
        if kind == "second":
            part.op = SECOND
            part.clock = self._clock(given[2])
            return LONGEST_SECOND
        if kind == "micros":
            part.op = MICROS
            return 6
        part.other = given[2]
        if not 0 <= part.other <= self.row_size - 8:
            raise ValueError("no such column")
        if kind == "age":
            part.op = AGE
            return LONGEST_NUMBER
        if kind == "host":
            part.op = HOST
            part.brackets, part.named = given[3], given[4]
            return LONGEST_HOST
        raise ValueError(f"{kind!r} is no part of a line")

    cdef int _clock(self, object function) except -1:
        cdef Clock *clocks
        if function in self.functions:
            return self.functions.index(function)
        clocks = <Clock *> realloc(self.clocks, (len(self.functions) + 1) * sizeof(Clock))
        if clocks == NULL:
            raise MemoryError
        self.clocks = clocks
        clocks[len(self.functions)].known = False
        self.functions.append(function)
        return len(self.functions) - 1

    cdef int _fill(
        self, const uint8_t *row, Py_ssize_t n, const int32_t *chosen, int64_t *begins, int64_t *marks, uint8_t *again, const Text *given
    ) except -1 nogil:
        cdef Py_ssize_t i, k, size, mark, most
        cdef const Form *form
        cdef const Part *part
        cdef const Clock *clock
        cdef char *out
        cdef char *begin
        cdef uint64_t hi, lo
        cdef int64_t time, earlier
        cdef Py_ssize_t before = 0, length_before = -1
        cdef Py_ssize_t done = 0
        for i in range(n):
            form = &self.forms[chosen[i]]
            most = form.most + (form.given * given[i].length if form.given else 0)
            self._make_room(done, most)
            out = self.out + done
            marks[i] = done
            for k in range(form.count):
                part = &form.parts[k]
                if part.op == TEXT:
                    out = put_text(out, part.text)
                elif part.op == NUMBER:
                    out = put_number(out, number_of(row + part.at, part.width))
                elif part.op == WORD:
                    out = put_word(out, part.table, number_of(row + part.at, part.width))
                elif part.op == HOST:
                    hi, lo = number_of(row + part.at, 8), number_of(row + part.other, 8)
                    begin = out
                    if is_mapped(hi, lo):
                        out = put_mapped(out, lo)
                    else:
                        out[0] = b"["
                        out = put_wide(out + part.brackets, hi, lo)
                        if part.brackets:
                            out[0] = b"]"
                            out += 1
                    if part.named and self.names is not None:
                        done = out - self.out
                        done += self._name(begin - self.out, done, part.brackets and not is_mapped(hi, lo), most)
                        out = self.out + done
                elif part.op == SECOND:
                    time = second_of(<int64_t> number_of(row + part.at, 8))
                    clock = &self.clocks[part.clock]
                    if not clock.known or clock.second != time:
                        self._tell(part.clock, time)
                    memcpy(out, clock.text, clock.length)
                    out += clock.length
                elif part.op == MICROS:
                    out = put_micros(out, <int64_t> number_of(row + part.at, 8))
                elif part.op == AGE:
                    time, earlier = <int64_t> number_of(row + part.at, 8), <int64_t> number_of(row + part.other, 8)
                    time = second_of(<int64_t> (<uint64_t> time - <uint64_t> earlier))
                    if time < 0:
                        out[0] = b"-"
                        out = put_number(out + 1, <uint64_t> -time)
                    else:
                        out = put_number(out, <uint64_t> time)
                elif part.op == GIVEN:
                    out = put_text(out, given[i])
                else:
                    marks[i] = out - self.out
            out[0] = b"\n"
            done = out + 1 - self.out
            begins[i + 1] = done
            mark = marks[i]
            size = done - mark
            again[i] = size == length_before and memcmp(self.out + mark, self.out + before, size) == 0
            before, length_before = mark, size
            row += self.row_size
        return 0

    cdef int _make_room(self, Py_ssize_t done, Py_ssize_t more) except -1 nogil:
        """See to it that `more` bytes, and a few that are written over, fit behind those that are done."""
        cdef Py_ssize_t wanted = done + more + 8
        cdef char *out
        if wanted > self.room:
            wanted += wanted // 2 + 4096
            out = <char *> realloc(self.out, wanted)
            if out == NULL:
                with gil:
                    raise MemoryError
            self.out = out
            self.room = wanted
        return 0

    cdef Py_ssize_t _name(self, Py_ssize_t begin, Py_ssize_t end, bint brackets, Py_ssize_t most) except? -1 with gil:
        """Put the name of a host in the place of its address; return by how many bytes the line is longer then."""
        cdef bytes text
        cdef object name = self.names.get(self.out[begin + brackets:end - brackets].decode("ascii"))
        if not name:
            return 0
        text = name.encode()
        self._make_room(begin + len(text), most)
        memcpy(self.out + begin, PyBytes_AS_STRING(text), len(text))
        return begin + len(text) - end

    cdef int _tell(self, int number, int64_t second) except -1 with gil:
        """Let the text of a second be written."""
        cdef Clock *clock = &self.clocks[number]
        cdef bytes text = self.functions[number](second)
        if len(text) > LONGEST_SECOND:
            raise ValueError("the text of a second is too long")
        memcpy(clock.text, PyBytes_AS_STRING(text), len(text))
        clock.length = len(text)
        clock.second = second
        clock.known = True
        return 0
