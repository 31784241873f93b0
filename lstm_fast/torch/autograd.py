"""The gradient: one node in PyTorch's graph for a whole call."""

from collections import namedtuple

import torch
from torch import _VF

from . import call, fallback, forms

Options = namedtuple("Options", "weights form dropout seed")  # weights: weights.Packed


def by_pytorch(sizes, form, x, h_0, c_0, weights):
    """output, h_n, c_n of PyTorch's own kernel from the arguments of the node."""
    _, H, L, D, bias, P = sizes
    is_packed = form.batch_sizes is not None
    steps = x if is_packed else forms.as_steps(x, form.axes)
    B = int(form.batch_sizes[0]) if is_packed else steps.shape[1]
    states = [
        steps.new_zeros(L * D, B, n) if state is None else state.reshape(L * D, B, n)
        for state, n in ((h_0, P or H), (c_0, H))
    ]
    options = bool(bias), L, 0.0, False, D == 2
    if is_packed:
        return _VF.lstm(x, form.batch_sizes, states, weights, *options)
    output, h_n, c_n = _VF.lstm(steps, states, weights, *options, False)
    T = len(steps)
    shape = forms.sequence_shape(form.axes, T, B, D * (P or H))
    output = output.swapaxes(0, 1) if form.axes == "BTI" else output.reshape(shape)
    return output, *(state.reshape(forms.state_shape(form.axes, L * D, B, state.shape[-1])) for state in (h_n, c_n))


class LSTMFunction(torch.autograd.Function):
    """apply(options, x, h_0, c_0, *weights) -> output, h_n, c_n; shapes as options.form says, states may be None.

    The tape is saved as a tensor, so that hooks of saved tensors (checkpointing, offloading) get it, and that it goes when
    the graph is freed. Gradients of gradients come from PyTorch's own kernel, which runs again for them.
    """

    @staticmethod
    def forward(ctx, options, x, h_0, c_0, *weights):
        output, h_n, c_n, tape = call.forward(
            options.weights, x, h_0, c_0, options.form, dropout=options.dropout, seed=options.seed, keep=True
        )
        ctx.options = options
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, h_0, c_0, tape, *weights)  # PyTorch refuses backward if one is changed meanwhile
        return output, h_n, c_n

    @staticmethod
    def backward(ctx, d_output, d_h_n, d_c_n):
        x, h_0, c_0, tape, *weights = ctx.saved_tensors
        options, needed = ctx.options, ctx.needs_input_grad
        if d_output is None and d_h_n is None and d_c_n is None:
            return (None,) * len(needed)
        if torch.is_grad_enabled():  # create_graph=True
            return _differentiable(options, needed, (x, h_0, c_0, *weights), (d_output, d_h_n, d_c_n))
        d_x, d_h_0, d_c_0, d_weights = call.backward(
            options.weights,
            tape,
            x,
            h_0,
            c_0,
            d_output,
            d_h_n,
            d_c_n,
            options.form,
            dropout=options.dropout,
            seed=options.seed,
            wants_x=needed[1],
        )
        gradients = None, d_x, d_h_0, d_c_0, *d_weights
        return tuple(gradient if wanted else None for gradient, wanted in zip(gradients, needed, strict=True))


def _differentiable(options, needed, inputs, d_outputs):
    """The gradients as functions of the inputs and of d_outputs, for double backward."""
    if options.dropout:
        raise RuntimeError(
            "lstm_fast.torch.LSTM with dropout has first derivatives only: its masks are not PyTorch's. "
            "Use lstm_fast.torch.restore(module) before backward with create_graph=True, or dropout=0"
        )
    fallback.warn("double backward (create_graph=True)")
    x, h_0, c_0, *weights = inputs
    outputs = by_pytorch(options.weights.sizes, options.form, x, h_0, c_0, weights)
    pairs = [(output, d) for output, d in zip(outputs, d_outputs, strict=True) if d is not None]
    wanted = [tensor for tensor, is_wanted in zip(inputs, needed[1:], strict=True) if is_wanted]
    gradients = iter(
        torch.autograd.grad(
            [output for output, _ in pairs], wanted, [d for _, d in pairs], create_graph=True, allow_unused=True
        )
    )
    return None, *(next(gradients) if is_wanted else None for is_wanted in needed[1:])
