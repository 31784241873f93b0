"""The definition: LSTM and plain RNN, forward and backward, in NumPy, one formula per line, never optimised.

    pre = x W_ih^T + b_ih + h_prev W_hh^T + b_hh
    pre_i, pre_f, pre_g, pre_o = pre                            (H columns each)
    i, f, o = sigmoid(pre_i), sigmoid(pre_f), sigmoid(pre_o)    (input, forget, output gate)
    g = tanh(pre_g)                                             (cell candidate)
    c = f * c_prev + i * g                                      (long-term memory)
    h = o * tanh(c)                                             (short-term memory)

Sizes: T steps, B batch, I input, H hidden, L layers, D directions; d_<name> is the gradient of the loss with respect to
<name>. All of it works in float32, float64 and complex128, and no step conjugates or compares imaginary parts: those of
the results, after a tiny imaginary step in an argument, are derivatives. Tapes refer to arrays and do not copy them.
"""
from collections import namedtuple

import numpy as np

# A tape holds the arguments of a forward call and, of shape (T,B,H), the gates and states of every step.
LSTMTape = namedtuple("LSTMTape", "x h_0 c_0 weight_ih weight_hh bias_ih bias_hh i f g o c h")
LSTMGradients = namedtuple("LSTMGradients", "d_x d_h_0 d_c_0 d_weight_ih d_weight_hh d_bias_ih d_bias_hh")
RNNTape = namedtuple("RNNTape", "x h_0 weight_ih weight_hh bias_ih bias_hh nonlinearity h")
RNNGradients = namedtuple("RNNGradients", "d_x d_h_0 d_weight_ih d_weight_hh d_bias_ih d_bias_hh")
StackTape = namedtuple("StackTape", "tapes directions masks output h_n c_n")  # one tape per layer and direction
DIRECTIONS = (("", 1), ("_reverse", -1))  # suffix of the parameters' names, step through time

# Each nonlinearity of the plain RNN, and its derivative in terms of h = nonlinearity(pre).
NONLINEARITIES = {
    "tanh": (np.tanh, lambda h: 1 - h * h),
    "relu": (lambda pre: np.where(pre.real <= 0, 0, pre), lambda h: h.real > 0),
    "identity": (lambda pre: pre, lambda h: 1),
}


