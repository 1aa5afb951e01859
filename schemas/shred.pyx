# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Read JSON records of known shapes straight into columns: in one pass, and without objects.

Takes: a plan (``schemas.shapes``), then values as bytes and, where records have them, their keys
Out:   which values are usual, and tables with columns of those alone
Unusual: whatever is not read here to the letter as the readers would read it, down to writing
       that is merely rare. Nothing is refused here, and nothing is mended
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

import numpy as np

from schemas.scan cimport (
    MOST_DIGITS, Place, after_null, blank, day, flag, hex4, is_digit, key, number, same_name, skipped,
    stretch_end, time, whole,
)

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    TEXT, FULL_TEXT, NAME, WORD, WHOLE, PRICE, YES, FLAG, DAY, TIME, KEY, VOID  # as ``shapes.Kind``
    PART, ROWS, CASES

cdef enum:
    BUCKETS = 64
    FIRST_ROWS = 256
    KNOWN = 512

cdef int64_t NONE = -0x7FFFFFFFFFFFFFFF - 1
cdef int64_t MOST_PRICE = 1_000_000_000

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

cdef struct Table:
    int first, last  # its columns
    int capacity
    int32_t *record
    int32_t *parent


cdef class Shredder:
    """Reads records of one plan; its buffers are kept from one call to the next."""

    cdef Member *members
    cdef Node *nodes
    cdef Column *columns
    cdef Table *tables
    cdef int column_count, table_count
    cdef object plan
    cdef list texts  # by column of names: the distinct ones
    cdef list names  # by column of names: their numbers
    cdef list words
    cdef int *column_at  # columns in the order of tables
    cdef int *rows  # by table
    cdef int *kept  # those of records that are usual
    cdef Place end
    cdef int record
    cdef bytes key

    def __cinit__(self, plan):
        self.plan = plan
        self.column_count, self.table_count = len(plan.columns), len(plan.tables)
        self.members = <Member *>made(len(plan.members), sizeof(Member))
        self.nodes = <Node *>made(len(plan.nodes), sizeof(Node))
        self.columns = <Column *>made(self.column_count, sizeof(Column))
        self.column_at = <int *>made(self.column_count, sizeof(int))
        self.tables = <Table *>made(self.table_count, sizeof(Table))
        self.rows = <int *>made(self.table_count, sizeof(int))
        self.kept = <int *>made(self.table_count, sizeof(int))

    def __init__(self, plan):
        cdef int at, column, table
        for at, told in enumerate(plan.columns):
            size = int(told.dtype[1:] or sizeof(PyObject *))
            self.columns[at] = Column(told.table, size, told.dtype == "O", told.absent, NULL, NULL)
            if told.is_named:
                self.columns[at].known = <Known *>made(KNOWN, sizeof(Known))
        at = 0
        for table in range(self.table_count):
            self.tables[table].first = at
            for column in range(self.column_count):
                if self.columns[column].table == table:
                    self.column_at[at] = column
                    at += 1
            self.tables[table].last = at
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
                for row in range(self.tables[self.columns[at].table].capacity):
                    Py_XDECREF((<PyObject **>self.columns[at].data)[row])
            free(self.columns[at].data)
            free(self.columns[at].known)
        for at in range(self.table_count if self.tables != NULL else 0):
            free(self.tables[at].record)
            free(self.tables[at].parent)
        for memory in (<size_t>self.members, <size_t>self.nodes, <size_t>self.columns,
                       <size_t>self.column_at, <size_t>self.tables,
                       <size_t>self.rows, <size_t>self.kept):
            free(<void *><size_t>memory)

    def shred(self, list values, list keys, Py_ssize_t largest):
        """Tell which values are usual, and by table the columns of these by name.

        Each table has ``record``, the place in ``values``, and ``parent``, the row around it in the
        table around it. A column of names is a pair: numbers, and the distinct texts. ``keys`` may
        be ``None``; a value whose own key is ``None`` is then not usual. Neither is one
        of more than ``largest`` bytes.
        """
        cdef Py_ssize_t count = len(values), size = self.table_count * sizeof(int), at
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

    def _taken(self, int table):
        """A table's columns, as arrays of their own."""
        cdef Py_ssize_t rows = self.rows[table]
        cdef int at, column
        taken = {
            "record": copied(<char *>self.tables[table].record, rows, "i4"),
            "parent": copied(<char *>self.tables[table].parent, rows, "i4"),
        }
        for at in range(self.tables[table].first, self.tables[table].last):
            column = self.column_at[at]
            told = self.plan.columns[column]
            if self.columns[column].is_text:
                array = moved(<PyObject **>self.columns[column].data, rows)
            else:
                array = copied(self.columns[column].data, rows, told.dtype)
            taken[told.title] = (array, self.texts[column]) if told.is_named else array
        return taken

    cdef int begin(self, int table, int parent) except -1:
        """A new row in which nothing is told yet."""
        cdef Table *into = &self.tables[table]
        cdef int row = self.rows[table], at
        if row == into.capacity:
            self.grow(into)
        self.rows[table] = row + 1
        into.record[row] = self.record
        into.parent[row] = parent
        for at in range(into.first, into.last):
            absent(&self.columns[self.column_at[at]], row)
        return row

    cdef int grow(self, Table *table) except -1:
        cdef int used = table.capacity, capacity = max(FIRST_ROWS, 2 * used), at
        cdef Column *column
        table.record = <int32_t *>grown(table.record, 4 * used, 4 * capacity)
        table.parent = <int32_t *>grown(table.parent, 4 * used, 4 * capacity)
        for at in range(table.first, table.last):
            column = &self.columns[self.column_at[at]]
            column.data = <char *>grown(column.data, used * column.size, capacity * column.size)
        table.capacity = capacity
        return 0

    # Each of these takes where a thing begins and gives what follows it, or NULL.

    cdef Place row(self, Place p, int node, int table, int parent) except? NULL:
        """An object that is a row of its own; ``p`` is at its brace."""
        return self.members_of(p, node, table, self.begin(table, parent))

    cdef Place members_of(self, Place p, int node, int table, int row) except? NULL:
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
                    p = self.member(p, member, table, row)
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

    cdef Place member(self, Place p, Member *member, int table, int row) except? NULL:
        cdef int kind = member.kind, word
        cdef Column *column = &self.columns[member.column]
        if kind <= NAME:
            return self.text(p, member, column, row)
        if kind == PART:
            return self.members_of(p, member.node, table, row) if p[0] == c"{" else NULL
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


# Names

cdef inline int bucket_of(Place name, Py_ssize_t length) noexcept:
    return 0 if length == 0 else (length + 7 * name[0] + 31 * name[length - 1]) & (BUCKETS - 1)


cdef inline int place_of(Place name, Py_ssize_t length) noexcept:
    cdef uint64_t mixed = length
    cdef Py_ssize_t at
    for at in range(length):
        mixed = 31 * mixed + name[at]
    return (mixed ^ (mixed >> 9)) & (KNOWN - 1)
