"""What each variant of the LSTM does: steps worked by hand, and that nothing given is ignored or of the wrong shape."""

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


# ---- one step worked by hand ---------------------------------------------------------------------------------------

# x = 1, h_0 = 2, c_0 = 3, and every activation returns what it is given: i = 3, f = 1, g = 4, o = 2, so
# c = 1 * 3 + 3 * 4 = 15 and h = 2 * 15 = 30.
UNIT = dict(
    x=np.ones((1, 1, 1)),
    h_0=np.full((1, 1), 2.0),
    c_0=np.full((1, 1), 3.0),
    weight_ih=np.array([[1.0], [2], [2], [1]]),
    weight_hh=np.array([[1.0], [-0.5], [1], [0.5]]),
    bias_ih=None,
    bias_hh=None,
    activation="affine",
    recurrent_activation="affine",
    cell_activation="affine",
)
PEEPHOLES = dict(weight_peephole=np.array([1, -1, 0.5]))  # i = 3 + 3, f = 1 - 3, o = 2 + c / 2


@pytest.mark.parametrize(
    "options, c, h",
    [
        pytest.param({}, 15, 30, id="plain"),
        pytest.param(PEEPHOLES, 18, 11 * 18, id="peepholes"),
        pytest.param(dict(coupled_gates=True), 6, 12, id="coupled_gates"),  # f = -2
        pytest.param(dict(cell_clip=10), 10, 20, id="cell_clip"),
        pytest.param(PEEPHOLES | dict(cell_clip=10), 10, 7 * 10, id="output_gate_sees_the_clipped_cell"),
        pytest.param(
            dict(gate_clip=2.5), 9.25, 18.5, id="gate_clip"
        ),  # i = g = 2.5; c is clipped neither here nor in h
        pytest.param(PEEPHOLES | dict(gate_clip=2.5), 0.25, 2.125 * 0.25, id="gate_clip_after_peepholes"),
        pytest.param(dict(weight_hr=np.array([[0.5]])), 15, 15, id="projection"),
        pytest.param(dict(recurrent_mask=[[2.0]]), 30, 90, id="recurrent_dropout"),  # i = 5, f = 0, g = 6, o = 3
        pytest.param(dict(zoneout_c_mask=[[[1]]]), 3, 30, id="zoneout_of_c_leaves_h"),
        pytest.param(dict(zoneout_h_mask=[[[1]]]), 15, 2, id="zoneout_of_h_leaves_c"),
        pytest.param(dict(norm_c_weight=[5.0], norm_c_bias=[7.0]), 15, 14, id="norm_of_one_c_is_its_bias"),
        # x W_ih^T = 1, 2, 2, 1 has mean 1.5 and deviation 0.5: -1, 1, 1, -1 once normalised. i = 1, f = 1, g = 3, o = 4.
        pytest.param(dict(norm_ih_weight=[1.0, 2, 1, -3], x=np.full((1, 1, 1), 1e6)), 6, 24, id="norm_ih"),
        # Where the variance, x * x / 4, is 1e-5, that is doubled: i = 1, f = 1, g = 3, o = 4 again, after a factor sqrt(2).
        pytest.param(
            dict(norm_ih_weight=np.sqrt(2) * np.array([1, 2, 1, -3]), x=np.full((1, 1, 1), np.sqrt(4e-5))),
            6,
            24,
            id="norm_has_1e-5_beside_the_variance",
        ),
        # h_0 W_hh^T = 2, -1, 2, 1 times 1e6: mean 1, deviation sqrt(1.5). i = 1 + 2, f = 2 - 4, g = 2 + 2, o = 1.
        pytest.param(dict(norm_hh_weight=np.full(4, 2 * np.sqrt(1.5)), h_0=np.full((1, 1), 2e6)), 6, 6, id="norm_hh"),
        pytest.param(dict(resets=[[True]]), 2, 2, id="reset"),  # i = 1, g = 2, o = 1 from h = c = 0
        pytest.param(
            dict(resets=[[True]], learned_h_0=[2.0], learned_c_0=[3.0], h_0=[[9.0]], c_0=[[9.0]]),
            15,
            30,
            id="reset_to_the_learned_state",
        ),
        pytest.param(dict(learned_h_0=[9.0], learned_c_0=[9.0]), 15, 30, id="given_state_goes_before_the_learned_one"),
        pytest.param(dict(learned_h_0=[2.0], learned_c_0=[3.0], h_0=None, c_0=None), 15, 30, id="learned_state"),
        pytest.param(dict(h_0=None, c_0=None), 2, 2, id="no_state_is_zero"),
        pytest.param(dict(activation=("affine", 2, 1)), 3 + 3 * 9, 2 * 30, id="activation_of_g"),
        pytest.param(
            dict(recurrent_activation=("affine", 2, 1)), 9 + 7 * 4, 5 * 37, id="recurrent_activation_of_i_f_o"
        ),
        pytest.param(dict(cell_activation=("affine", 2, 1)), 15, 2 * 31, id="cell_activation_of_c"),
        pytest.param(
            dict(coupled_gates=True, recurrent_activation=("affine", 2, 1)),
            -6 * 3 + 7 * 4,
            5 * 10,
            id="coupled_gate_has_no_activation_of_its_own",
        ),
    ],
)
def test_lstm_forward_gives_hand_worked_step(options, c, h):
    output, h_n, c_n, tape = reference.lstm_forward(**UNIT | options)
    np.testing.assert_allclose([c_n.item(), h_n.item()], [c, h], rtol=1e-9)
    assert output.item() == h_n.item() == tape.h.item() and c_n.item() == tape.c.item()


