# The fast part of streaming.py, included by _core.pyx: one step of live sequences for about a microsecond from Python.
# What a step needs is set up once; a step looks at its argument, fills in two pointers and calls the core.

cdef class Stepper:
    """The state of B live sequences, and the argument struct that moves it. streaming.Stream adds the rest.

    read(x) gives a contiguous array of the right shape and dtype from anything else, or raises; threads() the number of
    threads for steps that are long enough to ask.
    """
    cdef lstm_forward_args args
    cdef Block workspace
    cdef readonly Weights weights
    cdef readonly object h, c       # (L, B, R) and (L, B, H), changed in place; c is None for a plain RNN
    cdef readonly int64_t batch_size
    cdef int64_t h_size
    cdef object read, threads, empty, one_shape, batch_shape
    cdef char code                  # of the dtype in the buffer protocol
    cdef c_bool is_short            # a step is over before the GIL could be given away

    def __init__(self, Weights weights not None, int64_t batch_size, read, threads):
        self.h_size = weights.h_size
        self.read, self.threads, self.empty, self.weights = read, threads, numpy.empty, weights
        self.code = b'f' if weights.is_f32() else b'd'
        self.resize(batch_size)

    def resize(self, int64_t batch_size):
        """From now on so many sequences, their states zero."""
        cdef Weights weights = self.weights
        cdef int64_t L = weights.model.num_layers
        self.batch_size = batch_size
        self.one_shape, self.batch_shape = (self.h_size,), (batch_size, self.h_size)
        self.h = numpy.zeros((L, batch_size, self.h_size), weights.dtype)
        self.c = numpy.zeros((L, batch_size, weights.model.hidden_size), weights.dtype) if weights.has_c else None
        self.use_weights(weights)

    def use_weights(self, Weights weights not None):
        """Steps run on these weights from now on; the sizes are the same, the state goes on."""
        cdef int64_t B = self.batch_size, I = weights.model.input_size, H = weights.model.hidden_size, n = 0
        self.args.call = weights.call(1, B, None, 1)
        self.args.x.row_stride, self.args.x.step_stride = I, B * I
        self.args.output.row_stride, self.args.output.step_stride = self.h_size, B * self.h_size
        self.args.h_n = state(self.h, weights.is_f32(), True)
        self.args.c_n = state(self.c, weights.is_f32(), True)
        self.args.h_0, self.args.c_0 = self.args.h_n, self.args.c_n
        self.args.packed, self.args.tape = weights.packed_forward.address, NULL
        raise_status(lstm_forward_bytes(&self.args.call, False, &n))
        self.workspace, self.weights = Block(n), weights
        self.args.workspace = self.workspace.address
        self.is_short = 8.0 * B * H * weights.model.num_layers * (I + H) < 3e5

    cdef int look(self, object array, int64_t columns, int flags, void **data, int *ndim) except -1:
        """1, the data and ndim of a contiguous ([B,] columns) array of the dtype; 0 for anything else."""
        cdef Py_buffer view
        cdef int fits
        if lstm_get_buffer(array, &view, flags | PyBUF_ND | PyBUF_FORMAT) != 0:
            PyErr_Clear()
            return 0
        fits = (view.format != NULL and view.format[0] == self.code and view.format[1] == 0
                and <uintptr_t>view.buf % <uintptr_t>view.itemsize == 0
                and ((view.ndim == 2 and view.shape[0] == self.batch_size and view.shape[1] == columns)
                     or (view.ndim == 1 and self.batch_size == 1 and view.shape[0] == columns)))
        data[0], ndim[0] = view.buf, view.ndim
        PyBuffer_Release(&view)  # the caller holds the array meanwhile
        return fits

    def _short_block(self, x):
        """Stream.block for an ndarray as usual; None for anything else."""
        cdef Short s
        cdef Memory at
        if type(x) is not plain_array:
            return None
        try:
            look(x, self.weights.is_f32(), &at)
            begin_short(self.weights, &at, STEPS if at.ndim == 3 else UNBATCHED, False, None, &s)
        except ValueError:
            return None
        if s.args.call.B != self.batch_size:
            return None
        s.args.h_0, s.args.c_0, s.args.h_n, s.args.c_n = self.args.h_n, self.args.c_n, self.args.h_n, self.args.c_n
        return run_short(self.weights, &s, self.threads)[0]

    def step(self, x, out=None):
        """One step of every sequence.

        Parameters
        ----------
        x : array_like of shape (B, I), or (I,) if there is one sequence
        out : array to write into instead of a new one: contiguous, of the result's shape and dtype

        Returns
        -------
        h of the last layer, (B, R) or (R,) as x is: R = proj_size or H
        """
        cdef void *data = NULL
        cdef void *to = NULL
        cdef int ndim = 0, out_ndim = 0
        cdef lstm_status status
        cdef lstm_forward_args args
        if not self.look(x, self.weights.model.input_size, 0, &data, &ndim):
            x = self.read(x)
            self.look(x, self.weights.model.input_size, 0, &data, &ndim)
        if out is None:
            out = self.empty(self.one_shape if ndim == 1 else self.batch_shape, self.h.dtype)
        if not self.look(out, self.h_size, PyBUF_WRITABLE, &to, &out_ndim) or out_ndim != ndim:
            shape = self.one_shape if ndim == 1 else self.batch_shape
            raise ValueError(f"out must be a contiguous writeable array of shape {shape} and dtype {self.h.dtype}, "
                             f"got {getattr(out, 'shape', None)}, {getattr(out, 'dtype', type(out).__name__)}")
        self.args.x.data, self.args.output.data = data, to
        if self.is_short:
            status = lstm_forward(&self.args)
        else:
            args = self.args
            args.call.n_threads = self.threads()
            with nogil:
                status = lstm_forward(&args)
        raise_status(status)
        return out
