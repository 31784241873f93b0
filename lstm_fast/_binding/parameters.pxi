# A model's description and parameters: Python arguments into the structs of the C contract, filled by name.

CELLS = {"lstm": LSTM_CELL_LSTM, "tanh": LSTM_CELL_RNN_TANH, "relu": LSTM_CELL_RNN_RELU,
         "identity": LSTM_CELL_RNN_IDENTITY}

ACTIVATIONS = {
    "tanh": LSTM_TANH, "sigmoid": LSTM_SIGMOID, "relu": LSTM_RELU, "affine": LSTM_AFFINE, "leaky_relu": LSTM_LEAKY_RELU,
    "thresholded_relu": LSTM_THRESHOLDED_RELU, "scaled_tanh": LSTM_SCALED_TANH, "hard_sigmoid": LSTM_HARD_SIGMOID,
    "elu": LSTM_ELU, "softsign": LSTM_SOFTSIGN, "softplus": LSTM_SOFTPLUS,
}

# Names of the parameters of one layer and direction, in the order in which Weights expects arrays and gradients.
cdef tuple parameter_names = tuple((<bytes>LSTM_PARAMETER_NAMES).decode().split())
PARAMETERS = parameter_names

# Formats of the weight matrices, and the item type of their arrays: bfloat16 numbers are the upper halves of float32.
FORMATS = {None: LSTM_FORMAT_REAL, "float16": LSTM_FORMAT_FLOAT16, "bfloat16": LSTM_FORMAT_BFLOAT16,
           "int8": LSTM_FORMAT_INT8, "bfloat16_amx": LSTM_FORMAT_BFLOAT16_AMX}
cdef tuple COMPUTE_DTYPES = ("bfloat16", "bfloat16_amx")  # dtypes in which training can compute products
cdef char *FORMAT_CODES = b" eHbH"


cdef lstm_activation activation_of(spec) except *:
    """An activation from (name, alpha, beta); None: the default of the plain cell."""
    cdef lstm_activation a
    a.kind, a.alpha, a.beta = LSTM_DEFAULT, 0, 0
    if spec is not None:
        name, alpha, beta = spec
        a.kind, a.alpha, a.beta = ACTIVATIONS[name], alpha, beta
    return a


cdef inline int64_t numbers_of_x(const lstm_model *m) noexcept:
    """Numbers that a step reads: I, or one symbol."""
    return 1 if m.index_input else m.input_size


cdef inline int64_t h_size_of(const lstm_model *m) noexcept:
    """R, the size of h: P with a projection, else H."""
    return m.proj_size if m.proj_size else m.hidden_size


cdef inline c_bool has_cell_state(const lstm_model *m) noexcept:
    """Whether the state is (h, c), as in an LSTM, or only h."""
    return m.cell == LSTM_CELL_LSTM


cdef int check_model(lstm_model *m, tuple arrays) except -1:
    """Raises unless the core supports this model; sets initial_state from the arrays. (The core itself rejects sizes
    that are too large.)"""
    if min(m.input_size, m.hidden_size, m.num_layers) < 1 or m.num_directions not in (1, 2):
        raise ValueError("sizes and num_layers must be positive and num_directions 1 or 2")
    if not 0 <= m.proj_size < m.hidden_size:
        raise ValueError(f"proj_size must be from 0 to hidden_size - 1 = {m.hidden_size - 1}, got {m.proj_size}")
    if len(arrays) % m.num_directions or len(arrays) // m.num_directions != m.num_layers:
        raise ValueError(f"arrays must have an entry for each layer and direction, got {len(arrays)}")
    check_entry(arrays[0])
    m.initial_state = arrays[0][LSTM_AT_h_0] is not None
    if m.input_bits not in (0, 8, 16) or (m.input_bits and m.format != LSTM_FORMAT_INT8):
        raise ValueError(f"input_bits must be 0, or 8 or 16 with the format int8, got {m.input_bits}")
    has_options = (m.proj_size or m.peepholes or m.layer_norm or m.coupled_gates or m.cell_clip or m.gate_clip
                   or m.activation.kind or m.recurrent_activation.kind or m.cell_activation.kind)
    if not has_cell_state(m) and (has_options or m.format != LSTM_FORMAT_REAL):
        raise ValueError("a plain RNN has none of the options of an LSTM, and no format but its dtype's")
    if m.format != LSTM_FORMAT_REAL and m.dtype != LSTM_F32:
        raise ValueError("format must be None unless the dtype is float32")
    if m.format == LSTM_FORMAT_INT8 and m.proj_size:
        raise ValueError("format must not be 'int8' with a projection")
    return 0


