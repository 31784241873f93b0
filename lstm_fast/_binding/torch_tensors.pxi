# PyTorch's tensors: access to their memory, and the fast path of lstm_fast/torch, inference on plain tensors in one
# call. PyTorch is neither imported nor linked: tensors are read through DLPack's C exchange API (PyTorch 2.10 and
# newer), in 30 ns each, otherwise through their methods. Tensor.numpy() would take 500 ns and make the storage
# permanently non-resizable.

cdef extern from *:
    """
    #include <stdint.h>
    /* The part of DLPack 1 (dlpack.h) that reading tensors needs. */
    typedef struct {
        void *data;
        int32_t device_type, device_id, ndim;
        uint8_t type_code, type_bits;
        uint16_t type_lanes;
        int64_t *shape, *strides;
        uint64_t byte_offset;
    } lstm_dl_tensor;
    typedef int (*lstm_dl_read_object)(void *object, lstm_dl_tensor *tensor);
    typedef struct {
        uint32_t major_version, minor_version;
        void *older_api, *allocate, *export_object, *import_object;
        lstm_dl_read_object read_object;
        void *current_work_stream;
    } lstm_dl_exchange_api;
    """
    ctypedef struct lstm_dl_tensor:
        void *data
        int device_type, ndim, type_code, type_bits, type_lanes
        int64_t *shape
        int64_t *strides
        uint64_t byte_offset
    ctypedef int (*lstm_dl_read_object)(void *object, lstm_dl_tensor *tensor) noexcept
    ctypedef struct lstm_dl_exchange_api:
        unsigned int major_version
        lstm_dl_read_object read_object


cdef class Buffer:
    """Exports n bytes of an object that has no buffer interface."""
    cdef object owner
    cdef void *address
    cdef Py_ssize_t n

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.address, self.n, 0, flags)


cdef class TensorReader:
    """Reads plain tensors: dense, on the CPU, and not of a subclass.

    classes: Tensor and Parameter. codes: maps PyTorch's dtypes to "f", "d", "l" (int64) or "B" (uint8).
    """
    cdef object tensor, parameter, codes
    cdef lstm_dl_read_object read_object  # NULL: no exchange API

    def __cinit__(self, classes, codes):
        cdef const lstm_dl_exchange_api *api
        self.tensor, self.parameter = classes
        self.codes = dict(codes)
        self.read_object = NULL
        capsule = getattr(self.tensor, "__dlpack_c_exchange_api__", None)
        if capsule is not None:
            api = <const lstm_dl_exchange_api *>PyCapsule_GetPointer(capsule, "dlpack_exchange_api")
            if api.major_version == 1:
                self.read_object = api.read_object

    cdef int read(self, object tensor, Memory *memory, char *code) except -1:
        """Describes the memory of a tensor of one to three axes. Raises SlowPath, or an exception of the tensor's
        methods, unless it is plain."""
        cdef lstm_dl_tensor dl
        cdef int64_t n = 1
        cdef int k
        if type(tensor) is not self.tensor and type(tensor) is not self.parameter:
            raise SlowPath
        if self.read_object == NULL:
            self.read_by_methods(tensor, memory, code)
        else:
            if self.read_object(<void *>tensor, &dl) != 0:
                PyErr_Clear()
                raise SlowPath
            if dl.device_type != 1 or dl.type_lanes != 1 or not 1 <= dl.ndim <= 3:
                raise SlowPath
            code[0] = code_of(dl.type_code, dl.type_bits)
            memory.data, memory.ndim = <char *>dl.data + dl.byte_offset, dl.ndim
            for k in range(dl.ndim):
                memory.shape[k], memory.stride[k] = dl.shape[k], dl.strides[k]
        for k in range(memory.ndim):
            n *= memory.shape[k]
        if memory.data == NULL and n > 0:  # a ZeroTensor, or a storage that was resized to 0
            raise SlowPath
        return 0

    cdef int read_by_methods(self, object tensor, Memory *memory, char *code) except -1:
        shape, strides = tensor.shape, tensor.stride()
        if not tensor.is_cpu or not 1 <= len(shape) <= 3 or tensor.dtype not in self.codes:
            raise SlowPath
        code[0] = ord(self.codes[tensor.dtype])
        memory.data, memory.ndim = <void *><uintptr_t>tensor.data_ptr(), len(shape)
        for k in range(memory.ndim):
            memory.shape[k], memory.stride[k] = shape[k], strides[k]
        return 0

    cdef int read_numbers(self, object tensor, char code, Memory *memory) except -1:
        """The same, for numbers of this dtype that are stored as they are: not negated lazily (the negative bit)."""
        cdef char found
        self.read(tensor, memory, &found)
        if found != code or <uintptr_t>memory.data % <uintptr_t>number_bytes(code) or tensor.is_neg():
            raise SlowPath
        return 0

    def array(self, tensor):
        """A plain tensor as an array of one to three axes: its memory, or a copy if that is not aligned.

        The array keeps the tensor alive but not its storage: it must not outlive the calling function.
        """
        cdef Memory memory
        cdef char code
        cdef Buffer buffer
        cdef int64_t n = 1
        try:
            self.read(tensor, &memory, &code)
        except (BufferError, RuntimeError, ValueError):
            raise ValueError(
                f"expected a dense tensor on the CPU with one to three axes, allocated storage and one of the dtypes "
                f"{', '.join(map(str, self.codes))}, got {type(tensor).__name__} of {tensor.dtype}, shape "
                f"{tuple(tensor.shape)}, on {tensor.device}") from None
        itemsize = number_bytes(code)
        shape, strides = [0] * memory.ndim, [0] * memory.ndim
        for k in range(memory.ndim):
            shape[k], strides[k] = memory.shape[k], memory.stride[k] * itemsize
            n += (memory.shape[k] - 1) * memory.stride[k]
        if 0 in shape:
            return numpy.empty(shape, DTYPES[code])
        buffer = Buffer()
        buffer.owner, buffer.address, buffer.n = tensor, memory.data, n * itemsize
        array = numpy.ndarray(shape, DTYPES[code], buffer, 0, strides)
        return array if <uintptr_t>memory.data % <uintptr_t>itemsize == 0 else array.copy()


