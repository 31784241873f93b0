"""torch.compile: one opaque operator where PyTorch allows an LSTM in its graphs, else a graph break."""

import warnings

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.nn.utils.rnn import pack_sequence

import lstm_fast as lf
from torch_cases import assert_alike, leaves, twin

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*CUDA.*", "ignore:.*allow_rnn.*")


class Model(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, 2, **options)
        self.cell = nn.LSTMCell(self.lstm.hidden_size * (1 + self.lstm.bidirectional), 5)

    def forward(self, x):
        output, (h, _) = self.lstm(x.relu())
        return self.cell(output[:, 0])[0].sum() + h.square().sum()


@pytest.fixture(autouse=True, params=[False, True], ids=["break", "one operator"])
def allow_rnn(request):
    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=request.param):
        yield request.param
    torch._dynamo.reset()


@pytest.fixture
def calls(monkeypatch):
    """Names of the calls of the core that were made."""
    made = []
    for name in ("forward", "backward"):
        function = getattr(lf.torch.call, name)
        monkeypatch.setattr(lf.torch.call, name, lambda *a, f=function, n=name, **k: made.append(n) or f(*a, **k))
    return made


def make(**options):
    torch.manual_seed(0)
    slow = Model(**options).double()
    return slow, twin(slow), torch.randn(6, 2, 3, dtype=torch.float64, requires_grad=True)


def gradients(model, x):
    model.zero_grad()
    x = leaves(x)
    model(x).backward()
    return [x.grad, *(p.grad for p in model.parameters())]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize(
    "options", [dict(), dict(bidirectional=True, batch_first=True, bias=False)], ids=["plain", "options"]
)
def test_results_and_gradients_match_eager(backend, options, allow_rnn, calls):
    slow, fast, x = make(**options)
    compiled = torch.compile(fast, backend=backend, fullgraph=allow_rnn)
    for _ in range(2):
        assert torch.equal(compiled(x), fast(x))
        assert_alike(gradients(compiled, x), gradients(slow, x), 1e-13, backend)
        with torch.no_grad():
            assert torch.equal(compiled(x), fast(x))
            for p, q in zip(fast.parameters(), slow.parameters(), strict=True):
                p.mul_(0.9)
                q.mul_(0.9)
    assert calls.count("backward") == 2 * 2, "of the LSTM and of the cell"


def test_graph_has_one_operator(allow_rnn):
    _, fast, x = make()
    graphs = []
    compiled = torch.compile(fast, backend=lambda graph, inputs: graphs.append(graph) or graph.forward)
    compiled(x)
    operators = [str(node.target) for graph in graphs for node in graph.graph.nodes if "lstm" in str(node.target)]
    if allow_rnn:
        assert len(graphs) == 1 and len([name for name in operators if name.startswith("lstm_fast")]) == 2
    assert not [name for name in operators if name.startswith("aten")]


def test_dynamic_sizes(allow_rnn):
    slow, fast, _ = make()
    counter = CompileCounter()
    compiled = torch.compile(fast, backend=counter, dynamic=True, fullgraph=allow_rnn)
    for T, B in ((4, 3), (7, 2), (3, 5), (9, 4)):
        x = torch.randn(T, B, 3, dtype=torch.float64)
        torch.testing.assert_close(compiled(x), slow(x), rtol=1e-13, atol=1e-13)
    assert counter.frame_count <= 2 or not allow_rnn


