"""Models of tasks: passed as objects, or as files that each process reads once."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

from .._errors import type_name
from ..train import QuantizedModel, SequenceModel, load

Model = SequenceModel | QuantizedModel


def read_model(model: Any) -> Model:
    """Return a model, or the model in a file, which each process reads once until the file changes."""
    if isinstance(model, Model):
        return model
    if not isinstance(model, str | os.PathLike):
        raise TypeError(f"model must be a SequenceModel, a QuantizedModel or the path of one, got {type_name(model)}")
    path, status = os.path.abspath(os.fspath(model)), os.stat(model)
    return _read_once(path, (status.st_mtime_ns, status.st_size, status.st_ino))


@lru_cache(maxsize=8)
def _read_once(path: str, version: tuple[int, ...]) -> Model:
    loaded = load(path)
    if not isinstance(loaded, Model):
        raise TypeError(f"model must be the file of a SequenceModel or a QuantizedModel, got a {type_name(loaded)}")
    return loaded
