"""lf.weights against PyTorch: any LSTM under any prefix, from a file or a state_dict, and back with the same bits."""

import os

import numpy as np
import pytest
import safetensors.torch
import torch

import lstm_fast as lf
from lstm_fast import weights

x = np.random.default_rng(0).standard_normal((5, 3, 4))
# PyTorch's warning about its own kernel is irrelevant here.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
FEATURES = {
    "LSTM": {},
    "layers": {"num_layers": 3},
    "directions": {"bidirectional": True},
    "`bias=False`": {"bias": False},
    "projection": {"proj_size": 2},
    "all of these": {"num_layers": 2, "bidirectional": True, "proj_size": 2, "bias": False},
    "float64": {"dtype": torch.float64},
    "float16": {"dtype": torch.float16},
    "bfloat16": {"dtype": torch.bfloat16},
}
COLUMNS = ("state_dict", "safetensors file", "under a prefix among others", "back")


def module(feature, cls=torch.nn.LSTM):
    torch.manual_seed(1)
    return cls(4, 6, **FEATURES[feature])


def surroundings(lstm):
    """A model in which other networks have the same names with other shapes."""
    return torch.nn.ModuleDict(
        {
            "encoder": torch.nn.ModuleDict({"lstm": lstm, "gru": torch.nn.GRU(4, 6, 2)}),
            "rnn": torch.nn.RNN(4, 6, bidirectional=True),
            "head": torch.nn.Linear(6, 2),
        }
    )


def check(got, source):
    """Parameters to the bit, and the output of PyTorch's own kernel."""
    wide = torch.float64 if next(source.parameters()).dtype == torch.float64 else torch.float32
    source = source.to(wide)
    assert got.dtype == np.dtype(str(wide).removeprefix("torch."))
    parameters = dict(source.named_parameters())
    assert list(got.parameters()) == list(parameters)
    for name, value in got.parameters().items():
        assert value.tobytes() == parameters[name].detach().numpy().tobytes()
    want, _ = source(torch.tensor(x, dtype=wide))
    assert np.abs(got(x)[0] - want.detach().numpy()).max() < (1e-6 if wide == torch.float32 else 1e-14)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("feature", FEATURES)
def test_feature(tmp_path, feature, column):
    lstm, path = module(feature), tmp_path / "model.safetensors"
    if column == "state_dict":
        assert weights.names(lstm.state_dict()) == [""]
        got = weights.load(lstm.state_dict())
    elif column == "safetensors file":
        safetensors.torch.save_file(lstm.state_dict(), path)
        got = weights.load(path)
    elif column == "under a prefix among others":
        model = surroundings(lstm)
        safetensors.torch.save_file(model.state_dict(), path)
        assert weights.names(path) == weights.names(model.state_dict()) == ["encoder.lstm."]
        got = weights.load(str(path), "encoder.lstm")
        for name, value in weights.load(model.state_dict()).parameters().items():
            assert value.tobytes() == got.parameters()[name].tobytes()
    else:
        weights.save(weights.load(lstm.state_dict()), path, "my.")
        tensors = safetensors.torch.load_file(path)
        lstm = lstm.to(next(iter(tensors.values())).dtype)
        lstm.load_state_dict({name.removeprefix("my."): value for name, value in tensors.items()})
        got = weights.load(path)
    check(got, lstm)


def test_torch_save_and_npz_files_as_mappings(tmp_path):
    lstm = module("directions")
    torch.save(surroundings(lstm).state_dict(), tmp_path / "model.pt")
    check(weights.load(torch.load(tmp_path / "model.pt")), lstm)
    np.savez(tmp_path / "model.npz", **{name: value.numpy() for name, value in lstm.state_dict().items()})
    with np.load(tmp_path / "model.npz") as arrays:
        check(weights.load(arrays), lstm)
    with pytest.raises(lf.FormatError, match=r"torch.load\(path\)"):
        weights.load(tmp_path / "model.pt")


