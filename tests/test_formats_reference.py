"""The reference of the formats: float32 arithmetic against fractions, rounding, products, layers, explicit loops.

That the library's kernels have these bits is tested in test_quantized.py; those of float32 and float16, here.
"""

from fractions import Fraction

import numpy as np
import pytest

from format_cases import CASES, FORMATS, OPTIONS, arguments, expect, has_fma, make
from lstm_fast import reference
from lstm_fast.reference import float32, formats
from optional import light
from tolerances import assert_same_bits

TINY = 2.0**-126


def rounded(exact):
    """A Fraction rounded once to 24 bits, to nearest even, with an unbounded exponent; zero if it is then subnormal."""
    if exact == 0:
        return 0.0
    exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
    exponent -= abs(exact) < Fraction(2) ** exponent
    unit = Fraction(2) ** (exponent - 23)
    value = round(exact / unit) * unit  # Fraction's rounding is to even
    return float(value) if abs(value) >= Fraction(TINY) else float(np.copysign(0.0, float(exact / unit)))


def assert_rounded_once(got, *exact):
    for one, value in zip(got, exact, strict=True):
        want = rounded(value)
        assert float(one) == want and (value == 0 or np.signbit(one) == np.signbit(want)), (one, value, want)


def numbers(rng, n, exponents):
    return float32.flush(np.ldexp(rng.standard_normal(n), rng.integers(*exponents, n)).astype(np.float32))


def test_fma_rounds_once_even_at_float64_ties():
    rng = np.random.default_rng(0)
    a, b = numbers(rng, 4000, (-70, 50)), numbers(rng, 4000, (-70, 50))
    c = np.ldexp(a.astype(np.float64) * b, rng.integers(-40, 41, 4000)).clip(-1e38, 1e38)
    c = float32.flush(c)
    c[::3] = -float32.multiply(a, b)[::3]  # cancellation
    a[1::5] = rng.integers(
        1, 2**24, 800
    )  # just above and below the midpoint of two float32 numbers, by a relative 2^-47
    b[1::5] = 2.0**-24 * (1 + rng.integers(-1, 2, 800) * 2.0**-23)
    c[1::5] = rng.integers(2**23, 2**24, 800)
    as_fractions = [[Fraction(float(v)) for v in array] for array in (a, b, c)]
    assert_rounded_once(float32.fma(a, b, c), *(x * y + z for x, y, z in zip(*as_fractions, strict=True)))
    naive = (a.astype(np.float64) * b + c).astype(np.float32)
    assert (naive != float32.fma(a, b, c)).any()  # plain float64 rounds twice


@pytest.mark.parametrize("exponents", [(-20, 20), (-75, -50)], ids=str)
def test_other_operations_round_once_and_flush(exponents):
    rng = np.random.default_rng(1)
    a, b = numbers(rng, 2000, exponents), numbers(rng, 2000, exponents)
    x, y = ([Fraction(float(v)) for v in array] for array in (a, b))
    assert_rounded_once(float32.multiply(a, b), *(i * j for i, j in zip(x, y, strict=True)))
    assert_rounded_once(float32.add(a, b), *(i + j for i, j in zip(x, y, strict=True)))
    assert_rounded_once(float32.subtract(a, b), *(i - j for i, j in zip(x, y, strict=True)))
    assert_rounded_once(float32.divide(a, b), *(i / j for i, j in zip(x, y, strict=True)))


def test_subnormal_operands_and_results_are_signed_zeros():
    small = np.float32([TINY / 2, -TINY / 2, 1e-45])
    assert_same_bits(float32.flush(small), np.float32([0.0, -0.0, 0.0]))
    assert_same_bits(float32.fma(small, np.float32(2), np.float32(-0.0)), np.float32([0.0, -0.0, 0.0]))
    below = np.nextafter(np.float32(1), np.float32(0))  # 1 - 2^-24: times TINY it rounds to a subnormal of 24 bits
    assert float32.multiply(below, np.float32(TINY)) == 0
    up = float32.fma(np.float32(TINY), np.float32(1), np.float32(-TINY) * np.float32(2**-24))
    assert up == np.float32(TINY)  # the addend is subnormal: zero
    assert np.isnan(float32.fma(np.float32(np.inf), np.float32(0), np.float32(1)))
    assert float32.fma(np.float32(3e38), np.float32(2), np.float32(1)) == np.inf


