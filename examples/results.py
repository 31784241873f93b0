"""Run all examples in full on seeds 0, 1 and 2, compare each with its target, and train the same models in PyTorch.

    python examples/results.py [--python torch=VENV/bin/python] [--only NAME ...] [--seeds 0 1 2] [--out RESULTS.md]

Writes RESULTS.md, and exits with status 1 if a target is missed. Everything runs on one thread. The times of PyTorch
require an interpreter that has it: each model is trained with the same data, initial parameters, batches, epochs,
optimizer and clipping, in a separate process right after lstm_fast (peers/torch_twin.py).
"""

import argparse
import importlib
import json
import platform
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import numpy as np

import lstm_fast as lf

FOLDER = Path(__file__).resolve().parent
BOUND = 0.01  # of the adding problem
# score(module, seed): (score, seconds of training, ...); target(module): in words; is_met(module, scores); n_models: as
# many as the training in PyTorch, one of them, is repeated
Row = namedtuple("Row", "name module score target is_met n_models", defaults=[1])


def rows():
    yield Row(
        "two companies, one unit: larger error",
        "two_companies",
        lambda m, seed: m.run(seed),
        lambda m: f"below {m.BOUND}",
        lambda m, scores: max(scores) < m.BOUND,
    )
    yield Row(
        "sunspots: RMSE",
        "sunspots",
        lambda m, seed: m.run(seed),
        lambda m: "at most 19; persistence {:.2f}, AR(11) {:.2f}".format(*m.baselines()),
        lambda m, scores: max(scores) <= 19,
    )
    for is_bidirectional, name, least in ((False, "LSTM-64", 0.96), (True, "BiLSTM-64", 0.97)):
        yield Row(
            f"JapaneseVowels, {name}: accuracy",
            "japanese_vowels",
            lambda m, seed, b=is_bidirectional: m.run(seed, b),
            lambda m, least=least: f"mean at least {least}",
            lambda m, scores, least=least: np.mean(scores) >= least,
        )
    yield Row(
        "temperatures, 24 hours ahead: mean absolute error, °F",
        "temperatures",
        lambda m, seed: m.run(seed),
        lambda m: (
            "below the first three of " + ", ".join(f"{name} {error:.3f}" for name, error in m.baselines().items())
        ),
        lambda m, scores: max(scores) < min(list(m.baselines().values())[:3]),
    )
    for T in (100, 200, 400):
        yield Row(
            f"adding problem, T = {T}: squared error, LSTM",
            "adding_problem",
            lambda m, seed, T=T: m.run(seed, T),
            lambda m: f"below {BOUND}",
            lambda m, scores: max(scores) < BOUND,
        )
        yield Row(
            f"adding problem, T = {T}: squared error, RNN",
            "adding_problem",
            lambda m, seed, T=T: m.run(seed, T, lf.RNN(2, 32, batch_first=True, seed=seed)),
            lambda m: f"stays above {BOUND}",
            lambda m, scores: min(scores) > BOUND,
        )
    yield Row(
        "character model: bits per character",
        "character_model",
        lambda m, seed: m.run(seed),
        lambda m: "below n-grams, n = 1 to 6: " + ", ".join(f"{bits:.2f}" for bits in n_grams(m)),
        lambda m, scores: max(scores) < min(n_grams(m)),
    )
    yield Row(
        "optical compressor, a million samples: error-to-signal ratio",
        "optical_compressor",
        lambda m, seed: m.run(seed),
        lambda m: f"below a fifth of a constant gain, {m.constant_gain(0):.3f}",
        lambda m, scores: max(scores) < m.constant_gain(0) / 5,
    )
    for name in ("bleeding", "ecg"):
        yield Row(
            f"anomalies, {name}: F1",
            "anomaly",
            lambda m, seed, name=name: anomaly_score(m, seed, name),
            lambda m: "1: all found, no false alarm",
            lambda m, scores: min(scores) == 1,
        )
    yield Row(
        "sensors, 1,000 models: error over persistence",
        "sensors",
        lambda m, seed: m.run(1000, 20, seed, validation=None),  # peers/torch_twin.py has no validation
        lambda m: "below 1",
        lambda m, scores: max(scores) < 1,
        n_models=1000,
    )


def n_grams(module):
    if not hasattr(n_grams, "bits"):
        alphabet, train, held_out = module.read()
        n_grams.bits = [module.n_gram_bits(train, held_out, len(alphabet), n) for n in range(1, 7)]
    return n_grams.bits


def anomaly_score(module, seed, name):
    verdict, seconds, _ = module.run(seed, name)
    return module.f1(*verdict), seconds


