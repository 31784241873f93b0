"""One LSTM layer in one direction: the steps of cell.py along sequences."""

from collections import namedtuple

import numpy as np

from . import _sequence
from .activations import activation as activation_of
from .cell import Cell, Masks, Weights, step_backward, step_forward

# A tape holds the arguments, the Step of every t for the rows (sequences) that are running then, and, of shape (T,B,H),
# gates and states: 0 in the padding, h of shape (T,B,R).
LSTMTape = namedtuple("LSTMTape", "arguments cell rows resets steps i f g o c h")
MASKS = ("recurrent_mask", "zoneout_h_mask", "zoneout_c_mask")
LSTMGradients = namedtuple(
    "LSTMGradients",
    "d_x d_h_0 d_c_0 d_weight_ih d_weight_hh d_bias_ih d_bias_hh d_weight_hr "
    "d_weight_peephole d_norm_ih_weight d_norm_hh_weight d_norm_c_weight "
    "d_norm_c_bias d_learned_h_0 d_learned_c_0",
)


def lstm_forward(
    x,
    h_0,
    c_0,
    weight_ih,
    weight_hh,
    bias_ih,
    bias_hh,
    lengths=None,
    *,
    weight_hr=None,
    weight_peephole=None,
    norm_ih_weight=None,
    norm_hh_weight=None,
    norm_c_weight=None,
    norm_c_bias=None,
    coupled_gates=False,
    cell_clip=None,
    gate_clip=None,
    activation="tanh",
    recurrent_activation="sigmoid",
    cell_activation="tanh",
    recurrent_mask=None,
    zoneout_h_mask=None,
    zoneout_c_mask=None,
    resets=None,
    learned_h_0=None,
    learned_c_0=None,
):
    """One LSTM layer in one direction: the formulas of the package's docstring, at every step.

    Parameters
    ----------
    x : ndarray of shape (T,B,I)
    h_0, c_0 : ndarray of shape (B,R), (B,H), or None for the learned initial state, or zero if there is none
    weight_ih, weight_hh : ndarray of shape (4H,I), (4H,R), gates in the order i, f, g, o
    bias_ih, bias_hh : ndarray of shape (4H,), or None for zero
    lengths : ints of shape (B,) from 0 to T, in any order, or None for T
        From step lengths[b] on, sequence b is padding: nothing there is looked at, its state stays, its output is 0.
    weight_hr : ndarray of shape (R,H), the projection; without it R = H
    weight_peephole : ndarray of shape (3H,), order i, f, o
    norm_ih_weight, norm_hh_weight, norm_c_weight, norm_c_bias : ndarray of shape (4H,), (4H,), (H,), (H,)
        Layer norm of each product that has a weight. The columns of f count even if coupled_gates leaves them unused.
    coupled_gates : bool
    cell_clip, gate_clip : positive number or None
    activation, recurrent_activation, cell_activation : a name in ACTIVATIONS, or (name, alpha), or (name, alpha, beta)
    recurrent_mask : ndarray of shape (B,R)
    zoneout_h_mask, zoneout_c_mask : ndarray of shape (T,B,R), (T,B,H), of 0 and 1, where 1 keeps the old value
    resets : bool of shape (T,B)
        Before step t, sequence b starts anew from the learned initial state, or from zero.
    learned_h_0, learned_c_0 : ndarray of shape (R,), (H,)

    Returns
    -------
    output, h_n, c_n : ndarray of shape (T,B,R), (B,R), (B,H)
    tape : LSTMTape, for lstm_backward
    """
    (T, B, I), R = np.shape(x), np.shape(weight_hh)[-1]
    H = R if weight_hr is None else np.shape(weight_hr)[-1]
    shapes = dict(
        x=(T, B, I),
        h_0=(B, R),
        c_0=(B, H),
        weight_ih=(4 * H, I),
        weight_hh=(4 * H, R),
        bias_ih=(4 * H,),
        bias_hh=(4 * H,),
        weight_hr=(R, H),
        weight_peephole=(3 * H,),
        norm_ih_weight=(4 * H,),
        norm_hh_weight=(4 * H,),
        norm_c_weight=(H,),
        norm_c_bias=(H,),
        learned_h_0=(R,),
        learned_c_0=(H,),
        recurrent_mask=(B, R),
        zoneout_h_mask=(T, B, R),
        zoneout_c_mask=(T, B, H),
    )
    a = _sequence.arrays(
        shapes,
        MASKS,
        x=x,
        h_0=h_0,
        c_0=c_0,
        weight_ih=weight_ih,
        weight_hh=weight_hh,
        bias_ih=bias_ih,
        bias_hh=bias_hh,
        weight_hr=weight_hr,
        weight_peephole=weight_peephole,
        norm_ih_weight=norm_ih_weight,
        norm_hh_weight=norm_hh_weight,
        norm_c_weight=norm_c_weight,
        norm_c_bias=norm_c_bias,
        learned_h_0=learned_h_0,
        learned_c_0=learned_c_0,
        recurrent_mask=recurrent_mask,
        zoneout_h_mask=zoneout_h_mask,
        zoneout_c_mask=zoneout_c_mask,
    )
    if norm_c_bias is not None and norm_c_weight is None:
        raise ValueError("`norm_c_bias` needs `norm_c_weight`")
    cell = Cell(
        bool(coupled_gates),
        _positive("cell_clip", cell_clip),
        _positive("gate_clip", gate_clip),
        activation_of(activation),
        activation_of(recurrent_activation, "recurrent_activation"),
        activation_of(cell_activation, "cell_activation"),
    )
    x, dtype, w = a["x"], a["x"].dtype, Weights(*(a[name] for name in Weights._fields))
    running = _sequence.running_steps(lengths, T, B)
    resets, rows = _sequence.reset_steps(resets, running), _sequence.rows_of(running)
    h = _sequence.initial_state(a["h_0"], a["learned_h_0"], (B, R), dtype)
    c = _sequence.initial_state(a["c_0"], a["learned_c_0"], (B, H), dtype)
    steps, trace = [], {name: np.zeros((T, B, R if name == "h" else H), dtype) for name in "ifgoch"}
    for t, on in enumerate(rows):
        h_prev, c_prev = (
            _sequence.restart(state, resets[t], learned)
            for state, learned in ((h, a["learned_h_0"]), (c, a["learned_c_0"]))
        )
        step = step_forward(x[t, on], h_prev[on], c_prev[on], w, cell, _masks_at(t, on, *(a[name] for name in MASKS)))
        h, c = _sequence.with_rows(h_prev, on, step.h), _sequence.with_rows(c_prev, on, step.c)
        steps.append(step)
        for name in trace:
            trace[name][t, on] = getattr(step, name)
    return trace["h"].copy(), h, c, LSTMTape(a, cell, rows, resets, steps, **trace)


