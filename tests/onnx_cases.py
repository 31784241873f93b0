"""Random LSTM nodes as ONNX models, their results in ONNX Runtime, and comparisons with these."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(3)  # ONNX Runtime warns about the optional inputs that save writes

OPTIONS = ("peepholes", "clip", "input_forget", "activations", "lengths", "initial_h", "initial_c", "bias")
DIRECTIONS = ("forward", "reverse", "bidirectional")
ACTIVATIONS = {
    "Tanh": 0,
    "Sigmoid": 0,
    "Relu": 0,
    "Affine": 2,
    "LeakyRelu": 1,
    "ThresholdedRelu": 1,
    "ScaledTanh": 2,
    "HardSigmoid": 2,
    "Elu": 1,
    "Softsign": 0,
    "Softplus": 0,
}  # and how many parameters they have
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
OUTPUTS = ("Y", "Y_h", "Y_c")


def run(model, feeds):
    """Outputs of a ModelProto or file in ONNX Runtime."""
    return session(model.SerializeToString() if isinstance(model, onnx.ModelProto) else Path(model).read_bytes()).run(
        None, feeds
    )


@lru_cache(maxsize=8)
def session(data):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def assert_close(got, want, tolerance=1e-5):
    """Each of some arrays, relative to the largest number where that is above 1."""
    assert len(got) == len(want)
    for a, b in zip(got, want):
        assert a.shape == b.shape
        assert np.isfinite(b).all() and np.abs(a - b).max(initial=0) <= tolerance * max(1, np.abs(b).max(initial=0))


def value_info(name, array):
    """An input of this array's type and rank, all sizes open."""
    dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, dtype, [f"{name}_{k}" for k in range(array.ndim)])


def make_model(nodes, inputs, outputs, initializers=(), opset=22, functions=(), domains=()):
    """inputs: arrays by name, or ValueInfoProtos; initializers: arrays by name, or TensorProtos."""
    inputs = [value_info(name, array) for name, array in inputs.items()] if isinstance(inputs, dict) else inputs
    if isinstance(initializers, dict):
        initializers = [
            numpy_helper.from_array(np.array(array, order="C"), name) for name, array in initializers.items()
        ]
    # The checker requires a rank. Y has 4 axes and the states 3.
    ranks = {"Y": 4, "Y_h": 3, "Y_c": 3}
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * ranks.get(name, 3)) for name in outputs]
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(
        helper.make_graph(nodes, "case", inputs, outputs, initializers),
        opset_imports=opsets,
        functions=list(functions),
        ir_version=10,
    )


