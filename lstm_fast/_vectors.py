"""Test vectors: cases in JSON files with the bits that every build of lstm_fast must give (docs/vectors/README.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import _core, _threads
from ._errors import FormatError
from ._safetensors import values
from .modules import LSTM, RNN

N_FIRST = 4  # leading elements of an array written to a file; the digest covers all
MOST_LINES = 20  # differences printed per array
THREADS = (1, 3)


def folder() -> Path:
    """The files of this version, in the installed package or in its source tree."""
    package = Path(__file__).resolve().parent
    return package / "vectors" if (package / "vectors").is_dir() else package.parent / "docs" / "vectors"


def numbers(index: int, shape: Iterable[int], dtype: Any) -> np.ndarray:
    """Array number `index` of a case: multiples of 2^-16 from -1/2 to 1/2, which every format of numbers has."""
    shape = tuple(shape)
    z = np.arange(1, 1 + int(np.prod(shape)), dtype=np.uint64) + np.uint64(index << 20)
    mask = np.uint64(2**32 - 1)
    z = z * np.uint64(0x9E3779B9) & mask
    z = (z ^ z >> np.uint64(16)) * np.uint64(0x21F0AAAD) & mask
    z = (z ^ z >> np.uint64(15)) & np.uint64(0xFFFF)
    return ((z.astype(np.int64) - 2**15) / 2**16).astype(dtype).reshape(shape)


def record(array: np.ndarray) -> str:
    """Expected array in a file: dtype, shape, 32 digits of its SHA-256, its first numbers as words."""
    words = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    size = array.dtype.itemsize
    first = [f"{int(one):0{2 * size}x}" for one in words[:N_FIRST].view(f"<u{size}")]
    digest = hashlib.sha256(words.view(np.uint8)).hexdigest()[:32]
    return " ".join([array.dtype.name, "x".join(map(str, array.shape)), digest, *first])


def kind_of(isa: str) -> str:
    """The set of expected bits for an instruction set: with fused multiply-adds, or with rounded products."""
    return "portable" if _core.base_isa(isa) == "portable" else "fused"


def compute(case: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays that a case gives, by name."""
    options = {name: values(value) for name, value in case["options"].items()}
    network = {"LSTM": LSTM, "RNN": RNN}[case["network"]](**options)
    network.load_flat_parameters(numbers(0, network.flat_parameters.shape, network.dtype))
    (T, B), dtype = case["shape"], network.dtype
    x = numbers(1, (T, B, network.input_size), dtype)
    if "fit" in case:
        return _train(network, x, case)
    if "format" in case:
        network = network.quantized(case["format"], inputs=case["inputs"])
    n = network.num_layers * network.num_directions
    h_0 = numbers(2, (n, B, network.h_size), dtype)
    c_0 = numbers(3, (n, B, network.hidden_size), dtype)
    state = None if case.get("no_state") else (h_0, c_0) if network.has_cell_state else h_0
    words: dict[str, Any] = {"lengths": case.get("lengths")}
    if "resets" in case:
        words["resets"] = np.isin(np.arange(T * B), case["resets"]).reshape(T, B)
    if case["call"] == "stream":
        return {"output": network.stream(B).block(x)}
    if case["call"] == "forward":
        output, last = network(x, state, **words)
        return {"output": output} | _named(("h_n", "c_n"), last)
    rng = np.random.default_rng(case["mask_seed"]) if "mask_seed" in case else None
    output, last, tape = network.forward(x, state, training=rng is not None, rng=rng, **words)
    d_last = (
        tuple(numbers(5 + k, one.shape, dtype) for k, one in enumerate(last))
        if network.has_cell_state
        else numbers(5, last.shape, dtype)
    )
    g = network.backward(tape, numbers(4, output.shape, dtype), d_last)
    result = {"output": output} | _named(("h_n", "c_n"), last) | {"d_x": g.d_x, "d_h_0": g.d_h_0}
    return result | ({"d_c_0": g.d_c_0} if network.has_cell_state else {}) | {"gradients": g.flat}


