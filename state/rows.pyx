# cython: language_level=3, wraparound=False, initializedcheck=False
"""The loops of ``rows_plain``, compiled: one pass over the keys or rows, with nothing in between.

Takes: columns as they are stored (i4, u8), rows to work with as int64, by which numpy indexes
State: none; results are those of ``rows_plain`` to the bit, their order included
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

import numpy as np

cdef object _new = np.empty
cdef object _I8 = np.dtype(np.int64)

cdef enum:
    FEW = 16  # as there


cdef object wide(rows):
    return rows if rows.itemsize == 8 else rows.astype(_I8)


def find(const int32_t[:] slots, const uint64_t[:] keys, const uint64_t[:] wanted):
    cdef Py_ssize_t count = wanted.shape[0], at
    cdef uint64_t last = slots.shape[0] - 1, slot, key
    cdef int32_t row
    found = _new(count, _I8)
    cdef int64_t[::1] into = found
    for at in range(count):
        key = wanted[at]
        slot = key & last
        row = slots[slot]
        while row >= 0 and keys[row] != key:
            slot = (slot + 1) & last
            row = slots[slot]
        into[at] = row
    return found


def place(int32_t[:] slots, const uint64_t[:] keys, rows):
    cdef const int64_t[:] row = wide(rows)
    cdef Py_ssize_t at
    cdef uint64_t last = slots.shape[0] - 1, slot
    for at in range(row.shape[0]):
        slot = keys[row[at]] & last
        while slots[slot] >= 0:
            slot = (slot + 1) & last
        slots[slot] = <int32_t>row[at]


def rows_in(const int32_t[:] column, rows):
    cdef const int64_t[:] row = wide(rows)
    cdef Py_ssize_t count = row.shape[0], at
    found = _new(count, _I8)
    cdef int64_t[::1] into = found
    for at in range(count):
        into[at] = column[row[at]] if row[at] >= 0 else -1
    return found


def walk(heads, const int32_t[:] following, owners):
    cdef int64_t[:] ahead = heads.astype(_I8), owner = owners.astype(_I8)
    cdef Py_ssize_t count = ahead.shape[0], total = 0, put = 0, kept, at
    cdef int32_t row
    for at in range(count):
        row = <int32_t>ahead[at]
        while row >= 0:
            total += 1
            row = following[row]
    whose, found = _new(total, _I8), _new(total, _I8)
    cdef int64_t[::1] into = found, beside = whose
    while count > FEW:
        kept = 0
        for at in range(count):
            if ahead[at] >= 0:
                into[put] = ahead[at]
                beside[put] = owner[kept] = owner[at]
                ahead[kept] = following[ahead[at]]
                put += 1
                kept += 1
        count = kept
    for at in range(count):
        row = <int32_t>ahead[at]
        while row >= 0:
            into[put] = row
            beside[put] = owner[at]
            put += 1
            row = following[row]
    return whose, found


def in_force(const int64_t[:] starts, const int64_t[:] values, zones, const int64_t[:] times,
             int bits, int64_t base):
    cdef const int64_t[:] zone = wide(zones)
    cdef Py_ssize_t count = times.shape[0], at, low, left, half
    cdef int64_t key
    found = _new(count, _I8)
    cdef int64_t[::1] into = found
    for at in range(count):
        key = (zone[at] << bits) + times[at] // 1000 + base
        low, left = 0, starts.shape[0]
        while left > 1:  # without a branch that could be guessed wrong
            half = left >> 1
            low += half * (starts[low + half] <= key)
            left -= half
        into[at] = values[low]
    return found


def put_first(int32_t[:] first, int32_t[:] following, children, parents):
    cdef const int64_t[:] child = wide(children), parent = wide(parents)
    cdef Py_ssize_t at
    for at in range(child.shape[0]):
        following[child[at]] = first[parent[at]]
        first[parent[at]] = <int32_t>child[at]


def rechain(int32_t[:] first, int32_t[:] following, children, old, new):
    cdef const int64_t[:] child = wide(children), left = wide(old), entered = wide(new)
    cdef Py_ssize_t at
    cdef int32_t before
    for at in range(child.shape[0]):
        if left[at] == entered[at] or left[at] < 0:
            continue
        before = first[left[at]]
        if before == child[at]:
            first[left[at]] = following[before]
        else:
            while following[before] != child[at]:
                before = following[before]
            following[before] = following[child[at]]
        following[child[at]] = -1
    for at in range(child.shape[0]):
        if left[at] != entered[at] and entered[at] >= 0:
            following[child[at]] = first[entered[at]]
            first[entered[at]] = <int32_t>child[at]
