"""Trace: the activations of an LSTM at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from ._lstm import LSTMNetwork
    from ._types import Array


class Trace(NamedTuple):
    """Activations of an LSTM at every step.

    Attributes
    ----------
    i, f, g, o : ndarray of shape (num_layers, D, T, B, H)
        Input gate, forget gate, cell candidate and output gate.
    c : ndarray of shape (num_layers, D, T, B, H)
        Cell state.
    h : ndarray of shape (num_layers, D, T, B, R)
        Hidden state, R = proj_size or H.
    """

    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array


def trace(network: LSTMNetwork, x: Any, state: Any, lengths: Any, resets: Any, num_threads: int | None) -> Trace:
    """Return the Trace of an inference call."""
    tape = network._run(x, state, lengths, resets, num_threads, keep=True)[2]
    assert tape is not None
    L, D, H, R = network.num_layers, network.num_directions, network.hidden_size, network.h_size
    shape = L, D, tape.steps, tape.batch_size
    i, f, g, o, c = np.zeros((5, *shape, H), network.dtype)
    result = Trace(i, f, g, o, c, np.zeros((*shape, R), network.dtype))
    for layer in range(L):
        for direction in range(D):
            gates, cells, outputs = tape.look(layer, direction)
            for r, (row, n) in enumerate(tape.rows()):
                in_time = slice(n - 1, None, -1) if direction and n else slice(n)
                for k, values in enumerate((result.i, result.f, result.g, result.o)):
                    values[layer, direction, :n, row] = gates[:n, r, k][in_time]
                result.c[layer, direction, :n, row] = cells[1 : n + 1, r][in_time]
                result.h[layer, direction, :n, row] = outputs[:n, r, direction * R : (direction + 1) * R]
    return result
