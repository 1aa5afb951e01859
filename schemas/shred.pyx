# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Read JSON records of known shapes straight into columns: in one pass, and without objects.

Takes: a plan (``schemas.shapes``), then values as bytes and, where records have them, their keys
Out:   which values are usual, and tables with columns of those alone
Unusual: whatever is not read here to the letter as the readers would read it, down to writing
       that is merely rare. Nothing is refused here, and nothing is mended

Nothing looks for the end of a value: ``bytes`` end with a zero, and a control is never usual.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

import numpy as np

from schemas.xxh3 cimport text_key_of

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif

    /* The first byte from p on that ends a stretch of text: a quote, a backslash, a control. */
    static inline const uint8_t *stretch_end(const uint8_t *p, const uint8_t *end) {
    #if defined(__SSE2__)
        const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8(92);
        const __m128i control = _mm_set1_epi8(0x1f);
        while (end - p >= 16) {
            const __m128i text = _mm_loadu_si128((const __m128i *)p);
            const __m128i stop = _mm_or_si128(
                _mm_or_si128(_mm_cmpeq_epi8(text, quote), _mm_cmpeq_epi8(text, slash)),
                _mm_cmpeq_epi8(_mm_min_epu8(text, control), text));
            const int found = _mm_movemask_epi8(stop);
            if (found) return p + __builtin_ctz(found);
            p += 16;
        }
    #endif
        while (*p >= 0x20 && *p != '"' && *p != 92) p++;
        return p;
    }

    /* Whether two names of one length are the same: most are too short for a call of memcmp. */
    static inline int same_name(const uint8_t *a, const uint8_t *b, Py_ssize_t length) {
        uint64_t of_a, of_b;
        Py_ssize_t at = 0;
        for (; at + 8 <= length; at += 8) {
            memcpy(&of_a, a + at, 8);
            memcpy(&of_b, b + at, 8);
            if (of_a != of_b) return 0;
        }
        for (; at < length; at++)
            if (a[at] != b[at]) return 0;
        return 1;
    }
    """
    const uint8_t *stretch_end(const uint8_t *p, const uint8_t *end)
    bint same_name(const uint8_t *a, const uint8_t *b, Py_ssize_t length)

ctypedef const uint8_t *Place
"""Where to go on in a value; NULL: it is not usual."""

cdef enum:
    TEXT, FULL_TEXT, NAME, WORD, WHOLE, PRICE, YES, FLAG, DAY, TIME, KEY, VOID  # as ``shapes.Kind``
    PART, ROWS, CASES

cdef enum:
    BUCKETS = 64
    DEEPEST = 64
    FIRST_ROWS = 256
    KNOWN = 512
    MOST_DIGITS = 18
    FIRST_YEAR = 1990
    LAST_YEAR = 2099

cdef int64_t NONE = -0x7FFFFFFFFFFFFFFF - 1
cdef int64_t MOST_PRICE = 1_000_000_000
cdef int64_t DAY_MS = 86_400_000

cdef struct Member:
    Place name
    Py_ssize_t length
    int kind, column, node, table, case, next  # ``next`` in the same bucket
    bint is_key, or_number

cdef struct Node:
    int first
    uint64_t needed
    int heads[BUCKETS]

cdef struct Column:
    int table, size
    bint is_text
    int64_t absent
    char *data
    Known *known  # of names: some that were told before, to be found without making a text

cdef struct Known:
    Place name  # in the memory of a text that ``texts`` holds
    Py_ssize_t length
    int number

cdef struct Sheet:
    int first, last  # its columns
    int capacity
    int32_t *record
    int32_t *parent


cdef class Shredder:
    """Reads records of one plan; its buffers are kept from one call to the next."""

    cdef Member *members
    cdef Node *nodes
    cdef Column *columns
    cdef Sheet *sheets
    cdef int column_count, sheet_count
    cdef object plan
    cdef list texts  # by column of names: the distinct ones
    cdef list names  # by column of names: their numbers
    cdef list words
    cdef int *column_at  # columns in the order of sheets
    cdef int *rows  # by sheet
    cdef int *kept  # those of records that are usual
    cdef Place end
    cdef int record
    cdef bytes key

    def __cinit__(self, plan):
        self.plan = plan
        self.column_count, self.sheet_count = len(plan.columns), len(plan.tables)
        self.members = <Member *>made(len(plan.members), sizeof(Member))
        self.nodes = <Node *>made(len(plan.nodes), sizeof(Node))
        self.columns = <Column *>made(self.column_count, sizeof(Column))
        self.column_at = <int *>made(self.column_count, sizeof(int))
        self.sheets = <Sheet *>made(self.sheet_count, sizeof(Sheet))
        self.rows = <int *>made(self.sheet_count, sizeof(int))
        self.kept = <int *>made(self.sheet_count, sizeof(int))

    def __init__(self, plan):
        cdef int at, column, sheet
        for at, told in enumerate(plan.columns):
            size = int(told.dtype[1:] or sizeof(PyObject *))
            self.columns[at] = Column(told.table, size, told.dtype == "O", told.absent, NULL, NULL)
            if told.is_named:
                self.columns[at].known = <Known *>made(KNOWN, sizeof(Known))
        at = 0
        for sheet in range(self.sheet_count):
            self.sheets[sheet].first = at
            for column in range(self.column_count):
                if self.columns[column].table == sheet:
                    self.column_at[at] = column
                    at += 1
            self.sheets[sheet].last = at
        for at, told in enumerate(plan.members):
            self.members[at] = Member(
                <Place>PyBytes_AS_STRING(told.name), len(told.name), told.kind, told.column,
                told.node, told.table, told.case, -1, told.is_key, told.or_number,
            )
        for at, (first, last) in enumerate(plan.nodes):
            self._index(at, first, last)
        self.texts = [None] * self.column_count
        self.names = [None] * self.column_count
        self.words = [told.words for told in plan.columns]

    def __dealloc__(self):
        cdef int at
        cdef Py_ssize_t row
        for at in range(self.column_count if self.columns != NULL else 0):
            if self.columns[at].is_text and self.columns[at].data != NULL:
                for row in range(self.sheets[self.columns[at].table].capacity):
                    Py_XDECREF((<PyObject **>self.columns[at].data)[row])
            free(self.columns[at].data)
            free(self.columns[at].known)
        for at in range(self.sheet_count if self.sheets != NULL else 0):
            free(self.sheets[at].record)
            free(self.sheets[at].parent)
        for memory in (<size_t>self.members, <size_t>self.nodes, <size_t>self.columns,
                       <size_t>self.column_at, <size_t>self.sheets,
                       <size_t>self.rows, <size_t>self.kept):
            free(<void *><size_t>memory)

    def shred(self, list values, list keys, Py_ssize_t largest):
        """Tell which values are usual, and by table the columns of these by name.

        Each table has ``record``, the place in ``values``, and ``parent``, the row around it in the
        table around it. A column of names is a pair: numbers, and the distinct texts. ``keys`` may
        be ``None``; a value whose own key is ``None`` is then not usual. Neither is one
        of more than ``largest`` bytes.
        """
        cdef Py_ssize_t count = len(values), size = self.sheet_count * sizeof(int), at
        cdef bytes value
        cdef Place p
        fits = np.zeros(count, np.bool_)
        cdef uint8_t *fit = <uint8_t *>address(fits)
        for at in range(self.column_count):
            if self.plan.columns[at].is_named:
                self.names[at], self.texts[at] = {}, []
                memset(self.columns[at].known, 0, KNOWN * sizeof(Known))
        memset(self.rows, 0, size)
        memset(self.kept, 0, size)
        for at in range(count):
            value = values[at]
            if PyBytes_GET_SIZE(value) > largest:
                continue
            if keys is not None:
                self.key = keys[at]
                if self.key is None:
                    continue
            self.record = <int>at
            p = <Place>PyBytes_AS_STRING(value)
            self.end = p + PyBytes_GET_SIZE(value)
            p = blank(p)
            if p[0] == c"{":
                p = self.row(p, 0, 0, -1)
                if p != NULL and blank(p) == self.end:
                    fit[at] = True
                    memcpy(self.kept, self.rows, size)
                    continue
            memcpy(self.rows, self.kept, size)
        self.key = None
        return fits, {name: self._taken(at) for at, name in enumerate(self.plan.tables)}

    def _index(self, int at, int first, int last):
        """Sorts a node's members into buckets."""
        cdef Node *node = &self.nodes[at]
        cdef int member, bucket
        if last - first > 64:
            raise ValueError("more than 64 members")
        node.first, node.needed = first, 0
        for bucket in range(BUCKETS):
            node.heads[bucket] = -1
        for member in range(first, last):
            if self.plan.members[member].needed:
                node.needed |= <uint64_t>1 << (member - first)
            bucket = bucket_of(self.members[member].name, self.members[member].length)
            self.members[member].next = node.heads[bucket]
            node.heads[bucket] = member

    def _taken(self, int sheet):
        """A table's columns, as arrays of their own."""
        cdef Py_ssize_t rows = self.rows[sheet]
        cdef int at, column
        table = {
            "record": copied(<char *>self.sheets[sheet].record, rows, "i4"),
            "parent": copied(<char *>self.sheets[sheet].parent, rows, "i4"),
        }
        for at in range(self.sheets[sheet].first, self.sheets[sheet].last):
            column = self.column_at[at]
            told = self.plan.columns[column]
            if self.columns[column].is_text:
                array = moved(<PyObject **>self.columns[column].data, rows)
            else:
                array = copied(self.columns[column].data, rows, told.dtype)
            table[told.title] = (array, self.texts[column]) if told.is_named else array
        return table

    cdef int begin(self, int sheet, int parent) except -1:
        """A new row in which nothing is told yet."""
        cdef Sheet *into = &self.sheets[sheet]
        cdef int row = self.rows[sheet], at
        if row == into.capacity:
            self.grow(into)
        self.rows[sheet] = row + 1
        into.record[row] = self.record
        into.parent[row] = parent
        for at in range(into.first, into.last):
            absent(&self.columns[self.column_at[at]], row)
        return row

    cdef int grow(self, Sheet *sheet) except -1:
        cdef int used = sheet.capacity, capacity = max(FIRST_ROWS, 2 * used), at
        cdef Column *column
        sheet.record = <int32_t *>grown(sheet.record, 4 * used, 4 * capacity)
        sheet.parent = <int32_t *>grown(sheet.parent, 4 * used, 4 * capacity)
        for at in range(sheet.first, sheet.last):
            column = &self.columns[self.column_at[at]]
            column.data = <char *>grown(column.data, used * column.size, capacity * column.size)
        sheet.capacity = capacity
        return 0

    # Each of these takes where a thing begins and gives what follows it, or NULL.

    cdef Place row(self, Place p, int node, int sheet, int parent) except? NULL:
        """An object that is a row of its own; ``p`` is at its brace."""
        return self.members_of(p, node, sheet, self.begin(sheet, parent))

    cdef Place members_of(self, Place p, int node, int sheet, int row) except? NULL:
        """An object; ``p`` is at its brace."""
        cdef uint64_t seen = 0, bit
        cdef Member *member
        cdef Place name
        cdef int at
        p = blank(p + 1)
        if p[0] == c"}":
            return p + 1 if self.nodes[node].needed == 0 else NULL
        while True:
            if p[0] != c'"':
                return NULL
            name = p + 1
            p = stretch_end(name, self.end)
            if p[0] != c'"':
                return NULL  # a name may be written with escapes, which is nobody's habit
            at = self.nodes[node].heads[bucket_of(name, p - name)]
            while at >= 0:
                member = &self.members[at]
                if member.length == p - name and same_name(member.name, name, p - name):
                    break
                at = member.next
            p = blank(p + 1)
            if p[0] != c":":
                return NULL
            p = blank(p + 1)
            if at < 0:
                p = skipped(p, self.end, 0)
            else:
                bit = <uint64_t>1 << (at - self.nodes[node].first)
                if seen & bit:
                    return NULL
                if p[0] != c"n":
                    seen |= bit
                    p = self.member(p, member, sheet, row)
                elif member.kind == CASES:
                    return NULL
                else:
                    p = after_null(p)
            if p == NULL:
                return NULL
            p = blank(p)
            if p[0] == c",":
                p = blank(p + 1)
            elif p[0] == c"}":
                return p + 1 if self.nodes[node].needed & ~seen == 0 else NULL
            else:
                return NULL

    cdef Place member(self, Place p, Member *member, int sheet, int row) except? NULL:
        cdef int kind = member.kind, word
        cdef Column *column = &self.columns[member.column]
        if kind <= NAME:
            return self.text(p, member, column, row)
        if kind == PART:
            return self.members_of(p, member.node, sheet, row) if p[0] == c"{" else NULL
        if kind == ROWS:
            return self.rows_of(p, member, row)
        if kind == CASES:
            word = (<int8_t *>column.data)[row]
            if word < 0 or p[0] != c"{":
                return NULL
            member = &self.members[member.case + word]
            return self.row(p, member.node, member.table, row)
        if kind == WORD:
            return self.word(p, member, <int8_t *>column.data + row)
        if kind == WHOLE:
            return whole(p, <int64_t *>column.data + row)
        if kind == PRICE:
            p = number(p, <int64_t *>column.data + row)
            if p == NULL or not -MOST_PRICE <= (<int64_t *>column.data)[row] <= MOST_PRICE:
                return NULL
            return p
        if kind == YES or kind == FLAG:
            return flag(p, kind == FLAG, <int8_t *>column.data + row)
        if kind == DAY:
            return day(p, self.end, <int32_t *>column.data + row)
        if kind == KEY:
            return key(p, self.end, <int64_t *>column.data + row)
        if kind == TIME:
            return time(p, self.end, <int64_t *>column.data + row,
                        <int64_t *>self.columns[member.column + 1].data + row)
        return NULL

    cdef Place rows_of(self, Place p, Member *member, int parent) except? NULL:
        """A list of objects."""
        if p[0] != c"[":
            return NULL
        p = blank(p + 1)
        if p[0] == c"]":
            return p + 1 if not self.plan.members[member - self.members].needed else NULL
        while True:
            if p[0] != c"{":
                return NULL
            p = self.row(p, member.node, member.table, parent)
            if p == NULL:
                return NULL
            p = blank(p)
            if p[0] == c"]":
                return p + 1
            if p[0] != c",":
                return NULL
            p = blank(p + 1)

    cdef Place text(self, Place p, Member *member, Column *column, int row) except? NULL:
        cdef Place stop
        cdef int kind = member.kind
        if p[0] == c'"':
            p += 1
            stop = stretch_end(p, self.end)
            if stop[0] == c"\\" and not member.is_key:
                return self.escaped(p, kind, column, row)
            if stop[0] != c'"':
                return NULL
        elif member.or_number and c"1" <= p[0] <= c"9":
            stop = p
            while is_digit(stop[0]):
                stop += 1
            if stop - p > MOST_DIGITS or stop[0] in (c".", c"e", c"E"):
                return NULL
            self.tell(p, stop - p, kind, column, row)
            return stop
        else:
            return NULL
        if member.is_key and self.key is not None and (
            PyBytes_GET_SIZE(self.key) != stop - p
            or not same_name(<Place>PyBytes_AS_STRING(self.key), p, stop - p)
        ):
            return NULL
        if not self.tell(p, stop - p, kind, column, row):
            return NULL
        return stop + 1

    cdef Place escaped(self, Place p, int kind, Column *column, int row) except? NULL:
        """A text with escapes; pairs of surrogates are left to others."""
        cdef bytearray told = bytearray()
        cdef Place stop
        cdef int letter
        while True:
            stop = stretch_end(p, self.end)
            told += (<char *>p)[:stop - p]
            if stop[0] == c'"':
                break
            if stop[0] != c"\\":
                return NULL
            p = stop + 2
            if stop[1] == c"u":
                letter = hex4(p)
                if letter < 0 or 0xD800 <= letter < 0xE000:
                    return NULL
                told += chr(letter).encode()
                p += 4
            elif stop[1] in (c'"', c"\\", c"/"):
                told.append(stop[1])
            elif stop[1] in (c"b", c"f", c"n", c"r", c"t"):
                told += {c"b": b"\b", c"f": b"\f", c"n": b"\n", c"r": b"\r", c"t": b"\t"}[stop[1]]
            else:
                return NULL
        whole_text = bytes(told)
        if not self.tell(<Place>PyBytes_AS_STRING(whole_text), len(whole_text), kind, column, row):
            return NULL
        return stop + 1

    cdef bint tell(self, Place p, Py_ssize_t size, int kind, Column *column, int row) except -1:
        """Writes a text into its column; whether it could be."""
        if kind == NAME:
            return self.tell_name(p, size, column, row)
        if size == 0 and kind == FULL_TEXT:
            return True
        try:
            told = PyUnicode_DecodeUTF8(<char *>p, size, NULL)
        except UnicodeDecodeError:
            return False
        Py_INCREF(told)
        (<PyObject **>column.data)[row] = <PyObject *>told
        return True

    cdef bint tell_name(self, Place p, Py_ssize_t size, Column *column, int row) except -1:
        """Writes the number of a name into its column; whether it could be."""
        cdef Known *known = &column.known[place_of(p, size)]
        cdef dict names
        cdef list texts
        if size == 0:
            return False
        if known.length != size or not same_name(known.name, p, size):
            try:
                told = PyUnicode_DecodeUTF8(<char *>p, size, NULL)
            except UnicodeDecodeError:
                return False
            names, texts = self.names[column - self.columns], self.texts[column - self.columns]
            known.number = names.setdefault(told, len(texts))
            if known.number == len(texts):
                texts.append(told)
            told = texts[known.number]
            known.name = <Place>PyUnicode_AsUTF8AndSize(told, &known.length)
        (<int32_t *>column.data)[row] = known.number
        return True

    cdef Place word(self, Place p, Member *member, int8_t *into) except? NULL:
        cdef Place stop
        cdef int at = 0
        if p[0] != c'"':
            return NULL
        p += 1
        stop = stretch_end(p, self.end)
        if stop[0] != c'"':
            return NULL
        for known in <tuple>self.words[member.column]:
            if (PyBytes_GET_SIZE(known) == stop - p
                    and same_name(<Place>PyBytes_AS_STRING(known), p, stop - p)):
                into[0] = at
                return stop + 1
            at += 1
        return NULL


