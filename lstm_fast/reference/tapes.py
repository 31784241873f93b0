"""Results of forward passes (tapes) and of backward passes (gradients)."""

from typing import Any, NamedTuple

from ._types import Array, Rows
from .cell import Cell, Step


class LSTMTape(NamedTuple):
    """Intermediate results that lstm_forward records for lstm_backward.

    Parameters
    ----------
    arguments : dict of str to ndarray or None
        The array arguments by name, in the common dtype.
    cell : Cell
        The options of the cell.
    rows : list of slice or ndarray
        The sequences that are active at each step.
    resets : ndarray of bool, shape (T,B)
        Where a sequence restarts.
    steps : list of Step
        The intermediate values of each step, for the active sequences.
    i, f, g, o, c : ndarray of shape (T,B,H)
        Gates, cell candidate and cell state of each step; 0 in the padding.
    h : ndarray of shape (T,B,R)
        The hidden state after each step; 0 in the padding.

    Notes
    -----
    A tape refers to the arguments and does not copy them: do not change them between forward and backward.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> *_, tape = reference.lstm_forward(np.ones((3, 1, 1)), None, None, np.ones((4, 1)), np.zeros((4, 1)), None, None)
    >>> tape.f.ravel().round(3)  # sigmoid(1) at every step
    array([0.731, 0.731, 0.731])
    """

    arguments: dict[str, Any]
    cell: Cell
    rows: list[Rows]
    resets: Array
    steps: list[Step]
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array


class LSTMGradients(NamedTuple):
    """Gradients of lstm_forward.

    Parameters
    ----------
    d_x, d_h_0, d_c_0 : ndarray or None
        Gradients with respect to the input and the initial states.
    d_weight_ih, d_weight_hh, d_bias_ih, d_bias_hh, d_weight_hr, d_weight_peephole : ndarray or None
        Gradients with respect to the weights.
    d_norm_ih_weight, d_norm_hh_weight, d_norm_c_weight, d_norm_c_bias : ndarray or None
        Gradients with respect to the parameters of layer normalization.
    d_learned_h_0, d_learned_c_0 : ndarray or None
        Gradients with respect to the learned initial state.

    Notes
    -----
    Each gradient has the shape of its argument and is None if the argument was.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> *_, tape = reference.lstm_forward(np.ones((3, 1, 1)), None, None, np.ones((4, 1)), np.zeros((4, 1)), None, None)
    >>> d = reference.lstm_backward(tape, np.ones((3, 1, 1)))
    >>> d.d_weight_ih.shape, d.d_bias_ih is None
    ((4, 1), True)
    """

    d_x: Array | None
    d_h_0: Array | None
    d_c_0: Array | None
    d_weight_ih: Array
    d_weight_hh: Array
    d_bias_ih: Array | None
    d_bias_hh: Array | None
    d_weight_hr: Array | None
    d_weight_peephole: Array | None
    d_norm_ih_weight: Array | None
    d_norm_hh_weight: Array | None
    d_norm_c_weight: Array | None
    d_norm_c_bias: Array | None
    d_learned_h_0: Array | None
    d_learned_c_0: Array | None


class RNNTape(NamedTuple):
    """Intermediate results that rnn_forward records for rnn_backward.

    Parameters
    ----------
    arguments : dict of str to ndarray or None
        The array arguments by name, in the common dtype; not copied.
    nonlinearity : str
        A key of NONLINEARITIES.
    rows : list of slice or ndarray
        The sequences that are active at each step.
    resets : ndarray of bool, shape (T,B)
        Where a sequence restarts.
    h_masked : ndarray of shape (T,B,H)
        h_prev of each step after recurrent dropout; 0 in the padding.
    h_new, h : ndarray of shape (T,B,H)
        The state after each step, before and after zoneout; 0 in the padding.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> *_, tape = reference.rnn_forward(np.ones((3, 1, 1)), None, [[1.0]], [[0.5]], None, None, "identity")
    >>> tape.h.ravel()
    array([1.  , 1.5 , 1.75])
    """

    arguments: dict[str, Any]
    nonlinearity: str
    rows: list[Rows]
    resets: Array
    h_masked: Array
    h_new: Array
    h: Array


class RNNGradients(NamedTuple):
    """Gradients of rnn_forward.

    Parameters
    ----------
    d_x, d_h_0, d_weight_ih, d_weight_hh, d_bias_ih, d_bias_hh, d_learned_h_0 : ndarray or None
        Each has the shape of its argument and is None if the argument was.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> *_, tape = reference.rnn_forward(np.ones((3, 1, 1)), None, [[1.0]], [[0.5]], None, None, "identity")
    >>> reference.rnn_backward(tape, None, [[1.0]]).d_weight_hh  # d/dw (1 + w + w^2) = 1 + 2w
    array([[2.]])
    """

    d_x: Array | None
    d_h_0: Array | None
    d_weight_ih: Array
    d_weight_hh: Array
    d_bias_ih: Array | None
    d_bias_hh: Array | None
    d_learned_h_0: Array | None
