from libc.stdint cimport int64_t, uint8_t

cdef int64_t text_key_of(const uint8_t *text, Py_ssize_t size) except? 0
