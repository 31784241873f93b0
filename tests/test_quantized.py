"""LSTM.quantized: bits of the reference in every format, close to float32, inference only."""

import copy
import pickle

import numpy as np
import pytest

import lstm_fast
from format_cases import CASES, FORMATS, OPTIONS, arguments, expect, make
from fuzz_formats import Case
from lstm_fast import _core, reference
from optional import MUST_HAVE_ALL, light
from tolerances import assert_same_bits

each_format = pytest.mark.parametrize("format, inputs", FORMATS.values(), ids=FORMATS)
NEW = {name: value for name, value in FORMATS.items() if name != "float16"}


def assert_bits_of_the_reference(isas, lstm, format, inputs, *calls):
    """Each call: x, the state, and a dict of lengths and resets."""
    expected = None
    for isa in isas:
        quantized = lstm.quantized(format, inputs=inputs)
        if expected is None:
            expected = [expect(lstm, format, x, state, inputs=inputs, **options) for x, state, options in calls]
        for (x, state, options), want in zip(calls, expected, strict=True):
            output, (h_n, c_n) = quantized(x, state, **options)
            for name, one, other in zip(("output", "h_n", "c_n"), (output, h_n, c_n), want, strict=True):
                assert_same_bits(one, other, f"{name}, {isa}")


@pytest.mark.parametrize("format, options", light(CASES, CASES[::5]))
def test_results_match_reference_bitwise(isas_with_fma, format, options):
    lstm = make(OPTIONS[options])
    x, state, lengths, resets = arguments(lstm)
    calls = (x, None, {}), (x, state, dict(lengths=lengths, resets=resets))
    assert_bits_of_the_reference(isas_with_fma, lstm, *FORMATS[format], *calls)


@pytest.mark.parametrize("options", ["projection", "directions", "all", "peepholes, coupled gates, clips"])
@pytest.mark.parametrize("I, H", [(20, 32), (64, 19), (11, 12)], ids=str)
def test_bits_of_steps_of_whole_blocks_of_rows(isas_with_fma, options, I, H):
    """AMX multiplies x and h together then, also once fewer sequences are left than a block has rows."""
    lstm = make(OPTIONS[options], I, H)
    x, state, _, resets = arguments(lstm, 3, 18)
    lengths = [3] + [2] * 16 + [0]
    calls = (x, state, {}), (x, state, dict(lengths=lengths, resets=resets))
    assert_bits_of_the_reference(isas_with_fma, lstm, "bfloat16_amx", "float32", *calls)


@each_format
@pytest.mark.parametrize("bidirectional", light([False, True], [True]))
@pytest.mark.parametrize(
    "T, B, I, H, layers",
    [
        (1, 1, 1, 1, 1),
        (5, 1, 3, 7, 1),
        (4, 1, 2, 8, 2),
        (9, 2, 5, 16, 2),
        (4, 3, 9, 33, 1),
        (6, 7, 20, 24, 2),
        (3, 40, 4, 65, 1),
        (2, 3, 67, 31, 1),
        (3, 1, 70, 130, 1),
        (2, 5, 3, 128, 2),
    ],
    ids=str,
)
def test_bits_at_the_edges_of_vectors_and_tiles(isas_with_fma, format, inputs, T, B, I, H, layers, bidirectional):
    lstm = make(dict(num_layers=layers, bidirectional=bidirectional), I, H, scale=1 / np.sqrt(H))
    assert_bits_of_the_reference(isas_with_fma, lstm, format, inputs, (*arguments(lstm, T, B)[:2], {}))


@pytest.mark.parametrize("seed", range(40))
def test_random_cases(seed):
    """More of them: python tests/fuzz_formats.py."""
    if _core.available_isas() == ["portable"]:
        pytest.skip("no fused multiply-add")
    Case(seed).check()


@each_format
def test_portable_kernels_without_fma_are_close(format, inputs):
    before = _core.isa()
    _core.use_isa("portable")
    try:
        lstm = make({})
        x, state, *_ = arguments(lstm)
        got = lstm.quantized(format, inputs=inputs)(x, state)[0]
    finally:
        _core.use_isa(before)
    # An h that rounds the other way differs by one step of the format.
    assert np.abs(got - expect(lstm, format, x, state, inputs=inputs)[0]).max() < (
        1e-6 if format == "float16" else 0.02
    )


