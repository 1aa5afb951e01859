# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Loops of ``segments``, compiled: a customer's score and the day on which it may be another.

State: read only; results are those of the functions of the same names to the bit
"""

from libc.stdint cimport int16_t, int32_t, int64_t

import numpy as np

cdef object _new = np.empty
cdef object _I8 = np.dtype(np.int64)
cdef object _CODE = np.dtype(np.int16)

cdef enum:
    NO_DAY = -2147483648
    LOST = 111

cdef int64_t NEVER = np.iinfo(np.int64).max


cdef object wide(rows):
    return rows if rows.itemsize == 8 else rows.astype(_I8)


cdef inline int _digit(int64_t monetary, int64_t big, int64_t fair) noexcept nogil:
    return 1 + (monetary >= fair) + (monetary >= big)


def segment_codes(rules, tenants, features, const int32_t[:] today):
    cdef const int64_t[:] tenant = wide(tenants), monetary = features.monetary
    cdef const int32_t[:] last_day = features.last_day, frequency = features.frequency
    cdef const int32_t[:] recent = rules.recent, cooling = rules.cooling
    cdef const int32_t[:] often = rules.often, repeated = rules.repeated
    cdef const int32_t[:] bounds_day = rules.bounds_day
    cdef const int64_t[:] big = rules.big, fair = rules.fair
    cdef const int64_t[:] big_before = rules.big_before, fair_before = rules.fair_before
    cdef Py_ssize_t count = tenant.shape[0], line
    cdef int64_t whose, recency
    cdef int m
    codes = _new(count, _CODE)
    cdef int16_t[::1] into = codes
    for line in range(count):
        whose = tenant[line]
        if last_day[line] == NO_DAY:
            into[line] = 0
            continue
        if frequency[line] == 0:
            into[line] = LOST
            continue
        recency = max(<int64_t>today[line] - last_day[line], 0)
        if today[line] < bounds_day[whose]:
            m = _digit(monetary[line], big_before[whose], fair_before[whose])
        else:
            m = _digit(monetary[line], big[whose], fair[whose])
        into[line] = (
            100 * (1 + (recency <= cooling[whose]) + (recency <= recent[whose]))
            + 10 * (1 + (frequency[line] >= repeated[whose]) + (frequency[line] >= often[whose]))
            + m
        )
    return codes


def next_day(rules, tenants, features, const int32_t[:] today):
    cdef const int64_t[:] tenant = wide(tenants), monetary = features.monetary
    cdef const int64_t[:] leaves_day = features.leaves_day
    cdef const int32_t[:] last_day = features.last_day, frequency = features.frequency
    cdef const int32_t[:] recent = rules.recent, cooling = rules.cooling
    cdef const int32_t[:] bounds_day = rules.bounds_day
    cdef const int64_t[:] big = rules.big, fair = rules.fair
    cdef const int64_t[:] big_before = rules.big_before, fair_before = rules.fair_before
    cdef Py_ssize_t count = tenant.shape[0], line
    cdef int64_t whose, soonest, falls
    days = _new(count, _I8)
    cdef int64_t[::1] into = days
    for line in range(count):
        whose = tenant[line]
        soonest = leaves_day[line]
        falls = <int64_t>last_day[line] + recent[whose] + 1
        if falls > today[line]:
            soonest = min(soonest, falls)
        falls = <int64_t>last_day[line] + cooling[whose] + 1
        if falls > today[line]:
            soonest = min(soonest, falls)
        if (
            frequency[line] > 0 and today[line] < bounds_day[whose]
            and _digit(monetary[line], big_before[whose], fair_before[whose])
            != _digit(monetary[line], big[whose], fair[whose])
        ):
            soonest = min(soonest, <int64_t>bounds_day[whose])
        into[line] = soonest
    return days
