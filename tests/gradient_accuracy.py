"""Gradients in float32 against float64, of long and of short sequences.

    python tests/gradient_accuracy.py [NETWORKS [SEED]]

The error is the largest difference relative to the largest entry of a gradient. Exits with status 1 above 2e-6 at
T = 1000 or above 1e-6 at T up to 100.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent))

import lstm_fast as lf


def gradients(lstm, x, d_output, dtype):
    _, _, tape = lstm.forward(x.astype(dtype))
    result = lstm.backward(tape, d_output.astype(dtype))
    return dict(result) | {"x": result.d_x}


def error(rng, T):
    I, H, B = (int(rng.integers(1, most)) for most in (40, 130, 9))
    seed, options = int(rng.integers(1 << 30)), dict(num_layers=int(rng.integers(1, 3)))
    rounded, exact = (lf.LSTM(I, H, seed=seed, dtype=dtype, **options) for dtype in (np.float32, np.float64))
    exact.load_state_dict(rounded.state_dict())
    x, d_output = (rng.standard_normal((T, B, n)).astype(np.float32) for n in (I, H))
    got, want = (gradients(lstm, x, d_output, lstm.dtype) for lstm in (rounded, exact))
    return max(np.abs(got[name] - want[name]).max() / np.abs(want[name]).max() for name in want)


def main():
    n, seed = (int(word) for word in [*sys.argv[1:], *("100", "0")[len(sys.argv) - 1 :]])
    rng, passed = np.random.default_rng(seed), True
    for T, most in ((1000, 2e-6), (100, 1e-6), (10, 1e-6)):
        errors = np.array([error(rng, T) for _ in range(n)])
        print(
            f"T = {T}: {n} networks, largest error of a gradient {errors.max():.1e}, median {np.median(errors):.1e}; "
            f"{np.mean(errors <= most):.0%} at most {most:.0e}: passed {bool(errors.max() <= most)}"
        )
        passed &= bool(errors.max() <= most)
    return not passed


if __name__ == "__main__":
    sys.exit(main())
