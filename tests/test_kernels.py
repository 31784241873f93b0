"""The activations of every instruction set, number by number; the cells use the same functions.

LSTM_FAST_ALL_FLOATS=1 walks all 2^32 float32 values instead of every 257th, or 1021st in the light suite
(a few minutes).
"""

import os

import numpy as np
import pytest

from activation_checks import (
    FUNCTIONS,
    assert_accurate,
    assert_monotone,
    assert_monotone_neighbors,
    exact,
    is_clearly_accurate,
    nearest_of_range,
    special_points,
)
from conftest import BASES
from lstm_fast import _core
from lstm_fast.reference import activation
from module_cases import DTYPES, make
from optional import MUST_HAVE_ALL
from tolerances import assert_same_bits

sigmoid, tanh = FUNCTIONS.values()
STRIDE = 257 if MUST_HAVE_ALL else 1021
STRIDE = 1 if os.environ.get("LSTM_FAST_ALL_FLOATS", "0") not in ("", "0") else STRIDE


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_is_accurate_and_monotone_over_all_of_float32(isa_is_restored, name):
    """All instruction sets with a fused multiply-add have the bits of the first of them, which is compared with the
    exact values. (An extension of another set uses its kernels.)"""
    compared = BASES[:2]  # portable, and the first of them
    last = dict.fromkeys(compared, (np.empty(0, np.float32),) * 2)
    chunk = 1 << 17  # numbers: their 64-bit values fit a core's cache
    for begin in range(0, 1 << 32, STRIDE * chunk):
        bits = np.arange(begin, min(begin + STRIDE * chunk, 1 << 32), STRIDE, dtype=np.uint64).astype(np.uint32)
        x = bits.view(np.float32)
        with np.errstate(invalid="ignore"):  # signalling NaNs
            nearest, want = nearest_of_range(name, x), None
            for isa in BASES:
                _core.use_isa(isa)
                got = FUNCTIONS[name](x)
                if isa in compared:
                    if nearest is None or not (got == nearest).all():
                        want = exact(name, x) if want is None else want
                        if np.isnan(x[-1]) or not is_clearly_accurate(name, got, want):
                            assert_accurate(name, x, got, want)
                    last[isa] = assert_monotone_neighbors(*(map(np.concatenate, zip(last[isa], (x, got)))))
                    of_first = got
                else:
                    assert np.array_equal(got.view(np.uint32), of_first.view(np.uint32)), isa


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_is_monotone_among_neighboring_floats(isa, name):
    for start in (0.01, 0.25, 0.5, 1, 4, 8, 16):  # where the quotient, the exponent or the tail begins to dominate
        x = np.float32(start).view(np.uint32) + np.arange(1 << 16, dtype=np.uint32)
        assert_monotone(x.view(np.float32), FUNCTIONS[name](x.view(np.float32)))
        assert_monotone(-x.view(np.float32), FUNCTIONS[name](-x.view(np.float32)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_is_accurate_over_float64(isa, name):
    assert np.finfo(np.longdouble).eps < 1e-18, "this machine has no wider format to compare float64 with"
    rng = np.random.default_rng(64)
    any_bits = rng.integers(0, 2**64, 200_000, dtype=np.uint64).view(np.float64)
    with np.errstate(invalid="ignore"):
        assert_accurate(name, any_bits)
    assert_accurate(name, rng.uniform(-40, 40, 200_000))
    assert_accurate(name, rng.uniform(-750, 750, 200_000))
    assert_accurate(name, rng.choice([-1, 1], 200_000) * 2 ** rng.uniform(-60, 3, 200_000))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_is_accurate_near_special_points(isa, name, dtype):
    assert_accurate(name, special_points(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_activation_keeps_nan_and_saturates_exactly(isa, dtype):
    nan_bits = {
        np.float32: [0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF],
        np.float64: [0x7FF8 << 48, 0xFFF8 << 48, (0x7FF0 << 48) + 1, 2**64 - 1],
    }[dtype]
    nans = np.array(nan_bits, f"u{np.dtype(dtype).itemsize}").view(dtype)
    x = np.array([np.inf, -np.inf, 0, 1e4, -1e4, np.finfo(dtype).max, -np.finfo(dtype).max], dtype)
    assert sigmoid(x).tolist() == [1, 0, 0.5, 1, 0, 1, 0]
    assert tanh(x).tolist() == [1, -1, 0, 1, -1, 1, -1]
    for function in FUNCTIONS.values():
        assert np.isnan(function(nans)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_odd_to_the_bit(isa, dtype):
    x = special_points(dtype)
    assert_same_bits(tanh(-x), -tanh(x))
    assert np.signbit(tanh(np.array([-0.0], dtype))) and not np.signbit(tanh(np.array([0.0], dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_is_monotone_near_special_points(isa, name, dtype):
    x = special_points(dtype)
    assert_monotone(x, FUNCTIONS[name](x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_bits_do_not_depend_on_lane_or_tail(isa, name, dtype):
    rng = np.random.default_rng(70)
    x = (4 * rng.standard_normal(160)).astype(dtype)
    x[::13] = [np.nan, np.inf, -np.inf, 0, -0.0, 100, -100, 1e-30, -1e-30, 800, -800, 30, -30]
    want = FUNCTIONS[name](x)
    for n in range(1, 71):
        for offset in range(17):
            assert_same_bits(
                FUNCTIONS[name](x[offset : offset + n]), want[offset : offset + n], f"n={n} offset={offset}"
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_activation_of_empty_array(isa, name, dtype):
    assert FUNCTIONS[name](np.empty(0, dtype)).shape == (0,)


def gates_of(x):
    """i, f, g, o of an LSTM whose four pre-activations all are x, bit for bit."""
    lstm = make("lstm", 1, 1, dtype=x.dtype)
    with lstm.edit() as p:
        for name in p:
            p[name] = np.full(p[name].shape, name == "weight_ih_l0")
    rows = np.zeros((-(-x.size // 500), 500, 1), x.dtype)  # a trace takes a while for each sequence
    rows.reshape(-1)[: x.size] = x
    return [gate.ravel()[: x.size] for gate in lstm.trace(rows)[:4]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_activation_is_accurate_inside_a_cell(each_isa, dtype):
    x = np.concatenate([special_points(dtype), np.linspace(-20, 20, 3000).astype(dtype)])
    x = x[(np.abs(x) >= np.finfo(dtype).tiny) & np.isfinite(x)]  # smaller numbers are flushed: see below
    want = {name: exact(name, x) for name in FUNCTIONS}
    for _ in each_isa():
        for name, gate in zip(("sigmoid", "sigmoid", "tanh", "sigmoid"), gates_of(x), strict=True):
            assert_accurate(name, x, gate, want[name])


@pytest.mark.parametrize("dtype, underflow", [(np.float32, -87.4), (np.float64, -708.5)])
def test_cell_flushes_subnormals(isa, dtype, underflow):
    tiny = np.finfo(dtype).tiny
    x = np.array([underflow, tiny / 2, -tiny / 4, np.finfo(dtype).smallest_subnormal, 1], dtype)
    i, f, g, o = gates_of(x)
    for gate in (i, f, o):
        assert gate[:4].tolist() == [0, 0.5, 0.5, 0.5] and gate[4] > 0.7
    assert (g[1:4] == 0).all() and g[4] > 0.7


# ---- the other activations -------------------------------------------------------------------------------------------

OTHERS = [
    ("relu", 0, 0),
    ("affine", 0.7, 0.2),
    ("leaky_relu", 0.3, 0),
    ("thresholded_relu", 0.2, 0),
    ("scaled_tanh", 1.3, 0.6),
    ("hard_sigmoid", 0.4, 0.45),
    ("elu", 0.8, 0),
    ("softsign", 0, 0),
    ("softplus", 0, 0),
]


def definition(spec):
    name, *parameters = spec
    return activation((name, *parameters[: len(activation(name).parameters)]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", OTHERS, ids=lambda spec: spec[0])
def test_other_activations_and_derivatives_match_reference(isa, spec, dtype):
    """Within 4 ULP, or 4 epsilon of the sizes that are added; alpha and beta are rounded to the dtype."""
    spec = (spec[0], *(float(dtype(p)) for p in spec[1:]))
    z = np.concatenate(
        [np.random.default_rng(0).standard_normal(20_000) * 3, np.linspace(-120, 120, 5001), [0.0, -0.0]]
    )
    z = z.astype(dtype)
    wide = np.float64 if dtype is np.float32 else np.longdouble
    want, eps = definition(spec).function(z.astype(wide), *definition(spec).parameters), np.finfo(dtype).eps
    got = _core.testing.activate(spec, z)
    np.testing.assert_array_less(
        np.abs(got - want), 4 * eps * np.maximum(np.abs(want), np.abs(spec[2])) + 4 * np.finfo(dtype).tiny
    )
    slope = np.asarray(definition(spec).derivative(got.astype(wide), *definition(spec).parameters)).astype(wide)
    np.testing.assert_array_less(
        np.abs(_core.testing.activate(spec, got, True) - slope), 8 * eps * max(1, abs(spec[1]), abs(spec[2]))
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", OTHERS, ids=lambda spec: spec[0])
def test_other_activations_propagate_nan_and_accept_infinity(isa, spec, dtype):
    z = np.array([np.nan, np.inf, -np.inf, np.nan], dtype)
    got = _core.testing.activate(spec, z)
    assert np.isnan(got[[0, 3]]).all()
    with np.errstate(invalid="ignore"):
        want = definition(spec)(z[1:3].astype(np.float64))
    np.testing.assert_allclose(got[1:3], want, rtol=1e-6)


@pytest.mark.parametrize("spec", [*OTHERS, ("tanh", 0, 0), ("sigmoid", 0, 0)], ids=lambda spec: spec[0])
def test_activation_bits_do_not_depend_on_position(isa, spec):
    z = np.random.default_rng(1).standard_normal(37).astype(np.float32)
    whole = _core.testing.activate(spec, z)
    for k in range(37):
        assert_same_bits(_core.testing.activate(spec, z[k : k + 1].copy()), whole[k : k + 1])
