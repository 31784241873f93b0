"""The variants of the LSTM: masks, zero gradients, and that no argument is ignored or accepted in a wrong shape.

Steps of the variants computed by hand are in test_reference_worked_examples.py.
"""

import numpy as np
import pytest

from lstm_fast import reference
from numdiff import relative_error
from reference_cases import (
    LSTM_FEATURES,
    NEEDS,
    B,
    H,
    R,
    T,
    layer_arguments,
    layer_backward,
    layer_forward,
    stack_arguments,
    stack_backward,
    stack_forward,
)

ALL = tuple(feature for feature in LSTM_FEATURES if feature not in ("no_bias", "zero_h_0", "zero_c_0"))


def test_recurrent_mask_applies_to_the_product_but_not_to_the_state():
    arguments, _, _ = layer_arguments("lstm")
    dropped, *_ = reference.lstm_forward(**arguments, recurrent_mask=np.zeros((B, H)))
    cut, *_ = reference.lstm_forward(**arguments | {"weight_hh": 0 * arguments["weight_hh"]})
    np.testing.assert_array_equal(dropped, cut)
    assert dropped.all()


def test_stack_gives_each_layer_and_direction_its_own_masks_in_the_order_of_time():
    features = ("projection", "recurrent_dropout", "zoneout_h", "zoneout_c")
    arguments, _, options = stack_arguments("lstm", 2, True, features)
    output, h_n, c_n, _ = stack_forward(arguments, options)
    layer_input = arguments["x"]
    for layer in range(2):
        outputs = []
        for suffix, step in (("", 1), ("_reverse", -1)):
            k, names = len(outputs) + 2 * layer, ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
            one, h, c, _ = reference.lstm_forward(
                layer_input[::step],
                arguments["h_0"][k],
                arguments["c_0"][k],
                **{name: arguments[f"{name}_l{layer}{suffix}"] for name in names},
                recurrent_mask=options["recurrent_masks"][k],
                zoneout_h_mask=options["zoneout_h_masks"][k][::step],
                zoneout_c_mask=options["zoneout_c_masks"][k][::step],
            )
            np.testing.assert_array_equal(h_n[k], h)
            np.testing.assert_array_equal(c_n[k], c)
            outputs.append(one[::step])
        layer_input = np.concatenate(outputs, axis=2)
    np.testing.assert_array_equal(output, layer_input)


# ---- gradients that must be zero -----------------------------------------------------------------------------------


def test_forget_gate_of_coupled_gates_has_no_gradient():
    arguments, incoming, options = layer_arguments("lstm", ("coupled_gates", "peepholes", "projection"))
    *_, tape = layer_forward("lstm", arguments, options)
    gradients = layer_backward("lstm", tape, incoming)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_peephole"):
        unused = gradients[name][H : 2 * H]
        assert not unused.any() and gradients[name].any()


@pytest.mark.parametrize("clip", ["cell_clip", "gate_clip"])
def test_no_gradient_flows_through_clipped_values(clip):
    arguments, incoming, _ = layer_arguments("lstm", T=1)
    options = {clip: 1e-3}  # all values lie beyond
    *_, tape = layer_forward("lstm", arguments, options)
    gradients = layer_backward("lstm", tape, incoming)
    rows = slice(0, 3 * H) if clip == "cell_clip" else slice(None)  # the output gate comes after the cell
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        assert not gradients[name][rows].any(), name
    assert gradients["c_0"].any() == (clip == "gate_clip")


# ---- every argument has an effect ------------------------------------------------------------------------------------


@pytest.mark.parametrize("feature", [f for f in ALL if f not in ("projection", "learned_h_0", "learned_c_0")])
def test_every_feature_changes_the_results(feature):
    arguments, _, options = layer_arguments("lstm", (feature, NEEDS.get(feature, feature)))
    base, _, base_options = layer_arguments("lstm", (NEEDS[feature],) if feature in NEEDS else ())
    *results, _ = layer_forward("lstm", arguments, options)
    *without, _ = layer_forward("lstm", {name: arguments[name] for name in base}, base_options)
    assert max(relative_error(got, other) for got, other in zip(results, without)) > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_layer_with_every_feature_keeps_the_dtype(kind, dtype):
    features = ALL if kind == "lstm" else ("recurrent_dropout", "zoneout_h", "lengths", "resets", "learned_h_0")
    arguments, incoming, options = layer_arguments(kind, features)
    *want, tape_64 = layer_forward(kind, arguments, options)
    *results, tape = layer_forward(kind, {name: a.astype(dtype) for name, a in arguments.items()}, options)
    gradients = layer_backward(kind, tape, {name: d.astype(dtype) for name, d in incoming.items()})
    assert {a.dtype for a in (*results, *gradients.values())} == {np.dtype(dtype)}
    want += layer_backward(kind, tape_64, incoming).values()
    for got, expected in zip([*results, *gradients.values()], want, strict=True):
        assert relative_error(got, expected) < (1e-4 if dtype is np.float32 else 1e-14)


