# Training outside the recurrent network: a linear layer, losses, optimizer steps, the norm of gradients.

def linear(weight, bias, x, int num_threads):
    """y = x W^T + b: x (n, I), weight (O, I), bias (O,) or None, all contiguous and of the same dtype. The bits do not
    depend on the number of threads."""
    y = numpy.empty((x.shape[0], weight.shape[0]), weight.dtype)
    run_linear(weight, bias, x, y, None, None, None, None, num_threads)
    return y


def linear_backward(weight, x, d_y, int num_threads):
    """d_x, d_weight, d_bias from d_y (n, O)."""
    d_x, d_weight, d_bias = numpy.empty_like(x), numpy.empty_like(weight), numpy.empty(weight.shape[0], weight.dtype)
    run_linear(weight, None, x, None, d_y, d_x, d_weight, d_bias, num_threads)
    return d_x, d_weight, d_bias


cdef int run_linear(weight, bias, x, y, d_y, d_x, d_weight, d_bias, int num_threads) except -1:
    cdef lstm_linear_args a
    cdef Memory of_x, of_weight
    cdef int64_t N, I, O, n = 0
    cdef lstm_status status
    cdef char code = dtype_code(weight.dtype)
    cdef Block workspace
    if not (read_buffer(x, code, PyBUF_C_CONTIGUOUS, &of_x)
            and read_buffer(weight, code, PyBUF_C_CONTIGUOUS, &of_weight)
            and of_x.ndim == of_weight.ndim == 2 and of_x.shape[1] == of_weight.shape[1] > 0
            and of_weight.shape[0] > 0):
        raise ValueError(f"x and weight of a linear layer must be contiguous (n, I) and (O, I) of one dtype, "
                         f"got {x.shape} {x.dtype} and {weight.shape} {weight.dtype}")
    if (y is None) == (d_y is None):
        raise ValueError("d_y must be an array")
    N, I, O = of_x.shape[0], of_x.shape[1], of_weight.shape[0]
    memset(&a, 0, sizeof(a))
    a.call.isa, a.call.n_threads, a.call.split = current_isa, num_threads, current_split
    a.call.model.dtype = LSTM_F32 if code == c'f' else LSTM_F64
    if <double>N * I * O > INTERRUPTIBLE_WORK and is_main_thread():
        a.call.interrupted = check_signals
    a.n, a.n_inputs, a.n_outputs = N, I, O
    a.x, a.weight, a.bias = of_x.data, of_weight.data, exact("bias", bias, code, False, 1, O)
    a.y, a.d_y = exact("y", y, code, True, 2, N, O), exact("d_y", d_y, code, False, 2, N, O)
    a.d_x, a.d_weight = exact("d_x", d_x, code, True, 2, N, I), exact("d_weight", d_weight, code, True, 2, O, I)
    a.d_bias = exact("d_bias", d_bias, code, True, 1, O)
    if N == 0:
        if d_weight is not None:
            d_weight[...] = 0
            d_bias[...] = 0
        return 0
    raise_status(lstm_linear_bytes(&a, &n))
    workspace = borrow_workspace(n)
    a.workspace = workspace.address
    try:
        with nogil:
            status = lstm_linear(&a)
        raise_status(status)
    finally:
        return_workspace(workspace)
    return 0


cdef const double *matrix_of(str name, object values, int64_t *n, int64_t *m) except? NULL:
    """The memory and the shape of a contiguous float64 array (n, m)."""
    cdef Memory a
    if not read_buffer(values, c'd', PyBUF_C_CONTIGUOUS, &a) or a.ndim != 2:
        reject(name, values, c'd', False, "(n, m)")
    n[0], m[0] = a.shape[0], a.shape[1]
    return <const double *>a.data if n[0] and m[0] else NULL


def row_sums(values):
    """Sums of the rows of a contiguous float64 array (n, m), in the order that reference.row_sums defines."""
    cdef int64_t n, m
    cdef const double *x = matrix_of("values", values, &n, &m)
    sums = numpy.zeros(n)
    cdef double *to = <double *>exact("sums", sums, c'd', True, 1, n)
    if x is not NULL:
        with nogil:
            lstm_row_sums(n, m, x, to)
    return sums


