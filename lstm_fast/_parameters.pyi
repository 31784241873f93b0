from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import _core

class Gradients(Mapping[str, np.ndarray]):
    d_x: np.ndarray
    d_h_0: np.ndarray
    d_c_0: np.ndarray | None
    flat: np.ndarray
    d_h_norms: np.ndarray
    d_c_norms: np.ndarray | None
    def __init__(self, d_x: np.ndarray, d_h_0: np.ndarray, d_c_0: np.ndarray | None, flat: np.ndarray,
                 views: dict[str, np.ndarray]) -> None: ...
    def __getitem__(self, name: str) -> np.ndarray: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...

class EditableParameters(Mapping[str, np.ndarray]):
    flat: np.ndarray
    def __init__(self, flat: np.ndarray, views: dict[str, np.ndarray]) -> None: ...
    def __getitem__(self, name: str) -> np.ndarray: ...
    def __setitem__(self, name: str, value: ArrayLike) -> None: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...

class Version:
    flat: np.ndarray
    views: dict[str, np.ndarray]
    weights: _core.Weights
    def __init__(self, flat: np.ndarray, views: dict[str, np.ndarray], weights: _core.Weights) -> None: ...
