"""Packed sequences, as in a PackedSequence: the core reads and writes them in place, bitwise equal to padded ones."""

import numpy as np
import pytest

from lstm_fast import _core
from lstm_fast._tape import BackwardArrays, TrainingOptions
from option_cases import LSTM_OPTIONS, RNN_OPTIONS, draw, make
from optional import light
from tolerances import assert_same_bits

KINDS = {"lstm": set(LSTM_OPTIONS), "tanh": set(RNN_OPTIONS)}


def train(module, a, lengths, run, num_threads, recompute_gates, pack):
    """Results and gradients of the core by name, also of inference; pack: None, or padded positions in packed order."""
    weights, (T, B, I), dtype = module._version.weights, a["x"].shape, module.dtype
    n, R, H, D = weights.n_states, weights.h_size, weights.hidden_size, weights.num_directions

    def steps(values):
        return values if pack is None or values is None else np.ascontiguousarray(values[pack])[None]

    def empty(width):
        return np.zeros((T, B, width) if pack is None else (1, lengths.sum(), width), dtype)

    active = (lengths > np.arange(T)[:, None]).sum(axis=1)
    order = (lengths, np.arange(B)) if pack is None else (lengths, None, np.cumsum(active) - active)
    run = (run or TrainingOptions())._replace(recompute_gates=recompute_gates)
    block = _core.Block(weights.tape_bytes(T, B, run))
    states = [np.empty((n, B, size), dtype) if size else None for size in (R, H if weights.has_c else 0) * 3]
    got = {
        "output": empty(D * R),
        "h_n": states[0],
        "c_n": states[1],
        "d_h_0": states[2],
        "d_c_0": states[3],
        "d_x": empty(I),
        "inferred": empty(D * R),
        "h": states[4],
        "c": states[5],
    }
    x, h_0, c_0 = steps(a["x"]), a["h_0"], a.get("c_0")
    weights.forward(x, h_0, c_0, got["inferred"], got["h"], got["c"], None, num_threads, None, order)
    weights.forward(x, h_0, c_0, got["output"], got["h_n"], got["c_n"], block, num_threads, run, order)
    flat = np.empty_like(module.flat_parameters)
    arrays = BackwardArrays(
        x=x,
        h_0=h_0,
        c_0=c_0,
        d_output=steps(a["d_output"]),
        d_h_n=a["d_h_n"],
        d_c_n=a.get("d_c_n"),
        **{name: got[name] for name in ("d_x", "d_h_0", "d_c_0")},
        gradients=flat,
    )
    weights.backward(block, arrays, num_threads, run, order)
    return got | module.unflatten(flat)


@pytest.mark.filterwarnings("ignore:dropout acts between layers")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", light(range(16), (0, 3, 5, 10, 15)))
def test_packed_sequences_match_padded_bitwise(isa, dtype, seed):
    """All variants, layers and directions; few long and many short sequences; threads, and tapes without gates."""
    rng = np.random.default_rng(seed)
    kind = "tanh" if seed % 4 == 3 else "lstm"
    options = {name for name in sorted(KINDS[kind]) if rng.random() < 0.3} - {"lengths", "resets"}
    T, B, I, H = ((9, 11, 3, 17), (40, 2, 5, 9), (3, 40, 4, 8), (12, 7, 40, 160))[seed // 4]
    module = make(kind, I, H, options, seed=seed, dtype=dtype, num_layers=1 + seed % 3, bidirectional=seed % 2 == 0)
    a = draw(rng, module, T, B, options)
    lengths = np.sort(rng.integers(1, T + 1, B))[::-1].copy()
    lengths[0], lengths[-1] = T, 1
    run = TrainingOptions(
        0.25 if "dropout" in options and module.num_layers > 1 else 0,
        0.3 if "recurrent_dropout" in options else 0,
        *(0.4 if name in options else 0 for name in ("zoneout_h", "zoneout_c")),
        seed,
        False,
    )
    pack = np.nonzero(lengths > np.arange(T)[:, None])
    want = train(module, a, lengths, run, 1, False, None)
    for split in ("best", "rows", "directions"):
        _core.testing.use_split(split)
        try:
            for num_threads, recompute_gates in ((1, False), (1, True), (2, False), (3, True)):
                got = train(module, a, lengths, run, num_threads, recompute_gates, pack)
                for name, value in want.items():
                    if name in ("output", "inferred", "d_x"):
                        value = value[pack][None]
                    if value is not None:
                        assert_same_bits(
                            got[name],
                            value,
                            f"{name}, {sorted(options)}, {split}, {num_threads} threads, {recompute_gates=}",
                        )
        finally:
            _core.testing.use_split()


@pytest.mark.parametrize(
    "lengths, first, n, message",
    [
        ([2, 3], [0, 2, 4], 5, "steps and no empty rows"),
        ([3, 0], [0, 1, 2], 3, "steps and no empty rows"),
        ([3, 1, 2], [0, 3, 5], 6, "lengths must not increase"),
        ([3, 2], [0, 2, 3], 5, "packed_rows must match lengths: step 2 starts at row 4, got 3"),
        ([3, 2], [1, 2, 4], 5, "packed_rows must match lengths: step 0 starts at row 0, got 1"),
        ([3, 2], [0, 2, 4], 6, "has 5 rows, got 6"),
        ([], [], 0, "steps and no empty rows"),
    ],
)
def test_inconsistent_packed_rows_raise(lengths, first, n, message):
    module = make("lstm", 2, 3, set())
    x, output = np.zeros((1, n, 2)), np.zeros((1, n, 3))
    states = [np.zeros((1, len(lengths), 3)) for _ in range(2)]
    order = np.array(lengths, np.int64), None, np.array(first, np.int64)
    with pytest.raises(ValueError, match=message):
        module._version.weights.forward(x, None, None, output, *states, None, 1, None, order)


@pytest.mark.parametrize(
    "lengths, rows, got",
    [
        ([3, 2], [0, 2], "length 2 and row 2 at position 1"),
        ([2, 3], [0, 1], "length 3 and row 1 at position 1"),
        ([3, 2], [-1, 1], "length 3 and row -1 at position 0"),
    ],
)
def test_inconsistent_rows_raise(lengths, rows, got):
    module = make("lstm", 2, 3, set())
    x, output = np.zeros((3, 2, 2)), np.zeros((3, 2, 3))
    states = [np.zeros((1, 2, 3)) for _ in range(2)]
    message = f"lengths must not increase and rows must be indices from 0 to 1, got {got}"
    with pytest.raises(ValueError, match=message):
        order = np.array(lengths, np.int64), np.array(rows, np.int64)
        module._version.weights.forward(x, None, None, output, *states, None, 1, None, order)


def test_layer_and_direction_of_a_tape_are_checked():
    module = make("lstm", 2, 3, set(), num_layers=2)
    tape = module.forward(np.zeros((3, 2, 2)))[2]
    with pytest.raises(ValueError, match="layer must be from 0 to 1 and direction from 0 to 0, got 2 and 0"):
        tape.look(2, 0)