cdef char code_of(int type_code, int bits) except 0:
    """The code of a DLPack type: 0 is a signed integer, 1 an unsigned one, 2 an IEEE floating-point number."""
    if type_code == 2 and bits == 32:
        return c'f'
    if type_code == 2 and bits == 64:
        return c'd'
    if type_code == 0 and bits == 64:
        return c'l'
    if type_code == 1 and bits == 8:
        return c'B'
    raise SlowPath


cdef int64_t MANY_BYTES = 1 << 18  # take over 5 us to compare
cdef int64_t LARGEST_TEMPLATE = 1 << 13  # numbers
cdef Py_ssize_t MOST_TEMPLATES = 32


cdef class TensorCalls:
    """Inference with packed weights, valid while the parameters still equal the packed numbers. Immutable.

    copies: contiguous arrays of the packed numbers, in PyTorch's order. threads(): number of threads for long calls.
    empty_like: PyTorch's.

    A call compares every byte of the parameters, because PyTorch does not detect all writes (through `.data`, NumPy,
    shared memory). Up to the size of the L2 cache, this is as fast as the best checksum.
    """
    cdef Weights weights
    cdef TensorReader reader
    cdef object threads, empty_like, kept
    cdef dict templates  # tensors of small shapes that calls returned
    cdef Memory *copies
    cdef int n_copies
    cdef char code

    def __cinit__(self, Weights weights not None, TensorReader reader not None, copies, threads, empty_like):
        if weights.model.index_input:
            raise ValueError("weights must belong to a network without index_input")
        self.weights, self.reader, self.threads, self.kept = weights, reader, threads, list(copies)
        self.empty_like, self.templates = empty_like, {}
        self.code = weights.code
        self.n_copies = len(self.kept)
        self.copies = <Memory *>malloc(max(1, self.n_copies) * sizeof(Memory))
        if self.copies == NULL:
            raise MemoryError()
        for k, copy in enumerate(self.kept):
            if not read_buffer(copy, self.code, PyBUF_C_CONTIGUOUS, &self.copies[<int>k]):
                raise ValueError("copies must be contiguous arrays of the dtype of the weights")

    def __dealloc__(self):
        free(self.copies)

    cdef c_bool is_equal(self, object tensor, const Memory *copy) except? False:
        """Whether a tensor equals this copy bit for bit."""
        cdef Memory now
        cdef int64_t n = number_bytes(self.code), between = 1
        cdef int k, difference
        cdef char code
        for k in range(copy.ndim):
            n *= copy.shape[k]
        if n > MANY_BYTES:
            tensor = tensor.detach()  # keeps the memory alive even if another thread sets tensor.data
        self.reader.read(tensor, &now, &code)
        if code != self.code or now.ndim != copy.ndim:
            return False
        for k in range(now.ndim - 1, -1, -1):
            if now.shape[k] != copy.shape[k] or (now.shape[k] > 1 and now.stride[k] != between):
                return False
            between *= now.shape[k]
        if n <= MANY_BYTES:
            return memcmp(now.data, copy.data, n) == 0
        with nogil:
            difference = memcmp(now.data, copy.data, n)
        return difference == 0

    def are_current(self, tensors):
        """Whether these tensors can be read and equal the packed numbers bit for bit."""
        cdef int k = 0
        try:
            for tensor in tensors:
                if k == self.n_copies or not self.is_equal(tensor, &self.copies[k]):
                    return False
                k += 1
        except (AttributeError, BufferError, RuntimeError, TypeError, ValueError):
            return False
        return k == self.n_copies

    cdef object new(self, object x, tuple shape, void **memory):
        """A tensor of this shape, uninitialized, on the device of x and not on the default device.

        A small one is made by empty_like, from a template: in 0.7 us, new_empty takes 1.2.
        """
        cdef Memory at
        cdef char code
        cdef int64_t n = 1
        template = self.templates.get(shape)
        if template is not None:
            tensor = self.empty_like(template)
        else:
            tensor = x.new_empty(shape)
            for size in shape:
                n *= size
            if n <= LARGEST_TEMPLATE and len(self.templates) < MOST_TEMPLATES:
                self.templates[shape] = tensor.new_empty(shape)
        self.reader.read(tensor, &at, &code)
        if code != self.code:
            raise SlowPath
        memory[0] = at.data
        return tensor

    cdef object begin(self, parameters, names, x, hx, c_bool batch_first, c_bool is_cell, batch_sizes, FastCall *s):
        """Prepares the call. Raises SlowPath, or an exception of a tensor's methods, unless all tensors are plain and
        the weights current.

        Returns the uninitialized results, and objects to keep alive during the call.
        """
        cdef Weights weights = self.weights
        cdef Memory at
        cdef Layout layout
        if parameters is not None and not self.are_current(list(map(parameters.__getitem__, names))):
            raise SlowPath
        self.reader.read_numbers(x, self.code, &at)
        layout = CELL if is_cell else PACKED if batch_sizes is not None else STEPS if at.ndim == 3 else UNBATCHED
        of_steps = self.reader.array(batch_sizes) if layout == PACKED else None
        kept = begin_fast(weights, &at, layout, batch_first, of_steps, s)
        h_0, c_0 = (None, None) if hx is None else hx
        if hx is not None:
            self.reader.read_numbers(h_0, self.code, &at)
            s.args.h_0 = fast_state(weights, &at, h_size_of(&weights.model), s)
            self.reader.read_numbers(c_0, self.code, &at)
            s.args.c_0 = fast_state(weights, &at, weights.model.hidden_size, s)
        output = self.new(x, output_shape(weights, s), &s.args.output.data)
        h_n = self.new(x, state_shape(weights, s, h_size_of(&weights.model)), &s.args.h_n)
        c_n = self.new(x, state_shape(weights, s, weights.model.hidden_size), &s.args.c_n)
        return (output, h_n, c_n), (kept, h_0, c_0)

    def call(self, parameters, names, x, hx, c_bool batch_first=False, c_bool is_cell=False, batch_sizes=None):
        """The result of an LSTM (is_cell: an LSTMCell) for x and hx; None unless all tensors are plain and the weights
        current.

        parameters: a dict with these names; None if the caller knows that they are current. With batch_sizes, a tensor,
        x is the data of a PackedSequence.
        """
        cdef FastCall s
        try:  # (excludes the computation, where a signal handler's exception must reach the caller)
            results, kept = self.begin(parameters, names, x, hx, batch_first, is_cell, batch_sizes, &s)
        except (AttributeError, BufferError, LookupError, RuntimeError, TypeError, ValueError):
            return None
        compute_fast(self.weights, &s, self.threads)
        output, h_n, c_n = results
        return (output, c_n) if is_cell else (output, (h_n, c_n))
