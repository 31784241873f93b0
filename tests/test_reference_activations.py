"""The activations of the reference: textbook formulas, derivatives, limits, rejected parameters."""

import math
import warnings

import numpy as np
import pytest

from lstm_fast import reference
from reference_cases import ACTIVATIONS

# ONNX's formulas, written with the standard library.
FORMULAS = {
    "tanh": lambda z: math.tanh(z),
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "relu": lambda z: max(0.0, z),
    "affine": lambda z, a=1.0, b=0.0: a * z + b,
    "leaky_relu": lambda z, a=0.01: z if z >= 0 else a * z,
    "thresholded_relu": lambda z, a=1.0: z if z >= a else 0.0,
    "scaled_tanh": lambda z, a=1.0, b=1.0: a * math.tanh(b * z),
    "hard_sigmoid": lambda z, a=0.2, b=0.5: min(max(a * z + b, 0.0), 1.0),
    "elu": lambda z, a=1.0: z if z >= 0 else a * (math.exp(z) - 1),
    "softsign": lambda z: z / (1 + abs(z)),
    "softplus": lambda z: math.log(1 + math.exp(z)),
}
POINTS = np.concatenate([np.linspace(-6, 6, 97), [-1e-9, 1e-9, -20, 20]])  # 0, and the kinks below, among them
SPECS = [
    *FORMULAS,
    *(spec for spec in ACTIVATIONS if not isinstance(spec, str)),
    ("affine", -2, 1),
    ("affine", 0),
    ("scaled_tanh", -0.5, 2),
    ("hard_sigmoid", -1, 0.25),
    ("leaky_relu", 0),
    ("elu", 0),
    ("thresholded_relu", 0),
]


def split(spec):
    name, *parameters = (spec,) if isinstance(spec, str) else spec
    return name, parameters


def test_all_onnx_activations_are_supported():
    assert set(reference.ACTIVATIONS) == set(FORMULAS) and len(FORMULAS) == 11


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_activation_matches_its_formula(spec):
    name, parameters = split(spec)
    want = [FORMULAS[name](z, *parameters) for z in POINTS]
    np.testing.assert_allclose(reference.activation(spec)(POINTS), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_activation_backward_computes_the_derivative_from_the_output(spec):
    activation = reference.activation(spec)
    points = POINTS + 0.00137  # off every kink
    derivative = activation(points + 1e-30j).imag / 1e-30
    got = activation.backward(np.full_like(points, 3), activation(points))
    np.testing.assert_allclose(got, 3 * derivative, rtol=1e-7, atol=1e-13)


@pytest.mark.parametrize(
    "spec, kink, derivative",
    [
        ("relu", 0, 0),
        (("leaky_relu", 0.3), 0, 0.3),
        (("elu", 0.8), 0, 0.8),
        ("elu", 0, 1),
        (("hard_sigmoid", 0.5, 0.5), -1, 0),
        (("hard_sigmoid", 0.5, 0.5), 1, 0),
        (("thresholded_relu", 0), 0, 0),
        (("thresholded_relu", 0.5), 0.5, 1),
        ("softsign", 0, 1),
    ],
)
def test_activation_has_a_one_sided_derivative_at_a_kink(spec, kink, derivative):
    activation = reference.activation(spec)
    assert activation.backward(np.ones(1), activation(np.array([float(kink)]))).item() == derivative


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FORMULAS)
def test_activation_reaches_its_limits_without_a_warning_and_propagates_nan(name, dtype):
    activation = reference.activation(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        far = activation(np.array([-1e4, 1e4, np.nan], dtype))
        derivative = activation.backward(np.ones(3, dtype), far)
    assert far.dtype == derivative.dtype == dtype
    limits = {
        "tanh": (-1, 1),
        "sigmoid": (0, 1),
        "relu": (0, 1e4),
        "affine": (-1e4, 1e4),
        "leaky_relu": (-100, 1e4),
        "thresholded_relu": (0, 1e4),
        "scaled_tanh": (-1, 1),
        "hard_sigmoid": (0, 1),
        "elu": (-1, 1e4),
        "softsign": (-1, 1),
        "softplus": (0, 1e4),
    }
    np.testing.assert_allclose(far[:2], limits[name], rtol=2e-4, atol=1e-30)
    assert np.isnan(far[2]) and np.isfinite(derivative[:2]).all()


@pytest.mark.parametrize(
    "spec, message",
    [
        ("sine", "`activation` must be one of tanh, sigmoid, relu, .*, got 'sine'"),
        (("sine", 1), "`activation` must be one of .*, got 'sine'"),
        (("tanh", 1), "`activation`: tanh takes 0 parameters, got 1"),
        (("elu", 1, 2), "`activation`: elu takes 1 parameters, got 2"),
        (("elu", -1), "`activation`: alpha of elu must not be negative, got -1.0"),
        (("leaky_relu", -0.1), "`activation`: alpha of leaky_relu must not be negative"),
        (("thresholded_relu", np.nan), "`activation`: alpha of thresholded_relu must not be negative"),
        (("scaled_tanh", 0), "`activation`: alpha of scaled_tanh must not be 0"),
    ],
)
def test_invalid_activation_raises(spec, message):
    with pytest.raises(ValueError, match=message):
        reference.activation(spec)
