"""resets of lstm_fast.torch.LSTM: episodes within a call. The oracle is PyTorch's own loop over episode starts."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import lstm_fast as lf
from torch_cases import FORWARD, GRADIENT, assert_alike, flatten, gradient_error, leaves, twin

T, B, I, H = 7, 4, 3, 5
F64 = torch.float64


def loop(lstm, x, state, resets):
    """Loop of recurrent policies: step by step, states multiplied by 1 - episode_start. x (T, B, I)."""
    outputs = []
    for x_t, starts in zip(x, resets, strict=True):
        keep = (1.0 - starts.to(x.dtype)).view(1, -1, 1)
        output, state = lstm(x_t[None], tuple(keep * one for one in state))
        outputs.append(output)
    return torch.cat(outputs), state


def by_episode(lstm, x, state, resets):
    """Expected results for x (T, B, I): a separate call for each episode, in the reverse direction too."""
    D, columns = 1 + lstm.bidirectional, []
    for b in range(x.shape[1]):
        cuts = [0, *(int(t) for t in resets[1:, b].nonzero().flatten() + 1), len(x)]
        parts, lasts = [], []
        for k in range(len(cuts) - 1):
            goes_on = torch.tensor([k == 0 and not resets[0, b], k == len(cuts) - 2])[:D].repeat(lstm.num_layers)
            begin = tuple(torch.where(goes_on[:, None, None], one[:, b : b + 1], 0) for one in state)
            output, last = lstm(x[cuts[k] : cuts[k + 1], b : b + 1], begin)
            parts.append(output)
            lasts.append(last)
        ends = [(lasts[-1][n], lasts[0][n]) for n in (0, 1)]
        columns.append(
            (torch.cat(parts), *(torch.stack([e[k % D][k] for k in range(D * lstm.num_layers)]) for e in ends))
        )
    output, h_n, c_n = (torch.cat(one, 1) for one in zip(*columns, strict=True))
    return output, (h_n, c_n)


def make(*, dtype=F64, seed=0, share=0.3, **options):
    torch.manual_seed(seed)
    lstm = nn.LSTM(I, H, dtype=dtype, **options)
    n, R = lstm.num_layers * (1 + lstm.bidirectional), lstm.proj_size or H
    x = torch.randn(T, B, I, dtype=dtype, requires_grad=True)
    state = tuple(torch.randn(n, B, size, dtype=dtype, requires_grad=True) for size in (R, H))
    return lstm, x, state, torch.rand(T, B) < share


def run(module, arguments, call):
    """Results and all gradients of call(module, *arguments)."""
    module.zero_grad()
    arguments = leaves(arguments)
    results = flatten(call(module, *arguments))
    d = [torch.randn(r.shape, dtype=r.dtype, generator=torch.Generator().manual_seed(1)) for r in results]
    torch.autograd.backward(results, d)
    return results, [t.grad for t in flatten(arguments)] + [p.grad for p in module.parameters()]


def assert_equal_runs(got, want, dtype, case):
    assert_alike(got[0], want[0], 4 * FORWARD[dtype], case)
    assert_alike(got[1], want[1], GRADIENT[dtype], case)


OPTIONS = {
    "plain": {},
    "float32": {"dtype": torch.float32},
    "layers": {"num_layers": 2, "bias": False},
    "projection": {"num_layers": 2, "proj_size": 2},
}


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_results_and_gradients_match_pytorch_loop(options, share):
    lstm, x, state, resets = make(share=share, **options)
    want = run(lstm, (x, state), lambda m, x, s: loop(m, x, s, resets))
    got = run(twin(lstm), (x, state), lambda m, x, s: m(x, s, resets=resets))
    assert_equal_runs(got, want, x.dtype, str(options))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2, "proj_size": 2}], ids=["one", "two"])
def test_reverse_direction_resets_at_the_same_boundaries(options, share):
    lstm, x, state, resets = make(share=share, **options)
    want = run(lstm, (x, state), lambda m, x, s: by_episode(m, x, s, resets))
    got = run(twin(lstm), (x, state), lambda m, x, s: m(x, s, resets=resets))
    assert_equal_runs(got, want, F64, str(options))


def test_resets_follow_the_layout_of_x_and_states_are_optional():
    lstm, x, state, resets = make()
    ours = twin(lstm)
    zero = tuple(torch.zeros_like(one) for one in state)
    want, (h_n, c_n) = loop(lstm, x, zero, resets)
    first = twin(lstm)
    first.batch_first = True
    with torch.no_grad():
        for call in (
            lambda: ours(x, resets=resets),
            lambda: ours(x, zero, resets=resets.T.contiguous().T),
            lambda: tuple(
                t.transpose(0, 1) if t is not None else t for t in [first(x.transpose(0, 1), resets=resets.T)[0]]
            ),
        ):
            torch.testing.assert_close(call()[0], want, rtol=1e-13, atol=1e-13)
        output, (h, c) = ours(x[:, 0], resets=resets[:, 0])
        for got, one in ((output, want[:, 0]), (h, h_n[:, 0]), (c, c_n[:, 0])):
            torch.testing.assert_close(got, one, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("lengths", [[7, 5, 5, 2], [2, 7, 1, 5], [7, 7, 7, 7]])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_packed_sequences_in_the_callers_order(lengths, bidirectional):
    lstm, x, state, resets = make(bidirectional=bidirectional)
    ours = twin(lstm)

    def packed(module, x, state):
        packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
        output, last = module(packed, state, resets=resets)
        return pad_packed_sequence(output, total_length=T)[0], last

    def one_by_one(module, x, state):
        outputs, lasts = [], []
        for b, n in enumerate(lengths):
            of = tuple(one[:, b : b + 1] for one in state)
            output, last = by_episode(module, x[:n, b : b + 1], of, resets[:n, b : b + 1])
            outputs.append(nn.functional.pad(output, (0, 0, 0, 0, 0, T - n)))
            lasts.append(last)
        return torch.cat(outputs, 1), tuple(torch.cat([last[k] for last in lasts], 1) for k in (0, 1))

    want = run(lstm, (x, state), one_by_one)
    assert_equal_runs(run(ours, (x, state), packed), want, F64, "core")
    with pytest.MonkeyPatch.context() as patch:  # PyTorch's kernel gives the same
        patch.setattr(type(ours), "_takes", lambda *_: False)
        patch.setattr(lf.torch.fallback, "warn", lambda reason: None)
        assert_equal_runs(run(ours, (x, state), packed), want, F64, "fallback")


def test_gradcheck():
    lstm, x, state, resets = make(num_layers=2, bidirectional=True)
    ours = twin(lstm)
    names = [name for name, _ in ours.named_parameters()]

    def f(x, h, c, *parameters):
        return flatten(
            torch.func.functional_call(ours, dict(zip(names, parameters, strict=True)), (x, (h, c)), {"resets": resets})
        )

    parameters = [p.detach().clone().requires_grad_() for p in ours.parameters()]
    assert torch.autograd.gradcheck(f, (x, *state, *parameters), fast_mode=True)


@pytest.mark.filterwarnings("ignore::lstm_fast.torch.FallbackWarning")
@pytest.mark.parametrize("bidirectional", [False, True])
def test_second_derivatives(bidirectional):
    lstm, x, state, resets = make(bidirectional=bidirectional)
    results = []
    for module, call in ((lstm, by_episode), (twin(lstm), lambda m, x, s, r: m(x, s, resets=r))):
        (d_x,) = torch.autograd.grad(call(module, x, state, resets)[0].square().sum(), x, create_graph=True)
        results.append(torch.autograd.grad(d_x.square().sum(), [x, *state, *module.parameters()]))
    assert_alike(results[1], results[0], 1e-11, "second")


def test_unsupported_inputs_fall_back_to_pytorch():
    lstm, x, state, resets = make(dtype=torch.float32)
    lstm = lstm.bfloat16()
    x, state = x.bfloat16(), tuple(one.bfloat16() for one in state)
    ours = twin(lstm)
    lf.torch.fallback._warned.clear()
    with pytest.warns(lf.torch.FallbackWarning, match="dtype bfloat16"):
        got, (h, c) = ours(x, state, resets=resets)
    want, (h_n, c_n) = loop(lstm, x, state, resets)
    for a, b in ((got, want), (h, h_n), (c, c_n)):
        assert a.dtype is torch.bfloat16 and gradient_error(a.float(), b.float()) < 0.02


@pytest.mark.filterwarnings("ignore::lstm_fast.torch.FallbackWarning")
def test_batched_gradients():
    lstm, x, state, resets = make(bidirectional=True)
    d, results = torch.randn(6, T, B, 2 * H, dtype=F64), []
    for module, call in ((lstm, by_episode), (twin(lstm), lambda m, x, s, r: m(x, s, resets=r))):
        output, inputs = call(module, x, state, resets)[0], [x, *state, *module.parameters()]
        results.append(
            torch.autograd.grad(output, inputs, d, is_grads_batched=True)
            if module is not lstm
            else [torch.stack(g) for g in zip(*(torch.autograd.grad(output, inputs, e, retain_graph=True) for e in d))]
        )
    assert_alike(results[1], results[0], 1e-12, "batched")


def test_resets_may_be_overwritten_before_backward():
    lstm, x, state, resets = make()
    want = run(lstm, (x, state), lambda m, x, s: loop(m, x, s, resets))
    buffer = resets.clone()

    def call(module, x, state):
        results = module(x, state, resets=buffer)
        buffer.logical_not_()
        return results

    assert_equal_runs(run(twin(lstm), (x, state), call), want, F64, "overwritten")


def test_autocast_and_formats_support_resets():
    lstm, x, state, resets = make(dtype=torch.float32)
    h_0 = state[0].detach().clamp(-1, 1)
    state = h_0, state[1].detach()
    want = loop(lstm, x, state, resets)[0]
    ours = twin(lstm)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = ours(x, state, resets=resets)[0]
    assert got.dtype is torch.bfloat16 and gradient_error(got.float(), want) < 0.02
    for format in ("float16", "bfloat16", "int8"):
        ours = lf.torch.accelerate(copy.deepcopy(lstm), format=format).eval()
        with torch.no_grad():
            assert gradient_error(ours(x, state, resets=resets)[0], want) < 0.05, format


def test_dropout_keeps_its_masks_in_backward():
    lstm, x, _, resets = make(num_layers=2, dropout=0.5)
    ours = twin(lstm)

    def loss(x):
        torch.manual_seed(3)
        return ours(x, resets=resets)[0].square().sum()

    (d,) = torch.autograd.grad(loss(x), x)
    with torch.no_grad():
        change = (loss(x + 1e-6 * d) - loss(x)).item()
    assert change == pytest.approx(1e-6 * d.square().sum().item(), rel=1e-3)


def test_nonfinite_state_does_not_cross_a_reset():
    lstm, x, _, resets = make(share=0)
    resets[3] = True
    with torch.no_grad():
        x[1, 2] = torch.nan
        output, _ = twin(lstm)(x, resets=resets)
    assert output[1:3, 2].isnan().all() and output[3:].isfinite().all()


@pytest.mark.parametrize(
    "resets, error, words",
    [
        (torch.zeros(T, B), ValueError, "resets must be boolean of shape (T, B) = (7, 4), got float32 (7, 4)"),
        (torch.zeros(B, T, dtype=bool), ValueError, "resets must be boolean of shape (T, B) = (7, 4), got bool (4, 7)"),
        (np.zeros((T, B), bool), TypeError, "resets must be a torch.Tensor of dtype bool, got ndarray"),
        (torch.zeros(T, B, dtype=bool, device="meta"), TypeError, "resets must be a plain tensor, got Tensor on meta"),
    ],
)
def test_invalid_resets_raise(resets, error, words):
    lstm, x, *_ = make()
    with pytest.raises(error) as raised:
        twin(lstm)(x, resets=resets)
    assert str(raised.value) == words


def test_modules_without_resets_raise():
    cell = lf.torch.LSTMCell(I, H)
    with pytest.raises(TypeError, match="resets must be None for an LSTMCell"):
        cell(torch.zeros(B, I), resets=torch.zeros(B, dtype=bool))
    lstm, x, state, resets = make()
    ours = twin(lstm)
    with pytest.raises(RuntimeError, match="Expected hidden"):
        ours(x, (state[0][:, :2], state[1]), resets=resets)
    with pytest.raises(ValueError, match=r"must be None under torch.jit.trace"), pytest.warns():
        torch.jit.trace(lambda x: ours(x, resets=resets)[0], x)
    with pytest.raises(ValueError, match=r"must be None in transforms of torch.func"):
        torch.func.grad(lambda x: ours(x, resets=resets)[0].sum())(x.detach())
    with pytest.raises(Exception, match=r"must be None under torch.export"):
        torch.export.export(ours, (x,), {"resets": resets}, strict=False)