class Recorder:
    """Replaces lf.train.fit and records the last call, for the same training in PyTorch."""

    def __init__(self):
        self.call, self.fit = None, lf.train.fit

    def __call__(self, model, x, y, **settings):
        before = model.state_dict()
        history = self.fit(model, x, y, **settings)
        is_recorded = isinstance(model, lf.train.SequenceModel) and isinstance(model.lstm, lf.LSTM)
        self.call = (model, before, x, y, settings, history) if is_recorded else None
        return history

    def write(self, path):
        """Writes the input of peers/torch_twin.py."""
        model, before, x, y, settings, history = self.call
        lengths = {}
        if isinstance(x, list):
            lengths = {"lengths": np.array([len(one) for one in x])}
            padded = np.zeros((len(x), max(lengths["lengths"]), x[0].shape[1]), np.float32)
            for row, one in zip(padded, x):
                row[: len(one)] = one
            x = padded
        network = {
            name: getattr(model.lstm, name) for name in ("input_size", "hidden_size", "num_layers", "bidirectional")
        }
        words = {
            "network": network,
            "out_features": model.out_features,
            "readout": model.readout,
            "epochs": len(history),
            "loss": settings.get("loss", "mse"),
            "lr": settings["optimizer"].lr,
            "seed": settings["seed"],
            "lr_schedule": settings.get("lr_schedule"),
            "batch_size": settings["batch_size"],
            "clip_norm": settings["clip_norm"],
            "truncate": settings.get("truncate"),
            "burn_in": settings.get("burn_in", 0),
        }
        y = np.asarray(y)
        np.savez(
            path,
            x=np.asarray(x, np.int64 if model.lstm.index_input else np.float32),
            y=y if y.dtype.kind in "iu" else y.astype(np.float32),
            **lengths,
            settings=json.dumps(words),
            **{f"p:{name}": value for name, value in before.items()},
        )


def twin(python, recorder):
    """Seconds, loss and version of PyTorch."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.npz"
        recorder.write(path)
        done = subprocess.run([python, FOLDER / "peers" / "torch_twin.py", path], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"training in PyTorch failed:\n{done.stderr}")
    return json.loads(done.stdout)


def measure(row, seeds, python):
    """(line of the table, whether the target is met, versions of PyTorch)"""
    module, scores, seconds, others, losses = importlib.import_module(row.module), [], [], [], []
    recorder = lf.train.fit = Recorder()
    try:
        for seed in seeds:
            recorder.call = None
            score, taken, *_ = row.score(module, seed)
            scores, seconds = scores + [score], seconds + [taken]
            if python and recorder.call:
                others.append(twin(python, recorder))
                losses.append((recorder.call[-1].loss[-1], others[-1]["loss"]))
    finally:
        lf.train.fit = recorder.fit
    peer = ["-"] * 3
    if others:
        theirs = np.mean([other["seconds"] for other in others]) * row.n_models
        ours, other = np.mean(losses, axis=0)
        peer = [f"{theirs:.1f}", f"{theirs / np.mean(seconds):.1f} ×", f"{ours:.4g} / {other:.4g}"]
    is_met = bool(row.is_met(module, scores))
    cells = [
        row.name,
        ", ".join(f"{score:.4g}" for score in scores),
        row.target(module),
        "met" if is_met else "**missed**",
        f"{np.mean(seconds):.2f}" if np.mean(seconds) < 1 else f"{np.mean(seconds):.1f}",
        *peer,
    ]
    return f"| {' | '.join(cells)} |", is_met, {other["version"] for other in others}


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default="", metavar="torch=PATH", help="interpreter with PyTorch")
    parser.add_argument("--only", nargs="+", help="rows whose names contain one of these")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=FOLDER / "RESULTS.md")
    arguments = parser.parse_args(words)
    if arguments.python and not arguments.python.startswith("torch="):
        parser.error(f"--python must be torch=PATH, got {arguments.python}")
    lf.set_num_threads(1)
    lines, met, versions = [], [], set()
    for row in rows():
        if not arguments.only or any(word in row.name for word in arguments.only):
            line, is_met, found = measure(row, arguments.seeds, arguments.python.removeprefix("torch="))
            lines, met, versions = lines + [line], met + [is_met], versions | found
            print(line, flush=True)
    peer = f" PyTorch {', '.join(sorted(versions))}, one thread." if versions else ""
    seeds = ", ".join(map(str, arguments.seeds))
    text = [
        f"Seeds {seeds}. lstm_fast {lf.__version__}, {lf.info()['isa']}, one thread.{peer}",
        f"Python {platform.python_version()}, {processor()}. Seconds are the mean training time over the seeds. The",
        "losses of the last epoch show that both training runs are equivalent.",
        "",
        "| | score by seed | target | | seconds | seconds, PyTorch | speed-up | loss / PyTorch's loss |",
        "|---|" + "---|" * 7,
        *lines,
    ]
    title = ["# Results of the examples", "", "Written by `python examples/results.py --python torch=...`.", ""]
    arguments.out.write_text("\n".join([*title, *text, ""]), encoding="utf-8")
    return 0 if all(met) else 1


def processor():
    """Name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
