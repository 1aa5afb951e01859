"""Read JSON from left to right, in place: each of these takes where a value begins and gives what
follows it, or NULL where it is not usual. Compiled into what includes it.

Nothing looks for the end of a value: ``bytes`` end with a zero, and a control is never usual.
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint64_t

from schemas.xxh3 cimport text_key_of

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
    DEEPEST = 64
    MOST_DIGITS = 18
    FIRST_YEAR = 1990
    LAST_YEAR = 2099
    DAY_MS = 86_400_000


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


cdef inline int hex4(Place p) noexcept:
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


cdef inline Place skipped_text(Place p, Place end) noexcept:
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


cdef inline Place skipped_number(Place p) noexcept:
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


cdef inline Place skipped(Place p, Place end, int depth) noexcept:
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


cdef inline Place number(Place p, int64_t *into) noexcept:
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


cdef inline Place whole(Place p, int64_t *into) noexcept:
    """An integer, or a text of one."""
    if p[0] != c'"':
        return number(p, into)
    p = number(p + 1, into)
    return p + 1 if p != NULL and p[0] == c'"' else NULL


cdef inline Place flag(Place p, bint also_number, int8_t *into) noexcept:
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


cdef inline Place key(Place p, Place end, int64_t *into) except? NULL:
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


cdef inline int days_of(int year, int month) noexcept:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


cdef inline Place day(Place p, Place end, int32_t *into) noexcept:
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


cdef inline int64_t days_before(int year, int month) noexcept:
    """Days from 1970 to the first of a month.

    Source: days_from_civil of H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    """
    cdef int64_t since, era, of_era, of_year
    since = year - (month <= 2)
    era = since // 400  # no year is below zero here
    of_era = since - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


cdef inline Place time(Place p, Place end, int64_t *wall, int64_t *offset) noexcept:
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
    wall[0] += ((hour * 60 + minute) * 60 + second) * <int64_t>1_000
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
