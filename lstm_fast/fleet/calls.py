"""Forward and backward pass of a fleet on validated arguments, separately or chunk of models by chunk of models."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from .. import _core
from .._parameter_arrays import Version
from .._recurrent import draw_training_options
from .._tape import BackwardArrays, TapeMemory
from .layout import FleetLayout

if TYPE_CHECKING:
    from .._tape import TrainingOptions
    from .._types import Array
    from ..modules import LSTM

OutputGradients: TypeAlias = "tuple[Array | None, Array | None, Array | None]"  # d_output, d_h_n, d_c_n

CHUNK_BYTES = 4 << 20  # tapes of the models of one thread: 3 to 6 MB are fastest with an L2 cache of 2 MB


def weights_of(lstm: LSTM, flat: Array) -> _core.FleetWeights:
    """Return the core's weights of models like lstm whose parameters are the rows of flat (K, P)."""
    return _core.FleetWeights(lstm._version.weights, flat)


def draw_options(
    lstm: LSTM, training: bool, recompute_gates: bool, rngs: list[np.random.Generator]
) -> tuple[TrainingOptions | None, Array | None]:
    """Return the options of a training call and the seed of each model's masks, drawn from its generator; None without
    masks and with a full tape."""
    first = draw_training_options(lstm, training, recompute_gates, rngs[0])
    if first is None:
        return None, None
    drawn = [draw_training_options(lstm, training, recompute_gates, rng) for rng in rngs[1:]]
    return first, np.array([first.seed, *(one.seed for one in drawn if one is not None)], np.uint64).view(np.int64)


class FleetVersion(Version[_core.FleetWeights]):
    """Immutable version of the parameters of a fleet, with the weights of its chunks of models."""

    _chunks: tuple[int, dict[tuple[int, int], _core.FleetWeights]] = (0, {})  # their size, and the weights of each

    def chunk(self, lstm: LSTM, models: slice, size: int) -> _core.FleetWeights:
        """Return the weights of a chunk, which cache packed weights for later calls with chunks of this size."""
        own_size, weights = self._chunks
        if own_size != size:
            weights = {}
            self._chunks = size, weights  # one assignment, so that no other thread sees weights of another size
        return weights.setdefault((models.start, models.stop), weights_of(lstm, self.flat[models]))


class Arguments(NamedTuple):
    """Arguments that forward and backward share, as the core takes them; each array has the axis K first."""

    x: Array
    h_0: Array | None
    c_0: Array | None  # backward only checks whether it is None
    options: TrainingOptions | None = None
    order: tuple[Array, Array] | None = None
    resets: Array | None = None
    seeds: Array | None = None

    def keywords(self) -> dict[str, Any]:
        """Return the optional arguments of the core's calls."""
        return {"run": self.options, "order": self.order, "resets": self.resets, "seeds": self.seeds}

    def of(self, models: slice) -> Arguments:
        """Return the arguments of a chunk of models."""

        def part(array: Array | None) -> Array | None:
            return None if array is None else array[models]

        order = None if self.order is None else (self.order[0][models], self.order[1][models])
        h_0, c_0, resets, seeds = map(part, (self.h_0, self.c_0, self.resets, self.seeds))
        return Arguments(self.x[models], h_0, c_0, self.options, order, resets, seeds)


class Results(NamedTuple):
    """Arrays that backward fills, each with the axis K first."""

    flat: Array
    d_x: Array | None
    d_h_0: Array
    d_c_0: Array
    d_h_norms: Array | None = None
    d_c_norms: Array | None = None

    @classmethod
    def empty(cls, lstm: LSTM, layout: FleetLayout, a: Arguments, compute_d_x: bool, record_norms: bool) -> Results:
        """Allocate the results of a call."""
        K, T, B = a.x.shape[:3]
        n, dtype = lstm.num_layers * lstm.num_directions, lstm.dtype
        flat = np.empty((K, lstm._table.size), dtype)
        d_x = layout.empty_steps(T, B, lstm.input_size, dtype) if compute_d_x else None
        states = [np.empty((K, n, B, size), dtype) for size in (lstm.h_size, lstm.hidden_size)]
        return cls(flat, d_x, *states, *(np.zeros((K, n, T, B)) if record_norms else None for _ in range(2)))

    def of(self, models: slice) -> Results:
        """Return views of the results of a chunk of models."""
        return Results._make(None if array is None else array[models] for array in self)


def forward(
    lstm: LSTM,
    weights: _core.FleetWeights,
    layout: FleetLayout,
    a: Arguments,
    memory: TapeMemory | None,
    num_threads: int,
) -> tuple[Array, Array, Array]:
    """Return the steps of the output, h_n and c_n; memory: of the tapes, None in inference."""
    K, T, B = a.x.shape[:3]
    output = layout.empty_steps(T, B, lstm.output_size, lstm.dtype)
    n = lstm.num_layers * lstm.num_directions
    h_n, c_n = (np.empty((K, n, B, size), lstm.dtype) for size in (lstm.h_size, lstm.hidden_size))
    block = None if memory is None else memory.block
    weights.forward(a.x, a.h_0, a.c_0, output, h_n, c_n, block, num_threads, **a.keywords())
    return output, h_n, c_n


def backward(
    weights: _core.FleetWeights,
    a: Arguments,
    memory: TapeMemory,
    d: OutputGradients,
    results: Results,
    num_threads: int,
) -> None:
    """Fill the results."""
    flat, d_x, d_h_0, d_c_0, d_h_norms, d_c_norms = results
    arrays = BackwardArrays(a.x, a.h_0, a.c_0, *d, d_x, d_h_0, d_c_0, flat, d_h_norms, d_c_norms)
    weights.backward(memory.block, arrays, num_threads, **a.keywords())


def chunks(
    weights: _core.FleetWeights,
    n_models: int,
    T: int,
    B: int,
    options: TrainingOptions | None,
    num_threads: int,
    has_lengths: bool = False,
    has_resets: bool = False,
) -> list[slice]:
    """Divide the models into chunks whose tapes stay in the caches from forward to backward."""
    at_once = CHUNK_BYTES * num_threads * n_models // max(1, weights.tape_bytes(T, B, options))
    group = weights.group_size(T, B, options, has_lengths, has_resets)
    at_once = max(1, num_threads, at_once)
    if group:  # models in the lanes of a vector
        at_once = group * max(1, num_threads, at_once // group)
    return [slice(begin, min(begin + at_once, n_models)) for begin in range(0, n_models, at_once)]


def forward_backward(
    lstm: LSTM,
    version: FleetVersion,
    layout: FleetLayout,
    a: Arguments,
    gradient_of: Callable[[slice, FleetLayout, tuple[Array, Array, Array]], OutputGradients],
    results: Results,
    num_threads: int,
) -> None:
    """Fill the results, one chunk of models after the other.

    gradient_of(models, layout, (output, h_n, c_n)) returns the gradients of a chunk.
    """
    (K, T, B), memory = a.x.shape[:3], None
    has = a.order is not None, a.resets is not None
    for models in (each := chunks(version.weights, K, T, B, a.options, num_threads, *has)):
        of_chunk, own = version.chunk(lstm, models, each[0].stop), a.of(models)
        if memory is None:  # the first chunk is the largest
            memory = TapeMemory(of_chunk.tape_bytes(T, B, a.options))
        own_layout = FleetLayout(layout.layout, len(own.x))
        d = gradient_of(models, own_layout, forward(lstm, of_chunk, own_layout, own, memory, num_threads))
        backward(of_chunk, own, memory, d, results.of(models), num_threads)