def test_bfloat16_rounds_to_nearest_even():
    upper = np.arange(2**16, dtype=np.uint32)
    upper = upper[(upper & 0x7F80) != 0x7F80]  # finite
    base = (upper << 16).view(np.float32)
    is_normal = np.abs(base) >= TINY
    assert_same_bits(reference.round_bfloat16(base), np.where(is_normal, base, np.copysign(0, base)))
    for offset, carries in ((1, 0), (0x7FFF, 0), (0x8000, upper & 1), (0x8001, 1), (0xFFFF, 1)):
        z = (upper << 16 | offset).view(np.float32)
        want = ((upper + carries) << 16).view(np.float32)
        keep = np.abs(z) >= TINY
        assert_same_bits(reference.round_bfloat16(z)[keep], want[keep], offset)


def test_bfloat16_of_special_numbers():
    z = np.float32([np.inf, -np.inf, 3.4e38, -0.0, 1e-40, -1e-40])
    assert_same_bits(reference.round_bfloat16(z), np.float32([np.inf, -np.inf, np.inf, -0.0, 0.0, -0.0]))
    nan = np.uint32([0x7F800001, 0xFFFFFFFF, 0x7FC00000]).view(np.float32)
    assert np.isnan(reference.round_bfloat16(nan)).all()
    assert reference.to_bfloat16(1.0).shape == () and reference.to_bfloat16(np.zeros((0, 3))).shape == (0, 3)


def test_bfloat16_sum_is_one_chain_with_odd_terms_first():
    rng = np.random.default_rng(2)
    for K in (1, 2, 5):
        start = rng.standard_normal(3).astype(np.float32)
        x, w = rng.standard_normal((2, K)).astype(np.float32), rng.standard_normal((3, K)).astype(np.float32)
        want = np.broadcast_to(start, (2, 3)).copy()
        for b, n in np.ndindex(2, 3):
            for pair in range(0, K, 2):
                for k in (pair + 1, pair):
                    if k < K:
                        product = Fraction(float(reference.round_bfloat16(x[b, k])))
                        product *= Fraction(float(reference.round_bfloat16(w[n, k])))
                        want[b, n] = rounded(Fraction(float(want[b, n])) + product)
        assert_same_bits(formats.product_bfloat16(w, start, x), want, K)


@pytest.mark.parametrize("exponent", [0, -62], ids=["ordinary", "subnormal"])
def test_bfloat16_amx_sum_is_blocks_of_two_chains(exponent):
    rng = np.random.default_rng(4)
    for K in (1, 2, 31, 32, 33, 67):
        start = np.ldexp(rng.standard_normal(3), 2 * exponent).astype(np.float32)
        x, w = (np.ldexp(rng.standard_normal((n, K)), exponent).astype(np.float32) for n in (2, 3))
        want = float32.flush(np.broadcast_to(start, (2, 3))).copy()
        for b, n in np.ndindex(2, 3):
            for block in range(0, K, 32):
                chains = [0.0, 0.0]  # even k, odd k
                for k in range(block, min(block + 32, K)):
                    product = Fraction(float(reference.round_bfloat16(x[b, k])))
                    product *= Fraction(float(reference.round_bfloat16(w[n, k])))
                    chains[k % 2] = rounded(Fraction(chains[k % 2]) + product)
                both = rounded(Fraction(chains[0]) + Fraction(chains[1]))
                want[b, n] = rounded(Fraction(float(want[b, n])) + Fraction(both))
        assert_same_bits(formats.product_bfloat16_amx(w, start, x) + np.float32(0), want + np.float32(0), K)


