"""Checkpoints of fit: files of a model with the state of a run, read completely before anything is modified."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _safetensors
from .._safetensors_format import Tensor
from .model import SequenceModel
from .model_files import MISFITS, misfit, read

if TYPE_CHECKING:
    from .._types import Array
    from .config import FitConfig
    from .history import History, Progress
    from .optimizers import Optimizer

APART = ("flat", "moments", "best", "history", "state", "rows")  # fields of Progress not stored with its counters
STATE = ("state.h", "state.c")  # state of the network within a series; a plain RNN has only h
BATCHES = ("truncate", "burn_in", "batch_size", "shuffle")  # settings on which the next batch of an epoch depends


def save_run(
    path: str | PathLike[str], model: SequenceModel, optimizer: Optimizer, settings: FitConfig, now: Progress
) -> None:
    """Write the state of a run.

    Parameters
    ----------
    path : path
        The file.
    model, optimizer, settings, now : SequenceModel, Optimizer, FitConfig, Progress
        The run.
    """
    tensors = dict(model.unflatten(now.flat))
    tensors |= {f"optimizer.moment_{k}": moment for k, moment in enumerate(now.moments)}
    tensors |= {} if now.best is None else {"best": now.best}
    tensors |= {} if now.state is None else dict(zip(STATE, now.state))
    config: dict[str, Any] = {
        "file": "run",
        "model": model.description(),
        "optimizer": optimizer.config(),
        "batches": _batches(settings),
        "progress": {name: value for name, value in vars(now).items() if name not in APART},
        "history": {name: value for name, value in vars(now.history).items() if name != "fingerprint"},
    }
    config |= {} if now.rows is None else {"rows": now.rows}
    _safetensors.write(path, tensors, config)


def _batches(settings: FitConfig) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in BATCHES}


def load_run(
    path: str | PathLike[str],
    model: SequenceModel,
    optimizer: Optimizer,
    settings: FitConfig,
    now: Progress,
    n_ranks: int = 1,
) -> Progress | None:
    """Read a checkpoint of a run.

    Parameters
    ----------
    path : path
        The file.
    model, optimizer, settings : SequenceModel, Optimizer, FitConfig
        Values of the current call, which the checkpoint must match: within an epoch, the settings of the batches too.
    now : Progress
        Progress of a new run, whose shapes and types the file must match.
    n_ranks : int, default 1
        Number of ranks with batches of their own, which the checkpoint must match within an epoch.

    Returns
    -------
    Progress or None
        None if the file does not exist.

    Raises
    ------
    ValueError
        If the checkpoint belongs to another model or optimizer; the message names the difference.
    FormatError
        If the file is damaged or foreign.
    """
    if not Path(path).exists():
        return None
    file, config = read(path, "run")
    try:
        for name, value in (("model", model.description()), ("optimizer", optimizer.config())):
            _check_same(path, name, config[name], json.loads(json.dumps(value)))
        if config["progress"]["batch"]:
            _check_same(path, "batches", config["batches"], _batches(settings))
    except (AttributeError, KeyError, TypeError) as error:
        raise misfit(path, error) from None
    flat, moments = np.empty_like(now.flat), tuple(np.empty_like(m) for m in now.moments)
    arrays = model.unflatten(flat) | {f"optimizer.moment_{k}": m for k, m in enumerate(moments)}
    best = np.empty_like(now.flat) if "best" in file.tensors else None
    arrays |= {} if best is None else {"best": best}
    state = None
    if STATE[0] in file.tensors:
        names = STATE if model.lstm.has_cell_state else STATE[:1]
        state = tuple([np.empty(file.tensors[name].shape, now.flat.dtype) for name in names if name in file.tensors])
        arrays |= dict(zip(names, state))
    try:
        _fill(arrays, file.tensors)
        history, progress = _history(config["history"], now.history), _progress(config["progress"], now)
        rows = _rows(config.get("rows"), state)
        if len(history) != progress["epoch"] or (history.best_epoch is None) != (best is None):
            raise ValueError(f"its history must be that of {progress['epoch']} epochs, got {len(history)}")
        loaded = replace(now, flat=flat, moments=moments, best=best, state=state, rows=rows, **progress)
    except MISFITS as error:
        raise misfit(path, error) from None
    n = 1 if rows is None else len(rows)
    if loaded.batch and n != n_ranks:
        raise ValueError(f"the number of ranks must be {n}, as in the unfinished epoch of {path}, got {n_ranks}")
    return replace(loaded, history=history)


def _check_same(path: str | PathLike[str], name: str, found: dict[str, Any], expected: dict[str, Any]) -> None:
    differing = {key for key in {*found, *expected} if found.get(key) != expected.get(key)}
    if "network" in differing:
        _check_same(path, name, found["network"], expected["network"])
    elif differing:
        has, call = (str({key: one.get(key) for key in sorted(differing)}) for one in (found, expected))
        raise ValueError(f"checkpoint {path} must match the {name} of this call, {call:.300}, got {has:.300}")


def _fill(arrays: dict[str, Array], tensors: dict[str, Tensor]) -> None:
    """Copies tensors into arrays of the same names, shapes and dtypes."""
    if set(tensors) != set(arrays):
        raise ValueError("it does not hold the tensors of its model and optimizer")
    for name, array in arrays.items():
        value = tensors[name].array(name)
        if value.shape != array.shape or value.dtype != array.dtype:
            raise ValueError(f"{name} must be {array.dtype} {array.shape}, got {value.dtype} {value.shape}")
        array[...] = value


def _rows(values: Any, state: tuple[Array, ...] | None) -> list[int] | None:
    """Numbers of rows of the state of each of several ranks; None for one process."""
    if values is None:
        return None
    arrays = [np.empty((0, 0))] if state is None else state
    is_list = isinstance(values, list) and len(values) > 1 and all(type(n) is int and n >= 0 for n in values)
    if not is_list or any(array.shape[1:2] != (sum(values),) for array in arrays):
        raise ValueError(f"rows must be those of the state on each of several ranks, got {values!r:.100}")
    rows: list[int] = values
    return rows


def _progress(values: dict[str, Any], pattern: Progress) -> dict[str, Any]:
    """Counters and states of generators (None before first use), of the same types as in the pattern."""
    names = [name for name in vars(pattern) if name not in APART]
    if set(values) != set(names):
        raise ValueError(f"progress must have {', '.join(names)}, got {', '.join(values)}")
    for name in names:
        value, kind = values[name], type(getattr(pattern, name))
        if kind in (int, float):
            if type(value) not in (int, kind) or (kind is int and value < 0):
                raise ValueError(f"{name} must be a number of type {kind.__name__}, got {value!r:.100}")
            if not (value < 2**63 if kind is int else math.isfinite(value)):
                raise ValueError(f"{name} must be finite and fit into 64 bits, got {value!r:.100}")
        elif value is not None:
            np.random.default_rng().bit_generator.state = value  # raises if it is not a state
    step, epoch, batch, n = (values[name] for name in ("step", "epoch", "batch", "n"))
    if (n > 0 and not batch) or n < 0 or step < batch or values["shuffle_epoch"] > epoch:
        raise ValueError(f"step, epoch, batch and n must be those of one run, got {step}, {epoch}, {batch}, {n}")
    return values


def _history(values: dict[str, Any], pattern: History) -> History:
    """A History of whole epochs: lists with one number for each; the list of validation losses may be empty."""
    names = {name for name in vars(pattern) if name != "fingerprint"}  # set at the end of a run
    if set(values) != names:
        raise ValueError(f"history must have {', '.join(sorted(names))}, got {', '.join(values):.300}")
    n, best = len(values["loss"]), values["best_epoch"]
    for name, value in values.items():
        if name == "best_epoch":
            continue
        lengths = (0, n) if name == "validation_loss" else (n,)
        is_list = isinstance(value, list) and all(type(one) in (int, float) for one in value)
        if not is_list or len(value) not in lengths:
            raise ValueError(f"{name} of the history must be a list of {n} numbers, got {value!r:.100}")
    if best is not None and (type(best) is not int or not 0 <= best < n):
        raise ValueError(f"best_epoch must be None or one of {n} epochs, got {best!r:.100}")
    return replace(pattern, **values)
