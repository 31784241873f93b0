# Training of fleets outside the recurrent networks: linear layers, optimizer steps and norms of K models at once. Their
# parameters and gradients are parts of rows of an array (K, P).

cdef int run_fleet_linear(weight, bias, x, y, d_y, d_x, d_weight, d_bias, int num_threads) except -1:
    cdef lstm_linear_args a
    cdef lstm_fleet f
    cdef Memory of_weight, of_x, m
    cdef int64_t K, n, I, O, workspace_bytes = 0, stride = 0, weight_stride
    cdef lstm_status status
    cdef char code = dtype_code(x.dtype)
    cdef Block workspace = None
    if not (read_buffer(x, code, PyBUF_C_CONTIGUOUS, &of_x) and of_x.ndim == 3
            and read_buffer(weight, code, 0, &of_weight) and of_weight.ndim == 3):
        raise ValueError("x must be a contiguous array (K, n, I) and weight (K, O, I), of one dtype")
    K, n, I, O = of_x.shape[0], of_x.shape[1], of_x.shape[2], of_weight.shape[1]
    if K < 1 or I < 1 or O < 1:
        raise ValueError("K, I and O must be positive")
    if n == 0:  # all sequences are empty
        if d_weight is not None:
            d_weight[...] = 0
            d_bias[...] = 0
        return 0
    memset(&a, 0, sizeof(a))
    a.call.isa, a.call.n_threads, a.call.split = current_isa, num_threads, current_split
    a.call.model.dtype = LSTM_F32 if code == c'f' else LSTM_F64
    if <double>K * n * I * O > INTERRUPTIBLE_WORK and is_main_thread():
        a.call.interrupted = check_signals
    a.n, a.n_inputs, a.n_outputs, a.x = n, I, O, of_x.data
    memset(&f, 0, sizeof(f))
    f.n_models = K
    a.weight = part_of_rows("weight", weight, code, False, K, O, I, &f.weights_stride)
    a.bias, a.d_weight, a.d_bias = NULL, NULL, NULL
    if bias is not None:
        a.bias = part_of_rows("bias", bias, code, False, K, 1, O, &stride)
    if d_weight is not None:
        a.d_weight = part_of_rows("d_weight", d_weight, code, True, K, O, I, &f.gradients_stride)
        a.d_bias = part_of_rows("d_bias", d_bias, code, True, K, 1, O, &stride)
    weight_stride = f.weights_stride if d_weight is None else f.gradients_stride
    if K > 1 and (bias is not None or d_weight is not None) and stride != weight_stride:
        raise ValueError("weight and bias must be parts of the same rows")
    a.y, a.d_y = exact("y", y, code, True, 3, K, n, O), exact("d_y", d_y, code, False, 3, K, n, O)
    a.d_x = exact("d_x", d_x, code, True, 3, K, n, I)
    if (a.y == NULL) == (a.d_y == NULL) or (a.d_y != NULL and (a.d_x == NULL or a.d_weight == NULL)):
        raise ValueError("y must be an array, or d_y, d_x, d_weight and d_bias")
    raise_status(lstm_fleet_linear_bytes(&f, &a, &workspace_bytes))
    workspace = borrow_workspace(workspace_bytes)
    a.workspace = workspace.address
    try:
        with nogil:
            status = lstm_fleet_linear(&f, &a)
        raise_status(status)
    finally:
        return_workspace(workspace)
    return 0


cdef void *part_of_rows(str name, array, char code, c_bool writable, int64_t K, int64_t n, int64_t m,
                        int64_t *stride) except NULL:
    """The memory of an array (K, n, m), or (K, m) if n is 1, each of whose K parts is contiguous; their distance."""
    cdef Memory a
    cdef int last
    if not read_buffer(array, code, PyBUF_WRITABLE if writable else 0, &a) or a.ndim < 2 or a.ndim > 3:
        reject(name, array, code, writable, str((K, n, m)))
    last = a.ndim - 1
    if (a.shape[0] != K or a.shape[last] != m or (a.ndim == 3 and a.shape[1] != n) or (a.ndim == 2 and n != 1)
            or (m > 1 and a.stride[last] != 1) or (a.ndim == 3 and n > 1 and a.stride[1] != m)):
        reject(name, array, code, writable, str((K, n, m)))
    stride[0] = a.stride[0]
    return a.data


