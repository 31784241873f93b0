from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
from typing_extensions import disjoint_base

from ._tape import BackwardArrays
from .train.optimizers import UpdateRule

LARGEST_SIZE: int
MOST_THREADS: int
CELLS: dict[str, int]
ACTIVATIONS: dict[str, int]
PARAMETERS: tuple[str, ...]
FORMATS: dict[str | None, int]
BACKENDS: dict[str, int]

class SlowPath(ValueError): ...

_Activation: TypeAlias = tuple[str, float, float]
_Order: TypeAlias = tuple[np.ndarray, np.ndarray] | tuple[np.ndarray, None, np.ndarray]
_Layer: TypeAlias = tuple[np.ndarray | None, ...]

def compiled_isas() -> list[str]: ...
def available_isas() -> list[str]: ...
def base_isa(name: str) -> str: ...
def use_isa(name: str | None = None) -> str: ...
def isa() -> str: ...
def has_openmp() -> bool: ...
def use_threads(name: str | None = None) -> None: ...
def threads() -> str: ...
def max_threads() -> int: ...
def compiler() -> str: ...
def linear(weight: np.ndarray, bias: np.ndarray | None, x: np.ndarray, num_threads: int) -> np.ndarray: ...
def linear_backward(
    weight: np.ndarray, x: np.ndarray, d_y: np.ndarray, num_threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
def optimize(
    rule: UpdateRule,
    parameters: np.ndarray,
    gradients: np.ndarray,
    first: np.ndarray | None,
    second: np.ndarray | None,
    step: int,
    lr: float,
    scale: float,
) -> None: ...
def norm(values: np.ndarray) -> float: ...
def row_sums(values: np.ndarray) -> np.ndarray: ...
def cross_entropy(p: np.ndarray, y: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]: ...
def binary_cross_entropy(p: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...
def infer(
    weights: Weights, x: Any, state: Any, lengths: Any, batch_first: bool, threads: Callable[[], int], is_cell: bool
) -> tuple | None: ...
def sort_lengths(lengths: np.ndarray, T: int) -> tuple[np.ndarray, np.ndarray]: ...

@disjoint_base
class Block:
    data: np.ndarray
    memory: np.ndarray
    def __new__(cls, n: int, memory: np.ndarray | None = None) -> Self: ...
    @property
    def nbytes(self) -> int: ...

@disjoint_base
class Weights:
    arrays: tuple[_Layer, ...]
    flat: np.ndarray | None
    dtype: np.dtype
    cell: str
    def __new__(
        cls,
        cell: str,
        dtype: Any,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        num_directions: int,
        arrays: Sequence[_Layer],
        *,
        flat: np.ndarray | None = None,
        format: str | None = None,
        compute_dtype: str | None = None,
        input_bits: int = 0,
        index_input: bool = False,
        proj_size: int = 0,
        peepholes: bool = False,
        layer_norm: bool = False,
        coupled_gates: bool = False,
        cell_clip: float = 0,
        gate_clip: float = 0,
        activation: _Activation | None = None,
        recurrent_activation: _Activation | None = None,
        cell_activation: _Activation | None = None,
    ) -> Self: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def h_size(self) -> int: ...
    @property
    def index_input(self) -> bool: ...
    @property
    def num_directions(self) -> int: ...
    @property
    def isa_name(self) -> str: ...
    @property
    def n_states(self) -> int: ...
    @property
    def has_c(self) -> bool: ...
    def tape_bytes(self, T: int, B: int, run: tuple | None = None) -> int: ...
    def forward(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None,
        c_0: np.ndarray | None,
        output: np.ndarray,
        h_n: np.ndarray,
        c_n: np.ndarray | None,
        tape: Block | None,
        num_threads: int,
        run: tuple | None = None,
        order: _Order | None = None,
        resets: np.ndarray | None = None,
    ) -> None: ...
    def backward(
        self,
        tape: Block,
        arrays: BackwardArrays,
        num_threads: int,
        run: tuple | None = None,
        order: _Order | None = None,
        resets: np.ndarray | None = None,
    ) -> None: ...
    def look(
        self, tape: Block, T: int, B: int, layer: int, direction: int, run: tuple | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...

@disjoint_base
class FleetWeights:
    flat: np.ndarray
    def __new__(cls, pattern: Weights, flat: np.ndarray) -> Self: ...
    @property
    def dtype(self) -> np.dtype: ...
    def tape_bytes(self, T: int, B: int, run: tuple | None = None) -> int: ...
    def group_size(
        self, T: int, B: int, run: tuple | None = None, has_lengths: bool = False, has_resets: bool = False
    ) -> int: ...
    def forward(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None,
        c_0: np.ndarray | None,
        output: np.ndarray,
        h_n: np.ndarray,
        c_n: np.ndarray | None,
        tape: Block | None,
        num_threads: int,
        run: tuple | None = None,
        order: tuple[np.ndarray, np.ndarray] | None = None,
        resets: np.ndarray | None = None,
        seeds: np.ndarray | None = None,
    ) -> None: ...
    def backward(
        self,
        tape: Block,
        arrays: BackwardArrays,
        num_threads: int,
        run: tuple | None = None,
        order: tuple[np.ndarray, np.ndarray] | None = None,
        resets: np.ndarray | None = None,
        seeds: np.ndarray | None = None,
    ) -> None: ...

def fleet_linear(weight: np.ndarray, bias: np.ndarray | None, x: np.ndarray, num_threads: int) -> np.ndarray: ...
def fleet_linear_backward(
    weight: np.ndarray, x: np.ndarray, d_y: np.ndarray, d_weight: np.ndarray, d_bias: np.ndarray, num_threads: int
) -> np.ndarray: ...
def optimize_rows(
    rule: UpdateRule,
    parameters: np.ndarray,
    gradients: np.ndarray,
    first: np.ndarray | None,
    second: np.ndarray | None,
    step: np.ndarray,
    lr: np.ndarray,
    scale: np.ndarray,
) -> None: ...
def norms(values: np.ndarray) -> np.ndarray: ...

@disjoint_base
class Live:
    version: Any
    h: np.ndarray
    c: np.ndarray | None
    batch_size: int
    def __new__(cls, version: Any, batch_size: int, share: Live | None = None) -> Self: ...

@disjoint_base
class Stepper:
    def __init__(
        self, version: Any, batch_size: int, read: Callable[[Any], np.ndarray], threads: Callable[[], int]
    ) -> None: ...
    @property
    def weights(self) -> Weights: ...
    @property
    def h(self) -> np.ndarray: ...
    @property
    def c(self) -> np.ndarray | None: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def _live(self) -> Live: ...
    def _claim(self) -> None: ...
    def _release(self) -> None: ...
    def _install(self, new: Live) -> None: ...
    def _set_state(self, h: np.ndarray, c: np.ndarray | None) -> None: ...
    def _fast_block(self, x: Any) -> np.ndarray | None: ...
    def _use_version(self, version: Any) -> None: ...
    def step(self, x: Any, out: np.ndarray | None = None) -> np.ndarray: ...

@disjoint_base
class Buffer: ...

@disjoint_base
class TensorReader:
    def __new__(cls, classes: tuple[type, type], codes: Mapping[Any, str]) -> Self: ...
    def array(self, tensor: Any) -> np.ndarray: ...

@disjoint_base
class TensorCalls:
    def __new__(
        cls,
        weights: Weights,
        reader: TensorReader,
        copies: Iterable[np.ndarray],
        threads: Callable[[], int],
        empty_like: Callable[[Any], Any],
    ) -> Self: ...
    def are_current(self, tensors: Iterable[Any]) -> bool: ...
    def call(
        self,
        parameters: Mapping[str, Any] | None,
        names: Iterable[str],
        x: Any,
        hx: Any,
        batch_first: bool = False,
        is_cell: bool = False,
        batch_sizes: Any = None,
    ) -> tuple[Any, Any] | None: ...

class testing:
    SPLITS: dict[str, int]
    spare_workspaces: list[Block]
    @staticmethod
    def use_split(name: str = "best") -> None: ...
    @staticmethod
    def use_lanes(used: bool = True) -> None: ...
    @staticmethod
    def split_of(
        weights: Weights, T: int, B: int, n_threads: int, is_backward: bool = False
    ) -> tuple[str, int, float]: ...
    @staticmethod
    def activate(spec: _Activation, x: np.ndarray, slope: bool = False) -> np.ndarray: ...
