"""The plain layers and stacks of the reference: structure, dtypes, limits, optional arguments, errors.

Worked examples, gradients, golden results of other frameworks, variants, sequences, activations and masks are in
test_reference_*.py.
"""

import itertools
import warnings

import numpy as np
import pytest

from lstm_fast import reference
from numdiff import relative_error
from reference_cases import H, layer_arguments, stack_arguments, stack_backward, stack_forward

# ---- structure -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("T, B", [(0, 2), (3, 0), (0, 0)])
@pytest.mark.parametrize("mode", ["lstm", "rnn"])
def test_layer_works_when_T_or_B_is_0(mode, T, B):
    forward, backward = getattr(reference, mode + "_forward"), getattr(reference, mode + "_backward")
    arguments, incoming, _ = layer_arguments(mode, T=T, B=B)
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
    arguments, incoming, options = stack_arguments(mode, 2, True, ("dropout",), T=T, B=B)
    *results, tape = stack_forward(arguments, options)
    for result, d_result in zip(results, incoming.values()):
        assert result.shape == d_result.shape
    gradients = stack_backward(tape, incoming)
    for name, argument in arguments.items():
        assert gradients[name].shape == argument.shape, name
    np.testing.assert_array_equal(results[1], arguments["h_0"])
    np.testing.assert_array_equal(gradients["h_0"], incoming["d_h_n"])


@pytest.mark.parametrize("pair", list(itertools.combinations("ifgo", 2)), ids="".join)
def test_lstm_forward_depends_on_the_order_of_the_gates(pair):
    arguments, *_ = layer_arguments("lstm", T=3)
    order = list("ifgo")
    a, b = (order.index(gate) for gate in pair)
    order[a], order[b] = order[b], order[a]
    rows = np.concatenate(["ifgo".index(gate) * H + np.arange(H) for gate in order])
    swapped = {name: value[rows] if name.startswith(("weight", "bias")) else value for name, value in arguments.items()}
    for got, want in zip(reference.lstm_forward(**swapped)[:3], reference.lstm_forward(**arguments)[:3]):
        assert relative_error(got, want) > 1e-3


