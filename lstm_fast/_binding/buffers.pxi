# The only reader of buffers: arrays to pointers. Shapes come from the buffer, never from attributes. The caller must
# keep the array alive for as long as the memory is used.

cdef extern from "Python.h":
    int lstm_get_buffer "PyObject_GetBuffer"(object exporter, Py_buffer *view, int flags) noexcept

cdef type plain_array = numpy.ndarray  # no subclasses: a masked array, for instance, has other semantics

# Number formats, as in the buffer protocol.
cdef dict DTYPES = {c'f': numpy.dtype("float32"), c'd': numpy.dtype("float64"), c'e': numpy.dtype("float16"),
                    c'l': numpy.dtype("int64"), c'B': numpy.dtype("uint8"), c'b': numpy.dtype("int8"),
                    c'H': numpy.dtype("uint16")}


cdef inline int number_shift(char code) noexcept:
    return 2 if code == c'f' else 0 if code in b"Bb" else 1 if code in b"eH" else 3


cdef inline int64_t number_bytes(char code) noexcept:
    return <int64_t>1 << number_shift(code)


cdef char dtype_code(dtype) except 0:
    """The buffer protocol's code of float32 or float64."""
    char = dtype.char
    if char != "f" and char != "d":
        raise ValueError(f"dtype must be float32 or float64, got {dtype}")
    return c'f' if char == "f" else c'd'


cdef struct Memory:
    void *data
    int ndim
    int64_t shape[4]
    int64_t stride[4]  # in numbers; meaningless on an axis of length 0 or 1


cdef inline c_bool has_code(const Py_buffer *view, char code) noexcept:
    """Whether the items have this code. "l" means int64, whose code is "q" for longlong arrays, and for all arrays on
    Windows, where "l" has four bytes.
    """
    cdef char given = view.format[0]
    return ((given == code or (code == c'l' and given == c'q')) and view.format[1] == 0
            and view.itemsize == number_bytes(code))


cdef inline int read_buffer(object array, char code, int flags, Memory *a) except -1:
    """Describes the memory of an array and returns 1; 0 unless the array has this format, is aligned, has at most four
    axes, and its strides are multiples of the item size.

    PyBUF_C_CONTIGUOUS in flags: it must be contiguous too; strides are then not filled in.
    """
    cdef Py_buffer view
    cdef int shift = number_shift(code), fits, k
    cdef int64_t rest = (<int64_t>1 << shift) - 1
    if lstm_get_buffer(array, &view, flags | PyBUF_STRIDES | PyBUF_FORMAT) != 0:
        return no_buffer()
    fits = (view.format != NULL and has_code(&view, code) and view.ndim <= 4
            and not <int64_t><uintptr_t>view.buf & rest)
    if fits:
        a.data, a.ndim = view.buf, view.ndim
        for k in range(view.ndim):
            a.shape[k] = view.shape[k]
        if flags & PyBUF_C_CONTIGUOUS != PyBUF_C_CONTIGUOUS:
            for k in range(view.ndim):
                a.stride[k] = view.strides[k] >> shift
                if view.shape[k] > 1 and view.strides[k] & rest:
                    fits = 0
    PyBuffer_Release(&view)
    return fits


cdef int no_buffer() except -1:
    """0 if the exception means that there is no such buffer; any other exception propagates."""
    if not PyErr_ExceptionMatches((BufferError, TypeError, ValueError)):
        return -1
    PyErr_Clear()
    return 0


cdef inline int contiguous(c_bool writable) noexcept:
    return PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE if writable else PyBUF_C_CONTIGUOUS


cdef int reject(str name, object array, char code, c_bool writable, str shape) except -1:
    raise ValueError(
        f"{name} must be an aligned{' writeable' if writable else ''} array of shape {shape} and dtype {DTYPES[code]}, "
        f"got {getattr(array, 'shape', type(array).__name__)} {getattr(array, 'dtype', '')}".rstrip())


cdef void *exact(str name, object array, char code, c_bool writable, int ndim, int64_t n_0, int64_t n_1=1,
                 int64_t n_2=1) except? NULL:
    """The memory of a C-contiguous array of this shape; NULL if it is None or empty."""
    cdef Memory a
    cdef int64_t[3] n
    cdef int k
    cdef c_bool fits
    if array is None:
        return NULL
    n[0], n[1], n[2] = n_0, n_1, n_2
    fits = read_buffer(array, code, contiguous(writable), &a) and a.ndim == ndim
    for k in range(ndim if fits else 0):
        fits = fits and a.shape[k] == n[k]
    if not fits:
        reject(name, array, code, writable, str((n_0, n_1, n_2)[:ndim]))
    return a.data if n_0 and n_1 and n_2 else NULL


cdef void *numbers(str name, object array, char code, c_bool writable, int64_t *n) except? NULL:
    """The memory of a C-contiguous array of any shape, and its size in n; NULL if it is empty."""
    cdef Memory a
    cdef int k
    if not read_buffer(array, code, contiguous(writable), &a):
        reject(name, array, code, writable, "(any), C-contiguous,")
    n[0] = 1
    for k in range(a.ndim):
        n[0] *= a.shape[k]
    return a.data if n[0] else NULL


cdef lstm_sequence sequence(str name, object array, char code, c_bool writable, int64_t n_0, int64_t n_1,
                            int64_t n_2) except *:
    """An array of this shape whose last axis is contiguous; None: no data."""
    cdef lstm_sequence s
    cdef Memory a
    s.data, s.step_stride, s.row_stride = NULL, 0, 0
    if array is None:
        return s
    if not (read_buffer(array, code, PyBUF_WRITABLE if writable else 0, &a) and a.ndim == 3 and a.shape[0] == n_0
            and a.shape[1] == n_1 and a.shape[2] == n_2 and (n_2 <= 1 or a.stride[2] == 1)):
        reject(name, array, code, writable, f"{n_0, n_1, n_2}, its last axis contiguous,")
    s.data, s.step_stride, s.row_stride = a.data, a.stride[0], a.stride[1]
    return s


cdef void *read_rows(str name, array, char code, c_bool writable, int64_t n_states, int64_t B, int64_t n) except? NULL:
    """The memory of a state (n_states, B, n), or of the same rows with fewer axes; None: NULL."""
    cdef Memory a
    cdef int64_t n_rows = 1
    cdef int k
    if array is None:
        return NULL
    if not read_buffer(array, code, contiguous(writable), &a):
        reject(name, array, code, writable, str((n_states, B, n)))
    for k in range(a.ndim - 1):
        n_rows *= a.shape[k]
    if a.ndim < 1 or n_rows != n_states * B or a.shape[a.ndim - 1] != n:
        reject(name, array, code, writable, str((n_states, B, n)))
    return a.data if n_rows else NULL
