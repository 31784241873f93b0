"""Coverage-guided fuzzing of everything that reads files, with atheris (libFuzzer) where it is installed.

    python tests/fuzz_loaders.py [targets...] [--seconds S] [--corpus FOLDER]

Each target reads bytes as a file of its kind: the result is a model or a FormatError, in at most ten seconds and a
gibibyte. Anything else is a finding, kept as a file whose path is printed. Seeds are small files of the library's own,
without their digest, which every change would contradict; inputs that reach new code are kept in the corpus and start
the next run. Without atheris, mutation is blind. Inputs lie in memory: writing them to a disk takes most of the time.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT.parent))

HAS_ATHERIS = find_spec("atheris") is not None
if HAS_ATHERIS and "--child" in sys.argv:
    import atheris

    with atheris.instrument_imports(include=["lstm_fast"], enable_loader_override=False):
        import lstm_fast as lf
        import lstm_fast.keras.files
        import lstm_fast.onnx.loading
        import lstm_fast.train.checkpoint
        import lstm_fast.weights
else:
    import lstm_fast as lf
from lstm_fast._safetensors import DIGEST  # noqa: E402

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None  # a folder in memory
LIMITS = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=16384", "-print_final_stats=1"]


def models():
    """Small models with many options."""
    yield lf.LSTM(2, 3, num_layers=2, bidirectional=True, seed=0)
    yield lf.LSTM(1, 2, proj_size=1, layer_norm=True, peepholes=True, learn_initial_state=True, cell_clip=1.0, seed=0)


def save_keras(model, path):
    import h5py

    with h5py.File(path, "w") as file:
        group = file.create_group("layers/lstm/cell/vars")
        for k, shape in enumerate([(2, 12), (3, 12), (12,)]):
            group[str(k)] = np.zeros(shape, np.float32)


def save_train(model, path):
    lf.train.SequenceModel(lf.LSTM(2, 3, seed=0), 1, seed=0).save(path)


# target: (suffix, write a seed, read)
TARGETS = {
    "safetensors": (".safetensors", lf.weights.save, lf.weights.load),
    "onnx": (".onnx", lf.onnx.save, lf.onnx.load),
    "keras": (".h5", save_keras, lf.keras.load),
    "train": (".safetensors", save_train, lf.train.load),
}


def seeds(target, folder):
    suffix, save, load = TARGETS[target]
    for k, model in enumerate(models()):
        path = folder / f"seed{k}{suffix}"
        try:
            save(model, path)
            if suffix == ".safetensors":
                path.write_bytes(without_digest(path.read_bytes()))
            load(path)
        except (lf.FormatError, ValueError, NotImplementedError) as error:
            path.unlink(missing_ok=True)
            print(f"{target}: no seed of {model}: {error}")
    assert list(folder.glob("seed*")), f"{target} has no seed"


def without_digest(data):
    """A safetensors file without the digest in its metadata."""
    n = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:n])
    del header["__metadata__"][DIGEST]
    header["__metadata__"]["version"] = "1"  # the last without
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[n:]


def check(target, data, path):
    with path.open("r+b", buffering=0) as file:  # not truncated at the start, which frees and takes its memory again
        file.write(data)
        file.truncate()
    with contextlib.suppress(lf.FormatError):
        TARGETS[target][2](path)


def fuzz(target, seconds, corpus):
    """Runs in a separate process, which libFuzzer ends."""
    path = Path(tempfile.mkdtemp(dir=MEMORY)) / f"input{TARGETS[target][0]}"
    path.touch()
    warnings.simplefilter("ignore")
    if HAS_ATHERIS:
        options = [f"-max_total_time={seconds:.0f}", f"-artifact_prefix={corpus.parent}/{target}-finding-", *LIMITS]
        atheris.Setup([sys.argv[0], str(corpus), *options], lambda data: check(target, data, path))
        atheris.Fuzz()
    rng, n, begin = np.random.default_rng(0), 0, time.monotonic()
    samples = [file.read_bytes() for file in sorted(corpus.iterdir())]
    while time.monotonic() < begin + seconds:
        data = bytearray(samples[n % len(samples)])
        for _ in range(rng.integers(1, 5)):
            data[rng.integers(len(data))] = rng.integers(256)
        if rng.random() < 0.2:
            del data[rng.integers(len(data)) :]
        n += 1
        try:
            check(target, bytes(data), path)
        except BaseException:
            (corpus.parent / f"{target}-finding-{n}").write_bytes(data)
            raise
    print(f"stat::number_of_executed_units: {n}")


def run(target, seconds, corpus):
    """Return (executions, findings); starts a new process after each finding until the time is up."""
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    seeds(target, folder)
    begin, n, found, known = time.monotonic(), 0, 0, set()
    while (left := seconds - (time.monotonic() - begin)) > 1:
        command = [sys.executable, __file__, target, "--child", "--seconds", str(left), "--corpus", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        n += sum(map(int, re.findall(r"number_of_executed_units: (\d+)", done.stdout + done.stderr)))
        if done.returncode == 0:
            break
        found += 1
        lines = (done.stdout + done.stderr).splitlines()
        kind = next(
            (line.strip() for line in reversed(lines) if re.match(r"\s*[A-Za-z.]*(Error|Exception)\b", line)), ""
        )
        print(f"{target}: {kind or 'no exception'}; {next((line for line in lines if 'finding-' in line), '')}")
        if kind in known or found > 20:
            break
        known.add(kind)
        if not kind:
            print("\n".join(lines[-30:]))
    took = time.monotonic() - begin
    how = "atheris" if HAS_ATHERIS else "blind mutation"
    print(f"{target}: {n} runs with {how}, {n / took:.0f} per second, {found} findings", flush=True)
    return n, found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--seconds", type=float, default=60, help="of each target")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.child:
        fuzz(a.targets[0], a.seconds, a.corpus)
        return 0
    corpus = a.corpus or Path(tempfile.mkdtemp())
    return int(sum(run(target, a.seconds, corpus)[1] for target in a.targets) > 0)


if __name__ == "__main__":
    sys.exit(main())
