"""The reference of training in bfloat16, against the reference in float64 and against the float32 kernels.

That the bfloat16 kernels have its bits is tested in test_compute_dtype.py.
"""

import numpy as np
import pytest

import bfloat16_cases
from format_cases import has_fma
from lstm_fast import _core, reference
from lstm_fast.reference import bfloat16_cell, bfloat16_sums, formats
from lstm_fast.reference.float32_slopes import SLOPES, slope
from lstm_fast.reference.formats import chain, product_float32
from option_cases import LSTM_OPTIONS, draw, expect, make, train
from optional import light
from tolerances import assert_same_bits

OPTIONS = {
    **{name: (name,) for name in LSTM_OPTIONS},
    "plain": (),
    "all": LSTM_OPTIONS,
    "all without dropout": LSTM_OPTIONS[:-1],
}


SINGLE = [name for name in OPTIONS if "all" not in name]
LIGHT = ["plain", "all", *SINGLE[1::5]]


def norm_of_difference(got, want):
    return np.linalg.norm((got - want).ravel()) / np.linalg.norm(want.ravel())


@pytest.mark.parametrize("format", ["bfloat16", "bfloat16_amx"])
@pytest.mark.parametrize("option", light(SINGLE, SINGLE[::4]))
def test_gradients_are_close_to_those_in_float64(option, format):
    options = OPTIONS[option]
    module = make("lstm", 4, 17, options, dtype=np.float32, seed=3, num_layers=2, bidirectional=True)
    a = draw(np.random.default_rng(4), module, 6, 5, options)
    run = train(module, a)[1].options
    got = bfloat16_cases.expect(module, a, run, activate=reference.exact_activation, format=format)
    for name, want in expect(module, a, run).items():
        assert got[name].dtype == np.float32
        # Units near a bound may fall on its other side; norms of small rows amplify errors.
        limit = {"gate_clip": 0.1, "layer_norm": 0.1}.get(option, 0.01)
        assert not want.any() or norm_of_difference(got[name], want) < limit, name


@pytest.fixture
def float32_products(monkeypatch):
    """The reference with bfloat16 products replaced by float32 products."""

    def product_of_gates(d, weight, format):
        order = np.arange(d.shape[1]).reshape(4, -1).T.ravel()  # unit by unit
        return product_float32(weight.T[:, order], np.zeros(1, np.float32), d[:, order])

    monkeypatch.setitem(formats.PRODUCTS, "bfloat16", product_float32)
    monkeypatch.setattr(bfloat16_cell, "_product_of_gates", product_of_gates)
    monkeypatch.setattr(
        bfloat16_sums, "product_bfloat16", lambda weight, start, x: chain(start, x, weight, np.arange(x.shape[1]))
    )


def assert_bits_of_float32_kernels(options, T, B, I, H, seed=1, **structure):
    if not has_fma():
        pytest.skip("no fused multiply-add")
    module = make("lstm", I, H, options, dtype=np.float32, seed=seed, **structure)
    a = draw(np.random.default_rng(2), module, T, B, options)
    got, tape = train(module, a)
    for name, want in bfloat16_cases.expect(module, a, tape.options, format="bfloat16").items():
        assert_same_bits(got[name], want, name)


@pytest.mark.parametrize("option", light(list(OPTIONS), LIGHT))
def test_everything_but_products_matches_float32_kernels_bitwise(float32_products, option):
    assert_bits_of_float32_kernels((*OPTIONS[option], "given_h_0"), 6, 4, 3, 9, num_layers=2, bidirectional=True)


@pytest.mark.parametrize(
    "T, B, I, H", [(1, 1, 1, 1), (20, 40, 3, 5), (2, 600, 2, 3), (70, 8, 1, 16), (3, 2, 70, 33)], ids=str
)
def test_row_sums_match_float32_kernel_order(float32_products, T, B, I, H):
    for options in ((), ("lengths", "layer_norm", "peepholes")):
        assert_bits_of_float32_kernels(options, T, B, I, H)


SPECS = [
    ("tanh", 0.0, 0.0),
    ("sigmoid", 0.0, 0.0),
    ("relu", 0.0, 0.0),
    ("affine", 0.7, 0.2),
    ("leaky_relu", 0.3, 0.0),
    ("thresholded_relu", 0.2, 0.0),
    ("scaled_tanh", 1.3, 0.6),
    ("hard_sigmoid", 0.4, 0.45),
    ("elu", 0.8, 0.0),
    ("softsign", 0.0, 0.0),
    ("softplus", 0.0, 0.0),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_derivatives_match_kernels_bitwise(isa, spec):
    assert {name for name, *_ in SPECS} == SLOPES.keys()
    y = _core.testing.activate(spec, np.linspace(-6, 6, 1001, dtype=np.float32))
    got, want = slope(spec, y), _core.testing.activate(spec, y, slope=True)
    if spec[0] == "softplus":
        np.testing.assert_array_max_ulp(got, want, 4)
    else:
        assert_same_bits(got, want)


def test_an_empty_sequence_has_zero_gradients():
    weights = {"weight_ih": np.ones((8, 3)), "weight_hh": np.ones((8, 2)), "bias_ih": np.ones(8), "bias_hh": None}
    *_, tape = reference.lstm_tape_bfloat16(np.ones((0, 4, 3)), None, None, **weights)
    d = reference.lstm_backward_bfloat16(tape, None, np.ones((4, 2)))
    assert d.d_weight_ih.shape == (8, 3) and not d.d_weight_ih.any() and not d.d_bias_ih.any()
    assert (d.d_h_0 == 1).all()


def test_wrong_gradient_raises():
    *_, tape = reference.lstm_tape_bfloat16(
        np.ones((2, 1, 1)), None, None, np.ones((4, 1)), np.ones((4, 1)), None, None
    )
    with pytest.raises(ValueError, match="d_h_n"):
        reference.lstm_backward_bfloat16(tape, None, np.ones((1, 2)))