def cross_entropy(p, y=None):
    """Loss (n,) and gradient (n, C) of predictions p (n, C), float64, and classes y (n,), int64. y None: the logarithms
    of the sums of exp(p - max p), and softmax(p)."""
    cdef int64_t n, m, k
    cdef const double *of_p = matrix_of("p", p, &n, &m)
    cdef const int64_t *of_y = <const int64_t *>exact("y", y, c'l', False, 1, n)
    loss, gradient = numpy.empty(n), numpy.empty_like(p)
    cdef double *to = <double *>exact("loss", loss, c'd', True, 1, n)
    cdef double *of_gradient = <double *>exact("gradient", gradient, c'd', True, 2, n, m)
    if of_p is NULL:
        if n:
            raise ValueError("p must have at least one column")
        return loss, gradient
    if of_y is not NULL:
        for k in range(n):
            if not 0 <= of_y[k] < m:
                raise ValueError(f"y must be classes 0 to {m - 1}, got {of_y[k]}")
    with nogil:
        lstm_cross_entropy(n, m, of_p, of_y, to, of_gradient)
    return loss, gradient


def binary_cross_entropy(p, y):
    """Loss and derivative, (n, m), of each of the predictions p (n, m) and targets y, float64."""
    cdef int64_t n, m
    cdef const double *of_p = matrix_of("p", p, &n, &m)
    cdef const double *of_y = <const double *>exact("y", y, c'd', False, 2, n, m)
    loss, gradient = numpy.empty_like(p), numpy.empty_like(p)
    cdef double *to = <double *>exact("loss", loss, c'd', True, 2, n, m)
    cdef double *of_gradient = <double *>exact("gradient", gradient, c'd', True, 2, n, m)
    if of_p is not NULL:
        if of_y is NULL:
            raise ValueError("y must be an array")
        with nogil:
            lstm_binary_cross_entropy(n * m, of_p, of_y, to, of_gradient)
    return loss, gradient


cdef int read_rule(rule, parameters, lstm_optimizer *o) except -1:
    """Begins with what is the same in every step: the dtype, and an UpdateRule (train/optimizers.py)."""
    memset(o, 0, sizeof(lstm_optimizer))
    o.dtype = LSTM_F32 if dtype_code(parameters.dtype) == c'f' else LSTM_F64
    o.beta_1, o.beta_2, o.epsilon, o.weight_decay = rule.beta_1, rule.beta_2, rule.epsilon, rule.weight_decay
    o.nesterov, o.decoupled = rule.nesterov, rule.decoupled
    return 0


def optimize(rule, parameters, gradients, first, second, int64_t step, double lr, double scale):
    """An optimizer step in place on flat arrays of the same dtype. second None: SGD, with first its momentum buffer or
    None; else Adam."""
    cdef lstm_optimizer o
    cdef char code = dtype_code(parameters.dtype)
    if gradients is None or (first is None and second is not None):
        raise ValueError("gradients must be an array, and first too if second is one")
    read_rule(rule, parameters, &o)
    o.parameters = numbers("parameters", parameters, code, True, &o.n)
    o.gradients = exact("gradients", gradients, code, False, 1, o.n)
    o.first, o.second = exact("first", first, code, True, 1, o.n), exact("second", second, code, True, 1, o.n)
    o.step, o.lr, o.scale = step, lr, scale
    with nogil:
        lstm_optimize(&o)


def norm(values):
    """Euclidean length of a contiguous array, summed in float64."""
    cdef char code = dtype_code(values.dtype)
    cdef int64_t n
    cdef const void *at = numbers("values", values, code, False, &n)
    cdef double squares
    with nogil:
        squares = lstm_square_sum(LSTM_F32 if code == c'f' else LSTM_F64, n, at)
    return sqrt(squares)
