"""lstm_fast.torch against torch.nn: PyTorch's module inputs and errors, gradcheck, random configurations, dropout."""

import re
import warnings

import pytest
import torch
from torch import nn

import lstm_fast as lf
from torch_cases import assert_same, draw, flatten, leaves, twin

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # from imports of PyTorch's test suite
    from torch.testing._internal.common_modules import ModuleErrorEnum, module_db

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

OURS = {nn.LSTM: lf.torch.LSTM, nn.LSTMCell: lf.torch.LSTMCell}
INFOS = {info.module_cls: info for info in module_db if info.module_cls in OURS}


@pytest.fixture(autouse=True)
def no_warning_was_given(monkeypatch):
    monkeypatch.setattr(lf.torch.fallback, "_warned", set())


def module_inputs(cls, dtype, training):
    return INFOS[cls].module_inputs_func(INFOS[cls], device="cpu", dtype=dtype, requires_grad=True, training=training)


def make(cls, module_input, dtype):
    """PyTorch's module of an input, ours, and the arguments."""
    arguments = module_input.constructor_input
    pytorch = cls(*arguments.args, **arguments.kwargs, dtype=dtype)
    ours = OURS[cls](*arguments.args, **arguments.kwargs, dtype=dtype)
    ours.load_state_dict(pytorch.state_dict())
    assert not module_input.forward_input.kwargs
    return pytorch, ours, module_input.forward_input.args


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("cls, n", [(nn.LSTM, 32), (nn.LSTMCell, 2)])
def test_pytorch_module_inputs(cls, n, dtype):
    inputs = module_inputs(cls, dtype, True)
    assert len(inputs) >= n
    for k, one in enumerate(inputs):
        pytorch, ours, arguments = make(cls, one, dtype)
        assert_same(pytorch, ours, arguments, (cls.__name__, k, one.constructor_input.kwargs))
        assert_same(pytorch, ours, arguments, k, backward=False, mode=torch.no_grad)
        assert_same(pytorch, ours, arguments, k, backward=False, mode=torch.inference_mode)
        if one.reference_fn is not None:
            want = one.reference_fn(ours, *arguments)
            for a, b in zip(flatten(ours(*arguments)), flatten(want), strict=True):
                torch.testing.assert_close(a, b)


@pytest.mark.parametrize("cls, n", [(nn.LSTM, 14), (nn.LSTMCell, 4)])
def test_pytorch_module_error_inputs(cls, n):
    errors = INFOS[cls].module_error_inputs_func(
        INFOS[cls], device="cpu", dtype=torch.float64, requires_grad=True, training=True
    )
    assert len(errors) >= n
    for error in errors:
        one = error.module_error_input
        arguments, forward = one.constructor_input, one.forward_input

        def call(make, arguments=arguments, forward=forward, error=error):
            module = make(*arguments.args, **arguments.kwargs)
            return (
                module
                if error.error_on == ModuleErrorEnum.CONSTRUCTION_ERROR
                else module(*forward.args, **forward.kwargs)
            )

        with pytest.raises(error.error_type, match=error.error_regex) as want:
            call(cls)
        with pytest.raises(error.error_type, match=error.error_regex) as got:
            call(OURS[cls])
        assert str(got.value) == str(want.value)


@pytest.mark.parametrize("cls", OURS)
def test_gradcheck(cls):
    for one in module_inputs(cls, torch.float64, True):
        _, ours, arguments = make(cls, one, torch.float64)
        tensors = flatten(leaves(arguments))

        def call(*values, tensors=tensors, ours=ours):
            x, *states = values[: len(tensors)]
            weights = dict(zip([name for name, _ in ours.named_parameters()], values[len(tensors) :], strict=True))
            return tuple(flatten(torch.func.functional_call(ours, weights, (x, *([tuple(states)] if states else [])))))

        weights = [p.detach().clone().requires_grad_() for p in ours.parameters()]
        assert torch.autograd.gradcheck(call, (*tensors, *weights), fast_mode=True)


