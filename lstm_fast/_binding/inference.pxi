# The fast path of inference on arrays and tensors, for arguments of the right dtype and layout. (Checks in Python
# took 10 us, as long as a hundred steps of 8 units.) Anything else raises SlowPath or another ValueError.

cdef enum Layout:
    STEPS  # x (T, B, I), or (B, T, I) if batch_first; states (L, B, n)
    UNBATCHED  # (T, I); (L, n)
    CELL  # one step: (B, I) or (I,); (B, n) or (n,)
    PACKED  # (rows, I), the data of a PackedSequence; (L, B, n)

cdef struct FastCall:
    lstm_forward_args args
    Layout layout
    c_bool batch_first
    int ndim  # dimensions of x
    int64_t n_rows  # rows of x: steps of all sequences


cdef inline int read_strided(object array, char code, Memory *memory) except -1:
    if not read_buffer(array, code, 0, memory):
        raise SlowPath
    return 0


cdef read_x(Weights weights, x, Memory *at):
    """Describes the memory of x, an array of numbers or, with index_input, of symbols: a checked copy, with a last axis
    of one. Returns the object that holds it."""
    cdef const int64_t *symbols
    cdef int64_t k, n = 1
    if not weights.model.index_input:
        read_strided(x, weights.code, at)
        return x
    if not read_buffer(x, c'l', 0, at) or not 1 <= at.ndim <= 2:
        raise SlowPath
    x = numpy.array(x, order="C")  # no other thread can change it
    read_strided(x, c'l', at)
    for k in range(at.ndim):
        n *= at.shape[k]
    symbols = <const int64_t *>at.data
    for k in range(n):
        if not 0 <= symbols[k] < weights.model.input_size:
            raise SlowPath
    at.stride[0], at.stride[at.ndim - 1] = at.shape[1] if at.ndim == 2 else 1, 1
    at.shape[at.ndim], at.stride[at.ndim] = 1, 1
    at.ndim += 1
    return x


cdef begin_fast(Weights weights, const Memory *at, Layout layout, c_bool batch_first, object of_steps, FastCall *s):
    """Prepares a call on x, whose memory is `at`, except its states. of_steps: batch_sizes if PACKED, else lengths or
    None.

    Returns an object that must be kept alive until the call returns."""
    cdef Order order = Order(0, 0, NULL, NULL, NULL)
    cdef int64_t I = numbers_of_x(&weights.model), T, B
    cdef int time = 1 if batch_first else 0, last
    kept = None
    memset(s, 0, sizeof(FastCall))
    if at.ndim < 1 or (layout == CELL and weights.n_entries != 1):
        raise SlowPath
    last = at.ndim - 1
    if at.ndim != (3 if layout == STEPS else 1 if layout == CELL and at.ndim == 1 else 2):
        raise SlowPath
    if at.shape[last] != I or (I > 1 and at.stride[last] != 1):
        raise SlowPath
    s.args.x.data, s.args.x.row_stride, s.args.x.step_stride = at.data, at.stride[0], at.stride[0]
    if layout == STEPS:
        T, B = at.shape[time], at.shape[1 - time]
        s.args.x.step_stride, s.args.x.row_stride = at.stride[time], at.stride[1 - time]
    elif layout == UNBATCHED:
        T, B = at.shape[0], 1
    elif layout == CELL:
        T, B = 1, 1 if at.ndim == 1 else at.shape[0]
    else:
        kept = read_batch_sizes(of_steps, at.shape[0], &order)
        T, B = order.T, order.B
        s.args.x.step_stride = B * at.stride[0]  # used if all sequences have the same length
    if T < 1 or B < 1:
        raise SlowPath
    if of_steps is not None and layout != PACKED:
        kept = read_lengths(of_steps, T, B, &order)
    s.layout, s.batch_first, s.ndim, s.n_rows = layout, batch_first, at.ndim, at.shape[0] if layout == PACKED else T * B
    weights.begin(&s.args.call, T, B, None, 1)
    s.args.call.lengths, s.args.call.rows, s.args.call.packed_rows = order.lengths, order.rows, order.packed_rows
    return kept


