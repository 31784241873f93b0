"""The reference against witnesses that share no code with it: hand-worked numbers, numerical derivatives, PyTorch."""
import itertools
import json
import pathlib
import warnings

import numpy as np
import pytest
from numdiff import central_difference, complex_step, relative_error

from lstm_fast import reference

GOLDEN = np.load(pathlib.Path(__file__).parent / "data" / "golden_torch.npz")
GOLDEN_CASES = ("lstm", "lstm_no_bias", "lstm_2_layers_bidirectional", "lstm_2_layers_float32", "rnn_tanh",
                "rnn_relu_2_layers_bidirectional")
WITNESSES = [pytest.param(complex_step, 1e-12, id="complex_step"),
             pytest.param(central_difference, 1e-9, id="central_difference")]
B, I, H = 4, 3, 2


def normal(rng, shapes, scale=1.0):
    return {name: scale * rng.standard_normal(shape) for name, shape in shapes.items()}


def layer_arguments(T, mode, seed=0, B=B):
    """Arguments of lstm_forward or rnn_forward and incoming gradients, all distinct and none of them zero."""
    rng = np.random.default_rng(seed)
    rows, states = {"lstm": (4 * H, ("h", "c")), "rnn": (H, ("h",))}[mode]
    shapes = {"x": (T, B, I)} | {s + "_0": (B, H) for s in states}
    shapes |= {"weight_ih": (rows, I), "weight_hh": (rows, H), "bias_ih": (rows,), "bias_hh": (rows,)}
    incoming = {"d_output": (T, B, H)} | {f"d_{s}_n": (B, H) for s in states}
    return normal(rng, shapes, scale=0.8), normal(rng, incoming)


def stack_arguments(T, mode, num_layers, bidirectional, bias=True, masked=False, seed=0, B=B):
    """x, states and parameters in one flat dict, incoming gradients, and the keyword arguments of stack_forward."""
    rng = np.random.default_rng(seed)
    D, rows, states = 1 + bidirectional, {"lstm": 4 * H}.get(mode, H), ("h", "c") if mode == "lstm" else ("h",)
    shapes = {"x": (T, B, I)} | {s + "_0": (num_layers * D, B, H) for s in states}
    for layer, suffix in itertools.product(range(num_layers), ("", "_reverse")[:D]):
        key = f"_l{layer}{suffix}"
        shapes |= {"weight_ih" + key: (rows, D * H if layer else I), "weight_hh" + key: (rows, H)}
        shapes |= {"bias_ih" + key: (rows,), "bias_hh" + key: (rows,)} if bias else {}
    incoming = {"d_output": (T, B, D * H)} | {f"d_{s}_n": (num_layers * D, B, H) for s in states}
    masks = [rng.choice([0.0, 1.5], (T, B, D * H)) for _ in range(num_layers - 1)] if masked else None
    options = dict(num_layers=num_layers, bidirectional=bidirectional, masks=masks)
    options |= {} if mode == "lstm" else {"nonlinearity": mode}
    return normal(rng, shapes, scale=0.6), normal(rng, incoming), options


def stack_forward(arguments, options):
    parameters = dict(arguments)
    x, h_0, c_0 = parameters.pop("x"), parameters.pop("h_0"), parameters.pop("c_0", None)
    return reference.stack_forward(x, h_0, c_0, parameters, **options)


def stack_backward(tape, incoming):
    """All gradients in one flat dict, as in stack_arguments."""
    d_x, d_h_0, d_c_0, d_parameters = reference.stack_backward(tape, **incoming)
    gradients = {"x": d_x, "h_0": d_h_0, **d_parameters}
    return gradients if d_c_0 is None else gradients | {"c_0": d_c_0}


def weighted_sum(results, incoming):
    """The loss whose gradients with respect to the results are the incoming ones."""
    return sum((result * d_result).sum() for result, d_result in zip(results, incoming.values()))


# ---- numbers worked by hand ------------------------------------------------------------------------------------

UNIT = dict(weight_ih=np.array([[1.65], [1.63], [0.94], [-0.19]]), weight_hh=np.array([[2.00], [2.70], [1.41], [4.38]]),
            bias_ih=np.array([0.62, 1.62, -0.32, 0.59]), bias_hh=None)