# Memory

cdef void *made(Py_ssize_t count, Py_ssize_t size) except NULL:
    cdef void *memory = calloc(max(count, 1), size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef void *grown(void *memory, Py_ssize_t used, Py_ssize_t size) except NULL:
    """More of it; what is new is zero."""
    cdef char *larger = <char *>realloc(memory, size)
    if larger == NULL:
        raise MemoryError
    cdef Py_ssize_t at
    for at in range(used, size):
        larger[at] = 0
    return larger


cdef void *address(array):
    return <void *><size_t>array.__array_interface__["data"][0]


cdef object copied(char *data, Py_ssize_t rows, str dtype):
    array = np.empty(rows, dtype)
    if rows:
        memcpy(address(array), data, array.nbytes)
    return array


cdef object moved(PyObject **data, Py_ssize_t rows):
    """An array that owns the texts from now on."""
    array = np.empty(rows, object)
    cdef PyObject **into = <PyObject **>address(array) if rows else NULL
    cdef PyObject *before
    cdef Py_ssize_t row
    for row in range(rows):
        if data[row] != NULL:
            before = into[row]
            into[row] = data[row]
            data[row] = NULL
            Py_XDECREF(before)
    return array


cdef inline void absent(Column *column, int row):
    """What a column holds where nothing is told."""
    cdef PyObject *before
    if column.is_text:
        before = (<PyObject **>column.data)[row]  # of a record that was not usual after all
        (<PyObject **>column.data)[row] = NULL
        Py_XDECREF(before)
    elif column.size == 8:
        (<int64_t *>column.data)[row] = column.absent
    elif column.size == 4:
        (<int32_t *>column.data)[row] = <int32_t>column.absent
    else:
        (<int8_t *>column.data)[row] = <int8_t>column.absent


# JSON

cdef inline int bucket_of(Place name, Py_ssize_t length) noexcept:
    return 0 if length == 0 else (length + 7 * name[0] + 31 * name[length - 1]) & (BUCKETS - 1)


cdef inline int place_of(Place name, Py_ssize_t length) noexcept:
    cdef uint64_t mixed = length
    cdef Py_ssize_t at
    for at in range(length):
        mixed = 31 * mixed + name[at]
    return (mixed ^ (mixed >> 9)) & (KNOWN - 1)


cdef inline Place blank(Place p) noexcept:
    """What follows white space, of which there is none as a rule."""
    if p[0] > c" ":
        return p
    while p[0] == c" " or p[0] == c"\n" or p[0] == c"\t" or p[0] == c"\r":
        p += 1
    return p


cdef inline bint is_digit(uint8_t letter) noexcept:
    return c"0" <= letter <= c"9"


cdef inline Place after_null(Place p) noexcept:
    return p + 4 if p[1] == c"u" and p[2] == c"l" and p[3] == c"l" else NULL


cdef inline Place after_true(Place p) noexcept:
    return p + 4 if p[1] == c"r" and p[2] == c"u" and p[3] == c"e" else NULL


cdef inline Place after_false(Place p) noexcept:
    if p[1] == c"a" and p[2] == c"l" and p[3] == c"s" and p[4] == c"e":
        return p + 5
    return NULL


cdef int hex4(Place p) noexcept:
    """Four hexadecimal digits, -1 if they are not."""
    cdef int number = 0, at
    cdef uint8_t letter
    for at in range(4):
        letter = p[at]
        if is_digit(letter):
            number = 16 * number + letter - c"0"
        elif c"a" <= letter | 32 <= c"f":
            number = 16 * number + (letter | 32) - c"a" + 10
        else:
            return -1
    return number


cdef Place skipped_text(Place p, Place end) noexcept:
    """A text; ``p`` is behind its first quote."""
    while True:
        p = stretch_end(p, end)
        if p[0] == c'"':
            return p + 1
        if p[0] != c"\\":
            return NULL
        if p[1] == c"u":
            if hex4(p + 2) < 0:
                return NULL
            p += 6
        elif p[1] in (c'"', c"\\", c"/", c"b", c"f", c"n", c"r", c"t"):
            p += 2
        else:
            return NULL


cdef Place skipped_number(Place p) noexcept:
    if p[0] == c"-":
        p += 1
    if p[0] == c"0":
        p += 1
    elif c"1" <= p[0] <= c"9":
        while is_digit(p[0]):
            p += 1
    else:
        return NULL
    if p[0] == c".":
        p += 1
        if not is_digit(p[0]):
            return NULL
        while is_digit(p[0]):
            p += 1
    if p[0] == c"e" or p[0] == c"E":
        p += 1
        if p[0] == c"+" or p[0] == c"-":
            p += 1
        if not is_digit(p[0]):
            return NULL
        while is_digit(p[0]):
            p += 1
    return p


cdef Place skipped(Place p, Place end, int depth) noexcept:
    """Any value."""
    cdef uint8_t close
    if p[0] == c'"':
        return skipped_text(p + 1, end)
    if p[0] == c"t":
        return after_true(p)
    if p[0] == c"f":
        return after_false(p)
    if p[0] == c"n":
        return after_null(p)
    if p[0] != c"{" and p[0] != c"[":
        return skipped_number(p)
    if depth == DEEPEST:
        return NULL
    close = p[0] + 2  # in ASCII
    p = blank(p + 1)
    if p[0] == close:
        return p + 1
    while True:
        if close == c"}":
            if p[0] != c'"':
                return NULL
            p = skipped_text(p + 1, end)
            if p == NULL:
                return NULL
            p = blank(p)
            if p[0] != c":":
                return NULL
            p = blank(p + 1)
        p = skipped(p, end, depth + 1)
        if p == NULL:
            return NULL
        p = blank(p)
        if p[0] == close:
            return p + 1
        if p[0] != c",":
            return NULL
        p = blank(p + 1)


# Values

cdef Place number(Place p, int64_t *into) noexcept:
    """An integer of up to 18 digits."""
    cdef bint is_negative = p[0] == c"-"
    cdef int64_t told = 0
    cdef Place first
    p += is_negative
    first = p
    while is_digit(p[0]):
        told = 10 * told + p[0] - c"0"
        p += 1
        if p - first > MOST_DIGITS:
            return NULL
    if p == first or (first[0] == c"0" and p - first > 1) or p[0] in (c".", c"e", c"E"):
        return NULL
    into[0] = -told if is_negative else told
    return p


cdef Place whole(Place p, int64_t *into) noexcept:
    """An integer, or a text of one."""
    if p[0] != c'"':
        return number(p, into)
    p = number(p + 1, into)
    return p + 1 if p != NULL and p[0] == c'"' else NULL


cdef Place flag(Place p, bint also_number, int8_t *into) noexcept:
    if p[0] == c"t":
        into[0] = 1
        return after_true(p)
    if p[0] == c"f":
        into[0] = 0
        return after_false(p)
    if also_number and (p[0] == c"0" or p[0] == c"1"):
        into[0] = p[0] - c"0"
        p += 1
        return NULL if is_digit(p[0]) or p[0] in (c".", c"e", c"E") else p
    return NULL


cdef Place key(Place p, Place end, int64_t *into) except? NULL:
    """The key of a text of ASCII without escapes, as ids are."""
    cdef Place stop
    if p[0] != c'"':
        return NULL
    p += 1
    stop = stretch_end(p, end)
    if stop[0] != c'"' or not is_ascii(p, stop):
        return NULL
    into[0] = text_key_of(p, stop - p)
    return stop + 1


cdef inline bint is_ascii(Place p, Place stop) noexcept:
    cdef uint8_t letters = 0
    while p < stop:
        letters |= p[0]
        p += 1
    return letters < 0x80


cdef inline int pair(Place p) noexcept:
    """Two digits as a number, -1 if they are not."""
    return 10 * (p[0] - c"0") + p[1] - c"0" if is_digit(p[0]) and is_digit(p[1]) else -1


cdef int days_of(int year, int month) noexcept:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


cdef Place day(Place p, Place end, int32_t *into) noexcept:
    """A text that begins with YYYY-MM-DD, or is empty."""
    cdef Place stop
    cdef int century, years, month, day
    if p[0] != c'"':
        return NULL
    p += 1
    stop = stretch_end(p, end)
    if stop[0] != c'"':
        return NULL
    if stop == p:
        return stop + 1
    if stop - p < 10 or p[4] != c"-" or p[7] != c"-":
        return NULL
    if not is_ascii(p + 10, stop):
        return NULL  # it need not be UTF-8
    century, years, month, day = pair(p), pair(p + 2), pair(p + 5), pair(p + 8)
    if century < 0 or years < 0 or month < 0 or day < 0:
        return NULL
    years += 100 * century
    if years > 0 and 1 <= month <= 12 and 1 <= day <= days_of(years, month):
        into[0] = 10_000 * years + 100 * month + day
    return stop + 1


cdef int64_t days_before(int year, int month) noexcept:
    """Days from 1970 to the first of a month.

    Source: days_from_civil of H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    """
    cdef int64_t since, era, of_era, of_year
    since = year - (month <= 2)
    era = since // 400  # no year is below zero here
    of_era = since - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


cdef Place time(Place p, Place end, int64_t *wall, int64_t *offset) noexcept:
    """A text in one of the usual writings of 19 to 25 letters (``times.read_times``)."""
    cdef Place stop
    cdef Py_ssize_t size
    cdef int year, month, day, hour, minute, second
    if p[0] != c'"':
        return NULL
    p += 1
    stop = stretch_end(p, end)
    size = stop - p
    if stop[0] != c'"' or not (size == 19 or size == 20 or size == 24 or size == 25):
        return NULL
    if (p[4] != c"-" or p[7] != c"-" or (p[10] != c"T" and p[10] != c" ")
            or p[13] != c":" or p[16] != c":"):
        return NULL
    year = 100 * pair(p) + pair(p + 2)
    month, day, hour = pair(p + 5), pair(p + 8), pair(p + 11)
    minute, second = pair(p + 14), pair(p + 17)
    if pair(p) < 0 or pair(p + 2) < 0 or not FIRST_YEAR <= year <= LAST_YEAR:
        return NULL
    if not (1 <= month <= 12 and 1 <= day <= days_of(year, month)):
        return NULL
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        return NULL
    wall[0] = (days_before(year, month) + day - 1) * DAY_MS
    wall[0] += ((hour * 60 + minute) * 60 + second) * <int64_t>1000
    if size == 19:
        return stop + 1
    offset[0] = 0
    if size == 20:
        return stop + 1 if p[19] == c"Z" else NULL
    if p[19] == c".":
        if size != 24 or p[23] != c"Z" or not is_digit(p[20]) or pair(p + 21) < 0:
            return NULL
        wall[0] += 100 * (p[20] - c"0") + pair(p + 21)
        return stop + 1
    if (p[19] != c"+" and p[19] != c"-") or (size == 25 and p[22] != c":"):
        return NULL
    hour, minute = pair(p + 20), pair(p + size - 2)
    if not (0 <= hour < 24 and 0 <= minute < 60):
        return NULL
    offset[0] = (hour * 60 + minute) * <int64_t>60_000
    if p[19] == c"-":
        offset[0] = -offset[0]
    return stop + 1
