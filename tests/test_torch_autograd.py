"""Behavior of autograd around the gradient: versions, saved tensors, hooks, second derivatives, optimizers."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import lstm_fast as lf
from torch_cases import assert_alike, leaves, twin


@pytest.fixture(autouse=True)
def no_warning_was_given(monkeypatch):
    monkeypatch.setattr(lf.torch.fallback, "_warned", set())


def example(**options):
    torch.manual_seed(0)
    return nn.LSTM(3, 5, 2, dtype=torch.float64, **options), torch.randn(
        4, 2, 3, dtype=torch.float64, requires_grad=True
    )


@pytest.mark.parametrize("change", ["x", "h_0", "weight_hh_l0", "bias_ih_l1"])
def test_in_place_change_before_backward_raises_like_pytorch(change):
    pytorch, x = example()
    for module in (pytorch.float(), twin(pytorch)):
        x_now, h_0, c_0 = x.float().clone(), *(torch.zeros(2, 2, 5) for _ in range(2))
        output, _ = module(x_now, (h_0, c_0))
        with torch.no_grad():
            {"x": x_now, "h_0": h_0}.get(change, getattr(module, change, None)).add_(1)
        with pytest.raises(
            RuntimeError, match="needed for gradient computation has been modified by an inplace operation"
        ):
            output.sum().backward()


def test_results_may_be_modified_in_place():
    """The tape copies its arrays: the gradient stays correct where PyTorch raises an error."""
    pytorch, x = example()
    ours = twin(pytorch)
    output, (h_n, _) = pytorch(x)
    (output.relu().sum() + 2 * h_n.sum()).backward()
    want, x.grad = x.grad, None
    output, (h_n, _) = ours(x)
    (output.relu_().sum() + h_n.mul_(2).sum()).backward()
    torch.testing.assert_close(x.grad, want)


def test_gradients_are_computed_only_where_required():
    pytorch, x = example()
    ours = twin(pytorch)
    ours.weight_hh_l0.requires_grad_(False)
    ours.bias_ih_l1.requires_grad_(False)
    ours(x.detach())[0].sum().backward()
    assert x.grad is None and ours.weight_hh_l0.grad is None and ours.bias_ih_l1.grad is None
    pytorch(x.detach())[0].sum().backward()
    assert_alike([ours.weight_ih_l1.grad], [pytorch.weight_ih_l1.grad], 1e-13, "weight_ih_l1")
    for p in ours.parameters():
        p.requires_grad_(False)
    assert not ours(x.detach())[0].requires_grad
    h_0, c_0 = (torch.zeros(2, 2, 5, dtype=torch.float64, requires_grad=needed) for needed in (False, True))
    ours(x.detach(), (h_0, c_0))[0].sum().backward()
    assert h_0.grad is None and c_0.grad.abs().sum() > 0


@pytest.mark.parametrize("which", range(3))
def test_loss_on_a_single_result(which):
    pytorch, x = example(bidirectional=True)
    gradients = []
    for module in (pytorch, twin(pytorch)):
        output, (h_n, c_n) = module(x)
        gradients.append(torch.autograd.grad((output, h_n, c_n)[which].square().sum(), [x, *module.parameters()]))
    assert_alike(gradients[1], gradients[0], 1e-13, which)


def test_backward_twice_with_and_without_retaining_the_graph():
    pytorch, x = example()
    ours = twin(pytorch)
    loss = ours(x)[0].sum()
    loss.backward(retain_graph=True)
    first = x.grad.clone()
    loss.backward()
    assert torch.equal(x.grad, 2 * first)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_tape_is_freed_with_the_graph():
    ours, x = lf.torch.LSTM(3, 64), torch.randn(50, 8, 3)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(weakref.ref(t)) or t, lambda t: t):
        output, _ = ours(x)
    assert any(t() is not None and t().dtype is torch.uint8 for t in kept)
    output.sum().backward()
    gc.collect()
    assert not any(t() is not None and t().dtype is torch.uint8 for t in kept), "though output is alive"


def test_saved_tensor_hooks():
    pytorch, x = example()
    ours = twin(pytorch)
    want = torch.autograd.grad(ours(x)[0].square().sum(), [x, *ours.parameters()])

    def misplaced(t):
        memory = torch.empty(t.numel() * t.element_size() + 8, dtype=torch.uint8)
        memory[8:] = t.contiguous().view(-1).view(torch.uint8)
        return memory, t.shape, t.dtype

    with torch.autograd.graph.saved_tensors_hooks(misplaced, lambda kept: kept[0][8:].view(kept[2]).view(kept[1])):
        got = torch.autograd.grad(ours(x)[0].square().sum(), [x, *ours.parameters()])
    assert all(map(torch.equal, got, want))


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoints(use_reentrant):
    module, x = lf.torch.LSTM(3, 5, 2, dropout=0.5, dtype=torch.float64), torch.randn(4, 2, 3, dtype=torch.float64)
    gradients = []
    for through in (
        lambda x: module(x)[0],
        lambda x: checkpoint(lambda x: module(x)[0], x, use_reentrant=use_reentrant),
    ):
        torch.manual_seed(3)
        module.zero_grad()
        fresh = leaves(x.requires_grad_())
        through(fresh).square().sum().backward()
        gradients.append([fresh.grad, *(p.grad for p in module.parameters())])
    assert all(map(torch.equal, *gradients))


def test_second_derivatives_fall_back_and_warn_once(recwarn):
    pytorch, x = example(bidirectional=True, batch_first=True)
    second = []
    for module in (pytorch, twin(pytorch), twin(pytorch)):
        (gradient,) = torch.autograd.grad(module(x)[0].square().sum(), x, create_graph=True)
        second.append(torch.autograd.grad(gradient.square().sum(), [x, *module.parameters()]))
    assert_alike(second[1], second[0], 1e-12, "second derivatives")
    (warning,) = recwarn
    assert warning.category is lf.torch.FallbackWarning and "double backward" in str(warning.message)


@pytest.mark.filterwarnings("ignore::lstm_fast.torch.FallbackWarning")
def test_second_derivatives_of_packed_sequences():
    pytorch, _ = example()
    data = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    packed = nn.utils.rnn.PackedSequence(data, torch.tensor([3, 2, 1, 1]))
    second = []
    for module in (pytorch, twin(pytorch)):
        (gradient,) = torch.autograd.grad(module(packed)[0].data.square().sum(), data, create_graph=True)
        second.append(torch.autograd.grad(gradient.square().sum(), [data, *module.parameters()]))
    assert_alike(second[1], second[0], 1e-12, "second derivatives")


def test_second_derivatives_with_dropout_raise():
    pytorch, x = example(dropout=0.5)
    with pytest.raises(RuntimeError, match="dropout does not support double backward"):
        torch.autograd.grad(twin(pytorch)(x)[0].sum(), x, create_graph=True)


@pytest.mark.filterwarnings("ignore::lstm_fast.torch.FallbackWarning")
def test_second_derivatives_where_x_depends_on_the_parameters():
    """Each gradient is a partial derivative: the contribution through x is counted once."""
    torch.manual_seed(0)
    pytorch, x = nn.LSTM(5, 5, dtype=torch.float64), torch.randn(4, 2, 5, dtype=torch.float64)
    second = []
    for module in (pytorch, twin(pytorch)):
        output = module(module(x)[0])[0]
        first = torch.autograd.grad(output.square().sum(), list(module.parameters()), create_graph=True)
        loss = sum(d.square().sum() for d in first)
        second.append([*first, *torch.autograd.grad(loss, list(module.parameters()))])
    assert_alike(second[1], second[0], 1e-12, "second derivatives")


@pytest.mark.parametrize(
    "optimizer", [torch.optim.SGD, torch.optim.Adam, lambda p, lr: torch.optim.Adam(p, lr, fused=True)]
)
def test_training_matches_pytorch(optimizer):
    """Also with a fused optimizer, which changes parameters without changing their version."""
    torch.manual_seed(0)
    x, y = torch.randn(6, 8, 3), torch.randn(6, 8, 16)
    pytorch = nn.LSTM(3, 16, 2)
    losses = []
    for module in (pytorch, twin(pytorch)):
        step = optimizer(module.parameters(), lr=1e-2)
        losses.append([])
        for _ in range(15):
            step.zero_grad()
            loss = (module(x)[0] - y).square().mean()
            loss.backward()
            step.step()
            with torch.no_grad():
                losses[-1] += [loss.item(), module(x[:1, :1])[0].sum().item()]
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-5)


def test_parameter_gradients_do_not_share_memory():
    ours, x = lf.torch.LSTM(3, 5), torch.randn(2, 2, 3)
    ours(x)[0].sum().backward()
    before = ours.bias_ih_l0.grad.clone()
    ours.bias_hh_l0.grad.zero_()
    assert torch.equal(ours.bias_ih_l0.grad, before)
