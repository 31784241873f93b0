"""Sources that lf.weights.load accepts, and its errors for other formats that hold weights."""

import copy
import io
import json
import pickle
import re

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.utils.prune

import lstm_fast as lf
from lstm_fast import weights
from optional import require


def module(**options):
    torch.manual_seed(1)
    return torch.nn.LSTM(4, 6, **options)


def assert_equal(got, module):
    parameters = {name: value.detach().numpy() for name, value in module.named_parameters()}
    assert list(got.parameters()) == list(parameters)
    for name, value in got.parameters().items():
        assert value.dtype == parameters[name].dtype and value.tobytes() == parameters[name].tobytes()


# ---- taken ----


def test_nested_lists_from_json():
    lstm = module(num_layers=2, bidirectional=True)
    lists = json.loads(json.dumps({name: value.tolist() for name, value in lstm.state_dict().items()}))
    assert weights.names(lists) == [""]
    assert_equal(weights.load(lists), lstm)
    assert_equal(weights.load({"lstm": lists, "classes": ["a", "b"]}), lstm)
    wide = weights.load(lists, dtype=np.float64)
    assert wide.dtype == np.float64 and np.array_equal(wide.flat_parameters, weights.load(lists).flat_parameters)
    ones = weights.load({"weight_ih_l0": [[1]] * 4, "weight_hh_l0": [[0]] * 4})
    assert ones.dtype == np.float32 and not ones.bias


def test_module_options_that_shapes_do_not_determine():
    lstm = module(num_layers=2, batch_first=True, dropout=0.25)
    got = weights.load(lstm)
    assert_equal(got, lstm)
    assert got.batch_first and got.dropout == 0.25
    model = torch.nn.ModuleDict({"encoder": lstm, "head": torch.nn.Linear(6, 1)})
    got = weights.load(model)
    assert weights.names(model) == ["encoder."] and got.batch_first
    assert not weights.load(model, "encoder", batch_first=False).batch_first
    x = np.random.default_rng(0).standard_normal((3, 5, 4), np.float32)
    want = lstm.eval()(torch.from_numpy(x))[0].detach().numpy()
    assert np.abs(got(x)[0] - want).max() < 1e-6
    cell = torch.nn.LSTMCell(4, 6)
    assert isinstance(weights.load(cell), lf.LSTMCell)
    assert not weights.load(module()).dropout


def test_single_mapping_with_an_lstm_in_a_checkpoint():
    lstm = module()
    optimizer = torch.optim.Adam(lstm.parameters())
    checkpoint = {"state_dict": lstm.state_dict(), "epoch": 3, "optimizer": optimizer.state_dict()}
    assert weights.names(checkpoint) == [""]
    assert_equal(weights.load(checkpoint), lstm)
    assert_equal(weights.load({"model": lstm, "epoch": 3}), lstm)
    with pytest.raises(ValueError, match=r"one mapping with an LSTM, got 'model', 'ema': pass source\[\.\.\.\]"):
        weights.load({"model": lstm.state_dict(), "ema": copy.deepcopy(lstm).state_dict()})


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_a_file(kind):
    lstm = module()
    data = kind(safetensors.torch.save({"net." + name: value for name, value in lstm.state_dict().items()}))
    assert weights.names(data) == ["net."]
    assert_equal(weights.load(data), lstm)


# ---- errors that suggest an alternative ----


def weight_norm(lstm):
    return torch.nn.utils.weight_norm(lstm, "weight_hh_l0")


