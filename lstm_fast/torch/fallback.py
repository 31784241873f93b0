"""What PyTorch's own kernels compute instead: everything but plain float32 and float64 tensors on the CPU."""

import warnings

import torch
from torch._C import _get_tracing_state, _is_any_autocast_enabled, _len_torch_dispatch_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad

PLAIN_TYPES = torch.Tensor, torch.nn.Parameter
DTYPES = torch.float32, torch.float64

_warned = set()


class FallbackWarning(UserWarning):
    """PyTorch's own kernel computes an LSTM, with the same result. Once a process for each reason."""


def warn(reason):
    """Once a process. None is no reason: an empty batch, say, that PyTorch takes as well."""
    if reason is not None and reason not in _warned:
        _warned.add(reason)
        warnings.warn(
            f"PyTorch's own LSTM kernel computes, as with torch.nn.LSTM: {reason} is not for lstm_fast",
            FallbackWarning,
            stacklevel=7,
        )  # the line that called the module


def is_usual():
    """Whether a call means no more than what it computes: nobody records, transforms or changes its operations."""
    return (
        peek_interpreter_stack() is None
        and not _is_any_autocast_enabled()
        and _get_tracing_state() is None
        and not _len_torch_dispatch_stack()
        and forward_ad._current_level < 0
    )


def reason_now():
    """What makes calls unusual at present, in words, or None."""
    if peek_interpreter_stack() is not None:
        return "a transform of torch.func (vmap, grad, jvp, ...)"
    if torch.is_autocast_enabled("cpu"):
        return "autocast"
    if _get_tracing_state() is not None:
        return "torch.jit.trace"
    if _len_torch_dispatch_stack():
        return "a dispatch mode (fake tensors, tracing, counting)"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation"
    return None


def reason_of(tensor):
    """What makes a tensor unusual, in words, or None."""
    if type(tensor) not in PLAIN_TYPES:
        return f"the tensor class {type(tensor).__name__}"
    if not tensor.is_cpu:
        return f"the device {tensor.device.type}"
    if tensor.dtype not in DTYPES:
        return f"the dtype {str(tensor.dtype).removeprefix('torch.')}"
    if tensor.layout is not torch.strided or tensor.is_neg() or tensor._is_zerotensor():
        return "a tensor that is not plain memory"
    return None