cdef void *fast_state(Weights weights, const Memory *a, int64_t n, const FastCall *s) except NULL:
    """The memory of a contiguous state of n numbers per sequence."""
    cdef int64_t L = weights.n_entries, B = s.args.call.B, between = 1
    cdef int64_t[3] shape
    cdef int ndim = s.ndim if s.layout == CELL else 2 if s.layout == UNBATCHED else 3, k
    shape[0], shape[1], shape[2] = L, B, n
    if s.layout == UNBATCHED:
        shape[1] = n
    elif s.layout == CELL:
        shape[0], shape[1] = B if ndim == 2 else n, n
    if a.ndim != ndim:
        raise SlowPath
    for k in range(ndim - 1, -1, -1):
        if a.shape[k] != shape[k] or (shape[k] > 1 and a.stride[k] != between):
            raise SlowPath
        between *= shape[k]
    return a.data


cdef tuple output_shape(Weights weights, FastCall *s):
    """The shape of the output (h of a cell); sets its strides."""
    cdef lstm_sequence *output = &s.args.output
    cdef int64_t T = s.args.call.T, B = s.args.call.B, W = weights.model.num_directions * h_size_of(&weights.model)
    output.step_stride, output.row_stride = B * W, W
    if s.layout == CELL and s.ndim == 1:
        return (W,)
    if s.layout == CELL:
        return (B, W)
    if s.layout == UNBATCHED:
        return (T, W)
    if s.layout == PACKED:
        return (s.n_rows, W)
    if s.batch_first:
        output.step_stride, output.row_stride = W, T * W
        return (B, T, W)
    return (T, B, W)


cdef tuple state_shape(Weights weights, const FastCall *s, int64_t n):
    """The shape of a state of n numbers per sequence."""
    cdef int64_t B = s.args.call.B
    if s.layout == CELL and s.ndim == 1:
        return (n,)
    if s.layout == CELL:
        return (B, n)
    if s.layout == UNBATCHED:
        return (weights.n_entries, n)
    return (weights.n_entries, B, n)


cdef int compute_fast(Weights weights, FastCall *s, threads) except -1:
    """Runs a call whose arrays are set. threads() is only called for long calls."""
    cdef c_bool is_short = is_short_call(&weights.model, s.n_rows)
    s.args.packed, s.args.tape = weights.packed_forward.address, NULL
    if not is_short:
        s.args.call.n_threads = threads()
    return run_forward(&s.args, is_short)


cdef run_fast(Weights weights, FastCall *s, threads):
    """Runs a call and returns new arrays: output (h of a cell), h_n and c_n (None for a plain RNN). No states are
    returned if the call already has memory for them."""
    dtype, empty = weights.dtype, numpy.empty
    output, h_n, c_n = empty(output_shape(weights, s), dtype), None, None
    s.args.output.data = new_memory(output, weights.code)
    if s.args.h_n == NULL:
        h_n = empty(state_shape(weights, s, h_size_of(&weights.model)), dtype)
        s.args.h_n = new_memory(h_n, weights.code)
        if has_cell_state(&weights.model):
            c_n = empty(state_shape(weights, s, weights.model.hidden_size), dtype)
            s.args.c_n = new_memory(c_n, weights.code)
    compute_fast(weights, s, threads)
    return output, h_n, c_n


cdef void *new_memory(array, char code) except NULL:
    """The memory of a new array, contiguous and not empty."""
    cdef int64_t n
    return numbers("array", array, code, True, &n)


def infer(Weights weights not None, x, state, lengths, c_bool batch_first, threads, c_bool is_cell):
    """(output, h_n, c_n) for the x, state and lengths of a module's call; None if the slow path is needed.

    threads() returns the number of threads; it is only called for long calls.
    """
    cdef FastCall s
    cdef Memory at
    cdef Layout layout
    cdef c_bool has_c = has_cell_state(&weights.model)
    h_0, c_0 = state, None
    if has_c and state is not None:
        if type(state) is not tuple or len(<tuple>state) != 2:
            return None
        h_0, c_0 = state
    if (type(x) is not plain_array or (h_0 is not None and type(h_0) is not plain_array)
            or (c_0 is not None and type(c_0) is not plain_array)):
        return None
    try:  # (excludes the computation, where a signal handler's exception must reach the caller)
        x = read_x(weights, x, &at)
        layout = CELL if is_cell else STEPS if at.ndim == 3 else UNBATCHED
        kept = begin_fast(weights, &at, layout, batch_first, lengths, &s)
        if h_0 is not None:
            read_strided(h_0, weights.code, &at)
            s.args.h_0 = fast_state(weights, &at, h_size_of(&weights.model), &s)
        if c_0 is not None:
            read_strided(c_0, weights.code, &at)
            s.args.c_0 = fast_state(weights, &at, weights.model.hidden_size, &s)
    except ValueError:  # SlowPath, mostly
        return None
    return run_fast(weights, &s, threads)
