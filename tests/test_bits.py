"""The same bits for any number of threads, split of the batch or of time, and instruction set; the order of sums."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

import lstm_fast
from lstm_fast import _core
from module_cases import DTYPES, KINDS, STRUCTURES, draw, infer, is_lstm, make, states, train
from optional import light
from tolerances import assert_same_bits

PER_SEQUENCE = {"output": 1, "h_n": 1, "c_n": 1, "d_x": 1, "d_h_0": 1, "d_c_0": 1}  # axis of the batch


def assert_all_same_bits(got, want, case, names=None):
    for name in names or want:
        assert_same_bits(got[name], want[name], f"{name}, {case}")


# ---- threads -------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["rows", "directions", "units", "layers"])
def split(request):
    _core.testing.use_split(request.param)
    yield request.param
    _core.testing.use_split()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "T, B, H, structure",
    [
        (30, 33, 65, dict()),
        (25, 17, 33, dict(num_layers=3, dropout=0.3)),
        (60, 1, 80, dict(bidirectional=True)),
        (30, 5, 65, dict(num_layers=2, bidirectional=True, dropout=0.3)),
        (600, 1, 9, dict(num_layers=2)),  # more threads than panels; several chunks
    ],
    ids=str,
)
def test_bits_do_not_depend_on_threads(some_isa, split, T, B, H, structure, dtype):
    def run(n, seed=5):  # a new module with the same seed draws the same dropout
        module = make("lstm", 16, H, dtype=dtype, seed=seed, **structure)
        return module, *train(module, a, training=True, num_threads=n)

    a = draw(np.random.default_rng([T, B, H]), make("lstm", 16, H, dtype=dtype, **structure), T, B)
    module, want, _ = run(1)
    want_inference = infer(module, a, num_threads=1)
    for n in light((2, 8, 3), (8, 3)) if T < 600 else (3,):
        assert_all_same_bits(run(n)[1], want, f"{n} threads")
        assert_all_same_bits(infer(module, a, num_threads=n), want_inference, f"inference, {n} threads")


@pytest.mark.parametrize("kind", KINDS[1:])
def test_rnn_bits_do_not_depend_on_threads(some_isa, split, kind):
    rnn = make(kind, 16, 80, num_layers=2, bidirectional=True, dtype=np.float32)
    a = draw(np.random.default_rng(80), rnn, 40, 7)
    want, _ = train(rnn, a, num_threads=1)
    for n in (2, 3, 8):
        assert_all_same_bits(train(rnn, a, num_threads=n)[0], want, f"{n} threads")


@pytest.mark.parametrize("structure", [dict(), dict(bidirectional=True)], ids=str)
def test_bits_do_not_depend_on_racing_threads(some_isa, split, structure):
    lstm = make("lstm", 16, 48, num_layers=2, dtype=np.float32, **structure)
    a = draw(np.random.default_rng(48), lstm, 30, 9)
    want, _ = train(lstm, a, num_threads=1)
    for turn in range(20):
        assert_all_same_bits(train(lstm, a, num_threads=3)[0], want, f"turn {turn}")


# ---- the batch, and time -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_bits_do_not_depend_on_batch(isa, kind, dtype):
    for k, (B, I, H) in enumerate([(17, 3, 9), (33, 1, 17), (8, 20, 64), (7, 70, 128)]):
        module = make(kind, I, H, dtype=dtype, **STRUCTURES[(k + 1) % len(STRUCTURES)])
        a = draw(np.random.default_rng([B, I, H]), module, 4, B)
        together, _ = train(module, a)
        inferred = infer(module, a)
        names = PER_SEQUENCE.keys() & together.keys()
        parts = slice(0, 5), slice(5, B), slice(B // 2, B), slice(None, None, -1)
        for rows in (*(slice(b, b + 1) for b in range(B)), *parts):
            some = {name: value[:, rows] for name, value in a.items()}
            case = f"{rows} of B={B} I={I} H={H}"
            assert_all_same_bits(train(module, some)[0], {name: together[name][:, rows] for name in names}, case)
            assert_all_same_bits(infer(module, some), {name: inferred[name][:, rows] for name in inferred}, case)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_sequence_in_chunks_with_carried_state_is_bitwise_equal(isa, kind, dtype):
    for k, (T, B, I, H) in enumerate([(17, 2, 5, 9), (17, 1, 1, 16), (17, 3, 40, 33), (600, 1, 3, 65)]):
        module = make(kind, I, H, num_layers=1 + k % 3, dtype=dtype)
        a = draw(np.random.default_rng([T, B, I, H]), module, T, B)
        whole, _ = train(module, a)
        assert_all_same_bits(infer(module, a), whole, "inference", ("output", "h_n"))
        cuts = [range(T + 1), *([0, t, T] for t in (0, 1, 5, T - 1))] if T == 17 else [[0, 253, 254, T]]
        for cut in cuts:
            case = f"T={T} B={B} I={I} H={H} cut at {list(cut)}"
            for has_tape in (False, True):
                state, outputs, tapes = states(module, a["h_0"], a.get("c_0")), [], []
                for begin, end in itertools.pairwise(cut):
                    if has_tape:
                        output, state, tape = module.forward(a["x"][begin:end], state, training=False)
                        tapes.append((tape, begin, end))
                    else:
                        output, state = module(a["x"][begin:end], state)
                    outputs.append(output)
                got = {"output": np.concatenate(outputs)}
                got |= dict(zip(("h_n", "c_n"), state, strict=True)) if is_lstm(module) else {"h_n": state}
                assert_all_same_bits(got, whole, case, got)
            d_state, d_x = states(module, a["d_h_n"], a.get("d_c_n")), []
            for tape, begin, end in reversed(tapes):
                gradients = module.backward(tape, a["d_output"][begin:end], d_state)
                d_state = states(module, gradients.d_h_0, gradients.d_c_0)
                d_x.append(gradients.d_x)
            got = {"d_x": np.concatenate(d_x[::-1]), "d_h_0": gradients.d_h_0}
            got |= {"d_c_0": gradients.d_c_0} if is_lstm(module) else {}
            assert_all_same_bits(got, whole, case, got)


def test_training_matches_inference_bitwise(isa):
    for kind, dtype, structure in itertools.product(KINDS, DTYPES, STRUCTURES):
        module = make(kind, 5, 17, dtype=dtype, **structure)
        a = draw(np.random.default_rng(17), module, 6, 7)
        assert_all_same_bits(train(module, a)[0], infer(module, a), f"{kind} {structure}", infer(module, a))


# ---- instruction sets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_instruction_sets_with_fma_agree_bitwise_and_portable_closely(kind, dtype):
    available = _core.available_isas()
    assert available[0] == "portable" and len(set(available)) == len(available)
    before = _core.isa()
    for k, (T, B, I, H) in enumerate([(5, 3, 4, 9), (3, 17, 20, 33), (40, 1, 3, 65), (2, 7, 70, 128)]):
        results = {}
        for isa in available:
            _core.use_isa(isa)
            module = make(kind, I, H, dtype=dtype, dropout=0.3, **STRUCTURES[[1, 2, 4, 6][k]])
            a = draw(np.random.default_rng([T, B, I, H]), module, T, B)
            results[isa], _ = train(module, a, training=True)
        _core.use_isa(before)
        portable = results.pop("portable")
        for one, other in itertools.combinations(results, 2):
            assert_all_same_bits(results[one], results[other], f"{one} and {other}")
        for isa, result in results.items():
            for name in result:
                error = np.abs(result[name] - portable[name]).max() / np.abs(portable[name]).max()
                assert error <= 100 * np.finfo(dtype).eps, f"{isa}: {name}"


def test_packed_weights_keep_their_instruction_set():
    before = _core.isa()
    a = draw(np.random.default_rng(3), make("lstm", 3, 9), 4, 2)
    for isa in _core.available_isas():
        _core.use_isa(isa)
        lstm = make("lstm", 3, 9)
        want, _ = train(lstm, a)
        for other in _core.available_isas():
            _core.use_isa(other)
            assert lstm_fast.info()["isa"] == other
            assert_all_same_bits(train(lstm, a)[0], want, f"{isa}, then {other}")
    _core.use_isa(before)


@pytest.mark.parametrize("dtype, most", [(np.float32, 8), (np.float64, 4)])
def test_small_models_use_narrower_vectors_with_the_same_bits(dtype, most):
    if "avx512" not in _core.available_isas():
        pytest.skip("this processor has no vectors of two widths with the same bits")
    for H, want in [(1, "avx2"), (most, "avx2"), (most + 1, _core.use_isa(None))]:
        lstm = make("lstm", 3, H, dtype=dtype)
        assert lstm.forward(np.zeros((1, 1, 3), dtype))[2]._weights.isa_name == want
        a = draw(np.random.default_rng(H), lstm, 5, 3)
        _core.use_isa("avx512")
        chosen = make("lstm", 3, H, dtype=dtype)
        assert chosen.forward(np.zeros((1, 1, 3), dtype))[2]._weights.isa_name == "avx512"
        assert_all_same_bits(train(lstm, a)[0], train(chosen, a)[0], f"H = {H}")
        assert _core.use_isa(None) == lstm_fast.info()["isa"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_number_of_panels(isa, dtype):
    """Tiles of one row compared with tiles of several rows; steps process their panels in both directions."""
    for H in range(20, 148, 7):
        lstm = make("lstm", 3, H, dtype=dtype)
        a = draw(np.random.default_rng(H), lstm, 4, 3)
        batch = infer(lstm, a)
        for b in range(3):
            row = slice(b, b + 1)
            alone = infer(lstm, {name: value[:, row] for name, value in a.items()})
            assert_all_same_bits(alone, {name: batch[name][:, row] for name in batch}, f"row {b}, H = {H}")


@pytest.mark.parametrize("B", [25, 49, 73, 169])
def test_bits_do_not_depend_on_remainder_rows(isa, B):
    """A step passes its rows to the cell in groups of up to 24; 73 and 169 rows would leave a group of one."""
    lstm = make("lstm", 3, 9, dtype=np.float32)
    a = draw(np.random.default_rng(B), lstm, 3, B)
    whole = infer(lstm, a)
    for begin in range(0, B, 10):
        rows = slice(begin, begin + 10)
        some = infer(lstm, {name: value[:, rows] for name, value in a.items()})
        assert_all_same_bits(
            some, {name: whole[name][:, rows] for name in whole}, f"rows {begin} to {begin + 10} of {B}"
        )


# ---- the order of sums ---------------------------------------------------------------------------------------------


def rounded(value, dtype):
    """A fraction, rounded once to nearest, ties to even."""
    guess = dtype(float(value))
    neighbors = [np.nextafter(guess, dtype(-np.inf)), guess, np.nextafter(guess, dtype(np.inf))]
    return min(neighbors, key=lambda x: (abs(Fraction(float(x)) - value), int(x.view(f"i{x.itemsize}")) & 1))


def sum_in_blocks(start, a, b, block=64):
    """start + a . b as csrc/lstm_fast.h defines it, exact but for the roundings that it names."""
    dtype = type(start)
    for first in range(0, len(a), block):
        chain = dtype(0)
        for x, y in zip(a[first : first + block], b[first : first + block], strict=True):
            chain = rounded(Fraction(float(x)) * Fraction(float(y)) + Fraction(float(chain)), dtype)
        start = rounded(Fraction(float(start)) + Fraction(float(chain)), dtype)
    return start


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("B", [1, 2, 7])
@pytest.mark.parametrize("T, I, H", [(1, 150, 70), (2, 64, 129), (9, 130, 65)])
def test_sums_are_blocks_of_64_terms(isa, T, I, H, B, dtype):
    if isa == "portable":
        pytest.skip("the portable kernels round each product")
    rnn = make("identity", I, H, dtype=dtype)  # h is the sum itself
    rng = np.random.default_rng([T, B, I, H])
    x, h_0 = rng.standard_normal((T, B, I)).astype(dtype), rng.standard_normal((1, B, H)).astype(dtype)
    output, _ = rnn(x, h_0)
    h_prev = h_0[0] if T == 1 else output[-2]
    p = rnn.parameters()
    bias = p["bias_ih_l0"] + p["bias_hh_l0"]
    for b, unit in [(0, 0), (B - 1, H - 1), (B // 2, H // 2)]:
        want = sum_in_blocks(bias[unit], x[-1, b], p["weight_ih_l0"][unit])
        assert output[-1, b, unit] == sum_in_blocks(want, h_prev[b], p["weight_hh_l0"][unit])
