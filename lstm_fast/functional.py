"""Functional API: one layer, one direction, explicit weights; the signatures of lstm_fast.reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _core, _network, _threads
from ._arguments import real_array, shaped
from ._tape import Tape
from ._variants import nonlinearity as _check_nonlinearity

if TYPE_CHECKING:
    from ._types import Array, ArrayLike, Nonlinearity


class LSTMGradients(NamedTuple):
    """Gradients from `lstm_backward`, in the shapes of the arguments of `lstm_forward`.

    Attributes
    ----------
    d_x, d_h_0, d_c_0, d_weight_ih, d_weight_hh : ndarray
        Gradients with respect to the arguments of `lstm_forward`.
    d_bias_ih, d_bias_hh : ndarray or None
        None if there was no bias.
    """

    d_x: Array
    d_h_0: Array
    d_c_0: Array
    d_weight_ih: Array
    d_weight_hh: Array
    d_bias_ih: Array | None
    d_bias_hh: Array | None


class RNNGradients(NamedTuple):
    """Gradients from `rnn_backward`, in the shapes of the arguments of `rnn_forward`.

    Attributes
    ----------
    d_x, d_h_0, d_weight_ih, d_weight_hh : ndarray
        Gradients with respect to the arguments of `rnn_forward`.
    d_bias_ih, d_bias_hh : ndarray or None
        None if there was no bias.
    """

    d_x: Array
    d_h_0: Array
    d_weight_ih: Array
    d_weight_hh: Array
    d_bias_ih: Array | None
    d_bias_hh: Array | None


def _forward(
    cell: str,
    n_gates: int,
    x: Any,
    h_0: Any,
    c_0: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    *,
    lengths: Any,
    num_threads: int | None,
) -> tuple[Array, Array, Array | None, Tape]:
    """Validate all arguments against x (T, B, I) and weight_hh (n_gates * H, H), whose dtype is used; run the layer."""
    dtype: np.dtype[Any] = np.dtype(np.float32 if getattr(weight_hh, "dtype", None) == np.float32 else np.float64)
    x, weight_hh = real_array("x", x, dtype), real_array("weight_hh", weight_hh, dtype)
    G = f"{n_gates}H" if n_gates > 1 else "H"
    if x.ndim != 3:
        raise ValueError(f"x must have shape (T, B, I), got {x.shape}")
    if weight_hh.ndim != 2 or weight_hh.shape[1] < 1:
        raise ValueError(f"weight_hh must have shape ({G}, H), got {weight_hh.shape}")
    (_, B, I), H = x.shape, weight_hh.shape[1]
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
    output, h_n, c_n, tape = _network.forward(
        weights, x, h_0, c_0, keep=True, num_threads=_threads.resolve(num_threads), lengths=lengths
    )
    assert tape is not None
    return output, h_n[0], None if c_n is None else c_n[0], tape


def _in_order(*parameters: Array | None) -> tuple[Array | None, ...]:
    """Return weights and biases as the parameters of a layer for the core, without its optional ones."""
    return (*parameters, *(None,) * (len(_core.PARAMETERS) - len(parameters)))


def _backward(tape: Any, forward: str, d_output: Any, d_h_n: Any, d_c_n: Any, num_threads: int | None) -> list[Any]:
    """Return the fields of LSTMGradients or RNNGradients; forward names the function that the tape must come from."""
    is_lstm = forward == "lstm_forward"
    if not isinstance(tape, Tape) or tape._signature is not None or (tape._weights.cell == "lstm") != is_lstm:
        raise TypeError(
            f"tape must come from {forward}, got {type(tape).__name__}"
            + (" of another" if isinstance(tape, Tape) else "")
        )
    weights, T, B = tape._weights, tape.steps, tape.batch_size
    parameters = weights.arrays[0][:4]
    dtype, H = weights.dtype, weights.hidden_size
    d_output = _network.optional_state("d_output", d_output, dtype, (T, B, H), "(T, B, H)")
    d_h_n = _network.optional_state("d_h_n", d_h_n, dtype, (B, H), "(B, H)")
    d_c_n = _network.optional_state("d_c_n", d_c_n, dtype, (B, H), "(B, H)")
    d_parameters = [None if a is None else np.empty_like(a) for a in parameters]
    d_x, d_h_0, d_c_0 = _network.backward(
        tape, d_output, d_h_n, d_c_n, gradients=[_in_order(*d_parameters)], num_threads=_threads.resolve(num_threads)
    )
    return [d_x, d_h_0[0], *([] if d_c_0 is None else [d_c_0[0]]), *d_parameters]


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
    num_threads: int | None = None,
) -> tuple[Array, Array, Array, Tape]:
    """Run one LSTM layer over a batch of sequences.

    Parameters
    ----------
    x : array_like of shape (T, B, I)
        The sequences.
    h_0, c_0 : array_like of shape (B, H), or None
        Initial state; None: zero.
    weight_ih : array_like of shape (4H, I)
        Weights of x, gates in the order i, f, g, o.
    weight_hh : array_like of shape (4H, H)
        Weights of h_prev. Its dtype, float32 or else float64, is that of the computation.
    bias_ih, bias_hh : array_like of shape (4H,), or None
        Biases; None: zero.
    lengths : array_like of int of shape (B,), optional
        Length of each sequence, from 0 to T; None: all T. Padding past each length is neither read nor computed.
    num_threads : int, optional
        Maximum number of threads; None: `get_num_threads()`.

    Returns
    -------
    output : ndarray of shape (T, B, H)
        h at every step.
    h_n, c_n : ndarray of shape (B, H)
        Last state.
    tape : Tape
        Input of `lstm_backward`.

    Raises
    ------
    ValueError, TypeError
        If a shape or dtype is wrong; the message names the argument.

    See Also
    --------
    LSTM : Packs its weights once, which is faster for repeated calls.

    Notes
    -----
    The formulas are those of `lstm_fast.reference`.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> rng = np.random.default_rng(0)
    >>> weight_ih, weight_hh, x = (rng.standard_normal(shape) for shape in ((16, 3), (16, 4), (5, 2, 3)))
    >>> output, h_n, c_n, tape = lf.lstm_forward(x, None, None, weight_ih, weight_hh, None, None)
    >>> gradients = lf.lstm_backward(tape, np.ones_like(output))
    >>> gradients.d_weight_hh.shape
    (16, 4)
    """
    output, h_n, c_n, tape = _forward(
        "lstm", 4, x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, lengths=lengths, num_threads=num_threads
    )
    assert c_n is not None
    return output, h_n, c_n, tape


def lstm_backward(
    tape: Tape,
    d_output: ArrayLike | None,
    d_h_n: ArrayLike | None = None,
    d_c_n: ArrayLike | None = None,
    *,
    num_threads: int | None = None,
) -> LSTMGradients:
    """Backpropagate through an LSTM layer.

    Parameters
    ----------
    tape : Tape
        From `lstm_forward`. It can be used again.
    d_output : array_like of shape (T, B, H), or None
        Gradient of the loss with respect to output; None: zero.
    d_h_n, d_c_n : array_like of shape (B, H), optional
        Gradients of the loss with respect to the last state; None: zero.
    num_threads : int, optional
        Maximum number of threads; None: `get_num_threads()`.

    Returns
    -------
    LSTMGradients
        Named tuple of d_x, d_h_0, d_c_0, d_weight_ih, d_weight_hh, d_bias_ih, d_bias_hh.

    Raises
    ------
    ValueError, TypeError
        If a shape is wrong, or the tape does not come from `lstm_forward`.

    See Also
    --------
    lstm_forward : Has an example.
    """
    return LSTMGradients(*_backward(tape, "lstm_forward", d_output, d_h_n, d_c_n, num_threads))


def rnn_forward(
    x: ArrayLike,
    h_0: ArrayLike | None,
    weight_ih: ArrayLike,
    weight_hh: ArrayLike,
    bias_ih: ArrayLike | None,
    bias_hh: ArrayLike | None,
    nonlinearity: Nonlinearity = "tanh",
    lengths: ArrayLike | None = None,
    *,
    num_threads: int | None = None,
) -> tuple[Array, Array, Tape]:
    """Run one plain RNN layer over a batch of sequences.

    At every step ``h = nonlinearity(x W_ih^T + b_ih + h_prev W_hh^T + b_hh)``.

    Parameters
    ----------
    x : array_like of shape (T, B, I)
        The sequences.
    h_0 : array_like of shape (B, H), or None
        Initial h; None: zero.
    weight_ih : array_like of shape (H, I)
        Weights of x.
    weight_hh : array_like of shape (H, H)
        Weights of h_prev. Its dtype, float32 or else float64, is that of the computation.
    bias_ih, bias_hh : array_like of shape (H,), or None
        Biases; None: zero.
    nonlinearity : {"tanh", "relu", "identity"}, default "tanh"
        Activation of h.
    lengths : array_like of int of shape (B,), optional
        Length of each sequence, from 0 to T; None: all T.
    num_threads : int, optional
        Maximum number of threads; None: `get_num_threads()`.

    Returns
    -------
    output : ndarray of shape (T, B, H)
        h at every step.
    h_n : ndarray of shape (B, H)
        Last h.
    tape : Tape
        Input of `rnn_backward`.

    Raises
    ------
    ValueError, TypeError
        If a shape or dtype is wrong; the message names the argument.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> output, h_n, tape = lf.rnn_forward(np.ones((3, 1, 1)), None, [[1.0]], [[0.5]], None, None, "identity")
    >>> output[:, 0, 0]
    array([1.  , 1.5 , 1.75])
    >>> lf.rnn_backward(tape, None, [[1.0]]).d_weight_hh
    array([[2.]])
    """
    _check_nonlinearity("nonlinearity", nonlinearity)
    output, h_n, _, tape = _forward(
        nonlinearity, 1, x, h_0, None, weight_ih, weight_hh, bias_ih, bias_hh, lengths=lengths, num_threads=num_threads
    )
    return output, h_n, tape


def rnn_backward(
    tape: Tape, d_output: ArrayLike | None, d_h_n: ArrayLike | None = None, *, num_threads: int | None = None
) -> RNNGradients:
    """Backpropagate through a plain RNN layer.

    Parameters
    ----------
    tape : Tape
        From `rnn_forward`. It can be used again.
    d_output : array_like of shape (T, B, H), or None
        Gradient of the loss with respect to output; None: zero.
    d_h_n : array_like of shape (B, H), optional
        Gradient of the loss with respect to h_n; None: zero.
    num_threads : int, optional
        Maximum number of threads; None: `get_num_threads()`.

    Returns
    -------
    RNNGradients
        Named tuple of d_x, d_h_0, d_weight_ih, d_weight_hh, d_bias_ih, d_bias_hh.

    Raises
    ------
    ValueError, TypeError
        If a shape is wrong, or the tape does not come from `rnn_forward`.

    See Also
    --------
    rnn_forward : Has an example.
    """
    return RNNGradients(*_backward(tape, "rnn_forward", d_output, d_h_n, None, num_threads))
