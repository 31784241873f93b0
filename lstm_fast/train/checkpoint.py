"""Safetensors files: a model, or a run of fit that can go on. Tensors under PyTorch's names; what they belong to in the metadata.

Written atomically (_files.py), read whole before anything is changed; a damaged or foreign file is a FormatError.
"""

import json
from pathlib import Path

import numpy as np

from .. import _errors
from .._files import write_atomically
from ..modules import LSTM, RNN
from .model import SequenceModel

FORMAT = "lstm_fast"
VERSION = 1
COMMON = (
    "input_size",
    "hidden_size",
    "num_layers",
    "bias",
    "batch_first",
    "dropout",
    "bidirectional",
    "recurrent_dropout",
    "zoneout",
    "learn_initial_state",
)
OF_LSTM = (
    "proj_size",
    "peepholes",
    "layer_norm",
    "coupled_gates",
    "cell_clip",
    "gate_clip",
    "activation",
    "recurrent_activation",
    "cell_activation",
)


def _safetensors():
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError("files need the package safetensors: pip install safetensors") from None
    return safetensors.numpy


def kind_of(name, lstm, kinds=(LSTM, RNN)):
    """The name of its class. A subclass would come back as what it is not."""
    if type(lstm) not in kinds:
        raise TypeError(
            f"{name} must be an {' or '.join(kind.__name__ for kind in kinds)}, got {type(lstm).__name__}"
            + ", a subclass" * isinstance(lstm, kinds)
        )
    return type(lstm).__name__


def describe(model):
    """What a SequenceModel is made of, for json."""
    lstm = model.lstm
    kind = kind_of("model.lstm", lstm)
    names = COMMON + (OF_LSTM if kind == "LSTM" else ("nonlinearity",))
    return {
        "kind": kind,
        "dtype": lstm.dtype.name,
        "out_features": model.out_features,
        "readout": model.readout,
        "network": {name: getattr(lstm, name) for name in names},
    }


def build(config):
    """A SequenceModel from describe()."""
    network = {name: tuple(value) if isinstance(value, list) else value for name, value in config["network"].items()}
    kind = {"LSTM": LSTM, "RNN": RNN}[config["kind"]]
    return SequenceModel(kind(**network, dtype=config["dtype"]), config["out_features"], config["readout"])


def write(path, tensors, config):
    """Atomically."""
    data = _safetensors().save(
        {name: np.ascontiguousarray(value) for name, value in tensors.items()},
        {"format": FORMAT, "version": str(VERSION), "config": json.dumps(config)},
    )
    write_atomically(path, data)


def read(path, kind):
    """(tensors, config) of a file of this kind, "model" or "run"."""
    data = Path(path).read_bytes()
    try:
        tensors = _safetensors().load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = header.get("__metadata__", {})
    except ImportError:
        raise
    except Exception as error:
        raise _errors.FormatError(f"{path} is not a safetensors file, or damaged: {error}") from None
    if metadata.get("format") != FORMAT or metadata.get("version") != str(VERSION):
        raise _errors.FormatError(
            f"{path} must be written by lstm_fast, version {VERSION} of its files, got format "
            f"{metadata.get('format')!r}, version {metadata.get('version')!r}"
        )
    try:
        config = json.loads(metadata["config"])
        if config["file"] != kind:
            raise _errors.FormatError(f"{path} must hold a {kind}, got a {config['file']}")
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise _errors.FormatError(f"{path} has no readable configuration: {error!r}") from None
    return tensors, config


def save_model(model, path):
    write(path, model.state_dict(), {"file": "model", "model": describe(model)})


def load(path):
    """The SequenceModel that its save() wrote to path. FormatError if the file is damaged or foreign."""
    tensors, config = read(path, "model")
    try:
        model = build(config["model"])
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise _errors.FormatError(f"{path} does not fit together: {error}") from None
    return model


def save_run(path, model, optimizer, now, history):
    tensors = {name: value for name, value in model.unflatten(now.flat).items()}
    tensors |= {f"optimizer.moment_{k}": moment for k, moment in enumerate(now.moments)}
    tensors |= {} if now.best is None else {"best": now.best}
    counters = {
        name: getattr(now, name)
        for name in ("step", "epoch", "batch", "losses", "norms", "n", "shuffle_state", "shuffle_epoch", "mask_state")
    }
    write(
        path,
        tensors,
        {
            "file": "run",
            "model": describe(model),
            "optimizer": optimizer.config(),
            "progress": counters,
            "history": history,
        },
    )


def load_run(path, model, optimizer, now):
    """The Progress of a checkpoint of this model and optimizer; None if there is no such file."""
    if not Path(path).exists():
        return None
    tensors, config = read(path, "run")
    for name, have in (("model", describe(model)), ("optimizer", optimizer.config())):
        have = json.loads(json.dumps(have))
        if config.get(name) != have:
            raise ValueError(f"checkpoint {path} must be of this {name}: it has {config.get(name)}, the call {have}")
    flat = np.empty_like(now.flat)
    views = model.unflatten(flat)
    moments = tuple(np.empty_like(m) for m in now.moments)
    wanted = views | {f"optimizer.moment_{k}": m for k, m in enumerate(moments)}
    try:
        best = tensors.pop("best", None)
        if set(tensors) != set(wanted) or any(
            tensors[name].shape != view.shape or tensors[name].dtype != view.dtype for name, view in wanted.items()
        ):
            raise _errors.FormatError(f"{path} does not hold the tensors of its model and optimizer")
        for name, view in wanted.items():
            view[...] = tensors[name]
        return type(now)(flat, moments, type(now.history)(**config["history"]), **config["progress"], best=best)
    except (KeyError, TypeError) as error:
        raise _errors.FormatError(f"{path} does not fit together: {error!r}") from None
