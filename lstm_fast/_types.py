"""Types of arguments and results, for annotations only; not imported at run time."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

__all__ = [
    "Activation",
    "Array",
    "ArrayLike",
    "ComputeDType",
    "DType",
    "DTypeLike",
    "Nonlinearity",
    "Seed",
    "State",
    "StateLike",
]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
DType: TypeAlias = np.dtype[Any]
State: TypeAlias = tuple[Array, Array]  # (h, c) of an LSTM
StateLike: TypeAlias = tuple[ArrayLike | None, ArrayLike | None] | list[ArrayLike | None]
Activation: TypeAlias = str | tuple[str, float] | tuple[str, float, float]
ComputeDType: TypeAlias = Literal["bfloat16", "bfloat16_amx"]
Nonlinearity: TypeAlias = Literal["tanh", "relu", "identity"]
Seed: TypeAlias = int | None
