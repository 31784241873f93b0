# Fleets: one call for K models of one shape, whose parameters are the rows of one array.

cdef c_bool lanes_are_used = True  # see testing.pxi


cdef void *stacked(str name, object array, char code, c_bool writable, int64_t n_0, int64_t n_1, int64_t n_2,
                   int64_t n_3) except? NULL:
    """The memory of a C-contiguous array of this shape; NULL if it is None or empty."""
    cdef Memory a
    if array is None:
        return NULL
    if not (read_buffer(array, code, contiguous(writable), &a) and a.ndim == 4 and a.shape[0] == n_0
            and a.shape[1] == n_1 and a.shape[2] == n_2 and a.shape[3] == n_3):
        reject(name, array, code, writable, str((n_0, n_1, n_2, n_3)))
    return a.data if n_0 and n_1 and n_2 and n_3 else NULL


cdef lstm_sequence sequences(str name, object array, char code, c_bool writable, int64_t n_0, int64_t n_1, int64_t n_2,
                             int64_t n_3, int64_t *model_stride) except *:
    """An array of this shape whose last axis is contiguous; None: no data."""
    cdef lstm_sequence s
    cdef Memory a
    s.data, s.step_stride, s.row_stride, model_stride[0] = NULL, 0, 0, 0
    if array is None:
        return s
    if not (read_buffer(array, code, PyBUF_WRITABLE if writable else 0, &a) and a.ndim == 4 and a.shape[0] == n_0
            and a.shape[1] == n_1 and a.shape[2] == n_2 and a.shape[3] == n_3 and (n_3 <= 1 or a.stride[3] == 1)):
        reject(name, array, code, writable, f"{n_0, n_1, n_2, n_3}, its last axis contiguous,")
    s.data, model_stride[0], s.step_stride, s.row_stride = a.data, a.stride[0], a.stride[1], a.stride[2]
    return s


cdef char *rows_of(str name, object array, char code, c_bool writable, int64_t n_rows, int64_t n,
                   int64_t *stride) except NULL:
    """The memory of n_rows rows of n numbers, each contiguous, and the distance between two."""
    cdef Memory a
    if not (read_buffer(array, code, PyBUF_WRITABLE if writable else 0, &a) and a.ndim == 2 and a.shape[0] == n_rows
            and a.shape[1] == n and (n <= 1 or a.stride[1] == 1) and (n_rows <= 1 or a.stride[0] >= n)):
        reject(name, array, code, writable, f"{n_rows, n}, its rows contiguous,")
    stride[0] = a.stride[0]
    return <char *>a.data