def run_unit(x, h_0=0.0, c_0=0.0):
    x = np.reshape(np.asarray(x, dtype=float), (-1, 1, 1))
    return reference.lstm_forward(x, np.full((1, 1), h_0), np.full((1, 1), c_0), **UNIT)


def test_lstm_forward_gives_hand_worked_gates_in_one_step():
    output, h_n, c_n, tape = run_unit([1.0], h_0=1.0, c_0=2.0)
    for name, digits in dict(f=0.997, i=0.986, g=0.966, o=0.992, h=0.986).items():
        assert abs(getattr(tape, name).item() - digits) <= 0.0005, name
    assert abs(np.log(tape.f / (1 - tape.f)).item() - 5.95) < 1e-9
    assert abs(tape.c.item() - 2.95) <= 0.005
    assert output.item() == h_n.item() == tape.h.item() and c_n.item() == tape.c.item()


@pytest.mark.parametrize("x, c, h", [
    pytest.param([0, 0.5, 0.25, 1], [-0.201, -0.202, -0.325, 0.015], [-0.128, -0.097, -0.166, 0.006], id="company_a"),
    pytest.param([1, 0.5, 0.25, 1], [0.500, 0.914, 1.481, 2.409], [0.276, 0.612, 0.867, 0.969], id="company_b"),
])
def test_lstm_forward_gives_hand_worked_states_over_four_days(x, c, h):
    output, h_n, c_n, tape = run_unit(x)
    np.testing.assert_allclose(tape.c.ravel(), c, rtol=0, atol=0.0005)
    np.testing.assert_allclose(output.ravel(), h, rtol=0, atol=0.0005)
    assert h_n.item() == output[-1].item() and c_n.item() == tape.c[-1].item()


@pytest.mark.parametrize("T", [1, 2, 50])
@pytest.mark.parametrize("feedback", [2.0, 0.5])
def test_identity_rnn_gradient_explodes_or_vanishes_with_the_feedback_weight(feedback, T):
    x, h_0, d_output = np.ones((T, 1, 1)), np.zeros((1, 1)), np.zeros((T, 1, 1))
    d_output[-1] = 1
    *_, tape = reference.rnn_forward(x, h_0, np.array([[1.5]]), np.array([[feedback]]), None, None, "identity")
    gradients = reference.rnn_backward(tape, d_output)
    np.testing.assert_array_equal(gradients.d_x.ravel(), 1.5 * feedback ** np.arange(T - 1.0, -1.0, -1.0))


# ---- gradients against numerical derivatives --------------------------------------------------------------------

@pytest.mark.parametrize("witness, tolerance", WITNESSES)
@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize("name", ["x", "h_0", "c_0", "weight_ih", "weight_hh", "bias_ih", "bias_hh"])
def test_lstm_backward_matches_numerical_derivative(name, T, witness, tolerance):
    arguments, incoming = layer_arguments(T, "lstm")
    *_, tape = reference.lstm_forward(**arguments)
    got = getattr(reference.lstm_backward(tape, **incoming), "d_" + name)

    def loss(value):
        return weighted_sum(reference.lstm_forward(**arguments | {name: value})[:3], incoming)
    assert relative_error(got, witness(loss, arguments[name])) < tolerance


@pytest.mark.parametrize("witness, tolerance", WITNESSES)
@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "identity"])
@pytest.mark.parametrize("name", ["x", "h_0", "weight_ih", "weight_hh", "bias_ih", "bias_hh"])
def test_rnn_backward_matches_numerical_derivative(name, nonlinearity, T, witness, tolerance):
    arguments, incoming = layer_arguments(T, "rnn")
    *_, tape = reference.rnn_forward(**arguments, nonlinearity=nonlinearity)
    got = getattr(reference.rnn_backward(tape, **incoming), "d_" + name)

    def loss(value):
        return weighted_sum(reference.rnn_forward(**arguments | {name: value}, nonlinearity=nonlinearity)[:2], incoming)
    assert relative_error(got, witness(loss, arguments[name])) < tolerance


