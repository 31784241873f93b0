"""Random walks over the API: models of vectors or symbols are created, called, trained, saved, loaded, streamed,
quantized, fitted with truncation and burn-in, and combined into fleets.

    python tests/soak.py [--seconds S] [--seed N]

A walk keeps a few models and takes random steps with them, on several concurrent threads. Each step checks invariants:
the same call gives the same bits, whatever ran in between; invalid calls raise and change nothing; the numbers of
file descriptors and threads do not grow. The memory of the second half may exceed that of the first by at most 8 MiB.
"""

import argparse
import copy
import os
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT.parent))

import lstm_fast as lf  # noqa: E402
from option_cases import LSTM_OPTIONS, RNN_OPTIONS, draw, make, states  # noqa: E402

MOST_GROWTH = 8 << 20
THREADS = 2


def memory():
    """Resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def joined(*arrays):
    """The bits of arrays; all NaN are one."""
    return b"".join(np.where(np.isnan(v), v.dtype.type(np.nan), v).tobytes() for v in arrays)


class Walk:
    def __init__(self, seed, folder):
        self.rng, self.folder, self.seed = np.random.default_rng(seed), folder, seed
        self.held, self.steps = [], Counter()

    def new(self):
        rng = self.rng
        kind = str(rng.choice(("lstm", "lstm", "tanh", "relu")))
        names = LSTM_OPTIONS if kind == "lstm" else RNN_OPTIONS
        options = {name for name in names if rng.random() < 0.25}
        options |= {"index_input"} if rng.random() < 0.15 else set()
        dtype = (np.float32, np.float64)[rng.integers(2)]
        structure = dict(num_layers=int(rng.integers(1, 3)), bidirectional=bool(rng.random() < 0.3))
        I, H = (int(rng.integers(1, 24)) for _ in range(2))
        module = make(kind, I, H, options, seed=int(rng.integers(1 << 30)), dtype=dtype, **structure)
        a = draw(rng, module, int(rng.integers(0, 20)), int(rng.integers(0, 9)), options)
        self.held = [*self.held[-4:], {"module": module, "a": a, "want": self.call(module, a)}]

    def call(self, module, a, **more):
        state = a["h_0"] if isinstance(module, lf.RNN) else (a["h_0"], a["c_0"])
        output, last = module(a["x"], state, lengths=a["lengths"], resets=a["resets"], **more)
        return joined(output, *(last if isinstance(last, tuple) else (last,)))

    def again(self, one):
        assert self.call(one["module"], one["a"], num_threads=int(self.rng.integers(1, 5))) == one["want"]

    def train(self, one):
        module, a = one["module"], one["a"]
        *_, tape = module.forward(
            a["x"], states(module, a["h_0"], a["c_0"]), lengths=a["lengths"], resets=a["resets"], training=True
        )
        gradients = module.backward(tape, a["d_output"])
        with module.edit() as p:
            p.flat[:] -= 1e-3 * np.clip(np.nan_to_num(gradients.flat), -1, 1)
        one["want"] = self.call(module, a)

    def save(self, one):
        if not isinstance(one["module"], lf.LSTM):
            return
        path = self.folder / f"{threading.get_ident()}.safetensors"
        lf.weights.save(one["module"], path)
        loaded = lf.weights.load(path)
        if loaded.dtype == one["module"].dtype:
            assert self.call(loaded, one["a"]) == one["want"]

    def quantize(self, one):
        module, a = one["module"], one["a"]
        if isinstance(module, lf.LSTM) and module.dtype == np.float32:
            format = str(self.rng.choice(("float16", "bfloat16", "bfloat16_amx", "int8")))
            try:
                quantized = module.quantized(format)
            except ValueError:
                return
            try:
                assert self.call(quantized, a) == self.call(quantized, a, num_threads=2)
            except ValueError:
                assert format == "int8" and a["h_0"] is not None  # an h_0 beyond 1

    def stream(self, one):
        module, x = one["module"], one["a"]["x"]
        if isinstance(module, lf.LSTM) and not module.bidirectional and x.shape[1]:
            stream = module.stream(batch_size=x.shape[1])
            steps = [np.array(stream.step(row)) for row in x]
            output, _ = module(x)
            assert not steps or np.stack(steps).tobytes() == output.tobytes()

    def fit(self, one):
        """Train with different numbers of threads; the results must be the same."""
        module, x, rng = one["module"], one["a"]["x"], self.rng
        T, B = x.shape[:2]
        if not (isinstance(module, lf.LSTM) and T and B):
            return
        options = {"truncate": int(rng.integers(1, T + 2)), "burn_in": int(rng.integers(0, T))}
        if module.bidirectional:
            options = {}
        results = []
        for n_threads in (1, 3):
            model = lf.train.SequenceModel(copy.deepcopy(module), 2, "all", seed=0)
            y = np.ones((T, B, 2))
            try:
                history = lf.train.fit(model, x, y, epochs=2, batch_size=3, seed=0, num_threads=n_threads, **options)
                results.append(history.fingerprint)
            except lf.train.Diverged as error:
                results.append(str(error))
        assert results[0] == results[1], results

    def fleet(self, one):
        """The results of a fleet of the model and another one."""
        module, a = one["module"], one["a"]
        if not isinstance(module, lf.LSTM) or module.index_input:
            return
        other = copy.deepcopy(module)
        other.load_flat_parameters(0.5 * other.flat_parameters)
        fleet = lf.Fleet([other, copy.deepcopy(module)])
        x, h, c, lengths, resets = (
            None if a[name] is None else np.stack([a[name]] * 2) for name in ("x", "h_0", "c_0", "lengths", "resets")
        )
        output, last = fleet(x, (h, c), lengths=lengths, resets=resets, num_threads=int(self.rng.integers(1, 4)))
        assert joined(output[1], *(state[1] for state in last)) == one["want"]

    def wrong(self, one):
        module, x = one["module"], one["a"]["x"]
        other = x + 0.5 if module.index_input else x[..., :-1] if x.shape[-1] > 1 else x[0, 0] if x.size else "x"
        bad = (other if x.size or not module.index_input else "x", x.astype(np.int32).astype(str), None, x.tolist)
        try:
            module(bad[self.rng.integers(len(bad))])
        except (TypeError, ValueError):
            return self.again(one)
        raise AssertionError("a wrong call was accepted")

    def step(self):
        if not self.held or self.rng.random() < 0.1:
            return self.new()
        name = str(self.rng.choice(("again", "train", "save", "quantize", "stream", "fit", "fleet", "wrong")))
        self.steps[name] += 1
        getattr(self, name)(self.held[self.rng.integers(len(self.held))])

    def run(self, until, failures):
        while time.monotonic() < until and not failures:
            try:
                self.step()
            except BaseException:
                failures.append(
                    f"walk with seed {self.seed}, step {sum(self.steps.values())}:\n{traceback.format_exc()}"
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    warnings.simplefilter("ignore")
    failures, begin, steps = [], time.monotonic(), Counter()
    with tempfile.TemporaryDirectory() as folder:
        highest, n_files = [0, 0], []
        rounds = 20
        for k in range(rounds):  # memory and descriptors are checked between rounds of walks
            walks = [Walk(a.seed + THREADS * k + j, Path(folder)) for j in range(THREADS)]
            until = begin + a.seconds * (k + 1) / rounds
            threads = [threading.Thread(target=walk.run, args=(until, failures)) for walk in walks]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            steps.update(sum((walk.steps for walk in walks), Counter()))
            half = k * 2 // rounds
            highest[half] = max(highest[half], memory())
            n_files.append(len(os.listdir("/proc/self/fd")))
            if failures:
                break
    growth = highest[1] - highest[0] if highest[1] else 0
    if not failures and growth > MOST_GROWTH:
        failures.append(f"memory grew by {growth >> 20} MiB in the second half")
    if n_files[-1] > n_files[0]:
        failures.append(f"{n_files[-1] - n_files[0]} file descriptors were left open")
    print("\n".join(failures))
    print(
        f"{sum(steps.values())} steps in {time.monotonic() - begin:.0f} s: {dict(steps)}; {len(failures)} failures, "
        f"memory {highest[0] / 2**20:.0f} MiB, in the second half {growth / 2**20:+.1f}"
    )
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