@pytest.mark.filterwarnings("ignore::lstm_fast.torch.FallbackWarning")
@pytest.mark.parametrize("cls", OURS)
def test_gradgradcheck(cls):
    """Second derivatives are PyTorch's."""
    for one in module_inputs(cls, torch.float64, True)[::5]:
        _, ours, arguments = make(cls, one, torch.float64)
        tensors = flatten(leaves(arguments))
        assert torch.autograd.gradgradcheck(
            lambda x, *states, ours=ours: tuple(flatten(ours(x, tuple(states) or None))), tensors, fast_mode=True
        )


@pytest.mark.parametrize("part", range(10))
def test_thousand_random_configurations(part):
    for seed in range(part * 100, part * 100 + 100):
        pytorch, arguments = draw(seed)
        ours = twin(pytorch)
        assert_same(pytorch, ours, arguments, f"seed {seed}", seed=seed)
        mode = torch.no_grad if seed % 2 else torch.inference_mode
        assert_same(pytorch, ours, arguments, f"seed {seed}, {mode.__name__}", backward=False, mode=mode)
        assert ours._packed is not None, "no call was left to PyTorch"


@pytest.mark.parametrize("shape", [(0, 2, 3), (4, 0, 3), (4, 2, 0), (4, 2, 2, 3), (3,)])
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])
def test_empty_and_wrong_shapes_match_pytorch(shape, mode):
    pytorch = nn.LSTM(3, 5, batch_first=False)
    ours = twin(pytorch)
    with mode():
        ours(torch.zeros(2, 1, 3))
        try:
            want = pytorch(torch.zeros(shape))
        except Exception as error:
            with pytest.raises(type(error), match=re.escape(str(error))):
                ours(torch.zeros(shape))
        else:
            got = ours(torch.zeros(shape))
            assert [t.shape for t in flatten(got)] == [t.shape for t in flatten(want)]


WRONG_STATES = {
    "number": (torch.zeros(1, 2, 5),),
    "batch": (torch.zeros(1, 3, 5),) * 2,
    "size": (torch.zeros(1, 2, 4),) * 2,
    "axes": (torch.zeros(1, 5),) * 2,
    "dtype": (torch.zeros(1, 2, 5).double(),) * 2,
    "layers": (torch.zeros(2, 2, 5),) * 2,
    "second": (torch.zeros(1, 2, 5), torch.zeros(1, 2, 6)),
    "no tensor": (1, 2),
    "a tensor": torch.zeros(1, 2, 5),
}


@pytest.mark.parametrize("states", WRONG_STATES.values(), ids=WRONG_STATES)
@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])
def test_wrong_states_raise_like_pytorch(states, mode):
    pytorch, x = nn.LSTM(3, 5), torch.zeros(4, 2, 3)
    ours = twin(pytorch)
    with mode():
        ours(x)
        with pytest.raises(Exception) as want:
            pytorch(x, states)
        with pytest.raises(type(want.value), match=re.escape(str(want.value))):
            ours(x, states)


def test_invalid_packed_sequences_raise_like_pytorch():
    pytorch = nn.LSTM(3, 5)
    ours = twin(pytorch)
    for sizes in ([2, 3], [3, 3], [2, 0], [5]):
        packed = nn.utils.rnn.PackedSequence(torch.zeros(5, 3), torch.tensor(sizes))
        try:
            pytorch(packed)
        except Exception as error:
            with pytest.raises(type(error)):
                ours(packed)
        else:
            ours(packed)


