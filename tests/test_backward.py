"""Every gradient of every cell, dtype and instruction set: against complex steps and against the reference's backward
pass.

Complex steps go through the reference's forward pass and share no formula with any backward pass.
"""

import numpy as np
import pytest

from lstm_fast import reference
from module_cases import (
    DROPOUT_SHAPES,
    DROPOUT_STRUCTURES,
    DTYPES,
    EMPTY_SHAPES,
    KINDS,
    LONG_SHAPES,
    SHAPES,
    STRUCTURES,
    Shape,
    draw,
    is_lstm,
    known,
    known_with_dropout,
    make,
    make_with_dropout,
    masks_of,
    reference_options,
    states,
    train,
)
from numdiff import complex_step
from optional import light
from tolerances import LONG_GRADIENT_F32, assert_same_bits, assert_within, gradient_error, gradient_tolerance


def assert_gradients(got, want, dtype, case, tolerance=None):
    names, computed = ({name for name in results if name.startswith("d_")} for results in (want, got))
    assert names == computed
    for name in sorted(names):
        assert got[name].dtype == dtype, name
        allowed = tolerance or gradient_tolerance(want[name], dtype)
        assert_within(gradient_error(got[name], want[name], dtype), allowed, f"{name} of {case}")


# ---- against complex steps -----------------------------------------------------------------------------------------


def numerical_gradients(module, a, masks):
    """d_<name> of x, the states and the parameters, for the loss sum(result * incoming gradient)."""
    everything = {name: a[name] for name in ("x", "h_0", "c_0") if name in a} | module.parameters()

    def loss(values):
        results = reference.stack_forward(
            values["x"], values["h_0"], values.get("c_0"), values, masks=masks, **reference_options(module)
        )
        output, h_n, c_n, _ = results
        total = (output * a["d_output"]).sum() + (h_n * a["d_h_n"]).sum()
        return total if c_n is None else total + (c_n * a["d_c_n"]).sum()

    return {
        "d_" + name: complex_step(lambda value, name=name: loss(everything | {name: value}), everything[name])
        for name in everything
    }


@pytest.mark.parametrize("k", range(len(STRUCTURES)), ids=lambda k: "-".join(map(str, STRUCTURES[k].values())))
@pytest.mark.parametrize("kind", KINDS)
def test_backward_float64_matches_complex_step(each_isa, poison, kind, k):
    module = make(kind, 2, 3, seed=k, **STRUCTURES[k])
    a = draw(np.random.default_rng([k, KINDS.index(kind)]), module, 4, 2)
    want = numerical_gradients(module, a, None)
    for isa in each_isa():
        module = make(kind, 2, 3, seed=k, **STRUCTURES[k])
        assert_gradients(train(module, a)[0], want, np.float64, f"{STRUCTURES[k]}, {isa}")


@pytest.mark.parametrize("kind", ["lstm", "relu"])
def test_backward_with_dropout_matches_complex_step(each_isa, poison, kind):
    drawn, want = None, None
    for isa in each_isa():
        module = make(kind, 2, 3, num_layers=2, bidirectional=True, dropout=0.4)
        a = draw(np.random.default_rng(4), module, 3, 2)
        got, tape = train(module, a, training=True)
        if want is None:
            drawn, masks = tape.options.seed, masks_of(module, tape, 3, 2)
            assert 0 < (masks[0] == 0).sum() < masks[0].size
            want = numerical_gradients(module, a, masks)
        assert tape.options.seed == drawn
        assert_gradients(got, want, np.float64, f"dropout, {isa}")


# ---- against the reference -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_backward_matches_reference_at_every_shape(each_isa, poison, kind, dtype):
    for isa in each_isa():
        for n, shape in enumerate(SHAPES):
            k = n % len(STRUCTURES)
            a, want = known(kind, dtype, shape, k)
            module = make(kind, shape.I, shape.H, dtype=dtype, **STRUCTURES[k])
            assert_gradients(train(module, a)[0], want, dtype, f"{shape} {STRUCTURES[k]}, {isa}")


@pytest.mark.parametrize("k", [0, 1], ids=lambda k: str(STRUCTURES[k]))
def test_backward_float32_is_within_1e_6_of_float64(each_isa, k):
    a, want = known("lstm", np.float32, Shape(100, 3, 40, 256), k, 0)
    for isa in each_isa():
        lstm = make("lstm", 40, 256, dtype=np.float32, **STRUCTURES[k])
        assert_gradients(train(lstm, a)[0], want, np.float32, f"{STRUCTURES[k]}, {isa}")


