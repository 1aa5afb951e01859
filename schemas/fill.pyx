# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Fill forms in with columns, and put what is told into messages: without an object for a value.

Takes: a ``Form``'s pieces and kinds (``schemas.forms``) with columns of the same length
Out:   ``bytes`` for each line; ``Message`` for each line; the digest of messages
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_SET_ITEM
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    ctypedef struct PyTypeObject:
        object (*tp_alloc)(PyTypeObject *, Py_ssize_t)

cdef enum:
    TEXT, PLAIN, VALUE, JSON, KEY, NUMBER, PHONE, INSTANT, WALL, MINUTE, DATE  # as ``forms.Kind``

cdef enum:
    WIDEST = 48  # of what is no text: a quoted instant, or a number

cdef int64_t NONE = -(<int64_t>1 << 63)

cdef extern from *:
    """
    /* 0: as it is; 'u': six characters; else what stands behind the backslash. */
    static const char ESCAPES[256] = {
        'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n', 'u', 'f', 'r', 'u', 'u',
        'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
        ['"'] = '"', ['\\\\'] = '\\\\',
    };
    """
    const char ESCAPES[256]

cdef struct Column:
    int kind
    const char *piece  # what stands before it
    Py_ssize_t piece_size
    PyObject *items  # a list, where there are no numbers or keys
    const int64_t *numbers
    const uint8_t *keys
    Py_ssize_t width

cdef struct Paper:
    char *start
    Py_ssize_t used
    Py_ssize_t size


def fill(tuple pieces, tuple kinds, tuple columns, Py_ssize_t count, encode):
    """Each line's text; ``pieces`` are one more than the columns, which they stand between.

    Columns are lists, int64 arrays, or two-dimensional bytes of a key each; ``encode`` is asked for
    the JSON of values. Raises ``UnicodeEncodeError`` for a lone surrogate.
    """
    cdef Py_ssize_t width = len(columns), line, at
    cdef Column *plan = <Column *>calloc(width + 1, sizeof(Column))
    cdef Paper paper = Paper(NULL, 0, 0)
    cdef list filled = []
    cdef bytes last = pieces[width]
    if plan == NULL:
        raise MemoryError
    try:
        for at in range(width):
            _take(&plan[at], pieces[at], kinds[at], columns[at], count)
        for line in range(count):
            paper.used = 0
            for at in range(width):
                _put(&paper, plan[at].piece, plan[at].piece_size)
                _put_value(&paper, &plan[at], line, encode)
            _put(&paper, PyBytes_AS_STRING(last), PyBytes_GET_SIZE(last))
            filled.append(PyBytes_FromStringAndSize(paper.start, paper.used))
    finally:
        free(paper.start)
        free(plan)
    return filled


cdef int _take(Column *column, bytes piece, int kind, told, Py_ssize_t count) except -1:
    # Whoever calls holds all of these for as long as the pointers are used.
    cdef const int64_t[::1] numbers
    cdef const uint8_t[:, ::1] keys
    cdef Py_ssize_t size
    column.kind = kind
    column.piece, column.piece_size = PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece)
    if kind <= JSON:
        size = PyList_GET_SIZE(<list?>told)
        column.items = <PyObject *>told
    elif kind == KEY:
        keys = told
        size, column.width = keys.shape[0], keys.shape[1]
        if size:
            column.keys = &keys[0, 0]
    else:
        numbers = told
        size = numbers.shape[0]
        if size:
            column.numbers = &numbers[0]
    if size != count:
        raise ValueError(f"a column of {size} lines among those of {count}")
    return 0


cdef int _put_value(Paper *paper, Column *column, Py_ssize_t line, encode) except -1:
    cdef Py_ssize_t size
    cdef const char *text
    cdef object told
    if column.kind <= JSON:
        told = <object>PyList_GET_ITEM(<object>column.items, line)
        if column.kind == PLAIN:
            text = PyUnicode_AsUTF8AndSize(told, &size)
            return _put(paper, text, size)
        if told is None:
            return _put(paper, "null", 4)
        if column.kind == TEXT:
            text = PyUnicode_AsUTF8AndSize(told, &size)
            return _put_quoted(paper, text, size)
        if column.kind == VALUE:
            told = encode(told)
        return _put(paper, PyBytes_AS_STRING(<bytes?>told), PyBytes_GET_SIZE(told))
    if column.kind == KEY:
        size = column.width
        text = <const char *>(column.keys + line * size)
        while size and text[size - 1] == 0:
            size -= 1
        return _put(paper, text, size)
    return _put_number(paper, column.kind, column.numbers[line])


