"""Fleets: invalid arguments raise errors that name them."""

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast import _core


@pytest.mark.parametrize(
    "name,value",
    [("hidden_size", 6), ("dtype", np.float64), ("peepholes", True), ("dropout", 0.5), ("batch_first", True)],
)
def test_incompatible_models_raise(name, value):
    first, other = lf.LSTM(3, 5, 2), {"input_size": 3, "hidden_size": 5, "num_layers": 2, name: value}
    with pytest.raises(ValueError, match=rf"{name} of models\[2\]"):
        lf.Fleet([first, first, lf.LSTM(**other)])
    with pytest.raises(ValueError, match=name):
        lf.Fleet([first])[0] = lf.LSTM(**other)


def test_invalid_arguments_raise():
    fleet = lf.Fleet([lf.LSTM(3, 5, seed=k, forget_bias=[None, 1.0][k]) for k in range(2)])
    x = np.zeros((2, 4, 1, 3))
    output, _, tape = fleet.forward(x)
    for match, call in {
        "at least one LSTM": lambda: lf.Fleet([]),
        r"models\[0\] must be an LSTM, got RNN": lambda: lf.Fleet([lf.RNN(3, 5)]),
        r"x must have shape \(K, T, B, I\)": lambda: fleet(x[:1]),
        "x must have shape": lambda: fleet(x[0, 0]),
        "h_0 must have shape": lambda: fleet(x, (np.zeros((1, 1, 1, 5)), None)),
        "state must be a pair": lambda: fleet(x, np.zeros(3)),
        "lengths must be integers": lambda: fleet(x, lengths=[4, 4]),
        "lengths must be from 0 to T = 4, got 5": lambda: fleet(x, lengths=[[4], [5]]),
        "resets must be boolean": lambda: fleet(x, resets=np.zeros((4, 1), bool)),
        "d_output must have shape": lambda: fleet.backward(tape, output[0]),
        "tape must come from forward of this fleet": lambda: fleet[:1].backward(tape, output[:1]),
        "tape must come from forward of this module, got FleetTape": lambda: fleet[0].backward(tape, output[0]),
        "training must be True or False": lambda: fleet.forward(x, training=1),
        "one direction": lambda: lf.Fleet([lf.LSTM(3, 5, bidirectional=True)]).stream(),
        "x must have shape .K, B, I.": lambda: fleet.stream().step(x[:1, 0]),
        "mask must be boolean of shape": lambda: fleet.stream().reset([True]),
        "snapshot must come from": lambda: fleet.stream().restore(None),
    }.items():
        with pytest.raises((ValueError, TypeError), match=match):
            call()
    with pytest.raises(AttributeError, match="hidden_size is fixed"):
        fleet.hidden_size = 3
    with pytest.raises(IndexError):
        fleet[2]


def test_binding_checks_shapes():
    lstm = lf.LSTM(3, 5)
    w = _core.FleetWeights(lstm._version.weights, np.zeros((2, len(lstm.flat_parameters)), np.float32))
    x, output, h = (np.zeros(shape, np.float32) for shape in ((2, 4, 1, 3), (2, 4, 1, 5), (2, 1, 1, 5)))
    w.forward(x, None, None, output, h, h.copy(), None, 1)
    for wrong in (x[:1], x[0], x[..., :2], x.astype(np.float64), None):
        with pytest.raises(ValueError, match="x must be"):
            w.forward(wrong, None, None, output, h, h.copy(), None, 1)
    with pytest.raises(ValueError, match="output must be"):
        w.forward(x, None, None, output[:, :3], h, h.copy(), None, 1)
    with pytest.raises(ValueError, match="h_n must be"):
        w.forward(x, None, None, output, h[..., :4], h.copy(), None, 1)
    with pytest.raises(ValueError, match="from 0 to 4 .* got length 5 and row 0 at position 0 of model 0"):
        w.forward(x, None, None, output, h, h.copy(), None, 1, order=(np.array([[5], [1]]), np.zeros((2, 1))))
    with pytest.raises(ValueError, match="seeds"):
        w.forward(x, None, None, output, h, h.copy(), None, 1, seeds=np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="flat must be"):
        _core.FleetWeights(lstm._version.weights, np.zeros((2, 7), np.float32))
