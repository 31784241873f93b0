# Arrays to pointers, included by _core.pyx: what would be unsafe is refused here, by typed memoryviews.

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
    """Any contiguous array of the dtype, seen as one row; None: NULL."""
    cdef const float[::1] r32
    cdef const double[::1] r64
    cdef float[::1] w32
    cdef double[::1] w64
    if a is None:
        return NULL
    a = a.reshape(-1)
    if writable and is_f32:
        w32 = a
        return <void *>&w32[0] if w32.shape[0] else NULL
    if writable:
        w64 = a
        return <void *>&w64[0] if w64.shape[0] else NULL
    if is_f32:
        r32 = a
        return <void *>&r32[0] if r32.shape[0] else NULL
    r64 = a
    return <void *>&r64[0] if r64.shape[0] else NULL


cdef tuple steps_of(x, order):
    """T and B of a sequence (T, B, n), or of a packed one, of which the order knows them."""
    return tuple(x.shape[:2]) if order is None or len(order) == 2 else (len(order[2]), len(order[0]))


cdef int read_packed(object order, int64_t n, lstm_call *call) except -1:
    """(lengths, None, packed_rows) into the call, of sequences of n rows; the caller keeps them alive."""
    cdef const int64_t[::1] lengths = order[0]
    cdef const int64_t[::1] packed_rows = order[2]
    cdef int64_t t, before = 0, running = call.B
    if call.T < 1 or call.B < 1 or lengths[0] != call.T or lengths[call.B - 1] < 1:
        raise ValueError("a packed sequence must have steps and no empty rows")
    for t in range(1, call.B):
        if lengths[t] > lengths[t - 1]:
            raise ValueError("lengths must not rise")
    for t in range(call.T):
        while lengths[running - 1] <= t:
            running -= 1
        if packed_rows[t] != before:
            raise ValueError("packed_rows must be those of the lengths")
        before += running
    if before != n:
        raise ValueError(f"a packed sequence of these lengths has {before} rows, got {n}")
    call.lengths, call.packed_rows = &lengths[0], &packed_rows[0]
    return 0


cdef int read_order(object order, object x, lstm_call *call) except -1:
    """(lengths, rows) into the call, or (lengths, None, packed_rows) of a packed x; the caller keeps them alive."""
    cdef const int64_t[::1] lengths
    cdef const int64_t[::1] rows
    cdef int64_t b
    cdef c_bool is_sorted = True
    if order is not None and len(order) == 3:
        return read_packed(order, x.shape[1], call)
    if order is None or call.B == 0:
        return 0
    lengths, rows = order
    if lengths.shape[0] != call.B or rows.shape[0] != call.B or lengths[0] > call.T or lengths[call.B - 1] < 0:
        raise ValueError("lengths and rows must have one entry for each sequence, and no length may exceed the steps")
    for b in range(call.B):
        if not 0 <= rows[b] < call.B or (b > 0 and lengths[b] > lengths[b - 1]):
            raise ValueError("lengths must not rise and rows must be those of the batch")
        is_sorted = is_sorted and rows[b] == b
    call.lengths, call.rows = &lengths[0], &rows[0]
    if is_sorted:
        call.rows = NULL
    return 0


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
