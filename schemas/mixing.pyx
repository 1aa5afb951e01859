# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""``mix`` and ``row_keys`` of ``keys``, compiled: one pass instead of one for each of their steps."""

from libc.stdint cimport uint64_t

import numpy as np

cdef object _new = np.empty
cdef object _U8 = np.dtype(np.uint64)


cdef inline uint64_t _mixed(uint64_t a, uint64_t b) noexcept nogil:
    cdef uint64_t x = a * 0x9E3779B97F4A7C15u + b
    x ^= x >> 30
    x *= 0xBF58476D1CE4E5B9u
    x ^= x >> 27
    x *= 0x94D049BB133111EBu
    return x ^ (x >> 31)


cdef object _mix(const uint64_t[:] a, const uint64_t[:] b, uint64_t least):
    # Of one of them one number may do for all of the other.
    cdef Py_ssize_t count = b.shape[0] if a.shape[0] == 1 else a.shape[0], at
    cdef Py_ssize_t of_a = a.shape[0] != 1, of_b = b.shape[0] != 1
    cdef uint64_t key
    if (of_a and a.shape[0] != count) or (of_b and b.shape[0] != count):
        raise ValueError("columns of two lengths")
    keys = _new(count, _U8)
    cdef uint64_t[::1] into = keys
    for at in range(count):
        key = _mixed(a[at * of_a], b[at * of_b])
        into[at] = key if key > least else least
    return keys


def mix(a, b):
    return _mix(a, b, 0)


def row_keys(space, ids):
    return _mix(space, ids, 1)
