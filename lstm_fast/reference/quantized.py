"""One LSTM layer in one direction in float32, bfloat16 and int8: the definition that the kernels match bit for bit.

    float32     pre = (bias + x W_ih^T) + h W_hh^T, in blocks of k
    bfloat16    x, h and the matrices are rounded to bfloat16; pre = (bias + x W_ih^T) + h W_hh^T in one chain, or in
                blocks of k, as Intel's AMX adds (lstm_forward_bfloat16_amx)
    int8        h and W_hh are rounded to int8; pre = start + (h W_hh^T) * scales, rounded once
                start: in the first layer bias + x W_ih^T in float32, or with W_ih in int8 and x in 16 or 8 bits; in
                the layers above, whose x is the h of the layer below, bias + (x W_ih^T) * scales, rounded once

bias = b_ih + b_hh; with layer norm each product starts from zero. c, the biases, the cell and the results are float32;
the returned h is not rounded.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._types import Array
from .formats import (
    QuantizedRows,
    from_bfloat16,
    product_bfloat16,
    product_bfloat16_amx,
    product_float32,
    product_hidden,
    product_inputs,
    quantize_rows,
)
from .quantized_cell import Activate, Product, exact_activation
from .quantized_layer import layer_forward


def lstm_forward_float32(
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
    **options: Any,
) -> tuple[Array, Array, Array]:
    """Run one LSTM layer in one direction in float32, with the order and the rounding of the kernels.

    Parameters
    ----------
    x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, weight_hr : array_like
        As in `lstm_forward`; converted to float32.
    activate : callable, default exact_activation
        As in `lstm_forward_bfloat16`, like all following arguments.
    **options
        Options of the cell.

    Returns
    -------
    output : ndarray of float32, shape (T,B,R)
        h of every step.
    h_n, c_n : ndarray of float32, shape (B,R), (B,H)
        Final states.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import LSTM, reference
    >>> lstm, x = LSTM(3, 8, seed=0), np.ones((5, 1, 3), np.float32)
    >>> p = {name.removesuffix("_l0"): value for name, value in lstm.parameters().items()}
    >>> output, h_n, c_n = reference.lstm_forward_float32(x, None, None, **p)
    >>> bool(np.abs(output - lstm(x)[0]).max() < 1e-6)
    True
    """
    w = weight_ih, weight_hh, weight_hr
    return _forward_with(product_float32, w, x, h_0, c_0, bias_ih, bias_hh, lengths, activate, **options)


def _forward_with(
    product: Callable[..., Array], matrices: tuple[Any, ...], *arguments: Any, **options: Any
) -> tuple[Array, Array, Array]:
    """A layer with the same kind of product for all its matrices: of x, of h and of the projection."""
    products = [None if matrix is None else partial(product, float32_matrix(matrix)) for matrix in matrices]
    shape_ih, shape_hh, _ = map(np.shape, matrices)
    return layer_forward(products, shape_ih[1], shape_hh, *arguments, **options)[:3]


def lstm_forward_bfloat16(
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
    **options: Any,
) -> tuple[Array, Array, Array]:
    """Run one LSTM layer in one direction, in bfloat16.

    Parameters
    ----------
    x, h_0, c_0 : array_like
        As in `lstm_forward`; converted to float32.
    weight_ih, weight_hh : array_like
        As in `lstm_forward`, in float32, or already in bfloat16 (uint16, from `to_bfloat16`).
    bias_ih, bias_hh, lengths : array_like
        As in `lstm_forward`.
    weight_hr : array_like, optional
        Projection, like weight_hh.
    activate : callable, default exact_activation
        activate((name, alpha, beta), z) applies an activation to a float32 array.
    **options
        weight_peephole, norm_ih_weight, norm_hh_weight, norm_c_weight, norm_c_bias, coupled_gates, cell_clip,
        gate_clip, activation, recurrent_activation, cell_activation, resets, learned_h_0 and learned_c_0, as in
        `lstm_forward`.

    Returns
    -------
    output : ndarray of float32, shape (T,B,R)
        h of every step, not rounded: only the operands of products are.
    h_n, c_n : ndarray of float32, shape (B,R), (B,H)
        Final states.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import LSTM, reference
    >>> lstm, x = LSTM(3, 8, seed=0), np.ones((5, 1, 3), np.float32)
    >>> p = {name.removesuffix("_l0"): value for name, value in lstm.parameters().items()}
    >>> output, h_n, c_n = reference.lstm_forward_bfloat16(x, None, None, **p)
    >>> bool(0 < np.abs(output - lstm(x)[0]).max() < 5e-3)
    True
    """
    w = weight_ih, weight_hh, weight_hr
    return _forward_with(product_bfloat16, w, x, h_0, c_0, bias_ih, bias_hh, lengths, activate, **options)


def lstm_forward_bfloat16_amx(
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
    **options: Any,
) -> tuple[Array, Array, Array]:
    """Run one LSTM layer in one direction, in bfloat16 with sums in the order of Intel's AMX.

    Only the order of the sums differs from `lstm_forward_bfloat16`. A sum starts with its bias (with layer norm and in
    the projection, with zero) and adds blocks of 32 k, first those of x, then those of h; the last block of each may be
    shorter. A block is the sum of two chains of float32 fused multiply-adds from zero, one over even and one over odd
    k, as computed by the instruction TDPBF16PS.

    Parameters
    ----------
    x, h_0, c_0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, weight_hr : array_like
        As in `lstm_forward_bfloat16`.
    activate : callable, default exact_activation
        As in `lstm_forward_bfloat16`.
    **options
        As in `lstm_forward_bfloat16`.

    Returns
    -------
    output : ndarray of float32, shape (T,B,R)
        h of every step, not rounded: only the operands of products are.
    h_n, c_n : ndarray of float32, shape (B,R), (B,H)
        Final states.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import LSTM, reference
    >>> lstm, x = LSTM(3, 8, seed=0), np.ones((5, 1, 3), np.float32)
    >>> p = {name.removesuffix("_l0"): value for name, value in lstm.parameters().items()}
    >>> output, h_n, c_n = reference.lstm_forward_bfloat16_amx(x, None, None, **p)
    >>> bool(0 < np.abs(output - lstm(x)[0]).max() < 5e-3)
    True
    """
    w = weight_ih, weight_hh, weight_hr
    return _forward_with(product_bfloat16_amx, w, x, h_0, c_0, bias_ih, bias_hh, lengths, activate, **options)


def float32_matrix(matrix: ArrayLike) -> Array:
    """A float32 or bfloat16 matrix as float32."""
    matrix = np.asarray(matrix)
    return from_bfloat16(matrix) if matrix.dtype == np.uint16 else matrix.astype(np.float32)


def _as_rows(matrix: ArrayLike | QuantizedRows) -> QuantizedRows:
    return matrix if isinstance(matrix, QuantizedRows) else quantize_rows(matrix)


def lstm_forward_int8(
    x: ArrayLike,
    h_0: ArrayLike | None,
    c_0: ArrayLike | None,
    weight_ih: ArrayLike | QuantizedRows,
    weight_hh: ArrayLike | QuantizedRows,
    bias_ih: ArrayLike | None,
    bias_hh: ArrayLike | None,
    lengths: ArrayLike | None = None,
    *,
    inputs: str = "float32",
    activate: Activate = exact_activation,
    **options: Any,
) -> tuple[Array, Array, Array]:
    """Run one LSTM layer in one direction, in int8.

    Parameters
    ----------
    x, h_0, c_0 : array_like
        As in `lstm_forward`; converted to float32. h_0 must lie within [-1, 1].
    weight_ih, weight_hh : array_like or QuantizedRows
        As in `lstm_forward`, in float32, or already in int8. weight_ih is float32 with inputs="float32".
    bias_ih, bias_hh, lengths : array_like
        As in `lstm_forward`.
    inputs : {"float32", "int16", "int8", "hidden"}, default "float32"
        How x is multiplied: in float32; in 16 or 8 bits, with a scale for each row (t, b); or, like the hidden state of
        a layer below, in int8 with the scale 1/127.
    activate : callable, default exact_activation
        activate((name, alpha, beta), z) applies an activation to a float32 array.
    **options
        As in `lstm_forward_bfloat16`. The activations must keep h within [-1, 1].

    Returns
    -------
    output : ndarray of float32, shape (T,B,H)
        h of every step, not rounded: only the operands of products are.
    h_n, c_n : ndarray of float32, shape (B,H)
        Final states.

    Raises
    ------
    ValueError
        If there is a projection, h_0 or the learned initial state does not lie within [-1, 1], or a matrix is not
        finite.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_fast import LSTM, reference
    >>> lstm, x = LSTM(3, 8, seed=0), np.ones((5, 1, 3), np.float32)
    >>> p = {name.removesuffix("_l0"): value for name, value in lstm.parameters().items()}
    >>> output, h_n, c_n = reference.lstm_forward_int8(x, None, None, **p)
    >>> bool(0 < np.abs(output - lstm(x)[0]).max() < 5e-3)
    True
    """
    if options.get("weight_hr") is not None:
        raise ValueError("`weight_hr` must be None in int8: a projected h may lie outside [-1, 1]")
    if inputs not in ("float32", "int16", "int8", "hidden"):
        raise ValueError(f"`inputs` must be float32, int16, int8 or hidden, got {inputs!r}")
    for name, state in (("h_0", h_0), ("learned_h_0", options.get("learned_h_0"))):
        if state is not None and not (np.abs(np.asarray(state)) <= 1).all():
            raise ValueError(f"`{name}` must lie within [-1, 1] in int8")
    options.pop("weight_hr", None)
    rows_hh = _as_rows(weight_hh)
    if inputs == "float32":
        matrix = np.asarray(weight_ih, np.float32)
        of_x: Product = partial(product_float32, matrix)
        input_size = matrix.shape[1]
    else:
        rows_ih = _as_rows(weight_ih)
        of_x = partial(product_hidden, rows_ih)
        if inputs != "hidden":
            of_x = partial(product_inputs, rows_ih, bits=16 if inputs == "int16" else 8)
        input_size = rows_ih.q.shape[1]
    products = of_x, partial(product_hidden, rows_hh), None
    shape = rows_hh.q.shape
    return layer_forward(products, input_size, shape, x, h_0, c_0, bias_ih, bias_hh, lengths, activate, **options)[:3]
