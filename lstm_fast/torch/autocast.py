"""Calls under torch.autocast("cpu", dtype=torch.bfloat16): products in bfloat16, results with PyTorch's dtypes."""

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._C import _is_any_autocast_enabled
from torch.nn.utils.rnn import PackedSequence

from . import fallback

if TYPE_CHECKING:  # the one import from below: for annotations
    from .fast import Fast

NARROW = torch.float32, torch.bfloat16


def takes(module: "Fast", input: Any, hx: Any) -> bool:
    """Return whether `call` can compute a call: under autocast to bfloat16, with float32 parameters on the CPU."""
    if not _is_any_autocast_enabled():  # the cheapest test
        return False
    if not torch.is_autocast_enabled("cpu") or torch.get_autocast_dtype("cpu") is not torch.bfloat16:
        return False
    x = input.data if isinstance(input, PackedSequence) else input
    states = hx if isinstance(hx, (tuple, list)) else () if hx is None else (hx,)
    return (
        fallback.reason_but_autocast() is None
        and len(states) in (0, 2)
        and all(fallback.is_plain(t, NARROW) for t in (x, *states))
        and all(fallback.is_plain(t, NARROW[:1]) for t in module._tensors())
    )


def call(module: "Fast", input: Any, hx: Any, resets: Any = None) -> Any:
    """Return the results of a call accepted by `takes`. x, the states and all gradients are treated as float32."""
    x = input.data if isinstance(input, PackedSequence) else input
    of_states: torch.dtype = x.dtype if hx is None else hx[1].dtype
    states = None if hx is None else tuple(state.float() for state in hx)
    with torch.autocast("cpu", enabled=False):
        results = module._any_call(input.float(), states, "bfloat16", resets)
    if not isinstance(module, nn.RNNBase):
        return tuple(result.to(of_states) for result in results)
    output, (h_n, c_n) = results
    # PyTorch's kernel for whole sequences returns bfloat16. Where it works step by step, states keep their dtype.
    is_packed, has_projection = isinstance(input, PackedSequence), bool(module._sizes().proj_size)
    of_h = of_states if is_packed and not has_projection else torch.bfloat16
    of_c = of_states if is_packed or has_projection else torch.bfloat16
    return output.to(of_h), (h_n.to(of_h), c_n.to(of_c))
