"""The binding alone: it refuses what would be unsafe, whatever its callers have checked."""

import numpy as np
import pytest

from lstm_fast import LSTM, _core
from tolerances import assert_same_bits


def test_states_that_do_not_fit_are_refused():
    lstm = LSTM(3, 5, seed=0)
    x, output, h = np.ones((4, 2, 3), np.float32), np.empty((4, 2, 5), np.float32), np.empty((1, 2, 5), np.float32)
    read_only = h.copy()
    read_only.flags.writeable = False
    unaligned = np.zeros(h.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(h.shape)
    for wrong in (h.astype(np.float64), np.zeros((1, 5, 2), np.float32).swapaxes(1, 2), h.astype(">f4"), unaligned):
        with pytest.raises((ValueError, BufferError)):
            lstm._version.weights.forward(x, wrong, None, output, h, h.copy(), None, 1)
    with pytest.raises((ValueError, BufferError)):
        lstm._version.weights.forward(x, None, None, output, read_only, h, None, 1)
    lstm._version.weights.forward(x, read_only, None, output, h, h.copy(), None, 1)


def test_the_core_refuses_gradients_that_do_not_fit():
    lstm = LSTM(3, 5, seed=0)
    x, h, c = np.ones((4, 2, 3), np.float32), np.empty((1, 2, 5), np.float32), np.empty((1, 2, 5), np.float32)
    tape = lstm.forward(x)[2]
    weights, block = lstm._version.weights, tape._memory.block
    apart = _core.Weights("lstm", np.float32, 3, 5, 1, 1, weights.arrays)  # of no flat array
    good = np.empty_like(lstm.flat_parameters)
    rows = [tuple(None if array is None else np.empty_like(array) for array in of) for of in weights.arrays]
    for of, gradients in (
        (weights, good[:-1]),
        (weights, good.astype(np.float64)),
        (weights, good.reshape(1, -1)),
        (apart, [rows[0][:-1]]),
        (apart, []),
        (apart, [(rows[0][0].T, *rows[0][1:])]),
    ):
        with pytest.raises(ValueError):
            of.backward(block, x, None, None, None, None, None, None, h, c, gradients, 1)
    for of, gradients in ((weights, good), (apart, rows)):
        of.backward(block, x, None, None, None, h * 0 + 1, None, None, h.copy(), c, gradients, 1)
    for name, value in zip(_core.PARAMETERS, rows[0], strict=True):
        if value is not None:
            assert_same_bits(value, lstm.unflatten(good)[name + "_l0"])
    with pytest.raises(ValueError, match="PARAMETERS"):
        _core.Weights("lstm", np.float32, 3, 5, 1, 1, [rows[0][:-1]])
