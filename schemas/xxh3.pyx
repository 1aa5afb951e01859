# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Keys of texts, as ``schemas.keys.text_key`` makes them one by one, and of two keys, as ``mix``.

Source: XXH3_64bits without a seed, of the xxHash specification (Y. Collet). Only texts of 17 to 128
        bytes are hashed here, which ids of messages and of commands are; all others by xxhash
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t

import numpy as np
import xxhash

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    static const uint8_t xxh3_secret[128] = {
        0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
        0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
        0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
        0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
        0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
        0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
        0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
        0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64};

    static inline uint64_t xxh3_word(const uint8_t *at) {  /* little-endian, as all of ours are */
        uint64_t word;
        memcpy(&word, at, 8);
        return word;
    }

    static inline uint64_t xxh3_mix(const uint8_t *text, const uint8_t *secret) {
        const unsigned __int128 product =
            (unsigned __int128)(xxh3_word(text) ^ xxh3_word(secret))
            * (xxh3_word(text + 8) ^ xxh3_word(secret + 8));
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }

    static inline uint64_t xxh3_of(const uint8_t *text, Py_ssize_t size) {
        const uint8_t *end = text + size, *secret = xxh3_secret;
        uint64_t sum = (uint64_t)size * 0x9E3779B185EBCA87ULL;
        Py_ssize_t pair;
        for (pair = (size - 1) / 32; pair >= 0; pair--) {
            sum += xxh3_mix(text + 16 * pair, secret + 32 * pair);
            sum += xxh3_mix(end - 16 * (pair + 1), secret + 32 * pair + 16);
        }
        sum ^= sum >> 37;
        sum *= 0x165667919E3779F9ULL;
        return sum ^ (sum >> 32);
    }
    """
    uint64_t xxh3_of(const uint8_t *text, Py_ssize_t size)

cdef object digest = xxhash.xxh3_64_intdigest


cdef int64_t text_key_of(const uint8_t *text, Py_ssize_t size) except? 0:
    """The key of a text in UTF-8."""
    cdef uint64_t key
    if 17 <= size <= 128:
        key = xxh3_of(text, size)
    else:
        key = digest(PyBytes_FromStringAndSize(<const char *>text, size))
    return <int64_t>(key >> 1 if key >> 63 else key)


def text_keys(texts):
    """Keys of many texts; raises ``UnicodeEncodeError`` for a lone surrogate."""
    keys = np.empty(len(texts), np.int64)
    cdef int64_t[::1] into = keys
    cdef Py_ssize_t row = 0, size
    cdef const char *utf8
    for text in texts:
        utf8 = PyUnicode_AsUTF8AndSize(text, &size)
        into[row] = text_key_of(<const uint8_t *>utf8, size)
        row += 1
    return keys


def mixed(const uint64_t[:] a, const uint64_t[:] b, uint64_t least):
    """One key out of two, line by line, at least ``least``; columns of the same length."""
    cdef Py_ssize_t count = a.shape[0], line
    cdef uint64_t x
    if b.shape[0] != count:
        raise ValueError(f"columns of {count} and of {b.shape[0]} keys")
    keys = np.empty(count, np.uint64)
    cdef uint64_t[::1] into = keys
    for line in range(count):
        x = a[line] * <uint64_t>0x9E3779B97F4A7C15 + b[line]
        x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
        x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
        x ^= x >> 31
        into[line] = x if x > least else least
    return keys
