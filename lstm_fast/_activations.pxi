# The kernels' activations, included by _core.pyx: for tests and for the tour.

def sigmoid(x):
    """1 / (1 + exp(-x)) of a contiguous 1-D float32 or float64 array, as the cells compute it."""
    return activate(("sigmoid", 0, 0), x)


def tanh(x):
    """tanh(x), likewise."""
    return activate(("tanh", 0, 0), x)


def activate(spec, x, c_bool slope=False):
    """An activation (name, alpha, beta), likewise; with slope its derivative where its output is x."""
    cdef char code = dtype_code(x.dtype)
    cdef int64_t n
    cdef const void *source = numbers(x, code, False, &n)
    y = numpy.empty(x.shape, x.dtype)
    cdef void *to = numbers(y, code, True, &n)
    cdef const lstm_isa *isa_now = current_isa
    cdef lstm_activation activation = activation_of(spec)
    with nogil:
        lstm_activate(isa_now, LSTM_F32 if code == b'f' else LSTM_F64, activation, slope, n, source, to)
    return y