@pytest.mark.parametrize("witness, tolerance", WITNESSES)
@pytest.mark.parametrize("T", [1, 2, 5])
@pytest.mark.parametrize("mode, num_layers, bidirectional, bias, masked", [
    ("lstm", 1, True, True, False),
    ("lstm", 2, True, True, True),
    ("lstm", 3, False, False, True),
    ("tanh", 2, True, False, True),
    ("relu", 2, False, True, False),
    ("identity", 1, True, True, False),
])
def test_stack_backward_matches_numerical_derivative(mode, num_layers, bidirectional, bias, masked, T, witness,
                                                     tolerance):
    arguments, incoming, options = stack_arguments(T, mode, num_layers, bidirectional, bias, masked)
    *_, tape = stack_forward(arguments, options)
    gradients = stack_backward(tape, incoming)
    assert set(gradients) == set(arguments)
    for name in arguments:
        def loss(value):
            return weighted_sum(stack_forward(arguments | {name: value}, options)[:len(incoming)], incoming)
        assert relative_error(gradients[name], witness(loss, arguments[name])) < tolerance, name


@pytest.mark.parametrize("left_out", ["d_output", "d_h_n", "d_c_n"])
def test_lstm_backward_takes_none_for_zero(left_out):
    arguments, incoming = layer_arguments(3, "lstm")
    *_, tape = reference.lstm_forward(**arguments)
    got = reference.lstm_backward(tape, **incoming | {left_out: None})
    want = reference.lstm_backward(tape, **incoming | {left_out: np.zeros_like(incoming[left_out])})
    for name, d_got, d_want in zip(got._fields, got, want):
        np.testing.assert_array_equal(d_got, d_want, err_msg=name)


@pytest.mark.parametrize("mode", ["lstm", "tanh"])
def test_stack_backward_takes_none_for_zero(mode):
    arguments, incoming, options = stack_arguments(3, mode, 2, True)
    *_, tape = stack_forward(arguments, options)
    got, want = stack_backward(tape, {"d_output": None}), stack_backward(tape, {k: 0 * d for k, d in incoming.items()})
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)


@pytest.mark.parametrize("absent", [("bias_ih",), ("bias_hh",), ("bias_ih", "bias_hh")])
@pytest.mark.parametrize("mode", ["lstm", "rnn"])
def test_bias_none_means_zero_and_has_no_gradient(mode, absent):
    forward, backward = getattr(reference, mode + "_forward"), getattr(reference, mode + "_backward")
    arguments, incoming = layer_arguments(3, mode)
    *results, tape = forward(**arguments | dict.fromkeys(absent))
    *results_zero, tape_zero = forward(**arguments | {name: 0 * arguments[name] for name in absent})
    for got, want in zip(results, results_zero):
        np.testing.assert_array_equal(got, want)
    gradients, gradients_zero = backward(tape, **incoming), backward(tape_zero, **incoming)
    for name, got, want in zip(gradients._fields, gradients, gradients_zero):
        if name[2:] in absent:
            assert got is None
        else:
            np.testing.assert_array_equal(got, want, err_msg=name)


# ---- PyTorch's frozen results ------------------------------------------------------------------------------------

def test_golden_file_has_exactly_the_expected_cases():
    assert {name.split("/")[0] for name in GOLDEN.files} == {"versions", *GOLDEN_CASES}
    assert "torch 2.13.0" in str(GOLDEN["versions"])


@pytest.mark.parametrize("case", GOLDEN_CASES)
def test_stack_matches_frozen_pytorch(case):
    arrays = {name.split("/")[1]: GOLDEN[name] for name in GOLDEN.files if name.startswith(case + "/")}
    config = json.loads(str(arrays.pop("config")))
    tolerance = 2e-6 if config.get("dtype") == "float32" else 1e-12
    options = dict(num_layers=config.get("num_layers", 1), bidirectional=config.get("bidirectional", False))
    options |= {"nonlinearity": config["nonlinearity"]} if config["mode"] == "RNN" else {}
    names = ["output", "h_n", "c_n"][:3 if config["mode"] == "LSTM" else 2]
    incoming = {"d_" + name: arrays.pop("d_" + name) for name in names}
    want_results = {name: arrays.pop(name) for name in names}
    want_gradients = {name[2:]: arrays.pop(name) for name in list(arrays) if name.startswith("d_")}
    assert set(want_gradients) == set(arrays)
    *results, tape = stack_forward(arrays, options)
    for name, got in zip(names, results):
        assert got.dtype == want_results[name].dtype
        assert relative_error(got, want_results[name]) < tolerance, name
    gradients = stack_backward(tape, incoming)
    assert set(gradients) == set(want_gradients)
    for name in gradients:
        assert relative_error(gradients[name], want_gradients[name]) < tolerance, name