def fleet_linear(weight, bias, x, int num_threads):
    """y (K, n, O) = x W^T + b for each model: x (K, n, I), weight (K, O, I), bias (K, O), parts of the same rows."""
    y = numpy.empty((x.shape[0], x.shape[1], weight.shape[1]), x.dtype)
    run_fleet_linear(weight, bias, x, y, None, None, None, None, num_threads)
    return y


def fleet_linear_backward(weight, x, d_y, d_weight, d_bias, int num_threads):
    """d_x (K, n, I) from d_y (K, n, O); fills d_weight (K, O, I) and d_bias (K, O), parts of the same rows."""
    d_x = numpy.empty_like(x)
    run_fleet_linear(weight, None, x, None, d_y, d_x, d_weight, d_bias, num_threads)
    return d_x


def optimize_rows(rule, parameters, gradients, first, second, step, lr, scale):
    """optimize() for each row of contiguous arrays (K, P), with its own step (int64), lr and scale (float64), (K,)
    each."""
    cdef lstm_optimizer o
    cdef Memory a
    cdef char code = dtype_code(parameters.dtype)
    cdef int64_t K, P, k, n_bytes
    cdef char *p
    cdef const char *g
    cdef char *m_1
    cdef char *m_2
    cdef const int64_t *steps
    cdef const double *rates
    cdef const double *scales
    if not read_buffer(parameters, code, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE, &a) or a.ndim != 2:
        reject("parameters", parameters, code, True, "(K, P)")
    K, P, p = a.shape[0], a.shape[1], <char *>a.data
    g = <const char *>exact("gradients", gradients, code, False, 2, K, P)
    m_1, m_2 = <char *>exact("first", first, code, True, 2, K, P), <char *>exact("second", second, code, True, 2, K, P)
    steps = <const int64_t *>exact("step", step, c'l', False, 1, K)
    rates, scales = <double *>exact("lr", lr, c'd', False, 1, K), <double *>exact("scale", scale, c'd', False, 1, K)
    if K < 1 or P < 1:
        return
    if g == NULL or steps == NULL or rates == NULL or scales == NULL or (m_1 == NULL and m_2 != NULL):
        raise ValueError("gradients, step, lr and scale must be arrays, and first too if second is one")
    read_rule(rule, parameters, &o)
    o.n = P
    n_bytes = P * number_bytes(code)
    with nogil:
        for k in range(K):
            o.parameters, o.gradients = p + k * n_bytes, g + k * n_bytes
            o.first, o.second = moved(m_1, k * n_bytes), moved(m_2, k * n_bytes)
            o.step, o.lr, o.scale = steps[k], rates[k], scales[k]
            lstm_optimize(&o)


def norms(values):
    """norm() of each row of a contiguous array (K, P), float64 (K,)."""
    cdef Memory a
    cdef char code = dtype_code(values.dtype)
    cdef int64_t k, n_bytes
    cdef double[::1] to
    if not read_buffer(values, code, PyBUF_C_CONTIGUOUS, &a) or a.ndim != 2:
        reject("values", values, code, False, "(K, P)")
    result = numpy.empty(a.shape[0])
    to, n_bytes = result, a.shape[1] * number_bytes(code)
    with nogil:
        for k in range(a.shape[0]):
            to[k] = sqrt(lstm_square_sum(LSTM_F32 if code == c'f' else LSTM_F64, a.shape[1],
                                         <const char *>a.data + k * n_bytes))
    return result