PARTS = {
    "weight_norm": (weight_norm, "weight_hh_l0_g", "torch.nn.utils.remove_weight_norm"),
    "prune": (
        lambda lstm: torch.nn.utils.prune.random_unstructured(lstm, "weight_hh_l0", 0.5),
        "weight_hh_l0_orig",
        "torch.nn.utils.prune.remove",
    ),
    "parametrization": (
        lambda lstm: torch.nn.utils.parametrizations.weight_norm(lstm, "weight_hh_l0"),
        "parametrizations.weight_hh_l0.original0",
        "torch.nn.utils.parametrize.remove_parametrizations",
    ),
    "orthogonal": (
        lambda lstm: torch.nn.utils.parametrizations.spectral_norm(lstm, "weight_ih_l0"),
        "parametrizations.weight_ih_l0.original",
        "torch.nn.utils.parametrize.remove_parametrizations",
    ),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("prefix", ["", "net.lstm."])
@pytest.mark.parametrize("kind", PARTS)
def test_parametrized_weights_raise_with_the_remedy(tmp_path, kind, prefix):
    change, part, cure = PARTS[kind]
    state = {prefix + name: value.contiguous() for name, value in change(module()).state_dict().items()}
    words = re.escape(f"{prefix}{part}, a part from which PyTorch computes it: call {cure}")
    with pytest.raises(ValueError, match=words):
        weights.load(state)
    with pytest.raises(ValueError, match=words):
        weights.load(state, prefix.removesuffix("."))
    safetensors.torch.save_file(state, tmp_path / "parts.safetensors")
    with pytest.raises(lf.FormatError, match=words):
        weights.load(tmp_path / "parts.safetensors")
    both = state | {"other." + name: value for name, value in module().state_dict().items()}
    assert_equal(weights.load(both, "other"), module())


def written(path, kind):
    lstm = module()
    state = lstm.state_dict()
    if kind == "torch.save":
        torch.save(state, path)
    elif kind == "torch.save of a module":
        torch.save(lstm, path)
    elif kind == "torch.save of old":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    elif kind == "savez":
        np.savez(path, **{name: value.numpy() for name, value in state.items()})
    elif kind == "json":
        path.write_text(json.dumps({name: value.tolist() for name, value in state.items()}))
    elif kind == "onnx":
        require("onnx")
        lf.onnx.save(weights.load(lstm), path)
    else:
        h5py = require("h5py")
        with h5py.File(path, "w") as h5:
            h5["a"] = 1


@pytest.mark.parametrize(
    "kind, cure",
    [
        ("torch.save", "torch.load(path)"),
        ("torch.save of a module", "torch.load(path)"),
        ("torch.save of old", "torch.load(path)"),
        ("pickle", "torch.load(path)"),
        ("savez", "numpy.load(path)"),
        ("json", "json.load(open(path))"),
        ("onnx", "lstm_fast.onnx.load(path)"),
        ("h5", "lstm_fast.keras.load(path)"),
    ],
)
def test_other_file_formats_name_their_loader(tmp_path, kind, cure):
    path = tmp_path / ("model.npz" if kind == "savez" else "model")
    written(path, kind)
    with pytest.raises(lf.FormatError, match=re.escape(cure)):
        weights.load(path)
    with pytest.raises(lf.FormatError, match=r"source is not a safetensors file.*(BytesIO\(source\)|loads\(source\))"):
        weights.load(path.read_bytes())


@pytest.mark.parametrize(
    "source, error, words",
    [
        (lambda: None, TypeError, "source must be a path or a mapping from names to arrays, got NoneType"),
        (lambda: [[[1.0]] * 4, [[1.0]] * 4], TypeError, "got list"),
        (lambda: io.BytesIO(b""), TypeError, "got _io.BytesIO"),
        (lambda: lf.LSTM(2, 3, activation="relu"), TypeError, "got LSTM, which is a network of lstm_fast already"),
        (lambda: lf.train.SequenceModel(lf.LSTM(2, 3), 1), TypeError, "SequenceModel, which is a network"),
        (
            lambda: {"weight_ih_l0": [[1.0], [1.0, 2.0]], "weight_hh_l0": [[1.0]] * 4},
            ValueError,
            "weight_ih_l0 must be",
        ),
        (lambda: {"weight_ih_l0": "x", "weight_hh_l0": None}, ValueError, "shapes must match an LSTM of one size"),
        (lambda: {"weight_ih_l0": [["x"]] * 4, "weight_hh_l0": [[1.0]] * 4}, TypeError, "weight_ih_l0 must hold real"),
        (lambda: torch.nn.Linear(2, 3), ValueError, "source must have the parameters of an LSTM"),
        (lambda: {"state_dict": {}}, ValueError, "source must have the parameters of an LSTM"),
        (lambda: {1: 2, None: 3}, ValueError, "source must have the parameters of an LSTM"),
    ],
)
def test_other_sources_raise_with_the_expected_types(source, error, words):
    with pytest.raises(error, match=words):
        weights.load(source())


@pytest.mark.parametrize(
    "call",
    [
        lambda lstm, path: weights.save(lstm, path),
        lambda lstm, path: lf.train.SequenceModel(lstm, 1),
        lambda lstm, path: lf.onnx.save(lstm, path),
        lambda lstm, path: lf.keras.to_layer(lstm),
    ],
    ids=["weights.save", "SequenceModel", "onnx.save", "keras.to_layer"],
)
def test_error_for_pytorch_lstm_suggests_weights_load(tmp_path, call, request):
    if request.node.callspec.id == "onnx.save":
        require("onnx")
    with pytest.raises(
        TypeError, match=r"got torch.nn.modules.rnn.LSTM \(a PyTorch module: pass lstm_fast.weights.load"
    ):
        call(module(), tmp_path / "model")
