"""Copies, pickles and files of accelerated modules, and their state_dict and repr."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import lstm_fast as lf
from test_torch_accelerate import Initialized


def test_copies_of_frozen_modules_are_frozen_and_read_their_own_weights():
    lstm, x = lf.torch.accelerate(nn.LSTM(3, 4), frozen=True), torch.randn(2, 2, 3)
    with torch.no_grad():
        want = lstm(x)[0]
        for one in (copy.deepcopy(lstm), pickle.loads(pickle.dumps(lstm))):
            assert lf.torch.report(one)[0].is_frozen and torch.equal(one(x)[0], want)
            one.load_state_dict({name: 2 * p for name, p in one.state_dict().items()})
            assert not torch.equal(one(x)[0], want)
    assert "_is_frozen" not in vars(lf.torch.restore(lstm))


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
        lambda: lf.torch.accelerate(Initialized(3, 4)),
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
def test_state_dict_and_repr_match_pytorch(options):
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
