"""lf.onnx.load: the loaded LSTM computes what ONNX Runtime computes for the node."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent))

import lstm_fast as lf
from onnx_cases import ACTIVATIONS, DIRECTIONS, OPTIONS, Case, assert_close, make_model, quantized_case, run


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_random_nodes(first):
    for seed in range(first, first + 50):
        case = Case(seed)
        try:
            assert_close(case.call(lf.onnx.load(case.model())), case.expected())
        except Exception as error:
            raise AssertionError(f"{case}: {error}") from error


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("option", OPTIONS)
def test_each_option(option, direction):
    case = Case(11, {option}, direction)
    assert_close(case.call(lf.onnx.load(case.model())), case.expected())


@pytest.mark.parametrize("opset", range(1, 23))
def test_versions_of_onnx(opset):
    case = Case(opset, {"bias", "peepholes", "lengths", "initial_h", "initial_c"})
    onnx.checker.check_model(case.model(opset))
    assert_close(case.call(lf.onnx.load(case.model(opset))), case.expected())
    if opset == 1:
        assert_close(case.call(lf.onnx.load(case.model(opset, output_sequence=1))), case.expected())


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation):
    for k, names in enumerate(
        ((activation, "Tanh", "Elu"), ("Sigmoid", activation, "HardSigmoid"), ("LeakyRelu", "Tanh", activation))
    ):
        case = Case(k, {"activations", "bias"}, activations=names)
        assert_close(case.call(lf.onnx.load(case.model())), case.expected())


@pytest.mark.parametrize("activation", ("LeakyRelu", "HardSigmoid", "Elu"))
def test_default_alpha_and_beta(activation):
    case = Case(3, {"bias"}, "forward")
    case.attributes["activations"] = [activation, activation.upper(), "tanh"]  # case-insensitive, as in ONNX Runtime
    assert_close(case.call(lf.onnx.load(case.model())), case.expected())


def test_default_alpha_that_onnxruntime_differs_in():
    """The specification: the default of the operator ThresholdedRelu is 1 (ONNX Runtime takes 0)."""
    lstm = lf.onnx.load(Case(0, (), "forward").model(activations=["Sigmoid", "ThresholdedRelu", "Tanh"]))
    assert lf.reference.activation(lstm.activation).parameters == (1.0,)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_layout_1_is_batch_first(direction):
    case = Case(5, {"bias", "lengths", "initial_h", "initial_c"}, direction)
    lstm = lf.onnx.load(case.model(layout=1))
    assert lstm.batch_first
    assert_close(case.call(lstm), case.expected())


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("layout", (0, 1))
def test_constant_states_become_learned_states(layout, direction):
    case = Case(7, {"bias", "initial_h", "initial_c"}, direction)
    for name in ("initial_h", "initial_c"):
        case.feeds[name][:] = case.feeds[name][:, :1]
    want = case.expected()
    if layout:
        case.feeds |= {name: case.feeds[name].swapaxes(0, 1) for name in ("initial_h", "initial_c")}
    lstm = lf.onnx.load(case.model(constants=("initial_h", "initial_c"), layout=layout))
    assert lstm.learn_initial_state
    assert_close(case.call(lstm, with_states=False), want)


def test_constant_zero_states_are_dropped():
    case = Case(7, {"initial_h", "initial_c"})
    case.feeds |= {name: 0 * case.feeds[name] for name in ("initial_h", "initial_c")}
    assert not lf.onnx.load(case.model(constants=("initial_h", "initial_c"))).learn_initial_state


def test_one_constant_and_one_given_state():
    case = Case(8, {"initial_h", "initial_c"}, "forward")
    case.feeds["initial_c"][:] = case.feeds["initial_c"][:, :1]
    lstm = lf.onnx.load(case.model(constants=("initial_c",)))
    assert (lstm.parameters()["c_0_l0"] == case.feeds["initial_c"][0, 0]).all() and not lstm.parameters()[
        "h_0_l0"
    ].any()
    assert_close(case.call(lstm), case.expected())


def test_constant_states_per_sequence_raise():
    case = Case(4, {"initial_h"}, "forward")
    assert case.B > 1
    with pytest.raises(lf.FormatError, match="initial_h is a constant that differs between sequences"):
        lf.onnx.load(case.model(constants=("initial_h",)))


@pytest.mark.parametrize("dtype", ("float16", "bfloat16", "float64"))
def test_other_dtypes(dtype):
    case = Case(9, {"bias", "peepholes", "lengths"}, "bidirectional")
    kind = {
        "float16": onnx.TensorProto.FLOAT16,
        "bfloat16": onnx.TensorProto.BFLOAT16,
        "float64": onnx.TensorProto.DOUBLE,
    }[dtype]
    tensors = [helper.make_tensor(name, kind, array.shape, array.ravel()) for name, array in case.weights.items()]
    case.weights = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in tensors}  # rounded
    lstm = lf.onnx.load(make_model([case.node()], case.feeds, ("Y",), tensors))
    assert lstm.dtype == (np.float64 if dtype == "float64" else np.float32)
    wide = {name: array.astype(np.float32) for name, array in case.weights.items()}
    case.weights = wide
    assert_close(case.call(lstm), case.expected())


def test_float64_keeps_its_bits():
    case = Case(10, {"bias"}, "forward", np.float64)
    W, lstm = case.weights["W"][0].reshape(4, case.H, -1), lf.onnx.load(case.model())
    assert (lstm.parameters()["weight_ih_l0"] == W[[0, 2, 3, 1]].reshape(4 * case.H, -1)).all()


@pytest.mark.parametrize("direction", ("forward", "bidirectional"))
@pytest.mark.parametrize("per_channel", (False, True))
@pytest.mark.parametrize("dtype", (np.int8, np.uint8))
def test_dynamic_quantize_lstm(dtype, per_channel, direction):
    """Compared with ONNX Runtime on dequantized weights and, loosely, its own operator, which rounds x and h too."""
    case, model = quantized_case(dtype, per_channel, direction)
    assert lf.onnx.names(model) == ["quantized"]
    got = case.call(lf.onnx.load(model, dequantize=True))
    assert_close(got, case.expected())
    y, y_h, y_c = run(model, case.feeds)
    assert_close(got, (y.swapaxes(1, 2).reshape(case.T, case.B, -1), y_h, y_c), 0.05)


UNSUPPORTED = {
    "activations": {"activations": ["Sigmoid", "Cosine", "Tanh"]},
    "activations ": {"activations": ["Sigmoid"]},
    "activation_alpha": {"activations": ["Sigmoid", "Elu", "Tanh"], "activation_alpha": [-1.0]},
    "activation_alpha ": {"activations": ["Sigmoid", "Affine", "Tanh"]},
    "activation_beta": {"activations": ["Sigmoid", "ScaledTanh", "Tanh"], "activation_alpha": [1.0]},
    "clip": {"clip": 0.0},
    "direction": {"direction": "sideways"},
    "hidden_size": {"hidden_size": 0},
    "layout": {"layout": 2},
    "input_forget": {"input_forget": 2},
    "zoneout": {"zoneout": 0.5},
    "hidden_size ": {"hidden_size": 2.5},
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_unsupported_attributes_raise(name):
    model = Case(0, (), "forward").model(name="the_node", **UNSUPPORTED[name])
    with pytest.raises(lf.FormatError, match=f"the_node.*{name.strip()}"):
        lf.onnx.load(model)


def test_different_activations_per_direction_raise():
    case = Case(0, (), "bidirectional")
    with pytest.raises(lf.FormatError, match="activations"):
        lf.onnx.load(case.model(activations=["Sigmoid", "Tanh", "Tanh", "Sigmoid", "Tanh", "Relu"]))


@pytest.mark.parametrize(
    "name, shape",
    (
        ("W", (1, 8, 3, 1)),
        ("W", (1, 9, 3)),
        ("W", (2, 8, 3)),
        ("W", (1, 8, 0)),
        ("R", (1, 8)),
        ("R", (1, 8, 3)),
        ("B", (1, 8)),
        ("P", (1, 8)),
        ("W", ()),
        ("initial_h", (1, 2)),
    ),
)
def test_mismatched_shapes_raise(name, shape):
    case = Case(0, {"bias", "peepholes", "initial_h"}, "forward")
    case.weights |= {
        "W": np.zeros((1, 8, 3), np.float32),
        "R": np.zeros((1, 8, 2), np.float32),
        "B": np.zeros((1, 16), np.float32),
        "P": np.zeros((1, 6), np.float32),
    }
    case.feeds["initial_h"] = np.zeros((1, 2, 2), np.float32)
    case.attributes["hidden_size"] = 2
    lf.onnx.load(case.model(constants=("initial_h",)))
    (case.weights if name in case.weights else case.feeds)[name] = np.zeros(shape, np.float32)
    with pytest.raises(lf.FormatError):
        lf.onnx.load(case.model(constants=("initial_h",)))


def test_integer_weights_raise():
    case = Case(0, (), "forward")
    case.weights["W"] = case.weights["W"].astype(np.int32)
    with pytest.raises(lf.FormatError, match="W must be float16, bfloat16, float32 or float64, got int32"):
        lf.onnx.load(case.model())


def test_reverse_lstm_matches_second_direction():
    """It equals the second direction of a bidirectional LSTM, with lengths, resets and batch_first."""
    rng = np.random.default_rng(0)
    for batch_first in (False, True):
        layer = lf.LSTM(3, 4, batch_first=batch_first, bidirectional=True, seed=1)
        alone = lf.onnx.ReverseLSTM(3, 4, batch_first=batch_first)
        alone.load_state_dict({name: layer.parameters()[name + "_reverse"] for name in alone.parameters()})
        x = rng.standard_normal((5, 6, 3) if batch_first else (6, 5, 3)).astype(np.float32)
        d_output = rng.standard_normal((*x.shape[:2], 4)).astype(np.float32)
        d_h_n = rng.standard_normal((1, 5, 4)).astype(np.float32)
        resets = rng.random(x.shape[:2]) < 0.3
        for lengths in (None, np.array([6, 1, 0, 3, 5])):
            for r in (None, resets):
                output, (h_n, c_n), tape = alone.forward(x, lengths=lengths, resets=r)
                want, (want_h, want_c), want_tape = layer.forward(x, lengths=lengths, resets=r)
                assert (output == want[..., 4:]).all() and (h_n == want_h[1:]).all() and (c_n == want_c[1:]).all()
                assert (alone(x, lengths=lengths, resets=r)[0] == output).all()
                got = alone.backward(tape, d_output, (d_h_n, None), record_norms=True)
                expect = layer.backward(
                    want_tape,
                    np.concatenate([0 * d_output, d_output], -1),
                    (np.concatenate([0 * d_h_n, d_h_n]), None),
                    record_norms=True,
                )
                assert all((got[name] == expect[name + "_reverse"]).all() for name in got)
                np.testing.assert_allclose(got.d_x, expect.d_x, rtol=1e-6, atol=1e-7)
                assert (got.d_h_norms[:, 0] == expect.d_h_norms[:, 1]).all()
                a, b = alone.trace(x, lengths=lengths, resets=r), layer.trace(x, lengths=lengths, resets=r)
                assert all((mine[0, 0] == theirs[0, 1]).all() for mine, theirs in zip(a, b))
    assert (alone(x[0])[0] == layer(x[0])[0][:, 4:]).all()  # unbatched
    for call in (alone.stream, alone.quantized):
        with pytest.raises(ValueError, match="reverse|Reverse"):
            call()
    with pytest.raises(ValueError, match="d_output must have shape"):
        alone.backward(alone.forward(x)[2], d_output[:2])
    with pytest.raises(TypeError, match="tape must come from forward"):
        alone.backward(None, None)
    with pytest.raises(ValueError, match="resets must be boolean"):
        alone(x, resets=[True])


def test_without_onnx_the_error_says_what_to_install():
    program = "import sys; sys.modules['onnx'] = None\nimport lstm_fast\nlstm_fast.onnx"
    run_ = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert 'ImportError: lstm_fast.onnx needs the package onnx: pip install "lstm_fast[onnx]"' in run_.stderr


def test_onnx_is_imported_only_when_used():
    program = (
        "import sys, lstm_fast\nassert 'onnx' not in sys.modules\n"
        "lstm_fast.onnx\nassert 'onnx' in sys.modules and 'onnx.reference' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
