"""lf.torch in bfloat16: compute_dtype of the modules, and autocast; the bits of lf.LSTM, the dtypes of PyTorch."""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import lstm_fast as lf
from tolerances import assert_same_bits
from torch_cases import flatten, twin

BFLOAT16, FLOAT32 = torch.bfloat16, torch.float32


@pytest.fixture(autouse=True)
def no_fallback():
    """Turn the warning of a fallback to PyTorch into a failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", lf.torch.FallbackWarning)
        yield


def autocast():
    return torch.autocast("cpu", dtype=BFLOAT16)


def numpy_twin(module):
    """lf.LSTM with the parameters of a module, and its compute_dtype or that of autocast."""
    return lf.weights.load(module, "", compute_dtype=getattr(module, "_compute_dtype", None) or "bfloat16")


def assert_gradients_of(lstm, gradients, module, x=None):
    for name, parameter in module.named_parameters():
        assert parameter.grad.dtype == FLOAT32
        assert_same_bits(parameter.grad.numpy(), gradients[name], name)
    if x is not None:
        assert_same_bits(x.grad.numpy(), gradients.d_x)


# ---- the option ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compute_dtype", ["bfloat16", "bfloat16_amx"])
@pytest.mark.parametrize("options", [{}, dict(num_layers=2, bidirectional=True), dict(proj_size=5), dict(bias=False)])
def test_module_matches_numpy_layer_bitwise(options, compute_dtype):
    torch.manual_seed(0)
    module = lf.torch.LSTM(3, 37, compute_dtype=compute_dtype, **options)
    lstm = numpy_twin(module)
    x, d = torch.randn(6, 4, 3, requires_grad=True), torch.randn(6, 4, lstm.output_size)
    want, state, tape = lstm.forward(x.detach().numpy())
    output, (h_n, c_n) = module(x)
    for got, expected in zip((output, h_n, c_n), (want, *state), strict=True):
        assert got.dtype == FLOAT32
        assert_same_bits(got.detach().numpy(), expected)
    output.backward(d)
    assert_gradients_of(lstm, lstm.backward(tape, d.numpy()), module, x)
    with torch.no_grad():
        for _ in range(2):  # the second by the fast path
            assert_same_bits(module(x)[0].numpy(), want)
        module.weight_hh_l0 *= 2
        assert_same_bits(module(x)[0].numpy(), numpy_twin(module)(x.numpy())[0])


def test_cell_matches_numpy_cell_bitwise():
    torch.manual_seed(0)
    module = lf.torch.LSTMCell(3, 9, compute_dtype="bfloat16")
    cell = lf.LSTMCell(3, 9, compute_dtype="bfloat16")
    cell.load_state_dict({name: value.detach().numpy() for name, value in module.named_parameters()})
    x = torch.randn(4, 3)
    for grad in (True, False, False):
        with torch.set_grad_enabled(grad):
            for got, want in zip(module(x), cell(x.numpy()), strict=True):
                assert_same_bits(got.detach().numpy(), want)


@pytest.mark.parametrize("cls", [lf.torch.LSTM, lf.torch.LSTMCell])
def test_option_is_validated_shown_and_kept(cls):
    with pytest.raises(ValueError, match="compute_dtype must be None, 'bfloat16' or 'bfloat16_amx', got 'half'"):
        cls(3, 4, compute_dtype="half")
    with pytest.raises(ValueError, match="compute_dtype must be None with dtype float64"):
        cls(3, 4, dtype=torch.float64, compute_dtype="bfloat16")
    module, x = cls(3, 4, compute_dtype="bfloat16"), torch.randn(2, 3)
    assert "compute_dtype='bfloat16'" in repr(module) and "compute_dtype" not in repr(cls(3, 4))
    want = flatten(module(x))
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert all(map(torch.equal, flatten(other(x)), want))
    assert not torch.equal(flatten(lf.torch.restore(copy.deepcopy(module))(x))[0], want[0])


def test_numpy_layer_from_a_module_keeps_the_option():
    for compute_dtype in (None, "bfloat16"):
        assert lf.weights.load(lf.torch.LSTM(3, 4, compute_dtype=compute_dtype)).compute_dtype == compute_dtype


def test_other_dtypes_are_not_rounded():
    assert lf.weights.load(lf.torch.LSTM(3, 4, compute_dtype="bfloat16").double()).compute_dtype is None
    module = lf.torch.LSTM(3, 4, compute_dtype="bfloat16").double()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    want = nn.LSTM(3, 4).double()
    want.load_state_dict(module.state_dict())
    assert torch.allclose(module(x)[0], want(x)[0], atol=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*CUDA.*", "ignore:.*allow_rnn.*")
def test_torch_compile():
    torch._dynamo.reset()
    torch.manual_seed(0)
    module = lf.torch.LSTM(3, 4, compute_dtype="bfloat16")
    x = torch.randn(5, 2, 3)
    module(x)[0].sum().backward()
    want = [parameter.grad.clone() for parameter in module.parameters()]
    module.zero_grad()
    with torch._dynamo.config.patch(allow_rnn=True):
        compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
        output = compiled(x)[0]
    assert torch.equal(output, module(x)[0])
    output.sum().backward()
    torch._dynamo.reset()
    assert all(map(torch.equal, (parameter.grad for parameter in module.parameters()), want))


# ---- autocast --------------------------------------------------------------------------------------------------------


def arguments(cls, kind, x_dtype, state_dtype, proj_size):
    shape = {"padded": (5, 2, 3), "packed": (5, 2, 3), "unbatched": (5, 3), "cell": (2, 3)}[kind]
    x = torch.randn(shape).to(x_dtype)
    if kind == "packed":
        x = pack_padded_sequence(x, [5, 2])
    if state_dtype is None:
        return x, None
    batch = () if kind == "unbatched" else (2,)
    lead = () if kind == "cell" else (1,)
    return x, tuple(torch.randn(*lead, *batch, n).to(state_dtype) for n in (proj_size or 8, 8))


CASES = [
    (kind, x_dtype, state_dtype, proj_size)
    for kind, x_dtype, state_dtype, proj_size in itertools.product(
        ("padded", "packed", "unbatched", "cell"), (FLOAT32, BFLOAT16), (None, FLOAT32, BFLOAT16), (0, 4)
    )
    if not (kind == "cell" and proj_size)
]


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("kind, x_dtype, state_dtype, proj_size", CASES, ids=str)
def test_autocast_matches_pytorch_dtypes_and_approximates_its_values(kind, x_dtype, state_dtype, proj_size):
    torch.manual_seed(0)
    pytorch = nn.LSTMCell(3, 8) if kind == "cell" else nn.LSTM(3, 8, proj_size=proj_size)
    ours = twin(pytorch)
    x, hx = arguments(type(pytorch), kind, x_dtype, state_dtype, proj_size)
    for grad in (True, False):
        with autocast(), torch.set_grad_enabled(grad):
            want, got = pytorch(x, hx), ours(x, hx)
        assert type(got) is type(want)
        want, got = ([t for t in flatten(r) if t.is_floating_point()] for r in (want, got))
        for one, other in zip(got, want, strict=True):
            assert one.dtype == other.dtype and one.shape == other.shape and one.requires_grad == other.requires_grad
            assert torch.allclose(one.float(), other.float(), atol=0.03)
        if grad:
            for results, module in ((got, ours), (want, pytorch)):
                sum(result.float().sum() for result in results).backward()
                assert {parameter.grad.dtype for parameter in module.parameters()} == {FLOAT32}
            for name, parameter in ours.named_parameters():
                expected = pytorch.get_parameter(name).grad
                assert (parameter.grad - expected).norm() <= 0.03 * expected.norm(), name


def test_autocast_matches_compute_dtype_bitwise():
    torch.manual_seed(0)
    module = lf.torch.LSTM(3, 9, num_layers=2, bidirectional=True)
    lstm = numpy_twin(module)
    x, d = torch.randn(6, 4, 3, requires_grad=True), torch.randn(6, 4, 18).to(BFLOAT16)
    want, _, tape = lstm.forward(x.detach().numpy())
    plain = module(x)[0].detach()
    with autocast():
        output, _ = module(x)
    assert output.dtype == BFLOAT16
    assert torch.equal(output, torch.from_numpy(want).to(BFLOAT16))
    output.backward(d)
    assert_gradients_of(lstm, lstm.backward(tape, d.float().numpy()), module, x)
    assert torch.equal(module(x)[0], plain)  # outside, float32 as before
    with torch.no_grad():
        assert torch.equal(module(x)[0], plain)
        with autocast():
            assert torch.equal(module(x)[0], output)
            with torch.autocast("cpu", enabled=False):
                assert torch.equal(module(x)[0], plain)


def test_accelerate_sets_the_option_and_restore_removes_it():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.LSTM(3, 70), torch.nn.Linear(1, 1))
    x = torch.randn(6, 4, 3)
    plain = model[0](x)[0].detach()
    lf.torch.accelerate(model, compute_dtype="bfloat16_amx")
    want = numpy_twin(model[0])(x.numpy())[0]
    assert_same_bits(model[0](x)[0].detach().numpy(), want)
    with autocast():
        assert torch.equal(model[0](x)[0], torch.from_numpy(want).to(BFLOAT16))
    lf.torch.accelerate(model)  # keeps it
    assert_same_bits(model[0](x)[0].detach().numpy(), want)
    lf.torch.accelerate(model, format="int8")  # for inference without gradients
    with torch.no_grad():
        quantized = model.eval()[0](x)[0].numpy()
    assert_same_bits(quantized, numpy_twin(model[0]).quantized("int8")(x.numpy())[0])
    lf.torch.restore(model)
    assert torch.equal(model[0](x)[0], plain)
    assert torch.allclose(lf.torch.accelerate(model)[0](x)[0], plain, atol=1e-6)
    with pytest.raises(ValueError, match="compute_dtype must be None, 'bfloat16' or 'bfloat16_amx', got 'amx'"):
        lf.torch.accelerate(model, compute_dtype="amx")


def test_parameters_written_between_calls_under_autocast_are_noticed():
    module, x = lf.torch.LSTM(3, 9), torch.randn(6, 4, 3)
    with autocast(), torch.no_grad():
        before = module(x)[0]
        module.weight_hh_l0.data *= 2
        assert not torch.equal(module(x)[0], before)
        assert torch.equal(module(x)[0], torch.from_numpy(numpy_twin(module)(x.numpy())[0]).to(BFLOAT16))


def test_gradients_reach_bfloat16_inputs_and_states():
    module = lf.torch.LSTM(3, 9)
    x = torch.randn(6, 4, 3).to(BFLOAT16).requires_grad_()
    states = [torch.randn(1, 4, 9).requires_grad_() for _ in range(2)]
    with autocast():
        output, _ = module(x, tuple(states))
    output.sum().backward()
    assert x.grad.dtype == BFLOAT16 and x.grad.any()
    assert all(state.grad.dtype == FLOAT32 and state.grad.any() for state in states)


@pytest.mark.parametrize("shape", [(6, 4, 2), (4, 4, 4, 3), (0, 4, 3)], ids=str)
def test_invalid_shapes_raise_like_pytorch(shape):
    pytorch = nn.LSTM(3, 9)
    x, errors = torch.randn(shape), []
    for module in (pytorch, twin(pytorch)):
        with autocast(), pytest.raises(Exception) as error:
            module(x)
        errors.append((type(error.value), str(error.value)))
    assert errors[0] == errors[1]


def test_inference_format_overrides_autocast():
    module = lf.torch.accelerate(nn.LSTM(3, 9), format="int8").eval()
    x = torch.randn(6, 4, 3)
    with torch.no_grad():
        want = module(x)[0]
        with autocast():
            assert torch.equal(module(x)[0], want.to(BFLOAT16))


def test_model_learns_under_autocast():
    torch.manual_seed(0)
    lstm, head = lf.torch.LSTM(2, 16, batch_first=True), nn.Linear(16, 1)
    optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()], lr=1e-2)
    x = torch.randn(64, 10, 2)
    y = x[:, :, 0].sum(1, keepdim=True).clamp(-2, 2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        with autocast():
            prediction = head(lstm(x)[0][:, -1])
        loss = nn.functional.mse_loss(prediction.float(), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0] and np.isfinite(losses).all()