@pytest.mark.parametrize("format, inputs", NEW.values(), ids=NEW)
def test_extreme_numbers(isas_with_fma, format, inputs):
    lstm = make({}, I=5, H=20)
    with lstm.edit() as p:
        p["weight_hh_l0"][3], p["weight_ih_l0"][4] = 0, 0  # rows of zeros
        p["weight_hh_l0"][5] *= 1e-38 / np.abs(p["weight_hh_l0"][5]).max()  # scales that would be subnormal
        p["weight_ih_l0"][6] *= 1e-38 / np.abs(p["weight_ih_l0"][6]).max()
        p["weight_hh_l0"][7] *= 1e6
        p["bias_ih_l0"][8] = 1e-40
    x = np.random.default_rng(0).standard_normal((4, 8, 5)).astype(np.float32)
    for b, scale in enumerate((0, 1e-40, 1e-38, 1e-36, 1e-20, 1e20, 1e36)):
        x[:, b] *= scale
    x[1, 7, 2] = 1e-40
    h_0 = np.zeros((1, 8, 20), np.float32)
    h_0[..., :4] = 1, -1, 1e-40, 0.5 / 127
    assert_bits_of_the_reference(isas_with_fma, lstm, format, inputs, (x, (h_0, np.zeros_like(h_0)), {}))


@pytest.mark.parametrize("format", ["bfloat16", "bfloat16_amx"])
@pytest.mark.parametrize("H, B", [(33, 1), (33, 5), (64, 17)])
def test_sums_around_the_smallest_normal_number_are_flushed_alike(isas_with_fma, format, H, B):
    """Products that are subnormal, or cancel to subnormal sums; an affine f shows them, multiplied by a large c."""
    lstm = make(dict(bias=False, recurrent_activation=("affine", 1.0, 0.0)), I=H, H=H)
    rng = np.random.default_rng(H)
    with lstm.edit() as p:
        p.flat[:] = np.ldexp(rng.choice([-1.5, -1, 1, 1.25], p.flat.size), rng.integers(-68, -58, p.flat.size))
    x = np.ldexp(rng.choice([-1.5, -1, 1, 1.25], (1, B, H)), rng.integers(-68, -58, (1, B, H))).astype(np.float32)
    state = x.copy(), np.full((1, B, H), 2.0**120, np.float32)
    assert_bits_of_the_reference(isas_with_fma, lstm, format, "float32", (x, state, {}))
    c_n = lstm.quantized(format)(x, state)[1][1]
    assert (c_n != 0).any() and len(np.unique(np.abs(c_n))) > B


@pytest.mark.parametrize("format, inputs", NEW.values(), ids=NEW)
def test_nan_and_infinity_in_x_reach_the_output(format, inputs):
    lstm = make({})
    x, *_ = arguments(lstm)
    quantized = lstm.quantized(format, inputs=inputs)
    clean = quantized(x)[0]
    x[2, 0, 1], x[2, 1, 1] = np.nan, np.inf
    got = quantized(x)[0]
    assert np.isnan(got[2:, 0]).all()
    assert_same_bits(got[:2], clean[:2], "before")
    assert_same_bits(got[:, 2], clean[:, 2], "other sequences")


@each_format
def test_output_is_close_to_float32(format, inputs):
    of_int8 = 2e-2 if inputs == "float32" else 4e-2
    bound = {"float16": 1e-3, "bfloat16": 8e-3, "bfloat16_amx": 8e-3, "int8": of_int8}[format]
    for seed, (I, H, layers) in enumerate([(8, 64, 1), (64, 256, 1), (128, 512, 2)]):
        lstm = lstm_fast.LSTM(I, H, num_layers=layers, seed=seed)
        x = np.random.default_rng(seed).standard_normal((100, 2, I)).astype(np.float32)
        error = np.abs(lstm.quantized(format, inputs=inputs)(x)[0] - lstm(x)[0]).max()
        assert 1e-7 < error < bound, (I, H)