@pytest.mark.parametrize("dtype", light(DTYPES, DTYPES[:1]))
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LONG_SHAPES)
def test_backward_matches_reference_beyond_one_block(each_isa, poison, name, kind, dtype):
    shape, tolerance = LONG_SHAPES[name], LONG_GRADIENT_F32 if dtype is np.float32 else None
    for isa in each_isa():
        for k in (1, 2) if kind == "lstm" else (4,):
            a, want = known(kind, dtype, shape, k)
            module = make(kind, shape.I, shape.H, dtype=dtype, **STRUCTURES[k])
            assert_gradients(train(module, a)[0], want, dtype, f"{STRUCTURES[k]}, {isa}", tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", DROPOUT_SHAPES, ids=str)
def test_backward_with_dropout_matches_reference_with_its_masks(each_isa, poison, kind, shape):
    for isa in each_isa():
        for k, structure in enumerate(DROPOUT_STRUCTURES):
            a, want, seed = known_with_dropout(kind, shape, k)
            got, tape = train(make_with_dropout(kind, shape, k), a, training=True)
            assert tape.options.seed == seed
            assert_gradients(got, want, np.float64, f"{structure}, {isa}")


@pytest.mark.parametrize("shape", EMPTY_SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_backward_of_an_empty_input_passes_the_gradients_through(isa, poison, kind, shape):
    T, B, I, H = shape
    for structure in STRUCTURES:
        module = make(kind, I, H, **structure)
        a = draw(np.random.default_rng(1), module, T, B)
        got, _ = train(module, a)
        assert got["d_x"].shape == a["x"].shape
        assert_same_bits(got["d_h_0"], a["d_h_n"], structure)
        if is_lstm(module):
            assert_same_bits(got["d_c_0"], a["d_c_n"], structure)
        for name, value in module.parameters().items():
            assert_same_bits(got["d_" + name], np.zeros_like(value), f"{name} {structure}")


@pytest.mark.parametrize("kind", KINDS)
def test_backward_takes_a_missing_gradient_as_zero(isa, poison, kind):
    module = make(kind, 3, 9, num_layers=2, bidirectional=True)
    a = draw(np.random.default_rng(9), module, 4, 3)
    incoming = [name for name in ("d_output", "d_h_n", "d_c_n") if name in a]
    *_, tape = module.forward(a["x"], states(module, a["h_0"], a.get("c_0")), training=False)
    for absent in [*([name] for name in incoming), incoming]:
        want, _ = train(module, a | {name: np.zeros_like(a[name]) for name in absent})
        d = {name: None if name in absent else a[name] for name in incoming}
        gradients = module.backward(tape, d["d_output"], states(module, d["d_h_n"], d.get("d_c_n")))
        assert_same_bits(gradients.d_x, want["d_x"], absent)
        for name in gradients:
            assert_same_bits(gradients[name], want["d_" + name], f"{name}, {absent} absent")
    gradients = module.backward(tape, None)
    assert not gradients.d_x.any() and not gradients.d_h_0.any() and not gradients.flat.any()


# ---- the tape ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_tape_is_reusable_and_independent_of_overwritten_arrays(isa, poison, kind, dropout):
    module = make(kind, 3, 9, num_layers=2, bidirectional=True, dropout=dropout)
    a = draw(np.random.default_rng(9), module, 7, 3)
    want, tape = train(module, a, training=True)

    def again():
        gradients = module.backward(tape, a["d_output"], states(module, a["d_h_n"], a.get("d_c_n")))
        assert_same_bits(gradients.d_x, want["d_x"])
        assert_same_bits(gradients.d_h_0, want["d_h_0"])
        for name in gradients:
            assert_same_bits(gradients[name], want["d_" + name], name)
        for array in (gradients.d_x, gradients.d_h_0, gradients.flat):
            array[...] = np.nan  # the caller may overwrite its arrays

    again()
    for name in ("output", "h_n", "c_n"):
        if name in want:
            want[name][...] = np.nan
    a["h_0"][...] = np.nan
    if "c_0" in a:
        a["c_0"][...] = np.nan
    with module.edit() as p:
        for name in p:
            p[name] = np.full(p[name].shape, 7.0)
    train(module, draw(np.random.default_rng(10), module, 5, 4))
    again()
