"""What both kinds of layer share around their steps: checked arguments, lengths, resets, initial states, directions."""

import numpy as np


def arrays(shapes, masks=(), **given):
    """The given arguments as arrays of one floating dtype, None as it is; ValueError if a shape is not that in shapes.

    The arguments named in masks have no say in the dtype.
    """
    given = {name: None if array is None else np.asarray(array) for name, array in given.items()}
    for name, array in given.items():
        if array is not None and array.shape != shapes[name]:
            raise ValueError(f"`{name}` must have shape {shapes[name]}, got {array.shape}")
        if array is not None and name.startswith("zoneout") and not np.isin(array, (0, 1)).all():
            raise ValueError(f"`{name}` must hold nothing but 0 and 1")
    dtype = np.result_type(np.float32, *(a.dtype for name, a in given.items() if a is not None and name not in masks))
    return {name: None if array is None else array.astype(dtype, copy=False) for name, array in given.items()}


def or_zeros(gradient, name, like):
    """A copy of an incoming gradient in the shape and dtype of what it is the gradient of; None means zero."""
    gradient = np.zeros_like(like) if gradient is None else np.array(gradient, like.dtype)
    if gradient.shape != like.shape:
        raise ValueError(f"`{name}` must have shape {like.shape}, got {gradient.shape}")
    return gradient


def running_steps(lengths, T, B):
    """Mask (T,B): whether step t lies within sequence b; lengths None means that all do."""
    lengths = np.full(B, T) if lengths is None else np.asarray(lengths)
    if lengths.shape != (B,) or lengths.dtype.kind not in "iu" or ((lengths < 0) | (lengths > T)).any():
        raise ValueError(f"`lengths` must be {B} integers from 0 to {T}, got {lengths.tolist()}")
    return np.arange(T)[:, None] < lengths


def rows_of(running):
    """For each step the index of the sequences that are running: a slice if all are, so that NumPy copies nothing."""
    return [slice(None) if on.all() else np.flatnonzero(on) for on in running]


def reset_steps(resets, running):
    """Mask (T,B): whether sequence b starts anew before step t; never in the padding."""
    resets = np.zeros_like(running) if resets is None else np.asarray(resets)
    if resets.shape != running.shape or resets.dtype != bool:
        raise ValueError(f"`resets` must be bool of shape {running.shape}, got {resets.dtype} of shape {resets.shape}")
    return resets & running


def initial_state(given, learned, shape, dtype):
    """A copy of the given state (B,H); without one the learned state (H,) for every sequence; without that zero."""
    state = given if given is not None else learned if learned is not None else 0
    return np.array(np.broadcast_to(state, shape), dtype)


def initial_state_backward(d_state, given, d_learned):
    """d_given and d_learned, the latter with what it has from resets; None for what there is not."""
    if given is not None:
        return d_state, d_learned
    return None, None if d_learned is None else d_learned + d_state.sum(axis=0)


def restart(state, resets, learned):
    """The state (B,H), with the learned state (H,) or zero for sequences that start anew: resets (B,)."""
    return np.where(resets[:, None], 0 if learned is None else learned, state) if resets.any() else state


def with_rows(state, on, rows):
    """A copy of the state (B,H) with those rows replaced."""
    state = state.copy()
    state[on] = rows
    return state


def restart_backward(d_state, resets, d_learned):
    """d_state before the restart, and d_learned with its share."""
    d_learned = None if d_learned is None else d_learned + d_state[resets].sum(axis=0)
    return restart(d_state, resets, None), d_learned


def time_order(lengths, T, B, is_reverse):
    """The step t (T,B) of sequence b that a direction takes as its s-th; padding stays in its place.

    A permutation that is its own inverse: it also takes results back to where they belong in time.
    """
    t, n = np.arange(T)[:, None], running_steps(lengths, T, B).sum(axis=0)
    return np.where((t < n) & is_reverse, n - 1 - t, t)


def in_order(sequence, order):
    """A (T,B,...) array, or None, with the steps of each sequence in that order."""
    return None if sequence is None else np.asarray(sequence)[order, np.arange(order.shape[1])]


def resets_in_order(resets, lengths, order, is_reverse):
    """The resets as a direction meets them.

    A boundary before t, going forward, is before t - 1 in reverse; where t is padding there is nothing to part.
    """
    if resets is None or not is_reverse:
        return resets
    resets = reset_steps(resets, running_steps(lengths, *order.shape))
    return in_order(np.concatenate([resets[1:], np.zeros_like(resets[:1])]), order)
