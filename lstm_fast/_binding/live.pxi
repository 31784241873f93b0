# B live sequences: their state, and the call of one step, which is set up once.

cdef class Live:
    """B live sequences with one version of the weights. Immutable except for the contents of h and c: a stream whose
    batch size or version changes gets a new one, so that a call in progress finishes with the one it started with.

    version: an object whose `weights` are Weights. share: another Live of the same sizes whose state memory is shared;
    None: a new state of zeros.
    """
    cdef lstm_forward_args args
    cdef Weights weights
    cdef readonly object version
    cdef readonly object h, c         # (L, B, R) and (L, B, H); c is None for a plain RNN
    cdef readonly int64_t batch_size
    cdef Block workspace, state       # state: the memory of h, then c
    cdef Block symbols                # symbols of the step with index_input; else None
    cdef Block next                   # new state of an interruptible step; None: steps update the state in place
    cdef int64_t input_size, h_size, h_bytes, x_bytes, output_bytes
    cdef object one_shape, batch_shape, dtype, empty
    cdef c_bool is_short              # steps are too short to release the GIL

    def __cinit__(self, version, int64_t batch_size, Live share=None):
        cdef Weights weights = version.weights
        if weights is None:
            raise TypeError("version.weights must be Weights, got None")
        cdef lstm_model *m = &weights.model
        cdef int64_t B = batch_size, L = m.num_layers, I = m.input_size, H = m.hidden_size, n = 0
        cdef int64_t element = weights.dtype.itemsize
        if B < 1 or m.num_directions != 1:
            raise ValueError("a stream needs one sequence or more, and a network of one direction")
        if <double>B * (L * <double>H + I) > 1e17:
            raise MemoryError("the sizes overflow 64 bits")
        I = numbers_of_x(m)
        self.weights, self.version, self.batch_size, self.input_size = weights, version, B, I
        self.symbols = Block(B * sizeof(int64_t)) if m.index_input else None
        self.dtype, self.h_size, self.empty = weights.dtype, h_size_of(m), numpy.empty
        self.x_bytes, self.output_bytes = B * I * element, B * self.h_size * element
        self.one_shape, self.batch_shape = (self.h_size,), (B, self.h_size)
        self.h_bytes = L * B * self.h_size * element
        cdef int64_t n_bytes = self.h_bytes + (L * B * H * element if weights.has_c else 0)
        if share is None:
            self.state = Block(n_bytes, numpy.zeros(n_bytes + 64, numpy.uint8))
        elif share.batch_size != B or not same_sizes(m, &share.weights.model):
            raise ValueError("a stream keeps the sizes of its network")
        else:
            self.state = share.state
        self.h = self.state.data[:self.h_bytes].view(self.dtype).reshape(L, B, self.h_size)
        self.c = self.state.data[self.h_bytes:].view(self.dtype).reshape(L, B, H) if weights.has_c else None
        weights.begin(&self.args.call, 1, B, None, 1)
        self.args.x.row_stride, self.args.x.step_stride = I, B * I
        self.args.output.row_stride, self.args.output.step_stride = self.h_size, B * self.h_size
        self.next = Block(n_bytes) if is_interruptible(m, B) else None
        self.set_states(&self.args, self.next)
        self.args.packed, self.args.tape = weights.packed_forward.address, NULL
        raise_status(lstm_forward_bytes(&self.args.call, False, &n))
        self.workspace = Block(n)
        self.args.workspace = self.workspace.address
        self.is_short = is_short_call(m, B)

    cdef void set_states(self, lstm_forward_args *a, Block next) noexcept:
        """Makes a call read the state and write the new one to `next`, or in place if that is None."""
        cdef char *old = <char *>self.state.address
        cdef char *new = old if next is None else <char *>next.address
        a.h_0, a.h_n, a.c_0, a.c_n = old, new, NULL, NULL
        if self.c is not None:
            a.c_0, a.c_n = old + self.h_bytes, new + self.h_bytes

    cdef int reject_out(self, out, int ndim) except -1:
        shape = self.one_shape if ndim == 1 else self.batch_shape
        got = f"{getattr(out, 'shape', None)}, {getattr(out, 'dtype', type(out).__name__)}"
        raise ValueError(f"out must be a contiguous writeable array of shape {shape} and dtype {self.dtype}, no part "
                         f"of the stream's state, got {got}")

    cdef lstm_status run_long(self, int n_threads) except *:
        cdef char *new = NULL
        cdef int64_t n = 0
        if n_threads != self.args.call.n_threads:  # each worker has separate operands in the workspace
            self.args.call.n_threads = n_threads
            raise_status(lstm_forward_bytes(&self.args.call, False, &n))
            if n > self.workspace.n:
                self.workspace = Block(n)
                self.args.workspace = self.workspace.address
        if self.next is not None:
            new = <char *>self.next.address
            self.args.call.interrupted = NULL
            if is_main_thread():
                self.args.call.interrupted = check_signals
        with nogil:
            status = lstm_forward(&self.args)
            if status == LSTM_OK and new != NULL:
                memcpy(self.state.address, new, self.state.n)
        return status

    cdef inline int reads(self, object array, int64_t columns, int flags, Memory *a) except -1:
        """Describes the memory of a contiguous array of shape ([B,] columns) and of the dtype; 0 if it is none."""
        return (read_buffer(array, self.weights.code, flags | PyBUF_C_CONTIGUOUS, a)
                and ((a.ndim == 2 and a.shape[0] == self.batch_size and a.shape[1] == columns)
                     or (a.ndim == 1 and self.batch_size == 1 and a.shape[0] == columns)))

    cdef int read_symbols(self, x, read, Memory *a) except -1:
        """Copies the symbols of a step, an int for one sequence or what read(x) returns, int64 () or (B,), and
        describes them as rows of numbers."""
        cdef int64_t *to = <int64_t *>self.symbols.address
        cdef int64_t b
        cdef c_bool is_one = self.batch_size == 1 and (type(x) is int or isinstance(x, numpy.integer))
        if is_one and 0 <= x < self.weights.model.input_size:
            to[0], a.ndim = x, 1
        else:
            x = read(x)
            if (not read_buffer(x, c'l', PyBUF_C_CONTIGUOUS, a) or a.ndim > 1
                    or (a.ndim and a.shape[0] != self.batch_size)):
                raise ValueError("x does not fit the stream")
            for b in range(self.batch_size):
                to[b] = (<const int64_t *>a.data)[b]
                check_symbol(to[b], &self.weights.model)
            a.ndim += 1
        a.data = to
        return 0


cdef c_bool same_sizes(const lstm_model *a, const lstm_model *b) noexcept:
    return (a.input_size == b.input_size and a.index_input == b.index_input and a.hidden_size == b.hidden_size
            and a.proj_size == b.proj_size
            and a.num_layers == b.num_layers and a.dtype == b.dtype
            and has_cell_state(a) == has_cell_state(b))


cdef inline c_bool overlap(const void *a, int64_t a_bytes, const void *b, int64_t b_bytes) noexcept nogil:
    return <const char *>a < <const char *>b + b_bytes and <const char *>b < <const char *>a + a_bytes