def sigmoid(pre):
    """1 / (1 + exp(-pre)); where exp overflows to infinity the result is its limit, 0."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-pre))


def lstm_forward(x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh):
    """One LSTM layer in one direction: the six lines at the top of this file, at every step.

    Parameters
    ----------
    x, h_0, c_0 : ndarray of shape (T,B,I), (B,H), (B,H)
    weight_ih, weight_hh : ndarray of shape (4H,I), (4H,H), gates in the order i, f, g, o
    bias_ih, bias_hh : ndarray of shape (4H,), or None for zero

    Returns
    -------
    output, h_n, c_n : ndarray of shape (T,B,H), (B,H), (B,H)
    tape : LSTMTape, for lstm_backward
    """
    x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh = _arrays(
        4, x=x, h_0=h_0, c_0=c_0, weight_ih=weight_ih, weight_hh=weight_hh, bias_ih=bias_ih, bias_hh=bias_hh)
    b_ih, b_hh = (0 if bias is None else bias for bias in (bias_ih, bias_hh))
    i, f, g, o, c, h = np.empty((6, len(x), *h_0.shape), h_0.dtype)
    h_prev, c_prev = h_0, c_0
    for t in range(len(x)):
        pre = x[t] @ weight_ih.T + b_ih + h_prev @ weight_hh.T + b_hh
        pre_i, pre_f, pre_g, pre_o = np.split(pre, 4, axis=1)
        i[t], f[t], o[t] = sigmoid(pre_i), sigmoid(pre_f), sigmoid(pre_o)
        g[t] = np.tanh(pre_g)
        c[t] = f[t] * c_prev + i[t] * g[t]
        h[t] = o[t] * np.tanh(c[t])
        h_prev, c_prev = h[t], c[t]
    tape = LSTMTape(x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, i, f, g, o, c, h)
    return h.copy(), h_prev.copy(), c_prev.copy(), tape


def lstm_backward(tape, d_output, d_h_n=None, d_c_n=None):
    """The chain rule through the six lines, from the last step to the first.

    The incoming gradients d_output (T,B,H), d_h_n (B,H) and d_c_n (B,H) may each be None for zero.
    Returns LSTMGradients, each in the shape of its argument, None for a bias that was None.
    """
    x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, i, f, g, o, c, h = tape
    d_output = _or_zeros(d_output, "d_output", h)
    d_h, d_c = _or_zeros(d_h_n, "d_h_n", h_0), _or_zeros(d_c_n, "d_c_n", c_0)
    h_prev = np.concatenate([h_0[None], h])[:-1]
    c_prev = np.concatenate([c_0[None], c])[:-1]
    d_pre = np.empty((*h.shape[:2], len(weight_hh)), h.dtype)
    for t in reversed(range(len(x))):
        tanh_c = np.tanh(c[t])
        d_h = d_h + d_output[t]
        d_c = d_c + d_h * o[t] * (1 - tanh_c * tanh_c)
        d_pre_i = d_c * g[t] * i[t] * (1 - i[t])
        d_pre_f = d_c * c_prev[t] * f[t] * (1 - f[t])
        d_pre_g = d_c * i[t] * (1 - g[t] * g[t])
        d_pre_o = d_h * tanh_c * o[t] * (1 - o[t])
        d_pre[t] = np.concatenate([d_pre_i, d_pre_f, d_pre_g, d_pre_o], axis=1)
        d_h = d_pre[t] @ weight_hh
        d_c = d_c * f[t]
    return LSTMGradients(d_pre @ weight_ih, d_h, d_c, *_parameter_gradients(d_pre, x, h_prev, bias_ih, bias_hh))


def rnn_forward(x, h_0, weight_ih, weight_hh, bias_ih, bias_hh, nonlinearity="tanh"):
    """One plain RNN layer in one direction: h = nonlinearity(x W_ih^T + b_ih + h_prev W_hh^T + b_hh).

    Shapes as in lstm_forward, with H in place of 4H; nonlinearity is a key of NONLINEARITIES.
    Returns output (T,B,H), h_n (B,H) and an RNNTape.
    """
    if nonlinearity not in NONLINEARITIES:
        raise ValueError(f"`nonlinearity` must be one of {', '.join(NONLINEARITIES)}, got {nonlinearity!r}")
    x, h_0, weight_ih, weight_hh, bias_ih, bias_hh = _arrays(
        1, x=x, h_0=h_0, weight_ih=weight_ih, weight_hh=weight_hh, bias_ih=bias_ih, bias_hh=bias_hh)
    b_ih, b_hh = (0 if bias is None else bias for bias in (bias_ih, bias_hh))
    function, _ = NONLINEARITIES[nonlinearity]
    h = np.empty((len(x), *h_0.shape), h_0.dtype)
    h_prev = h_0
    for t in range(len(x)):
        pre = x[t] @ weight_ih.T + b_ih + h_prev @ weight_hh.T + b_hh
        h[t] = h_prev = function(pre)
    tape = RNNTape(x, h_0, weight_ih, weight_hh, bias_ih, bias_hh, nonlinearity, h)
    return h.copy(), h_prev.copy(), tape


def rnn_backward(tape, d_output, d_h_n=None):
    """RNNGradients from an RNNTape, d_output (T,B,H) and d_h_n (B,H); either may be None for zero."""
    x, h_0, weight_ih, weight_hh, bias_ih, bias_hh, nonlinearity, h = tape
    d_output, d_h = _or_zeros(d_output, "d_output", h), _or_zeros(d_h_n, "d_h_n", h_0)
    _, derivative = NONLINEARITIES[nonlinearity]
    h_prev = np.concatenate([h_0[None], h])[:-1]
    d_pre = np.empty_like(h)
    for t in reversed(range(len(x))):
        d_pre[t] = (d_h + d_output[t]) * derivative(h[t])
        d_h = d_pre[t] @ weight_hh
    return RNNGradients(d_pre @ weight_ih, d_h, *_parameter_gradients(d_pre, x, h_prev, bias_ih, bias_hh))


def stack_forward(x, h_0, c_0, parameters, *, num_layers, bidirectional, masks=None, nonlinearity="tanh"):
    """Layers and directions of lstm_forward, or, if c_0 is None, of rnn_forward with the given nonlinearity.

    x is (T,B,I); h_0 and c_0 are (L*D,B,H), layer by layer, forward before reverse; parameters is a dict with the keys
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 (biases may be missing), ..._l0_reverse, ..._l1, ...;
    masks are L-1 arrays (T,B,D*H) that multiply the output of each layer but the last, or None.
    Returns output (T,B,D*H), h_n (L*D,B,H), c_n (L*D,B,H) or None, and a StackTape.
    """
    masks = [1] * num_layers if masks is None else [1, *masks]  # of the input of each layer
    directions = DIRECTIONS if bidirectional else DIRECTIONS[:1]
    output, h_n, c_n, tapes = np.asarray(x), [], [], []
    for layer in range(num_layers):
        layer_input, outputs = output * masks[layer], []
        for suffix, step in directions:
            k, key = len(tapes), f"_l{layer}{suffix}"
            weights = parameters["weight_ih" + key], parameters["weight_hh" + key]
            biases = parameters.get("bias_ih" + key), parameters.get("bias_hh" + key)
            if c_0 is None:
                output, h, tape = rnn_forward(layer_input[::step], h_0[k], *weights, *biases, nonlinearity)
            else:
                output, h, c, tape = lstm_forward(layer_input[::step], h_0[k], c_0[k], *weights, *biases)
                c_n.append(c)
            h_n.append(h)
            tapes.append(tape)
            outputs.append(output[::step])
        output = np.concatenate(outputs, axis=2)
    h_n, c_n = np.stack(h_n), None if c_0 is None else np.stack(c_n)
    return output, h_n, c_n, StackTape(tapes, directions, masks, output, h_n, c_n)


def stack_backward(tape, d_output, d_h_n=None, d_c_n=None):
    """Gradients of stack_forward: d_x, d_h_0, d_c_0 (None for a plain RNN) and a dict under the parameters' names."""
    tapes, directions, masks, output, h_n, c_n = tape
    d_layer, d_h = _or_zeros(d_output, "d_output", output), _or_zeros(d_h_n, "d_h_n", h_n)
    d_c = None if c_n is None else _or_zeros(d_c_n, "d_c_n", c_n)
    d_parameters = {}
    for layer in reversed(range(len(masks))):
        d_outputs, d_layer = np.split(d_layer, len(directions), axis=2), 0
        for direction, (suffix, step) in enumerate(directions):
            k, d_out = layer * len(directions) + direction, d_outputs[direction][::step]
            if d_c is None:
                d_x, d_h[k], *d_weights = rnn_backward(tapes[k], d_out, d_h[k])
            else:
                d_x, d_h[k], d_c[k], *d_weights = lstm_backward(tapes[k], d_out, d_h[k], d_c[k])
            d_layer = d_layer + d_x[::step] * masks[layer]
            names = (f"{name}_l{layer}{suffix}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            d_parameters.update((name, d) for name, d in zip(names, d_weights) if d is not None)
    return d_layer, d_h, d_c, d_parameters


def philox4x32(counter, key):
    """Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): words (...,4) of 32 bits."""
    low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(word, np.uint64) for word in counter))
    for r in range(10):
        k0, k1 = np.uint64(key[0] + r * 0x9E3779B9) & low, np.uint64(key[1] + r * 0xBB67AE85) & low
        product_0, product_1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (product_1 >> high) ^ c1 ^ k0, product_1 & low, (product_0 >> high) ^ c3 ^ k1, product_0 & low
    return np.stack([c0, c1, c2, c3], axis=-1)


