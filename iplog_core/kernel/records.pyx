# cython: language_level=3
"""Rows of numbers, gathered from columns: a few rows of all columns at a time, so that what is written stays near."""

from cpython.buffer cimport PyBUF_STRIDED_RO, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

cdef enum:
    NEAR = 64

ctypedef fused Wide:
    uint8_t
    uint16_t
    uint32_t
    uint64_t

ctypedef fused Narrow:
    uint8_t
    uint16_t
    uint32_t
    uint64_t


cdef inline void copy(
    const char *column, Py_ssize_t stride, const int64_t *rows, Py_ssize_t n, char *out, Py_ssize_t size, Narrow *narrow, Wide *wide
) noexcept nogil:
    """Copy numbers into a wider or the same type; the last two arguments are there for their types alone."""
    cdef Py_ssize_t i
    cdef Narrow given
    cdef Wide taken
    for i in range(n):
        memcpy(&given, column + rows[i] * stride, sizeof(Narrow))
        taken = <Wide> given
        memcpy(out + i * size, &taken, sizeof(Wide))


cdef inline void copy_from(
    const char *column, Py_ssize_t stride, const int64_t *rows, Py_ssize_t n, char *out, Py_ssize_t size, Py_ssize_t width, Wide *to
) noexcept nogil:
    if width == 1:
        copy(column, stride, rows, n, out, size, <uint8_t *> NULL, to)
    elif width == 2:
        copy(column, stride, rows, n, out, size, <uint16_t *> NULL, to)
    elif width == 4:
        copy(column, stride, rows, n, out, size, <uint32_t *> NULL, to)
    else:
        copy(column, stride, rows, n, out, size, <uint64_t *> NULL, to)


def gather(list columns, const int64_t[::1] rows, uint8_t[:, ::1] out, list places):
    """Put what `columns` hold in `rows` into the rows of `out`, each column at its place there, which is where it begins and how many bytes it has.

    Columns are of whole numbers without a sign, or are as wide as their place.
    """
    cdef Py_ssize_t n = rows.shape[0], size = out.shape[1], count = len(columns), held = 0, i, k, part
    cdef int64_t highest = -1
    cdef Py_buffer *views = <Py_buffer *> calloc(count + 1, sizeof(Py_buffer))
    cdef Py_ssize_t *at = <Py_ssize_t *> calloc(2 * count + 1, sizeof(Py_ssize_t))
    cdef Py_ssize_t width
    cdef char *target
    try:
        if views == NULL or at == NULL:
            raise MemoryError
        if out.shape[0] != n or len(places) != count:
            raise ValueError("rows of another number")
        for i in range(n):
            if rows[i] < 0:
                raise IndexError("no such row")
            highest = max(highest, rows[i])
        for k in range(count):
            PyObject_GetBuffer(columns[k], &views[k], PyBUF_STRIDED_RO)
            held += 1
            at[2 * k], at[2 * k + 1] = places[k]
            width = at[2 * k + 1]
            if views[k].ndim != 1 or views[k].shape[0] <= highest:
                raise IndexError("no such row")
            if width not in (1, 2, 4, 8) or views[k].itemsize not in (1, 2, 4, 8) or not 0 <= at[2 * k] <= size - width:
                raise ValueError("no such column")
        with nogil:
            i = 0
            while i < n:
                part = NEAR if n - i > NEAR else n - i
                for k in range(count):
                    target = <char *> &out[i, 0] + at[2 * k]
                    width = at[2 * k + 1]
                    if width == 1:
                        copy_from(<char *> views[k].buf, views[k].strides[0], &rows[i], part, target, size, views[k].itemsize, <uint8_t *> NULL)
                    elif width == 2:
                        copy_from(<char *> views[k].buf, views[k].strides[0], &rows[i], part, target, size, views[k].itemsize, <uint16_t *> NULL)
                    elif width == 4:
                        copy_from(<char *> views[k].buf, views[k].strides[0], &rows[i], part, target, size, views[k].itemsize, <uint32_t *> NULL)
                    else:
                        copy_from(<char *> views[k].buf, views[k].strides[0], &rows[i], part, target, size, views[k].itemsize, <uint64_t *> NULL)
                i += part
    finally:
        for k in range(held):
            PyBuffer_Release(&views[k])
        free(views)
        free(at)
