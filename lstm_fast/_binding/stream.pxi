# The fast path of streaming.py: a step of live sequences takes about a microsecond from Python. It checks its
# arguments, sets two pointers in the call of Live and calls the core.

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
            except ValueError:  # SlowPath, mostly
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
                live.reject_out(out, at.ndim)
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
