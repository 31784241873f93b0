# Arrays to pointers, included by _core.pyx: what would be unsafe is refused here, by typed memoryviews and, where many small
# arrays make them too slow, by the buffers behind them.

cdef int read_sequence(const real[:, :, :] a, lstm_sequence *s) except -1:
    # (`::1` would ask for the whole array to be contiguous, and a batch-first one is not. The stride of an axis of length 1
    # means nothing: NumPy exports some number.)
    if ((a.shape[2] > 1 and a.strides[2] != sizeof(real)) or (a.shape[0] > 1 and a.strides[0] % sizeof(real))
            or (a.shape[1] > 1 and a.strides[1] % sizeof(real))):
        raise ValueError("the last axis of a sequence must be contiguous and the others whole elements apart")
    s.data = <void *>&a[0, 0, 0]
    s.step_stride = a.strides[0] // <Py_ssize_t>sizeof(real)
    s.row_stride = a.strides[1] // <Py_ssize_t>sizeof(real)
    return 0


cdef lstm_sequence sequence(object a, c_bool is_f32, c_bool writable) except *:
    """(T, B, n), a memory that can be written if it must be; None: no data. The caller keeps `a` alive."""
    cdef lstm_sequence s
    cdef float[:, :, :] w32
    cdef double[:, :, :] w64
    s.data, s.step_stride, s.row_stride = NULL, 0, 0
    if a is None:
        return s
    if writable and is_f32:
        w32 = a
        read_sequence[float](w32, &s)
    elif writable:
        w64 = a
        read_sequence[double](w64, &s)
    elif is_f32:
        read_sequence[float](a, &s)
    else:
        read_sequence[double](a, &s)
    return s


cdef void *state(object a, c_bool is_f32, c_bool writable) except? NULL:
    """The memory of a contiguous array of the dtype; None or empty: NULL. The caller keeps `a` alive."""
    cdef Py_buffer view
    cdef char code = b'f' if is_f32 else b'd'
    if a is None:
        return NULL
    PyObject_GetBuffer(a, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (PyBUF_WRITABLE if writable else 0))
    cdef c_bool fits = (view.format != NULL and view.format[0] == code and view.format[1] == 0
                        and <uintptr_t>view.buf % <uintptr_t>view.itemsize == 0)
    cdef void *data = view.buf if view.len else NULL
    PyBuffer_Release(&view)
    if not fits:
        raise ValueError(f"expected an aligned array of {'float32' if is_f32 else 'float64'}, got {a.dtype}")
    return data


cdef int read_resets(object resets, lstm_call *call) except -1:
    """uint8 (T, B), C order, into the call; the caller keeps it alive."""
    cdef const uint8_t[:, ::1] r
    if resets is None or call.T == 0 or call.B == 0:
        return 0
    r = resets
    if r.shape[0] != call.T or r.shape[1] != call.B:
        raise ValueError("resets must have one entry for each step of each sequence")
    call.resets = &r[0, 0]
    return 0


cdef double *norms(object a, lstm_call *call) except? NULL:
    """float64 (L * D, T, B), C order; None: NULL."""
    cdef double[:, :, ::1] n
    if a is None or a.size == 0:
        return NULL
    n = a
    if n.shape[0] != call.model.num_layers * call.model.num_directions or n.shape[1] != call.T or n.shape[2] != call.B:
        raise ValueError("norms must have one entry for each layer and direction, step and sequence")
    return &n[0, 0, 0]
