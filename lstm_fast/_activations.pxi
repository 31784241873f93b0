# The kernels' activations, included by _core.pyx: for tests and for the tour.

def sigmoid(x):
    """1 / (1 + exp(-x)) of a contiguous 1-D float32 or float64 array, as the cells compute it."""
    return activate(("sigmoid", 0, 0), x)


def tanh(x):
    """tanh(x), likewise."""
    return activate(("tanh", 0, 0), x)


def activate(spec, x, c_bool slope=False):
    """An activation (name, alpha, beta), likewise; with slope its derivative where its output is x."""
    y = numpy.empty_like(x)
    cdef c_bool is_f32 = x.dtype == numpy.float32
    cdef const void *source = state(x, is_f32, False)
    cdef void *to = state(y, is_f32, True)
    cdef int64_t n = x.size
    cdef const lstm_isa *isa_now = current_isa
    cdef lstm_activation activation = activation_of(spec)
    with nogil:
        lstm_activate(isa_now, LSTM_F32 if is_f32 else LSTM_F64, activation, slope, n, source, to)
    return y
