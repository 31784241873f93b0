"""Unusual gradients: batched by vmap, lazily zero or negative, sparse; and x that is overwritten before backward."""

import pytest
import torch
from torch import nn
from torch.autograd.functional import hessian, jacobian
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import lstm_fast as lf
from torch_cases import assert_alike, flatten, twin

F64 = torch.float64


def both(*args, cls=nn.LSTM, **options):
    torch.manual_seed(0)
    pytorch = cls(*args, dtype=F64, **options)
    return pytorch, twin(pytorch)


@pytest.fixture(autouse=True)
def no_warning_was_given(monkeypatch):
    monkeypatch.setattr(lf.torch.fallback, "_warned", set())


@pytest.mark.filterwarnings("ignore::lstm_fast.torch.FallbackWarning")
@pytest.mark.parametrize("vectorize", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"batch_first": True}, {"bidirectional": True, "num_layers": 2, "proj_size": 2}]
)
def test_jacobians(options, vectorize):
    x, results = torch.randn(3, 2, 4, dtype=F64), []
    for module in both(4, 5, **options):
        with torch.enable_grad():
            results.append(flatten(jacobian(lambda x, f=module: f(x)[0].sum(1), x, vectorize=vectorize)))
    assert_alike(results[1], results[0], 1e-12, "jacobian")


@pytest.mark.filterwarnings("ignore::lstm_fast.torch.FallbackWarning")
def test_hessians():
    x, results = torch.randn(3, 2, 4, dtype=F64), []
    for module in both(4, 5):
        results.append(hessian(lambda x, f=module: f(x)[0].square().sum(), x, vectorize=True))
    torch.testing.assert_close(results[1], results[0])


def _packed(x):
    return pack_padded_sequence(x, torch.tensor([3, 2]))


FORMS = {
    "steps": (nn.LSTM, (3, 2, 4), lambda x: x),
    "unbatched": (nn.LSTM, (3, 4), lambda x: x),
    "packed": (nn.LSTM, (3, 2, 4), _packed),
    "cell": (nn.LSTMCell, (2, 4), lambda x: x),
}


@pytest.mark.parametrize("form", FORMS)
def test_batched_gradients(form):
    cls, shape, convert = FORMS[form]
    x, results = torch.randn(shape, dtype=F64, requires_grad=True), []
    for module in both(4, 5, cls=cls):
        output = flatten(module(convert(x)))[0]
        d = torch.randn(6, *output.shape, dtype=F64, generator=torch.Generator().manual_seed(1))
        inputs = [x, *module.parameters()]
        if isinstance(module, (lf.torch.LSTM, lf.torch.LSTMCell)):
            with pytest.warns(lf.torch.FallbackWarning, match="batched gradients"):
                results.append(torch.autograd.grad(output, inputs, d, is_grads_batched=True))
        else:
            results.append(torch.autograd.grad(output, inputs, d, is_grads_batched=True))
    assert_alike(results[1], results[0], 1e-12, "batched")


@pytest.mark.filterwarnings("ignore::lstm_fast.torch.FallbackWarning")
def test_vmap_around_autograd_grad():
    x, results = torch.randn(3, 2, 4, dtype=F64, requires_grad=True), []
    for module in both(4, 5):
        output = module(x)[0]
        d = torch.eye(output.numel(), dtype=F64).view(-1, *output.shape)
        results += torch.func.vmap(lambda d, y=output: torch.autograd.grad(y, x, d, retain_graph=True))(d)
    torch.testing.assert_close(results[1], results[0])


def test_batched_gradients_with_dropout_raise():
    _, ours = both(4, 5, num_layers=2, dropout=0.5)
    x = torch.randn(3, 2, 4, dtype=F64, requires_grad=True)
    with pytest.raises(RuntimeError, match="with dropout does not support batched gradients"):
        jacobian(lambda x: ours(x)[0].sum((0, 1)), x, vectorize=True)


LAZY = {
    "zero": lambda d: torch._efficientzerotensor(d.shape, dtype=d.dtype),
    "negative": lambda d: torch.complex(d, d).conj().imag,
    "sparse": lambda d: d.to_sparse(),
    "expanded": lambda d: d[:1, :1].expand_as(d),
    "strided": lambda d: torch.stack([d, d], -1)[..., 0],
}


@pytest.mark.parametrize("kind", LAZY)
def test_non_dense_gradients(kind):
    x, results = torch.randn(3, 2, 4, dtype=F64, requires_grad=True), []
    for module in both(4, 5):
        output, (h_n, c_n) = module(x)
        d = [torch.ones_like(t).cumsum(-1) for t in (output, h_n, c_n)]
        if isinstance(module, lf.torch.LSTM) or kind != "sparse":  # PyTorch's kernel takes no sparse ones
            d = [d[0], *(LAZY[kind](one) for one in d[1:])] if kind == "sparse" else list(map(LAZY[kind], d))
        results.append(torch.autograd.grad([output, h_n, c_n], [x, *module.parameters()], d))
    assert_alike(results[1], results[0], 1e-12, kind)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_x_may_be_written_after_a_batch_first_call(requires_grad, layers):
    results = []
    start = torch.randn(2, 5, 4, dtype=F64)
    for module in both(4, 4, layers, batch_first=True):
        x = start.clone().requires_grad_(requires_grad)
        z = x * 1
        z += module(z)[0]
        z.square().sum().backward()
        results.append([x.grad, *(p.grad for p in module.parameters())])
    assert_alike(results[1], results[0], 1e-12, "written")


def test_in_place_write_that_pytorch_rejects_raises():
    for module in both(4, 4):
        z = torch.randn(5, 2, 4, dtype=F64) * 1
        z += module(z)[0]
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            z.sum().backward()


def test_packed_results_may_be_modified_in_place():
    _, ours = both(4, 4)
    x = torch.randn(5, 2, 4, dtype=F64, requires_grad=True)
    packed, _ = ours(pack_padded_sequence(x, torch.tensor([5, 3])))
    assert isinstance(packed, PackedSequence)
    packed.data.mul_(2)
    packed.data.sum().backward()
    assert x.grad is not None