cdef class FleetWeights:
    """One immutable version of the weights of K models of one shape.

    pattern: Weights of one of them, with a flat array. flat: (K, P), a row for each model in the layout of that array,
    its rows contiguous; it must not be modified later. Thread-safe.

    The weights of a first call are packed model by model in the workspace; from the second on they are kept.
    """
    cdef Weights pattern
    cdef const lstm_isa *lanes
    cdef readonly object flat
    cdef lstm_weights *weights  # weights of model 0
    cdef int64_t n_models, stride
    cdef Block packed_forward, packed_backward
    cdef c_bool has_run_forward, has_run_backward

    def __cinit__(self, Weights pattern not None, flat):
        cdef Memory a
        cdef char *begin
        cdef int64_t k
        if pattern.in_flat == NULL:
            raise ValueError("pattern must have a flat array")
        if not read_buffer(flat, pattern.code, 0, &a) or a.ndim != 2:
            reject("flat", flat, pattern.code, False, f"(K, {pattern.n_flat})")
        self.n_models = a.shape[0]
        begin = rows_of("flat", flat, pattern.code, False, self.n_models, pattern.n_flat, &self.stride)
        self.weights = <lstm_weights *>allocate(pattern.n_entries * sizeof(lstm_weights))
        for k in range(pattern.n_entries):
            self.weights[k] = pattern.in_flat[k]
            lstm_move_weights(&self.weights[k], begin - pattern.flat_begin)
        self.pattern, self.flat = pattern, flat
        self.lanes = current_isa if pattern.isa == narrower_isa else pattern.isa

    def __dealloc__(self):
        free(self.weights)

    @property
    def dtype(self):
        return self.pattern.dtype

    cdef tuple begin(self, lstm_fleet *f, lstm_call *c, lstm_sequence *x_at, x, run, int num_threads, order, resets,
                     seeds):
        """Prepares a call; returns objects to keep alive until it returns."""
        cdef Memory a
        cdef Weights w = self.pattern
        cdef int64_t K = self.n_models, I = numbers_of_x(&w.model)
        cdef char code = c'l' if w.model.index_input else w.code
        if x is None or not read_buffer(x, code, 0, &a) or a.ndim != 4:
            reject("x", x, code, False, f"({K}, T, B, {I})")
        if w.model.index_input:
            x = own(x)
        w.begin(c, a.shape[1], a.shape[2], run, num_threads)
        c.interrupted = NULL
        if is_interruptible(&w.model, <double>K * c.T * c.B) and is_main_thread():
            c.interrupted = check_signals
        x_at[0] = sequences("x", x, code, False, K, c.T, c.B, I, &f.x_stride)
        f.n_models, f.weights, f.packs, f.weights_stride = K, self.weights, False, self.stride
        f.gradients_stride = f.output_stride = f.d_output_stride = f.d_x_stride = 0
        kept = self.read_orders(c, order)
        if w.model.index_input:
            self.check_symbols(x_at[0], c[0], f.x_stride)
        if resets is not None:
            resets = numpy.ascontiguousarray(resets).reshape(K, c.T, c.B, 1)
            c.resets = <const uint8_t *>stacked("resets", resets, c'B', False, K, c.T, c.B, 1)
        f.seeds, f.lanes = NULL, self.lanes if lanes_are_used else NULL
        if seeds is not None:
            f.seeds = <const uint64_t *>exact("seeds", seeds, c'l', False, 1, K)
        return kept, resets, seeds, x

    cdef int check_symbols(self, lstm_sequence x, lstm_call call, int64_t stride) except -1:
        """Raises unless the symbols of all models are in range."""
        cdef int64_t k
        for k in range(self.n_models):
            check_symbols(&x, &call, call.B)
            x.data = moved(x.data, stride * sizeof(int64_t))
            if call.lengths != NULL:
                call.lengths, call.rows = call.lengths + call.B, call.rows + call.B
        return 0

    cdef object read_orders(self, lstm_call *c, order):
        """Sets the order of every model from (lengths, rows), (K, B) each, or None; returns the arrays that hold it."""
        cdef int64_t K = self.n_models, B = c.B, k, b
        cdef const int64_t *lengths
        cdef const int64_t *rows
        if order is None or B == 0:
            return None
        kept = own(order[0]), own(order[1])
        lengths = <const int64_t *>exact("lengths", kept[0], c'l', False, 2, K, B)
        rows = <const int64_t *>exact("rows", kept[1], c'l', False, 2, K, B)
        for k in range(K * B):
            b = k % B
            if not 0 <= lengths[k] <= c.T or not 0 <= rows[k] < B or (b > 0 and lengths[k] > lengths[k - 1]):
                raise ValueError(
                    f"lengths must be from 0 to {c.T} and must not increase, and rows must be indices from 0 to "
                    f"{B - 1}, got length {lengths[k]} and row {rows[k]} at position {b} of model {k // B}"
                )
        c.lengths, c.rows = lengths, rows
        return kept

    cdef Block packed(self, lstm_fleet *f, c_bool backward):
        """The packed weights for a call: None in the first, which packs in its workspace; a block for the second to
        fill."""
        cdef Block block
        cdef c_bool has_run
        cdef int64_t n = 0
        with cython.critical_section(self):
            block = self.packed_backward if backward else self.packed_forward
            has_run = self.has_run_backward if backward else self.has_run_forward
        if block is not None or not has_run:
            return block
        raise_status(lstm_packed_bytes(&self.pattern.model, self.pattern.isa, backward, &n))
        f.packs = True
        return Block(self.n_models * ((n + 63) & ~63))

    cdef void keep_packed(self, lstm_fleet *f, Block block, c_bool backward) noexcept:
        with cython.critical_section(self):
            if backward:
                self.has_run_backward = True
                self.packed_backward = block if self.packed_backward is None else self.packed_backward
            else:
                self.has_run_forward = True
                self.packed_forward = block if self.packed_forward is None else self.packed_forward

    cdef int64_t one_tape_bytes(self, const lstm_call *c) except -1:
        cdef int64_t n = 0
        raise_status(lstm_tape_bytes(c, &n))
        return (n + 63) & ~63

    def tape_bytes(self, T, B, run=None):
        """The size of the tapes of all models."""
        cdef lstm_call call
        memset(&call, 0, sizeof(call))
        self.pattern.begin(&call, T, B, run, 1)
        return self.n_models * self.one_tape_bytes(&call)

    def group_size(self, T, B, run=None, c_bool has_lengths=False, c_bool has_resets=False):
        """The number of models that a training call runs in the lanes of one vector; 0: it runs them one by one."""
        cdef lstm_fleet f
        cdef lstm_call call
        cdef int64_t one = 1
        cdef uint8_t flag = 1
        memset(&f, 0, sizeof(f))
        memset(&call, 0, sizeof(call))
        self.pattern.begin(&call, T, B, run, 1)
        call.lengths, call.resets = &one if has_lengths else NULL, &flag if has_resets else NULL
        f.n_models, f.lanes = self.n_models, self.lanes if lanes_are_used else NULL
        return lstm_fleet_group(&f, &call)

    def forward(self, x, h_0, c_0, output, h_n, c_n, Block tape, int num_threads, run=None, order=None, resets=None,
                seeds=None):
        """x (K, T, B, I), with index_input int64 (K, T, B, 1), output (K, T, B, D * R), states (K, L * D, B, R or H);
        tape: a Block of tape_bytes, or None.

        order: None, or int64 arrays (lengths, rows), (K, B) each, as in Weights.forward. resets: None or uint8
        (K, T, B). seeds: None or int64 (K,), the bits of the seed of each model's masks.
        """
        cdef lstm_forward_args a
        cdef lstm_fleet f
        cdef Weights w = self.pattern
        cdef int64_t K = self.n_models, H = w.model.hidden_size, R = h_size_of(&w.model), n = 0
        cdef int64_t LD = w.n_entries
        cdef lstm_status status
        cdef Block packed, workspace = None
        memset(&a, 0, sizeof(a))
        memset(&f, 0, sizeof(f))
        kept = self.begin(&f, &a.call, &a.x, x, run, num_threads, order, resets, seeds)
        if output is None or h_n is None or (w.has_c and c_n is None):
            raise ValueError("output and the last states must be arrays, got None")
        cdef int64_t T = a.call.T, B = a.call.B
        a.output = sequences("output", output, w.code, True, K, T, B, w.model.num_directions * R, &f.output_stride)
        a.h_0, a.c_0 = stacked("h_0", h_0, w.code, False, K, LD, B, R), stacked("c_0", c_0, w.code, False, K, LD, B, H)
        a.h_n, a.c_n = stacked("h_n", h_n, w.code, True, K, LD, B, R), stacked("c_n", c_n, w.code, True, K, LD, B, H)
        a.tape = NULL
        if tape is not None:
            if tape.n < K * self.one_tape_bytes(&a.call):
                raise ValueError("tape must be a Block of tape_bytes")
            a.tape = tape.address
        packed = self.packed(&f, False)
        a.packed = packed.address if packed is not None else NULL
        raise_status(lstm_fleet_forward_bytes(&f, &a.call, tape is not None, &n))
        workspace = borrow_workspace(n)
        a.workspace = workspace.address
        try:
            with nogil:
                status = lstm_fleet_forward(&f, &a)
            raise_status(status)
            self.keep_packed(&f, packed, False)
        finally:
            return_workspace(workspace)

    def backward(self, Block tape not None, arrays, int num_threads, run=None, order=None, resets=None, seeds=None):
        """arrays: a BackwardArrays, by name. gradients: (K, P), a row for each model like flat. d_output, d_h_n, d_c_n,
        d_x may be None."""
        cdef lstm_backward_args a
        cdef lstm_fleet f
        cdef Weights w = self.pattern
        cdef int64_t K = self.n_models, H = w.model.hidden_size, R = h_size_of(&w.model), n = 0, k
        cdef int64_t LD = w.n_entries
        cdef lstm_status status
        cdef char *to
        cdef lstm_weight_gradients *d_weights
        cdef Block packed, workspace = None, packed_forward
        with cython.critical_section(self):
            packed_forward = self.packed_forward
        memset(&a, 0, sizeof(a))
        memset(&f, 0, sizeof(f))
        kept = self.begin(&f, &a.call, &a.x, arrays.x, run, num_threads, order, resets, seeds)
        cdef int64_t T = a.call.T, B = a.call.B
        if arrays.d_h_0 is None or (w.has_c and arrays.d_c_0 is None) or tape.n < K * self.one_tape_bytes(&a.call):
            raise ValueError("d_h_0 and d_c_0 must be arrays, and tape must be the one that forward filled")
        a.d_output = sequences("d_output", arrays.d_output, w.code, False, K, T, B, w.model.num_directions * R,
                               &f.d_output_stride)
        if arrays.d_x is not None and w.model.index_input:
            raise ValueError("d_x must be None with index_input")
        a.d_x = sequences("d_x", arrays.d_x, w.code, True, K, T, B, w.model.input_size, &f.d_x_stride)
        a.h_0 = stacked("h_0", arrays.h_0, w.code, False, K, LD, B, R)
        a.c_0 = stacked("c_0", arrays.c_0, w.code, False, K, LD, B, H)
        a.d_h_n = stacked("d_h_n", arrays.d_h_n, w.code, False, K, LD, B, R)
        a.d_c_n = stacked("d_c_n", arrays.d_c_n, w.code, False, K, LD, B, H)
        a.d_h_0 = stacked("d_h_0", arrays.d_h_0, w.code, True, K, LD, B, R)
        a.d_c_0 = stacked("d_c_0", arrays.d_c_0, w.code, True, K, LD, B, H)
        a.d_h_norms = <double *>stacked("d_h_norms", arrays.d_h_norms, c'd', True, K, LD, T, B)
        a.d_c_norms = <double *>stacked("d_c_norms", arrays.d_c_norms, c'd', True, K, LD, T, B)
        to = rows_of("gradients", arrays.gradients, w.code, True, K, w.n_flat, &f.gradients_stride)
        packed = self.packed(&f, True)
        a.packed = packed.address if packed is not None else NULL
        a.packed_forward = packed_forward.address if packed_forward is not None else NULL
        a.tape = tape.address
        raise_status(lstm_fleet_backward_bytes(&f, &a.call, &n))
        d_weights = <lstm_weight_gradients *>allocate(w.n_entries * sizeof(lstm_weight_gradients))
        try:
            for k in range(w.n_entries):
                lstm_gradients_after(&w.in_flat[k], to - w.flat_begin, &d_weights[k])
            workspace = borrow_workspace(n)
            a.d_weights, a.workspace = d_weights, workspace.address
            with nogil:
                status = lstm_fleet_backward(&f, &a)
            raise_status(status)
            self.keep_packed(&f, packed, True)
        finally:
            free(d_weights)
            return_workspace(workspace)
