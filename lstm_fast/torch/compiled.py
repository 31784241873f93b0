"""The modules under torch.compile: opaque operators for forward and backward, which call the core at run time."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from .._layout import Layout
from . import autograd, call, episodes, memory, weights
from .shapes import Sizes, TensorLayout, parameter_shapes

if TYPE_CHECKING:  # the one import from below: for annotations
    from .fast import Fast

Function = TypeVar("Function", bound=Callable[..., Any])

MOST_PACKED = 16  # parameter sets whose packed copies are kept between calls

# Most recently used last. No lock, which a forked process might inherit locked: each operation is atomic.
_packed: OrderedDict[tuple[Any, ...], weights.Packed] = OrderedDict()


def _read_sizes(sizes: Sequence[int]) -> Sizes:
    I, H, L, D, bias, P = sizes
    return Sizes(I, H, L, D, bool(bias), P)


def _check(
    x: Tensor,
    sizes: Sizes,
    axes: str,
    parameters: Sequence[Tensor],
    *states_and_results: tuple[str, Tensor | None],
) -> None:
    """Reject invalid shapes, since anyone can call an operator. pairs: a kind, and a tensor or None."""
    I = sizes.input_size
    if x.dim() != len(axes) or x.shape[-1] != I or x.numel() == 0 or axes not in ("TBI", "BTI", "TI", "BI", "I"):
        raise ValueError(f"x must have axes {axes} with I = {I}, none empty, got {tuple(x.shape)}")
    shapes = dict(zip(("output", "h", "c"), _result_shapes(x, sizes, axes), strict=True))
    pairs = [
        *zip(parameters, parameter_shapes(sizes), strict=True),
        *((tensor, shapes[name]) for name, tensor in states_and_results if tensor is not None),
    ]
    for tensor, shape in pairs:
        if tuple(tensor.shape) != shape or tensor.dtype != x.dtype or x.dtype not in memory.DTYPES or not tensor.is_cpu:
            raise ValueError(
                f"tensors of lstm_fast's operators must be {x.dtype}, float32 or float64, on the CPU, of {shape}, "
                f"got {tensor.dtype} {tuple(tensor.shape)}"
            )


def _result_shapes(x: Tensor, sizes: Sizes, axes: str) -> list[tuple[int, ...]]:
    """The shapes of output, h_n and c_n."""
    layout = Layout(axes)
    T, B, _ = layout.to_steps(x).shape
    states = [layout.state_shape(sizes.num_states, B, n) for n in sizes.state_sizes]
    return [layout.sequence_shape(T, B, sizes.output_size), *states]


def _packed_copies(
    sizes: Sizes,
    tensors: Sequence[Tensor],
    quantization: weights.Quantization | None = None,
    compute_dtype: str | None = None,
) -> weights.Packed:
    key = sizes, quantization, compute_dtype, *(tensor.data_ptr() for tensor in tensors)
    packed = _packed[key] = weights.packed(_packed.get(key), sizes, tensors, quantization, compute_dtype)
    with suppress(KeyError):  # another thread was faster
        _packed.move_to_end(key)
        while len(_packed) > MOST_PACKED:
            _packed.popitem(last=False)
    return packed


def _tape_bytes(x: Tensor, sizes: Sizes, axes: str) -> int:
    """An upper bound for the tape on any instruction set, with and without dropout, in traceable arithmetic."""
    _, H, L, D, _, P = sizes
    T, B, _ = Layout(axes).to_steps(x).shape
    element_bytes = x.element_size()
    padded = (H * element_bytes + 63) // 64 * 64
    cells, outputs = L * D * (5 * T * B + B) * padded, 2 * L * T * B * D * (P or H) * element_bytes
    n_bytes: int = cells + outputs + 64 * (2 * L * D + 2 * L)
    return n_bytes


def _read_resets(resets: Tensor | None, x: Tensor, axes: str) -> np.ndarray | None:
    return None if resets is None else episodes.read_resets(resets, x, axes)


def _read_seed(seed: Tensor | None) -> int:
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
    format: str,
    inputs: str,
    compute_dtype: str,
    resets: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """output, h_n, c_n and the tape, empty unless keep. format, inputs, compute_dtype: see the modules; "" for none.

    resets: bool, of the shape of x without its last axis.
    """
    of = _read_sizes(sizes)
    _check(x, of, axes, parameters, ("h", h_0), ("c", c_0))
    in_format = weights.Quantization(format, inputs) if format else None
    if in_format is not None:
        in_format.check_h((h_0, c_0))
    output, h_n, c_n, tape = call.forward(
        _packed_copies(of, parameters, in_format, compute_dtype or None),
        x,
        h_0,
        c_0,
        TensorLayout(axes, resets=_read_resets(resets, x, axes)),
        dropout=dropout,
        seed=_read_seed(seed),
        keep=keep,
        tape=memory.empty_tape(x, _tape_bytes(x, of, axes)) if keep else None,
    )
    return output, h_n, c_n, x.new_empty(0, dtype=torch.uint8) if tape is None else tape


@lstm.register_fake
def _(
    x: Tensor,
    h_0: Tensor | None,
    c_0: Tensor | None,
    parameters: Sequence[Tensor],
    sizes: Sequence[int],
    axes: str,
    dropout: float,
    seed: Tensor | None,
    keep: bool,
    format: str,
    inputs: str,
    compute_dtype: str,
    resets: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    of = _read_sizes(sizes)
    output, h_n, c_n = (x.new_empty(shape) for shape in _result_shapes(x, of, axes))
    return output, h_n, c_n, x.new_empty(_tape_bytes(x, of, axes) if keep else 0, dtype=torch.uint8)


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
    compute_dtype: str,
    resets: Tensor | None,
) -> list[Tensor]:
    """d_x, d_h_0, d_c_0 and the gradients of the parameters."""
    of = _read_sizes(sizes)
    _check(x, of, axes, parameters, ("h", h_0), ("c", c_0), ("output", d_output), ("h", d_h_n), ("c", d_c_n))
    if tape.dtype is not torch.uint8 or len(tape) != _tape_bytes(x, of, axes):
        raise ValueError("tape must be that of lstm_fast::lstm")
    d_x, d_h_0, d_c_0, d_parameters = call.backward(
        _packed_copies(of, parameters, None, compute_dtype or None),
        tape,
        x,
        h_0,
        c_0,
        d_output,
        d_h_n,
        d_c_n,
        TensorLayout(axes, resets=_read_resets(resets, x, axes)),
        dropout=dropout,
        seed=_read_seed(seed),
    )
    assert d_x is not None
    return [d_x, d_h_0, d_c_0, *d_parameters]


@lstm_backward.register_fake
def _(
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
    compute_dtype: str,
    resets: Tensor | None,
) -> list[Tensor]:
    states = _result_shapes(x, _read_sizes(sizes), axes)[1:]
    return [x.new_empty(shape) for shape in (x.shape, *states, *(parameter.shape for parameter in parameters))]


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, h_0, c_0, parameters, ctx.sizes, ctx.axes, ctx.dropout, seed, *_, ctx.compute_dtype, resets = inputs
    ctx.save_for_backward(output[3], x, h_0, c_0, seed, resets, *parameters)


def _differentiate(
    ctx: Any, d_output: Tensor | None, d_h_n: Tensor | None, d_c_n: Tensor | None, _: Tensor | None
) -> tuple[Any, ...]:
    tape, x, h_0, c_0, seed, resets, *parameters = ctx.saved_tensors
    options = ctx.sizes, ctx.axes, ctx.dropout, seed, ctx.compute_dtype, resets
    d_x, d_h_0, d_c_0, *d_parameters = lstm_backward(tape, x, h_0, c_0, parameters, d_output, d_h_n, d_c_n, *options)
    d_states = (None, None) if h_0 is None else (d_h_0, d_c_0)
    return d_x, *d_states, d_parameters, *(None,) * 9


lstm.register_autograd(_differentiate, setup_context=_save)


def forward(module: "Fast", input: Any, hx: Any, resets: Any) -> Any:
    """forward as traced by torch.compile or torch.export. Export, and anything not plain, uses PyTorch's own."""
    if resets is not None and torch.compiler.is_exporting():
        raise ValueError("resets must be None under torch.export: PyTorch's LSTM, which it records, has no resets")
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
        if resets is not None:
            torch._dynamo.graph_break()
            return module._any_call(input, hx, None, resets)
        return module._pytorch_class.forward(module, input, hx)
    if resets is not None:
        module._check_resets(resets, input)
    axes, dropout = module._axes(input), module._dropout_now()
    has_gradient = torch.is_grad_enabled() and any(t.requires_grad for t in (input, *states, *tensors))
    if has_gradient:
        input = autograd.saved(input, axes)
    seed = torch.randint(2**62, (), device="cpu") if dropout else None
    h_0, c_0 = states or (None, None)
    quantization = module._quantization if not has_gradient and module._quantizes(input) else None
    output, h_n, c_n, _ = torch.ops.lstm_fast.lstm(
        input,
        h_0,
        c_0,
        tensors,
        list(module._sizes()),
        axes,
        dropout,
        seed,
        bool(dropout) or has_gradient,
        *(quantization or ("", "float32")),
        (module._compute_dtype or "") if quantization is None and input.dtype is torch.float32 else "",
        resets,
    )
    return module._arrange(output, h_n, c_n)


def skip(function: Function) -> Function:
    """Prevent torch.compile from tracing a function and its callees: they run eagerly."""
    try:
        from torch._C._dynamo.eval_frame import _FrameAction, _FrameExecStrategy, set_code_exec_strategy
    except ImportError:  # an older version, which traces it, with a graph break at each call
        return function
    set_code_exec_strategy(function.__code__, _FrameExecStrategy(_FrameAction.SKIP, _FrameAction.SKIP))
    return function
