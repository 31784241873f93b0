"""One call of the core on tensors: their memory seen as NumPy arrays, nothing copied that the core can read where it lies."""

import numpy as np
import torch

from .. import _core, _network, _threads
from .._arguments import sequence
from . import forms, packing


def num_threads():
    """At most as many threads as both libraries are allowed."""
    return min(_threads.get_num_threads(), torch.get_num_threads())


def _array(tensor):
    return None if tensor is None else tensor.detach().numpy()


def _empty(shape, dtype):
    tensor = torch.empty(shape, dtype=dtype)
    return tensor, tensor.numpy()


def tape_memory(n):
    """n bytes that begin on a cache line."""
    memory = torch.empty(n + 63, dtype=torch.uint8)
    skip = -memory.data_ptr() & 63
    return memory[skip : skip + n]


def _run(dropout, seed):
    return _network.TrainingOptions(dropout, 0.0, 0.0, 0.0, seed, False) if dropout else None


class _Steps:
    """T, B and x as the core takes it, of a sequence in some form; what turns sequences of that form into steps and back."""

    def __init__(self, x, form):
        self.axes = form.axes
        self.packed = None if form.batch_sizes is None else packing.Packed(form.batch_sizes.numpy())
        self.x = self.read(x)
        self.T, self.B = self.x.shape[:2] if self.packed is None else (self.packed.T, self.packed.B)
        self.order = self.packed and self.packed.order

    def read(self, values):
        """A sequence, or a gradient of one, or None, as steps."""
        if values is None:
            return None
        return sequence(forms.as_steps(values, self.axes)) if self.packed is None else self.packed.as_steps(values)

    def empty(self, n, dtype):
        """A sequence of n numbers a step: the tensor for the caller, its steps for the core."""
        shape = forms.sequence_shape(self.axes, self.T, self.B, n) if self.packed is None else (self.packed.n, n)
        tensor, values = _empty(shape, dtype)
        return tensor, forms.as_steps(values, self.axes) if self.packed is None else self.packed.as_steps(values)

    def state(self, tensor, n_states):
        """A state as the core takes it; None stays None."""
        return None if tensor is None else np.ascontiguousarray(_array(tensor)).reshape(n_states, self.B, -1)

    def empty_states(self, core, dtype):
        """h and c for the caller, tensors."""
        return (
            torch.empty(forms.state_shape(self.axes, core.n_states, self.B, n), dtype=dtype)
            for n in (core.h_size, core.hidden_size)
        )


def forward(packed, x, h_0, c_0, form, *, dropout=0.0, seed=0, keep=False, tape=None):
    """output, h_n, c_n and the tape (uint8, or None unless kept), tensors, from tensors that may require gradients.

    packed: weights.Packed. h_0 and c_0 may be None for zero. dropout acts between layers; seed says which masks. The tape may
    be given: from tape_memory, of enough bytes.
    """
    core, dtype = packed.core, x.dtype
    steps, run = _Steps(_array(x), form), _run(dropout, seed)
    output, output_steps = steps.empty(core.num_directions * core.h_size, dtype)
    h_n, c_n = steps.empty_states(core, dtype)
    block = None
    if keep or dropout:  # the core has dropout in training calls alone
        n = core.tape_bytes(steps.T, steps.B, run)
        memory = tape_memory(n) if tape is None else tape
        block = _core.Block(n, memory.numpy())
    core.forward(
        steps.x,
        steps.state(h_0, core.n_states),
        steps.state(c_0, core.n_states),
        output_steps,
        h_n.numpy(),
        c_n.numpy(),
        block,
        num_threads(),
        run,
        steps.order,
    )
    return output, h_n, c_n, memory if keep else None


def backward(packed, tape, x, h_0, c_0, d_output, d_h_n, d_c_n, form, *, dropout=0.0, seed=0, wants_x=True):
    """d_x (None if not wanted), d_h_0, d_c_0 and those of the parameters, tensors, from forward's arguments and tape."""
    core, dtype = packed.core, x.dtype
    steps, run, n = _Steps(_array(x), form), _run(dropout, seed), core.n_states
    if tape.data_ptr() % 64:  # it was kept elsewhere meanwhile
        tape = tape_memory(len(tape)).copy_(tape)
    d_x, d_x_steps = steps.empty(steps.x.shape[2], dtype) if wants_x else (None, None)
    d_h_0, d_c_0 = steps.empty_states(core, dtype)
    d_weights = [torch.empty(values.shape, dtype=dtype) for values in packed.copies]
    gradients = packed.by_direction([d.numpy() for d in d_weights])
    core.backward(
        _core.Block(core.tape_bytes(steps.T, steps.B, run), tape.numpy()),
        steps.x,
        steps.state(h_0, n),
        steps.state(c_0, n),
        steps.read(_array(d_output)),
        steps.state(d_h_n, n),
        steps.state(d_c_n, n),
        d_x_steps,
        d_h_0.numpy(),
        d_c_0.numpy(),
        gradients,
        num_threads(),
        run,
        steps.order,
    )
    return d_x, d_h_0, d_c_0, d_weights
