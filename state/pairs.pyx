# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The loops of ``facts``, compiled: columns of numbers of any size, compared and copied by it.

State: none; results are those of ``facts`` to the bit
"""

from cpython.buffer cimport PyBUF_STRIDED, PyBUF_STRIDED_RO, Py_buffer
from cpython.buffer cimport PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t

import numpy as np

cdef object _new = np.empty
cdef object _FLAG = np.dtype(np.bool_)
cdef object _I8 = np.dtype(np.int64)

ctypedef fused number:
    int8_t
    int32_t
    int64_t


cdef object wide(rows):
    return rows if rows.itemsize == 8 else rows.astype(_I8)


cdef void _compare(
    number* kept, const int64_t[:] row, char* told, Py_ssize_t step, const int64_t[:] at,
    uint8_t[::1] alike,
) noexcept nogil:
    cdef Py_ssize_t line
    for line in range(row.shape[0]):
        alike[line] &= kept[row[line]] == (<number*>(told + at[line] * step))[0]


cdef void _copy(
    number* kept, const int64_t[:] row, char* told, Py_ssize_t step, const int64_t[:] at
) noexcept nogil:
    cdef Py_ssize_t line
    for line in range(row.shape[0]):
        kept[row[line]] = (<number*>(told + at[line] * step))[0]


def alike(names, table, rows, events, at):
    cdef const int64_t[:] row = wide(rows), place = wide(at)
    cdef Py_buffer kept, told
    found = np.ones(row.shape[0], _FLAG)
    cdef uint8_t[::1] into = found.view(np.uint8)
    for name in names:
        PyObject_GetBuffer(getattr(table, name), &kept, PyBUF_STRIDED_RO)
        PyObject_GetBuffer(getattr(events, name), &told, PyBUF_STRIDED_RO)
        try:
            if kept.itemsize != told.itemsize or kept.strides[0] != kept.itemsize:
                raise TypeError(name)
            if kept.itemsize == 8:
                _compare[int64_t](<int64_t*>kept.buf, row, <char*>told.buf, told.strides[0], place, into)
            elif kept.itemsize == 4:
                _compare[int32_t](<int32_t*>kept.buf, row, <char*>told.buf, told.strides[0], place, into)
            elif kept.itemsize == 1:
                _compare[int8_t](<int8_t*>kept.buf, row, <char*>told.buf, told.strides[0], place, into)
            else:
                raise TypeError(name)
        finally:
            PyBuffer_Release(&kept)
            PyBuffer_Release(&told)
    return found


def keep(names, table, rows, events, at):
    cdef const int64_t[:] row = wide(rows), place = wide(at)
    cdef Py_buffer kept, told
    for name in names:
        PyObject_GetBuffer(getattr(table, name), &kept, PyBUF_STRIDED)
        PyObject_GetBuffer(getattr(events, name), &told, PyBUF_STRIDED_RO)
        try:
            if kept.itemsize != told.itemsize or kept.strides[0] != kept.itemsize:
                raise TypeError(name)
            if kept.itemsize == 8:
                _copy[int64_t](<int64_t*>kept.buf, row, <char*>told.buf, told.strides[0], place)
            elif kept.itemsize == 4:
                _copy[int32_t](<int32_t*>kept.buf, row, <char*>told.buf, told.strides[0], place)
            elif kept.itemsize == 1:
                _copy[int8_t](<int8_t*>kept.buf, row, <char*>told.buf, told.strides[0], place)
            else:
                raise TypeError(name)
        finally:
            PyBuffer_Release(&kept)
            PyBuffer_Release(&told)