@each_format
@pytest.mark.parametrize("n_threads", [1, 3])
def test_bits_do_not_depend_on_streams_threads_or_batches(any_isa, n_threads, format, inputs):
    lstm = make(dict(num_layers=2), I=16, H=100, scale=0.1)
    quantized = lstm.quantized(format, inputs=inputs)
    x = np.random.default_rng(1).standard_normal((30, 5, 16)).astype(np.float32)
    want = quantized(x, num_threads=1)[0]
    assert_same_bits(quantized(x, num_threads=n_threads)[0], want, "threads")
    assert_same_bits(quantized(x[:, 1:2])[0], want[:, 1:2], "a sequence alone")
    assert_same_bits(np.concatenate([quantized(x[:9])[0], quantized(x[9:], quantized(x[:9])[1])[0]]), want, "in pieces")
    stream = quantized.stream(5)
    stream.step(x[0])
    again = pickle.loads(pickle.dumps(stream))
    for one in (stream, again):
        assert_same_bits(np.stack([one.step(x_t) for x_t in x[1:10]]), want[1:10], "steps")
        assert_same_bits(one.block(x[10:]), want[10:], "block")


@each_format
def test_layouts_and_traces(format, inputs):
    lstm = make(dict(num_layers=2, batch_first=True))
    quantized = lstm.quantized(format, inputs=inputs)
    x, state, lengths, _ = arguments(lstm)
    rows = x.swapaxes(0, 1)
    output, (h_n, c_n) = quantized(rows, state, lengths=lengths)
    assert output.shape == (3, 6, 19) and quantized.batch_first
    alone, _ = quantized(rows[0], (state[0][:, 0], state[1][:, 0]))
    assert_same_bits(alone, output[0], "unbatched")
    trace = quantized.trace(rows, state, lengths=lengths)
    assert_same_bits(trace.h[-1, 0], output.swapaxes(0, 1), "h")
    assert_same_bits(trace.c[-1, 0, -1, 0], c_n[-1, 0], "c")
    assert_same_bits(quantized(rows.tolist(), [h.tolist() for h in state], lengths=lengths)[1][0], h_n, "lists")


