"""DynamicQuantizeLSTM nodes, as ONNX Runtime's quantize_dynamic makes them, as QuantizedLSTMs of int8."""

import numpy as np
import onnx
import pytest

import lstm_fast as lf
from onnx_cases import quantized_case, run
from optional import require
from tolerances import assert_same_bits

quantization = require("onnxruntime.quantization")


def quantized_by_onnxruntime(lstm, folder, **options):
    """The file of a network, by quantize_dynamic."""
    path, small = folder / "lstm.onnx", folder / "small.onnx"
    lf.onnx.save(lstm, path)
    quantization.quantize_dynamic(path, small, op_types_to_quantize=["LSTM"], **options)
    assert "DynamicQuantizeLSTM" in {node.op_type for node in onnx.load(small).graph.node}
    return small


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("weight_type", ["QInt8", "QUInt8"])
@pytest.mark.parametrize("options", [{}, dict(num_layers=2, bidirectional=True, batch_first=True)])
def test_quantize_dynamic_files(tmp_path, options, weight_type, per_channel):
    lstm = lf.LSTM(6, 40, seed=0, **options)
    kind = getattr(quantization.QuantType, weight_type)
    small = quantized_by_onnxruntime(lstm, tmp_path, weight_type=kind, per_channel=per_channel)
    network = lf.onnx.load(small)
    assert type(network) is lf.QuantizedLSTM and (network.format, network.inputs) == ("int8", "int8")
    assert repr(network.dequantized()) == repr(lstm) == repr(lf.onnx.load(small, dequantize=True))
    x = np.random.default_rng(1).standard_normal((5, 7, 6)).astype(np.float32)
    output, (h_n, c_n) = network(x)
    theirs = run(small, {"x": x})
    for ours, other, exact in zip((output, h_n, c_n), theirs, (lstm(x)[0], *lstm(x)[1]), strict=True):
        assert np.abs(ours - exact).max() < 0.03 and np.abs(ours - other).max() < 0.06
    wide = lf.onnx.load(small, dequantize=True).parameters()
    for name, value in network.dequantized().parameters().items():
        step = np.abs(wide[name]).max() / 127 * (weight_type == "QUInt8")
        assert np.abs(value - wide[name]).max() <= 0.51 * step + 1e-6, name


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("H", [64, 128, 256, 512])
@pytest.mark.parametrize("gain", [1, 3])
def test_error_is_at_most_half_of_onnxruntime(tmp_path, H, gain):
    lstm = lf.LSTM(H, H, seed=H)
    with lstm.edit() as p:
        p.flat[:] *= gain
    x = np.random.default_rng(H).standard_normal((100, 2, H)).astype(np.float32)
    exact = lstm(x)[0]
    small = quantized_by_onnxruntime(lstm, tmp_path, per_channel=True, weight_type=quantization.QuantType.QInt8)
    theirs = np.abs(run(small, {"x": x})[0] - exact)
    ours = np.abs(lstm.quantized("int8")(x)[0] - exact)
    assert ours.max() < 0.5 * theirs.max() and ours.mean() < 0.5 * theirs.mean()


@pytest.mark.parametrize("direction", ("forward", "bidirectional"))
@pytest.mark.parametrize("per_channel", (False, True))
@pytest.mark.parametrize("dtype", (np.int8, np.uint8))
def test_stored_integers_are_kept(dtype, per_channel, direction):
    case, model = quantized_case(dtype, per_channel, direction)
    network, wide = lf.onnx.load(model), lf.onnx.load(model, dequantize=True)
    assert network.peepholes and network.parameters()["weight_ih_l0"].dtype == np.int8
    for name, value in network.dequantized().parameters().items():
        assert_same_bits(value, wide.parameters()[name], name)
    W = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}["W"]
    integers = W.astype(int) - (0 if dtype is np.int8 else 128)
    own = network.parameters()["weight_ih_l0"]
    for ours, theirs in enumerate((0, 2, 3, 1)):  # ONNX stacks i, o, f, g
        block = integers[0, :, theirs * case.H : (theirs + 1) * case.H]
        assert (own[ours * case.H : (ours + 1) * case.H] == block.T).all()


def test_rows_not_representable_in_int8_are_rounded():
    _, model = quantized_case(np.uint8, True, "forward")
    for tensor in model.graph.initializer:
        if tensor.name == "R":
            array = onnx.numpy_helper.to_array(tensor).copy()
            array[0, 0, 5] = 0  # 128 below the zero point
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, "R"))
    network, wide = lf.onnx.load(model), lf.onnx.load(model, dequantize=True).parameters()["weight_hh_l0"]
    got = network.dequantized().parameters()["weight_hh_l0"]
    differs = (got != wide).any(axis=1)
    assert differs.sum() == 1 and np.abs(got - wide).max() <= 0.51 * np.abs(wide[differs]).max() / 127


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda node: node.attribute.append(onnx.helper.make_attribute("activations", ["Sigmoid", "Tanh", "Relu"])),
            "cell_activation must have values within",
        ),
        (
            lambda node: next(a for a in node.attribute if a.name == "direction").CopyFrom(
                onnx.helper.make_attribute("direction", "reverse")
            ),
            "ReverseLSTM has no quantized copy",
        ),
    ],
)
def test_unsupported_by_int8_raises_with_an_alternative(change, message):
    _, model = quantized_case(np.int8, False, "forward")
    node = model.graph.node[0]
    if not any(a.name == "direction" for a in node.attribute):
        node.attribute.append(onnx.helper.make_attribute("direction", "forward"))
    change(node)
    with pytest.raises(lf.FormatError, match=message + ".*pass dequantize=True"):
        lf.onnx.load(model)
    assert isinstance(lf.onnx.load(model, dequantize=True), lf.LSTM)
