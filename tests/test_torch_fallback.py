"""Fallback to PyTorch: the same result, and one warning per process and reason."""

import io
import warnings

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

import lstm_fast as lf
from torch_cases import flatten, twin


@pytest.fixture(autouse=True)
def no_warning_was_given(monkeypatch):
    monkeypatch.setattr(lf.torch.fallback, "_warned", set())


class Marked(torch.Tensor):
    pass


def autocast_to_float16(module, x):
    with torch.autocast("cpu", dtype=torch.float16):
        return module(x)


def autocast_in_float64(module, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return module.double()(x.double())


def meta(module, x):
    return [torch.zeros(t.shape) for t in flatten(module.to("meta")(x.to("meta")))]


def forward_mode(module, x):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(module(forward_ad.make_dual(x, torch.ones_like(x)))[0]).tangent


def counted(module, x):
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False):
        return module(x)


def negative_bit(module, x):
    return module(torch.complex(x, x).conj().imag)


WAYS = {
    "autocast to float16": autocast_to_float16,
    "autocast to bfloat16 of other parameters": autocast_in_float64,
    "the dtype bfloat16": lambda module, x: module.bfloat16()(x.bfloat16()),
    "the dtype float16": lambda module, x: module.half()(x.half()),
    "the device meta": meta,
    "the tensor class Marked": lambda module, x: module(x.as_subclass(Marked)),
    "transforms of torch.func": lambda module, x: torch.func.grad(lambda x: module(x)[0].sum())(x),
    "forward-mode": forward_mode,
    "dispatch modes": counted,
    "tensors that are not plain memory": negative_bit,
}


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("reason", WAYS)
def test_fallback_warns_once_with_the_reason(reason, grad):
    torch.manual_seed(0)
    x = torch.randn(4, 2, 3)

    def results(module):
        with torch.set_grad_enabled(grad):
            module(x)
            return flatten(WAYS[reason](module, x))

    pytorch = nn.LSTM(3, 5)
    ours = [twin(pytorch), twin(pytorch)]
    try:
        want = results(pytorch)
    except Exception as error:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(type(error)):
                results(ours[0])
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        got = results(ours[0])
        results(ours[1])
    caught = [one for one in caught if issubclass(one.category, lf.torch.FallbackWarning)]
    assert len(caught) == 1 and reason in str(caught[0].message), [str(one.message) for one in caught]
    for a, b in zip(got, want, strict=True):
        assert type(a) is type(b) and a.dtype == b.dtype and torch.equal(a, b)


def test_autocast_of_another_device_is_ignored():
    ours, x = lf.torch.LSTM(3, 5), torch.randn(4, 2, 3)
    want = ours(x)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # there is no such device
        context = torch.autocast("cuda", dtype=torch.float16)
    warnings.simplefilter("error")
    with context:
        assert torch.equal(ours(x)[0], want)
        with torch.no_grad():
            assert torch.equal(ours(x)[0], want)


def test_fallback_trains():
    pytorch = nn.LSTM(3, 5).bfloat16()
    x = torch.randn(4, 2, 3).bfloat16()
    ours = twin(pytorch)
    with pytest.warns(lf.torch.FallbackWarning, match="bfloat16"):
        ours(x)[0].sum().backward()
    pytorch(x)[0].sum().backward()
    assert torch.equal(ours.weight_hh_l0.grad, pytorch.weight_hh_l0.grad)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("cls, shape", [(nn.LSTM, (4, 2, 3)), (nn.LSTMCell, (2, 3))])
def test_torch_jit(cls, shape):
    """Traced and scripted modules hold PyTorch's operators: they can be loaded without lstm_fast."""
    pytorch, x = cls(3, 5), torch.randn(shape)
    one = twin(pytorch)
    model = nn.Sequential(one)
    want = flatten(pytorch(x))
    with pytest.warns(lf.torch.FallbackWarning, match="torch.jit.trace"):
        traced = torch.jit.trace(model, x)
    with pytest.warns(lf.torch.FallbackWarning, match="torch.jit.script"):
        scripted = torch.jit.script(model)
    assert model[0] is one and type(one) is cls, "PyTorch's own, and the same object"
    for compiled in (traced, scripted):
        file = io.BytesIO()
        torch.jit.save(compiled, file)
        file.seek(0)
        for a, b in zip(flatten(torch.jit.load(file)(x)), want, strict=True):
            assert torch.equal(a, b)
        assert "lstm" in str(compiled.inlined_graph)
    assert torch.equal(flatten(lf.torch.accelerate(model)(x))[0], flatten(twin(pytorch)(x))[0])


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_torch_export():
    pytorch, x = nn.LSTM(3, 5, batch_first=True), torch.randn(2, 4, 3)
    with warnings.catch_warnings(record=True):
        program = torch.export.export(nn.Sequential(twin(pytorch)), (x,))
    assert any("lstm" in str(node.target) and "aten" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(x)[0], pytorch(x)[0])


def test_torch_fx_treats_modules_as_leaves():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 5)

        def forward(self, x):
            output, (h, _) = self.lstm(x)
            return output.sum() + h.sum()

    model, x = lf.torch.accelerate(Model()), torch.randn(4, 2, 3)
    traced = torch.fx.symbolic_trace(model)
    assert [node.target for node in traced.graph.nodes if node.op == "call_module"] == ["lstm"]
    assert torch.equal(traced(x), model(x))