class Case:
    """One node drawn from a seed: attributes, weights by ONNX's names, feeds with T first.

    options : some of OPTIONS; None: drawn
    """

    def __init__(self, seed, options=None, direction=None, dtype=np.float32, activations=None):
        rng = self.rng = np.random.default_rng(seed)
        self.seed, self.dtype = seed, dtype
        self.options = {name for name in OPTIONS if rng.random() < 0.5} if options is None else set(options)
        self.direction = direction or DIRECTIONS[rng.integers(3)]
        self.T, self.B, self.I, self.H = (int(n) for n in rng.integers(1, (9, 6, 8, 12)))
        self.D = D = 1 + (self.direction == "bidirectional")
        T, B, I, H = self.T, self.B, self.I, self.H
        self.scale = 0.15 if "activations" in self.options else 0.4  # some activations have no bound, and c grows
        self.weights = {"W": self.draw(D, 4 * H, I), "R": self.draw(D, 4 * H, H)}
        if "bias" in self.options:
            self.weights["B"] = self.draw(D, 8 * H)
        if "peepholes" in self.options:
            self.weights["P"] = self.draw(D, 3 * H)
        self.feeds = {"X": self.draw(T, B, I, scale=1)}
        if "lengths" in self.options:
            self.feeds["sequence_lens"] = rng.integers(1, T + 1, B).astype(np.int32)
        self.feeds |= {name: self.draw(D, B, H) for name in ("initial_h", "initial_c") if name in self.options}
        self.attributes = {"hidden_size": H, "direction": self.direction}
        if "clip" in self.options:
            self.attributes["clip"] = float(np.round(rng.uniform(0.1, 1), 3))
        if "input_forget" in self.options:
            self.attributes["input_forget"] = 1
        if "activations" in self.options:
            names = [str(name) for name in activations or rng.choice(list(ACTIVATIONS), 3)] * D
            alphas = [
                float(np.round(value, 3))
                for value in rng.uniform(0.1, 0.6, sum(ACTIVATIONS[name] > 0 for name in names[:3]))
            ]
            betas = [
                float(np.round(value, 3))
                for value in rng.uniform(0.1, 0.6, sum(ACTIVATIONS[name] > 1 for name in names[:3]))
            ]
            self.attributes |= {"activations": names, "activation_alpha": alphas * D, "activation_beta": betas * D}
            self.attributes = {name: value for name, value in self.attributes.items() if value != []}

    def draw(self, *shape, scale=None):
        return ((scale or self.scale) * self.rng.standard_normal(shape)).astype(self.dtype)

    def __repr__(self):
        sizes = self.T, self.B, self.I, self.H
        return f"Case({self.seed}, {sorted(self.options)}, {self.direction!r}) with T, B, I, H = {sizes}"

    def node(self, name="", inputs=INPUTS, **attributes):
        """The node, with the inputs of the case."""
        have = {*self.weights, *self.feeds}
        kept = [given if place in have else "" for place, given in zip(INPUTS, inputs)]
        return helper.make_node("LSTM", kept, OUTPUTS, name=name, **self.attributes | attributes)

    def model(self, opset=22, constants=(), nodes=(), initializers=None, **attributes):
        """constants: feeds that are initializers. nodes, initializers: the computation of the weights."""
        given = {name: array for name, array in self.feeds.items() if name not in constants}
        fixed = {
            **(self.weights if initializers is None else initializers),
            **{name: self.feeds[name] for name in constants},
        }
        return make_model([*nodes, self.node(**attributes)], given, OUTPUTS, fixed, opset)

    def expected(self):
        """Y (T, B, D * H), Y_h and Y_c (D, B, H) of ONNX Runtime."""
        y, y_h, y_c = run(self.model(), self.feeds)
        return y.swapaxes(1, 2).reshape(self.T, self.B, -1), y_h, y_c

    def call(self, lstm, with_states=True):
        """The same results from a module loaded from it."""
        zero = np.zeros((self.D, self.B, self.H), self.dtype)
        names = ("initial_h", "initial_c")
        state = (
            tuple(self.feeds.get(name, zero) for name in names) if with_states and {*names} & {*self.feeds} else None
        )
        output, (h_n, c_n) = lstm(self.turned(lstm, self.feeds["X"]), state, lengths=self.feeds.get("sequence_lens"))
        return self.turned(lstm, output), h_n, c_n

    @staticmethod
    def turned(lstm, sequence):
        return sequence.swapaxes(0, 1) if lstm.batch_first else sequence


def quantized_case(dtype, per_channel, direction):
    """A Case, and a model that has its weights in 8 bits in a DynamicQuantizeLSTM, named "quantized"."""
    case = Case(11, {"bias", "lengths", "initial_h", "initial_c", "peepholes"}, direction)
    rng, D, H, I = np.random.default_rng(0), case.D, case.H, case.I
    zero, along = (0 if dtype is np.int8 else 128), (slice(None), None, slice(None) if per_channel else None)
    initializers = {name: case.weights[name] for name in "BP"}
    for name, n in (("W", I), ("R", H)):
        # 7 bits: with 8 the products of ONNX Runtime overflow their 16 bits where there is no VNNI.
        quantized = (zero + rng.integers(-64, 64, (D, n, 4 * H))).astype(dtype)
        scale = rng.uniform(0.004, 0.008, (D, 4 * H) if per_channel else (D,)).astype(np.float32)
        case.weights[name] = np.ascontiguousarray(((quantized.astype(np.float32) - zero) * scale[along]).swapaxes(1, 2))
        initializers |= {
            name: quantized,
            f"{name}_scale": scale,
            f"{name}_zero_point": np.full(scale.shape, zero, dtype),
        }
    node = case.node(name="quantized")
    node.op_type, node.domain = "DynamicQuantizeLSTM", "com.microsoft"
    node.input.extend(["W_scale", "W_zero_point", "R_scale", "R_zero_point"])
    return case, make_model([node], case.feeds, OUTPUTS, initializers, domains=("com.microsoft",))
