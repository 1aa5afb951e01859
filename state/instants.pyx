# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True
"""Loops of ``zones`` and ``due``, compiled.

State: the due column and its minima; results are those of the same steps by numpy to the bit
"""

from libc.stdint cimport int64_t

import numpy as np

cdef object _new = np.empty
cdef object _I8 = np.dtype(np.int64)


cdef object wide(rows):
    return rows if rows.itemsize == 8 else rows.astype(_I8)


def offsets(const int64_t[:] table, const int64_t[:] offset_ms, zones, const int64_t[:] times,
            int bits, int64_t base):
    """The offset at each time, by the last of the transitions that is not after it."""
    cdef const int64_t[:] zone = wide(zones)
    cdef Py_ssize_t count = times.shape[0], size = table.shape[0], line, low, high, middle
    cdef Py_ssize_t last = 0  # where the time before was: the next one is there too, as a rule
    cdef int64_t seconds, key
    found = _new(count, _I8)
    cdef int64_t[::1] into = found
    for line in range(count):
        seconds = times[line] / 1000
        if times[line] % 1000 < 0:
            seconds -= 1
        key = (zone[line] << bits) + seconds + base
        if not (table[last] <= key and (last + 1 == size or key < table[last + 1])):
            low, high = 0, size
            while low < high:
                middle = (low + high) // 2
                if table[middle] <= key:
                    low = middle + 1
                else:
                    high = middle
            last = low - 1 if low else size - 1
        into[line] = offset_ms[last]
    return found


def refresh(customers, names, rows, int64_t[:] least, int shift):
    """The least of six due columns, of these rows and of their blocks."""
    first, second, third, fourth, fifth, sixth = [getattr(customers, name) for name in names]
    cdef const int64_t[:] a = first, b = second, c = third, d = fourth, e = fifth, f = sixth
    cdef int64_t[:] due = customers.due
    cdef const int64_t[:] row = wide(rows)
    cdef Py_ssize_t line
    cdef int64_t at, soonest
    for line in range(row.shape[0]):
        at = row[line]
        soonest = min(min(min(a[at], b[at]), min(c[at], d[at])), min(e[at], f[at]))
        due[at] = soonest
        if soonest < least[at >> shift]:
            least[at >> shift] = soonest