def test_rnn_forward_gives_hand_worked_step():
    unit = dict(
        x=np.ones((1, 1, 1)),
        h_0=np.full((1, 1), 2.0),
        weight_ih=np.array([[3.0]]),
        weight_hh=np.array([[0.5]]),
        bias_ih=None,
        bias_hh=None,
        nonlinearity="identity",
    )
    for options, h in (
        ({}, 4),
        (dict(recurrent_mask=[[2.0]]), 5),
        (dict(zoneout_h_mask=[[[1]]]), 2),
        (dict(resets=[[True]]), 3),
        (dict(resets=[[True]], learned_h_0=[4.0]), 5),
        (dict(h_0=None, learned_h_0=[4.0]), 5),
        (dict(h_0=None), 3),
        (dict(lengths=[0]), 2),
    ):
        _, h_n, _ = reference.rnn_forward(**unit | options)
        assert h_n.item() == h, options


def test_zoneout_keeps_the_state_that_a_reset_gave():
    learned, masks = dict(learned_h_0=[5.0], learned_c_0=[6.0]), dict(zoneout_h_mask=[[[1]]], zoneout_c_mask=[[[1]]])
    _, h_n, c_n, _ = reference.lstm_forward(**UNIT, **learned, **masks, resets=[[True]])
    assert (h_n.item(), c_n.item()) == (5, 6)


def test_recurrent_mask_is_for_the_product_and_not_for_the_state():
    arguments, _, _ = layer_arguments("lstm")
    dropped, *_ = reference.lstm_forward(**arguments, recurrent_mask=np.zeros((B, H)))
    cut, *_ = reference.lstm_forward(**arguments | {"weight_hh": 0 * arguments["weight_hh"]})
    np.testing.assert_array_equal(dropped, cut)
    assert dropped.all()


def test_stack_gives_every_layer_and_direction_its_own_masks_in_time():
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
def test_nothing_flows_through_what_is_clipped(clip):
    arguments, incoming, _ = layer_arguments("lstm", T=1)
    options = {clip: 1e-3}  # all values are beyond
    *_, tape = layer_forward("lstm", arguments, options)
    gradients = layer_backward("lstm", tape, incoming)
    rows = slice(0, 3 * H) if clip == "cell_clip" else slice(None)  # the output gate comes after the cell
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        assert not gradients[name][rows].any(), name
    assert gradients["c_0"].any() == (clip == "gate_clip")


def test_nothing_flows_through_a_cell_that_is_exactly_at_its_bound():
    unit = {name: value for name, value in UNIT.items() if name != "x"}
    for bound, flows in ((15, False), (np.nextafter(15, 16), True)):
        _, _, c_n, tape = reference.lstm_forward(UNIT["x"], **unit, cell_clip=bound)
        assert c_n.item() == 15
        assert bool(reference.lstm_backward(tape, None, None, np.ones((1, 1))).d_c_0.any()) == flows


# ---- what is given counts ------------------------------------------------------------------------------------------


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


def test_layer_backward_with_every_feature_is_unmoved_when_results_are_overwritten():
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
def test_layer_names_the_argument_when_its_shape_is_wrong(kind, features):
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
        (dict(zoneout_h_mask=np.full((T, B, H), 0.5)), "`zoneout_h_mask` must hold nothing but 0 and 1"),
        (dict(zoneout_c_mask=np.full((T, B, H), np.nan)), "`zoneout_c_mask` must hold nothing but 0 and 1"),
        (dict(cell_clip=0), "`cell_clip` must be positive or None, got 0"),
        (dict(gate_clip=-1.5), "`gate_clip` must be positive or None, got -1.5"),
        (dict(gate_clip=np.nan), "`gate_clip` must be positive or None, got nan"),
        (dict(norm_c_bias=np.zeros(H)), "`norm_c_bias` needs `norm_c_weight`"),
        (dict(weight_hr=np.zeros((R, H))), r"`h_0` must have shape|`weight_h[hr]` must have shape"),
        (dict(cell_activation="sine"), "`cell_activation` must be one of tanh, sigmoid, .*, got 'sine'"),
    ],
)
def test_lstm_forward_says_what_is_wrong(options, message):
    arguments, _, _ = layer_arguments("lstm")
    with pytest.raises(ValueError, match=message):
        reference.lstm_forward(**arguments, **options)


def test_stack_forward_refuses_a_cell_state_for_a_plain_rnn():
    arguments, _, options = stack_arguments("tanh", 1, False)
    with pytest.raises(ValueError, match="`c_0` must be None for a plain RNN"):
        stack_forward(arguments | {"c_0": arguments["h_0"]}, options)