# ---- structure -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("T, B", [(0, 2), (3, 0), (0, 0)])
@pytest.mark.parametrize("mode", ["lstm", "rnn"])
def test_layer_works_when_T_or_B_is_0(mode, T, B):
    forward, backward = getattr(reference, mode + "_forward"), getattr(reference, mode + "_backward")
    arguments, incoming = layer_arguments(T, mode, B=B)
    output, *last, tape = forward(**arguments)
    assert output.shape == (T, B, H)
    gradients = backward(tape, **incoming)._asdict()
    for name, argument in arguments.items():
        assert gradients["d_" + name].shape == argument.shape, name
        if name.startswith(("weight", "bias")):
            assert not gradients["d_" + name].any(), name
    for state, last_state in zip(("h", "c"), last):
        np.testing.assert_array_equal(last_state, arguments[state + "_0"])
        np.testing.assert_array_equal(gradients[f"d_{state}_0"], incoming[f"d_{state}_n"])


@pytest.mark.parametrize("T, B", [(0, 2), (3, 0), (0, 0)])
@pytest.mark.parametrize("mode", ["lstm", "relu"])
def test_stack_works_when_T_or_B_is_0(mode, T, B):
    arguments, incoming, options = stack_arguments(T, mode, 2, True, masked=True, B=B)
    *results, tape = stack_forward(arguments, options)
    for result, d_result in zip(results, incoming.values()):
        assert result.shape == d_result.shape
    gradients = stack_backward(tape, incoming)
    for name, argument in arguments.items():
        assert gradients[name].shape == argument.shape, name
    np.testing.assert_array_equal(results[1], arguments["h_0"])
    np.testing.assert_array_equal(gradients["h_0"], incoming["d_h_n"])


@pytest.mark.parametrize("pair", list(itertools.combinations("ifgo", 2)), ids="".join)
def test_lstm_forward_changes_when_two_gates_are_swapped(pair):
    arguments, _ = layer_arguments(3, "lstm")
    order = list("ifgo")
    a, b = (order.index(gate) for gate in pair)
    order[a], order[b] = order[b], order[a]
    rows = np.concatenate(["ifgo".index(gate) * H + np.arange(H) for gate in order])
    swapped = {name: value[rows] if name.startswith(("weight", "bias")) else value for name, value in arguments.items()}
    for got, want in zip(reference.lstm_forward(**swapped)[:3], reference.lstm_forward(**arguments)[:3]):
        assert relative_error(got, want) > 1e-3


@pytest.mark.parametrize("mode", ["lstm", "rnn"])
@pytest.mark.parametrize("T1", [0, 1, 3, 5])
def test_layer_gives_the_same_in_two_parts_with_carried_state(mode, T1):
    forward, backward = getattr(reference, mode + "_forward"), getattr(reference, mode + "_backward")
    arguments, incoming = layer_arguments(5, mode)
    *want, tape = forward(**arguments)
    *part_1, tape_1 = forward(**arguments | {"x": arguments["x"][:T1]})
    carried = dict(zip(("h_0", "c_0"), part_1[1:]))
    *part_2, tape_2 = forward(**arguments | carried | {"x": arguments["x"][T1:]})
    np.testing.assert_array_equal(np.concatenate([part_1[0], part_2[0]]), want[0])
    for got, last in zip(part_2[1:], want[1:]):
        np.testing.assert_array_equal(got, last)
    d_want = backward(tape, **incoming)._asdict()
    d_2 = backward(tape_2, **incoming | {"d_output": incoming["d_output"][T1:]})._asdict()
    d_carried = {f"d_{name[0]}_n": d_2["d_" + name] for name in carried}
    d_1 = backward(tape_1, incoming["d_output"][:T1], **d_carried)._asdict()
    assert relative_error(np.concatenate([d_1.pop("d_x"), d_2.pop("d_x")]), d_want.pop("d_x")) < 1e-14
    for name, d in d_want.items():
        if d is not None:
            assert relative_error(d_1[name] if name[2:] in carried else d_1[name] + d_2[name], d) < 1e-14, name