cdef int _put_number(Paper *paper, int kind, int64_t number) except -1:
    cdef char *at
    if number == NONE or (number == 0 and (kind == PHONE or kind == DATE)):
        return _put(paper, "null", 4)
    _reserve(paper, WIDEST)
    at = paper.start + paper.used
    if kind == NUMBER:
        at = _whole(at, number)
    elif kind == WALL:
        at = _instant(at, number)
    elif kind == MINUTE:
        at = _letter(_seconds(at, _floor(number, 60_000) * 60) - 3, b"Z")
    else:
        at = _letter(at, b'"')
        if kind == PHONE:
            at = _whole(_letter(at, b"+"), number)
        elif kind == DATE:
            at = _date(at, number // 10_000, number // 100 % 100, number % 100)
        else:
            at = _letter(_instant(at, number), b"Z")
        at = _letter(at, b'"')
    paper.used = at - paper.start
    return 0


cdef int _reserve(Paper *paper, Py_ssize_t more) except -1:
    cdef Py_ssize_t size = paper.used + more
    cdef char *start
    if size > paper.size:
        size += size // 2 + 1_024
        start = <char *>realloc(paper.start, size)
        if start == NULL:
            raise MemoryError
        paper.start, paper.size = start, size
    return 0


cdef inline int _put(Paper *paper, const char *text, Py_ssize_t size) except -1:
    _reserve(paper, size)
    memcpy(paper.start + paper.used, text, size)
    paper.used += size
    return 0


cdef int _put_quoted(Paper *paper, const char *text, Py_ssize_t size) except -1:
    _reserve(paper, 6 * size + 2)
    cdef char *at = _letter(paper.start + paper.used, b'"')
    cdef Py_ssize_t place
    cdef uint8_t letter
    cdef char escape
    for place in range(size):
        letter = <uint8_t>text[place]
        escape = ESCAPES[letter]
        if escape == 0:
            at[0] = <char>letter
            at += 1
            continue
        at = _letter(_letter(at, b"\\"), escape)
        if escape == b"u":
            at = _letter(_letter(_letter(at, b"0"), b"0"), 48 + (letter >> 4))
            letter &= 15
            at = _letter(at, 48 + letter if letter < 10 else 87 + letter)
    paper.used = _letter(at, b'"') - paper.start
    return 0


cdef inline int64_t _floor(int64_t number, int64_t unit) noexcept:
    return number // unit - (number % unit < 0)


cdef inline char *_letter(char *at, char letter) noexcept:
    at[0] = letter
    return at + 1


cdef inline char *_pair(char *at, int64_t number) noexcept:
    return _letter(_letter(at, <char>(48 + number // 10 % 10)), <char>(48 + number % 10))


cdef char *_whole(char *at, int64_t number) noexcept:
    cdef char digits[20]
    cdef int used = 0
    if number < 0:
        at = _letter(at, b"-")
        number = -number
    while True:
        digits[used] = <char>(48 + number % 10)
        used += 1
        number //= 10
        if number == 0:
            break
    while used:
        used -= 1
        at = _letter(at, digits[used])
    return at


cdef inline char *_date(char *at, int64_t year, int64_t month, int64_t day) noexcept:
    at = _letter(_pair(_pair(at, year // 100), year % 100), b"-")
    return _pair(_letter(_pair(at, month), b"-"), day)


cdef char *_instant(char *at, int64_t ms) noexcept:
    """Without its zone; milliseconds only where there are any."""
    cdef int64_t second = _floor(ms, 1_000), rest = ms - 1_000 * second
    at = _seconds(at, second)
    if rest:
        at = _pair(_letter(_letter(at, b"."), <char>(48 + rest // 100)), rest % 100)
    return at


cdef char *_seconds(char *at, int64_t second) noexcept:
    cdef int64_t day = _floor(second, 86_400), rest = second - 86_400 * day
    # Years that begin in March end with the leap day, and an era is 400 of them.
    cdef int64_t era = _floor(day + 719_468, 146_097), of_era = day + 719_468 - 146_097 * era
    cdef int64_t year, of_year, month
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    at = _date(at, year + era * 400 + (month <= 2), month, day)
    at = _letter(_pair(_letter(at, b"T"), rest // 3_600), b":")
    return _pair(_letter(_pair(at, rest // 60 % 60), b":"), rest % 60)


def messages(type kind, const int64_t[:] order, list positions, list keys, list values):
    """``Message`` of each line, in this order."""
    cdef list made = []
    cdef object message, field
    cdef Py_ssize_t line, at
    for line in range(order.shape[0]):
        at = order[line]
        # As ``tuple.__new__`` does it, without a tuple to begin with.
        message = (<PyTypeObject *>kind).tp_alloc(<PyTypeObject *>kind, 3)
        field = positions[at]
        Py_INCREF(field)
        PyTuple_SET_ITEM(message, 0, field)
        field = keys[at]
        Py_INCREF(field)
        PyTuple_SET_ITEM(message, 1, field)
        field = values[at]
        Py_INCREF(field)
        PyTuple_SET_ITEM(message, 2, field)
        made.append(message)
    return made


def digest(list told, hash_of):
    """Sum of ``hash_of(value, position)`` over messages, modulo 2**64."""
    cdef uint64_t total = 0
    cdef object message
    for message in told:
        total += <uint64_t>hash_of(
            <object>PyTuple_GET_ITEM(message, 2), <object>PyTuple_GET_ITEM(message, 0)
        )
    return total