def test_states_are_passed_as_arguments(allow_rnn):
    slow, _, x = make()
    for module, input, state in (
        (slow.lstm, x, torch.rand(2, 2, 2, 4, dtype=torch.float64).unbind()),
        (slow.cell, torch.rand(2, 4, dtype=torch.float64), torch.rand(2, 2, 5, dtype=torch.float64).unbind()),
    ):
        compiled = torch.compile(twin(module), backend="aot_eager", fullgraph=allow_rnn)
        torch.testing.assert_close(compiled(input, state), module(input, state), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_x_may_be_written_after_a_batch_first_call(backend, allow_rnn):
    slow = nn.LSTM(4, 4, batch_first=True, dtype=torch.float64)
    start, results = torch.randn(2, 5, 4, dtype=torch.float64), []
    for module, compile in ((slow, lambda f: f), (twin(slow), lambda f: torch.compile(f, backend=backend))):

        def f(x, module=module):
            z = x * 1
            z += module(z)[0]
            return z.square().sum()

        x = start.clone().requires_grad_()
        compile(f)(x).backward()
        results.append([x.grad, *(p.grad for p in module.parameters())])
    assert_alike(results[1], results[0], 1e-13, backend)


def test_dropout_draws_new_masks_per_call(allow_rnn):
    _, fast, x = make(dropout=0.5)
    compiled = torch.compile(fast.lstm, backend="aot_eager", fullgraph=allow_rnn)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(compiled(x)[0])
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    torch.manual_seed(1)
    a = leaves(x)
    output = compiled(a)[0]
    output.square().sum().backward()
    torch.manual_seed(1)
    moved = (x + 1e-6 * a.grad).detach()
    change = (compiled(moved)[0].square().sum() - output.square().sum()).item()
    assert change == pytest.approx(1e-6 * a.grad.square().sum().item(), rel=1e-3)


def test_unsupported_calls_fall_back_to_pytorch():
    slow, fast, x = make()
    x = x.detach().bfloat16()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = torch.compile(fast.bfloat16(), backend="eager")(x)
    assert torch.equal(got, slow.bfloat16()(x))
    packed = pack_sequence([torch.randn(n, 3) for n in (4, 2)])
    lstm = nn.LSTM(3, 4)
    got, want = torch.compile(twin(lstm), backend="eager")(packed)[0].data, lstm(packed)[0].data
    torch.testing.assert_close(got, want)


def test_operators_pass_opcheck(allow_rnn):
    if not allow_rnn:
        return  # once is enough
    lstm = nn.LSTM(3, 4, 2, dtype=torch.float64)
    x, h = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True), torch.randn(2, 2, 4, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = h.requires_grad_(), h.clone().detach().requires_grad_()
        for states, resets in (((None, None), None), (given, None), (given, torch.rand(5, 2) < 0.3)):
            arguments = (
                x,
                *states,
                list(lstm.parameters()),
                [3, 4, 2, 1, 1, 0],
                "TBI",
                0.0,
                None,
                True,
                "",
                "float32",
                "",
                resets,
            )
            torch.library.opcheck(
                torch.ops.lstm_fast.lstm,
                arguments,
                test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
            )


def test_operators_raise_on_mismatched_shapes():
    lstm = nn.LSTM(3, 4)
    x, h, parameters, rest = (
        torch.randn(5, 2, 3),
        torch.zeros(1, 2, 4),
        list(lstm.parameters()),
        ("TBI", 0.0, None, True, "", "float32", "", None),
    )
    operator, sizes = torch.ops.lstm_fast.lstm, [3, 4, 1, 1, 1, 0]
    output, _, _, tape = operator(x, h, h, parameters, sizes, *rest)
    for wrong in (
        (x[..., :2], h, h, parameters, sizes),
        (x, h[:, :1], h, parameters, sizes),
        (x, h, h.double(), parameters, sizes),
        (x, h, h, parameters, [3, 400, 1, 1, 1, 0]),
        (x, h, h, parameters[:2], sizes),
    ):
        with pytest.raises(ValueError):
            operator(*wrong, *rest)
    with torch.no_grad():
        for format in (
            ("int4", "float32", ""),
            ("int8", "int4", ""),
            ("bfloat16", "int8", ""),
            ("", "float32", "int4"),
        ):
            with pytest.raises(ValueError):
                operator(x, h, h, parameters, sizes, "TBI", 0.0, None, False, *format, None)
    with pytest.raises(ValueError, match="resets must be boolean"):
        operator(x, h, h, parameters, sizes, *rest[:-1], torch.zeros(2, 5, dtype=bool))
    for wrong in ((tape[:100], output), (tape, output[:1])):
        with pytest.raises(ValueError):
            torch.ops.lstm_fast.lstm_backward(
                wrong[0], x, h, h, parameters, wrong[1], None, None, sizes, "TBI", 0.0, None, "", None
            )