def test_every_finite_float16_is_read_exactly(isa):
    """Compare gates, which expose each weight times an input, with a float32 network of the same weights."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)]
    for block in np.array_split(halves, 256)[:: 1 if MUST_HAVE_ALL else 5]:
        lstm = lstm_fast.LSTM(1, len(block), bias=False)
        with lstm.edit() as p:
            p["weight_hh_l0"][:], p["weight_ih_l0"][:] = 0, np.tile(block.astype(np.float32), 4)[:, None]
        quantized = lstm.quantized()
        for x in (np.float32(2.0**-14), np.float32(1), np.float32(2.0**14), np.float32(2.0**24)):
            assert_same_bits(quantized(np.full((1, 1, 1), x))[0], lstm(np.full((1, 1, 1), x))[0], x)
        assert_same_bits(quantized.state_dict()["weight_ih_l0"][: len(block), 0], block, "weights")


@pytest.mark.parametrize("n_layers", [1, 2])
def test_stored_parameters_and_their_bytes(n_layers):
    I, H = 64, 128
    lstm = lstm_fast.LSTM(I, H, n_layers, seed=0)
    n_matrices = 4 * H * (I + H + (n_layers - 1) * 2 * H)
    vectors = 4 * 4 * H * 2 * n_layers
    dtypes = {"float16": np.float16, "bfloat16": np.uint16, "bfloat16_amx": np.uint16, "int8": np.int8}
    for format, inputs in FORMATS.values():
        quantized = lstm.quantized(format, inputs=inputs)
        p = quantized.parameters()
        assert p["weight_hh_l0"].dtype == dtypes[format]
        if format == "float16":
            assert quantized.nbytes * 2 == lstm.flat_parameters.nbytes
        elif format.startswith("bfloat16"):
            assert quantized.nbytes == 2 * n_matrices + vectors
            assert_same_bits(p["weight_hh_l0"], reference.to_bfloat16(lstm.parameters()["weight_hh_l0"]))
        else:
            wide = 4 * H * I * 3 if inputs == "float32" else 0
            n_scaled = 2 * n_layers - (inputs == "float32")
            assert quantized.nbytes == n_matrices + wide + vectors + 4 * 4 * H * n_scaled
            rows = reference.quantize_rows(lstm.parameters()["weight_hh_l0"])
            assert_same_bits(p["weight_hh_l0"], rows.q)
            assert_same_bits(p["scale_hh_l0"], rows.scale)
            assert ("scale_ih_l0" in p) == (inputs != "float32") == (p["weight_ih_l0"].dtype == np.int8)
        assert quantized.dtype == np.float32 and quantized(np.zeros((1, 1, I)))[0].dtype == np.float32
        with pytest.raises(ValueError, match="read-only"):
            p["weight_hh_l0"][...] = 0
        for name, value in quantized.unflatten(quantized.flat_parameters).items():
            assert_same_bits(value, p[name], name)
        if format != "float16":
            with pytest.raises(ValueError, match="flat must be uint8"):
                quantized.unflatten(quantized.flat_parameters.astype(float))


def test_order_of_the_sums_is_all_that_distinguishes_the_two_kinds_of_bfloat16(any_isa):
    lstm = make({}, I=40, H=64, scale=0.1)
    chains, blocks = lstm.quantized("bfloat16"), lstm.quantized("bfloat16_amx")
    for name, value in chains.parameters().items():
        assert_same_bits(blocks.parameters()[name], value, name)
    x, state, *_ = arguments(lstm, B=5)
    one, other = chains(x, state)[0], blocks(x, state)[0]
    assert 0 < np.abs(one - other).max() < 1e-5


def test_repr_and_options():
    lstm = lstm_fast.LSTM(3, 5, num_layers=2, cell_clip=3.0, seed=0)
    assert repr(lstm.quantized("bfloat16")) == "QuantizedLSTM(3, 5, num_layers=2, cell_clip=3.0, format='bfloat16')"
    assert repr(lstm.quantized("bfloat16_amx")).endswith("cell_clip=3.0, format='bfloat16_amx')")
    small = lstm.quantized("int8", inputs="int8")
    assert repr(small) == "QuantizedLSTM(3, 5, num_layers=2, cell_clip=3.0, format='int8', inputs='int8')"
    assert (small.format, small.inputs, small.cell_clip) == ("int8", "int8", 3.0)
    for name in ("format", "inputs"):
        with pytest.raises(AttributeError, match=f"{name} is fixed"):
            setattr(small, name, "float16")


@each_format
def test_dequantized_weights(format, inputs):
    lstm = make(dict(num_layers=2, bidirectional=True))
    quantized = lstm.quantized(format, inputs=inputs)
    wide = quantized.dequantized()
    assert repr(wide) == repr(lstm)
    x, *_ = arguments(lstm)
    if format == "float16":
        assert_same_bits(quantized(x)[0], wide(x)[0])
    again = wide.quantized(format, inputs=inputs)
    for name, value in quantized.parameters().items():
        if format != "int8" or value.dtype != np.float32:
            assert_same_bits(again.parameters()[name], value, name)
    assert np.abs(quantized(x)[0] - wide(x)[0]).max() < 0.1


@each_format
def test_copy_keeps_its_weights_and_can_be_copied(format, inputs):
    lstm = make({})
    quantized = lstm.quantized(format, inputs=inputs)
    x, *_ = arguments(lstm)
    before = quantized(x)[0]
    with lstm.edit() as p:
        p["bias_ih_l0"][:] = 9
    assert_same_bits(quantized(x)[0], before, "after an edit of the original")
    for other in (copy.copy(quantized), copy.deepcopy(quantized), pickle.loads(pickle.dumps(quantized, protocol=5))):
        assert_same_bits(other(x)[0], before, "copy")
        assert (repr(other), other.nbytes) == (repr(quantized), quantized.nbytes)
        assert other.flat_parameters.dtype == quantized.flat_parameters.dtype