def dropout_mask(seed, layer, shape, p, dtype):
    """Mask (T,B,F) for the output of a layer: 0 with probability p, else 1 / (1 - p).

    Element (t,b,f) depends on its place and the seed alone: it is kept if word f % 4 of Philox4x32-10, with the counter
    (f // 4, b, t, layer) and the two halves of the seed as key, low half first, is at least floor(p * 2**32).
    """
    (T, B, F), p, seed = shape, float(p), int(seed)
    counter = (np.arange((F + 3) // 4), np.arange(B)[:, None], np.arange(T)[:, None, None], layer)
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF))
    kept = words.reshape(T, B, (F + 3) // 4 * 4)[:, :, :F] >= np.uint64(p * 2**32)
    return np.where(kept, 1 / (1 - p) if p < 1 else 0, 0).astype(dtype)


def _arrays(gates, **arrays):
    """The arguments as arrays of one floating dtype, None as it is; ValueError if a shape does not fit the others."""
    arrays = {name: None if array is None else np.asarray(array) for name, array in arrays.items()}
    (T, B, I), H = arrays["x"].shape, arrays["weight_hh"].shape[-1]
    shapes = {"x": (T, B, I), "h_0": (B, H), "c_0": (B, H), "weight_ih": (gates * H, I), "weight_hh": (gates * H, H),
              "bias_ih": (gates * H,), "bias_hh": (gates * H,)}
    for name, array in arrays.items():
        if array is not None and array.shape != shapes[name]:
            raise ValueError(f"`{name}` must have shape {shapes[name]}, got {array.shape}")
    dtype = np.result_type(np.float32, *(array.dtype for array in arrays.values() if array is not None))
    return [None if array is None else array.astype(dtype, copy=False) for array in arrays.values()]


def _or_zeros(gradient, name, like):
    """A copy of an incoming gradient in the shape and dtype of what it is the gradient of; None means zero."""
    gradient = np.zeros_like(like) if gradient is None else np.array(gradient, like.dtype)
    if gradient.shape != like.shape:
        raise ValueError(f"`{name}` must have shape {like.shape}, got {gradient.shape}")
    return gradient


def _parameter_gradients(d_pre, x, h_prev, bias_ih, bias_hh):
    """Sums over time and batch of pre = x W_ih^T + b_ih + h_prev W_hh^T + b_hh, backward."""
    d_bias = d_pre.sum(axis=(0, 1))
    return (np.tensordot(d_pre, x, axes=((0, 1), (0, 1))), np.tensordot(d_pre, h_prev, axes=((0, 1), (0, 1))),
            None if bias_ih is None else d_bias, None if bias_hh is None else d_bias.copy())
