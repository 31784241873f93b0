"""Functions without an object: one layer, one direction, explicit weights. The same signatures as in reference."""

from collections import namedtuple

import numpy as np

from . import _core, _network, _threads
from ._arguments import real_array, shaped

LSTMGradients = namedtuple("LSTMGradients", "d_x d_h_0 d_c_0 d_weight_ih d_weight_hh d_bias_ih d_bias_hh")
RNNGradients = namedtuple("RNNGradients", "d_x d_h_0 d_weight_ih d_weight_hh d_bias_ih d_bias_hh")


def _forward(cell, n_gates, x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, num_threads):
    """Checks everything against x (T, B, I) and weight_hh (n_gates * H, H), whose dtype is that of the computation."""
    dtype = np.float32 if getattr(weight_hh, "dtype", None) == np.float32 else np.float64
    x, weight_hh = real_array("x", x, dtype), real_array("weight_hh", weight_hh, dtype)
    G = f"{n_gates}H" if n_gates > 1 else "H"
    if x.ndim != 3:
        raise ValueError(f"x must have shape (T, B, I), got {x.shape}")
    if weight_hh.ndim != 2 or weight_hh.shape[1] < 1:
        raise ValueError(f"weight_hh must have shape ({G}, H), got {weight_hh.shape}")
    (T, B, I), H = x.shape, weight_hh.shape[1]
    if I < 1:
        raise ValueError(f"x must have shape (T, B, I) with I > 0, got {x.shape}")
    rows = n_gates * H
    shaped("weight_hh", weight_hh, (rows, H), f"({G}, H)")
    weight_ih = shaped("weight_ih", real_array("weight_ih", weight_ih, dtype), (rows, I), f"({G}, I)")
    biases = [
        _network.optional_state(name, bias, dtype, (rows,), f"({G},)")
        for name, bias in (("bias_ih", bias_ih), ("bias_hh", bias_hh))
    ]
    h_0 = _network.optional_state("h_0", h_0, dtype, (B, H), "(B, H)")
    c_0 = _network.optional_state("c_0", c_0, dtype, (B, H), "(B, H)")
    # Copies: the tape outlives this call, and the caller may change the weights meanwhile.
    arrays = [None if a is None else np.array(a, order="C") for a in (weight_ih, weight_hh, *biases)]
    weights = _core.Weights(cell, dtype, I, H, 1, 1, [_in_order(*arrays)])
    return _network.forward(weights, x, h_0, c_0, keep=True, num_threads=_threads.resolve(num_threads), lengths=lengths)


def _in_order(weight_ih, weight_hh, bias_ih, bias_hh):
    """These as the core takes the parameters of a layer: the first of them, and none of the others."""
    return (weight_ih, weight_hh, bias_ih, bias_hh, *(None,) * (len(_core.PARAMETERS) - 4))


def _backward(tape, is_lstm, d_output, d_h_n, d_c_n, num_threads):
    if not isinstance(tape, _network.Tape) or tape._form is not None or (tape._weights.cell == "lstm") != is_lstm:
        name = "lstm_forward" if is_lstm else "rnn_forward"
        raise TypeError(
            f"tape must come from {name}, got {type(tape).__name__}"
            + (" of another" if isinstance(tape, _network.Tape) else "")
        )
    weights, (T, B) = tape._weights, (tape.steps, tape.batch_size)
    ((weight_ih, weight_hh, bias_ih, bias_hh, *_),) = weights.arrays
    dtype, H = weights.dtype, weight_hh.shape[1]
    d_output = _network.optional_state("d_output", d_output, dtype, (T, B, H), "(T, B, H)")
    d_h_n = _network.optional_state("d_h_n", d_h_n, dtype, (B, H), "(B, H)")
    d_c_n = _network.optional_state("d_c_n", d_c_n, dtype, (B, H), "(B, H)")
    d_weights = [None if a is None else np.empty_like(a) for a in (weight_ih, weight_hh, bias_ih, bias_hh)]
    d_x, d_h_0, d_c_0 = _network.backward(
        tape, d_output, d_h_n, d_c_n, gradients=[_in_order(*d_weights)], num_threads=_threads.resolve(num_threads)
    )
    states = (d_h_0[0], d_c_0[0]) if weights.has_c else (d_h_0[0],)
    return d_x, *states, *d_weights


def lstm_forward(x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, lengths=None, *, num_threads=None):
    """One LSTM layer over a sequence.

    Parameters
    ----------
    x : array_like of shape (T, B, I)
    h_0, c_0 : array_like of shape (B, H), or None for zero
    weight_ih, weight_hh : array_like of shape (4H, I), (4H, H), gates in the order i, f, g, o
        The computation is float32 if weight_hh is, else float64; everything is converted to that.
    bias_ih, bias_hh : array_like of shape (4H,), or None for zero
    lengths : integers of shape (B,) from 0 to T, or None for T: steps beyond are padding, see LSTM
    num_threads : int, optional

    Returns
    -------
    output : ndarray of shape (T, B, H)
    h_n, c_n : ndarray of shape (B, H)
    tape : for lstm_backward

    Raises
    ------
    ValueError, TypeError
        For a wrong shape or a dtype that is not real; the message names the argument.

    Notes
    -----
    The formulas are those of lstm_fast.reference. To run the same weights many times, use LSTM, which packs them once.
    """
    output, h_n, c_n, tape = _forward(
        "lstm", 4, x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, num_threads
    )
    return output, h_n[0], c_n[0], tape


def lstm_backward(tape, d_output, d_h_n=None, d_c_n=None, *, num_threads=None):
    """Gradients of a loss from its gradients d_output (T, B, H), d_h_n (B, H) and d_c_n (B, H), each None for zero.

    Returns a named tuple d_x, d_h_0, d_c_0, d_weight_ih, d_weight_hh, d_bias_ih, d_bias_hh; that of a bias which was
    None is None. The tape stays as it was.
    """
    return LSTMGradients(*_backward(tape, True, d_output, d_h_n, d_c_n, num_threads))


def rnn_forward(x, h_0, weight_ih, weight_hh, bias_ih, bias_hh, nonlinearity="tanh", lengths=None, *, num_threads=None):
    """One plain RNN layer, h = nonlinearity(x W_ih^T + b_ih + h_prev W_hh^T + b_hh); shapes with H instead of 4H.

    nonlinearity: "tanh", "relu" or "identity"; lengths as in lstm_forward. Returns output (T, B, H), h_n (B, H) and a tape for rnn_backward.
    """
    if nonlinearity not in ("tanh", "relu", "identity"):
        raise ValueError(f"nonlinearity must be tanh, relu or identity, got {nonlinearity!r}")
    output, h_n, _, tape = _forward(
        nonlinearity, 1, x, h_0, None, weight_ih, weight_hh, bias_ih, bias_hh, lengths, num_threads
    )
    return output, h_n[0], tape


def rnn_backward(tape, d_output, d_h_n=None, *, num_threads=None):
    """As lstm_backward, without the cell state."""
    return RNNGradients(*_backward(tape, False, d_output, d_h_n, None, num_threads))
