"""Functional API: one layer, one direction, explicit weights; the signatures of lstm_fast.reference.

The cell is always the plain one: cell options (peepholes, layer_norm, ...) are deliberately left to the layers, whose
constructors validate them once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import _functional
from ._variants import nonlinearity as _check_nonlinearity

if TYPE_CHECKING:
    from ._tape import Tape
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
        The sequences. Symbols must be one-hot vectors; use an LSTM with index_input for integers.
    h_0, c_0 : array_like of shape (B, H), or None
        Initial state; None: zero.
    weight_ih : array_like of shape (4H, I)
        Weights of x, gates in the order i, f, g, o.
    weight_hh : array_like of shape (4H, H)
        Weights of h_prev. Its dtype, float32 or else float64, determines the precision of the computation.
    bias_ih, bias_hh : array_like of shape (4H,), or None
        Biases; None: zero.
    lengths : array_like of int of shape (B,), optional
        Length of each sequence, from 0 to T; None: all T. Padding beyond each length is neither read nor computed.
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
    output, h_n, c_n, tape = _functional.forward(
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
    return LSTMGradients(*_functional.backward(tape, "lstm_forward", d_output, d_h_n, d_c_n, num_threads))


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
        Weights of h_prev. Its dtype, float32 or else float64, determines the precision of the computation.
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
    output, h_n, _, tape = _functional.forward(
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
    return RNNGradients(*_functional.backward(tape, "rnn_forward", d_output, d_h_n, None, num_threads))
