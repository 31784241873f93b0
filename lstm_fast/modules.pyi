from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ._network import Tape
from ._parameters import Gradients
from ._recurrent import Recurrent
from .quantized import QuantizedLSTM

State: TypeAlias = tuple[np.ndarray, np.ndarray]
StateLike: TypeAlias = tuple[ArrayLike | None, ArrayLike | None]
_Activation: TypeAlias = str | tuple[str, float] | tuple[str, float, float]

class Trace(NamedTuple):
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    c: np.ndarray
    h: np.ndarray

class _LSTM(Recurrent):
    forget_bias: float | None
    peepholes: bool
    layer_norm: bool
    coupled_gates: bool
    cell_clip: float | None
    gate_clip: float | None
    activation: _Activation
    recurrent_activation: _Activation
    cell_activation: _Activation

class LSTM(_LSTM):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: DTypeLike = ...,
        seed: Any = None,
        forget_bias: float | None = None,
        peepholes: bool = False,
        layer_norm: bool = False,
        coupled_gates: bool = False,
        cell_clip: float | None = None,
        gate_clip: float | None = None,
        activation: _Activation = "tanh",
        recurrent_activation: _Activation = "sigmoid",
        cell_activation: _Activation = "tanh",
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, float] = 0.0,
        learn_initial_state: bool = False,
    ) -> None: ...
    def __call__(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> tuple[np.ndarray, State]: ...
    def forward(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        training: bool = True,
        lean: bool = False,
        num_threads: int | None = None,
    ) -> tuple[np.ndarray, State, Tape]: ...
    def backward(
        self,
        tape: Tape,
        d_output: ArrayLike | None,
        d_state: StateLike | None = None,
        *,
        wants_x: bool = True,
        norms: bool = False,
        num_threads: int | None = None,
    ) -> Gradients: ...
    def quantized(self, number: Literal["float16"] = "float16") -> QuantizedLSTM: ...
    def trace(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> Trace: ...

class RNN(Recurrent):
    nonlinearity: str
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Literal["tanh", "relu", "identity"] = "tanh",
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DTypeLike = ...,
        seed: Any = None,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        learn_initial_state: bool = False,
    ) -> None: ...
    def __call__(
        self,
        x: ArrayLike,
        state: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def forward(
        self,
        x: ArrayLike,
        state: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        training: bool = True,
        lean: bool = False,
        num_threads: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray, Tape]: ...
    def backward(
        self,
        tape: Tape,
        d_output: ArrayLike | None,
        d_state: ArrayLike | None = None,
        *,
        wants_x: bool = True,
        norms: bool = False,
        num_threads: int | None = None,
    ) -> Gradients: ...

class LSTMCell(_LSTM):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = ...,
        seed: Any = None,
        forget_bias: float | None = None,
        peepholes: bool = False,
        layer_norm: bool = False,
        coupled_gates: bool = False,
        cell_clip: float | None = None,
        gate_clip: float | None = None,
        activation: _Activation = "tanh",
        recurrent_activation: _Activation = "sigmoid",
        cell_activation: _Activation = "tanh",
    ) -> None: ...
    def __call__(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,  # type: ignore[override]
        num_threads: int | None = None,
    ) -> State: ...
    def forward(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,  # type: ignore[override]
        num_threads: int | None = None,
    ) -> tuple[State, Tape]: ...
    def backward(
        self,
        tape: Tape,
        d_state: StateLike,
        *,  # type: ignore[override]
        num_threads: int | None = None,
    ) -> Gradients: ...
