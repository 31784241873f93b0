"""Operations that cell variants add to a step, each followed by its derivative.

An operation whose parameter is None returns its argument unchanged. A function called <operation>_backward takes the
gradient of the result and returns those of the arguments, None for a parameter that was None.
"""

import numpy as np

from ._types import Array

NORM_EPSILON = 1e-5  # as in haste and in PyTorch's LayerNorm


# ---- the input product -----------------------------------------------------------------------------------------------


def input_product(x: Array, weight_ih: Array) -> Array:
    """Return x W_ih^T. Symbols (B,) instead of numbers (B,I) select columns of W_ih, as one-hot vectors would."""
    return weight_ih.T[x] if x.ndim == 1 else x @ weight_ih.T


def input_product_backward(d: Array, x: Array, weight_ih: Array) -> tuple[Array | None, Array]:
    """Return d_x, None for symbols, and d_weight_ih."""
    if x.ndim > 1:
        return d @ weight_ih, d.T @ x
    d_weight_ih = np.zeros_like(weight_ih)
    np.add.at(d_weight_ih.T, x, d)
    return None, d_weight_ih


# ---- clipping --------------------------------------------------------------------------------------------------------


def clip(z: Array, bound: float | None) -> Array:
    """Return z clipped to [-bound, bound]."""
    return z if bound is None else np.where(z.real < -bound, -bound, np.where(z.real > bound, bound, z))


def clip_backward(d: Array, z: Array, bound: float | None) -> Array:
    """Return d_z, zero where z, before or after clipping, has reached the bound."""
    return d if bound is None else np.where(np.abs(z.real) >= bound, 0, d)


# ---- peepholes (Gers & Schmidhuber 2000) -----------------------------------------------------------------------------


def split_peepholes(weight_peephole: Array | None) -> tuple[Array | None, Array | None, Array | None]:
    """Return the weights of i, f and o, each (H,)."""
    if weight_peephole is None:
        return None, None, None
    p_i, p_f, p_o = np.split(weight_peephole, 3)
    return p_i, p_f, p_o


def peep(pre: Array, p: Array | None, c: Array) -> Array:
    """Return the pre-activation of a gate with a peephole to the cell state c."""
    return pre if p is None else pre + p * c


def peep_backward(d_pre: Array, p: Array | None, c: Array) -> tuple[Array | int, Array | None]:
    """Return d_c and d_p."""
    return (0, None) if p is None else (d_pre * p, (d_pre * c).sum(axis=0))


# ---- layer normalization (Ba et al. 2016) ----------------------------------------------------------------------------


def standardize(a: Array) -> tuple[Array, Array]:
    """Shift each row of a to mean 0 and scale it to variance 1; return it and the standard deviations."""
    centered = a - a.mean(axis=1, keepdims=True)
    deviation: Array = np.sqrt((centered * centered).mean(axis=1, keepdims=True) + NORM_EPSILON)
    return centered / deviation, deviation


def norm(a: Array, weight: Array | None, bias: Array | None = None) -> Array:
    """Apply layer normalization over the columns."""
    if weight is None:
        return a
    n, _ = standardize(a)
    return n * weight + (0 if bias is None else bias)


def norm_backward(d: Array, a: Array, weight: Array | None) -> tuple[Array, Array | None]:
    """Return d_a and d_weight."""
    if weight is None:
        return d, None
    n, deviation = standardize(a)
    d_n = d * weight
    d_a = (d_n - d_n.mean(axis=1, keepdims=True) - n * (d_n * n).mean(axis=1, keepdims=True)) / deviation
    return d_a, (d * n).sum(axis=0)


# ---- projection (Sak et al. 2014) ------------------------------------------------------------------------------------


def project(unprojected: Array, weight_hr: Array | None) -> Array:
    """Return the hidden state (B,R) from its H values before the projection."""
    return unprojected if weight_hr is None else unprojected @ weight_hr.T


def project_backward(d_h: Array, unprojected: Array, weight_hr: Array | None) -> tuple[Array, Array | None]:
    """Return d_unprojected and d_weight_hr."""
    return (d_h, None) if weight_hr is None else (d_h @ weight_hr, d_h.T @ unprojected)


# ---- zoneout (Krueger et al. 2017) -----------------------------------------------------------------------------------


def zoneout(old: Array, new: Array, mask: Array | None) -> Array:
    """Return the old state where the mask is 1, else the new one."""
    return new if mask is None else np.where(mask != 0, old, new)


def zoneout_backward(d: Array, mask: Array | None) -> tuple[Array | int, Array]:
    """Return d_old and d_new."""
    return (0, d) if mask is None else (np.where(mask != 0, d, 0), np.where(mask != 0, 0, d))
