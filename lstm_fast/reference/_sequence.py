"""Shared by LSTM and plain RNN layers: argument checks, lengths, resets, initial states, directions."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ._types import Array, Rows


def read_arrays(masks: Iterable[str] = (), **given: tuple[ArrayLike | None, tuple[int, ...]]) -> dict[str, Any]:
    """Return the given arguments, each with its expected shape, as arrays of one floating dtype; None stays None.

    The dtype is the common one of all arguments except those named in `masks`, and at least float32. Raises ValueError
    for a wrong shape, and for a zoneout mask with values other than 0 and 1.
    """
    arrays = {name: None if value is None else np.asarray(value) for name, (value, _) in given.items()}
    for name, array in arrays.items():
        if array is not None and array.shape != given[name][1]:
            raise ValueError(f"`{name}` must have shape {given[name][1]}, got {array.shape}")
        if array is not None and name.startswith("zoneout") and not np.isin(array, (0, 1)).all():
            raise ValueError(f"`{name}` must contain only 0 and 1, got {array[~np.isin(array, (0, 1))][0]}")
    dtypes = (array.dtype for name, array in arrays.items() if array is not None and name not in masks)
    dtype = np.result_type(np.float32, *dtypes)
    return {name: None if array is None else array.astype(dtype, copy=False) for name, array in arrays.items()}


def is_symbols(x: ArrayLike) -> bool:
    """Return whether x is integers (T,B), the symbols of an LSTM with index_input, and not (T,B,I) numbers."""
    array = np.asarray(x)
    return array.ndim == 2 and array.dtype.kind in "iu"


def read_symbols(x: ArrayLike, n_symbols: int, valid: Array) -> Array:
    """Return the symbols (T,B), each from 0 to n_symbols - 1; those in the padding may be anything."""
    array = np.asarray(x)
    wrong = valid & ((array < 0) | (array >= n_symbols))
    if wrong.any():
        raise ValueError(f"`x` must be symbols from 0 to {n_symbols - 1}, got {array[wrong][0]}")
    return np.where(valid, array, 0).astype(np.int64)


def one_hot(x: ArrayLike, n_symbols: int, lengths: ArrayLike | None) -> Array:
    """Return symbols (T,B) as one-hot vectors (T,B,I); any other x unchanged."""
    if not is_symbols(x):
        return np.asarray(x)
    (T, B), vectors = np.shape(x), np.eye(n_symbols, dtype=np.float32)
    return vectors[read_symbols(x, n_symbols, valid_steps(lengths, T, B))]


def or_zeros(gradient: ArrayLike | None, name: str, like: Array) -> Array:
    """Return a copy of an incoming gradient, with the shape and dtype of `like`; zeros for None."""
    d = np.zeros_like(like) if gradient is None else np.array(gradient, like.dtype)
    if d.shape != like.shape:
        raise ValueError(f"`{name}` must have shape {like.shape}, got {d.shape}")
    return d


# ---- lengths ---------------------------------------------------------------------------------------------------------


def valid_steps(lengths: ArrayLike | None, T: int, B: int) -> Array:
    """Return the mask (T,B), true where step t lies within sequence b; all true if lengths is None."""
    lengths = np.full(B, T) if lengths is None else np.asarray(lengths)
    if lengths.shape != (B,) or lengths.dtype.kind not in "iu" or ((lengths < 0) | (lengths > T)).any():
        raise ValueError(f"`lengths` must be {B} integers from 0 to {T}, got {lengths.tolist()}")
    return np.arange(T)[:, None] < lengths


def active_rows(valid: Array) -> list[Rows]:
    """Return the sequences active at each step: an index array, or a slice if all are, so that NumPy copies nothing."""
    return [slice(None) if on.all() else np.flatnonzero(on) for on in valid]


def replace_rows(state: Array, on: Rows, rows: Array) -> Array:
    """Return a copy of the state (B,H) with these rows replaced."""
    state = state.copy()
    state[on] = rows
    return state


# ---- initial states and resets ---------------------------------------------------------------------------------------


def reset_steps(resets: ArrayLike | None, valid: Array) -> Array:
    """Return the mask (T,B), true where sequence b restarts before step t; always false in the padding."""
    resets = np.zeros_like(valid) if resets is None else np.asarray(resets)
    if resets.shape != valid.shape or resets.dtype != bool:
        raise ValueError(f"`resets` must be bool of shape {valid.shape}, got {resets.dtype} of shape {resets.shape}")
    both: Array = resets & valid
    return both


def initial_state(given: Array | None, learned: Array | None, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return a copy of the given state (B,H), else the learned state (H,) for every sequence, else zeros."""
    state: Array | int = given if given is not None else learned if learned is not None else 0
    return np.array(np.broadcast_to(state, shape), dtype)


def initial_state_backward(
    d_state: Array, given: Array | None, d_learned: Array | None
) -> tuple[Array | None, Array | None]:
    """Return d_given and d_learned, to which the resets have already contributed; None for a state that was None."""
    if given is not None:
        return d_state, d_learned
    return None, None if d_learned is None else d_learned + d_state.sum(axis=0)


def restart(state: Array, resets: Array, learned: Array | None) -> Array:
    """Return the state (B,H) with the learned state (H,), or zero, in sequences that restart: resets (B,)."""
    return np.where(resets[:, None], 0 if learned is None else learned, state) if resets.any() else state


def restart_backward(d_state: Array, resets: Array, d_learned: Array | None) -> tuple[Array, Array | None]:
    """Return d_state before the restart, and d_learned with the contribution of the restarted sequences."""
    d_learned = None if d_learned is None else d_learned + d_state[resets].sum(axis=0)
    return restart(d_state, resets, None), d_learned


# ---- directions ------------------------------------------------------------------------------------------------------


def time_order(lengths: ArrayLike | None, T: int, B: int, is_reverse: bool) -> Array:
    """Return the steps (T,B) of each sequence in the order in which a direction visits them; padding keeps its place.

    The permutation is its own inverse: it also brings results back into the order of time.
    """
    t, n = np.arange(T)[:, None], valid_steps(lengths, T, B).sum(axis=0)
    return np.where((t < n) & is_reverse, n - 1 - t, t)


def reorder(sequence: ArrayLike | None, order: Array) -> Array | None:
    """Return a (T,B,...) array with the steps of each sequence in that order; None stays None."""
    return None if sequence is None else np.asarray(sequence)[order, np.arange(order.shape[1])]


def reorder_resets(
    resets: ArrayLike | None, lengths: ArrayLike | None, order: Array, is_reverse: bool
) -> ArrayLike | None:
    """Return the resets in the order in which a direction meets them.

    A boundary that lies before step t going forward lies before step t - 1 in reverse. Boundaries in the padding
    separate nothing.
    """
    if resets is None or not is_reverse:
        return resets
    valid = reset_steps(resets, valid_steps(lengths, *order.shape))
    return reorder(np.concatenate([valid[1:], np.zeros_like(valid[:1])]), order)
