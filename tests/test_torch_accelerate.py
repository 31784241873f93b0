"""accelerate and restore: the same objects with another class, and what else makes the modules PyTorch's own."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import lstm_fast as lf


class Initialised(nn.LSTM):
    """A subclass that changes no computation."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        nn.init.ones_(self.bias_ih_l0)

    def reset(self):
        return "reset"


class Own(nn.LSTM):
    def forward(self, input, hx=None):
        return super().forward(input * 2, hx)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.LSTM(3, 4, batch_first=True)
        self.again = self.first
        self.rest = nn.ModuleDict(
            {
                "cell": nn.LSTMCell(4, 5),
                "subclass": Initialised(4, 5),
                "own": Own(4, 5),
                "parametrized": parametrizations.weight_norm(nn.LSTM(4, 5), "weight_hh_l0"),
                "gru": nn.GRU(4, 4),
            }
        )
        self.out = nn.Linear(4, 1)

    def forward(self, x):
        y, _ = self.rest["gru"](self.again(self.first(x)[0][..., :3])[0])
        h = self.rest["cell"](y[:, 0])[0] + self.rest["subclass"](y)[0][:, 0] + self.rest["own"](y)[0][:, 0]
        return self.out(y).sum() + h.sum() + self.rest["parametrized"](y)[0].sum()


def classes(model):
    return {name: type(module) for name, module in model.named_modules()}


def test_what_is_swapped_and_what_is_not():
    model = Model()
    before, objects, keys = classes(model), dict(model.named_modules()), list(model.state_dict())
    parameters = list(model.parameters())
    assert lf.torch.accelerate(model) is model
    after = classes(model)
    assert after["first"] is lf.torch.LSTM and after["rest.cell"] is lf.torch.LSTMCell and model.again is model.first
    assert issubclass(after["rest.subclass"], lf.torch.LSTM) and issubclass(after["rest.subclass"], Initialised)
    assert model.rest["subclass"].reset() == "reset"
    assert {name for name in before if before[name] is not after[name]} == {"first", "rest.cell", "rest.subclass"}
    assert all(objects[name] is module for name, module in model.named_modules())
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True)) and list(model.state_dict()) == keys
    lf.torch.accelerate(model)
    assert classes(model) == after, "twice is once"
    model(torch.randn(2, 6, 3))
    assert lf.torch.restore(model) is model and classes(model) == before
    assert all("_packed" not in vars(module) for module in model.modules())
    assert lf.torch.restore(model) is model and classes(model) == before


def test_a_model_computes_and_learns_as_before():
    torch.manual_seed(0)
    slow, x = Model(), torch.randn(2, 6, 3)
    fast = copy.deepcopy(slow)
    optimizers = [torch.optim.Adam(model.parameters(), 1e-2) for model in (slow, fast)]
    lf.torch.accelerate(fast)
    losses = [[], []]
    for step in range(12):
        if step == 8:
            lf.torch.restore(fast)
        for model, optimizer, log in zip((slow, fast), optimizers, losses, strict=True):
            optimizer.zero_grad()
            loss = model(x)
            loss.backward()
            optimizer.step()
            log.append(loss.item())
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-4)


def test_hooks_flags_and_sharing_stay():
    calls = []
    lstm = nn.LSTM(3, 4).eval()
    lstm.register_forward_hook(lambda module, args, result: calls.append("forward"))
    lstm.register_forward_pre_hook(lambda module, args: calls.append("before"))
    lstm.register_full_backward_hook(lambda module, d_input, d_output: calls.append("backward"))
    lstm.weight_hh_l0.register_hook(lambda d: calls.append("parameter"))
    lstm.bias_ih_l0.requires_grad_(False)
    lf.torch.accelerate(lstm)
    assert not lstm.training and not lstm.bias_ih_l0.requires_grad
    lstm(torch.randn(2, 2, 3, requires_grad=True))[0].sum().backward()
    assert calls[:2] == ["before", "forward"] and set(calls) == {"before", "forward", "backward", "parameter"}
    with torch.no_grad():
        lstm(torch.randn(2, 2, 3))
    assert calls.count("forward") == 2


def test_arguments_are_modules():
    for function in (lf.torch.accelerate, lf.torch.restore):
        with pytest.raises(TypeError, match="module must be a torch.nn.Module, got list"):
            function([nn.LSTM(3, 4)])
    assert type(lf.torch.accelerate(nn.LSTM(3, 4))) is lf.torch.LSTM
    assert type(lf.torch.restore(lf.torch.LSTMCell(3, 4))) is nn.LSTMCell


def copies(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return [
        copy.deepcopy(module),
        copy.copy(module),
        pickle.loads(pickle.dumps(module)),
        torch.load(file, weights_only=False),
    ]


@pytest.mark.parametrize(
    "make",
    [
        lambda: lf.torch.LSTM(3, 4, 2, bidirectional=True),
        lambda: lf.torch.LSTMCell(3, 4),
        lambda: lf.torch.accelerate(Initialised(3, 4)),
        lambda: nn.Sequential(lf.torch.LSTM(3, 4)),
    ],
)
def test_copies_and_files(make):
    module = make()
    x = torch.randn(2, 3) if isinstance(module, nn.LSTMCell) else torch.randn(5, 2, 3)
    with torch.no_grad():
        want = module(x)[0]
        for one in copies(module):
            assert type(one) is type(module) and repr(one) == repr(module)
            assert "_packed" not in vars(one) or one._packed is None or one is module
            for _ in range(2):
                got = one(x)[0]
                assert torch.equal(
                    got[0] if isinstance(got, tuple) else got, want[0] if isinstance(want, tuple) else want
                )


@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(
            num_layers=2,
            bias=False,
            batch_first=True,
            dropout=0.25,
            bidirectional=True,
            proj_size=2,
            dtype=torch.float64,
        ),
    ],
)
def test_state_dict_and_repr_are_pytorchs(options):
    torch.manual_seed(0)
    pytorch = nn.LSTM(3, 4, **options)
    torch.manual_seed(0)
    ours = lf.torch.LSTM(3, 4, **options)
    assert repr(ours) == repr(pytorch) and isinstance(ours, nn.LSTM)
    assert list(ours.state_dict()) == list(pytorch.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(ours.state_dict().values(), pytorch.state_dict().values(), strict=True)
    )
    file = io.BytesIO()
    torch.save(ours.state_dict(), file)
    file.seek(0)
    pytorch.load_state_dict(torch.load(file))
    ours.load_state_dict(pytorch.state_dict())
    assert ours.all_weights[0][0] is ours.weight_ih_l0 and ours.double().weight_ih_l0.dtype is torch.float64
    native = lf.LSTM(3, 4, **options | {"dtype": "float64"}) if options else lf.LSTM(3, 4)
    native.load_state_dict(pytorch.state_dict())
