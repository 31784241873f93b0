"""Fuzzing of bitwise invariance: whatever must not affect a result does not change a bit of it.

    python tests/fuzz_bits.py [cases [first seed]] [--seconds S] [--jobs N]

Each case draws a network with any options, sizes and a format from its seed, and compares forward, inference and
backward, byte for byte, with the same on another instruction set, number of threads and split of the work; with some
of its rows alone, in another order, next to rows of NaN and infinity; with more, poisoned padding; and with
arrays of other strides and alignment; symbols also with one-hot vectors. No reference is needed, so a case takes a
millisecond or two. (fuzz_fits.py does the same for whole training runs, fuzz_fleets.py for fleets.)
"""

import copy
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT.parent))

from format_cases import FORMATS  # noqa: E402
from fuzzing import main  # noqa: E402
from lstm_fast import LSTM, _core  # noqa: E402
from option_cases import LSTM_OPTIONS, RNN_OPTIONS, draw, make, states, train  # noqa: E402
from tolerances import assert_same_bits  # noqa: E402

POISON = (np.nan, np.inf, -np.inf, 3e38, 1e-40)
THREADS = (2, 3, 4, 7, 8, 16)
RANDOM = {"recurrent_dropout", "zoneout_h", "zoneout_c", "dropout"}  # functions of the row index


def size(rng, most):
    """Draw a size up to the largest; small ones are more likely."""
    return int(min(most, 1 + rng.geometric(0.12))) if rng.random() < 0.9 else int(rng.integers(1, most + 1))


