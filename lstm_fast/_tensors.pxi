# The fast part of lstm_fast/torch, included by _core.pyx: a call without gradients on plain tensors in one go, because the
# glances at tensors from Python took longer than a step. Nothing here knows PyTorch: a tensor is what has numpy(), data_ptr()
# and _version.

cdef struct Seen:
    uintptr_t address
    int64_t version, n, step  # n numbers; every step-th is a sample
    const void *copy


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

    cdef object array(self, tensor):
        if type(tensor) is not self.kind:
            raise ValueError
        return tensor.numpy()

    cdef object begin(self, parameters, x, hx, c_bool batch_first, c_bool is_cell, batch_sizes, Short *s):
        """The call; ValueError, or an error of numpy(), unless all is plain and current. Returns what must be kept meanwhile."""
        cdef Weights weights = self.weights
        values = self.array(x)
        cdef Form form = CELL if is_cell else PACKED if batch_sizes is not None else STEPS if values.ndim == 3 else UNBATCHED
        kept = begin_short(weights, values, form, batch_first, batch_sizes.numpy() if form == PACKED else None, s)
        if not self.is_current(parameters, s.n_rows):
            raise ValueError
        if hx is not None:
            h_0, c_0 = hx
            s.args.h_0 = short_state(weights, self.array(h_0), weights.R(), s)
            s.args.c_0 = short_state(weights, self.array(c_0), weights.model.hidden_size, s)
        return kept

    def call(self, parameters, x, hx, c_bool batch_first=False, c_bool is_cell=False, batch_sizes=None):
        """What an LSTM gives for x and hx, or with is_cell an LSTMCell; None unless all is plain and current.

        batch_sizes: a tensor, and x is the data of a PackedSequence.
        """
        cdef Short s
        wrap = self.wrap
        try:  # (around this alone: what a signal handler raises during the computation is the caller's)
            kept = self.begin(parameters, x, hx, batch_first, is_cell, batch_sizes, &s)
        except (RuntimeError, TypeError, ValueError):
            return None
        output, h_n, c_n = run_short(self.weights, &s, self.threads)
        return (wrap(output), wrap(c_n)) if is_cell else (wrap(output), (wrap(h_n), wrap(c_n)))
