# Weights: one packed version of a network's parameters, and the calls that use it.

cdef class Weights:
    """One immutable version of a network's weights, packed for one instruction set.

    arrays: L * D tuples of arrays or None in the order of PARAMETERS, in C order, which must not be modified later.
    flat: an array of which all of them are views, if there is one. format: a key of FORMATS, the format of the
    matrices; all except None require a float32 LSTM and are for inference only. input_bits: with int8, the bits of x
    of the first layer, 8 or 16; 0: x and its weight_ih are float32. compute_dtype "bfloat16": float32 arrays, products
    in bfloat16; can train. index_input: x are symbols, int64 (T, B, 1), from 0 to input_size - 1. All other arrays have
    the dtype of the model. The other arguments are the members of lstm_model with the same names.

    Packed for forward at construction and for backward at the first backward call. Thread-safe.
    """
    cdef lstm_model model
    cdef const lstm_isa *isa
    cdef readonly object flat, dtype, cell
    cdef readonly tuple arrays
    cdef Block packed_forward, packed_backward
    cdef lstm_weights *in_flat  # the addresses of the arrays in flat; NULL without it
    cdef char *flat_begin
    cdef int64_t n_flat, n_entries
    cdef char code  # the dtype in the buffer protocol

    def __cinit__(self, cell, dtype, int64_t input_size, int64_t hidden_size, int64_t num_layers,
                  int64_t num_directions, arrays, *, flat=None, format=None, compute_dtype=None, int input_bits=0,
                  c_bool index_input=False, int64_t proj_size=0, c_bool peepholes=False, c_bool layer_norm=False,
                  c_bool coupled_gates=False,
                  double cell_clip=0, double gate_clip=0, activation=None, recurrent_activation=None,
                  cell_activation=None):
        cdef lstm_model *m = &self.model
        self.dtype, self.cell, self.arrays = numpy.dtype(dtype), cell, tuple(map(tuple, arrays))
        self.code, self.n_entries = dtype_code(self.dtype), len(self.arrays)
        m.cell, m.dtype = CELLS[cell], LSTM_F32 if self.code == c'f' else LSTM_F64
        m.input_size, m.hidden_size, m.proj_size = input_size, hidden_size, proj_size
        m.num_layers, m.num_directions = num_layers, num_directions
        m.peepholes, m.layer_norm, m.coupled_gates = peepholes, layer_norm, coupled_gates
        m.cell_clip, m.gate_clip = cell_clip, gate_clip
        m.activation, m.cell_activation = activation_of(activation), activation_of(cell_activation)
        m.recurrent_activation = activation_of(recurrent_activation)
        if format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(map(repr, FORMATS))}, got {format!r}")
        if compute_dtype not in (None, *COMPUTE_DTYPES) or (compute_dtype is not None and format is not None):
            raise ValueError(f"compute_dtype must be None or one of {COMPUTE_DTYPES}, and None with a format, got "
                             f"{compute_dtype!r}")
        m.input_bits, m.index_input = input_bits, index_input
        m.format, m.rounds_weights = FORMATS[compute_dtype or format], compute_dtype is not None
        check_model(m, self.arrays)
        self.isa = isa_of(m)
        self.packed_forward = self.pack(False)
        if flat is not None:
            self.find_in_flat(flat)

    def __dealloc__(self):
        free(self.in_flat)

    cdef Block pack(self, c_bool backward):
        cdef int64_t n = 0
        cdef void *to
        cdef lstm_weights *weights = <lstm_weights *>allocate(self.n_entries * sizeof(lstm_weights))
        try:
            read_parameters(&self.model, self.arrays, weights)
            raise_status(lstm_packed_bytes(&self.model, self.isa, backward, &n))
            packed = Block(n)
            to = packed.address
            with nogil:
                lstm_pack(&self.model, self.isa, backward, weights, to)
        finally:
            free(weights)
        return packed

    cdef Block packed_for_backward(self):
        # No lock, which a fork could inherit while held. Threads that arrive together all pack; one result is kept.
        cdef Block packed
        with cython.critical_section(self):
            packed = self.packed_backward
        if packed is None:
            packed = self.pack(True)
            with cython.critical_section(self):
                if self.packed_backward is None:
                    self.packed_backward = packed
        return packed

    cdef int find_in_flat(self, flat) except -1:
        """Sets the flat array of which all arrays are views."""
        cdef char *begin
        cdef char *at
        cdef int64_t n
        if self.model.format != LSTM_FORMAT_REAL and not self.model.rounds_weights:
            raise ValueError("flat must be None with a format")
        begin = <char *>numbers("flat", flat, self.code, False, &self.n_flat)
        for array in itertools.chain.from_iterable(self.arrays):
            if array is None:
                continue
            at = <char *>numbers("arrays", array, self.code, False, &n)
            if at < begin or at > begin + (self.n_flat - n) * number_bytes(self.code):
                raise ValueError("arrays must be views of flat")
        self.in_flat = <lstm_weights *>allocate(self.n_entries * sizeof(lstm_weights))
        read_parameters(&self.model, self.arrays, self.in_flat)
        self.flat_begin, self.flat = begin, flat
        return 0

    cdef int read_gradients(self, lstm_weight_gradients *d_weights, gradients) except -1:
        """Fills in the addresses of the gradients from the argument of backward."""
        cdef lstm_weights *weights = self.in_flat
        cdef ptrdiff_t offset = 0
        cdef int64_t k
        if gradients is None:
            raise ValueError("gradients must be given, got None")
        if self.in_flat != NULL:
            offset = <char *>exact("gradients", gradients, self.code, True, 1, self.n_flat) - self.flat_begin
        else:
            weights = <lstm_weights *>allocate(self.n_entries * sizeof(lstm_weights))
        try:
            if self.in_flat == NULL:
                read_parameters(&self.model, gradients, weights, True)
            for k in range(self.n_entries):
                lstm_gradients_after(&weights[k], offset, &d_weights[k])
        finally:
            if self.in_flat == NULL:
                free(weights)
        return 0

    cdef int begin(self, lstm_call *c, int64_t T, int64_t B, run, int num_threads) except -1:
        """Sets the arguments common to all calls. run: None, or the TrainingOptions of a training call."""
        if T < 0 or B < 0:
            raise ValueError(f"T and B must not be negative, got {T} and {B}")
        c.model, c.isa, c.T, c.B, c.split = self.model, self.isa, T, B, current_split
        c.n_threads = num_threads if num_threads > 1 else 1
        c.interrupted, c.interrupted_context = NULL, NULL
        if is_interruptible(&self.model, <double>T * B) and is_main_thread():
            c.interrupted = check_signals
        c.lengths, c.rows, c.packed_rows, c.resets = NULL, NULL, NULL, NULL
        c.recompute_gates, c.dropout, c.recurrent_dropout, c.zoneout_h, c.zoneout_c, c.seed = False, 0, 0, 0, 0, 0
        if run is not None:
            c.dropout, c.recurrent_dropout, c.zoneout_h, c.zoneout_c, c.seed, c.recompute_gates = run
            if c.zoneout_c != 0 and not has_cell_state(&self.model):
                raise ValueError("a plain RNN has no c: zoneout_c must be 0")
        return 0

    cdef tuple begin_sequences(self, lstm_call *c, lstm_sequence *x_at, x, run, int num_threads, order, resets):
        """Prepares a call on x (T, B, I), or (1, n, I) if the order is that of a packed sequence.

        Returns the first two axes of x, and objects to keep alive until the call returns."""
        cdef Memory a
        cdef int64_t T, B, n = numbers_of_x(&self.model)
        cdef char code = c'l' if self.model.index_input else self.code
        if x is None or not read_buffer(x, code, 0, &a) or a.ndim != 3:
            reject("x", x, code, False, f"(T, B, {n})")
        if self.model.index_input:
            x = own(x)
        T, B = a.shape[0], a.shape[1]
        x_at[0] = sequence("x", x, code, False, T, B, n)
        if order is not None and len(order) == 3:
            if T != 1:
                raise ValueError(f"a packed x must have shape (1, n, {n}), got {x.shape}")
            self.begin(c, len(order[2]), len(order[0]), run, num_threads)
            kept = read_packed(order, B, c)
        else:
            self.begin(c, T, B, run, num_threads)
            kept = read_order(order, c)
        if resets is not None:
            c.resets = <const uint8_t *>exact("resets", resets, c'B', False, 2, c.T, c.B)
        if self.model.index_input:
            check_symbols(x_at, c, B)
        return T, B, (kept, x)

    cdef void *read_state(self, str name, array, c_bool writable, const lstm_call *c, int64_t n) except? NULL:
        return read_rows(name, array, self.code, writable, self.n_entries, c.B, n)

    cdef int check_tape(self, const lstm_call *c, Block tape) except -1:
        cdef int64_t n = 0
        raise_status(lstm_tape_bytes(c, &n))
        if tape.n < n:
            raise ValueError(f"tape must be a Block of {n} bytes for this call, got {tape.n}")
        return 0

    @property
    def hidden_size(self):
        return self.model.hidden_size

    @property
    def h_size(self):
        """R, the size of h: P with a projection, else H."""
        return h_size_of(&self.model)

    @property
    def index_input(self):
        return bool(self.model.index_input)

    @property
    def num_directions(self):
        return self.model.num_directions

    @property
    def isa_name(self):
        return (<bytes>self.isa.name).decode()

    @property
    def n_states(self):
        return self.n_entries

    @property
    def has_c(self):
        return has_cell_state(&self.model)

    def tape_bytes(self, T, B, run=None):
        """The size of the tape of T steps of B sequences, a Block."""
        cdef lstm_call call
        cdef int64_t n = 0
        memset(&call, 0, sizeof(call))
        self.begin(&call, T, B, run, 1)
        raise_status(lstm_tape_bytes(&call, &n))
        return n

    def forward(self, x, h_0, c_0, output, h_n, c_n, Block tape, int num_threads, run=None, order=None, resets=None):
        """x (T, B, I), output (T, B, D * R), states (L * D, B, R or H); tape: a Block of tape_bytes, or None for
        inference.

        order: None, or int64 arrays (lengths, rows): non-increasing lengths from 0 to T, and the batch row of each. Or
        (lengths, None, packed_rows): x and output are packed, (1, n, I or D * R), where step t starts at row
        packed_rows[t]. resets: None, or uint8 (T, B).
        """
        cdef lstm_forward_args a
        cdef int64_t H = self.model.hidden_size, R = h_size_of(&self.model), T, B
        cdef c_bool has_c = has_cell_state(&self.model)
        memset(&a, 0, sizeof(a))
        T, B, kept = self.begin_sequences(&a.call, &a.x, x, run, num_threads, order, resets)
        if output is None or h_n is None or (has_c and c_n is None):
            raise ValueError("output and the last states must be arrays, got None")
        a.output = sequence("output", output, self.code, True, T, B, self.model.num_directions * R)
        a.h_0, a.c_0 = self.read_state("h_0", h_0, False, &a.call, R), self.read_state("c_0", c_0, False, &a.call, H)
        a.h_n, a.c_n = self.read_state("h_n", h_n, True, &a.call, R), self.read_state("c_n", c_n, True, &a.call, H)
        a.tape = NULL
        if tape is not None:
            self.check_tape(&a.call, tape)
            a.tape = tape.address
        a.packed = self.packed_forward.address
        run_forward(&a, False)

    def backward(self, Block tape not None, arrays, int num_threads, run=None, order=None, resets=None):
        """arrays: a BackwardArrays, by name. gradients: L * D tuples in the order of PARAMETERS, None for absent
        parameters; with a flat array of parameters, a single array like it."""
        cdef lstm_backward_args a
        cdef int64_t H = self.model.hidden_size, R = h_size_of(&self.model), n = 0, T, B
        cdef lstm_status status
        cdef c_bool has_c = has_cell_state(&self.model)
        cdef Block packed, workspace = None
        if self.model.format != LSTM_FORMAT_REAL and not self.model.rounds_weights:
            raise TypeError("weights in a format are for inference: there is no backward")
        memset(&a, 0, sizeof(a))
        T, B, kept = self.begin_sequences(&a.call, &a.x, arrays.x, run, num_threads, order, resets)
        if arrays.d_h_0 is None or (has_c and arrays.d_c_0 is None) or (arrays.d_c_norms is not None and not has_c):
            raise ValueError("d_h_0 must be an array, d_c_0 one of an LSTM, and d_c_norms None for a plain RNN")
        self.check_tape(&a.call, tape)
        a.d_output = sequence("d_output", arrays.d_output, self.code, False, T, B, self.model.num_directions * R)
        if arrays.d_x is not None and self.model.index_input:
            raise ValueError("d_x must be None with index_input")
        a.d_x = sequence("d_x", arrays.d_x, self.code, True, T, B, self.model.input_size)
        a.h_0 = self.read_state("h_0", arrays.h_0, False, &a.call, R)
        a.c_0 = self.read_state("c_0", arrays.c_0, False, &a.call, H)
        a.d_h_n = self.read_state("d_h_n", arrays.d_h_n, False, &a.call, R)
        a.d_c_n = self.read_state("d_c_n", arrays.d_c_n, False, &a.call, H)
        a.d_h_0 = self.read_state("d_h_0", arrays.d_h_0, True, &a.call, R)
        a.d_c_0 = self.read_state("d_c_0", arrays.d_c_0, True, &a.call, H)
        a.d_h_norms = <double *>exact("d_h_norms", arrays.d_h_norms, c'd', True, 3, self.n_entries, a.call.T, a.call.B)
        a.d_c_norms = <double *>exact("d_c_norms", arrays.d_c_norms, c'd', True, 3, self.n_entries, a.call.T, a.call.B)
        packed = self.packed_for_backward()
        a.packed, a.packed_forward, a.tape = packed.address, self.packed_forward.address, tape.address
        raise_status(lstm_backward_bytes(&a.call, &n))
        cdef lstm_weight_gradients *d_weights
        d_weights = <lstm_weight_gradients *>allocate(self.n_entries * sizeof(lstm_weight_gradients))
        try:
            self.read_gradients(d_weights, arrays.gradients)
            workspace = borrow_workspace(n)
            a.d_weights, a.workspace = d_weights, workspace.address
            with nogil:
                status = lstm_backward(&a)
            raise_status(status)
        finally:
            free(d_weights)
            return_workspace(workspace)

    def look(self, Block tape not None, int64_t T, int64_t B, int64_t layer, int64_t direction, run=None):
        """Views of a tape with gates: gates (T, B, 4, H) and c (T + 1, B, H) in the order of steps, h (T, B, D * R) in
        time order."""
        cdef lstm_call call
        memset(&call, 0, sizeof(call))
        self.begin(&call, T, B, run, 1)
        self.check_tape(&call, tape)
        if not (0 <= layer < self.model.num_layers and 0 <= direction < self.model.num_directions):
            raise ValueError(f"layer must be from 0 to {self.model.num_layers - 1} and direction from 0 to "
                             f"{self.model.num_directions - 1}, got {layer} and {direction}")
        if not has_cell_state(&self.model) or call.recompute_gates:
            raise ValueError("this tape has no gates")
        return activations_of_tape(&call, tape, self.dtype, layer, direction)
