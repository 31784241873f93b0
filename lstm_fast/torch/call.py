"""One call of the core on tensors, in place if the core can read and write their layout."""

import numpy as np
from torch import Tensor

from .. import _core
from .._arguments import sequence
from .._layout import STEPS, Layout
from .._packing import PackedLayout
from .._tape import BackwardArrays, TrainingOptions
from . import memory
from .memory import array
from .shapes import TensorLayout
from .weights import Packed, num_threads


def _options(dropout: float, seed: int) -> TrainingOptions | None:
    return TrainingOptions(dropout=dropout, seed=seed) if dropout else None


class _Steps:
    """T, B and x in the layout of the core, from a sequence of any layout; converts other sequences like it."""

    def __init__(self, x: Tensor, tensor_layout: TensorLayout) -> None:
        self.layout = STEPS if tensor_layout.batch_sizes is not None else Layout(tensor_layout.axes)
        self.packed = None if tensor_layout.batch_sizes is None else PackedLayout(array(tensor_layout.batch_sizes))
        self.to_steps = (self.packed or self.layout).to_steps
        self.like, self.x = x, self.read(x)
        self.T, self.B = self.x.shape[:2] if self.packed is None else (self.packed.T, self.packed.B)
        self.order = None if self.packed is None else self.packed.order

    def read(self, tensor: Tensor) -> np.ndarray:
        """Return a sequence or its gradient, as steps."""
        return sequence(self.to_steps(array(tensor)))

    def empty(self, n: int) -> tuple[Tensor, np.ndarray]:
        """Allocate a sequence of n numbers per step: the tensor for the caller and its steps for the core."""
        shape = self.layout.sequence_shape(self.T, self.B, n) if self.packed is None else (self.packed.n, n)
        tensor = self.like.new_empty(shape)
        return tensor, self.to_steps(array(tensor))

    def state(self, tensor: Tensor | None, n_states: int) -> np.ndarray | None:
        """Return a state in the layout of the core; None stays None."""
        return None if tensor is None else np.ascontiguousarray(array(tensor)).reshape(n_states, self.B, -1)

    def empty_states(self, core: _core.Weights) -> tuple[Tensor, Tensor]:
        """Return uninitialized h and c for the caller."""
        h, c = (self.layout.state_shape(core.n_states, self.B, n) for n in (core.h_size, core.hidden_size))
        return self.like.new_empty(h), self.like.new_empty(c)


def forward(
    packed: Packed,
    x: Tensor,
    h_0: Tensor | None,
    c_0: Tensor | None,
    tensor_layout: TensorLayout,
    *,
    dropout: float = 0.0,
    seed: int = 0,
    keep: bool = False,
    tape: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Return output, h_n, c_n and the tape (uint8; None unless keep) from tensors that may require gradients.

    h_0 and c_0: None for zero. dropout: between layers, with masks drawn from seed. tape: a large enough tensor from
    memory.empty_tape.
    """
    core = packed.core
    steps, run = _Steps(x, tensor_layout), _options(dropout, seed)
    output, output_steps = steps.empty(core.num_directions * core.h_size)
    h_n, c_n = steps.empty_states(core)
    block = None
    if keep or dropout:  # the core applies dropout in training calls only
        n = core.tape_bytes(steps.T, steps.B, run)
        tape = memory.empty_tape(x, n) if tape is None else tape
        block = _core.Block(n, array(tape))
    core.forward(
        steps.x,
        steps.state(h_0, core.n_states),
        steps.state(c_0, core.n_states),
        output_steps,
        array(h_n),
        array(c_n),
        block,
        num_threads(),
        run,
        steps.order,
        tensor_layout.resets,
    )
    return output, h_n, c_n, tape if keep else None


def backward(
    packed: Packed,
    tape: Tensor,
    x: Tensor,
    h_0: Tensor | None,
    c_0: Tensor | None,
    d_output: Tensor | None,
    d_h_n: Tensor | None,
    d_c_n: Tensor | None,
    tensor_layout: TensorLayout,
    *,
    dropout: float = 0.0,
    seed: int = 0,
    compute_d_x: bool = True,
) -> tuple[Tensor | None, Tensor, Tensor, list[Tensor]]:
    """Return d_x (None unless compute_d_x), d_h_0, d_c_0 and the gradients of the parameters."""
    core = packed.core
    steps, run, n = _Steps(x, tensor_layout), _options(dropout, seed), core.n_states
    if tape.data_ptr() % memory.ALIGNMENT:  # a copy, returned by a hook of saved tensors
        tape = memory.empty_tape(x, len(tape)).copy_(tape)
    d_x, d_x_steps = steps.empty(steps.x.shape[2]) if compute_d_x else (None, None)
    d_h_0, d_c_0 = steps.empty_states(core)
    d_weights = [x.new_empty(values.shape) for values in packed.copies]
    arrays = BackwardArrays(
        x=steps.x,
        h_0=steps.state(h_0, n),
        c_0=steps.state(c_0, n),
        d_output=None if d_output is None else steps.read(d_output),
        d_h_n=steps.state(d_h_n, n),
        d_c_n=steps.state(d_c_n, n),
        d_x=d_x_steps,
        d_h_0=array(d_h_0),
        d_c_0=array(d_c_0),
        gradients=packed.by_direction([array(d) for d in d_weights]),
    )
    block = _core.Block(core.tape_bytes(steps.T, steps.B, run), array(tape))
    core.backward(block, arrays, num_threads(), run, steps.order, tensor_layout.resets)
    return d_x, d_h_0, d_c_0, d_weights
