"""Packed copies follow the parameters, however these were modified."""

import copy
import threading

import pytest
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, parametrizations, prune, vector_to_parameters

import lstm_fast as lf
from torch_cases import twin


def _optimizer(module, **options):
    for p in module.parameters():
        p.grad = torch.ones_like(p)
    torch.optim.Adam(module.parameters(), lr=0.1, **options).step()


def _replace(module):
    for name, p in list(module.named_parameters()):
        setattr(module, name, nn.Parameter(p.detach() * 0.5))


def _data(change):
    def write(module):
        for p in module.parameters():
            change(p)

    return write


def _one_block(module):
    list(module.parameters())[2].data[4:8].fill_(1.0)


def _inference_mode(module):
    with torch.inference_mode():
        next(iter(module.parameters())).mul_(2)


WRITES = {
    "in place": _data(lambda p: p.mul_(1.5)),
    "data in place": _data(lambda p: p.data.mul_(0.5)),
    "data copied into": _data(lambda p: p.data.copy_(torch.full_like(p, 0.1))),
    "data of one block": _one_block,
    "data set": _data(lambda p: setattr(p, "data", p.data * 2)),
    "numpy": _data(lambda p: p.detach().numpy().__imul__(2)),
    "optimizer": _optimizer,
    "fused optimizer": lambda module: _optimizer(module, fused=True),
    "load_state_dict": lambda module: module.load_state_dict({k: v * 3 for k, v in module.state_dict().items()}),
    "load_state_dict, assign": lambda module: module.load_state_dict(
        {k: v * 3 for k, v in module.state_dict().items()}, assign=True
    ),
    "vector_to_parameters": lambda module: vector_to_parameters(
        parameters_to_vector(module.parameters()) * 2, module.parameters()
    ),
    "other parameters": _replace,
    "inference mode": _inference_mode,
    "init": lambda module: [nn.init.orthogonal_(p) for p in module.parameters() if p.ndim == 2],
    "to double and back": lambda module: [p.data.add_(0.1) for p in module.double().float().parameters()],
}


