"""Fuzzing of fleets: in any sequence of calls, results are bitwise equal to separate calls of the models.

    python tests/fuzz_fleets.py [cases [first seed]] [--seconds S] [--jobs N]

A case draws models of one shape with any options, and a few calls, each with its own sizes, lengths, resets, threads
and kind: what a call leaves behind, above all packed weights, must be valid for the next one.
"""

import copy
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT.parent))

import lstm_fast as lf  # noqa: E402
from fuzzing import main  # noqa: E402
from lstm_fast import _core  # noqa: E402
from lstm_fast.fleet import calls  # noqa: E402
from option_cases import LSTM_OPTIONS, draw, make  # noqa: E402
from tolerances import assert_same_bits  # noqa: E402

IN_CALLS = ("lengths", "resets", "given_h_0", "given_c_0")


class Case:
    """The models drawn from a seed, alone and as a fleet."""

    def __init__(self, seed):
        self.seed, self.rng = seed, np.random.default_rng([seed, 11])
        rng, share = self.rng, np.random.default_rng(seed).choice([0, 0, 0.1, 0.4])
        self.options = {name for name in LSTM_OPTIONS if name not in IN_CALLS and rng.random() < share}
        self.options |= {"index_input"} if rng.random() < 0.15 else set()
        self.K, self.I = int(rng.choice((1, 2, 8, 16, 17, 35))), int(rng.integers(1, 6))
        self.H = int(rng.integers(1, 27))
        self.structure = {} if rng.random() < 0.7 else dict(num_layers=2, bidirectional=bool(rng.integers(2)))
        self.isa, self.dtype = str(rng.choice(_core.available_isas())), (np.float32, np.float64)[rng.integers(2)]
        self.calls = []

    def __repr__(self):
        return (
            f"seed {self.seed}: K={self.K} I={self.I} H={self.H} {sorted(self.options)} {self.structure} "
            f"{self.dtype.__name__} {self.isa}, calls {self.calls}"
        )

    def prepare(self):
        first = make("lstm", self.I, self.H, self.options, seed=self.seed, dtype=self.dtype, **self.structure)
        self.alone = [copy.deepcopy(first) for _ in range(self.K)]
        for k, model in enumerate(self.alone):
            model.load_flat_parameters(np.roll(first.flat_parameters, k))
        self.fleet = lf.Fleet(self.alone)  # with its own generators, in the same states

    def call(self):
        rng = self.rng
        kind = str(rng.choice(("inference", "training", "training", "fused", "fused", "edit")))
        options = {name for name in IN_CALLS if rng.random() < 0.25}
        T, B, n = int(rng.integers(0, 7)), int(rng.choice((0, 1, 1, 2, 4, 9))), int(rng.integers(1, 4))
        recompute_gates = bool(rng.random() < 0.3)
        self.calls.append((kind, sorted(options), T, B, n, recompute_gates))
        each = [draw(rng, model, T, B, options) for model in self.alone]
        a = {name: None if each[0][name] is None else np.stack([one[name] for one in each]) for name in each[0]}
        if kind == "edit":
            with self.fleet.edit() as of_all:
                for name in of_all:
                    of_all[name][...] *= 0.9
            for k, model in enumerate(self.alone):
                model.load_flat_parameters(self.fleet.flat_parameters[k])
            return

        def run(network, a):
            given = dict(lengths=a["lengths"], resets=a["resets"], num_threads=n)
            state = a["h_0"], a["c_0"]
            if kind == "inference":
                output, last = network(a["x"], state, **given)
                return {"output": output, "h_n": last[0], "c_n": last[1]}
            output, last, tape = network.forward(a["x"], state, recompute_gates=recompute_gates, **given)
            d = network.backward(tape, a["d_output"], (a["d_h_n"], a["d_c_n"]), num_threads=n)
            return {"output": output, "h_n": last[0], "c_n": last[1], "d_x": d.d_x, "d_h_0": d.d_h_0, **d}

        def run_fused(a, chunk_bytes):
            outputs, given = [], dict(lengths=a["lengths"], resets=a["resets"], num_threads=n)

            def gradient_of(models, output, state):
                outputs.append((output, *state))
                d_state = [None if a[name] is None else a[name][models] for name in ("d_h_n", "d_c_n")]
                return None if a["d_output"] is None else a["d_output"][models], tuple(d_state)

            before, calls.CHUNK_BYTES = calls.CHUNK_BYTES, chunk_bytes
            try:
                d = self.fleet.forward_backward(a["x"], gradient_of, (a["h_0"], a["c_0"]), **given)
            finally:
                calls.CHUNK_BYTES = before
            results = {name: np.concatenate(parts) for name, parts in zip(("output", "h_n", "c_n"), zip(*outputs))}
            return results | {"d_x": d.d_x, "d_h_0": d.d_h_0, **d}

        if kind == "fused":
            recompute_gates = False
            got = run_fused(a, int(rng.choice((1, 1 << 14, 1 << 30))))
        else:
            got = run(self.fleet, a)
        for k, model in enumerate(self.alone):
            for name, want in run(model, each[k]).items():
                if want is None:  # d_x of symbols
                    assert got[name] is None
                    continue
                assert_same_bits(got[name][k], want, f"{name} of model {k}: {self}")


def fleets_and_models_alone(seed):
    """Three to six calls."""
    case = Case(seed)
    try:
        _core.use_isa(case.isa)
        case.prepare()
        for _ in range(case.rng.integers(3, 7)):
            case.call()
    finally:
        _core.use_isa()


if __name__ == "__main__":
    sys.exit(main(fleets_and_models_alone, cases=10_000))
