# The fast part of lstm_fast/torch, included by _core.pyx: a call without gradients on plain tensors in one go, because the
# glances at tensors from Python took longer than a step. Nothing here knows PyTorch: a tensor is what has numpy(), data_ptr()
# and _version.

cdef struct Seen:
    uintptr_t address
    int64_t version, n, step  # n numbers; every step-th is a sample
    const void *copy

cdef struct Memory:
    void *data
    int ndim
    int64_t shape[3]
    int64_t stride[3]  # in numbers


cdef c_bool same_samples(const Seen *seen, c_bool is_f32) noexcept nogil:
    cdef const uint32_t *now32 = <const uint32_t *>seen.address
    cdef const uint32_t *then32 = <const uint32_t *>seen.copy
    cdef const uint64_t *now64 = <const uint64_t *>seen.address
    cdef const uint64_t *then64 = <const uint64_t *>seen.copy
    cdef int64_t k = 0
    while k < seen.n:
        if now32[k] != then32[k] if is_f32 else now64[k] != then64[k]:
            return False
        k += seen.step
    return True


cdef struct Steps:
    int64_t T, B, n  # n rows
    const int64_t *lengths
    const int64_t *packed_rows


cdef read_batch_sizes(batch_sizes, int64_t n, Steps *steps):
    """The steps of a PackedSequence of n rows, and the memory behind them; ValueError if there are no such steps."""
    cdef const int64_t[::1] sizes = batch_sizes.numpy()
    cdef int64_t T = sizes.shape[0], t, b, before = 0
    cdef int64_t[::1] memory
    if T < 1 or not 1 <= sizes[0] <= n:
        raise ValueError
    steps.T, steps.B, steps.n = T, sizes[0], n
    kept = numpy.empty(steps.B + T, numpy.int64)
    memory = kept
    for t in range(T):
        if sizes[t] < 1 or (t and sizes[t] > sizes[t - 1]):
            raise ValueError
        memory[steps.B + t] = before
        before += sizes[t]
        for b in range(sizes[t + 1] if t + 1 < T else 0, sizes[t]):
            memory[b] = t + 1
    if before != n:
        raise ValueError
    steps.lengths, steps.packed_rows = &memory[0], &memory[steps.B]
    return kept


