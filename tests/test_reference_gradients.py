"""Every gradient of the reference against numerical derivatives of its forward pass, which share no formula with it."""

import numpy as np
import pytest

from numdiff import central_difference, complex_step, complex_step_along, relative_error
from optional import light
from reference_cases import (
    ACTIVATIONS,
    LSTM_FEATURES,
    NEEDS,
    RNN_FEATURES,
    layer_arguments,
    layer_backward,
    layer_forward,
    random_features,
    stack_arguments,
    stack_backward,
    stack_forward,
    weighted_sum,
)

METHODS = [
    pytest.param(complex_step, 1e-12, id="complex_step"),
    pytest.param(central_difference, 1e-9, id="central_difference"),
]
ALONE = [("lstm", feature) for feature in LSTM_FEATURES] + [("rnn", feature) for feature in RNN_FEATURES]


def with_requirements(feature):
    return (feature, NEEDS[feature]) if feature in NEEDS else (feature,)


def check_layer(kind, arguments, incoming, options, numerical_gradient, tolerance):
    """Checks each element of each gradient, and that every array argument has a gradient."""
    *_, tape = layer_forward(kind, arguments, options)
    gradients = layer_backward(kind, tape, incoming)
    assert set(gradients) == set(arguments)
    for name in arguments:

        def loss(value, name=name):
            return weighted_sum(layer_forward(kind, arguments | {name: value}, options)[: len(incoming)], incoming)

        assert relative_error(gradients[name], numerical_gradient(loss, arguments[name])) < tolerance, (
            f"{name}, {options}"
        )


def check_stack_along(arguments, incoming, options, rng, tolerance):
    """Checks the derivative along one random direction for each argument, to which all elements contribute."""
    *_, tape = stack_forward(arguments, options)
    gradients = stack_backward(tape, incoming)
    assert set(gradients) == set(arguments)
    for name in arguments:

        def loss(value, name=name):
            return weighted_sum(stack_forward(arguments | {name: value}, options)[: len(incoming)], incoming)

        direction = rng.standard_normal(arguments[name].shape)
        terms = gradients[name] * direction
        error = abs(terms.sum() - complex_step_along(loss, arguments[name], direction))
        assert error <= tolerance * np.abs(terms).sum(), f"{name}, {options}"


# ---- the plain layers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("numerical_gradient, tolerance", light(METHODS, METHODS[:1]))
@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize(
    "kind, options",
    [
        ("lstm", {}),
        ("rnn", {"nonlinearity": "tanh"}),
        ("rnn", {"nonlinearity": "relu"}),
        ("rnn", {"nonlinearity": "identity"}),
    ],
)
def test_layer_backward_matches_numerical_derivative(kind, options, T, numerical_gradient, tolerance):
    arguments, incoming, _ = layer_arguments(kind, T=T)
    check_layer(kind, arguments, incoming, options, numerical_gradient, tolerance)


@pytest.mark.parametrize("T", [1, 3])
@pytest.mark.parametrize(
    "mode, num_layers, bidirectional, features",
    [
        ("lstm", 1, True, ()),
        ("lstm", 2, True, ("dropout",)),
        ("lstm", 3, False, ("dropout", "no_bias")),
        ("tanh", 2, True, ("dropout", "no_bias")),
        ("relu", 2, False, ()),
        ("identity", 1, True, ()),
    ],
)
def test_stack_backward_matches_complex_step(mode, num_layers, bidirectional, features, T):
    arguments, incoming, options = stack_arguments(mode, num_layers, bidirectional, features, T=T, B=2)
    *_, tape = stack_forward(arguments, options)
    gradients = stack_backward(tape, incoming)
    assert set(gradients) == set(arguments)
    for name in arguments:

        def loss(value, name=name):
            return weighted_sum(stack_forward(arguments | {name: value}, options)[: len(incoming)], incoming)

        assert relative_error(gradients[name], complex_step(loss, arguments[name])) < 1e-12, name


# ---- variants ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, feature", ALONE)
def test_layer_backward_matches_complex_step_with_one_feature(kind, feature):
    arguments, incoming, options = layer_arguments(kind, with_requirements(feature))
    check_layer(kind, arguments, incoming, options, complex_step, 1e-11)


@pytest.mark.parametrize("spec", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("place", ["activation", "recurrent_activation", "cell_activation"])
def test_lstm_backward_matches_complex_step_with_every_activation(place, spec):
    arguments, incoming, _ = layer_arguments("lstm", T=3)
    check_layer("lstm", arguments, incoming, {place: spec}, complex_step, 1e-11)


@pytest.mark.parametrize("seed", light(range(24), range(8)))
def test_layer_backward_matches_complex_step_with_random_features(seed):
    rng = np.random.default_rng(seed)
    kind = "rnn" if seed % 8 == 7 else "lstm"
    features = random_features(rng, kind)
    arguments, incoming, options = layer_arguments(kind, features, seed=seed)
    check_layer(kind, arguments, incoming, options, complex_step, 1e-11)


@pytest.mark.parametrize("kind, feature", ALONE)
def test_stack_backward_matches_complex_step_with_one_feature(kind, feature):
    arguments, incoming, options = stack_arguments(
        "tanh" if kind == "rnn" else kind, 2, True, with_requirements(feature)
    )
    check_stack_along(arguments, incoming, options, np.random.default_rng(0), 1e-11)


@pytest.mark.parametrize("seed", light(range(80), range(27)))
def test_stack_backward_matches_complex_step_with_random_features(seed):
    rng = np.random.default_rng(seed)
    kind = ("tanh", "relu", "identity")[seed // 8 % 3] if seed % 8 == 7 else "lstm"
    features = random_features(rng, "lstm" if kind == "lstm" else "rnn")
    num_layers, bidirectional = int(rng.integers(1, 3)), bool(rng.integers(2))
    arguments, incoming, options = stack_arguments(kind, num_layers, bidirectional, features, seed=seed)
    check_stack_along(arguments, incoming, options, rng, 1e-11)
