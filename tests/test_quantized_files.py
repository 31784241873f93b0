"""Quantized networks in safetensors files: the same bits back, the tensor types of the formats, damaged files."""

import json

import numpy as np
import pytest
import safetensors  # noqa: F401 (files need it: without it this module is skipped)

import lstm_fast as lf
from format_cases import CASES, FORMATS, OPTIONS, arguments, make
from lstm_fast import _safetensors, reference
from optional import require
from tolerances import assert_same_bits


@pytest.mark.parametrize("format, options", CASES)
def test_round_trip_through_a_file(tmp_path, format, options):
    format, inputs = FORMATS[format]
    lstm = make(OPTIONS[options])
    lstm.batch_first = True
    small, path = lstm.quantized(format, inputs=inputs), tmp_path / "small.safetensors"
    lf.weights.save(small, path, "my.")
    assert lf.weights.names(path) == ["my."]
    for source in (path, path.read_bytes()):
        again = lf.weights.load(source)
        assert repr(again) == repr(small) and type(again) is lf.QuantizedLSTM
        assert again.nbytes == small.nbytes and list(again.parameters()) == list(small.parameters())
        for name, value in small.parameters().items():
            assert_same_bits(again.parameters()[name], value, name)
    x, state, lengths, _ = arguments(lstm)
    x = x.swapaxes(0, 1)
    assert_same_bits(again(x, state, lengths=lengths)[0], small(x, state, lengths=lengths)[0])


def test_tensor_dtypes_match_the_format(tmp_path):
    torch, files = require("torch"), require("safetensors.torch")
    lstm, path = lf.LSTM(3, 5, 2, seed=0), tmp_path / "small.safetensors"
    types = {
        "float16": [torch.float16] * 3,
        "bfloat16": [torch.bfloat16, torch.bfloat16, torch.float32],
        "bfloat16_amx": [torch.bfloat16, torch.bfloat16, torch.float32],
        "int8": [torch.float32, torch.int8, torch.float32],
        "int8 inputs": [torch.int8, torch.int8, torch.float32],
        "int8, int16 inputs": [torch.int8, torch.int8, torch.float32],
    }
    for name, (format, inputs) in FORMATS.items():
        small = lstm.quantized(format, inputs=inputs)
        lf.weights.save(small, path)
        tensors = files.load_file(path)
        assert [tensors[key].dtype for key in ("weight_ih_l0", "weight_hh_l1", "bias_ih_l0")] == types[name]
        assert ("scale_ih_l0" in tensors, "scale_hh_l1" in tensors) == (inputs != "float32", format == "int8")
        if format.startswith("bfloat16"):
            want = torch.tensor(lstm.parameters()["weight_ih_l0"]).to(torch.bfloat16)
            assert torch.equal(tensors["weight_ih_l0"], want)  # PyTorch rounds the same
            own = small.parameters()["weight_ih_l0"]
            assert_same_bits(tensors["weight_ih_l0"].float().numpy(), reference.from_bfloat16(own))


def test_options_of_the_call_override_the_file(tmp_path):
    path = tmp_path / "small.safetensors"
    lf.weights.save(lf.LSTM(3, 5, seed=0, cell_clip=2.0).quantized("int8"), path)
    assert lf.weights.load(path, batch_first=True, cell_clip=1.0).config()["cell_clip"] == 1.0
    with pytest.raises(ValueError, match="dtype must be float32"):
        lf.weights.load(path, dtype=np.float64)


def edited(path, change, config_change=lambda config: None):
    """The bytes of a file with other tensors or another configuration."""
    file = _safetensors.read(path)
    tensors = {name: tensor.stored(name).copy() for name, tensor in file.tensors.items()}
    config = json.loads(json.dumps(file.config))
    change(tensors)
    config_change(config)
    _safetensors.write(path, tensors, config)
    return path


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop("scale_hh_l0"), "scale_hh_l0"),
        (lambda t: t.update(scale_hh_l0=t["scale_hh_l0"][1:]), "scale_hh_l0 must be float32 .20,., got float32 .19,."),
        (lambda t: t.update(scale_hh_l0=-t["scale_hh_l0"]), "scale_hh_l0 must not be negative"),
        (lambda t: t.update(scale_hh_l0=t["scale_hh_l0"] * np.float32(np.nan)), "scale_hh_l0 must not be negative"),
        (lambda t: t.update(scale_hh_l0=t["scale_hh_l0"] * np.float32(np.inf)), "weight_hh_l0 must be finite"),
        (lambda t: t.update(weight_hh_l0=np.full_like(t["weight_hh_l0"], -128)), "must be from -127 to 127"),
        (lambda t: t.update(weight_hh_l0=t["weight_hh_l0"].astype(np.float32)), "weight_hh_l0 must be int8"),
        (lambda t: t.update(bias_ih_l0=t["bias_ih_l0"] * np.nan), "bias_ih_l0 must be finite"),
        (lambda t: t.update(h_0_l0=t["h_0_l0"] + 2), "h_0_l0 must lie within"),
        (lambda t: t.pop("bias_hh_l0"), "bias_hh_l0"),
    ],
)
def test_damaged_tensors_raise_format_error(tmp_path, change, message):
    path = tmp_path / "small.safetensors"
    lf.weights.save(lf.LSTM(3, 5, seed=0, learn_initial_state=True).quantized("int8"), path)
    with np.errstate(invalid="ignore"):
        edited(path, change)
    with pytest.raises(lf.FormatError, match=message):
        lf.weights.load(path)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c.update(format="int4"), "format must be"),
        (lambda c: c.update(format=[]), "format must be"),
        (lambda c: c.update(inputs="int8"), "scale_ih_l0|weight_ih_l0 must be int8"),
        (lambda c: c.pop("inputs"), "inputs"),
        (lambda c: c["network"].update(cell_activation="relu"), "cell_activation must have values"),
        (lambda c: c["network"].update(color="red"), "color"),
    ],
)
def test_damaged_configurations_raise_format_error(tmp_path, change, message):
    path = tmp_path / "small.safetensors"
    lf.weights.save(lf.LSTM(3, 5, seed=0).quantized("int8"), path)
    edited(path, lambda tensors: None, change)
    with pytest.raises(lf.FormatError, match=message):
        lf.weights.load(path)


def test_rows_of_zeros_have_the_scale_zero_and_are_read(tmp_path):
    lstm = lf.LSTM(3, 4, seed=0)
    with lstm.edit() as p:
        p["weight_hh_l0"][5] = 0
    small, x = lstm.quantized("int8"), np.ones((3, 2, 3), np.float32)
    lf.weights.save(small, tmp_path / "int8.safetensors")
    read = lf.weights.load(tmp_path / "int8.safetensors")
    assert np.array_equal(read(x)[0], small(x)[0]) and np.isfinite(read(x)[0]).all()