cdef class TensorCalls:
    """Inference with weights, for as long as the tensors that they were packed from stay as they are. Immutable.

    tensors, copies: those tensors, contiguous, and contiguous arrays of their numbers. kind: the class of plain tensors.
    wrap(array) gives one; threads() the number of threads for calls that are long enough to ask. A call of less than few_steps
    steps (T * B) looks at the address, the version and about n_samples numbers of each tensor, a longer one at all numbers.
    """
    cdef Weights weights
    cdef object kind, wrap, threads, kept
    cdef Seen *seen
    cdef int64_t n_seen, few_steps

    def __init__(self, Weights weights not None, tensors, copies, kind, wrap, threads, int64_t n_samples, int64_t few_steps):
        cdef Seen *seen
        self.weights, self.kind, self.wrap, self.threads = weights, kind, wrap, threads
        self.few_steps, self.n_seen = few_steps, len(tensors)
        self.kept = copies, [tensor.detach() for tensor in tensors]  # the memory, so that nothing else can come to lie there
        free(self.seen)
        self.seen = <Seen *>malloc(self.n_seen * sizeof(Seen))
        if self.seen == NULL:
            raise MemoryError()
        for k, (tensor, copy) in enumerate(zip(tensors, copies, strict=True)):
            seen = &self.seen[<int64_t>k]
            seen.address, seen.version, seen.n = tensor.data_ptr(), tensor._version, copy.size
            seen.step = max(1, copy.size // n_samples) | 1  # odd: not one column alone
            seen.copy = state(copy, weights.is_f32(), False)

    def __dealloc__(self):
        free(self.seen)

    cdef c_bool is_current(self, tensors, int64_t n_steps) except? False:
        cdef int64_t k = 0
        cdef c_bool is_f32 = self.weights.is_f32()
        cdef Seen *seen
        if len(tensors) != self.n_seen:
            return False
        for tensor in tensors:
            seen = &self.seen[k]
            k += 1
            if <int64_t>tensor._version != seen.version or <uintptr_t>tensor.data_ptr() != seen.address:
                return False
            if n_steps < self.few_steps:
                if not same_samples(seen, is_f32):
                    return False
            elif not tensor.is_contiguous() or memcmp(<const void *>seen.address, seen.copy, seen.n * (4 if is_f32 else 8)) != 0:
                return False
        return True

    cdef Memory look(self, tensor) except *:
        """Where a tensor lies; ValueError, or an error of numpy(), if it is not a plain one of the dtype."""
        cdef Memory memory
        cdef Py_buffer view
        cdef int64_t number = 4 if self.weights.is_f32() else 8
        cdef char code = b'd'
        if self.weights.is_f32():
            code = b'f'
        if type(tensor) is not self.kind:
            raise ValueError
        array = tensor.numpy()
        if lstm_get_buffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT) != 0:
            PyErr_Clear()
            raise ValueError
        try:
            if (view.format == NULL or view.format[0] != code or view.format[1] != 0
                    or not 2 <= view.ndim <= 3 or <uintptr_t>view.buf % number):
                raise ValueError
            memory.data, memory.ndim = view.buf, view.ndim
            for k in range(view.ndim):
                memory.shape[k], memory.stride[k] = view.shape[k], view.strides[k] // number
                if view.strides[k] % number:
                    raise ValueError
        finally:
            PyBuffer_Release(&view)  # the caller holds the tensor meanwhile
        return memory

    cdef void *state_of(self, tensor, int ndim, int64_t L, int64_t B, int64_t n) except? NULL:
        """A contiguous state (L, B, n), or (B, n) of a cell."""
        cdef Memory a = self.look(tensor)
        if (a.ndim != ndim or a.shape[ndim - 1] != n or a.shape[ndim - 2] != B or (ndim == 3 and a.shape[0] != L)
                or (n > 1 and a.stride[ndim - 1] != 1) or (B > 1 and a.stride[ndim - 2] != n)
                or (ndim == 3 and L > 1 and a.stride[0] != B * n)):
            raise ValueError
        return a.data

    cdef object read(self, parameters, x, hx, c_bool batch_first, c_bool is_cell, batch_sizes, lstm_forward_args *a):
        """The call, x and the states; ValueError, or an error of numpy(), unless all is plain and current. Returns memory that
        the call reads."""
        cdef Memory at = self.look(x)
        cdef Weights weights = self.weights
        cdef c_bool is_packed = batch_sizes is not None, has_rows = is_cell or is_packed
        cdef int64_t I = weights.model.input_size, L = weights.n_states, T, B
        cdef int ndim = 2 if is_cell else 3, of_x = 2 if has_rows else 3, time = 1 if batch_first else 0
        cdef Steps steps = Steps(0, 0, 0, NULL, NULL)
        if at.ndim != of_x or at.shape[of_x - 1] != I or (I > 1 and at.stride[of_x - 1] != 1):
            raise ValueError
        kept = None
        if is_packed:
            kept = read_batch_sizes(batch_sizes, at.shape[0], &steps)
            T, B = steps.T, steps.B
        else:
            T, B = 1 if is_cell else at.shape[time], at.shape[0] if is_cell else at.shape[1 - time]
        if T < 1 or B < 1 or not self.is_current(parameters, at.shape[0] if is_packed else T * B):
            raise ValueError
        a.call = weights.call(T, B, None, 1)
        a.x.data, a.x.row_stride = at.data, at.stride[0 if has_rows else 1 - time]
        a.x.step_stride = B * a.x.row_stride if is_packed else 0 if is_cell else at.stride[time]
        if is_packed and steps.n < T * B:
            a.call.lengths, a.call.packed_rows = steps.lengths, steps.packed_rows
        a.h_0, a.c_0 = NULL, NULL
        if hx is not None:
            h_0, c_0 = hx
            a.h_0 = self.state_of(h_0, ndim, L, B, weights.h_size)
            a.c_0 = self.state_of(c_0, ndim, L, B, weights.model.hidden_size)
        return kept

    def call(self, parameters, x, hx, c_bool batch_first=False, c_bool is_cell=False, batch_sizes=None):
        """What an LSTM gives for x and hx, or with is_cell an LSTMCell; None unless all is plain and current.

        batch_sizes: a tensor, and x is the data of a PackedSequence.
        """
        cdef lstm_forward_args a
        cdef Weights weights = self.weights
        cdef int64_t n = 0, I = weights.model.input_size, R = weights.h_size, H = weights.model.hidden_size
        cdef int64_t L = weights.n_states, W = weights.num_directions * R, T, B, n_rows
        cdef lstm_status status
        try:  # (around this alone: what a signal handler raises during the computation is the caller's)
            kept = self.read(parameters, x, hx, batch_first, is_cell, batch_sizes, &a)
        except (RuntimeError, TypeError, ValueError):
            return None
        T, B = a.call.T, a.call.B
        n_rows = T * B if batch_sizes is None else len(x)
        dtype, empty, wrap = weights.dtype, numpy.empty, self.wrap
        if is_cell:
            output, h_n, c_n = empty((B, R), dtype), empty((B, R), dtype), empty((B, H), dtype)
        else:
            shape = (B, T, W) if batch_first else (T, B, W)
            output = empty(shape if batch_sizes is None else (n_rows, W), dtype)
            h_n, c_n = empty((L, B, R), dtype), empty((L, B, H), dtype)
        a.output.data, a.h_n, a.c_n = new_memory(output), new_memory(h_n), new_memory(c_n)
        a.output.step_stride, a.output.row_stride = W if batch_first else B * W, T * W if batch_first else W
        a.packed, a.tape = weights.packed_forward.address, NULL
        raise_status(lstm_forward_bytes(&a.call, False, &n))
        cdef Block workspace = borrow_workspace(n)
        a.workspace = workspace.address
        if 8.0 * n_rows * H * L * (I + H) < 3e5:  # over before the GIL could be given away
            status = lstm_forward(&a)
        else:
            a.call.n_threads = self.threads()
            with nogil:
                status = lstm_forward(&a)
        return_workspace(workspace)
        raise_status(status)
        return (wrap(output), wrap(c_n)) if is_cell else (wrap(output), (wrap(h_n), wrap(c_n)))


cdef void *new_memory(array) except NULL:
    """Of an array that is new, contiguous and not empty."""
    cdef Py_buffer view
    if lstm_get_buffer(array, &view, PyBUF_WRITABLE) != 0:
        PyErr_Clear()
        raise ValueError
    PyBuffer_Release(&view)
    return view.buf
