"""One plain RNN layer in one direction, with what of the LSTM's variants makes sense without gates."""

from collections import namedtuple

import numpy as np

from . import _sequence
from .activations import ACTIVATIONS
from .cell import zoneout, zoneout_backward

# h_seen is h_prev as W_hh sees it, h_new is h before zoneout; both and h are (T,B,H), 0 in the padding.
RNNTape = namedtuple("RNNTape", "arguments nonlinearity rows resets h_seen h_new h")
RNNGradients = namedtuple("RNNGradients", "d_x d_h_0 d_weight_ih d_weight_hh d_bias_ih d_bias_hh d_learned_h_0")

# Each nonlinearity, and its derivative in terms of h = nonlinearity(pre).
NONLINEARITIES = {
    "tanh": ACTIVATIONS["tanh"][:2],
    "relu": ACTIVATIONS["relu"][:2],
    "identity": (lambda pre: pre, lambda h: 1),
}


def rnn_forward(
    x,
    h_0,
    weight_ih,
    weight_hh,
    bias_ih,
    bias_hh,
    nonlinearity="tanh",
    lengths=None,
    *,
    recurrent_mask=None,
    zoneout_h_mask=None,
    resets=None,
    learned_h_0=None,
):
    """One plain RNN layer in one direction: h = nonlinearity(x W_ih^T + b_ih + h_prev W_hh^T + b_hh).

    Shapes and options as in lstm_forward, with H in place of 4H and of R; nonlinearity is a key of NONLINEARITIES.
    Returns output (T,B,H), h_n (B,H) and an RNNTape.
    """
    if nonlinearity not in NONLINEARITIES:
        raise ValueError(f"`nonlinearity` must be one of {', '.join(NONLINEARITIES)}, got {nonlinearity!r}")
    (T, B, I), H = np.shape(x), np.shape(weight_hh)[-1]
    shapes = dict(
        x=(T, B, I),
        h_0=(B, H),
        weight_ih=(H, I),
        weight_hh=(H, H),
        bias_ih=(H,),
        bias_hh=(H,),
        learned_h_0=(H,),
        recurrent_mask=(B, H),
        zoneout_h_mask=(T, B, H),
    )
    a = _sequence.arrays(
        shapes,
        ("recurrent_mask", "zoneout_h_mask"),
        x=x,
        h_0=h_0,
        weight_ih=weight_ih,
        weight_hh=weight_hh,
        bias_ih=bias_ih,
        bias_hh=bias_hh,
        learned_h_0=learned_h_0,
        recurrent_mask=recurrent_mask,
        zoneout_h_mask=zoneout_h_mask,
    )
    b_ih, b_hh = (0 if a[name] is None else a[name] for name in ("bias_ih", "bias_hh"))
    function, _ = NONLINEARITIES[nonlinearity]
    running = _sequence.running_steps(lengths, T, B)
    resets, rows = _sequence.reset_steps(resets, running), _sequence.rows_of(running)
    h = _sequence.initial_state(a["h_0"], a["learned_h_0"], (B, H), a["x"].dtype)
    h_seen, h_new, output = np.zeros((3, T, B, H), a["x"].dtype)
    for t, on in enumerate(rows):
        h_prev = _sequence.restart(h, resets[t], a["learned_h_0"])
        h_seen[t, on] = h_prev[on] * _at(on, a["recurrent_mask"], 1)
        pre = a["x"][t, on] @ a["weight_ih"].T + b_ih + h_seen[t, on] @ a["weight_hh"].T + b_hh
        h_new[t, on] = function(pre)
        output[t, on] = zoneout(h_prev[on], h_new[t, on], _at((t, on), a["zoneout_h_mask"]))
        h = _sequence.with_rows(h_prev, on, output[t, on])
    return output.copy(), h, RNNTape(a, nonlinearity, rows, resets, h_seen, h_new, output)


def rnn_backward(tape, d_output, d_h_n=None):
    """RNNGradients from an RNNTape, d_output (T,B,H) and d_h_n (B,H); either may be None for zero."""
    a, h_new = tape.arguments, tape.h_new
    (T, B, H), (_, derivative) = h_new.shape, NONLINEARITIES[tape.nonlinearity]
    d_output = _sequence.or_zeros(d_output, "d_output", h_new)
    d_h = _sequence.or_zeros(d_h_n, "d_h_n", np.empty((B, H), h_new.dtype))
    d_x, d_weight_ih, d_weight_hh = (np.zeros_like(a[name]) for name in ("x", "weight_ih", "weight_hh"))
    d_learned = None if a["learned_h_0"] is None else np.zeros_like(a["learned_h_0"])
    d_bias = np.zeros(H, h_new.dtype)
    for t, on in reversed(list(enumerate(tape.rows))):
        d_old, d_new = zoneout_backward(d_h[on] + d_output[t, on], _at((t, on), a["zoneout_h_mask"]))
        d_pre = d_new * derivative(h_new[t, on])
        d_x[t, on] = d_pre @ a["weight_ih"]
        d_weight_ih += d_pre.T @ a["x"][t, on]
        d_weight_hh += d_pre.T @ tape.h_seen[t, on]
        d_bias += d_pre.sum(axis=0)
        d_h = _sequence.with_rows(d_h, on, d_old + d_pre @ a["weight_hh"] * _at(on, a["recurrent_mask"], 1))
        d_h, d_learned = _sequence.restart_backward(d_h, tape.resets[t], d_learned)
    d_h_0, d_learned = _sequence.initial_state_backward(d_h, a["h_0"], d_learned)
    d_biases = (None if a[name] is None else d_bias.copy() for name in ("bias_ih", "bias_hh"))
    return RNNGradients(d_x, d_h_0, d_weight_ih, d_weight_hh, *d_biases, d_learned)


def _at(index, array, absent=None):
    return absent if array is None else array[index]