cdef int check_entry(entry) except -1:
    if len(entry) != len(PARAMETERS):
        raise ValueError(f"an entry must have an array or None for each of PARAMETERS, got {len(entry)}")
    return 0


cdef void *parameter(const lstm_model *m, tuple entry, int at, c_bool is_in_model, c_bool is_gradient, int64_t rows,
                     int64_t columns=0, lstm_format format=LSTM_FORMAT_REAL) except? NULL:
    """The memory of the parameter or gradient at this position of an entry, a matrix if columns is not 0; NULL if the
    model has no such parameter."""
    name, array = <str>parameter_names[at], entry[at]
    cdef char code = c'f' if m.dtype == LSTM_F32 else c'd'
    if format != LSTM_FORMAT_REAL and not m.rounds_weights:
        code = FORMAT_CODES[<int>format]
    if array is None and not is_in_model:
        return NULL
    if (array is None or not is_in_model) and not (array is None and name.startswith("bias")):
        raise ValueError(f"{name} must be {'an array' if is_in_model else 'None'} in this model")
    return exact(name, array, code, is_gradient, 2 if columns else 1, rows, columns if columns else 1)


cdef int read_parameters(const lstm_model *m, entries, lstm_weights *weights, c_bool are_gradients=False) except -1:
    """Fills in the addresses of the arrays of every layer and direction; gradients must be writeable."""
    cdef lstm_weights *w = weights
    cdef c_bool is_lstm = has_cell_state(m), g = are_gradients
    cdef int64_t n = m.num_layers * m.num_directions, k = 0
    cdef c_bool is_int8 = m.format == LSTM_FORMAT_INT8, has_scale_ih = is_int8 and m.input_bits != 0
    cdef int64_t H = m.hidden_size, R = h_size_of(m), G = H * (LSTM_GATES if is_lstm else 1), I = m.input_size
    if len(entries) != n:
        raise ValueError(f"there must be {n} entries, one for each layer and direction, got {len(entries)}")
    for given in entries:
        entry = tuple(given)
        check_entry(entry)
        if k == m.num_directions:
            I, has_scale_ih = m.num_directions * R, is_int8
        w = &weights[k]
        memset(w, 0, sizeof(lstm_weights))
        w.weight_ih = parameter(m, entry, LSTM_AT_weight_ih, True, g, G, I,
                                lstm_input_format(m, k // m.num_directions))
        w.weight_hh = parameter(m, entry, LSTM_AT_weight_hh, True, g, G, R, m.format)
        w.bias_ih = parameter(m, entry, LSTM_AT_bias_ih, True, g, G)
        w.bias_hh = parameter(m, entry, LSTM_AT_bias_hh, True, g, G)
        w.weight_hr = parameter(m, entry, LSTM_AT_weight_hr, m.proj_size != 0, g, R, H, m.format)
        w.weight_peephole = parameter(m, entry, LSTM_AT_weight_peephole, m.peepholes, g, 3 * H)
        w.norm_ih_weight = parameter(m, entry, LSTM_AT_norm_ih_weight, m.layer_norm, g, G)
        w.norm_hh_weight = parameter(m, entry, LSTM_AT_norm_hh_weight, m.layer_norm, g, G)
        w.norm_c_weight = parameter(m, entry, LSTM_AT_norm_c_weight, m.layer_norm, g, H)
        w.norm_c_bias = parameter(m, entry, LSTM_AT_norm_c_bias, m.layer_norm, g, H)
        w.h_0 = parameter(m, entry, LSTM_AT_h_0, m.initial_state, g, R)
        w.c_0 = parameter(m, entry, LSTM_AT_c_0, m.initial_state and is_lstm, g, H)
        w.scale_ih = <const float *>parameter(m, entry, LSTM_AT_scale_ih, has_scale_ih, g, G)
        w.scale_hh = <const float *>parameter(m, entry, LSTM_AT_scale_hh, is_int8, g, G)
        k += 1
    return 0


cdef inline void *moved(const void *at, ptrdiff_t offset) noexcept nogil:
    return NULL if at == NULL else <char *>at + offset
