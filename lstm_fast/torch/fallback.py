"""Conditions for falling back to PyTorch's own kernels: anything but plain float32 and float64 tensors on the CPU."""

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import _get_tracing_state, _is_any_autocast_enabled, _len_torch_dispatch_stack
from torch._C._functorch import is_legacy_batchedtensor, peek_interpreter_stack
from torch.autograd import forward_ad

from .memory import DTYPES

PLAIN_TYPES = Tensor, nn.Parameter

_warned: set[str] = set()


class FallbackWarning(UserWarning):
    """PyTorch's own kernel computes an LSTM, with the same result. Issued once per process and reason.

    Examples
    --------
    >>> import torch, lstm_fast, warnings
    >>> lstm = lstm_fast.torch.LSTM(8, 16).to(torch.bfloat16)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", lstm_fast.torch.FallbackWarning)
    ...     output, _ = lstm(torch.randn(5, 2, 8, dtype=torch.bfloat16))
    >>> output.dtype
    torch.bfloat16
    """


def warn(reason: str | None) -> None:
    """Warn once per process and reason. None: no warning, for an empty batch, for instance."""
    if reason is not None and reason not in _warned:
        _warned.add(reason)
        warnings.warn(
            f"Falling back to torch.nn.LSTM: lstm_fast does not support {reason}",
            FallbackWarning,
            stacklevel=7,  # the line that called the module
        )


def is_plain_eager() -> bool:
    """Return whether calls are plain eager computations: not recorded, not transformed, without autocast."""
    return (
        peek_interpreter_stack() is None
        and not _is_any_autocast_enabled()
        and _get_tracing_state() is None
        and not _len_torch_dispatch_stack()
        and forward_ad._current_level < 0
    )


def reason_now() -> str | None:
    """Return why calls in the current context fall back, or None."""
    reason = reason_but_autocast()
    if reason is not None or not torch.is_autocast_enabled("cpu"):
        return reason
    is_bfloat16 = torch.get_autocast_dtype("cpu") is torch.bfloat16
    return "autocast to bfloat16 of other parameters than float32" if is_bfloat16 else "autocast to float16"


def reason_but_autocast() -> str | None:
    """Return why calls in the current context fall back for reasons other than autocast, or None."""
    if peek_interpreter_stack() is not None:
        return "transforms of torch.func (vmap, grad, jvp, ...)"
    if _get_tracing_state() is not None:
        return "torch.jit.trace"
    if _len_torch_dispatch_stack():
        return "dispatch modes (fake tensors, tracing, counting)"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation"
    return None


def is_plain(tensor: Any, dtypes: Iterable[torch.dtype]) -> bool:
    """Return whether this is a strided CPU tensor of one of the dtypes, without lazy negation."""
    return (
        type(tensor) in PLAIN_TYPES
        and tensor.is_cpu
        and tensor.dtype in dtypes
        and tensor.layout is torch.strided
        and not (tensor.is_neg() or tensor._is_zerotensor())
    )


def reason_of(tensor: Tensor) -> str | None:
    """Return why a call with this tensor falls back, or None."""
    if type(tensor) not in PLAIN_TYPES:
        return f"the tensor class {type(tensor).__name__}"
    if not tensor.is_cpu:
        return f"the device {tensor.device.type}"
    if tensor.dtype not in DTYPES:
        return f"the dtype {str(tensor.dtype).removeprefix('torch.')}"
    if tensor.layout is not torch.strided or tensor.is_neg() or tensor._is_zerotensor():
        return "tensors that are not plain memory"
    return None


def reason_of_gradients(gradients: Iterable[Tensor | None]) -> str | None:
    """Return why backward with these gradients falls back, or None."""
    given = [tensor for tensor in gradients if tensor is not None]
    if torch.is_grad_enabled():
        return "double backward (create_graph=True)"
    if peek_interpreter_stack() is not None or any(map(is_legacy_batchedtensor, given)):
        return "batched gradients (is_grads_batched=True, vectorize=True)"
    return next((reason for tensor in given if (reason := reason_of(as_memory(tensor))) is not None), None)


def as_memory(gradient: Tensor) -> Tensor:
    """Return the gradient in plain memory: sparse, lazily negated and zero tensors are materialized."""
    if gradient.layout is not torch.strided:
        return gradient.to_dense()
    return torch.zeros_like(gradient) if gradient._is_zerotensor() else gradient.resolve_neg()
