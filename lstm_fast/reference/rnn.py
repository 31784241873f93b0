"""One plain RNN layer in one direction, with the options of the LSTM that do not involve gates."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _sequence
from ._types import Array
from .activations import ACTIVATIONS
from .operations import input_product, input_product_backward, zoneout, zoneout_backward
from .tapes import RNNGradients, RNNTape

# Each nonlinearity, and its derivative in terms of h = nonlinearity(pre).
NONLINEARITIES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Any]]] = {
    "tanh": ACTIVATIONS["tanh"][:2],
    "relu": ACTIVATIONS["relu"][:2],
    "identity": (lambda pre: pre, lambda h: 1),
}


def rnn_forward(
    x: ArrayLike,
    h_0: ArrayLike | None,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None,
    bias_hh: ArrayLike | None,
    nonlinearity: str = "tanh",
    lengths: ArrayLike | None = None,
    *,
    recurrent_mask: ArrayLike | None = None,
    zoneout_h_mask: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    learned_h_0: ArrayLike | None = None,
) -> tuple[Array, Array, RNNTape]:
    """Run one plain (Elman) RNN layer in one direction.

    Parameters
    ----------
    x : array_like of shape (T,B,I), or of int of shape (T,B)
        Input; symbols as in lstm_forward.
    h_0 : array_like of shape (B,H), or None
        Initial state. None means the learned initial state, or zero if there is none.
    weight_ih, weight_hh : array_like of shape (H,I), (H,H)
        Weights of x and of h_prev.
    bias_ih, bias_hh : array_like of shape (H,), or None
        None means zero.
    nonlinearity : {"tanh", "relu", "identity"}, default "tanh"
        A key of NONLINEARITIES.
    lengths : array_like of int, shape (B,), optional
        As in lstm_forward.
    recurrent_mask : array_like of shape (B,H), optional
        Recurrent dropout: multiplies h_prev in the recurrent product of every step.
    zoneout_h_mask : array_like of shape (T,B,H), optional
        Only 0 and 1. Where the mask is 1, the state keeps its old value.
    resets : array_like of bool, shape (T,B), optional
        Where true, sequence b restarts before step t from the learned initial state, or from zero.
    learned_h_0 : array_like of shape (H,), optional
        Learned initial state.

    Returns
    -------
    output : ndarray of shape (T,B,H)
        h of every step.
    h_n : ndarray of shape (B,H)
        Final state.
    tape : RNNTape
        Argument of rnn_backward.

    Raises
    ------
    ValueError
        If a shape, length, mask or nonlinearity is invalid; the message names the argument.

    Notes
    -----
    h = nonlinearity(x W_ih^T + b_ih + h_prev W_hh^T + b_hh), as in torch.nn.RNN (Elman 1990).

    Examples
    --------
    A recurrent weight above 1 makes the state explode:

    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> x = np.zeros((5, 1, 1))
    >>> output, h_n, tape = reference.rnn_forward(x, [[1.0]], [[1.0]], [[2.0]], None, None, "identity")
    >>> output.ravel()
    array([ 2.,  4.,  8., 16., 32.])
    """
    if nonlinearity not in NONLINEARITIES:
        raise ValueError(f"`nonlinearity` must be one of {', '.join(NONLINEARITIES)}, got {nonlinearity!r}")
    (T, B, I), H = (*np.shape(x), np.shape(weight_ih)[-1])[:3], np.shape(weight_hh)[-1]
    of_symbols = _sequence.is_symbols(x)
    a = _sequence.read_arrays(
        ("recurrent_mask", "zoneout_h_mask"),
        x=(None if of_symbols else x, (T, B, I)),
        h_0=(h_0, (B, H)),
        weight_ih=(weight_ih, (H, I)),
        weight_hh=(weight_hh, (H, H)),
        bias_ih=(bias_ih, (H,)),
        bias_hh=(bias_hh, (H,)),
        learned_h_0=(learned_h_0, (H,)),
        recurrent_mask=(recurrent_mask, (B, H)),
        zoneout_h_mask=(zoneout_h_mask, (T, B, H)),
    )
    b_ih, b_hh = (0 if a[name] is None else a[name] for name in ("bias_ih", "bias_hh"))
    function, _ = NONLINEARITIES[nonlinearity]
    dtype, valid = a["weight_ih"].dtype, _sequence.valid_steps(lengths, T, B)
    if of_symbols:
        a["x"] = _sequence.read_symbols(x, I, valid)
    restarts, rows = _sequence.reset_steps(resets, valid), _sequence.active_rows(valid)
    h = _sequence.initial_state(a["h_0"], a["learned_h_0"], (B, H), dtype)
    h_masked, h_new, output = np.zeros((3, T, B, H), dtype)
    for t, on in enumerate(rows):
        h_prev = _sequence.restart(h, restarts[t], a["learned_h_0"])
        h_masked[t, on] = h_prev[on] * _at(on, a["recurrent_mask"], 1)
        pre = input_product(a["x"][t, on], a["weight_ih"]) + b_ih + h_masked[t, on] @ a["weight_hh"].T + b_hh
        h_new[t, on] = function(pre)
        output[t, on] = zoneout(h_prev[on], h_new[t, on], _at((t, on), a["zoneout_h_mask"]))
        h = _sequence.replace_rows(h_prev, on, output[t, on])
    return output.copy(), h, RNNTape(a, nonlinearity, rows, restarts, h_masked, h_new, output)


def rnn_backward(tape: RNNTape, d_output: ArrayLike | None, d_h_n: ArrayLike | None = None) -> RNNGradients:
    """Apply the chain rule from the last step to the first: backpropagation through time.

    Parameters
    ----------
    tape : RNNTape
        From rnn_forward. It can be used any number of times.
    d_output : array_like of shape (T,B,H), or None
        Gradient of the loss with respect to output; None means zero.
    d_h_n : array_like of shape (B,H), optional
        Gradient of the loss with respect to the final state; None means zero.

    Returns
    -------
    RNNGradients
        The gradient with respect to each array argument; d_x is None for symbols.

    Raises
    ------
    ValueError
        If the shape of a gradient differs from that of its result.

    Examples
    --------
    A recurrent weight below 1 makes the gradient vanish:

    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> *_, tape = reference.rnn_forward(np.zeros((5, 1, 1)), [[1.0]], [[1.0]], [[0.5]], None, None, "identity")
    >>> reference.rnn_backward(tape, None, [[1.0]]).d_x.ravel()
    array([0.0625, 0.125 , 0.25  , 0.5   , 1.    ])
    """
    a, h_new = tape.arguments, tape.h_new
    (_, B, H), (_, derivative) = h_new.shape, NONLINEARITIES[tape.nonlinearity]
    d_outputs = _sequence.or_zeros(d_output, "d_output", h_new)
    d_h = _sequence.or_zeros(d_h_n, "d_h_n", np.empty((B, H), h_new.dtype))
    d_x = None if a["x"].ndim == 2 else np.zeros_like(a["x"])
    d_weight_ih, d_weight_hh = (np.zeros_like(a[name]) for name in ("weight_ih", "weight_hh"))
    d_learned = None if a["learned_h_0"] is None else np.zeros_like(a["learned_h_0"])
    d_bias = np.zeros(H, h_new.dtype)
    for t, on in reversed(list(enumerate(tape.rows))):
        d_old, d_new = zoneout_backward(d_h[on] + d_outputs[t, on], _at((t, on), a["zoneout_h_mask"]))
        d_pre = d_new * derivative(h_new[t, on])
        d_x_t, d_weight_ih_t = input_product_backward(d_pre, a["x"][t, on], a["weight_ih"])
        if d_x is not None:
            d_x[t, on] = d_x_t
        d_weight_ih += d_weight_ih_t
        d_weight_hh += d_pre.T @ tape.h_masked[t, on]
        d_bias += d_pre.sum(axis=0)
        d_h = _sequence.replace_rows(d_h, on, d_old + d_pre @ a["weight_hh"] * _at(on, a["recurrent_mask"], 1))
        d_h, d_learned = _sequence.restart_backward(d_h, tape.resets[t], d_learned)
    d_h_0, d_learned = _sequence.initial_state_backward(d_h, a["h_0"], d_learned)
    d_bias_ih, d_bias_hh = (None if a[name] is None else d_bias.copy() for name in ("bias_ih", "bias_hh"))
    return RNNGradients(d_x, d_h_0, d_weight_ih, d_weight_hh, d_bias_ih, d_bias_hh, d_learned)


def _at(index: Any, array: Array | None, default: Any = None) -> Any:
    return default if array is None else array[index]
