# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True
"""Loops of ``money``, ``money_units`` and ``reach``, compiled: a row's columns are read together.

State: read only; results are those of the functions of the same names to the bit
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint64_t

import numpy as np

cdef object _new = np.empty
cdef object _I8 = np.dtype(np.int64)
cdef object _FLAG = np.dtype(np.bool_)

cdef enum:
    VACANT = -1  # of a payment
    LIVE = 0
    ATTENDED = 2  # of a visit
    NO_DAY = -2147483648

cdef int64_t* _DIVISORS = [1000, 100, 10, 1]


cdef object wide(rows):
    return rows if rows.itemsize == 8 else rows.astype(_I8)


cdef inline int64_t _minor(int8_t exponent, int64_t thousandths) noexcept nogil:
    cdef int64_t divisor = _DIVISORS[exponent if exponent < 3 else 3]
    cdef int64_t size = thousandths if thousandths >= 0 else -thousandths
    size = (size + divisor // 2) // divisor
    return size if thousandths >= 0 else -size


def visit_money(state, rows):
    visits, units = state.visits, state.units
    cdef const int64_t[:] chosen = wide(rows)
    cdef const int64_t[:] amount = visits.amount, paid = units.paid
    cdef const uint8_t[:] is_major = visits.is_major.view(np.uint8)
    cdef const uint8_t[:] foreign = visits.foreign.view(np.uint8)
    cdef const int32_t[:] scope = visits.scope, unit = visits.unit
    cdef const int32_t[:] tenant = state.scopes.tenant
    cdef const int8_t[:] exponent = state.tenants.exponent
    cdef const int32_t[:] count = units.count, holder = units.holder
    cdef Py_ssize_t lines = chosen.shape[0], at
    cdef int64_t row, sum
    money = _new(lines, _I8)
    cdef int64_t[::1] into = money
    for at in range(lines):
        row = chosen[at]
        sum = amount[row]
        if is_major[row]:
            sum = _minor(exponent[tenant[scope[row]]], sum)
        if foreign[row]:
            sum = 0
        if unit[row] >= 0 and count[unit[row]] > 0:
            sum = paid[unit[row]] if holder[unit[row]] == row and paid[unit[row]] > 0 else 0
        into[at] = sum
    return money


def counts_alone(state, rows):
    payments = state.payments
    cdef const int64_t[:] chosen = wide(rows)
    cdef const int32_t[:] unit = payments.unit, covers = payments.covers
    cdef const int32_t[:] count = state.units.count
    cdef const int8_t[:] status = payments.status
    cdef const uint8_t[:] is_sale = payments.is_sale.view(np.uint8)
    cdef Py_ssize_t lines = chosen.shape[0], at
    cdef int64_t row
    cdef bint named
    alone = _new(lines, _FLAG)
    cdef uint8_t[::1] into = alone.view(np.uint8)
    for at in range(lines):
        row = chosen[at]
        named = unit[row] >= 0
        if is_sale[row]:
            named = covers[row] > 0 or (named and count[unit[row]] > 0)
        into[at] = status[row] == LIVE and not named
    return alone


def payment_minor(state, rows):
    payments = state.payments
    cdef const int64_t[:] chosen = wide(rows)
    cdef const int64_t[:] amount = payments.amount
    cdef const int32_t[:] scope = payments.scope, tenant = state.scopes.tenant
    cdef const int8_t[:] exponent = state.tenants.exponent
    cdef Py_ssize_t lines = chosen.shape[0], at
    money = _new(lines, _I8)
    cdef int64_t[::1] into = money
    for at in range(lines):
        into[at] = _minor(exponent[tenant[scope[chosen[at]]]], amount[chosen[at]])
    return money


cdef inline bint _inside(int64_t day, int64_t today, int64_t window) noexcept nogil:
    return day > today - window or day == NO_DAY


def living(state, units, const int32_t[:] today, const int32_t[:] window):
    cdef const int64_t[:] chosen = wide(units)
    cdef const int32_t[:] kept = state.units.kept_day
    cdef Py_ssize_t lines = chosen.shape[0], at
    cdef int32_t day
    alive = _new(lines, _FLAG)
    cdef uint8_t[::1] into = alive.view(np.uint8)
    for at in range(lines):
        day = kept[chosen[at]] if chosen[at] >= 0 else NO_DAY
        into[at] = day != NO_DAY and _inside(day, today[at], window[at])
    return alive


def is_held(state, rows, const int32_t[:] today, const int32_t[:] window):
    payments = state.payments
    cdef const int64_t[:] chosen = wide(rows)
    cdef const int8_t[:] status = payments.status
    cdef const int32_t[:] kept = payments.kept_day, unit = payments.unit
    cdef const int32_t[:] unit_kept = state.units.kept_day
    cdef Py_ssize_t lines = chosen.shape[0], at
    cdef int64_t row
    cdef int32_t day
    held = _new(lines, _FLAG)
    cdef uint8_t[::1] into = held.view(np.uint8)
    for at in range(lines):
        row = chosen[at]
        into[at] = 0
        if status[row] == VACANT:
            continue
        day = unit_kept[unit[row]] if unit[row] >= 0 else NO_DAY
        into[at] = _inside(kept[row], today[at], window[at]) or (
            day != NO_DAY and _inside(day, today[at], window[at])
        )
    return held


def holders(state, heads, units, const int32_t[:] today, const int32_t[:] window):
    visits = state.visits
    cdef const int64_t[:] chosen = wide(units)
    cdef const int32_t[:] head = heads, following = visits.next_same
    cdef const int32_t[:] scope = visits.scope, unit = visits.unit, kept = visits.kept_day
    cdef const int32_t[:] unit_scope = state.units.scope
    cdef const int64_t[:] number = visits.money_unit, unit_number = state.units.number
    cdef const int64_t[:] start = visits.start_ms
    cdef const uint64_t[:] key = visits.key
    cdef const int8_t[:] status = visits.status
    cdef Py_ssize_t lines = chosen.shape[0], at
    cdef int64_t row, best, whose
    found = _new(lines, _I8)
    cdef int64_t[::1] into = found
    for at in range(lines):
        best, whose, row = -1, chosen[at], head[at]
        while row >= 0:
            if (
                unit[row] == whose and status[row] == ATTENDED
                and number[row] == unit_number[whose] and scope[row] == unit_scope[whose]
                and _inside(kept[row], today[at], window[at])
                and (best < 0 or start[row] < start[best]
                     or (start[row] == start[best] and key[row] < key[best]))
            ):
                best = row
            row = following[row]
        into[at] = best
    return found
