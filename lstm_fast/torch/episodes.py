"""Validation of resets; splitting into episodes for PyTorch's kernel, which has no resets."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._C import _get_tracing_state
from torch._C._functorch import peek_interpreter_stack

from . import memory

Kernel = Callable[[Tensor, Tensor, Any], tuple[Tensor, Tensor, Tensor]]


def check_resets(resets: Any, shape: tuple[int, ...], axes: str) -> None:
    """Raise unless this is a bool tensor of this shape, for a sequence with these axes."""
    if not isinstance(resets, Tensor):
        raise TypeError(f"resets must be a torch.Tensor of dtype bool, got {type(resets).__name__}")
    if resets.dtype is not torch.bool or tuple(resets.shape) != tuple(shape):
        dtype, words = str(resets.dtype).removeprefix("torch."), "(T,)" if axes == "TI" else f"({axes[0]}, {axes[1]})"
        raise ValueError(f"resets must be boolean of shape {words} = {tuple(shape)}, got {dtype} {tuple(resets.shape)}")


def read_resets(
    resets: Any, x: Any, axes: str, batch_sizes: Tensor | None = None, sorted_indices: Tensor | None = None
) -> np.ndarray | None:
    """Copy the resets to uint8 (T, B) in the core's order; None if all are False, or if x is not a sequence."""
    if not isinstance(x, Tensor) or x.dim() != len(axes):  # PyTorch raises the error
        return None
    if batch_sizes is None:
        check_resets(resets, x.shape[:-1], axes)
    else:
        check_resets(resets, (len(batch_sizes), int(batch_sizes[0])), "TBI")
    if _get_tracing_state() is not None:
        raise ValueError("resets must be None under torch.jit.trace, which would record them as constants")
    if peek_interpreter_stack() is not None:
        raise ValueError(
            "resets must be None in transforms of torch.func, which PyTorch's kernel of episodes does not have"
        )
    if type(resets) is not Tensor or resets.is_meta:
        raise TypeError(f"resets must be a plain tensor, got {type(resets).__name__} on {resets.device}")
    flags = memory.array(resets.cpu().view(torch.uint8))
    if sorted_indices is not None:
        flags = flags[:, sorted_indices.numpy(force=True)]
    if not flags.any():
        return None
    return np.array(flags[:, None] if axes == "TI" else flags.T if axes == "BTI" else flags, order="C")


class Episodes:
    """The episodes of a batch, packed as PyTorch packs sequences, the longest first.

    resets: (T, B). batch_sizes: of packed sequences; None if all have T steps. Nothing crosses a reset, so each stretch
    between two is an independent sequence.
    """

    def __init__(self, resets: np.ndarray, batch_sizes: Tensor | None = None) -> None:
        T, B = resets.shape
        sizes = np.full(T, B) if batch_sizes is None else batch_sizes.numpy(force=True)
        offsets = np.cumsum(sizes) - sizes  # first row of each step
        begins = (np.arange(B) < sizes[:, None]) & (resets.astype(bool) | (np.arange(T) == 0)[:, None])
        sequence, begin = np.nonzero(begins.T)
        is_last = np.append(sequence[1:] != sequence[:-1], True)
        end = np.where(is_last, (np.arange(B) < sizes[:, None]).sum(0)[sequence], np.append(begin[1:], 0))
        order = np.argsort(begin - end, kind="stable")
        sequence, begin, end, is_last = sequence[order], begin[order], end[order], is_last[order]
        active = np.arange((end - begin).max())[:, None] < end - begin  # (steps, episodes)
        self.batch_sizes = torch.from_numpy(active.sum(1))
        self.rows = (offsets[np.minimum(begin + np.arange(len(active))[:, None], T - 1)] + sequence)[active]
        self.sequence = sequence
        self.first, self.last = np.empty(B, np.int64), np.empty(B, np.int64)  # episode of each sequence
        self.first[sequence[begin == 0]], self.last[sequence[is_last]] = (
            np.flatnonzero(begin == 0),
            np.flatnonzero(is_last),
        )
        # Which episodes begin with the states of the call, by direction.
        self.continues = (begin == 0) & (resets[0, sequence] == 0), is_last

    def run(
        self, kernel: Kernel, rows: Tensor, states: Sequence[Tensor], num_directions: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return output, h_n, c_n of all sequences. rows: their steps (n, I). states: h_0 and c_0, or none for zero."""

        def index(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values).to(rows.device)

        def pick(state: Tensor) -> Tensor:
            """Return the last state of each sequence: in reverse, of its first episode."""
            ways = state.reshape(-1, num_directions, *state.shape[1:]).unbind(1)
            ends = (self.last, self.first)[:num_directions]
            return torch.stack([way.index_select(1, index(e)) for way, e in zip(ways, ends, strict=True)], 1).flatten(
                0, 1
            )

        begins: list[Tensor] | None = None
        if len(states):
            continues = index(np.stack(self.continues[:num_directions])).repeat(len(states[0]) // num_directions, 1)
            begins = [
                torch.where(continues[..., None], state.index_select(1, index(self.sequence)), 0) for state in states
            ]
        output, h_n, c_n = kernel(rows.index_select(0, index(self.rows)), self.batch_sizes, begins)
        return output.index_select(0, index(np.argsort(self.rows))), pick(h_n), pick(c_n)