class Case:
    """The configuration drawn from a seed."""

    def __init__(self, seed):
        self.rng = rng = np.random.default_rng([seed, 7])
        self.seed, self.kind = seed, str(rng.choice(("lstm", "lstm", "lstm", "tanh", "relu")))
        names = LSTM_OPTIONS if self.kind == "lstm" else RNN_OPTIONS
        share = rng.choice([0.1, 0.35, 0.8])
        self.options = {name for name in names if rng.random() < share}
        self.dtype = (np.float32, np.float64)[rng.integers(2)]
        self.T, self.B = (int(rng.integers(0, 3)) if rng.random() < 0.1 else size(rng, 67) for _ in range(2))
        self.I, self.H = size(rng, 130), size(rng, 130)
        if rng.random() < 0.5:  # most of the time goes into few large cases
            self.T, self.B = min(self.T, 12), min(self.B, 12)
        self.structure = dict(num_layers=int(rng.integers(1, 4)), bidirectional=bool(rng.random() < 0.4))
        self.recompute_gates = bool(rng.random() < 0.4)
        self.format = str(rng.choice(list(FORMATS))) if rng.random() < 0.3 and self.kind == "lstm" else None
        if self.format:
            self.dtype = np.float32
            self.options &= {"no_bias", "peepholes", "coupled_gates", "cell_clip", "gate_clip", "lengths", "resets"}
        isas = _core.available_isas()
        self.isas = [str(rng.choice(isas))] if rng.random() < 0.25 else list(rng.permutation(isas))
        self.isas = [name for name in self.isas if name != "portable"][:2] or ["portable"]
        if rng.random() < 0.2:
            self.isas = ["portable"]
        if rng.random() < 0.15:
            self.options |= {"index_input"}
        self.split, self.num_threads = str(rng.choice(list(_core.testing.SPLITS))), int(rng.choice(THREADS))

    def __repr__(self):
        hidden = ("rng", "module", "infer", "a")
        return f"Case({', '.join(f'{name}={value}' for name, value in vars(self).items() if name not in hidden)})"

    def prepare(self):
        self.module = make(self.kind, self.I, self.H, self.options, seed=self.seed, dtype=self.dtype, **self.structure)
        self.a = draw(np.random.default_rng(self.seed), self.module, self.T, self.B, self.options)
        self.infer = self.module
        if self.format:
            format, inputs = FORMATS[self.format]
            self.infer = self.module.quantized(format, inputs=inputs)

    def set(self, isa="", split="best"):
        _core.use_isa(isa or self.isas[0])
        _core.testing.use_split(split)

    def inference(self, num_threads=1, **changed):
        a = self.a | changed
        output, last = self.infer(
            a["x"],
            states(self.module, a["h_0"], a.get("c_0")),
            lengths=a["lengths"],
            resets=a["resets"],
            num_threads=num_threads,
        )
        return {"output": output} | dict(zip(("h_n", "c_n"), last if isinstance(self.module, LSTM) else (last,)))

    def training(self, num_threads=1, **changed):
        return train(
            self.module,
            self.a | changed,
            recompute_gates=self.recompute_gates,
            num_threads=num_threads,
            rng=np.random.default_rng(self.seed),
        )[0]

    def same(self, got, want, what):
        for name, value in want.items():
            if value is not None:
                assert_same_bits(got[name], value, f"{name}, {what}: {self}")

    # ---- invariances ---------------------------------------------------------------------------------------------

    def other_machines(self, inferred, trained):
        """Another instruction set, more threads, another split."""
        self.set(self.isas[-1], self.split)
        what = f"{self.isas[-1]}, {self.num_threads} threads split by {self.split}"
        self.same(self.inference(self.num_threads), inferred, what)
        if trained:
            self.same(self.training(self.num_threads), trained, what)
        self.set()

    def rows_alone(self, inferred):
        """Some rows alone, in another order; and in place, next to poisoned rows."""
        if not self.B:
            return
        chosen = self.rng.permutation(self.B)[: self.rng.integers(1, self.B + 1)]
        others = np.setdiff1d(np.arange(self.B), chosen)
        alone, poisoned = {}, {}
        for name in ("x", "h_0", "c_0", "resets", "lengths"):
            value = self.a.get(name)
            if value is None:
                continue
            alone[name] = value[chosen] if name == "lengths" else np.ascontiguousarray(value[:, chosen])
            if name in ("x", "c_0"):  # (int8 rejects an h_0 outside [-1, 1])
                poisoned[name] = value.copy()
                values = POISON if value.dtype.kind == "f" else range(self.I)
                poisoned[name][:, others] = self.rng.choice(values, poisoned[name][:, others].shape)
        want = {name: value[:, chosen] for name, value in inferred.items()}
        self.same(self.inference(**alone), want, f"rows {chosen} alone")
        got = {name: value[:, chosen] for name, value in self.inference(self.num_threads, **poisoned).items()}
        self.same(got, want, f"rows {chosen} beside poison")

    def padding(self, inferred, trained):
        """Append steps of poison as padding."""
        if self.a["lengths"] is None:
            return
        more = int(self.rng.integers(0, 51)) if self.rng.random() < 0.5 else 0
        is_padding = np.arange(self.T + more)[:, None] >= self.a["lengths"]
        changed = {"lengths": self.a["lengths"]}
        for name in ("x", "d_output", "resets"):
            if self.a[name] is not None:  # (invalid symbols are rejected, except in the padding)
                shape = (self.T + more, *self.a[name].shape[1:])
                changed[name] = np.zeros(shape, self.a[name].dtype)
                changed[name][: self.T] = self.a[name]
                poison = (0, 1) if name == "resets" else POISON if changed[name].dtype.kind == "f" else (-7, 1 << 40)
                changed[name][is_padding] = self.rng.choice(poison, changed[name][is_padding].shape)
        masks_move = RANDOM & self.options and more  # masks depend on the position (t, b) in the batch
        for got, want, what in (
            (self.inference(**changed), inferred, "inference"),
            (None if masks_move or not trained else self.training(**changed), trained, "training"),
        ):
            if got is None:
                continue
            for name in ("output", "d_x"):
                if name in got:
                    assert not got[name][is_padding].any(), f"{name} in the padding is not zero: {self}"
                    got[name] = got[name][: self.T]
            self.same(got, want, f"{what}, {more} more steps of padding, poisoned")

    def layouts(self, inferred, trained):
        """Arrays of any order and strides, that begin anywhere."""
        changed = {
            name: self.relaid(value) for name, value in self.a.items() if name != "lengths" and value is not None
        }
        self.same(self.inference(**changed), inferred, "other strides")
        if trained:
            self.same(self.training(**changed), trained, "other strides")

    def relaid(self, value):
        order = self.rng.permutation(value.ndim)
        gaps = self.rng.integers(1, 3, value.ndim)
        shape = [int(n * gap) for n, gap in zip(np.array(value.shape)[order], gaps)]
        offset = int(self.rng.integers(0, 64))  # elements
        memory = np.empty(int(np.prod(shape)) + offset, value.dtype)[offset:].reshape(shape)
        view = memory[tuple(slice(None, None, int(gap)) for gap in gaps)].transpose(np.argsort(order))
        view[...] = value
        return view

    def one_hot(self, inferred, trained):
        """Symbols as one-hot vectors: the same numbers, but for signs of zeros, and NaN from zero times infinity."""
        if not self.module.index_input:
            return
        symbols, case = self.module, copy.copy(self)
        module = type(symbols)(**symbols.config() | {"index_input": False})
        module.load_flat_parameters(symbols.flat_parameters)
        case.module = case.infer = module
        if self.format:
            format, inputs = FORMATS[self.format]
            case.infer = module.quantized(format, inputs=inputs)
        case.a = self.a | {"x": np.eye(self.I, dtype=self.dtype)[self.a["x"]]}
        for got, want in ((case.inference(), inferred), (case.training() if trained else {}, trained or {})):
            for name, value in want.items():
                if value is not None:
                    assert ((got[name] == value) | np.isnan(got[name])).all(), f"{name}, one-hot: {self}"


def same_bits(seed):
    """Everything that is promised not to change a bit."""
    case = Case(seed)
    try:
        case.set()
        case.prepare()
        inferred = case.inference()
        trained = None if case.format else case.training()
        case.other_machines(inferred, trained)
        case.rows_alone(inferred)
        case.padding(inferred, trained)
        case.layouts(inferred, trained)
        case.one_hot(inferred, trained)
    finally:
        _core.use_isa()
        _core.testing.use_split()


if __name__ == "__main__":
    sys.exit(main(same_bits, cases=10_000))