def _train(network: Any, x: np.ndarray, case: dict[str, Any]) -> dict[str, np.ndarray]:
    from . import train

    options = dict(case["fit"])
    optimizer = getattr(train, options.pop("optimizer"))(**options.pop("optimizer_options"))
    model = train.SequenceModel(network, case["out_features"], case["readout"])
    model.load_flat_parameters(numbers(0, model.flat_parameters.shape, model.dtype))
    steps = x.shape[:2] if case["readout"] == "all" else x.shape[1:2]
    y = numbers(4, (*steps, case["out_features"]), np.float64)
    history = train.fit(model, x, y, optimizer=optimizer, shuffle=False, seed=0, **options)
    return {"parameters": model.flat_parameters, "loss": np.array(history.loss)}


def _named(names: tuple[str, ...], last: Any) -> dict[str, np.ndarray]:
    return dict(zip(names, last if isinstance(last, tuple) else (last,)))


# ---- checking ----


class Outcome(NamedTuple):
    """Result of one file on one instruction set: number of cases, and the differences."""

    file: str
    isa: str
    n_cases: int
    differences: list[str]


def read(path: str | PathLike[str]) -> list[dict[str, Any]]:
    """The cases of a file. FormatError if it is damaged."""
    try:
        cases: list[dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))["cases"]
        if not isinstance(cases, list) or not all(isinstance(case["expected"], dict) for case in cases) or not cases:
            raise ValueError("it must have cases with expected results")
        return cases
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{path} is not a file of vectors, or damaged: {error!r:.200}") from None


def check(path: str | PathLike[str]) -> Iterator[Outcome]:
    """Run the cases of a file, or of the files of a folder, on every instruction set of this machine."""
    paths = sorted(Path(path).glob("*.json")) if Path(path).is_dir() else [Path(path)]
    if not paths:
        raise FormatError(f"{path} must hold vectors, *.json, got none")
    before = _core.isa()
    try:
        for one in paths:
            cases = read(one)
            for isa in _core.available_isas():
                _core.use_isa(isa)
                differences = [difference for case in cases for difference in _differences(case)]
                yield Outcome(one.stem, isa, len(cases), differences)
    finally:
        _core.use_isa(before)


def _differences(case: dict[str, Any]) -> Iterator[str]:
    for n_threads in THREADS:
        name = f"{case.get('name')}, {n_threads} threads" if n_threads > 1 else f"{case.get('name')}"
        try:
            with _threads.num_threads(n_threads):
                got = {key: record(array) for key, array in compute(case).items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            yield f"{name}: {error!r:.200}"
            continue
        expected = case["expected"].get(kind_of(_core.isa()), {})
        for key in sorted({*got, *expected}):
            if got.get(key) != expected.get(key):
                yield f"{name}: {key} must be {expected.get(key)}, got {got.get(key)}"


def table(path: str | PathLike[str] | None = None) -> Iterator[str]:
    """Lines of a report; the last one starts with "All" if every case matched."""
    rows: dict[str, dict[str, Outcome]] = {}
    isas = _core.available_isas()
    widths = [max(12, len(isa)) for isa in isas]
    yield f"{'':<12}" + "".join(f"{isa:>{width + 2}}" for isa, width in zip(isas, widths))
    failures: list[str] = []
    n = 0
    for outcome in check(folder() if path is None else path):
        rows.setdefault(outcome.file, {})[outcome.isa] = outcome
        failures += [f"{outcome.file}, {outcome.isa}: {difference}" for difference in outcome.differences]
        n += outcome.n_cases
        if len(rows[outcome.file]) == len(isas):
            words = ["differs" if one.differences else f"{one.n_cases} equal" for one in rows[outcome.file].values()]
            yield f"{outcome.file:<12}" + "".join(f"{word:>{width + 2}}" for word, width in zip(words, widths))
    yield from failures[:MOST_LINES]
    yield f"{len(failures)} arrays differ" if failures else f"All bits as expected: {n} cases, {THREADS} threads each"
