from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._network import Tape
from ._parameters import EditableParameters, Gradients
from .streaming import Stream

class Recurrent:
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    proj_size: int
    dtype: np.dtype
    seed: Any
    recurrent_dropout: float
    zoneout: float | tuple[float, float]
    learn_initial_state: bool
    @property
    def h_size(self) -> int: ...
    def parameters(self) -> dict[str, np.ndarray]: ...
    @property
    def flat_parameters(self) -> np.ndarray: ...
    def edit(self) -> AbstractContextManager[EditableParameters]: ...
    def state_dict(self) -> dict[str, np.ndarray]: ...
    def load_state_dict(self, state_dict: Mapping[str, ArrayLike]) -> None: ...
    def __call__(
        self,
        x: ArrayLike,
        state: Any = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> Any: ...
    def forward(
        self,
        x: ArrayLike,
        state: Any = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        training: bool = True,
        lean: bool = False,
        num_threads: int | None = None,
    ) -> Any: ...
    def backward(
        self,
        tape: Tape,
        d_output: ArrayLike | None,
        d_state: Any = None,
        *,
        wants_x: bool = True,
        norms: bool = False,
        num_threads: int | None = None,
    ) -> Gradients: ...
    def stream(self, batch_size: int = 1) -> Stream: ...
    def __getstate__(self) -> dict[str, Any]: ...
    def __setstate__(self, state: dict[str, Any]) -> None: ...
