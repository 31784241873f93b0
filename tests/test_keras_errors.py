"""Errors of lf.keras: unsupported layers, options that Keras lacks, masks that are not lengths."""

import numpy as np
import pytest
from keras import layers

import lstm_fast as lf
from keras_cases import (
    B,
    H,
    I,
    T,
    cells,
    lstm,
)

# Of Keras' own variables.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def own(x):
    return x


def built(layer):
    layer.build((B, T, I))
    return layer


@pytest.mark.parametrize(
    "layer, words",
    [
        (lambda: lstm(), "layer 'lstm.*' must be built"),
        (lambda: built(lstm(activation="gelu")), "activation of layer 'lstm.*got 'gelu'"),
        (lambda: built(lstm(recurrent_activation="exponential")), "recurrent_activation of .*got 'exponential'"),
        (lambda: built(lstm(activation=own)), "activation of layer 'lstm.*own"),
        (lambda: built(layers.GRU(3)), "must be an LSTM, an RNN of LSTMCells.* got GRU"),
        (lambda: built(layers.RNN(layers.GRUCell(3))), "got RNN"),
        (lambda: built(layers.RNN([layers.LSTMCell(3), layers.GRUCell(3)])), "got RNN"),
        (
            lambda: built(layers.RNN([layers.LSTMCell(3), layers.LSTMCell(2)])),
            "of one LSTM must have equal sizes",
        ),
        (
            lambda: built(layers.RNN([layers.LSTMCell(3), layers.LSTMCell(3, activation="relu")])),
            "must have equal sizes",
        ),
        (lambda: built(layers.Bidirectional(layers.RNN(cells(2)))), "got Bidirectional"),
        (lambda: built(layers.Bidirectional(layers.GRU(3))), "got Bidirectional"),
        (
            lambda: built(layers.Bidirectional(lstm(), backward_layer=lstm(go_backwards=True, activation="relu"))),
            "must be equal in size and options",
        ),
        (lambda: built(layers.Bidirectional(lstm(go_backwards=True), backward_layer=lstm())), "go_backwards of layer"),
        (lambda: [built(lstm()), built(lstm())], "read the previous one's output"),
    ],
)
def test_unsupported_layers_raise(layer, words):
    with pytest.raises(ValueError, match=words):
        lf.keras.from_layer(layer())


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: lf.keras.from_layer(np.zeros(3)), "layer must be a Keras layer or a list of them, got"),
        (lambda: lf.keras.from_layer([]), "layer must be a Keras layer"),
        (lambda: lf.keras.from_layer(built(lstm()), units=3), "must be one of activation, .*got units"),
        (lambda: lf.keras.to_layer(lf.RNN(2, 3)), "lstm must be an LSTM, got RNN"),
    ],
)
def test_invalid_types_raise_type_error(call, words):
    with pytest.raises(TypeError, match=words):
        call()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"proj_size": 2}, "proj_size must be 0 for Keras, got 2"),
        ({"peepholes": True}, "peepholes"),
        ({"layer_norm": True}, "layer_norm"),
        ({"coupled_gates": True}, "coupled_gates"),
        ({"cell_clip": 3.0}, "cell_clip must be None for Keras, got 3.0"),
        ({"gate_clip": 3.0}, "gate_clip"),
        ({"learn_initial_state": True}, "learn_initial_state"),
        ({"zoneout": (0.0, 0.1)}, "zoneout"),
        ({"activation": "relu"}, "cell_activation must equal activation for Keras, 'relu', got 'tanh'"),
        ({"recurrent_activation": ("hard_sigmoid", 0.2, 0.5)}, "recurrent_activation must be supported by Keras"),
    ],
)
def test_options_that_keras_lacks_raise(options, words):
    with pytest.raises(ValueError, match=words):
        lf.keras.to_layer(lf.LSTM(I, H, seed=0, **options))


@pytest.mark.parametrize(
    "mask, words",
    [
        (np.ones((2, 3)), "mask must be boolean of shape .B, T., got float64"),
        (np.ones(3, bool), r"got bool \(3,\)"),
        ([[True, True], [False, True]], "padded on the right.* in sequence 1"),
        ([[True, False, True]], "gap .*in sequence 0"),
    ],
)
def test_masks_that_are_not_lengths_raise(mask, words):
    with pytest.raises(ValueError, match=words):
        lf.keras.lengths(mask)
    assert lf.keras.lengths(np.zeros((2, 0), bool)).tolist() == [0, 0]