def test_stack_masks_multiply_the_output_of_the_layer_below():
    arguments, _, options = stack_arguments(3, "lstm", 2, False, masked=True)
    output, h_n, c_n, _ = stack_forward(arguments, options)
    first, second = ([arguments[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
                     for layer in range(2))
    (h_0, h_1), (c_0, c_1) = arguments["h_0"], arguments["c_0"]
    between, *_ = reference.lstm_forward(arguments["x"], h_0, c_0, *first)
    want, *_ = reference.lstm_forward(between * options["masks"][0], h_1, c_1, *second)
    np.testing.assert_array_equal(output, want)
    np.testing.assert_array_equal(h_n[0], between[-1])


def test_reverse_direction_reads_the_future_only():
    arguments, _, options = stack_arguments(5, "lstm", 1, True)
    later = arguments["x"].copy()
    later[3] += 1
    before, *_ = stack_forward(arguments, options)
    after, h_n, *_ = stack_forward(arguments | {"x": later}, options)
    changed = (before != after).any(axis=1)
    assert not changed[:3, :H].any() and changed[3:, :H].all()
    assert changed[:4, H:].all() and not changed[4, H:].any()
    np.testing.assert_array_equal(h_n, [after[-1, :, :H], after[0, :, H:]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("mode", ["lstm", "tanh", "relu", "identity"])
def test_stack_keeps_the_dtype(mode, dtype):
    arguments, incoming, options = stack_arguments(3, mode, 2, True, masked=False)
    *results, tape = stack_forward({name: value.astype(dtype) for name, value in arguments.items()}, options)
    gradients = stack_backward(tape, {name: value.astype(dtype) for name, value in incoming.items()})
    assert {a.dtype for a in (*results[:len(incoming)], *gradients.values())} == {np.dtype(dtype)}
    *want, tape = stack_forward(arguments, options)
    assert relative_error(results[0], want[0]) < (1e-5 if dtype is np.float32 else 1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_gates_give_exact_limits_without_warning(dtype):
    arguments, _ = layer_arguments(3, "lstm")
    arguments = {name: value.astype(dtype) for name, value in arguments.items()}
    arguments["bias_ih"] = np.repeat(np.array([-2000, 2000, 0, 2000], dtype), H)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        output, h_n, c_n, tape = reference.lstm_forward(**arguments)
    np.testing.assert_array_equal(c_n, arguments["c_0"])
    np.testing.assert_array_equal(h_n, np.tanh(arguments["c_0"]))
    assert (tape.i == 0).all() and (tape.f == 1).all() and (tape.o == 1).all()


@pytest.mark.parametrize("mode", ["lstm", "tanh", "relu"])
def test_nan_stays_in_its_sequence_and_reaches_every_later_step(mode):
    arguments, _, options = stack_arguments(4, mode, 2, False)
    clean, *_ = stack_forward(arguments, options)
    arguments["x"][1, 0, 0] = np.nan
    output, *_ = stack_forward(arguments, options)
    assert np.isnan(output[1:, 0]).all()
    np.testing.assert_array_equal(output[0], clean[0])
    np.testing.assert_array_equal(output[:, 1:], clean[:, 1:])


def test_stack_works_when_arguments_are_read_only():
    arguments, incoming, options = stack_arguments(3, "lstm", 2, True, masked=True)
    for array in (*arguments.values(), *incoming.values(), *options["masks"]):
        array.setflags(write=False)
    *_, tape = stack_forward(arguments, options)
    assert set(stack_backward(tape, incoming)) == set(arguments)


@pytest.mark.parametrize("T", [0, 3])
@pytest.mark.parametrize("mode", ["lstm", "rnn"])
def test_layer_backward_is_unmoved_when_results_are_overwritten(mode, T):
    forward, backward = getattr(reference, mode + "_forward"), getattr(reference, mode + "_backward")
    arguments, incoming = layer_arguments(T, mode)
    *results, tape = forward(**arguments)
    want = backward(tape, **incoming)
    for array in (*results, *backward(tape, **incoming)):
        if array is not None:
            array[...] = np.nan
    for name, got, expected in zip(want._fields, backward(tape, **incoming), want):
        np.testing.assert_array_equal(got, expected, err_msg=name)


@pytest.mark.parametrize("mode", ["lstm", "rnn"])
def test_layer_names_the_argument_when_its_shape_is_wrong(mode):
    forward, backward = getattr(reference, mode + "_forward"), getattr(reference, mode + "_backward")
    arguments, incoming = layer_arguments(3, mode)
    for name in set(arguments) - {"x", "weight_hh"}:  # these two define the sizes
        with pytest.raises(ValueError, match=rf"`{name}` must have shape .*, got "):
            forward(**arguments | {name: arguments[name][:1]})
    *_, tape = forward(**arguments)
    for name in incoming:
        with pytest.raises(ValueError, match=rf"`{name}` must have shape .*, got "):
            backward(tape, **incoming | {name: incoming[name][:1]})


def test_rnn_forward_lists_the_nonlinearities_when_it_is_unknown():
    arguments, _ = layer_arguments(3, "rnn")
    with pytest.raises(ValueError, match="tanh, relu, identity, got 'sine'"):
        reference.rnn_forward(**arguments, nonlinearity="sine")


# ---- dropout -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("counter, key, words", [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
])
def test_philox_gives_the_known_answers_of_random123(counter, key, words):
    counter, key, words = ([int(word, 16) for word in text.split()] for text in (counter, key, words))
    assert reference.philox4x32(counter, key).tolist() == words


def test_dropout_mask_takes_each_element_from_its_counter_and_word():
    seed, layer, (T, B, F), p = 0x123456789ABCDEF, 3, (3, 4, 7), 0.3
    mask = reference.dropout_mask(seed, layer, (T, B, F), p, np.float64)
    assert mask.shape == (T, B, F)
    for t, b, f in np.ndindex(T, B, F):
        u = reference.philox4x32((f // 4, b, t, layer), (0x89ABCDEF, 0x1234567))[f % 4]
        assert mask[t, b, f] == (1 / 0.7 if u >= 1288490188 else 0)


def test_dropout_mask_keeps_an_element_when_its_word_equals_the_threshold():
    words = reference.philox4x32((0, 0, 0, 0), (5, 0))
    mask = reference.dropout_mask(5, 0, (1, 1, 4), words[1] / 2**32, np.float64)
    np.testing.assert_array_equal(mask[0, 0] != 0, words >= words[1])


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_mask_drops_the_stated_share(p):
    mask = reference.dropout_mask(1, 0, (200, 20, 50), p, np.float64)
    deviation = np.sqrt(p * (1 - p) / mask.size)
    assert abs((mask == 0).mean() - p) < 4 * deviation
    assert abs(mask.mean() - 1) < 4 * deviation / (1 - p)
    for axis in range(3):  # neighbours along each axis are independent
        first, second = np.moveaxis(mask, axis, 0)[:-1].ravel(), np.moveaxis(mask, axis, 0)[1:].ravel()
        assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(first.size)


def test_dropout_mask_depends_on_seed_and_layer_but_not_on_the_shape_around():
    mask = reference.dropout_mask(7, 0, (5, 6, 9), 0.5, np.float32)
    assert mask.dtype == np.float32 and set(mask.ravel()) == {0.0, 2.0}
    np.testing.assert_array_equal(reference.dropout_mask(7, 0, (3, 2, 6), 0.5, np.float32), mask[:3, :2, :6])
    for seed, layer in ((8, 0), (7 + 2**32, 0), (7, 1)):
        assert (reference.dropout_mask(seed, layer, (5, 6, 9), 0.5, np.float32) != mask).any()


@pytest.mark.parametrize("shape", [(0, 2, 3), (2, 0, 3), (2, 3, 0), (2, 3, 5)])
def test_dropout_mask_is_all_or_nothing_when_p_is_0_or_1(shape):
    np.testing.assert_array_equal(reference.dropout_mask(0, 0, shape, 0.0, np.float64), np.ones(shape))
    np.testing.assert_array_equal(reference.dropout_mask(0, 0, shape, 1.0, np.float64), np.zeros(shape))