@pytest.mark.parametrize("mode", ["lstm", "rnn"])
@pytest.mark.parametrize("T1", [0, 1, 3, 5])
def test_layer_in_two_chunks_with_carried_state_is_equal(mode, T1):
    forward, backward = getattr(reference, mode + "_forward"), getattr(reference, mode + "_backward")
    arguments, incoming, _ = layer_arguments(mode, T=5)
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
    arguments, _, options = stack_arguments("lstm", 2, False, ("dropout",), T=3)
    output, h_n, _, _ = stack_forward(arguments, options)
    first, second = (
        [arguments[f"{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        for layer in range(2)
    )
    (h_0, h_1), (c_0, c_1) = arguments["h_0"], arguments["c_0"]
    between, *_ = reference.lstm_forward(arguments["x"], h_0, c_0, *first)
    want, *_ = reference.lstm_forward(between * options["masks"][0], h_1, c_1, *second)
    np.testing.assert_array_equal(output, want)
    np.testing.assert_array_equal(h_n[0], between[-1])


def test_reverse_direction_depends_on_the_future_only():
    arguments, _, options = stack_arguments("lstm", 1, True, T=5)
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
    arguments, incoming, options = stack_arguments(mode, 2, True, T=3)
    *results, tape = stack_forward({name: value.astype(dtype) for name, value in arguments.items()}, options)
    gradients = stack_backward(tape, {name: value.astype(dtype) for name, value in incoming.items()})
    assert {a.dtype for a in (*results[: len(incoming)], *gradients.values())} == {np.dtype(dtype)}
    *want, tape = stack_forward(arguments, options)
    assert relative_error(results[0], want[0]) < (1e-5 if dtype is np.float32 else 1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_gates_give_exact_limits_without_a_warning(dtype):
    arguments, *_ = layer_arguments("lstm", T=3)
    arguments = {name: value.astype(dtype) for name, value in arguments.items()}
    arguments["bias_ih"] = np.repeat(np.array([-2000, 2000, 0, 2000], dtype), H)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, h_n, c_n, tape = reference.lstm_forward(**arguments)
    np.testing.assert_array_equal(c_n, arguments["c_0"])
    np.testing.assert_array_equal(h_n, np.tanh(arguments["c_0"]))
    assert (tape.i == 0).all() and (tape.f == 1).all() and (tape.o == 1).all()


@pytest.mark.parametrize("mode", ["lstm", "tanh", "relu"])
def test_nan_stays_in_its_sequence_and_propagates_to_every_later_step(mode):
    arguments, _, options = stack_arguments(mode, 2, False, T=4)
    clean, *_ = stack_forward(arguments, options)
    arguments["x"][1, 0, 0] = np.nan
    output, *_ = stack_forward(arguments, options)
    assert np.isnan(output[1:, 0]).all()
    np.testing.assert_array_equal(output[0], clean[0])
    np.testing.assert_array_equal(output[:, 1:], clean[:, 1:])


def test_stack_works_when_arguments_are_read_only():
    arguments, incoming, options = stack_arguments("lstm", 2, True, ("dropout",), T=3)
    for array in (*arguments.values(), *incoming.values(), *options["masks"]):
        array.setflags(write=False)
    *_, tape = stack_forward(arguments, options)
    assert set(stack_backward(tape, incoming)) == set(arguments)


@pytest.mark.parametrize("T", [0, 3])
@pytest.mark.parametrize("mode", ["lstm", "rnn"])
def test_layer_backward_is_independent_of_overwritten_results(mode, T):
    forward, backward = getattr(reference, mode + "_forward"), getattr(reference, mode + "_backward")
    arguments, incoming, _ = layer_arguments(mode, T=T)
    *results, tape = forward(**arguments)
    want = backward(tape, **incoming)
    for array in (*results, *backward(tape, **incoming)):
        if array is not None:
            array[...] = np.nan
    for name, got, expected in zip(want._fields, backward(tape, **incoming), want):
        np.testing.assert_array_equal(got, expected, err_msg=name)


@pytest.mark.parametrize("mode", ["lstm", "rnn"])
def test_layer_error_names_the_argument_with_an_invalid_shape(mode):
    forward, backward = getattr(reference, mode + "_forward"), getattr(reference, mode + "_backward")
    arguments, incoming, _ = layer_arguments(mode, T=3)
    for name in set(arguments) - {"x", "weight_hh"}:  # these two define the sizes
        with pytest.raises(ValueError, match=rf"`{name}` must have shape .*, got "):
            forward(**arguments | {name: arguments[name][:1]})
    *_, tape = forward(**arguments)
    for name in incoming:
        with pytest.raises(ValueError, match=rf"`{name}` must have shape .*, got "):
            backward(tape, **incoming | {name: incoming[name][:1]})


def test_rnn_forward_lists_the_nonlinearities_for_an_unknown_one():
    arguments, *_ = layer_arguments("rnn", T=3)
    with pytest.raises(ValueError, match="tanh, relu, identity, got 'sine'"):
        reference.rnn_forward(**arguments, nonlinearity="sine")


# ---- None ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("omitted", ["d_output", "d_h_n", "d_c_n"])
def test_lstm_backward_takes_none_as_zero(omitted):
    arguments, incoming, _ = layer_arguments("lstm", T=3)
    *_, tape = reference.lstm_forward(**arguments)
    got = reference.lstm_backward(tape, **incoming | {omitted: None})
    want = reference.lstm_backward(tape, **incoming | {omitted: np.zeros_like(incoming[omitted])})
    for name, d_got, d_want in zip(got._fields, got, want):
        np.testing.assert_array_equal(d_got, d_want, err_msg=name)


@pytest.mark.parametrize("mode", ["lstm", "tanh"])
def test_stack_backward_takes_none_as_zero(mode):
    arguments, incoming, options = stack_arguments(mode, 2, True, T=3)
    *_, tape = stack_forward(arguments, options)
    got, want = stack_backward(tape, {"d_output": None}), stack_backward(tape, {k: 0 * d for k, d in incoming.items()})
    for name in want:
        np.testing.assert_array_equal(got[name], want[name], err_msg=name)


@pytest.mark.parametrize("absent", [("bias_ih",), ("bias_hh",), ("bias_ih", "bias_hh")])
@pytest.mark.parametrize("mode", ["lstm", "rnn"])
def test_bias_none_means_zero_and_has_no_gradient(mode, absent):
    forward, backward = getattr(reference, mode + "_forward"), getattr(reference, mode + "_backward")
    arguments, incoming, _ = layer_arguments(mode, T=3)
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