def test_each_row_has_its_scale():
    w = np.float32([[1.27, -0.635, 0.005], [0, 0, 0], [TINY * 50, TINY, 0], [3e38, -3e38, 1]])
    q, scale = reference.quantize_rows(w)
    assert q.dtype == np.int8 and scale.dtype == np.float32
    assert q.tolist() == [[127, -63, 0], [0, 0, 0], [0, 0, 0], [127, -127, 0]] or q[0].tolist() == [127, -64, 0]
    assert scale[1] == 0 and scale[2] == 0  # a row of zeros; a scale that would be subnormal
    rng = np.random.default_rng(3)
    w = rng.standard_normal((50, 70)).astype(np.float32)
    q, scale = reference.quantize_rows(w)
    assert (np.abs(q).max(axis=1) == 127).all()
    assert (np.abs(q * scale[:, None].astype(np.float64) - w) <= scale[:, None] * (0.5 + 1e-5)).all()
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite"):
            reference.quantize_rows([[1.0, bad]])


def test_each_input_row_has_its_scale():
    x = np.float32([[63.5, -254], [0, 0], [1e-40, 0], [np.nan, 1], [1, np.inf], [1e-31, 0]])
    q, scale = reference.quantize_inputs(x)
    assert q.tolist() == [[32, -127], [0, 0], [0, 0], [0, 0], [0, 0], [0, 0]]
    assert_same_bits(scale, np.float32([2, 0, 0, np.nan, np.nan, np.float32(1e-31) / np.float32(127)]))
    alone = [reference.quantize_inputs(row[None])[0][0] for row in x]
    assert (q == alone).all()


def test_int16_inputs_are_multiplied_in_two_parts():
    rng = np.random.default_rng(6)
    x, rows = rng.standard_normal((3, 40)).astype(np.float32), reference.quantize_rows(rng.standard_normal((5, 40)))
    q, scale = reference.quantize_inputs(x, 16)
    assert q.dtype == np.int16 and (np.abs(q).max(axis=1) == 32512).all()
    got = formats.product_inputs(rows, np.zeros(5, np.float32), x, 16)
    exact = (q * scale[:, None].astype(np.float64)) @ (rows.q * rows.scale[:, None].astype(np.float64)).T
    assert np.abs(got / exact - 1).max() < 1e-6 and np.abs(q * scale[:, None] - x).max() < 1e-4


def test_nan_in_a_row_makes_its_sums_nan():
    h, rows = np.float32([[0.5, np.nan], [0.5, 1]]), reference.quantize_rows(np.ones((3, 2)))
    for product in (formats.product_hidden, formats.product_inputs):
        got = product(rows, np.zeros(3, np.float32), h)
        assert np.isnan(got).tolist() == [[True] * 3, [False] * 3]


def test_float32_sum_is_blocked():
    rng = np.random.default_rng(5)
    K = 150
    start, x, w = rng.standard_normal(1), rng.standard_normal((1, K)), rng.standard_normal((1, K))
    start, x, w = (a.astype(np.float32) for a in (start, x, w))
    want = float(start[0])
    for begin in (0, 64, 128):
        block = 0.0
        for k in range(begin, min(begin + 64, K)):
            block = rounded(Fraction(block) + Fraction(float(x[0, k])) * Fraction(float(w[0, k])))
        want = rounded(Fraction(want) + Fraction(block))
    assert float(formats.product_float32(w, start, x)[0, 0]) == want


def test_int8_product_is_an_exact_sum_scaled_once():
    rng = np.random.default_rng(4)
    h, w = rng.uniform(-1, 1, (3, 40)).astype(np.float32), rng.standard_normal((5, 40)).astype(np.float32)
    start = rng.standard_normal((3, 5)).astype(np.float32)
    rows = reference.quantize_rows(w)
    got = formats.product_hidden(rows, start, h)
    for b, n in np.ndindex(3, 5):
        total = sum(int(p) * int(q) for p, q in zip(reference.quantize_hidden(h)[b], rows.q[n], strict=True))
        scale = np.float32(float(rows.scale[n]) / 127)
        exact = Fraction(total) * Fraction(float(scale)) + Fraction(float(start[b, n]))
        assert_rounded_once([got[b, n]], exact)
    assert np.abs(got - (start + h @ w.T)).max() < 0.2