def test_several_lstms_require_a_prefix(tmp_path):
    model = torch.nn.ModuleDict({"a": module("LSTM"), "b": module("layers"), "c": torch.nn.LSTMCell(4, 6)})
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    for source in (model.state_dict(), tmp_path / "model.safetensors"):
        assert sorted(weights.names(source)) == ["a.", "b.", "c."]
        for prefix in (None, "d", ""):
            with pytest.raises(ValueError, match=f"prefix must be one of 'a.', 'b.', 'c.' in .*, got {prefix!r}"):
                weights.load(source, prefix)
        check(weights.load(source, "b"), model["b"])
        check(weights.load(source, "a."), model["a"])


def test_a_prefix_is_any_string():
    state = module("LSTM").state_dict()
    for prefix in ("lstm", "a/b:", "h_0.", "weight_ih_l0.", "층.", " ", "x\ny."):
        named = {prefix + name: value for name, value in state.items()}
        assert weights.names(named) == [prefix]
        assert weights.load(named, prefix).hidden_size == 6


def test_a_cell_is_an_lstm_cell(tmp_path):
    cell = torch.nn.LSTMCell(4, 6)
    got = weights.load({"cell." + name: value for name, value in cell.state_dict().items()})
    assert isinstance(got, lf.LSTMCell)
    want = cell(torch.tensor(x[0], dtype=torch.float32))
    for a, b in zip(got(x[0]), want):
        assert np.abs(a - b.detach().numpy()).max() < 1e-6
    own = lf.LSTMCell(4, 6, peepholes=True, layer_norm=True, cell_clip=2.0, seed=0)
    weights.save(own, tmp_path / "cell.safetensors")
    again = weights.load(tmp_path / "cell.safetensors")
    assert repr(again) == repr(own) and all(np.array_equal(a, b) for a, b in zip(again(x[0]), own(x[0])))


def test_save_keeps_every_option(tmp_path):
    path = tmp_path / "all.safetensors"
    lstm = lf.LSTM(
        4,
        6,
        2,
        bidirectional=True,
        proj_size=3,
        dropout=0.1,
        dtype=np.float64,
        seed=0,
        peepholes=True,
        layer_norm=True,
        coupled_gates=True,
        cell_clip=3.0,
        gate_clip=5.0,
        activation="softsign",
        recurrent_activation=("hard_sigmoid", 0.3),
        cell_activation=("elu", 0.8),
        recurrent_dropout=0.2,
        zoneout=(0.1, 0.2),
        learn_initial_state=True,
    )
    weights.save(lstm, path, "net.")
    got = weights.load(path)
    assert repr(got) == repr(lstm) and got.flat_parameters.tobytes() == lstm.flat_parameters.tobytes()
    assert got(x)[0].tobytes() == lstm(x)[0].tobytes()
    assert weights.load(path, batch_first=True, cell_clip=None).cell_clip is None
    small = weights.load(path, dtype=np.float32)
    assert small.dtype == np.float32 and np.array_equal(small.flat_parameters, lstm.flat_parameters.astype(np.float32))
    # Without metadata, names and shapes give PyTorch's options.
    bare = weights.load(lstm.state_dict())
    assert (
        bare.peepholes
        and bare.layer_norm
        and bare.learn_initial_state
        and bare.proj_size == 3
        and bare.cell_clip is None
    )


def test_weights_of_a_trained_model_load_as_lstm(tmp_path):
    model = lf.train.SequenceModel(lf.LSTM(4, 6, batch_first=True, gate_clip=1.0, seed=0), 2, seed=0)
    model.save(tmp_path / "model.safetensors")
    assert weights.names(tmp_path / "model.safetensors") == ["lstm."]
    got = weights.load(tmp_path / "model.safetensors")
    assert repr(got) == repr(model.lstm) and got(x)[0].tobytes() == model.lstm(x)[0].tobytes()


def test_save_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    weights.save(lf.LSTM(4, 6, seed=0), path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        weights.save(lf.LSTM(4, 6, seed=1), path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model.safetensors"]
