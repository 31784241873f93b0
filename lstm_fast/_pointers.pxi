# The one reader of buffers, included by _core.pyx: arrays to pointers. Shapes come from the buffer, never from attributes.

cdef struct Memory:
    void *data
    int ndim
    int64_t shape[3]
    int64_t stride[3]  # in numbers; of an axis of length 0 or 1 it means nothing


cdef inline int read_buffer(object array, char code, int flags, Memory *a) except -1:
    """1 and where the array lies; 0 unless it is an aligned one of this number format, of at most three axes and whole numbers
    apart. PyBUF_C_CONTIGUOUS in flags: unless it is contiguous too (strides are then left out). The caller keeps `array` alive.
    """
    cdef Py_buffer view
    cdef int shift = 2 if code == b'f' else 3 if code == b'd' else 1 if code == b'e' else 0
    cdef int64_t rest = (1 << shift) - 1
    cdef int fits, k
    if lstm_get_buffer(array, &view, flags | PyBUF_STRIDES | PyBUF_FORMAT) != 0:
        return no_buffer()
    fits = (view.format != NULL and view.format[0] == code and view.format[1] == 0 and view.ndim <= 3
            and not <int64_t><uintptr_t>view.buf & rest)
    if fits:
        a.data, a.ndim = <char *>view.buf, view.ndim
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
    """What getting a buffer raised: 0 if that says no, passed on if it is about something else."""
    if not PyErr_ExceptionMatches((BufferError, TypeError, ValueError)):
        return -1
    PyErr_Clear()
    return 0


cdef char dtype_code(dtype) except 0:
    """Of float32 or float64, in the buffer protocol."""
    char = dtype.char
    if char != "f" and char != "d":
        raise ValueError(f"dtype must be float32 or float64, got {dtype}")
    return b'f' if char == "f" else b'd'


cdef dict FORMATS = {b'f': "float32", b'd': "float64", b'e': "float16", b'B': "uint8"}


cdef int refuse(str name, object array, char code, c_bool writable, str shape) except -1:
    raise ValueError(
        f"{name} must be an aligned{' writeable' if writable else ''} array of shape {shape} and dtype "
        f"{FORMATS[<bytes>code]}, got {getattr(array, 'shape', type(array).__name__)} {getattr(array, 'dtype', '')}".rstrip())


cdef char *exact(str name, object array, char code, c_bool writable, int ndim, int64_t n_0, int64_t n_1=1,
                 int64_t n_2=1) except? NULL:
    """The memory of a C-contiguous array of this shape; None, or no numbers: NULL. The caller keeps `array` alive."""
    cdef Memory a
    cdef int64_t[3] n
    cdef int k
    cdef c_bool fits
    if array is None:
        return NULL
    n[0], n[1], n[2] = n_0, n_1, n_2
    fits = read_buffer(array, code, PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0), &a) and a.ndim == ndim
    for k in range(ndim if fits else 0):
        fits = fits and a.shape[k] == n[k]
    if not fits:
        refuse(name, array, code, writable, str((n_0, n_1, n_2)[:ndim]))
    return <char *>a.data if n_0 and n_1 and n_2 else NULL


cdef lstm_sequence sequence(str name, object array, char code, c_bool writable, int64_t n_0, int64_t n_1,
                            int64_t n_2) except *:
    """An array of this shape, its last axis contiguous; None: no data. The caller keeps `array` alive."""
    cdef lstm_sequence s
    cdef Memory a
    s.data, s.step_stride, s.row_stride = NULL, 0, 0
    if array is None:
        return s
    if not (read_buffer(array, code, PyBUF_WRITABLE if writable else 0, &a) and a.ndim == 3 and a.shape[0] == n_0
            and a.shape[1] == n_1 and a.shape[2] == n_2 and (n_2 <= 1 or a.stride[2] == 1)):
        refuse(name, array, code, writable, f"{n_0, n_1, n_2}, its last axis contiguous,")
    s.data, s.step_stride, s.row_stride = a.data, a.stride[0], a.stride[1]
    return s


cdef void *numbers(object array, char code, c_bool writable, int64_t *n) except? NULL:
    """The memory of a C-contiguous array of any shape, and how many numbers it holds. The caller keeps `array` alive."""
    cdef Memory a
    cdef int k
    if not read_buffer(array, code, PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if writable else 0), &a):
        refuse("the array", array, code, writable, "(any), C-contiguous,")
    n[0] = 1
    for k in range(a.ndim):
        n[0] *= a.shape[k]
    return a.data if n[0] else NULL


cdef void *state(object array, c_bool is_f32, c_bool writable) except? NULL:
    """The memory of a C-contiguous array of the dtype; None: NULL. The caller keeps `array` alive."""
    cdef int64_t n
    return NULL if array is None else numbers(array, b'f' if is_f32 else b'd', writable, &n)
