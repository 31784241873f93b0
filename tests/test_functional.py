"""The functions on explicit weights: same signatures and same results as in the reference."""

import numpy as np
import pytest

import lstm_fast
from lstm_fast import reference
from module_cases import DTYPES
from tolerances import FORWARD, assert_same_bits, assert_within, forward_error, gradient_error, gradient_tolerance

MODES = ("lstm", "rnn")
T, B, I, H = 6, 3, 4, 9


def arguments(mode, dtype=np.float64, seed=0):
    """Arguments of <mode>_forward in order, and incoming gradients of <mode>_backward."""
    rng, rows = np.random.default_rng(seed), 4 * H if mode == "lstm" else H
    shapes = {"x": (T, B, I), "h_0": (B, H)} | ({"c_0": (B, H)} if mode == "lstm" else {})
    shapes |= {"weight_ih": (rows, I), "weight_hh": (rows, H), "bias_ih": (rows,), "bias_hh": (rows,)}
    incoming = {"d_output": (T, B, H), "d_h_n": (B, H)} | ({"d_c_n": (B, H)} if mode == "lstm" else {})
    return (
        {name: (0.5 * rng.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()},
        {name: rng.standard_normal(shape).astype(dtype) for name, shape in incoming.items()},
    )


def functions(mode, module=lstm_fast):
    return getattr(module, mode + "_forward"), getattr(module, mode + "_backward")


def assert_matches_reference(mode, a, incoming, dtype, **options):
    forward, backward = functions(mode)
    reference_forward, reference_backward = functions(mode, reference)
    a64 = {name: None if value is None else value.astype(np.float64) for name, value in a.items()}
    *got, tape = forward(**a, **options)
    *want, reference_tape = reference_forward(**a64, **options)
    for result, expected in zip(got, want, strict=True):
        assert result.dtype == dtype
        assert_within(forward_error(result, expected), FORWARD[dtype], options)
    gradients, expected = backward(tape, **incoming), reference_backward(reference_tape, **incoming)
    known = len(gradients)
    assert gradients._fields == expected._fields[:known] and expected[known:] == (None,) * (len(expected) - known)
    for name in gradients._fields:
        d, d_expected = getattr(gradients, name), getattr(expected, name)
        assert (d is None) == (d_expected is None), name
        if d is not None:
            assert d.dtype == dtype
            assert_within(gradient_error(d, d_expected, dtype), gradient_tolerance(d, dtype), f"{name} {options}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("absent", [(), ("bias_ih",), ("bias_hh",), ("bias_ih", "bias_hh")], ids=str)
def test_functions_match_reference(isa, poison, absent, dtype):
    for mode in MODES:
        a, incoming = arguments(mode, dtype)
        a |= dict.fromkeys(absent)
        for options in [{}] if mode == "lstm" else [{"nonlinearity": n} for n in reference.NONLINEARITIES]:
            assert_matches_reference(mode, a, incoming, dtype, **options)


@pytest.mark.parametrize("mode", MODES)
def test_functions_take_their_arguments_in_the_order_of_the_reference(mode):
    a, incoming = arguments(mode)
    forward, backward = functions(mode)
    *by_name, tape = forward(**a)
    *by_place, _ = forward(*a.values())
    for got, want in zip(by_place, by_name, strict=True):
        assert_same_bits(got, want)
    for got, want in zip(backward(tape, *incoming.values()), backward(tape, **incoming), strict=True):
        assert_same_bits(got, want)


@pytest.mark.parametrize("mode", MODES)
def test_backward_function_takes_none_for_zero(mode):
    a, incoming = arguments(mode)
    forward, backward = functions(mode)
    *_, tape = forward(**a)
    for absent in incoming:
        zeroed = backward(tape, **incoming | {absent: np.zeros_like(incoming[absent])})
        for got, want in zip(backward(tape, **incoming | {absent: None}), zeroed, strict=True):
            assert_same_bits(got, want, absent)


@pytest.mark.parametrize("mode", MODES)
def test_functional_tape_ignores_later_changes_to_the_arguments(mode):
    a, incoming = arguments(mode)
    forward, backward = functions(mode)
    *results, tape = forward(**a)
    want = backward(tape, **incoming)
    for name, value in a.items():
        if name != "x":
            value[...] = np.nan
    for array in (*results, *(d.copy() for d in want)):
        array[...] = np.nan
    for got, expected in zip(backward(tape, **incoming), want, strict=True):
        assert_same_bits(got, expected)


@pytest.mark.parametrize("mode", MODES)
def test_functions_work_when_T_or_B_is_0(mode):
    forward, backward = functions(mode)
    for steps, batch in ((0, B), (T, 0), (0, 0)):
        a, incoming = arguments(mode)
        a |= {"x": a["x"][:steps, :batch]} | {name: a[name][:batch] for name in ("h_0", "c_0") if name in a}
        incoming = {name: d[:steps, :batch] if d.ndim == 3 else d[:batch] for name, d in incoming.items()}
        output, *last, tape = forward(**a)
        assert output.shape == (steps, batch, H)
        gradients = backward(tape, **incoming)
        for state, value in zip(("h", "c")[: len(last)], last, strict=True):
            assert_same_bits(value, a[state + "_0"])
            assert_same_bits(getattr(gradients, f"d_{state}_0"), incoming[f"d_{state}_n"])
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            assert_same_bits(getattr(gradients, "d_" + name), np.zeros_like(a[name]), name)


@pytest.mark.parametrize("mode", MODES)
def test_functions_accept_input_size_one_and_reject_zero(mode):
    forward, _ = functions(mode)
    a, _ = arguments(mode)
    a |= {"x": a["x"][:, :, :1], "weight_ih": a["weight_ih"][:, :1]}
    assert forward(**a)[0].shape == (T, B, H)
    a |= {"x": a["x"][:, :, :0], "weight_ih": a["weight_ih"][:, :0]}
    with pytest.raises(ValueError, match="x must have shape .* I > 0"):
        forward(**a)


@pytest.mark.parametrize("mode", MODES)
def test_functions_compute_in_the_dtype_of_weight_hh(mode):
    forward, backward = functions(mode)
    for dtype, weight_dtype in ((np.float32, np.float32), (np.float64, np.float64), (np.float64, np.int64)):
        a, incoming = arguments(mode)
        a["weight_hh"] = (3 * a["weight_hh"]).astype(weight_dtype)
        *results, tape = forward(**a)
        assert {array.dtype for array in (*results, *backward(tape, **incoming))} == {np.dtype(dtype)}


@pytest.mark.parametrize("mode", MODES)
def test_function_bits_do_not_depend_on_threads(mode):
    forward, backward = functions(mode)
    rng, rows = np.random.default_rng(0), 256 if mode == "lstm" else 64
    shapes = {"x": (150, 33, 16), "h_0": (33, 64)} | ({"c_0": (33, 64)} if mode == "lstm" else {})
    shapes |= {"weight_ih": (rows, 16), "weight_hh": (rows, 64), "bias_ih": (rows,), "bias_hh": (rows,)}
    a = {name: rng.standard_normal(shape) / 8 for name, shape in shapes.items()}
    d_output = rng.standard_normal((150, 33, 64))
    *want, tape = forward(**a, num_threads=1)
    d_want = backward(tape, d_output, num_threads=1)
    for n in (2, 3, 8):
        *got, tape = forward(**a, num_threads=n)
        for array, expected in zip((*got, *backward(tape, d_output, num_threads=n)), (*want, *d_want), strict=True):
            assert_same_bits(array, expected, f"{n} threads")


def test_unknown_nonlinearity_raises_with_its_name():
    for wrong in ("sigmoid", "lstm", None, ["tanh"]):
        with pytest.raises((TypeError, ValueError), match="^nonlinearity must be .*tanh.*, got"):
            lstm_fast.rnn_forward(np.ones((3, 1, 1)), None, [[1.0]], [[0.5]], None, None, wrong)
