"""A PyTorch module and ours with the same parameters and inputs, compared: results and all gradients."""

import copy
from contextlib import nullcontext

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import lstm_fast as lf
from tolerances import EPSILON_F32, EPSILON_F64, assert_within, forward_error

torch.set_num_threads(
    1
)  # computations here are so small that threads would wait for each other, especially on a busy machine

# Both sides round, so that they may differ by twice what one is off. Gradients: Frobenius norm of the difference
# relative to that of the gradient of PyTorch, or to 1/16 a number if they are small: sums of a few numbers may cancel
# by chance.
FORWARD = {torch.float32: 2 * 8 * EPSILON_F32, torch.float64: 2 * 8 * EPSILON_F64}
GRADIENT = {torch.float32: 8e-6, torch.float64: 1e-13}


def twin(module):
    """Our module with a copy of the parameters."""
    return lf.torch.accelerate(copy.deepcopy(module))


def flatten(value):
    """All tensors in nested tuples and PackedSequences, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for part in value or () for tensor in flatten(part)]


def leaves(value):
    """The same arguments in fresh tensors, as their own leaves."""
    if isinstance(value, torch.Tensor):
        fresh = value.detach()
        if 0 not in value.stride():
            fresh = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype).copy_(fresh)
        return fresh.requires_grad_(value.requires_grad)
    if isinstance(value, PackedSequence):
        return PackedSequence(leaves(value.data), *value[1:])
    return None if value is None else tuple(map(leaves, value))


def gradients(module, arguments, tensors, d_tensors):
    """Gradients of (tensors * d_tensors).sum() for the arguments and the parameters; None where absent."""
    module.zero_grad()
    if tensors[0].requires_grad:
        torch.autograd.backward(tensors, d_tensors)
    return [tensor.grad for tensor in flatten(arguments)] + [p.grad for p in module.parameters()]


def assert_alike(got, want, tolerance, case):
    for k, (a, b) in enumerate(zip(got, want, strict=True)):
        assert (a is None) == (b is None), f"{case}: number {k} is {a}, PyTorch's {b}"
        if a is not None:
            assert (a.dtype, a.shape, a.requires_grad) == (b.dtype, b.shape, b.requires_grad), f"{case}: number {k}"
            assert_within(gradient_error(a, b), tolerance, f"{case}: number {k}")


def gradient_error(a, b):
    a, b = (tensor.detach().numpy().astype(np.float64) for tensor in (a, b))
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), np.sqrt(b.size) / 16)


def assert_same(pytorch, ours, arguments, case, *, backward=True, mode=nullcontext, seed=0):
    """Check that both modules give the same results and, unless backward is False, gradients."""
    generator = torch.Generator().manual_seed(seed)
    both = leaves(arguments), leaves(arguments)
    with mode():
        want, got = pytorch(*both[0]), ours(*both[1])
    assert type(got) is type(want) and type(got[0]) is type(want[0]), case
    want, got = flatten(want), flatten(got)
    for k, (a, b) in enumerate(zip(got, want, strict=True)):
        assert (a.shape, a.dtype, a.requires_grad) == (b.shape, b.dtype, b.requires_grad), f"{case}: result {k}"
        if a.is_floating_point():
            assert_within(
                forward_error(a.detach().numpy(), b.detach().numpy()), FORWARD[a.dtype], f"{case}: result {k}"
            )
        else:
            assert torch.equal(a, b), f"{case}: result {k}"
    if backward:
        got, want = ([tensor for tensor in tensors if tensor.is_floating_point()] for tensors in (got, want))
        d = [torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in want]
        assert_alike(
            gradients(ours, both[1], got, d), gradients(pytorch, both[0], want, d), GRADIENT[want[0].dtype], case
        )


def strided(tensor, rng):
    """These numbers, or some of them, in some memory layout."""
    match rng.integers(5):
        case 0 if tensor.ndim > 1:
            return tensor.transpose(0, 1).contiguous().transpose(0, 1)
        case 1:
            return torch.cat([tensor, tensor], -1)[..., : tensor.shape[-1]]
        case 2:
            return tensor[:1].expand_as(tensor)
        case 3:
            return tensor.movedim(-1, 0).contiguous().movedim(0, -1)
    return tensor


def draw(seed):
    """(module, arguments) of a random configuration of nn.LSTM or nn.LSTMCell."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    I, H, T, B = (int(n) for n in (rng.integers(1, 20), rng.integers(2, 24), rng.integers(1, 9), rng.integers(1, 7)))
    dtype = torch.float32 if rng.random() < 0.4 else torch.float64
    bias = bool(rng.random() < 0.8)
    x_requires, states_require, weights_require = (bool(rng.random() < 0.7) for _ in range(3))
    is_batched = rng.random() < 0.8

    def states(*shapes):
        if rng.random() < 0.4:
            return ()
        return (
            tuple(
                strided(torch.randn(shape, dtype=dtype), rng).detach().requires_grad_(states_require)
                for shape in shapes
            ),
        )

    if rng.random() < 0.15:
        module = nn.LSTMCell(I, H, bias=bias, dtype=dtype).requires_grad_(weights_require)
        shape = (B,) * is_batched
        x = torch.randn(*shape, I, dtype=dtype).requires_grad_(x_requires)
        return module, (x, *states((*shape, H), (*shape, H)))
    options = dict(
        num_layers=int(rng.integers(1, 4)),
        bidirectional=bool(rng.integers(2)),
        batch_first=bool(rng.integers(2)),
        proj_size=int(rng.integers(1, H)) if rng.random() < 0.3 else 0,
    )
    module = nn.LSTM(I, H, bias=bias, dtype=dtype, **options).requires_grad_(weights_require)
    n, R = options["num_layers"] * (1 + options["bidirectional"]), options["proj_size"] or H
    if rng.random() < 0.3:
        x = torch.randn(T, B, I, dtype=dtype)
        lengths = torch.from_numpy(rng.integers(1, T + 1, B) if rng.random() < 0.8 else np.full(B, T))
        is_sorted = bool(rng.integers(2))
        lengths = lengths.sort(descending=True).values if is_sorted else lengths
        packed = pack_padded_sequence(x, lengths, enforce_sorted=is_sorted)
        packed.data.requires_grad_(x_requires)
        return module, (packed, *states((n, B, R), (n, B, H)))
    shape = ((B, T) if options["batch_first"] else (T, B)) if is_batched else (T,)
    x = strided(torch.randn(*shape, I, dtype=dtype), rng).detach().requires_grad_(x_requires)
    shape = (n, B) if is_batched else (n,)
    return module, (x, *states((*shape, R), (*shape, H)))
