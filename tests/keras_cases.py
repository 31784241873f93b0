"""Shared by the tests of lf.keras: layers, their outputs, files."""

import json
import zipfile

import keras
import numpy as np
from keras import layers

I, H, T, B = 5, 4, 7, 3


def lstm(**options):
    return layers.LSTM(**{"units": H, "return_sequences": True} | options)


def cells(n, **options):
    return [layers.LSTMCell(H, **options) for _ in range(n)]


ACTIVATIONS = ("tanh", "sigmoid", "relu", None, "elu", "leaky_relu", "softsign", "softplus", "hard_sigmoid")

# Functions that create layers, each with the arguments that a weights-only file does not contain.
FEATURES = {
    "LSTM": [(lstm, {})],
    "`use_bias=False`": [(lambda: lstm(use_bias=False), {})],
    "`activation`: tanh, sigmoid, relu, linear, elu, leaky_relu, softsign, softplus, hard_sigmoid": [
        (lambda name=name: lstm(activation=name), {"activation": name}) for name in ACTIVATIONS
    ],
    "`recurrent_activation`: the same": [
        (lambda name=name: lstm(recurrent_activation=name), {"recurrent_activation": name}) for name in ACTIVATIONS
    ],
    "`recurrent_dropout`": [(lambda: lstm(recurrent_dropout=0.3), {"recurrent_dropout": 0.3})],
    "`dropout` (of inputs, in training only: not carried over)": [(lambda: lstm(dropout=0.3), {})],
    "float64": [(lambda: lstm(dtype="float64"), {})],
    "Bidirectional, `merge_mode` concat or None": [
        (lambda: layers.Bidirectional(lstm()), {}),
        (lambda: layers.Bidirectional(lstm(), merge_mode=None), {"merge_mode": None}),
    ],
    "Bidirectional, all of its own": [
        (
            lambda: layers.Bidirectional(
                lstm(activation="softsign", recurrent_activation="tanh", use_bias=False, dtype="float64"),
                dtype="float64",
            ),
            {"activation": "softsign", "recurrent_activation": "tanh"},
        )
    ],
    "RNN of an LSTMCell, or of several": [
        (lambda: layers.RNN(cells(1)[0], return_sequences=True), {}),
        (lambda: layers.RNN(cells(3, use_bias=False), return_sequences=True), {}),
    ],
    "Bidirectional RNN of an LSTMCell": [
        (lambda: layers.Bidirectional(layers.RNN(cells(1)[0], return_sequences=True)), {})
    ],
}
COLUMNS = ("layer", ".keras", ".weights.h5", ".h5", "to a layer")


def randomized(model, seed=0):
    """The layer with random weights and nonzero biases."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 0.5, array.shape).astype(array.dtype) for array in model.get_weights()])
    return model


def inputs(dtype=np.float32, n=I, seed=1):
    return np.random.default_rng(seed).standard_normal((B, T, n)).astype(dtype)


def numbers(value):
    return value.detach().cpu().numpy()


def outputs(layer, x, **more):
    result = layer(x, **more)
    return (
        np.concatenate([numbers(one) for one in result], axis=-1)
        if isinstance(result, (tuple, list))
        else numbers(result)
    )


def assert_same(got, want):
    assert got.shape == want.shape and got.dtype == want.dtype
    limit = (1e-6 if want.dtype == np.float32 else 1e-13) * max(1, np.abs(want).max())
    assert np.abs(got - want).max() <= limit


def model_of(layer, **more):
    sequence = layers.Input((None, I), **more)
    return keras.Model(sequence, layer(sequence))


def saved(model, path):
    model.save_weights(path) if path.name.endswith(".weights.h5") else model.save(path)
    return path


def edited(config, change):
    """The text of a configuration with a change."""
    config = json.loads(config)
    change(config["config"])
    return json.dumps(config)


def rewrite(path, target, **changes):
    """A copy of a .keras file with members changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, changes.get(name, lambda data: data)(old.read(name)))
    return target
