# The fast path of streaming.py: a step of live sequences takes about a microsecond from Python. The call is set up
# once; a step checks its arguments, fills in two pointers and calls the core.

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
    cdef Block symbols                # with index_input: those of the step; else None
    cdef Block next                   # for the new state of an interruptible step; None: steps update it in place
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

    cdef int refuse_out(self, out, int ndim) except -1:
        shape = self.one_shape if ndim == 1 else self.batch_shape
        got = f"{getattr(out, 'shape', None)}, {getattr(out, 'dtype', type(out).__name__)}"
        raise ValueError(f"out must be a contiguous writeable array of shape {shape} and dtype {self.dtype}, no part "
                         f"of the stream's state, got {got}")

    cdef lstm_status run_long(self, int n_threads) except *:
        cdef char *new = NULL
        cdef int64_t n = 0
        if n_threads != self.args.call.n_threads:  # each worker has operands of its own in the workspace
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
            and (a.cell == LSTM_CELL_LSTM) == (b.cell == LSTM_CELL_LSTM))


cdef inline c_bool overlap(const void *a, int64_t a_bytes, const void *b, int64_t b_bytes) noexcept nogil:
    return <const char *>a < <const char *>b + b_bytes and <const char *>b < <const char *>a + a_bytes


cdef class Stepper:
    """The state of B live sequences and its updates. The base of streaming.Stream.

    read(x) converts any x to a contiguous array of the right shape and dtype, or raises; threads() returns the number
    of threads, and is only called for long steps. Only one thread at a time can use a stream: a second one gets an
    error, except that _use_version may be called at any time.
    """
    cdef Live live
    cdef object read, threads
    cdef int is_claimed  # also until __init__ has finished

    def __cinit__(self, *args, **kwargs):
        self.is_claimed = 1

    def __init__(self, version, int64_t batch_size, read, threads):
        if self.live is not None:
            raise RuntimeError("a stream is initialized only once")
        live = Live(version, batch_size)
        self.read, self.threads, self.live = read, threads, live
        lstm_release(&self.is_claimed)

    cdef Live current(self):
        cdef Live live
        with cython.critical_section(self):
            live = self.live
        if live is None:
            raise RuntimeError("this stream was not initialized: create it with module.stream()")
        return live

    cdef c_bool replace(self, Live old, Live new) noexcept:
        with cython.critical_section(self):
            if self.live is old:
                self.live = new
                return True
        return False

    def _claim(self):
        """Exclude other threads until _release()."""
        if not lstm_claim(&self.is_claimed):
            self.current()
            raise RuntimeError("this stream is in use by another thread, or by the call that a signal handler "
                               "interrupts, or it was when the process forked: one thread at a time can use a stream")

    def _release(self):
        if self.live is not None:
            lstm_release(&self.is_claimed)

    @property
    def _live(self):
        return self.current()

    @property
    def h(self):
        """Hidden state, (num_layers, B, R): the array that steps update."""
        return self.current().h

    @property
    def c(self):
        """Cell state, (num_layers, B, H): the array that steps update; None for an RNN."""
        return self.current().c

    @property
    def weights(self):
        """The packed weights that steps use, a `_core.Weights`."""
        return self.current().weights

    @property
    def batch_size(self):
        """B, the number of sequences."""
        return self.current().batch_size

    def _use_version(self, version):
        """Use these weights, of the same sizes, in later calls; the state is kept. A call in progress finishes with the
        old weights."""
        cdef Live old, new
        while True:
            old = self.current()
            new = Live(version, old.batch_size, old)
            if self.replace(old, new):
                return

    def _install(self, Live new not None):
        """Continue with these sequences. The stream must be claimed."""
        cdef Live old
        while True:
            old = self.current()
            if new.version is not old.version:  # changed while `new` was being filled
                new = Live(old.version, new.batch_size, new)
            if self.replace(old, new):
                return

    def _set_state(self, h, c):
        """Overwrite the whole state, or raise and leave it unchanged. The stream must be claimed."""
        cdef Live live = self.current()
        cdef int64_t L = live.weights.model.num_layers, B = live.batch_size, H = live.weights.model.hidden_size
        cdef void *from_h = exact("h", h, live.weights.code, False, 3, L, B, live.h_size)
        cdef void *from_c = exact("c", c, live.weights.code, False, 3, L, B, H)
        if from_h == NULL or (from_c == NULL) != (live.c is None):
            raise ValueError("h must be an array, and c one of an LSTM")
        memmove(live.state.address, from_h, live.h_bytes)
        if from_c != NULL:
            memmove(<char *>live.state.address + live.h_bytes, from_c, live.state.n - live.h_bytes)

    def _fast_block(self, x):
        """Stream.block for an ndarray of the right dtype and layout; None for anything else."""
        cdef FastCall s
        cdef Memory at
        cdef Live live
        cdef Block next = None
        if type(x) is not plain_array:
            return None
        if not lstm_claim(&self.is_claimed):
            self._claim()
        try:
            live = self.current()
            if x.base is not None and numpy.may_share_memory(x, live.state.data):
                x = numpy.array(x)
            try:
                x = read_x(live.weights, x, &at)
                begin_fast(live.weights, &at, STEPS if at.ndim == 3 else UNBATCHED, False, None, &s)
            except ValueError:
                return None
            if s.args.call.B != live.batch_size:
                return None
            if s.args.call.interrupted != NULL:
                next = Block(live.state.n)
            live.set_states(&s.args, next)
            output = run_fast(live.weights, &s, self.threads)[0]
            if next is not None:
                memcpy(live.state.address, next.address, live.state.n)
            return output
        finally:
            lstm_release(&self.is_claimed)

    def step(self, x, out=None):
        """Take one step of every sequence.

        Parameters
        ----------
        x : array_like of shape (B, I), or (I,) for one sequence
            Input of each sequence. With index_input, integers of shape (B,), or one for one sequence.
        out : ndarray, optional
            Array for the result: contiguous, of its shape and dtype, not overlapping the state. By default a new one.

        Returns
        -------
        ndarray of shape (B, R) or (R,)
            h of the last layer, with a batch axis if x has one: R = proj_size or H.

        Raises
        ------
        ValueError
            If x or out has the wrong shape; the state is then unchanged.
        """
        cdef Live live
        cdef Memory at, to
        cdef lstm_status status
        if not lstm_claim(&self.is_claimed):
            self._claim()
        try:
            with cython.critical_section(self):
                live = self.live
            if live.symbols is not None:
                live.read_symbols(x, self.read, &at)
            elif not live.reads(x, live.input_size, 0, &at):
                x = self.read(x)
                if not live.reads(x, live.input_size, 0, &at):
                    raise ValueError("x does not fit the stream")
            if out is None:
                out = live.empty(live.one_shape if at.ndim == 1 else live.batch_shape, live.dtype)
            if (not live.reads(out, live.h_size, PyBUF_WRITABLE, &to) or to.ndim != at.ndim
                    or overlap(to.data, live.output_bytes, live.state.address, live.state.n)):
                live.refuse_out(out, at.ndim)
            if live.symbols is None and (overlap(at.data, live.x_bytes, to.data, live.output_bytes)
                                         or overlap(at.data, live.x_bytes, live.state.address, live.state.n)):
                x = numpy.array(x)
                live.reads(x, live.input_size, 0, &at)
            live.args.x.data, live.args.output.data = at.data, to.data
            if live.is_short:
                status = lstm_forward(&live.args)
            else:
                status = live.run_long(self.threads())
                if status == LSTM_OK:
                    warn_of_missing_threads()
            if status != LSTM_OK:
                raise_status(status)
            return out
        finally:
            lstm_release(&self.is_claimed)