@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("format, options", [("float32", options) for options in OPTIONS] + CASES[: len(OPTIONS)])
def test_float32_and_float16_kernels_match_bitwise(some_isa, format, options, with_state):
    if not has_fma():
        pytest.skip("no fused multiply-add")
    lstm = make(OPTIONS[options])
    x, state, lengths, resets = arguments(lstm)
    state = state if with_state else None
    network = lstm if format == "float32" else lstm.quantized("float16")
    output, (h_n, c_n) = network(x, state, lengths=lengths, resets=resets)
    for got, want in zip((output, h_n, c_n), expect(lstm, format, x, state, lengths, resets), strict=True):
        assert_same_bits(got, want)


@pytest.mark.parametrize("format, options", light(CASES, CASES[::5]))
def test_results_are_close_to_float32(format, options):
    format, inputs = FORMATS[format]
    lstm = make(OPTIONS[options])
    a = arguments(lstm)
    exact = expect(lstm, "float32", *a, activate=reference.exact_activation)
    got = expect(lstm, format, *a, activate=reference.exact_activation, inputs=inputs)
    for one, other in zip(got, exact, strict=True):
        assert 0 < np.abs(one - other).max() < (2e-3 if format == "float16" else 0.1)


@pytest.mark.parametrize("format", ["float32", "bfloat16", "bfloat16_amx", "int8"])
@pytest.mark.parametrize("T, B, lengths", [(0, 3, None), (4, 0, None), (4, 2, [0, 2])], ids=str)
def test_steps_without_sequences(format, T, B, lengths):
    lstm = make(dict(layer_norm=True, bidirectional=True))
    x = np.ones((T, B, 4), np.float32)
    output, h_n, c_n = expect(lstm, format, x, lengths=lengths)
    assert output.shape == (T, B, 38) and h_n.shape == c_n.shape == (2, B, 19)
    assert lengths is None or (not output[2:].any() and not output[:, 0].any())


@pytest.mark.parametrize("format", ["bfloat16", "bfloat16_amx", "int8"])
def test_rounded_weights_give_the_same_results(format):
    lstm = make({})
    x, (h_0, c_0), *_ = arguments(lstm)
    p = {name.removesuffix("_l0"): value for name, value in lstm.parameters().items()}
    rounded_p, a = dict(p), (x, h_0[0], c_0[0])
    if format.startswith("bfloat16"):
        forward = getattr(reference, f"lstm_forward_{format}")
        rounded_p |= {name: reference.to_bfloat16(p[name]) for name in ("weight_ih", "weight_hh")}
    else:
        forward = reference.lstm_forward_int8
        rounded_p |= {"weight_hh": reference.quantize_rows(p["weight_hh"])}
    for got, want in zip(forward(*a, **rounded_p), forward(*a, **p), strict=True):
        assert_same_bits(got, want)


def test_int8_raises_on_unrepresentable_values():
    lstm = make({})
    x, *_ = arguments(lstm)
    p = {name.removesuffix("_l0"): value for name, value in lstm.parameters().items()}
    B, H = x.shape[1], lstm.hidden_size
    for h_0 in (1.5, np.nan):
        with pytest.raises(ValueError, match="`h_0` must lie within"):
            reference.lstm_forward_int8(x, np.full((B, H), h_0), None, **p)
    with pytest.raises(ValueError, match="`weight_hr` must be None"):
        reference.lstm_forward_int8(x, None, None, **p, weight_hr=np.ones((2, H)))
    with pytest.raises(ValueError, match="`inputs` must be"):
        reference.lstm_forward_int8(x, None, None, **p, inputs="float16")
    with pytest.raises(ValueError, match="`format` must be"):
        reference.quantized_forward(x, None, None, {}, format="int4", num_layers=1, bidirectional=False)
