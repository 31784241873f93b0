"""Freeze ONNX Runtime's results, forward only, in golden_onnx.npz: what tests/test_reference_golden.py compares with.

Run once, outside the test suite, from the project's root:

    python -m venv /tmp/venv-onnx
    /tmp/venv-onnx/bin/pip install onnxruntime==1.32.0 onnx==1.23.2 numpy
    /tmp/venv-onnx/bin/python tests/data/make_golden_onnx.py

The file has the entry "versions" and, for each case, "<case>/config" (JSON: keyword arguments of stack_forward) and
"<case>/<name>", where <name> is x, h_0, c_0, a parameter, output, h_n or c_n, in this project's names, shapes and order
of gates i, f, g, o. All are float32, the one dtype that ONNX Runtime's LSTM has.
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

T, B, I, H = 3, 4, 3, 4
SCALE, SMALL = 0.9, 0.25  # of the parameters; small where gates without bound would let the state explode
# One sequence of length 0: ONNX Runtime then returns zero states, whatever the initial ones, which are made zero here.
LENGTHS = (2, 0, 3, 1)

ACTIVATIONS = {
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "relu": "Relu",
    "affine": "Affine",
    "leaky_relu": "LeakyRelu",
    "thresholded_relu": "ThresholdedRelu",
    "scaled_tanh": "ScaledTanh",
    "hard_sigmoid": "HardSigmoid",
    "elu": "Elu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}
# The defaults of affine, scaled_tanh and thresholded_relu are not those of ONNX's operators in ONNX Runtime, but 0.
BOUNDED = ["tanh", "sigmoid", "softsign", "hard_sigmoid", ["hard_sigmoid", 0.4, 0.45], ["scaled_tanh", 1.3, 0.6]]
UNBOUNDED = [
    "relu",
    "softplus",
    "elu",
    ["elu", 0.8],
    "leaky_relu",
    ["leaky_relu", 0.3],
    ["affine", 0.7, 0.2],
    ["thresholded_relu", 0.2],
]
PLACES = ("recurrent_activation", "activation", "cell_activation")  # ONNX's f, g, h

CASES = {
    "plain_bidirectional": dict(bidirectional=True),
    "peepholes": dict(peepholes=True),
    "coupled_gates": dict(coupled_gates=True),
    "coupled_gates_peepholes": dict(coupled_gates=True, peepholes=True),
    "gate_clip": dict(gate_clip=0.4),
    "gate_clip_peepholes": dict(gate_clip=0.4, peepholes=True),
    "lengths_bidirectional": dict(bidirectional=True, lengths=LENGTHS),
    "everything": dict(
        bidirectional=True,
        lengths=LENGTHS,
        coupled_gates=True,
        peepholes=True,
        gate_clip=0.6,
        recurrent_activation=["hard_sigmoid", 0.4, 0.45],
        activation=["elu", 0.8],
        cell_activation="softsign",
    ),
    "three_activations": dict(
        recurrent_activation=["affine", 0.4, 0.1],
        activation=["scaled_tanh", 1.3, 0.6],
        cell_activation=["leaky_relu", 0.3],
        scale=SMALL,
    ),
}
for spec in BOUNDED + UNBOUNDED:
    name = "_".join(map(str, spec if isinstance(spec, list) else [spec]))
    CASES[name] = dict.fromkeys(PLACES, spec) | ({"scale": SMALL} if spec in UNBOUNDED else {})


def onnx_rows(weight, gates="iofg"):
    """Blocks of H rows from the order i, f, g, o, or i, f, o for peepholes, to ONNX's."""
    blocks = dict(zip("ifgo" if len(weight) == 4 * H else "ifo", weight.reshape(-1, H, *weight.shape[1:])))
    return np.concatenate([blocks[gate] for gate in gates])