@pytest.mark.parametrize("is_grad", [False, True])
@pytest.mark.parametrize(
    "wrong", [(0, (2, 4, 5)), (0, (3, 3, 5)), (1, (2, 1, 5)), (1, (1, 3, 5)), (1, (2, 3, 6))], ids=str
)
def test_mismatched_states_for_packed_sequences_raise(wrong, is_grad):
    """PyTorch's own module only checks them for padded sequences, and crashes for some of these."""
    ours = lf.torch.LSTM(4, 5, 2)
    packed = nn.utils.rnn.pack_sequence([torch.zeros(n, 4) for n in (3, 2, 1)])
    which, shape = wrong
    states = [torch.zeros(2, 3, 5), torch.zeros(2, 3, 5)]
    with torch.set_grad_enabled(is_grad):
        ours(packed, tuple(states))
        states[which] = torch.zeros(shape)
        expected = re.escape(f"Expected hidden[{which}] size (2, 3, 5), got {list(shape)}")
        with pytest.raises(RuntimeError, match=expected):
            ours(packed, tuple(states))


# ---- dropout --------------------------------------------------------------------------------------------------------


def test_dropout_comes_from_the_generator_of_pytorch():
    lstm, x = lf.torch.LSTM(4, 50, 2, dropout=0.5), torch.randn(30, 20, 4)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(lstm(x)[0])
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    with torch.no_grad():
        torch.manual_seed(1)
        assert torch.equal(lstm(x)[0], results[0])
    assert not torch.equal(lstm(x)[0], lstm(x)[0])
    lstm.eval()
    assert torch.equal(lstm(x)[0], lstm(x)[0])


@pytest.mark.parametrize("p", [0.25, 1.0])
def test_dropout_has_the_statistics_of_pytorch(p):
    """The second layer gets a constant from the first, dropped or scaled; each of its units shows one of them."""
    pytorch = nn.LSTM(1, 64, 2, dropout=p)
    with torch.no_grad():
        for parameter in pytorch.parameters():
            parameter.zero_()
        pytorch.bias_ih_l0.fill_(20)  # all gates open: h = tanh(t + 1)
        pytorch.weight_ih_l1[128:192] = torch.eye(64)
        pytorch.bias_ih_l1[0:64], pytorch.bias_ih_l1[64:128], pytorch.bias_ih_l1[192:] = 20, -20, 20
    x = torch.zeros(8, 400, 1)
    kept = [module(x)[0][2:] > 0.1 for module in (pytorch, twin(pytorch))]
    for one in kept:
        assert abs(one.double().mean().item() - (1 - p)) < 0.01
    values = [module(x)[0][-1].max() for module in (pytorch, twin(pytorch))]
    torch.testing.assert_close(values[1], values[0])
    ours = kept[1].double()
    if p < 1:
        for axis in range(3):  # masks of neighbors in time, batch and units are independent
            a, b = (
                ours.narrow(axis, 1, ours.shape[axis] - 1).flatten(),
                ours.narrow(axis, 0, ours.shape[axis] - 1).flatten(),
            )
            assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1].item()) < 0.02


def test_gradients_use_the_dropout_masks_of_forward():
    lstm = lf.torch.LSTM(3, 6, 3, dropout=0.4, dtype=torch.float64)

    def call(x, *weights):
        torch.manual_seed(5)
        return torch.func.functional_call(lstm, dict(zip(lstm.state_dict(), weights, strict=True)), (x,))[0]

    weights = [p.detach().clone().requires_grad_() for p in lstm.parameters()]
    x = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(call, (x, *weights), fast_mode=True)


def test_numpy_layers_raise_on_tensors_that_require_grad():
    lstm, x = lf.LSTM(3, 4), torch.randn(2, 3)
    assert lstm(x)[0].shape == (2, 4)
    for call in (lstm, lstm.forward, lstm.stream(2).step):
        with pytest.raises(TypeError, match=r"x must be an array of numbers, got Tensor \(.*requires grad.*detach"):
            call(x.clone().requires_grad_())
    with pytest.raises(TypeError, match="h_0 must be an array of numbers, got Tensor"):
        lstm(x, (torch.zeros(1, 4, requires_grad=True), torch.zeros(1, 4)))
    with pytest.raises(TypeError, match="x must be an array of numbers, got Tensor"):
        lstm(x.bfloat16())
