"""Models used by tasks: passed as objects, or as files that each process reads once."""

from __future__ import annotations

import copy
import os
from functools import lru_cache
from typing import Any, NamedTuple

from .. import weights
from .._errors import type_name
from ..train import QuantizedModel, SequenceModel, load

Model = SequenceModel | QuantizedModel


class ModelFile(NamedTuple):
    """The file of a model, with its content when predictions were asked for."""

    path: str
    digest: str | None


def snapshot(model: Any) -> Model | ModelFile:
    """Return a model, or a file, for tasks that run later: a copy of a model, and the digest of a file."""
    if isinstance(model, Model):
        return copy.deepcopy(model)
    read_model(model)  # a missing or damaged file is an error here, not on a worker
    return ModelFile(os.path.abspath(os.fspath(model)), weights.digest(model))


def read_model(model: Any) -> Model:
    """Return a model, or the model in a file, which each process reads once until the file changes.

    A ModelFile whose content has changed is a ValueError: some tasks would use the old model, and others the new one.
    """
    if isinstance(model, Model):
        return model
    expected = model.digest if isinstance(model, ModelFile) else None
    path = model.path if isinstance(model, ModelFile) else model
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"model must be a SequenceModel, a QuantizedModel or the path of one, got {type_name(model)}")
    status = os.stat(path)
    read, digest = _read_once(os.path.abspath(os.fspath(path)), (status.st_mtime_ns, status.st_size, status.st_ino))
    if expected is not None and digest != expected:
        raise ValueError(
            f"model {path} must be the file from the call of predict until the result is computed, got another"
        )
    return read


@lru_cache(maxsize=8)
def _read_once(path: str, version: tuple[int, ...]) -> tuple[Model, str | None]:
    digest, loaded = weights.digest(path), load(path)
    if not isinstance(loaded, Model):
        raise TypeError(f"model must be the file of a SequenceModel or a QuantizedModel, got a {type_name(loaded)}")
    return loaded, digest