@pytest.mark.parametrize(
    "spec",
    [
        "tanh",
        "sigmoid",
        "relu",
        "affine",
        "leaky_relu",
        "thresholded_relu",
        "scaled_tanh",
        "hard_sigmoid",
        "elu",
        "softsign",
        "softplus",
    ],
)
def test_layer_with_any_activation_keeps_float32(spec):
    arguments, incoming, _ = layer_arguments("lstm", T=2)
    options = dict(activation=spec, recurrent_activation=spec, cell_activation=spec)
    *results, tape = layer_forward("lstm", {name: a.astype(np.float32) for name, a in arguments.items()}, options)
    assert {a.dtype for a in (*results, *layer_backward("lstm", tape, incoming).values())} == {np.dtype(np.float32)}


def test_layer_backward_is_independent_of_overwritten_results():
    arguments, incoming, options = layer_arguments("lstm", ALL)
    *results, tape = layer_forward("lstm", arguments, options)
    want = layer_backward("lstm", tape, incoming)
    for array in (*results, *layer_backward("lstm", tape, incoming).values()):
        array[...] = np.nan
    for name, d in layer_backward("lstm", tape, incoming).items():
        np.testing.assert_array_equal(d, want[name], err_msg=name)


def test_stack_with_every_feature_works_when_arguments_are_read_only():
    arguments, incoming, options = stack_arguments("lstm", 2, True, ALL)
    for array in (*arguments.values(), *incoming.values(), options["resets"], options["lengths"]):
        array.setflags(write=False)
    *_, tape = stack_forward(arguments, options)
    assert set(stack_backward(tape, incoming)) == set(arguments)


@pytest.mark.parametrize("T, B", [(0, 2), (3, 0), (0, 0)])
@pytest.mark.parametrize("kind", ["lstm", "tanh"])
def test_stack_with_every_feature_works_when_T_or_B_is_0(kind, T, B):
    features = ALL if kind == "lstm" else ("recurrent_dropout", "zoneout_h", "lengths", "resets", "learned_h_0")
    arguments, incoming, options = stack_arguments(kind, 2, True, features, T=T, B=B)
    output, *last, tape = stack_forward(arguments, options)
    assert output.shape == incoming["d_output"].shape
    np.testing.assert_array_equal(last[0], arguments["h_0"])
    for name, d in stack_backward(tape, incoming).items():
        np.testing.assert_array_equal(d, incoming[f"d_{name[0]}_n"] if name in ("h_0", "c_0") else 0 * arguments[name])


# ---- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, features", [("lstm", ALL), ("rnn", ("recurrent_dropout", "zoneout_h", "learned_h_0"))])
def test_layer_error_names_the_argument_with_an_invalid_shape(kind, features):
    arguments, _, options = layer_arguments(kind, features)
    given = arguments | {name: value for name, value in options.items() if name.endswith("_mask")}
    for name in set(given) - {"x", "weight_hh", "weight_hr"}:  # these define the sizes
        with pytest.raises(ValueError, match=rf"`{name}` must have shape .*, got "):
            layer_forward(kind, arguments | options | {name: given[name][1:]}, {})


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(lengths=[1, 2]), r"`lengths` must be 4 integers from 0 to 5, got \[1, 2\]"),
        (dict(lengths=[1, 2, 3, 6]), r"`lengths` must be 4 integers from 0 to 5, got"),
        (dict(lengths=[1, 2, 3, -1]), r"`lengths` must be 4 integers from 0 to 5, got"),
        (dict(lengths=[1.0, 2, 3, 4]), r"`lengths` must be 4 integers from 0 to 5, got"),
        (dict(resets=np.zeros((T, B), int)), r"`resets` must be bool of shape \(5, 4\), got int64"),
        (dict(resets=np.zeros((B, T), bool)), r"`resets` must be bool of shape \(5, 4\), got bool of shape \(4, 5\)"),
        (dict(zoneout_h_mask=np.full((T, B, H), 0.5)), "`zoneout_h_mask` must contain only 0 and 1"),
        (dict(zoneout_c_mask=np.full((T, B, H), np.nan)), "`zoneout_c_mask` must contain only 0 and 1"),
        (dict(cell_clip=0), "`cell_clip` must be positive or None, got 0"),
        (dict(gate_clip=-1.5), "`gate_clip` must be positive or None, got -1.5"),
        (dict(gate_clip=np.nan), "`gate_clip` must be positive or None, got nan"),
        (dict(norm_c_bias=np.zeros(H)), "`norm_c_bias` requires `norm_c_weight`"),
        (dict(weight_hr=np.zeros((R, H))), r"`h_0` must have shape|`weight_h[hr]` must have shape"),
        (dict(cell_activation="sine"), "`cell_activation` must be one of tanh, sigmoid, .*, got 'sine'"),
    ],
)
def test_lstm_forward_error_names_the_invalid_argument(options, message):
    arguments, _, _ = layer_arguments("lstm")
    with pytest.raises(ValueError, match=message):
        reference.lstm_forward(**arguments, **options)


def test_stack_forward_rejects_a_cell_state_for_a_plain_rnn():
    arguments, _, options = stack_arguments("tanh", 1, False)
    with pytest.raises(ValueError, match="`c_0` must be None for a plain RNN"):
        stack_forward(arguments | {"c_0": arguments["h_0"]}, options)
