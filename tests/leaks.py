"""Memory after very many calls: the resident set may grow by at most 1 MiB.

    python tests/leaks.py [CALLS]

Each kind of call is warmed up, then repeated; half of them raise. Exits with status 1 if one of the kinds leaks.
"""

import gc
import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(ROOT.parent)]

import lstm_fast as lf  # noqa: E402
from soak import memory  # noqa: E402

WARM_UP, MOST_GROWTH = 500, 1 << 20


def calls(folder):
    """The kinds of calls by name."""
    lstm = lf.LSTM(3, 8, num_layers=2, seed=0)
    x = np.random.default_rng(0).standard_normal((6, 4, 3)).astype(np.float32)
    stream = lstm.stream()
    model = lf.train.SequenceModel(lf.LSTM(3, 8, batch_first=True, seed=0), 1, seed=0)
    quantized = lstm.quantized("int8")
    path = Path(folder) / "model.safetensors"
    model.save(path)

    def train():
        output, _, tape = lstm.forward(x)
        lstm.backward(tape, output)

    def edit():
        with lstm.edit() as parameters:
            parameters["bias_ih_l0"][:] = 0
        lstm(x)

    def rejected(call):
        try:
            call()
        except (TypeError, ValueError):
            return
        raise AssertionError("a wrong call was accepted")

    return {
        "inference": lambda: lstm(x),
        "inference on two threads": lambda: lstm(x, num_threads=2),
        "forward and backward": train,
        "step of a stream": lambda: stream.step(x[0, 0]),
        "stream made and dropped": lambda: lstm.stream().step(x[0, 0]),
        "LSTM made and dropped": lambda: lf.LSTM(3, 8, seed=0)(x),
        "weights edited": edit,
        "int8": lambda: quantized(x),
        "lengths": lambda: lstm(x, lengths=[6, 5, 3, 0]),
        "loss and gradients": lambda: model.loss_and_grads(x.swapaxes(0, 1), np.zeros(4)),
        "saved and loaded": lambda: lf.train.load(path),
        "pickled": lambda: pickle.loads(pickle.dumps(lstm)),
        "wrong shape": lambda: rejected(lambda: lstm(x[..., :2])),
        "wrong state": lambda: rejected(lambda: lstm(x, (x, x))),
        "wrong lengths": lambda: rejected(lambda: lstm(x, lengths=[9, 9, 9, 9])),
        "wrong step": lambda: rejected(lambda: stream.step(x)),
        "wrong tape": lambda: rejected(lambda: lstm.backward(None, x)),
    }


def main():
    n = int([*sys.argv[1:], "100000"][0])
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        kinds = calls(folder)
        each = max(n // len(kinds), 1)
        for name, call in kinds.items():
            for _ in range(WARM_UP):
                call()
            gc.collect()
            before = memory()
            for _ in range(each):
                call()
            gc.collect()
            growth = memory() - before
            print(f"{name:26} {each:7,} calls {growth / 1024:+8.0f} KiB", flush=True)
            failed += [name] * (growth > MOST_GROWTH)
    print(f"passed: {each * len(kinds):,} calls" if not failed else f"FAILED: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
