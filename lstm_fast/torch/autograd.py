"""The gradient: one node in PyTorch's graph for a whole call."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import _VF, Tensor

from .._layout import STEPS, Layout
from . import call, fallback, shapes, weights
from .episodes import Episodes

OptionalTensors = Sequence[Tensor | None]


def saved(x: Tensor, axes: str) -> Tensor:
    """Return x to save for backward: a copy where PyTorch copies, which permits z += lstm(z)[0]."""
    return x.clone() if axes == "BTI" and x.shape[0] > 1 and x.shape[1] > 1 else x


class Options(NamedTuple):
    packed: weights.Packed
    tensor_layout: shapes.TensorLayout
    dropout: float
    seed: int


def apply(
    options: Options, x: Tensor, h_0: Tensor | None, c_0: Tensor | None, parameters: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return output, h_n and c_n with a gradient, for arguments shaped as options.tensor_layout; states may be None."""
    results: tuple[Tensor, Tensor, Tensor]
    results = LSTMFunction.apply(options, x, h_0, c_0, *parameters)  # type: ignore[no-untyped-call]
    return results


class LSTMFunction(torch.autograd.Function):
    """The node of `apply`.

    The tape is saved as a tensor, so that hooks of saved tensors (checkpointing, offloading) apply to it and it is
    freed with the graph. Gradients that the core does not support are computed by rerunning PyTorch's own kernel.
    """

    @staticmethod
    def forward(
        ctx: Any, options: Options, x: Tensor, h_0: Tensor | None, c_0: Tensor | None, *parameters: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        output, h_n, c_n, tape = call.forward(
            options.packed, x, h_0, c_0, options.tensor_layout, dropout=options.dropout, seed=options.seed, keep=True
        )
        ctx.options = options
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, h_0, c_0, tape, *parameters)  # PyTorch raises if one is modified before backward
        return output, h_n, c_n

    @staticmethod
    def backward(ctx: Any, *d_results: Tensor | None) -> tuple[Tensor | None, ...]:
        x, h_0, c_0, tape, *parameters = ctx.saved_tensors
        options, needed = ctx.options, ctx.needs_input_grad
        if all(d is None for d in d_results):
            return (None,) * len(needed)
        reason = fallback.reason_of_gradients(d_results)
        if reason is not None:
            return None, *_by_pytorch(options, reason, needed[1:], (x, h_0, c_0, *parameters), d_results)
        d_output, d_h_n, d_c_n = (None if d is None else fallback.as_memory(d) for d in d_results)
        d_x, d_h_0, d_c_0, d_parameters = call.backward(
            options.packed,
            tape,
            x,
            h_0,
            c_0,
            d_output,
            d_h_n,
            d_c_n,
            options.tensor_layout,
            dropout=options.dropout,
            seed=options.seed,
            compute_d_x=needed[1],
        )
        gradients = None, d_x, d_h_0, d_c_0, *d_parameters
        return tuple(gradient if is_needed else None for gradient, is_needed in zip(gradients, needed, strict=True))


def _by_pytorch(
    options: Options, reason: str, needed: Sequence[bool], inputs: OptionalTensors, d_results: OptionalTensors
) -> list[Tensor | None]:
    """Compute the gradients as PyTorch functions of inputs and d_results, so that they can be differentiated."""
    if options.dropout:
        raise RuntimeError(
            f"lstm_fast.torch.LSTM with dropout does not support {reason}: PyTorch's kernel draws different masks. "
            "Use lstm_fast.torch.restore(module) before the forward call, or dropout=0"
        )
    fallback.warn(reason)
    with torch.enable_grad():
        # Views: x may depend on the parameters, and each gradient is the partial derivative.
        views = [None if tensor is None else tensor.view_as(tensor) for tensor in inputs]
        results = _forward_by_pytorch(options.packed.sizes, options.tensor_layout, views)
    pairs = [(result, d) for result, d in zip(results, d_results, strict=True) if d is not None]
    gradients = iter(
        torch.autograd.grad(
            [result for result, _ in pairs],
            [view for view, is_needed in zip(views, needed, strict=True) if is_needed and view is not None],
            [d for _, d in pairs],
            create_graph=torch.is_grad_enabled(),
            allow_unused=True,
        )
    )
    return [next(gradients) if is_needed else None for is_needed in needed]


def _forward_by_pytorch(
    sizes: shapes.Sizes, tensor_layout: shapes.TensorLayout, inputs: OptionalTensors
) -> tuple[Tensor, Tensor, Tensor]:
    """Return output, h_n, c_n of PyTorch's own kernel for x, h_0, c_0 and the parameters."""
    x, h_0, c_0, *rest = inputs
    parameters = [tensor for tensor in rest if tensor is not None]  # none is None
    assert x is not None
    layout = STEPS if tensor_layout.batch_sizes is not None else Layout(tensor_layout.axes)
    steps = layout.to_steps(x)
    options = sizes.bias, sizes.num_layers, 0.0, False, sizes.num_directions == 2  # dropout and training
    B = steps.shape[1] if tensor_layout.batch_sizes is None else int(tensor_layout.batch_sizes[0])
    states = [
        x.new_zeros(sizes.num_states, B, n) if state is None else layout.to_states(state)
        for state, n in zip((h_0, c_0), sizes.state_sizes, strict=True)
    ]
    if tensor_layout.resets is not None:

        def kernel(data: Tensor, batch_sizes: Tensor, states: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
            results: tuple[Tensor, Tensor, Tensor] = _VF.lstm(data, batch_sizes, states, parameters, *options)
            return results

        rows = x if tensor_layout.batch_sizes is not None else steps.flatten(0, 1)
        output, h_n, c_n = Episodes(tensor_layout.resets, tensor_layout.batch_sizes).run(
            kernel, rows, states, sizes.num_directions
        )
        output = output if tensor_layout.batch_sizes is not None else output.reshape(*steps.shape[:2], -1)
    elif tensor_layout.batch_sizes is not None:
        output, h_n, c_n = _VF.lstm(x, tensor_layout.batch_sizes, states, parameters, *options)
    else:
        output, h_n, c_n = _VF.lstm(steps, states, parameters, *options, False)
    return layout.from_core(output, h_n, c_n)
