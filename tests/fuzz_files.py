"""Malformed files without a digest (where nothing but the structure can be checked): FormatError, or a network.

python tests/fuzz_files.py [N] [SEED]: N files (default 100,000), mutated weights, models, quantized models and
checkpoints: configuration, header or bytes. Prints how many were rejected; any other error ends it with status 1.
"""

import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

import lstm_fast as lf
from lstm_fast import _safetensors
from lstm_fast._safetensors_format import compose
from lstm_fast.train import SequenceModel

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((6, 3, 2)).astype(np.float32), rng.standard_normal((6, 1)).astype(np.float32)
NAN = float("nan")
VALUES = [
    None,
    0,
    1,
    -1,
    2,
    5,
    10**9,
    2**63,
    10**30,
    1.5,
    -1.0,
    1e308,
    NAN,
    "x",
    "",
    [],
    {},
    True,
    [1],
    {"a": 1},
    "PCG64",
]


def fit(path, **options):
    model = SequenceModel(lf.LSTM(2, 3, 2, batch_first=True, dropout=0.2, seed=0), 1, seed=0)
    options = dict(batch_size=2, seed=0, validation=(X, Y), early_stopping=2) | options
    return lf.train.fit(model, X, Y, checkpoint=path, **options)


def make(kind, path):
    """Write a file of this kind; return the function that reads one."""
    lstm = lf.LSTM(2, 3, 2, cell_clip=3.0, zoneout=(0.1, 0.2), seed=0)
    model = SequenceModel(lstm, 1, seed=0)
    if kind == "run":
        fit(path, epochs=1)
        return lambda path: fit(path, epochs=2, resume=True)
    if kind.endswith("model"):
        (model if kind == "model" else model.quantized("int8")).save(path)
        return lf.train.load
    lf.weights.save(lstm if kind == "weights" else lstm.quantized("bfloat16"), path, "net.")
    return lf.weights.load


KINDS = ("weights", "quantized", "model", "quantized model", "run")


def places(value, path=()):
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def change(value, random):
    """Delete, replace, add or shift one value somewhere inside."""
    *above, last = random.choice(list(places(value)))
    for key in above:
        value = value[key]
    what = random.randrange(4)
    if what == 0:
        del value[last]
    elif what == 1:
        value[last] = random.choice(VALUES)
    elif what == 2 and isinstance(value, dict):
        value[random.choice(["new", "seed", "file"])] = random.choice(VALUES)
    elif type(value[last]) in (int, float):
        value[last] += random.choice([-1, 1, 1000])


def mutant(data, random):
    """A file of version 1 with up to three changes in its configuration, header or bytes."""
    file = _safetensors.read(data)
    config = json.loads(json.dumps(file.config))
    level = random.choice(["configuration", "configuration", "header", "bytes"])
    n_changes = random.choice([1, 1, 2, 3])
    for _ in range(n_changes if level == "configuration" else 0):
        if config:
            change(config, random)
    tensors = {name: tensor.stored(name) for name, tensor in file.tensors.items()}
    out = bytearray(compose(tensors, {"format": "lstm_fast", "version": "1", "config": json.dumps(config)}))
    if level == "header":
        n = 8 + int.from_bytes(out[:8], "little")
        header = json.loads(out[8:n])
        for _ in range(n_changes):
            if header:
                change(header, random)
        text = json.dumps(header).encode()
        out = len(text).to_bytes(8, "little") + text + out[n:]
    elif level == "bytes":
        out = out[: random.randrange(len(out))] if random.random() < 0.2 else out
        for _ in range(n_changes if out else 0):
            out[random.randrange(len(out))] = random.randrange(256)
    return bytes(out)


def is_expected(error, kind):
    """Whether this ValueError, not a FormatError, says that a sound file is of another run or has no such prefix."""
    words = ["must match the", "as in the run of"] if kind == "run" else ["prefix must be one of"]
    return any(one in str(error) for one in words) or isinstance(error, lf.train.Diverged)


def fuzz(n, seed):
    """Return (number of files by outcome, slowest in seconds); other errors propagate."""
    found, slowest, random_ = Counter(), 0.0, random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path, readers = Path(folder, "file"), {}
        for kind in KINDS:
            read = make(kind, path)
            readers[kind] = read, path.read_bytes()
            read(path)
        for k in range(n):
            kind = KINDS[k % len(KINDS)]
            read, good = readers[kind]
            bad = mutant(good, random_)
            path.write_bytes(bad)
            begin = time.process_time()
            try:
                with np.errstate(all="ignore"):
                    read(path)
                found["read"] += 1
            except lf.FormatError:
                found["FormatError"] += 1
            except (ValueError, FloatingPointError) as error:
                if not is_expected(error, kind):
                    raise AssertionError(f"file {k}, seed {seed}, {kind}: {bad[:3000]}") from error
                found["of another model or diverged"] += 1
            except Exception as error:
                raise AssertionError(f"file {k}, seed {seed}, {kind}: {bad[:3000]}") from error
            slowest = max(slowest, time.process_time() - begin)
    return found, slowest


if __name__ == "__main__":
    n, seed = (int(word) for word in (*sys.argv[1:], *("100000", "0")[len(sys.argv) - 1 :]))
    found, slowest = fuzz(n, seed)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(found.items()))
    print(f"{n} files, seed {seed}: {counts}; slowest {slowest:.3f} s; no other error")