def lstm_backward(tape, d_output, d_h_n=None, d_c_n=None):
    """The chain rule, from the last step to the first.

    The incoming gradients d_output (T,B,R), d_h_n (B,R) and d_c_n (B,H) may each be None for zero.
    Returns LSTMGradients, each in the shape of its argument, None for an argument that was None.
    """
    a, w = tape.arguments, Weights(*(tape.arguments[name] for name in Weights._fields))
    d_output = _sequence.or_zeros(d_output, "d_output", tape.h)
    d_h = _sequence.or_zeros(d_h_n, "d_h_n", np.empty(tape.h.shape[1:], tape.h.dtype))
    d_c = _sequence.or_zeros(d_c_n, "d_c_n", np.empty(tape.c.shape[1:], tape.c.dtype))
    d_x, d_w = np.zeros_like(a["x"]), Weights(*(_zeros_like(weight) for weight in w))
    d_learned_h, d_learned_c = _zeros_like(a["learned_h_0"]), _zeros_like(a["learned_c_0"])
    for t, on in reversed(list(enumerate(tape.rows))):
        d_x[t, on], d_h_prev, d_c_prev, d_step = step_backward(
            tape.steps[t], d_h[on] + d_output[t, on], d_c[on], w, tape.cell
        )
        for d, share in zip(d_w, d_step):
            if d is not None:
                d += share
        d_h, d_c = _sequence.with_rows(d_h, on, d_h_prev), _sequence.with_rows(d_c, on, d_c_prev)
        d_h, d_learned_h = _sequence.restart_backward(d_h, tape.resets[t], d_learned_h)
        d_c, d_learned_c = _sequence.restart_backward(d_c, tape.resets[t], d_learned_c)
    d_h_0, d_learned_h = _sequence.initial_state_backward(d_h, a["h_0"], d_learned_h)
    d_c_0, d_learned_c = _sequence.initial_state_backward(d_c, a["c_0"], d_learned_c)
    return LSTMGradients(d_x, d_h_0, d_c_0, *d_w, d_learned_h, d_learned_c)


def _zeros_like(array):
    return None if array is None else np.zeros_like(array)


def _masks_at(t, on, recurrent, zoneout_h, zoneout_c):
    """The masks of one step, for the sequences that are running."""
    return Masks(
        None if recurrent is None else recurrent[on],
        None if zoneout_h is None else zoneout_h[t, on],
        None if zoneout_c is None else zoneout_c[t, on],
    )


def _positive(name, value):
    """A clip bound as a float, or None."""
    if value is not None and not value > 0:
        raise ValueError(f"`{name}` must be positive or None, got {value}")
    return None if value is None else float(value)
