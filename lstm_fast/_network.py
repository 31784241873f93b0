"""One call of the core on validated arrays: allocates the results.

The only place where names of the API are translated to those of the core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._arguments import order_of_lengths, real_array, sequence, shaped
from ._layout import STEPS, Layout
from ._tape import BackwardArrays, Tape, TapeMemory, TrainingOptions

if TYPE_CHECKING:
    from ._types import Array, DType


def forward(
    weights: _core.Weights,
    x: Array,
    h_0: Array | None,
    c_0: Array | None,
    *,
    num_threads: int,
    keep: bool = False,
    layout: Layout = STEPS,
    signature: Any = None,
    options: TrainingOptions | None = None,
    lengths: Any = None,
    resets: Array | None = None,
) -> tuple[Array, Array, Array | None, Tape | None]:
    """Run a network over x (T, B, I) from states (L * D, B, R or H) or None; resets: uint8 (T, B) or None.

    Returns output (T, B, D * R), contiguous in the axes of layout, h_n, c_n (or None) and, with keep, a Tape, which
    backward accepts for networks of the same signature.
    """
    T, B = x.shape[:2]
    x, order = sequence(x), order_of_lengths(lengths, T, B)
    output = layout.empty_steps(T, B, weights.num_directions * weights.h_size, weights.dtype)
    h_n = np.empty((weights.n_states, B, weights.h_size), weights.dtype)
    c_n = np.empty((weights.n_states, B, weights.hidden_size), weights.dtype) if weights.has_c else None
    h_0 = None if h_0 is None else np.ascontiguousarray(h_0)
    c_0 = None if c_0 is None else np.ascontiguousarray(c_0)
    memory = TapeMemory(weights.tape_bytes(T, B, options)) if keep else None
    weights.forward(
        x,
        h_0,
        c_0,
        output,
        h_n,
        c_n,
        memory.block if memory is not None else None,
        num_threads,
        run=options,
        order=order,
        resets=resets,
    )
    if memory is None:
        return output, h_n, c_n, None
    h_0 = None if h_0 is None else h_0.copy()
    tape = Tape(weights, memory, x, h_0, c_0 is not None, order, resets, options, signature, layout)
    return output, h_n, c_n, tape


def backward(
    tape: Tape,
    d_output: Array | None,
    d_h_n: Array | None,
    d_c_n: Array | None,
    *,
    gradients: Any,
    num_threads: int,
    compute_d_x: bool = True,
    d_h_norms: Array | None = None,
    d_c_norms: Array | None = None,
) -> tuple[Array | None, Array, Array | None]:
    """Backpropagate d_output (T, B, D * R), d_h_n and d_c_n, each of which may be None.

    Parameter gradients are written to gradients, see _core.Weights.backward. Returns d_x (T, B, I), contiguous in the
    axes of the tape's layout, or None; d_h_0; d_c_0 or None.
    """
    x, weights = tape._x, tape._weights
    T, B, I = x.shape
    compute_d_x = compute_d_x and not weights.index_input
    d_x = tape._layout.empty_steps(T, B, I, weights.dtype) if compute_d_x else None
    d_h_0 = np.empty((weights.n_states, B, weights.h_size), weights.dtype)
    d_c_0 = np.empty((weights.n_states, B, weights.hidden_size), weights.dtype) if weights.has_c else None
    arrays = BackwardArrays(
        x=x,
        h_0=tape._h_0,
        c_0=d_c_0 if tape._has_c_0 else None,
        d_output=None if d_output is None else sequence(d_output),
        d_h_n=None if d_h_n is None else np.ascontiguousarray(d_h_n),
        d_c_n=None if d_c_n is None else np.ascontiguousarray(d_c_n),
        d_x=d_x,
        d_h_0=d_h_0,
        d_c_0=d_c_0,
        gradients=gradients,
        d_h_norms=d_h_norms,
        d_c_norms=d_c_norms,
    )
    weights.backward(tape._memory.block, arrays, num_threads, tape._options, tape._order, tape._resets)
    return d_x, d_h_0, d_c_0


def optional_state(name: str, value: Any, dtype: DType, shape: tuple[int, ...], words: str) -> Array | None:
    """Validate a state or its gradient; None stays None."""
    return None if value is None else shaped(name, real_array(name, value, dtype), shape, words)


def library_info() -> dict[str, Any]:
    """Describe the extension: instruction sets, OpenMP, compiler."""
    return {
        "isa": _core.isa(),
        "isa_available": _core.available_isas(),
        "isa_compiled": _core.compiled_isas(),
        "openmp": _core.has_openmp(),
        "threads": _core.threads(),
        "compiler": _core.compiler(),
    }