def activation_attributes(config, n_directions):
    """ONNX deals out alphas and betas to the functions that take them in order: a case gives all of them or none."""
    specs = [config.get(place, default) for place, default in zip(PLACES, ("sigmoid", "tanh", "tanh"))]
    specs = [spec if isinstance(spec, list) else [spec] for spec in specs] * n_directions
    attributes = {"activations": [ACTIVATIONS[name] for name, *_ in specs]}
    values = {
        "activation_alpha": [spec[1] for spec in specs if len(spec) > 1],
        "activation_beta": [spec[2] for spec in specs if len(spec) > 2],
    }
    return attributes | {name: value for name, value in values.items() if value}


def run_node(inputs, attributes):
    """Y, Y_h, Y_c of one LSTM node; inputs by ONNX's names, those that are None left out."""
    given = {name: value for name, value in inputs.items() if value is not None}
    node = helper.make_node(
        "LSTM", [name if name in given else "" for name in inputs], ["Y", "Y_h", "Y_c"], hidden_size=H, **attributes
    )
    D, types = len(given["W"]), {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32}
    shapes = {"Y": (T, D, B, H), "Y_h": (D, B, H), "Y_c": (D, B, H)}
    takes = [helper.make_tensor_value_info(name, types[str(array.dtype)], array.shape) for name, array in given.items()]
    gives = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    model = helper.make_model(
        helper.make_graph([node], "lstm", takes, gives), ir_version=10, opset_imports=[helper.make_opsetid("", 22)]
    )
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, given)


def run(
    seed,
    *,
    bidirectional=False,
    peepholes=False,
    lengths=None,
    coupled_gates=False,
    gate_clip=None,
    scale=SCALE,
    **activations,
):
    """The arrays of one case, by name."""
    rng, suffixes = np.random.default_rng(seed), ("", "_reverse")[: 1 + bidirectional]
    D = len(suffixes)

    def normal(*shape, scale=1.0):
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    arrays = {"x": normal(T, B, I), "h_0": normal(D, B, H), "c_0": normal(D, B, H)}
    if lengths is not None:
        for name in ("h_0", "c_0"):
            arrays[name][:, [n == 0 for n in lengths]] = 0
    shapes = {"weight_ih": (4 * H, I), "weight_hh": (4 * H, H), "bias_ih": (4 * H,), "bias_hh": (4 * H,)}
    shapes |= {"weight_peephole": (3 * H,)} if peepholes else {}
    for suffix in suffixes:
        arrays |= {f"{name}_l0{suffix}": normal(*shape, scale=scale) for name, shape in shapes.items()}

    def stacked(*names, gates="iofg"):
        return np.stack(
            [np.concatenate([onnx_rows(arrays[f"{name}_l0{suffix}"], gates) for name in names]) for suffix in suffixes]
        )

    inputs = {
        "X": arrays["x"],
        "W": stacked("weight_ih"),
        "R": stacked("weight_hh"),
        "B": stacked("bias_ih", "bias_hh"),
        "sequence_lens": None if lengths is None else np.array(lengths, np.int32),
        "initial_h": arrays["h_0"],
        "initial_c": arrays["c_0"],
        "P": stacked("weight_peephole", gates="iof") if peepholes else None,
    }
    attributes = {"direction": "bidirectional" if bidirectional else "forward", "input_forget": int(coupled_gates)}
    attributes |= {} if gate_clip is None else {"clip": gate_clip}
    y, h_n, c_n = run_node(inputs, attributes | activation_attributes(activations, D))
    return arrays | {"output": np.concatenate(list(np.moveaxis(y, 1, 0)), axis=-1), "h_n": h_n, "c_n": c_n}


def main():
    versions = f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}, numpy {np.__version__}"
    frozen = {"versions": np.array(versions)}
    for seed, (case, config) in enumerate(CASES.items()):
        options = {name: value for name, value in config.items() if name not in ("peepholes", "scale")}
        frozen[f"{case}/config"] = np.array(json.dumps(options))
        frozen |= {f"{case}/{name}": array for name, array in run(seed, **config).items()}
    np.savez_compressed(pathlib.Path(__file__).with_name("golden_onnx.npz"), **frozen)
    print(f"{len(CASES)} cases, {len(frozen)} arrays, {versions}")


if __name__ == "__main__":
    main()
