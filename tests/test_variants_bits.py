"""Bits of cell variants do not depend on threads, batch, padding, the split of a sequence, or recomputed gates."""

import numpy as np
import pytest

from lstm_fast import _core
from lstm_fast._tape import TrainingOptions
from option_cases import LSTM_OPTIONS, RNN_OPTIONS, draw, make, train
from tolerances import assert_same_bits

KINDS = {"lstm": LSTM_OPTIONS, "tanh": RNN_OPTIONS, "relu": RNN_OPTIONS, "identity": RNN_OPTIONS}


EVERYTHING = set(LSTM_OPTIONS) - {"no_bias", "given_h_0", "given_c_0"}


def random_case(seed):
    """A kind, its options, a structure and sizes, all from the seed."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["lstm", "lstm", "lstm", "lstm", "tanh", "relu"])
    options = {name for name in KINDS[kind] if rng.random() < 0.35}
    sizes = (
        int(rng.integers(0, 8)),
        int(rng.integers(0, 7)),
        int(rng.integers(1, 9)),
        int(rng.choice([1, 2, 3, 7, 8, 9, 15, 17, 33])),
    )
    structure = dict(num_layers=int(rng.integers(1, 4)), bidirectional=bool(rng.random() < 0.4))
    return str(kind), options, sizes, structure


def all_bits(got, want, case):
    for name in want:
        assert_same_bits(got[name], want[name], (case, name))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(12))
def test_bits_do_not_depend_on_threads_or_on_recomputed_gates(some_isa, dtype, seed):
    kind, options, (T, _, I, H), structure = random_case(1000 + seed)
    module = make(kind, I, H, options - {"dropout"}, seed=seed, dtype=dtype, **structure)
    a = draw(np.random.default_rng(seed), module, T + 3, 7, options)
    want, tape = train(module, a)
    try:
        for split in ("best", "rows", "directions", "units"):
            _core.testing.use_split(split)
            for num_threads, recompute_gates in ((1, True), (2, False), (3, True)):
                module.__dict__["_training_options"] = lambda training, recompute_gates, rng, options=tape.options: (
                    options or TrainingOptions()
                )._replace(recompute_gates=recompute_gates)
                got, _ = train(module, a, recompute_gates=recompute_gates, num_threads=num_threads)
                all_bits(got, want, (sorted(options), split, num_threads, recompute_gates))
    finally:
        _core.testing.use_split()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_match_each_sequence_alone(isa, dtype):
    options = EVERYTHING - {"recurrent_dropout", "zoneout_h", "zoneout_c", "dropout"}
    module = make("lstm", 3, 9, options, dtype=dtype, num_layers=2, bidirectional=True)
    a = draw(np.random.default_rng(0), module, 6, 5, options)
    want, _ = train(module, a)
    for b in range(5):
        one = {
            name: value if value is None else value[[b]] if name == "lengths" else value[:, [b]]
            for name, value in a.items()
        }
        got, _ = train(module, one)
        for name in ("output", "h_n", "c_n", "d_x", "d_h_0", "d_c_0"):
            assert_same_bits(got[name], want[name][:, [b]], (b, name))


def test_padding_content_is_ignored(isa):
    module = make("lstm", 3, 9, EVERYTHING - {"dropout"}, num_layers=2, bidirectional=True)
    a = draw(np.random.default_rng(0), module, 6, 5, EVERYTHING)
    want, tape = train(module, a)
    padding = np.arange(6)[:, None] >= a["lengths"]
    a["x"][padding] = a["d_output"][padding] = np.nan
    a["resets"] = a["resets"] | padding
    module.__dict__["_training_options"] = lambda *_: tape.options
    all_bits(train(module, a)[0], want, "")


@pytest.mark.parametrize("option", [*LSTM_OPTIONS, "all"])
def test_stream_steps_and_blocks_match_the_whole_bitwise(isa, option):
    options = EVERYTHING if option == "all" else {option}
    for dtype in (np.float32, np.float64):
        module = make("lstm", 3, 17, options, dtype=dtype, num_layers=2)
        x = np.random.default_rng(1).standard_normal((9, 4, 3)).astype(dtype)
        want, last = module(x)
        stream = module.stream(4)
        got = np.concatenate(
            [stream.step(x[0])[None], stream.block(x[1:6]), stream.step(x[6])[None], stream.block(x[7:])]
        )
        assert_same_bits(got, want, option)
        for state, end in zip(stream.state, last):
            assert_same_bits(state, end, option)
