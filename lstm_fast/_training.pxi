# What training needs beside the network, included by _core.pyx: a linear layer, an optimiser's step, the norm of gradients.

def linear(weight, bias, x, int num_threads):
    """y = x W^T + b: x (n, I), weight (O, I), bias (O,) or None, all contiguous and of one dtype. The same bits on any threads."""
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
    cdef int64_t n = 0
    cdef lstm_status status
    cdef c_bool is_f32 = weight.dtype == numpy.float32
    if x.shape[1] != weight.shape[1] or (d_y is not None and d_y.shape != (x.shape[0], weight.shape[0])):
        raise ValueError("x, weight and d_y of a linear layer must fit each other")
    a.call.isa, a.call.n_threads, a.call.interrupted = current_isa, num_threads, NULL
    a.call.interrupted_context = NULL
    a.call.model.dtype = LSTM_F32 if is_f32 else LSTM_F64
    if <double>x.size * weight.shape[0] > 1e6 and is_main_thread():
        a.call.interrupted = check_signals
    a.n, a.n_inputs, a.n_outputs = x.shape[0], x.shape[1], weight.shape[0]
    a.x, a.weight, a.bias = state(x, is_f32, False), state(weight, is_f32, False), state(bias, is_f32, False)
    a.y, a.d_y, a.d_x = state(y, is_f32, True), state(d_y, is_f32, False), state(d_x, is_f32, True)
    a.d_weight, a.d_bias = state(d_weight, is_f32, True), state(d_bias, is_f32, True)
    if a.n == 0:
        if d_weight is not None:
            d_weight[...] = 0
            d_bias[...] = 0
        return 0
    raise_status(lstm_linear_bytes(&a, &n))
    cdef Block workspace = borrow_workspace(n)
    a.workspace = workspace.address
    with nogil:
        status = lstm_linear(&a)
    return_workspace(workspace)
    return raise_status(status)


def optimize(parameters, gradients, first, second, int64_t step, double lr, double beta_1, double beta_2, double epsilon,
             double weight_decay, double scale, c_bool nesterov, c_bool decoupled):
    """One step in place over flat arrays of one dtype. second None: SGD, first its momentum or None."""
    cdef lstm_optimizer o
    cdef c_bool is_f32 = parameters.dtype == numpy.float32
    for array in (gradients, first, second):
        if array is not None and array.shape != parameters.shape:
            raise ValueError("parameters, gradients and moments must have one shape")
    o.dtype, o.n, o.step = LSTM_F32 if is_f32 else LSTM_F64, parameters.size, step
    o.parameters, o.gradients = state(parameters, is_f32, True), state(gradients, is_f32, False)
    o.first, o.second = state(first, is_f32, True), state(second, is_f32, True)
    o.lr, o.beta_1, o.beta_2, o.epsilon, o.weight_decay, o.scale = lr, beta_1, beta_2, epsilon, weight_decay, scale
    o.nesterov, o.decoupled = nesterov, decoupled
    with nogil:
        lstm_optimize(&o)


def norm(values):
    """Euclidean length of a contiguous array, summed in float64."""
    cdef c_bool is_f32 = values.dtype == numpy.float32
    cdef const void *at = state(values, is_f32, False)
    cdef int64_t n = values.size
    cdef double squares
    with nogil:
        squares = lstm_square_sum(LSTM_F32 if is_f32 else LSTM_F64, n, at)
    return sqrt(squares)