@pytest.mark.parametrize("cls", [nn.LSTM, nn.LSTMCell])
@pytest.mark.parametrize("shape", [(1, 1), (100, 3)], ids=["few steps", "many steps"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_every_write_is_detected(write, shape, cls):
    torch.manual_seed(0)
    pytorch = cls(6, 8)
    ours = twin(pytorch)
    shape = shape if cls is nn.LSTM else (shape[0],)
    arguments = (
        torch.randn(*shape, 6),
        (torch.zeros(1, *shape[1:], 8) if cls is nn.LSTM else torch.zeros(*shape, 8),) * 2,
    )
    with torch.no_grad():
        for _ in range(3):
            before = ours(*arguments)[0]
    for module in (pytorch, ours):
        torch.manual_seed(1)
        with torch.no_grad():
            write(module)
    with torch.no_grad():
        want, got = pytorch(*arguments)[0], ours(*arguments)[0]
    assert not torch.allclose(want, before)
    torch.testing.assert_close(got, want)
    pytorch.zero_grad()
    torch.testing.assert_close(ours(*arguments)[0], want)


def test_flatten_parameters_discards_packed_copies():
    for ours, arguments in ((lf.torch.LSTM(4, 4), torch.randn(2, 4)), (lf.torch.LSTMCell(4, 4), torch.randn(4))):
        ours(arguments)
        assert ours._packed is not None
        ours.flatten_parameters()
        assert ours._packed is None


def test_concurrent_writes_reach_later_calls():
    torch.manual_seed(0)
    ours, x, done = lf.torch.LSTM(16, 256), torch.randn(1, 1, 16), threading.Event()

    def write():
        for k in range(200):
            ours.weight_hh_l0.data[k % 1024, k % 256] += 0.1
            ours.bias_ih_l0.data = ours.bias_ih_l0.data + 0.01
        done.set()

    thread = threading.Thread(target=write)
    state = torch.rand(1, 1, 256), torch.rand(1, 1, 256)
    with torch.no_grad():
        thread.start()
        while not done.is_set():
            ours(x, state)
        thread.join()
        assert torch.equal(ours(x, state)[0], copy.deepcopy(ours)(x, state)[0])


def test_unchanged_weights_are_not_repacked(monkeypatch):
    made = []
    packed = lf.torch.weights.Packed
    monkeypatch.setattr(lf.torch.weights, "Packed", lambda *args: made.append(args) or packed(*args))
    lstm, cell = lf.torch.LSTM(3, 4), lf.torch.LSTMCell(3, 4)
    x, state = torch.randn(200, 2, 3), (torch.zeros(2, 4),) * 2
    for mode in (torch.no_grad, torch.enable_grad, torch.inference_mode):
        with mode():
            for _ in range(3):
                lstm(x), lstm(x[:1]), cell(x[0], state)
    assert len(made) == 2


def test_weights_computed_from_parameters():
    torch.manual_seed(0)
    x = torch.randn(4, 2, 3)
    for change in (
        lambda m: parametrizations.weight_norm(m, "weight_hh_l0"),
        lambda m: parametrizations.orthogonal(m, "weight_hh_l0"),
        lambda m: prune.random_unstructured(m, "weight_ih_l0", 0.5),
    ):
        pytorch = nn.LSTM(3, 5)
        ours = lf.torch.LSTM(3, 5)
        ours.load_state_dict(pytorch.state_dict())
        for module in (pytorch, ours):
            torch.manual_seed(1)
            change(module)
        for _ in range(2):
            a, b = pytorch(x)[0], ours(x)[0]
            torch.testing.assert_close(b, a)
            a.sum().backward()
            b.sum().backward()
            for p, q in zip(pytorch.parameters(), ours.parameters(), strict=True):
                torch.testing.assert_close(q.grad, p.grad, rtol=1e-4, atol=1e-5)
            with torch.no_grad():
                torch.testing.assert_close(ours(x)[0], pytorch(x)[0])
                for module in (pytorch, ours):
                    for p in module.parameters():
                        p.add_(0.1)


def test_functional_call_leaves_the_module_as_it_was():
    ours, x = lf.torch.LSTM(3, 5), torch.randn(1, 1, 3)
    with torch.no_grad():
        before = ours(x)[0]
        other = {name: p.detach() * 2 for name, p in ours.named_parameters()}
        changed = torch.func.functional_call(ours, other, (x,))[0]
        assert torch.equal(ours(x)[0], before) and not torch.equal(changed, before)
        twice = copy.deepcopy(ours)
        twice.load_state_dict(other)
        assert torch.equal(twice(x)[0], changed)


def test_module_of_inference_tensors():
    with torch.inference_mode():
        ours, x = lf.torch.LSTM(3, 5), torch.randn(1, 1, 3)
        first = ours(x)[0]
        ours.weight_hh_l0.mul_(2), ours.weight_ih_l0.mul_(2)
        assert not torch.equal(ours(x)[0], first)


def test_threads_share_a_module():
    torch.manual_seed(0)
    ours = lf.torch.LSTM(16, 32, 2)
    xs = torch.randn(8, 12, 4, 16)
    want = [ours(x)[0].detach() for x in xs]
    got, failures = {}, []

    def work(k):
        try:
            for n in range(30):
                with torch.no_grad() if (n + k) % 2 else torch.enable_grad():
                    got[k, n] = ours(xs[k])[0].detach()
                if n % 7 == 0:
                    ours.flatten_parameters()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(xs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(got) == 8 * 30
    assert all(torch.equal(result, want[k]) for (k, _), result in got.items())


def test_num_threads_is_the_minimum_of_both_libraries():
    before = torch.get_num_threads()
    try:
        for ours, pytorch in ((3, 2), (2, 3), (1, 1)):
            lf.set_num_threads(ours)
            torch.set_num_threads(pytorch)
            assert lf.torch.call.num_threads() == min(ours, pytorch)
    finally:
        torch.set_num_threads(before)
