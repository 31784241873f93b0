"""accelerate(format=...): inference has the bits of LSTM.quantized, training those without a format."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import lstm_fast as lf
from format_cases import FORMATS

each_format = pytest.mark.parametrize("format, inputs", FORMATS.values(), ids=FORMATS)


def lstm(**options):
    torch.manual_seed(0)
    return nn.LSTM(3, 20, **options).eval()


def quantized(module, format, inputs):
    return lf.weights.load(module).quantized(format, inputs=inputs)


def same(got, want):
    return got.detach().numpy().tobytes() == np.ascontiguousarray(want).tobytes()


x = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(1))


@each_format
@pytest.mark.parametrize("options", [{}, dict(num_layers=2, bidirectional=True), dict(bias=False, batch_first=True)])
def test_inference_matches_quantized_bitwise(format, inputs, options):
    module = lstm(**options)
    small = quantized(module, format, inputs)
    fast = lf.torch.accelerate(copy.deepcopy(module), format=format, inputs=inputs)
    n = module.num_layers * (1 + module.bidirectional)
    h = torch.rand(n, x.shape[1 - module.batch_first], 20)
    c = torch.randn_like(h)
    for no_grad in (torch.no_grad, torch.inference_mode):
        for states in (None, (h, c)):
            want, (h_n, c_n) = small(x.numpy(), None if states is None else (h.numpy(), c.numpy()))
            for _ in range(2):  # the first call packs, the second takes the fast path
                with no_grad():
                    got, (got_h, got_c) = fast(x, states)
                assert same(got, want) and same(got_h, h_n) and same(got_c, c_n)
    fast.requires_grad_(False)
    assert same(fast(x, (h, c))[0], want), "nothing requires a gradient"


@each_format
def test_packed_sequences_and_cells(format, inputs):
    module = lstm()
    small = quantized(module, format, inputs)
    fast = lf.torch.accelerate(copy.deepcopy(module), format=format, inputs=inputs)
    with torch.no_grad():
        for _ in range(2):
            output, _ = fast(pack_sequence([x[:6, 0], x[:2, 1]]))
            alone = [small(one.numpy())[0] for one in (x[:6, 0], x[:2, 1])]
            rows = np.concatenate([np.stack([a[t] for a in alone if t < len(a)]) for t in range(6)])
            assert same(output.data, rows)
    cell = nn.LSTMCell(3, 20).eval()
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, name).copy_(getattr(module, name + "_l0"))
        lf.torch.accelerate(cell, format=format, inputs=inputs)
        state, got = None, []
        for x_t in x:
            state = cell(x_t, state)
            got.append(state[0])
    assert same(torch.stack(got), small(x.numpy())[0])


@each_format
def test_training_uses_float32(format, inputs):
    module = lstm(num_layers=2, dropout=0.25).train()
    plain = lf.torch.accelerate(copy.deepcopy(module))
    fast = lf.torch.accelerate(copy.deepcopy(module), format=format, inputs=inputs)
    results = []
    for one in (plain, fast):
        torch.manual_seed(2)
        output, _ = one(x)
        output.square().sum().backward()
        with torch.no_grad():
            without_gradient, _ = one(x)
        one.eval()
        with_gradient, _ = one(x)
        results.append([output, without_gradient, with_gradient, *(p.grad for p in one.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert fast._quantized is None, "no call was one for the format"
    with torch.no_grad():
        assert not torch.equal(fast(x)[0], with_gradient)


@each_format
def test_changed_weights_are_requantized(format, inputs):
    fast = lf.torch.accelerate(lstm(), format=format, inputs=inputs)
    with torch.no_grad():
        fast(x)
        fast.weight_hh_l0.data.mul_(0.5)
        got = fast(x)[0]
        assert same(got, quantized(fast, format, inputs)(x.numpy())[0])
        fast.bias_hh_l0.numpy()[3] = 1
        assert same(fast(x)[0], quantized(fast, format, inputs)(x.numpy())[0])
        frozen = lf.torch.accelerate(fast, frozen=True, format=format, inputs=inputs)
        before = frozen(x)[0]
        frozen.bias_hh_l0.add_(1)
        assert torch.equal(frozen(x)[0], before)
        frozen.flatten_parameters()
        assert same(frozen(x)[0], quantized(frozen, format, inputs)(x.numpy())[0])


@each_format
def test_compiled_modules(format, inputs):
    module = lstm(num_layers=2)
    small = quantized(module, format, inputs)
    fast = lf.torch.accelerate(module, format=format, inputs=inputs)
    before = torch._dynamo.config.allow_rnn
    torch._dynamo.config.allow_rnn = True
    try:
        compiled = torch.compile(fast, backend="eager", fullgraph=True)
        with torch.no_grad():
            assert same(compiled(x)[0], small(x.numpy())[0])
        output, _ = compiled(x)
        assert output.requires_grad and not same(output, small(x.numpy())[0])
    finally:
        torch._dynamo.config.allow_rnn = before
        torch._dynamo.reset()


@each_format
def test_copies_keep_the_format_and_restore_drops_it(format, inputs):
    fast = lf.torch.accelerate(nn.ModuleDict({"lstm": lstm()}), format=format, inputs=inputs)
    with torch.no_grad():
        want = fast["lstm"](x)[0]
        file = io.BytesIO()
        torch.save(fast, file)
        file.seek(0)
        for other in (copy.deepcopy(fast), pickle.loads(pickle.dumps(fast)), torch.load(file, weights_only=False)):
            assert torch.equal(other["lstm"](x)[0], want)
        assert str(lf.torch.report(fast)) == f"lstm  LSTM  accelerated ({format})"
        plain = lf.torch.accelerate(lstm())(x)[0]
        assert torch.equal(lf.torch.accelerate(fast)["lstm"](x)[0], plain), (
            "another call of accelerate resets the format"
        )
        lf.torch.restore(lf.torch.accelerate(fast, format=format, inputs=inputs))
        assert type(fast["lstm"]) is nn.LSTM and "_quantization" not in vars(fast["lstm"])


def test_float64_modules_ignore_the_format():
    module = lstm().double()
    fast = lf.torch.accelerate(copy.deepcopy(module), format="int8")
    with torch.no_grad():
        assert torch.equal(fast(x.double())[0], lf.torch.accelerate(module)(x.double())[0])


def test_invalid_arguments_raise_before_any_change():
    model = nn.ModuleDict({"first": nn.LSTM(3, 4), "second": nn.LSTM(4, 4, proj_size=2)})
    for arguments, message in (
        (dict(format="int4"), "format must be 'float16', 'bfloat16', 'bfloat16_amx' or 'int8', got 'int4'"),
        (dict(format="bfloat16", inputs="int8"), "inputs must be 'float32' with format='bfloat16'"),
        (dict(inputs="int8"), "inputs must be 'float32' without a format"),
        (dict(format="int8"), "proj_size of second must be 0 with format='int8'"),
    ):
        with pytest.raises(ValueError, match=message):
            lf.torch.accelerate(model, **arguments)
        assert type(model["first"]) is nn.LSTM
    with pytest.raises(TypeError, match=r"module must be a torch\.nn\.Module"):
        lf.torch.accelerate(3, format="int8")


def test_options_unsupported_by_int8_raise():
    fast = lf.torch.accelerate(lstm(), format="int8")
    cell = lf.torch.accelerate(nn.LSTMCell(3, 20).eval(), format="int8")
    c = torch.zeros(1, 4, 20)
    with torch.no_grad():
        for _ in range(2):
            for bad in (1.5, float("nan"), float("-inf")):
                h = torch.zeros(1, 4, 20)
                h[0, 1, 2] = bad
                for call in (lambda h=h: fast(x, (h, c)), lambda h=h: cell(x[0], (h[0], c[0]))):
                    with pytest.raises(ValueError, match=r"h_0 must lie within \[-1, 1\] with format='int8'"):
                        call()
            fast(x, (torch.ones(1, 4, 20), c))
        fast.weight_hh_l0[0, 0] = torch.nan
        with pytest.raises(ValueError, match="weight_hh_l0 must be finite"):
            fast(x)
    fast(x)  # in float32, with a gradient
