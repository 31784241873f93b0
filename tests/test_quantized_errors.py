"""Errors of LSTM.quantized and its copies: training, unknown formats, unsupported values and options."""

from functools import partial

import numpy as np
import pytest

import lstm_fast
from format_cases import FORMATS
from lstm_fast._options import Fixed
from test_quantized import each_format


@each_format
@pytest.mark.parametrize(
    "call",
    [
        lambda q, x: q.forward(x),
        lambda q, x: q.backward(None, x),
        lambda q, x: q.edit().__enter__(),
        lambda q, x: q.load_state_dict({}),
        lambda q, x: q.quantized(),
    ],
)
def test_training_raises(call, format, inputs):
    quantized = lstm_fast.LSTM(4, 5).quantized(format, inputs=inputs)
    with pytest.raises(AttributeError, match="for inference"):
        call(quantized, np.zeros((1, 1, 4), np.float32))


def test_unknown_formats_raise():
    lstm = lstm_fast.LSTM(4, 5, seed=0)
    with pytest.raises(ValueError, match="format must be 'float16', 'bfloat16', 'bfloat16_amx' or 'int8', got 'int4'"):
        lstm.quantized("int4")
    with pytest.raises(ValueError, match="inputs must be 'float32', 'int16' or 'int8', got 'bfloat16'"):
        lstm.quantized("int8", inputs="bfloat16")
    for format in ("float16", "bfloat16", "bfloat16_amx"):
        with pytest.raises(ValueError, match=f"inputs must be 'float32' with format='{format}', got 'int8'"):
            lstm.quantized(format, inputs="int8")
    for format, inputs in FORMATS.values():
        with pytest.raises(ValueError, match="dtype must be float32 .*float64"):
            lstm_fast.LSTM(4, 5, dtype=np.float64).quantized(format, inputs=inputs)


@each_format
@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_hh_l0"])
def test_unrepresentable_values_raise(name, format, inputs):
    lstm = lstm_fast.LSTM(4, 5, seed=0)
    too_large = {"float16": [1e5], "bfloat16": [3.4e38], "bfloat16_amx": [3.4e38], "int8": []}[format]
    for bad in (np.inf, -np.inf, np.nan, *too_large):
        with lstm.edit() as p:
            p[name].ravel()[3] = bad
        with pytest.raises(ValueError, match=f"{name} must be finite.* to be stored as {format}"):
            lstm.quantized(format, inputs=inputs)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(proj_size=2), "proj_size must be 0 with format='int8', .*, got 2"),
        (dict(cell_activation="relu"), r"cell_activation must have values within \[-1, 1\] .*, got 'relu'"),
        (dict(cell_activation=("scaled_tanh", 1.5, 1.0)), "cell_activation must .*got .'scaled_tanh', 1.5, 1.0."),
        (dict(recurrent_activation="softplus"), "recurrent_activation must .*got 'softplus'"),
        (dict(recurrent_activation=("affine", 0.1, 0.0)), "recurrent_activation must"),
    ],
    ids=str,
)
def test_options_with_unbounded_h_raise_in_int8(options, message):
    lstm = lstm_fast.LSTM(4, 5, seed=0, **options)
    with pytest.raises(ValueError, match=message):
        lstm.quantized("int8")
    lstm.quantized("bfloat16")


@pytest.mark.parametrize("format", ["float16", "bfloat16", "int8"])
def test_unsupported_new_option_raises(format, monkeypatch):
    """An option added to LSTM raises unless it is listed as supported or has its default value."""
    option = Fixed("A new option.", lambda name, value: value, default=False)
    option.name, option.slot = "new_option", "_new_option"
    monkeypatch.setattr(lstm_fast.LSTM, "new_option", option, raising=False)
    monkeypatch.setattr(lstm_fast.LSTM, "_new_option", False, raising=False)
    lstm = lstm_fast.LSTM(4, 5, seed=0)
    lstm.quantized(format)
    lstm._new_option = True
    with pytest.raises(ValueError, match=f"new_option must be False with format='{format}', got True"):
        lstm.quantized(format)


def test_h_outside_its_range_raises_in_int8():
    lstm = lstm_fast.LSTM(4, 5, seed=0)
    quantized, x = lstm.quantized("int8"), np.zeros((2, 3, 4), np.float32)
    c = np.full((1, 3, 5), 7, np.float32)
    for bad in (1.0001, -2, np.nan, np.inf):
        h = np.zeros((1, 3, 5), np.float32)
        h[0, 1, 2] = bad
        calls = [
            lambda h=h: quantized(x, (h, c)),
            lambda h=h: quantized(x, (h.tolist(), c.tolist())),
            lambda h=h: quantized(x, [h, c], num_threads=1),
            lambda h=h: quantized.trace(x, (h, None)),
        ]
        for call in calls:
            with pytest.raises(ValueError, match=r"h_0 must lie within \[-1, 1\] with format='int8', got"):
                call()
        stream = quantized.stream(3)
        for write, state in (
            (partial(setattr, stream, "state"), (h, c)),
            (stream.restore, stream.snapshot()._replace(h=h)),
        ):
            with pytest.raises(ValueError, match=r"h must lie within \[-1, 1\]"):
                write(state)
            assert not stream.h.any() and not stream.c.any()
        lstm.quantized("bfloat16")(x, (h, c))
    quantized(x, (np.ones((1, 3, 5)), c))
    learned = lstm_fast.LSTM(4, 5, seed=0, learn_initial_state=True)
    with learned.edit() as p:
        p["h_0_l0"][2] = 1.5
    with pytest.raises(ValueError, match="h_0_l0 must lie within"):
        learned.quantized("int8")


def test_loading_stored_parameters_as_weights_raises():
    lstm = lstm_fast.LSTM(4, 5, seed=0)
    small = lstm.quantized("bfloat16")
    for call in (lstm.load_state_dict, lstm_fast.weights.load):
        with pytest.raises(TypeError, match="weight_ih_l0 must hold numbers, got uint16, .*dequantized"):
            call(small.state_dict())
    lstm.load_state_dict(small.dequantized().state_dict())
    small = lstm.quantized("int8")
    with pytest.raises(ValueError, match="unexpected .*scale_hh_l0"):
        lstm.load_state_dict(small.state_dict())
    with pytest.raises(TypeError, match="weight_hh_l0 must hold weights, got int8"):
        lstm_fast.weights.load(small.state_dict())
