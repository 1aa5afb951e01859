# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True
"""Loops of ``money``, ``money_units``, ``reach`` and ``features``, compiled: a row is read once.

State: read only; results are those of the functions of the same names to the bit
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint64_t

import numpy as np

cdef object _new = np.empty
cdef object _I8 = np.dtype(np.int64)
cdef object _I4 = np.dtype(np.int32)
cdef object _FLAG = np.dtype(np.bool_)

cdef enum:
    VACANT = -1  # of a payment
    LIVE = 0
    CONFIRMED = 1  # of a visit, as the next ones
    ATTENDED = 2
    NO_DAY = -2147483648

cdef int64_t NONE = np.iinfo(np.int64).min
cdef int64_t NEVER = np.iinfo(np.int64).max

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


def features(state, history, customers, const int32_t[:] today, const int64_t[:] now_ms):
    """The columns of ``Features`` without what payments add by themselves."""
    visits, clients = state.visits, state.clients
    cdef const int64_t[:] chosen = wide(customers)
    cdef const int64_t[:] owner = wide(history.owner), visit = wide(history.visit)
    cdef const int64_t[:] holder = wide(history.client_owner), client = wide(history.client)
    cdef const int8_t[:] status = visits.status
    cdef const int64_t[:] start = visits.start_ms, gone_ms = clients.gone_ms
    cdef const int32_t[:] day = visits.day, gone_day = clients.gone_day
    cdef const int32_t[:] tenant = state.customers.tenant, window = state.tenants.window
    cdef Py_ssize_t count = chosen.shape[0], lines = visit.shape[0], line, kept = 0
    cdef int64_t whose, row, leaving
    last_days, last_times = np.full(count, NO_DAY, _I4), np.full(count, NONE)
    frequencies, sums = np.zeros(count, _I4), np.zeros(count, _I8)
    leaves_days, bookings = np.full(count, NEVER), np.full(count, NONE)
    pairs, inside = _new(lines, _I8), _new(lines, _I8)
    cdef int32_t[::1] last_day = last_days, frequency = frequencies
    cdef int64_t[::1] last_ms = last_times, monetary = sums, leaves = leaves_days
    cdef int64_t[::1] next_ms = bookings, pair = pairs, within = inside
    for line in range(client.shape[0]):
        whose, row = holder[line], client[line]
        last_day[whose] = max(last_day[whose], gone_day[row])
        last_ms[whose] = max(last_ms[whose], gone_ms[row])
    for line in range(lines):
        whose, row = owner[line], visit[line]
        if status[row] == ATTENDED:
            last_day[whose] = max(last_day[whose], day[row])
            last_ms[whose] = max(last_ms[whose], start[row])
            leaving = <int64_t>day[row] + window[tenant[chosen[whose]]]
            if today[whose] < leaving:
                leaves[whose] = min(leaves[whose], leaving)
                within[kept] = row
                # The owner above the day, which is lifted above 0: sorted, a day's visits meet.
                pair[kept] = (whose << 32) + (<int64_t>day[row] - NO_DAY)
                kept += 1
        elif status[row] <= CONFIRMED and start[row] > now_ms[whose]:
            if next_ms[whose] == NONE or start[row] < next_ms[whose]:
                next_ms[whose] = start[row]
    cdef const int64_t[:] money = visit_money(state, inside[:kept])
    for line in range(kept):
        monetary[pair[line] >> 32] += money[line]
    pairs[:kept].sort()
    for line in range(kept):
        if line == 0 or pair[line] != pair[line - 1]:
            frequency[pair[line] >> 32] += 1
    return last_days, last_times, frequencies, sums, leaves_days, bookings
