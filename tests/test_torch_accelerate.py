"""accelerate and restore: the same objects with another class, which behave like PyTorch's modules."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

import lstm_fast as lf


class Initialized(nn.LSTM):
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
                "subclass": Initialized(4, 5),
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


def test_accelerate_replaces_only_supported_modules():
    model = Model()
    before, objects, keys = classes(model), dict(model.named_modules()), list(model.state_dict())
    parameters = list(model.parameters())
    assert lf.torch.accelerate(model) is model
    after = classes(model)
    assert after["first"] is lf.torch.LSTM and after["rest.cell"] is lf.torch.LSTMCell and model.again is model.first
    assert issubclass(after["rest.subclass"], lf.torch.LSTM) and issubclass(after["rest.subclass"], Initialized)
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


def test_accelerated_model_computes_and_learns_as_before():
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


def test_hooks_flags_and_sharing_are_kept():
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


def test_report_lists_replaced_and_skipped_modules():
    model = Model()
    before = lf.torch.report(model)
    assert not before.accelerated and before.left["first"] == "not accelerated yet"
    report = lf.torch.report(lf.torch.accelerate(model))
    assert report.accelerated == ["first", "rest.cell", "rest.subclass"]
    assert report.left == {
        "rest.own": "Own overrides forward",
        "rest.parametrized": "weight_hh_l0 is computed before each call (parametrization, weight_norm or pruning)",
        "rest.gru": "lstm_fast computes LSTM and LSTMCell only",
    }
    assert str(report).splitlines()[0].split() == ["first", "LSTM", "accelerated"]
    assert [one.kind for one in report] == ["LSTM", "LSTMCell", "Initialized", "Own", "ParametrizedLSTM", "GRU"]
    assert all(isinstance(one, lf.torch.ModuleReport) and not one.is_frozen for one in report)
    assert str(lf.torch.report(nn.Linear(2, 3))) == "" and lf.torch.report(nn.Linear(2, 3)) == ()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_report_of_other_modules():
    class Called(nn.LSTM):
        def __call__(self, *args):
            return super().__call__(*args)

    class MyLSTM(nn.Module):
        pass

    pruned, normed = nn.LSTM(3, 4), torch.nn.utils.weight_norm(nn.LSTM(3, 4), "weight_ih_l0")
    prune.random_unstructured(pruned, "weight_hh_l0", 0.5)
    model = nn.ModuleDict(
        {
            "called": Called(3, 4),
            "other": MyLSTM(),
            "pruned": pruned,
            "normed": normed,
            "narrow": nn.LSTMCell(3, 4).bfloat16(),
            "jit": torch.jit.script(nn.LSTM(3, 4)),
            "quantized": torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(3, 4)), {nn.LSTM})[0],
        }
    )
    report = lf.torch.report(lf.torch.accelerate(model))
    assert report.accelerated == ["narrow"]
    assert "falls back to PyTorch: the dtype bfloat16" in str(report)
    reasons = report.left
    assert reasons["called"] == "Called overrides __call__"
    assert "MyLSTM is no torch.nn.LSTM" in reasons["other"]
    assert "weight_hh_l0 is computed" in reasons["pruned"] and "weight_ih_l0 is computed" in reasons["normed"]
    assert reasons["jit"] == "it is compiled by torch.jit"
    assert reasons["quantized"].startswith("torch.ao.nn.quantized")


def test_model_without_lstms_warns():
    with pytest.warns(UserWarning, match="accelerate found no torch.nn.LSTM or LSTMCell to compute$"):
        lf.torch.accelerate(nn.Linear(2, 3))
    with pytest.warns(UserWarning, match=r"to compute:\n  0  Own  left: Own overrides forward") as caught:
        lf.torch.accelerate(nn.Sequential(Own(4, 5)))
    assert caught[0].filename == __file__


def test_frozen_weights_are_not_checked_for_changes():
    x, cell_x = torch.randn(1, 1, 3), torch.randn(1, 4)
    model = lf.torch.accelerate(Model(), frozen=True)
    lstm, cell = model.first, model.rest["cell"]
    assert lf.torch.report(lstm)[0].is_frozen and "(frozen)" in str(lf.torch.report(model))

    def results():
        with torch.no_grad():
            inference = [lstm(x)[0], lstm(x.expand(1, 300, 3))[0], cell(cell_x)[0]]
        return [*inference, lstm(x)[0].detach()]

    def write():
        for module in (lstm, cell):
            for p in module.parameters():
                p.data += 0.1

    want = results()
    write()
    assert all(map(torch.equal, results(), want)), "the promise was kept by us"
    renewals = [
        lambda: [module.flatten_parameters() for module in (lstm, cell)],
        lambda: lf.torch.accelerate(model, frozen=True),
        lambda: model.load_state_dict(model.state_dict()),
        lambda: model.double().float(),
    ]
    for renew in renewals:
        write()
        renew()
        got = results()
        assert not any(map(torch.equal, got, want))
        want = got
    write()
    lf.torch.accelerate(model)
    got = results()
    assert not lf.torch.report(lstm)[0].is_frozen and not any(map(torch.equal, got, want))
    write()
    assert not any(map(torch.equal, results(), got)), "no promise any more"


def test_modifying_frozen_weights_does_not_crash():
    lstm = lf.torch.accelerate(nn.LSTM(3, 4), frozen=True)
    x = torch.randn(2, 2, 3)
    with torch.no_grad():
        lstm(x), lstm(x)
        for p, shape in zip(lstm.parameters(), ((400, 3), (400, 100), (400,), (400,)), strict=True):
            p.data = torch.zeros(shape)
        lstm.hidden_size = 100
        assert lstm(x, (torch.zeros(1, 2, 100),) * 2)[0].shape == (2, 2, 100)
    other = lf.torch.accelerate(nn.LSTM(3, 4), frozen=True)
    for p in other.parameters():
        p.data = p.data.double()
    with torch.no_grad():
        assert other(x.double())[0].dtype is torch.float64


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantize_dynamic_needs_restore_first():
    model = lf.torch.accelerate(nn.Sequential(nn.LSTM(3, 4)))
    quantize = torch.ao.quantization.quantize_dynamic
    assert type(quantize(model, {nn.LSTM})[0]) is lf.torch.LSTM
    assert "quantized" in type(quantize(lf.torch.restore(model), {nn.LSTM})[0]).__module__


def test_non_modules_raise():
    for function in (lf.torch.accelerate, lf.torch.restore):
        with pytest.raises(TypeError, match="module must be a torch.nn.Module, got list"):
            function([nn.LSTM(3, 4)])
    assert type(lf.torch.accelerate(nn.LSTM(3, 4))) is lf.torch.LSTM
    assert type(lf.torch.restore(lf.torch.LSTMCell(3, 4))) is nn.LSTMCell
