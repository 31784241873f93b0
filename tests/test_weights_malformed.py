"""Files and mappings that lf.weights cannot load: informative errors, FormatError for files."""

import json
import sys

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

import lstm_fast as lf
from lstm_fast import weights
from test_weights_files import module


def broken(change, feature="all of these"):
    state = {name: value.numpy() for name, value in module(feature).state_dict().items()}
    change(state)
    return state


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda s: s.pop("weight_hh_l1_reverse"), "parameters are missing: weight_hh_l1_reverse"),
        (lambda s: s.pop("weight_hr_l0"), "parameters are missing: weight_hr_l0"),
        (
            lambda s: [s.pop(name) for name in list(s) if "l0" in name],
            "parameters are missing: weight_ih_l0, weight_hh_l0.*_reverse",
        ),
        (
            lambda s: s.update(weight_ih_l9999=s["weight_ih_l0"]),
            r"parameters of 10000 layers .* of layers \[0, 1, 9999\]",
        ),
        (lambda s: s.update(bias_ih_l0=np.zeros(24)), "parameters are missing: bias_hh_l0, bias_ih_l0_reverse"),
        (
            lambda s: s.update(norm_ih_weight_l0=np.zeros(24)),
            "parameters are missing: norm_hh_weight_l0, norm_c_weight_l0",
        ),
        (lambda s: s.update(h_0_l0=np.zeros(24)), "parameters are missing: c_0_l0"),
        (lambda s: s.update(weight_ih_l1=s["weight_ih_l1"].T), r"weight_ih_l1 \(4, 24\) instead of \(24, 4\)"),
        (lambda s: s.update(weight_hh_l0=np.zeros((24, 5))), "shapes must match an LSTM of one size"),
        (lambda s: s.update(weight_hh_l0=np.zeros(24)), "shapes must match an LSTM of one size"),
        (lambda s: s.update(weight_ih_l0=np.zeros((23, 4))), "shapes must match an LSTM of one size"),
        (lambda s: s.update(weight_ih_l0=np.zeros((24, 0))), "shapes must match an LSTM of one size"),
        (lambda s: [s.pop(name) for name in list(s) if "hr" in name], "shapes must match an LSTM of one size"),
    ],
)
def test_inconsistent_parameters_raise(tmp_path, change, words):
    state = broken(change)
    with pytest.raises(ValueError, match=words):
        weights.load(state)
    path = tmp_path / "broken.safetensors"
    safetensors.numpy.save_file({name: np.ascontiguousarray(value) for name, value in state.items()}, path)
    with pytest.raises(lf.FormatError, match=words):
        weights.load(path)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: weights.load({}), ValueError, "source must have the parameters of an LSTM"),
        (lambda: weights.load(torch.nn.GRU(4, 6).state_dict()), ValueError, "must have the parameters of an LSTM"),
        (lambda: weights.load(torch.nn.RNN(4, 6).state_dict()), ValueError, "must have the parameters of an LSTM"),
        (lambda: weights.load(3), TypeError, "source must be a path or a mapping from names to arrays, got int"),
        (lambda: weights.load(module("LSTM").state_dict(), hidden_size=6), TypeError, "hidden_size must not be given"),
        (lambda: weights.load(module("LSTM").state_dict(), layers=6), TypeError, "layers"),
        (
            lambda: weights.load(module("LSTM").state_dict(), dropout=7),
            ValueError,
            "dropout must be a number from 0 to 1, got 7",
        ),
        (lambda: weights.load("none.safetensors"), FileNotFoundError, "none.safetensors"),
        (
            lambda: weights.save(lf.RNN(2, 3), "x"),
            TypeError,
            "lstm must be an LSTM, LSTMCell or QuantizedLSTM, got RNN",
        ),
        (lambda: weights.save(lf.LSTM(2, 3, seed=0), "x", 3), TypeError, "prefix must be a string, got 3"),
    ],
)
def test_invalid_arguments_raise(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_files_do_not_require_safetensors(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    weights.save(lf.LSTM(2, 3, seed=0), tmp_path / "model.safetensors")
    assert weights.load(tmp_path / "model.safetensors").hidden_size == 3


def test_integer_weights_raise(tmp_path):
    state = module("LSTM").state_dict() | {"weight_ih_l0": torch.ones(24, 4, dtype=torch.int8)}
    safetensors.torch.save_file(state, tmp_path / "int8.safetensors")
    with pytest.raises(lf.FormatError, match="weight_ih_l0 must have dtype F64, F32, F16 or BF16, got I8"):
        weights.load(tmp_path / "int8.safetensors")


def with_metadata(**metadata):
    return safetensors.torch.save(module("LSTM").state_dict(), metadata)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\3\4",
        b"\xff" * 8,
        b"\x10" + bytes(7) + b"[" * 16,
        (2**40).to_bytes(8, "little") + b"{}",
        with_metadata(format="lstm_fast"),
        with_metadata(format="lstm_fast", config="[]"),
        with_metadata(format="lstm_fast", config="{"),
        with_metadata(
            format="lstm_fast", config=json.dumps({"file": "weights", "prefix": "", "network": {"layers": 3}})
        ),
        with_metadata(
            format="lstm_fast", config=json.dumps({"file": "weights", "prefix": "", "network": {"cell_clip": "no"}})
        ),
    ],
    ids=range(10),
)
def test_other_files_raise_format_error(tmp_path, data):
    path = tmp_path / "other.safetensors"
    path.write_bytes(data)
    for read in (weights.names, weights.load):
        with pytest.raises(lf.FormatError, match="other.safetensors is not a safetensors file, or damaged"):
            read(path)


def test_changed_bytes_give_a_format_error(tmp_path):
    weights.save(lf.LSTM(2, 2, 2, bidirectional=True, cell_clip=3.0, seed=0), tmp_path / "good.safetensors", "net.")
    data = (tmp_path / "good.safetensors").read_bytes()
    rng, path = np.random.default_rng(5), tmp_path / "damaged"
    for k in range(1000):
        bad = bytearray(data[: rng.integers(len(data))] if k % 5 == 0 else data)
        for place in rng.integers(min(len(bad), 2500), size=rng.integers(1, 6)) if bad else ():
            bad[place] = rng.integers(256)
        path.write_bytes(bad)
        if bad != data:
            with pytest.raises(lf.FormatError):
                weights.load(path, "net")
