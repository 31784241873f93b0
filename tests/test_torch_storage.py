"""Memory: tensors stay resizable after a call, and results are on the CPU whatever the default device is."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import lstm_fast as lf
from torch_cases import flatten, twin


def _packed(x):
    return pack_padded_sequence(x, torch.tensor([3, 2]))


FORMS = {
    "steps": (nn.LSTM, (3, 2, 4), (1, 2, 5), lambda x: x),
    "one step": (nn.LSTM, (1, 2, 4), (1, 2, 5), lambda x: x),
    "unbatched": (nn.LSTM, (3, 4), (1, 5), lambda x: x),
    "packed": (nn.LSTM, (3, 2, 4), (1, 2, 5), _packed),
    "cell": (nn.LSTMCell, (2, 4), (2, 5), lambda x: x),
}
LARGE = 5000


def _resize(tensor):
    """By operations that need a resizable storage; they discard the values."""
    tensor.detach().resize_(LARGE)
    tensor.untyped_storage().resize_(0)


@pytest.mark.parametrize("grad", [False, True], ids=["inference", "gradients"])
@pytest.mark.parametrize("form", FORMS)
def test_inputs_and_results_are_not_kept_alive(form, grad):
    torch.manual_seed(0)
    cls, shape, state_shape, convert = FORMS[form]
    ours = twin(cls(4, 5))
    with torch.set_grad_enabled(grad):
        for _ in range(3):
            x, states = torch.randn(shape), (torch.randn(state_shape), torch.randn(state_shape))
            given = convert(x)
            results = flatten(ours(given, states))
            if grad:
                torch.autograd.backward(results[0], torch.ones_like(results[0]))
    gradients = [p.grad for p in ours.parameters() if grad]
    floating = [t for t in results if t.is_floating_point()]
    for tensor in (x, *flatten(given)[:1], *states, *floating, *gradients, *ours.parameters()):
        _resize(tensor)


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")
def test_growing_buffer():
    buffer, ours = torch.empty(0), lf.torch.LSTM(4, 5)
    with torch.no_grad():
        for n in (1, 2, 5):
            torch.stack([torch.ones(2, 4)] * n, out=buffer)
            assert ours(buffer)[0].shape == (n, 2, 5)


def test_freed_and_restored_weights():
    """Mimics FSDP between calls."""
    torch.manual_seed(0)
    pytorch, x = nn.LSTM(4, 5), torch.randn(3, 2, 4)
    ours = twin(pytorch)
    with torch.no_grad():
        want = ours(x)[0]
        sizes = [p.untyped_storage().nbytes() for p in ours.parameters()]
        for p in ours.parameters():
            p.untyped_storage().resize_(0)
        with pytest.raises(ValueError, match="allocated storage"):
            ours(x)
        for p, n, q in zip(ours.parameters(), sizes, pytorch.parameters(), strict=True):
            p.untyped_storage().resize_(n)
            p.copy_(q)
        assert torch.equal(ours(x)[0], want)
        ours.weight_hh_l0.data.zero_()
        assert not torch.equal(ours(x)[0], want)


def test_results_own_their_storage():
    ours = lf.torch.LSTM(4, 5)
    for mode in (torch.no_grad, torch.enable_grad):
        with mode():
            for _ in range(2):
                results = flatten(ours(torch.randn(3, 2, 4)))
            assert len({t.untyped_storage().data_ptr() for t in results}) == 3
            assert all(t.untyped_storage().nbytes() == 4 * t.numel() for t in results)


def test_replaced_weights_are_not_kept_alive():
    ours, x = lf.torch.LSTM(4, 5), torch.randn(1, 1, 4)
    with torch.no_grad():
        ours(x), ours(x)
    old = weakref.ref(ours.weight_hh_l0)
    ours.weight_hh_l0 = nn.Parameter(torch.zeros(20, 5))
    gc.collect()
    assert old() is None


def test_values_in_inference_mode_and_of_inference_tensors():
    ours = lf.torch.LSTM(4, 5)
    with torch.inference_mode():
        x = torch.randn(3, 2, 4)
        for _ in range(2):
            inside = ours(x)[0]
    assert inside.is_inference()
    with torch.no_grad():
        outside = ours(x)[0]
    assert not outside.is_inference() and torch.equal(inside, outside)


def test_misaligned_tensors():
    ours = lf.torch.LSTM(4, 5)
    want = torch.randn(3, 2, 4)
    x = torch.frombuffer(bytearray(4 * 24 + 1), dtype=torch.float32, offset=1, count=24).view(3, 2, 4).copy_(want)
    assert x.data_ptr() % 4
    with torch.no_grad():
        for _ in range(2):
            assert torch.equal(ours(x)[0], ours(want)[0])


def _meta_context():
    return torch.device("meta")


class DefaultDevice:
    def __enter__(self):
        torch.set_default_device("meta")

    def __exit__(self, *error):
        torch.set_default_device(None)


@pytest.mark.parametrize("context", [_meta_context, DefaultDevice])
@pytest.mark.parametrize("form", FORMS)
def test_another_default_device(form, context):
    torch.manual_seed(0)
    cls, shape, state_shape, convert = FORMS[form]
    x, states = torch.randn(shape), (torch.randn(state_shape), torch.randn(state_shape))
    pytorch = cls(4, 5)
    ours = twin(pytorch)
    for module in (pytorch, ours):
        arguments = convert(x.clone().requires_grad_()), states
        with context():
            results = flatten(module(*arguments))
            torch.autograd.backward(results[0], results[0].detach())
            for _ in range(2):
                with torch.no_grad():
                    again = flatten(module(*arguments))
        assert all(t.device.type == "cpu" for t in results)
        if module is ours:
            for a, b, c in zip(results, again, flatten(pytorch(*arguments)), strict=True):
                assert torch.equal(a, b)
                torch.testing.assert_close(a, c)
    for p, q in zip(ours.parameters(), pytorch.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)


@pytest.mark.filterwarnings("ignore::lstm_fast.torch.FallbackWarning")
def test_dropout_and_fallbacks_with_another_default_device():
    ours, x = lf.torch.LSTM(4, 5, 2, dropout=0.5), torch.randn(3, 2, 4, requires_grad=True)
    torch.manual_seed(0)
    want = ours(x)[0]
    with torch.device("meta"):
        torch.manual_seed(0)
        output = ours(x)[0]
        assert torch.equal(output, want)
        output.sum().backward()
        ours.eval()
        (d,) = torch.autograd.grad(ours(x)[0].sum(), x, create_graph=True)
        d.sum().backward()
        half = ours.bfloat16()(x.detach().bfloat16())[0]
    assert half.device.type == "cpu"


def test_another_default_dtype():
    ours, x = lf.torch.LSTM(4, 5), torch.randn(3, 2, 4)
    want = ours(x)[0]
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            got = ours(x)[0]
    finally:
        torch.set_default_dtype(torch.float32)
    assert got.dtype is torch.float32 and torch.equal(got, want)


def test_tensors_are_read_the_same_without_the_exchange_api():
    """As in PyTorch before 2.10, through tensor methods."""

    class Tensor(torch.Tensor):
        __dlpack_c_exchange_api__ = None

    core = lf.torch.memory._core
    codes = {torch.float32: "f", torch.float64: "d", torch.int64: "l", torch.uint8: "B"}
    reader = core.TensorReader((Tensor, nn.Parameter), codes)
    for tensor in (
        torch.randn(3, 4),
        torch.randn(3, 4, dtype=torch.float64)[1:, ::2],
        torch.arange(5),
        torch.zeros(2, 3, 4, dtype=torch.uint8).transpose(0, 2),
        torch.randn(3, 1).expand(3, 4),
        torch.empty(0, 3),
        nn.Parameter(torch.randn(2)),
    ):
        want = lf.torch.memory.array(tensor)
        got = reader.array(tensor if isinstance(tensor, nn.Parameter) else tensor.as_subclass(Tensor))
        assert got.dtype == want.dtype and got.shape == want.shape and (got == want).all()
        assert got.size == 0 or (got.ctypes.data, got.strides) == (want.ctypes.data, want.strides)
        assert (want == tensor.detach().numpy()).all()
    for tensor in (torch.randn(3).half(), torch.randn(3, device="meta"), torch.randn(())):
        for one, value in ((lf.torch.memory.reader, tensor), (reader, tensor.as_subclass(Tensor))):
            with pytest.raises(ValueError, match="expected a dense tensor on the CPU"):
                one.array(value)
    for one, value in ((reader, torch.randn(3)), (lf.torch.memory.reader, torch.randn(3, 3).to_sparse())):
        with pytest.raises(ValueError, match="got Tensor"):
            one.array(value)


@pytest.mark.parametrize("form", FORMS)
def test_modules_compute_the_same_without_the_exchange_api(form, monkeypatch):
    torch.manual_seed(0)
    cls, shape, state_shape, convert = FORMS[form]
    ours, other = (twin(module) for module in [cls(4, 5)] * 2)
    arguments = convert(torch.randn(shape)), (torch.randn(state_shape), torch.randn(state_shape))
    with torch.no_grad():
        want = flatten(ours(*arguments))
        codes = {torch.float32: "f", torch.float64: "d", torch.int64: "l", torch.uint8: "B"}
        monkeypatch.delattr(torch.Tensor, "__dlpack_c_exchange_api__", raising=False)
        reader = lf.torch.memory._core.TensorReader((torch.Tensor, nn.Parameter), codes)
        monkeypatch.setattr(lf.torch.memory, "reader", reader)
        monkeypatch.setattr(lf.torch.weights, "reader", reader)
        for _ in range(2):
            assert all(map(torch.equal, flatten(other(*arguments)), want))
        next(iter(other.parameters())).data[3, 1] += 1
        assert not torch.equal(flatten(other(*arguments))[0], want[0])
    other.zero_grad()
    flatten(other(*arguments))[0].sum().backward()
    assert all(p.grad is not None for p in other.parameters())
