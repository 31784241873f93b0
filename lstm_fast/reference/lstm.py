"""One LSTM layer in one direction: the steps of cell.py along sequences."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _sequence
from ._types import Array, Rows
from .activations import ActivationSpec
from .activations import activation as activation_of
from .cell import Cell, Masks, Parameters, Step, step_backward, step_forward
from .tapes import LSTMGradients, LSTMTape

MASKS = ("recurrent_mask", "zoneout_h_mask", "zoneout_c_mask")


def lstm_forward(
    x: ArrayLike,
    h_0: ArrayLike | None,
    c_0: ArrayLike | None,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None,
    bias_hh: ArrayLike | None,
    lengths: ArrayLike | None = None,
    *,
    weight_hr: ArrayLike | None = None,
    weight_peephole: ArrayLike | None = None,
    norm_ih_weight: ArrayLike | None = None,
    norm_hh_weight: ArrayLike | None = None,
    norm_c_weight: ArrayLike | None = None,
    norm_c_bias: ArrayLike | None = None,
    coupled_gates: bool = False,
    cell_clip: float | None = None,
    gate_clip: float | None = None,
    activation: ActivationSpec = "tanh",
    recurrent_activation: ActivationSpec = "sigmoid",
    cell_activation: ActivationSpec = "tanh",
    recurrent_mask: ArrayLike | None = None,
    zoneout_h_mask: ArrayLike | None = None,
    zoneout_c_mask: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    learned_h_0: ArrayLike | None = None,
    learned_c_0: ArrayLike | None = None,
) -> tuple[Array, Array, Array, LSTMTape]:
    """Run one LSTM layer in one direction.

    Parameters
    ----------
    x : array_like of shape (T,B,I), or of int of shape (T,B)
        Input. Integers (T,B) are symbols from 0 to I - 1: columns of weight_ih in place of x W_ih^T, as for one-hot
        vectors.
    h_0, c_0 : array_like of shape (B,R), (B,H), or None
        Initial states. None means the learned initial state, or zero if there is none.
    weight_ih, weight_hh : array_like of shape (4H,I), (4H,R)
        Gates in the order of GATES: i, f, g, o.
    bias_ih, bias_hh : array_like of shape (4H,), or None
        None means zero.
    lengths : array_like of int, shape (B,), optional
        Number of valid steps of each sequence, from 0 to T, in any order; None means T. Padding (the steps from
        lengths[b] on) is not read: there the state of the sequence stays as it is and its output is 0.
    weight_hr : array_like of shape (R,H), optional
        Projection of the hidden state. Without it R = H.
    weight_peephole : array_like of shape (3H,), optional
        Peephole connections of i, f and o, in this order.
    norm_ih_weight, norm_hh_weight, norm_c_weight : array_like of shape (4H,), (4H,), (H,), optional
        Layer normalization of x W_ih^T, of h_prev W_hh^T and of c, each where its weight is given. The columns of f
        count in the mean and variance even if coupled_gates leaves them unused.
    norm_c_bias : array_like of shape (H,), optional
        Requires norm_c_weight.
    coupled_gates : bool, default False
        f = 1 - i.
    cell_clip, gate_clip : float, optional
        Positive bounds of c and of the pre-activations of the gates.
    activation, recurrent_activation, cell_activation : str, (str, alpha) or (str, alpha, beta)
        A name in ACTIVATIONS, optionally with parameters: the activation of g ("tanh" by default), of i, f and o
        ("sigmoid") and of c ("tanh").
    recurrent_mask : array_like of shape (B,R), optional
        Recurrent dropout: multiplies h_prev in the recurrent product of every step.
    zoneout_h_mask, zoneout_c_mask : array_like of shape (T,B,R), (T,B,H), optional
        Only 0 and 1. Where the mask is 1, the state keeps its old value.
    resets : array_like of bool, shape (T,B), optional
        Where true, sequence b restarts before step t from the learned initial state, or from zero.
    learned_h_0, learned_c_0 : array_like of shape (R,), (H,), optional
        Learned initial state.

    Returns
    -------
    output : ndarray of shape (T,B,R)
        h of every step.
    h_n, c_n : ndarray of shape (B,R), (B,H)
        Final states.
    tape : LSTMTape
        Argument of lstm_backward.

    Raises
    ------
    ValueError
        If a shape, length, mask, bound or activation is invalid; the message names the argument.

    Notes
    -----
    The formulas are those in the documentation of lstm_fast.reference. Weights have PyTorch's names, shapes and gate
    order.

    Examples
    --------
    One step of one unit, to be followed by hand: x = 1, h_0 = 1, c_0 = 2.

    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> output, h_n, c_n, tape = reference.lstm_forward(
    ...     np.ones((1, 1, 1)),
    ...     h_0=[[1.0]],
    ...     c_0=[[2.0]],
    ...     weight_ih=[[1.65], [1.63], [0.94], [-0.19]],
    ...     weight_hh=[[2.0], [2.7], [1.41], [4.38]],
    ...     bias_ih=[0.62, 1.62, -0.32, 0.59],
    ...     bias_hh=None,
    ... )
    >>> [f"{name} = {getattr(tape, name).item():.3f}" for name in "ifgoch"]
    ['i = 0.986', 'f = 0.997', 'g = 0.966', 'o = 0.992', 'c = 2.948', 'h = 0.986']
    """
    (T, B, I), R = (*np.shape(x), np.shape(weight_ih)[-1])[:3], np.shape(weight_hh)[-1]
    of_symbols = _sequence.is_symbols(x)
    H = R if weight_hr is None else np.shape(weight_hr)[-1]
    a = _sequence.read_arrays(
        MASKS,
        x=(None if of_symbols else x, (T, B, I)),
        h_0=(h_0, (B, R)),
        c_0=(c_0, (B, H)),
        weight_ih=(weight_ih, (4 * H, I)),
        weight_hh=(weight_hh, (4 * H, R)),
        bias_ih=(bias_ih, (4 * H,)),
        bias_hh=(bias_hh, (4 * H,)),
        weight_hr=(weight_hr, (R, H)),
        weight_peephole=(weight_peephole, (3 * H,)),
        norm_ih_weight=(norm_ih_weight, (4 * H,)),
        norm_hh_weight=(norm_hh_weight, (4 * H,)),
        norm_c_weight=(norm_c_weight, (H,)),
        norm_c_bias=(norm_c_bias, (H,)),
        learned_h_0=(learned_h_0, (R,)),
        learned_c_0=(learned_c_0, (H,)),
        recurrent_mask=(recurrent_mask, (B, R)),
        zoneout_h_mask=(zoneout_h_mask, (T, B, R)),
        zoneout_c_mask=(zoneout_c_mask, (T, B, H)),
    )
    if norm_c_bias is not None and norm_c_weight is None:
        raise ValueError("`norm_c_bias` requires `norm_c_weight`")
    cell = Cell(
        bool(coupled_gates),
        _positive("cell_clip", cell_clip),
        _positive("gate_clip", gate_clip),
        activation_of(activation),
        activation_of(recurrent_activation, "recurrent_activation"),
        activation_of(cell_activation, "cell_activation"),
    )
    w, dtype = Parameters(*(a[name] for name in Parameters._fields)), a["weight_ih"].dtype
    valid = _sequence.valid_steps(lengths, T, B)
    if of_symbols:
        a["x"] = _sequence.read_symbols(x, I, valid)
    restarts, rows = _sequence.reset_steps(resets, valid), _sequence.active_rows(valid)
    h = _sequence.initial_state(a["h_0"], a["learned_h_0"], (B, R), dtype)
    c = _sequence.initial_state(a["c_0"], a["learned_c_0"], (B, H), dtype)
    steps: list[Step] = []
    trace = {name: np.zeros((T, B, R if name == "h" else H), dtype) for name in "ifgoch"}
    for t, on in enumerate(rows):
        h_prev = _sequence.restart(h, restarts[t], a["learned_h_0"])
        c_prev = _sequence.restart(c, restarts[t], a["learned_c_0"])
        step = step_forward(a["x"][t, on], h_prev[on], c_prev[on], w, cell, masks_at(a, t, on))
        h, c = _sequence.replace_rows(h_prev, on, step.h), _sequence.replace_rows(c_prev, on, step.c)
        steps.append(step)
        for name in trace:
            trace[name][t, on] = getattr(step, name)
    return trace["h"].copy(), h, c, LSTMTape(a, cell, rows, restarts, steps, **trace)


def lstm_backward(
    tape: LSTMTape, d_output: ArrayLike | None, d_h_n: ArrayLike | None = None, d_c_n: ArrayLike | None = None
) -> LSTMGradients:
    """Apply the chain rule from the last step to the first: backpropagation through time.

    Parameters
    ----------
    tape : LSTMTape
        From lstm_forward. It can be used any number of times.
    d_output : array_like of shape (T,B,R), or None
        Gradient of the loss with respect to output; None means zero.
    d_h_n, d_c_n : array_like of shape (B,R), (B,H), optional
        Gradient of the loss with respect to the final states; None means zero.

    Returns
    -------
    LSTMGradients
        The gradient with respect to each array argument; d_x is None for symbols.

    Raises
    ------
    ValueError
        If the shape of a gradient differs from that of its result.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> weights = np.full((4, 1), 0.5), np.full((4, 1), 0.5), None, None
    >>> *_, tape = reference.lstm_forward(np.ones((3, 1, 1)), None, None, *weights)
    >>> d = reference.lstm_backward(tape, None, d_h_n=[[1.0]])  # the loss is h_n
    >>> d.d_x.ravel().round(3)  # the gradient fades with the distance in time
    array([0.098, 0.132, 0.209])
    """
    a, w = tape.arguments, Parameters(*(tape.arguments[name] for name in Parameters._fields))
    d_outputs = _sequence.or_zeros(d_output, "d_output", tape.h)
    d_h = _sequence.or_zeros(d_h_n, "d_h_n", np.empty(tape.h.shape[1:], tape.h.dtype))
    d_c = _sequence.or_zeros(d_c_n, "d_c_n", np.empty(tape.c.shape[1:], tape.c.dtype))
    d_x, d_w = None if a["x"].ndim == 2 else np.zeros_like(a["x"]), [_zeros_like(weight) for weight in w]
    d_learned_h, d_learned_c = _zeros_like(a["learned_h_0"]), _zeros_like(a["learned_c_0"])
    for t, on in reversed(list(enumerate(tape.rows))):
        d_x_t, d_h_prev, d_c_prev, d_step = step_backward(
            tape.steps[t], d_h[on] + d_outputs[t, on], d_c[on], w, tape.cell
        )
        if d_x is not None:
            d_x[t, on] = d_x_t
        for total, contribution in zip(d_w, d_step):
            if total is not None:
                total += contribution
        d_h, d_c = _sequence.replace_rows(d_h, on, d_h_prev), _sequence.replace_rows(d_c, on, d_c_prev)
        d_h, d_learned_h = _sequence.restart_backward(d_h, tape.resets[t], d_learned_h)
        d_c, d_learned_c = _sequence.restart_backward(d_c, tape.resets[t], d_learned_c)
    d_h_0, d_learned_h = _sequence.initial_state_backward(d_h, a["h_0"], d_learned_h)
    d_c_0, d_learned_c = _sequence.initial_state_backward(d_c, a["c_0"], d_learned_c)
    return LSTMGradients._make([d_x, d_h_0, d_c_0, *d_w, d_learned_h, d_learned_c])


def _zeros_like(array: Array | None) -> Array | None:
    return None if array is None else np.zeros_like(array)


def masks_at(arguments: dict[str, Any], t: int, on: Rows) -> Masks:
    """Return the masks of step t, for the active sequences."""
    recurrent, zoneout_h, zoneout_c = (arguments[name] for name in MASKS)
    return Masks(
        None if recurrent is None else recurrent[on],
        None if zoneout_h is None else zoneout_h[t, on],
        None if zoneout_c is None else zoneout_c[t, on],
    )


def _positive(name: str, bound: float | None) -> float | None:
    """Return a clipping bound as a float, or None."""
    if bound is not None and not bound > 0:
        raise ValueError(f"`{name}` must be positive or None, got {bound}")
    return None if bound is None else float(bound)
