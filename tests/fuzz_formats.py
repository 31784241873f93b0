"""Fuzzing of the formats: thousands of random configurations, bit for bit against the reference.

    python tests/fuzz_formats.py [cases [first seed]] [--seconds S] [--jobs N]

Each case draws format, options, layers, directions, sizes, states, lengths, resets, threads and an instruction set with
fused multiply-add from its seed. Mismatches are printed with seed and configuration, and the exit status is 1.
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT.parent))

from format_cases import FORMATS, arguments, expect, make  # noqa: E402
from fuzzing import main  # noqa: E402
from lstm_fast import _core  # noqa: E402
from tolerances import assert_same_bits  # noqa: E402

FLAGS = ("bidirectional", "peepholes", "layer_norm", "coupled_gates", "learn_initial_state")
ACTIVATIONS = {
    "recurrent_activation": ("hard_sigmoid", "softsign", "tanh"),
    "cell_activation": ("softsign", ("scaled_tanh", 0.8, 0.5)),
}


class Case:
    """The configuration drawn from a seed."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.seed, self.name = seed, str(rng.choice(list(FORMATS)))
        # Small ones above all: the reference takes a tenth of a second for a large one.
        most_I, most_H, most_B = (32, 36, 12) if rng.random() < 0.85 else (140, 150 if rng.random() < 0.8 else 300, 30)
        self.T, self.I, self.H = (int(rng.integers(1, 1 + most)) for most in (4, most_I, most_H))
        self.B = int(rng.integers(1, most_B)) if rng.random() < 0.6 else 1
        self.options = {name: True for name in FLAGS if rng.random() < 0.2}
        self.options |= {"num_layers": int(rng.integers(1, 4)), "bias": bool(rng.random() < 0.8)}
        self.options |= {name: float(rng.uniform(0.2, 2)) for name in ("cell_clip", "gate_clip") if rng.random() < 0.15}
        for name, specs in ACTIVATIONS.items():
            if rng.random() < 0.15:
                self.options[name] = specs[rng.integers(len(specs))]
        if rng.random() < 0.2 and self.H > 1 and not self.name.startswith("int8"):
            self.options["proj_size"] = int(rng.integers(1, self.H))
        self.scales = float(rng.choice([0.05, 0.3, 1.5])), float(rng.choice([1e-3, 1, 1, 30]))
        isas = [name for name in _core.available_isas() if name != "portable"] or ["portable"]
        self.isa, self.split = str(rng.choice(isas)), str(rng.choice(list(_core.testing.SPLITS)))
        self.num_threads = int(rng.integers(1, 4))
        self.given = {name: bool(rng.random() < 0.5) for name in ("state", "lengths", "resets")}
        self.lengths = rng.integers(0, self.T + 1, self.B)

    def __repr__(self):
        return f"Case({', '.join(f'{name}={value}' for name, value in vars(self).items() if name != 'lengths')})"

    def check(self):
        """AssertionError unless the results have the bits of the reference."""
        before = _core.isa()
        _core.use_isa(self.isa)
        _core.testing.use_split(self.split)
        try:
            lstm = make(self.options, self.I, self.H, self.scales[0])
            x, state, _, resets = arguments(lstm, self.T, self.B)
            x *= np.float32(self.scales[1])
            state = state if self.given["state"] else None
            options = {"lengths": self.lengths if self.given["lengths"] else None}
            options["resets"] = resets if self.given["resets"] else None
            format, inputs = FORMATS[self.name]
            output, states = lstm.quantized(format, inputs=inputs)(x, state, num_threads=self.num_threads, **options)
            want = expect(lstm, format, x, state, inputs=inputs, **options)
        finally:
            _core.testing.use_split()
            _core.use_isa(before)
        for name, one, other in zip(("output", "h_n", "c_n"), (output, *states), want, strict=True):
            assert_same_bits(one, other, f"{name} of {self}")


def against_reference(seed):
    """Compare with the reference, bit for bit."""
    Case(seed).check()


if __name__ == "__main__":
    sys.exit(main(against_reference))
