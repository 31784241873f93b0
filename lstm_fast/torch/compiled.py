"""What torch.compile sees: one opaque operator, and one for its gradient, that run the core when the graph runs."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from . import autograd, call, forms, memory, weights
from .forms import Form, Sizes

MOST_PACKED = 16  # parameter sets whose packed copies are kept between calls

_packed: OrderedDict[tuple, weights.Packed] = OrderedDict()  # the youngest last
_lock = Lock()


def _check(x, sizes, axes, parameters, *states_and_results):
    """Anyone can call an operator: shapes that the core would not survive are refused. Pairs: a kind, a tensor or None."""
    I, H, L, D, _, P = sizes
    if x.dim() != len(axes) or x.shape[-1] != I or x.numel() == 0 or axes not in ("TBI", "BTI", "TI", "BI", "I"):
        raise ValueError(f"x must have axes {axes} with I = {I}, none empty, got {tuple(x.shape)}")
    T, B, _ = forms.as_steps(x, axes).shape
    h, c = (forms.state_shape(axes, L * D, B, n) for n in (P or H, H))
    shapes = {"h": h, "c": c, "output": forms.sequence_shape(axes, T, B, D * (P or H))}
    pairs = [
        *zip(parameters, forms.parameter_shapes(sizes), strict=True),
        *((tensor, shapes[name]) for name, tensor in states_and_results if tensor is not None),
    ]
    for tensor, shape in pairs:
        if (
            tuple(tensor.shape) != shape
            or tensor.dtype != x.dtype
            or x.dtype not in memory.DTYPES
            or not tensor.is_cpu
        ):
            raise ValueError(
                f"a tensor of lstm_fast's operators must be {x.dtype}, float32 or float64, on the CPU and of "
                f"shape {shape}, got {tensor.dtype} {tuple(tensor.shape)}"
            )


def _packed_copies(sizes, tensors):
    key = sizes, *(tensor.data_ptr() for tensor in tensors)
    with _lock:
        old = _packed.pop(key, None)
    new = weights.packed(old, sizes, tensors)
    with _lock:
        _packed[key] = new
        while len(_packed) > MOST_PACKED:
            _packed.popitem(last=False)
    return new


def _tape_bytes(sizes, T, B, element_bytes):
    """Enough for the tape on any instruction set, with and without dropout, in arithmetic that can be traced."""
    _, H, L, D, _, P = sizes
    padded = (H * element_bytes + 63) // 64 * 64
    return L * D * (5 * T * B + B) * padded + 2 * L * T * B * D * (P or H) * element_bytes + 64 * (2 * L * D + 2 * L)


def _seed(seed):
    return 0 if seed is None else int(seed)


@torch.library.custom_op("lstm_fast::lstm", mutates_args=())
def lstm(
    x: Tensor,
    h_0: Tensor | None,
    c_0: Tensor | None,
    parameters: Sequence[Tensor],
    sizes: Sequence[int],
    axes: str,
    dropout: float,
    seed: Tensor | None,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """output, h_n, c_n and the tape, empty unless keep."""
    sizes = Sizes(*sizes)
    _check(x, sizes, axes, parameters, ("h", h_0), ("c", c_0))
    T, B, _ = forms.as_steps(x, axes).shape
    tape = memory.empty_tape(_tape_bytes(sizes, T, B, x.element_size())) if keep else None
    output, h_n, c_n, tape = call.forward(
        _packed_copies(sizes, parameters),
        x,
        h_0,
        c_0,
        Form(axes),
        dropout=dropout,
        seed=_seed(seed),
        keep=keep,
        tape=tape,
    )
    return output, h_n, c_n, memory.empty((0,), torch.uint8) if tape is None else tape


@lstm.register_fake
def _(x, h_0, c_0, parameters, sizes, axes, dropout, seed, keep):
    sizes = Sizes(*sizes)
    _, H, L, D, _, P = sizes
    T, B, _ = forms.as_steps(x, axes).shape
    return (
        x.new_empty(forms.sequence_shape(axes, T, B, D * (P or H))),
        *(x.new_empty(forms.state_shape(axes, L * D, B, n)) for n in (P or H, H)),
        x.new_empty(_tape_bytes(sizes, T, B, x.element_size()) if keep else 0, dtype=torch.uint8),
    )


@torch.library.custom_op("lstm_fast::lstm_backward", mutates_args=())
def lstm_backward(
    tape: Tensor,
    x: Tensor,
    h_0: Tensor | None,
    c_0: Tensor | None,
    parameters: Sequence[Tensor],
    d_output: Tensor | None,
    d_h_n: Tensor | None,
    d_c_n: Tensor | None,
    sizes: Sequence[int],
    axes: str,
    dropout: float,
    seed: Tensor | None,
) -> list[Tensor]:
    """d_x, d_h_0, d_c_0 and those of the parameters."""
    sizes = Sizes(*sizes)
    _check(x, sizes, axes, parameters, ("h", h_0), ("c", c_0), ("output", d_output), ("h", d_h_n), ("c", d_c_n))
    if tape.dtype is not torch.uint8 or len(tape) != _tape_bytes(
        sizes, *forms.as_steps(x, axes).shape[:2], x.element_size()
    ):
        raise ValueError("tape must be that of lstm_fast::lstm")
    d_x, d_h_0, d_c_0, d_parameters = call.backward(
        _packed_copies(sizes, parameters),
        tape,
        x,
        h_0,
        c_0,
        d_output,
        d_h_n,
        d_c_n,
        Form(axes),
        dropout=dropout,
        seed=_seed(seed),
    )
    return [d_x, d_h_0, d_c_0, *d_parameters]


@lstm_backward.register_fake
def _(tape, x, h_0, c_0, parameters, d_output, d_h_n, d_c_n, sizes, axes, dropout, seed):
    _, H, L, D, _, P = sizes
    T, B, I = forms.as_steps(x, axes).shape
    return [
        x.new_empty(forms.sequence_shape(axes, T, B, I)),
        *(x.new_empty(forms.state_shape(axes, L * D, B, n)) for n in (P or H, H)),
        *(x.new_empty(parameter.shape) for parameter in parameters),
    ]


def _save(ctx, inputs, output):
    x, h_0, c_0, parameters, ctx.sizes, ctx.axes, ctx.dropout, seed, _ = inputs
    ctx.save_for_backward(output[3], x, h_0, c_0, seed, *parameters)


def _differentiate(ctx, d_output, d_h_n, d_c_n, _):
    tape, x, h_0, c_0, seed, *parameters = ctx.saved_tensors
    d_x, d_h_0, d_c_0, *d_parameters = lstm_backward(
        tape, x, h_0, c_0, parameters, d_output, d_h_n, d_c_n, ctx.sizes, ctx.axes, ctx.dropout, seed
    )
    d_states = (None, None) if h_0 is None else (d_h_0, d_c_0)
    return d_x, *d_states, d_parameters, None, None, None, None, None


lstm.register_autograd(_differentiate, setup_context=_save)


def forward(module, input, hx):
    """forward of a module while torch.compile or torch.export traces it. Export, and what is not plain, is PyTorch's."""
    tensors, states = module._tensors(), () if hx is None else tuple(hx)
    if (
        torch.compiler.is_exporting()
        or isinstance(input, PackedSequence)
        or torch.is_autocast_enabled("cpu")
        or not all(
            t.device.type == "cpu" and t.dtype == input.dtype and t.dtype in memory.DTYPES
            for t in (input, *states, *tensors)
        )
        or not module._fits(input, states, tensors, module._axes(input))
    ):
        return module._pytorch_class.forward(module, input, hx)
    axes, dropout = module._axes(input), module._dropout()
    has_gradient = torch.is_grad_enabled() and any(t.requires_grad for t in (input, *states, *tensors))
    if has_gradient:
        input = autograd.saved(input, axes)
    seed = torch.randint(2**62, (), device="cpu") if dropout else None
    h_0, c_0 = states or (None, None)
    return module._results(
        *torch.ops.lstm_fast.lstm(
            input, h_0, c_0, tensors, list(module._sizes()), axes, dropout, seed, bool(dropout) or has_gradient
        )[:3]
    )


def skip(function):
    """When torch.compile does not trace a function, neither does it trace what that calls: it is eager code."""
    try:
        from torch._C._dynamo.eval_frame import _FrameAction, _FrameExecStrategy, set_code_exec_strategy
    except ImportError:  # of an older version: then it tries, and gives up piece by piece
        return function
    set_code_exec_strategy(function.__code__, _FrameExecStrategy(_FrameAction.SKIP, _FrameAction.SKIP))
    return function
