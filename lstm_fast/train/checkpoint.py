"""Files of a model, and of a run of fit that can be resumed: safetensors, with the configuration in the metadata.

Written atomically (_files.py), read whole before anything is changed; a damaged or foreign file is a FormatError.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import _architecture, _safetensors
from .._errors import FormatError
from ..modules import LSTM, RNN
from .model import SequenceModel

KINDS = {"LSTM": (LSTM, 4), "RNN": (RNN, 1)}
ARRAYS = ("flat", "moments", "best", "history")  # what of a Progress is not in "progress", but in a place of its own
WRONG = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)  # what wrong types lead to


def load(path):
    """The SequenceModel that its save() wrote to path. FormatError if the file is damaged or foreign."""
    file = _read(path, "model")
    try:
        return _build(file)
    except WRONG as error:
        raise FormatError(f"{path} does not fit together: {error!r:.500}") from None


def _build(file):
    """A model as large as the tensors in the file, whatever the configuration says."""
    description = file.config["model"]
    cls, n_gates = KINDS[description["kind"]]
    shapes = {name: tensor.shape for name, tensor in file.tensors.items()}
    of_network = _architecture.group(name for name in shapes if name.startswith("lstm."))
    sizes, _ = _architecture.infer("lstm.", of_network.get("lstm.", {}), shapes, n_gates)
    n_outputs = shapes["head.bias"]
    network = {name: _safetensors.values(value) for name, value in description["network"].items()}
    for name, value, found in (
        *((name, network[name], size) for name, size in sizes.items()),
        ("out_features", (description["out_features"],), n_outputs),
    ):
        if value != found:
            raise ValueError(f"{name} must be {found}, as the tensors have it, got {value!r:.100}")
    model = SequenceModel(cls(**network, dtype=description["dtype"]), *n_outputs, description["readout"])
    model.load_state_dict({name: tensor.array(name) for name, tensor in file.tensors.items()})
    return model


def _read(path, kind):
    """A file of this kind, "model" or "run"."""
    file = _safetensors.read(path)
    if file.config is None:
        raise FormatError(f"{path} must be written by lstm_fast, got another safetensors file")
    if file.config.get("file") != kind:
        raise FormatError(f"{path} must hold a {kind}, got a {file.config.get('file')!s:.100}")
    return file


def save_run(path, model, optimizer, now, history):
    tensors = {name: value for name, value in model.unflatten(now.flat).items()}
    tensors |= {f"optimizer.moment_{k}": moment for k, moment in enumerate(now.moments)}
    tensors |= {} if now.best is None else {"best": now.best}
    config = {
        "file": "run",
        "model": model.description(),
        "optimizer": optimizer.config(),
        "progress": {name: value for name, value in vars(now).items() if name not in ARRAYS},
        "history": history,
    }
    _safetensors.write(path, tensors, config)


def load_run(path, model, optimizer, now):
    """The Progress of a checkpoint of this model and optimizer, with now's for a pattern; None if there is no such file."""
    if not Path(path).exists():
        return None
    file = _read(path, "run")
    try:
        for name, value in (("model", model.description()), ("optimizer", optimizer.config())):
            _check_same(path, name, file.config[name], json.loads(json.dumps(value)))
    except (AttributeError, KeyError, TypeError) as error:
        raise FormatError(f"{path} does not fit together: {error!r:.500}") from None
    flat, moments = np.empty_like(now.flat), tuple(np.empty_like(m) for m in now.moments)
    arrays = model.unflatten(flat) | {f"optimizer.moment_{k}": m for k, m in enumerate(moments)}
    if "best" in file.tensors:
        arrays["best"] = best = np.empty_like(now.flat)
    else:
        best = None
    try:
        if set(file.tensors) != set(arrays):
            raise ValueError("it does not hold the tensors of its model and optimizer")
        for name, array in arrays.items():
            value = file.tensors[name].array(name)
            if value.shape != array.shape or value.dtype != array.dtype:
                raise ValueError(f"{name} must be {array.dtype} {array.shape}, got {value.dtype} {value.shape}")
            array[...] = value
        history, progress = _history(file.config["history"], now.history), _progress(file.config["progress"], now)
        return replace(now, flat=flat, moments=moments, best=best, history=history, **progress)
    except WRONG as error:
        raise FormatError(f"{path} does not fit together: {error!r:.500}") from None


def _check_same(path, name, found, expected):
    """ValueError that says in what a run differs from the call that is to go on with it."""
    differing = {key for key in {*found, *expected} if found.get(key) != expected.get(key)}
    if "network" in differing:
        _check_same(path, name, found["network"], expected["network"])
    elif differing:
        has, call = (str({key: one.get(key) for key in sorted(differing)}) for one in (found, expected))
        raise ValueError(f"checkpoint {path} must be of this {name}: it has {has:.300}, the call {call:.300}")


def _progress(values, pattern):
    """Counters and states of generators, of the types that the pattern has, None where a generator is not used yet."""
    names = [name for name in vars(pattern) if name not in ARRAYS]
    if set(values) != set(names):
        raise ValueError(f"progress must have {', '.join(names)}, got {', '.join(values)}")
    for name in names:
        value, kind = values[name], type(getattr(pattern, name))
        if kind in (int, float):
            if type(value) not in (int, kind) or (kind is int and value < 0):
                raise ValueError(f"{name} must be a number of type {kind.__name__}, got {value!r:.100}")
        elif value is not None:
            np.random.default_rng().bit_generator.state = value  # raises if it is none
    return values


def _history(values, pattern):
    """A History of whole epochs: lists of one number for each, but for the validation loss, which may be empty."""
    n, best = len(values["loss"]), values["best_epoch"]
    for name, value in values.items():
        if name != "best_epoch" and not (
            isinstance(value, list)
            and len(value) in ((0, n) if name == "validation_loss" else (n,))
            and all(type(one) in (int, float) for one in value)
        ):
            raise ValueError(f"{name} of the history must be a list of {n} numbers, got {value!r:.100}")
    if best is not None and (type(best) is not int or not 0 <= best < n):
        raise ValueError(f"best_epoch must be None or one of {n} epochs, got {best!r:.100}")
    return replace(pattern, **values)
