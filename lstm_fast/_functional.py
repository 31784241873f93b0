"""Forward and backward pass of the functional API, for an LSTM or a plain RNN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core, _network, _threads
from ._arguments import real_array, shaped
from ._tape import Tape

if TYPE_CHECKING:
    from ._types import Array


def forward(
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
    weights = _core.Weights(cell, dtype, I, H, 1, 1, [in_order(*arrays)])
    output, h_n, c_n, tape = _network.forward(
        weights, x, h_0, c_0, keep=True, num_threads=_threads.resolve(num_threads), lengths=lengths
    )
    assert tape is not None
    return output, h_n[0], None if c_n is None else c_n[0], tape


def in_order(*parameters: Array | None) -> tuple[Array | None, ...]:
    """Return weights and biases as the parameters of a layer for the core, without its optional ones."""
    return (*parameters, *(None,) * (len(_core.PARAMETERS) - len(parameters)))


def backward(tape: Any, name: str, d_output: Any, d_h_n: Any, d_c_n: Any, num_threads: int | None) -> list[Any]:
    """Return the fields of LSTMGradients or RNNGradients; name: the function that must have returned the tape."""
    is_lstm = name == "lstm_forward"
    if not isinstance(tape, Tape) or tape._signature is not None or (tape._weights.cell == "lstm") != is_lstm:
        raise TypeError(
            f"tape must come from {name}, got {type(tape).__name__}" + (" of another" if isinstance(tape, Tape) else "")
        )
    weights, T, B = tape._weights, tape.steps, tape.batch_size
    parameters = weights.arrays[0][:4]
    dtype, H = weights.dtype, weights.hidden_size
    d_output = _network.optional_state("d_output", d_output, dtype, (T, B, H), "(T, B, H)")
    d_h_n = _network.optional_state("d_h_n", d_h_n, dtype, (B, H), "(B, H)")
    d_c_n = _network.optional_state("d_c_n", d_c_n, dtype, (B, H), "(B, H)")
    d_parameters = [None if a is None else np.empty_like(a) for a in parameters]
    d_x, d_h_0, d_c_0 = _network.backward(
        tape, d_output, d_h_n, d_c_n, gradients=[in_order(*d_parameters)], num_threads=_threads.resolve(num_threads)
    )
    return [d_x, d_h_0[0], *([] if d_c_0 is None else [d_c_0[0]]), *d_parameters]
