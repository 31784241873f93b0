"""resets= of lf.torch.LSTM in torch.fx and torch.compile."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from test_torch_resets import F64, assert_equal_runs, make, run
from torch_cases import twin


def test_torch_fx_records_the_argument():
    lstm, x, _, resets = make()
    ours = twin(lstm)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = ours

        def forward(self, x, resets):
            return self.lstm(x, resets=resets)[0]

    traced = torch.fx.symbolic_trace(Model())
    assert torch.equal(traced(x, resets), ours(x, resets=resets)[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*CUDA.*", "ignore:.*allow_rnn.*")
@pytest.mark.parametrize("allow_rnn", [False, True], ids=["break", "one operator"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=["one", "two"])
def test_torch_compile(allow_rnn, options):
    torch._dynamo.reset()
    lstm, x, state, resets = make(**options)
    ours = twin(lstm)
    want = run(ours, (x, state), lambda m, x, s: m(x, s, resets=resets))
    with torch._dynamo.config.patch(allow_rnn=allow_rnn):
        compiled = torch.compile(ours, backend="aot_eager", fullgraph=allow_rnn)
        for now in (resets, ~resets, resets):
            got = run(ours, (x, state), lambda m, x, s, r=now: compiled(x, s, resets=r))
        assert_equal_runs(got, want, F64, "compiled")
        if allow_rnn:
            with pytest.raises(Exception, match="resets must be boolean"):
                compiled(x, state, resets=resets[1:])
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*CUDA.*", "ignore:.*allow_rnn.*")
@pytest.mark.filterwarnings("ignore::lstm_fast.torch.FallbackWarning")
def test_torch_compile_with_fallbacks():
    torch._dynamo.reset()
    lstm, x, _, resets = make(dtype=torch.float32)
    ours = twin(lstm)
    x = x.detach()
    packed = pack_padded_sequence(x, torch.tensor([7, 5, 5, 2]))
    narrow = copy.deepcopy(ours).bfloat16()
    with torch._dynamo.config.patch(allow_rnn=True):
        got = torch.compile(narrow, backend="eager")(x.bfloat16(), resets=resets)[0]
        assert torch.equal(got, narrow(x.bfloat16(), resets=resets)[0])
        got = torch.compile(ours, backend="eager")(packed, resets=resets)[0]
        assert isinstance(got, PackedSequence) and torch.equal(got.data, ours(packed, resets=resets)[0].data)
    torch._dynamo.reset()
