"""Training in bfloat16, one LSTM layer in one direction: the definition that the kernels match bit for bit.

Parameters, states, gates, gradients and sums are float32; only the operands of products are rounded:

    forward     x, h and the matrices, as in quantized.py
    d_x         d_gates W_ih, d_h_prev = d_gates W_hh, d_unprojected = d_h W_hr: each number is one chain from zero over
                pairs of terms, the one with odd index first, or blocks of terms as in bfloat16_amx; gates are
                processed one after the other, each padded to whole pairs
    d_W         sums over steps and sequences, see bfloat16_sums.py

With layer norm, d_gates is replaced by the gradients of the products before the norm.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from . import _sequence
from ._types import Array
from .bfloat16_cell import Matrices, StepGradients, step_backward
from .bfloat16_sums import blocks_of_rows, sum_of_products, sum_of_vectors
from .float32 import add
from .formats import PRODUCTS
from .quantized import float32_matrix
from .quantized_cell import Activate, exact_activation
from .quantized_layer import LayerTape, layer_forward
from .tapes import LSTMGradients


class BFloat16Tape(NamedTuple):
    """Intermediate results that lstm_tape_bfloat16 records for lstm_backward_bfloat16.

    Parameters
    ----------
    matrices : Matrices
        weight_ih, weight_hh and weight_hr in float32.
    of_layer : LayerTape
        Everything else.
    has_bias_ih, has_bias_hh : bool
        Whether the biases were given.
    format : {"bfloat16", "bfloat16_amx"}
        Order of the sums.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> weights = np.full((4, 1), 0.5), np.full((4, 1), 0.5), None, None
    >>> *_, tape = reference.lstm_tape_bfloat16(np.ones((3, 1, 1)), None, None, *weights)
    >>> len(tape.of_layer.steps)
    3
    """

    matrices: Matrices
    of_layer: LayerTape
    has_bias_ih: bool
    has_bias_hh: bool
    format: str


def lstm_tape_bfloat16(
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
    activate: Activate = exact_activation,
    format: str = "bfloat16",
    **options: Any,
) -> tuple[Array, Array, Array, BFloat16Tape]:
    """Run one LSTM layer in one direction in bfloat16, for training.

    Parameters
    ----------
    x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, weight_hr : array_like
        As in `lstm_forward_bfloat16`.
    activate : callable, default exact_activation
        As in `lstm_forward_bfloat16`.
    format : {"bfloat16", "bfloat16_amx"}, default "bfloat16"
        Order of the sums, forward and backward.
    **options
        As in `lstm_forward_bfloat16`, and recurrent_mask, zoneout_h_mask and zoneout_c_mask, as in `lstm_forward`.

    Returns
    -------
    output, h_n, c_n : ndarray of float32
        Without masks, the bits of `lstm_forward_bfloat16` or `lstm_forward_bfloat16_amx`.
    tape : BFloat16Tape
        For `lstm_backward_bfloat16`.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import LSTM, reference
    >>> lstm, x = LSTM(3, 8, seed=0), np.ones((5, 1, 3), np.float32)
    >>> p = {name.removesuffix("_l0"): value for name, value in lstm.parameters().items()}
    >>> output, h_n, c_n, tape = reference.lstm_tape_bfloat16(x, None, None, **p)
    >>> bool((output == reference.lstm_forward_bfloat16(x, None, None, **p)[0]).all())
    True
    """
    projection = None if weight_hr is None else float32_matrix(weight_hr)
    matrices = Matrices(float32_matrix(weight_ih), float32_matrix(weight_hh), projection)
    products = [None if w is None else partial(PRODUCTS[format], w) for w in matrices]
    sizes = matrices.weight_ih.shape[1], matrices.weight_hh.shape
    output, h_n, c_n, tape = layer_forward(
        products, *sizes, x, h_0, c_0, bias_ih, bias_hh, lengths, activate, **options
    )
    return output, h_n, c_n, BFloat16Tape(matrices, tape, bias_ih is not None, bias_hh is not None, format)


def lstm_backward_bfloat16(
    tape: BFloat16Tape, d_output: ArrayLike | None, d_h_n: ArrayLike | None = None, d_c_n: ArrayLike | None = None
) -> LSTMGradients:
    """Apply the chain rule from the last step to the first, with products in bfloat16.

    Parameters
    ----------
    tape : BFloat16Tape
        From `lstm_tape_bfloat16`.
    d_output : array_like of shape (T,B,R), or None
        Gradient of the loss with respect to output; None means zero.
    d_h_n, d_c_n : array_like of shape (B,R), (B,H), optional
        Gradient of the loss with respect to the final states; None means zero.

    Returns
    -------
    LSTMGradients
        The gradient with respect to each array argument, in float32. d_h_0 and d_c_0 are None if there was a learned
        initial state instead.

    Raises
    ------
    ValueError
        If the shape of a gradient differs from that of its result.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import reference
    >>> weights = np.full((4, 1), 0.5), np.full((4, 1), 0.5), None, None
    >>> *_, tape = reference.lstm_tape_bfloat16(np.ones((3, 1, 1)), None, None, *weights)
    >>> d = reference.lstm_backward_bfloat16(tape, None, d_h_n=[[1.0]])
    >>> d.d_x.ravel().round(3)
    array([0.098, 0.132, 0.209], dtype=float32)
    """
    w, a, layer, rows = tape.matrices, tape.of_layer.arguments, tape.of_layer.layer, tape.of_layer.rows
    (T, B, _), R, H = a["x"].shape, w.weight_hh.shape[1], layer.bias.shape[0] // 4
    d_outputs = _sequence.or_zeros(d_output, "d_output", np.empty((T, B, R), np.float32))
    d_h = _sequence.or_zeros(d_h_n, "d_h_n", np.empty((B, R), np.float32))
    d_c = _sequence.or_zeros(d_c_n, "d_c_n", np.empty((B, H), np.float32))
    d_x, d_learned_h, d_learned_c = np.zeros_like(a["x"]), np.zeros_like(d_h), np.zeros_like(d_c)
    d_steps: list[StepGradients] = []
    for t, on in reversed(list(enumerate(rows))):
        d_step = step_backward(tape.of_layer.steps[t], add(d_h[on], d_outputs[t, on]), d_c[on], w, layer, tape.format)
        d_steps.insert(0, d_step)
        d_x[t, on] = d_step.d_x
        d_h, d_c = _sequence.replace_rows(d_h, on, d_step.d_h_prev), _sequence.replace_rows(d_c, on, d_step.d_c_prev)
        d_h, d_learned_h = _restart_backward(d_h, tape.of_layer.resets[t], d_learned_h)
        d_c, d_learned_c = _restart_backward(d_c, tape.of_layer.resets[t], d_learned_c)

    blocks = blocks_of_rows(rows, np.sum([_is_active(on, B) for on in rows], axis=0, dtype=int, initial=0) + [0] * B)
    steps = tape.of_layer.steps
    left_x, left_h = [d.d_a_x for d in d_steps], [d.d_a_h for d in d_steps]
    d_weight_ih = sum_of_products(blocks, left_x, [step.x for step in steps], w.weight_ih, tape.format)
    d_weight_hh = sum_of_products(blocks, left_h, [step.h_masked for step in steps], w.weight_hh, tape.format)
    d_weight_hr = w.weight_hr
    if w.weight_hr is not None:
        left, right = [d.d_h_new for d in d_steps], [step.unprojected for step in steps]
        d_weight_hr = sum_of_products(blocks, left, right, w.weight_hr, tape.format)
    d_bias = sum_of_vectors(blocks, [d.d_gates for d in d_steps], layer.bias)
    d_vectors = {
        name: None if a[name] is None else sum_of_vectors(blocks, [d.terms[name] for d in d_steps], a[name])
        for name in ("weight_peephole", "norm_ih_weight", "norm_hh_weight", "norm_c_weight", "norm_c_bias")
    }
    learned_h = _learned(a["learned_h_0"], None if a["h_0"] is not None else d_h, d_learned_h)
    learned_c = _learned(a["learned_c_0"], None if a["c_0"] is not None else d_c, d_learned_c)
    gradients: list[Any] = [
        d_x,
        None if a["h_0"] is None and a["learned_h_0"] is not None else d_h,
        None if a["c_0"] is None and a["learned_c_0"] is not None else d_c,
        d_weight_ih,
        d_weight_hh,
        d_bias if tape.has_bias_ih else None,
        d_bias if tape.has_bias_hh else None,
        d_weight_hr,
        *d_vectors.values(),
        learned_h,
        learned_c,
    ]
    return LSTMGradients._make(gradients)


def _is_active(on: Any, B: int) -> Array:
    mask = np.zeros(B, bool)
    mask[on] = True
    return mask


def _restart_backward(d_state: Array, resets: Array, d_learned: Array) -> tuple[Array, Array]:
    """Return d_state before the restart, and the rows that restarted sequences contribute to d_learned."""
    d_learned = np.where(resets[:, None], add(d_learned, d_state), d_learned)
    return _sequence.restart(d_state, resets, None), d_learned


def _learned(learned: Array | None, d_0: Array | None, d_restarts: Array) -> Array | None:
    """Return the gradient of the learned state: the sum over the batch of its gradients at start and restarts."""
    if learned is None:
        return None
    total = np.zeros_like(learned)
    for row in d_restarts if d_0 is None else add(d_0, d_restarts):
        total = add(total, row)
    return total
