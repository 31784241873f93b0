"""save: write an LSTM, an RNN or a SequenceModel as a file for ONNX Runtime."""

from __future__ import annotations

import json
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import EncodeError
from onnx import TensorProto, checker, helper

from .._errors import network_type
from .._files import write_atomically
from .._inference import Network
from .._options import not_supported
from ..modules import LSTM, LSTMCell
from ..modules.reverse import ReverseLSTM, ReverseRNN
from ..quantized import QuantizedLSTM
from ..reference.activations import activation
from ..train.predictor import Predictor, frozen
from .builder import Graph
from .layout import ACTIVATIONS, TO_ONNX, rows
from .loading import METADATA, REMEMBERED, UNLESS_DEFAULT

if TYPE_CHECKING:
    from .._types import Activation, Array
    from ..modules import RNN
    from ..train.model import SequenceModel
    from ..train.quantized import QuantizedModel

OPSET, IR_VERSION = 14, 8


def save(lstm_or_model: LSTM | RNN | QuantizedLSTM | SequenceModel | QuantizedModel, path: str | PathLike[str]) -> None:
    """Write an LSTM, an RNN or a SequenceModel as an ONNX model, atomically.

    The model of an LSTM or RNN has the input x and the outputs output, h_n and, for an LSTM, c_n, with the shapes of a
    call for any T and B; that of a SequenceModel has x and y, its predictions. Optional inputs (overridable
    initializers, about which ONNX Runtime warns) are lengths, int32 (B,), and h_0 and c_0 of an LSTM or RNN. The output
    is zero in the padding; a SequenceModel with readout "all" has the head's bias there.

    Each layer is one LSTM or RNN node (opset 14) in the dtype of the model. ONNX Runtime only supports float32; float64
    models run in `Backend` and in complete implementations of ONNX's LSTM. Dropout and zoneout are for training only
    and are not in the graph; neither is compute_dtype, so ONNX Runtime does not round as such a network does. `load`
    restores all of them from the metadata. With index_input, x are int64, which a OneHot node turns into vectors.

    Parameters
    ----------
    lstm_or_model : LSTM, RNN, QuantizedLSTM, SequenceModel or QuantizedModel
        The network or model. The weights of a QuantizedLSTM are written as float16 if that is its format, else
        dequantized to float32.
    path : path
        The file. It is unchanged after an error.

    Raises
    ------
    ValueError
        For options that ONNX's LSTM does not support: proj_size, layer_norm, cell_clip.

    Examples
    --------
    >>> import numpy as np
    >>> import onnxruntime
    >>> import lstm_fast as lf
    >>> lstm = lf.LSTM(3, 8, seed=0)
    >>> lf.onnx.save(lstm, "lstm.onnx")
    >>> x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    >>> options = onnxruntime.SessionOptions()
    >>> options.log_severity_level = 3
    >>> session = onnxruntime.InferenceSession("lstm.onnx", options)
    >>> (output,) = session.run(["output"], {"x": x})
    >>> bool(np.allclose(output, lstm(x)[0], atol=1e-6))
    True
    """
    is_model = isinstance(lstm_or_model, Predictor)
    if isinstance(lstm_or_model, Predictor):
        lstm_or_model = frozen(lstm_or_model)  # type: ignore[assignment]  # network and head of one moment
    network: Any = lstm_or_model.lstm if isinstance(lstm_or_model, Predictor) else lstm_or_model
    if isinstance(network, QuantizedLSTM) and network.format != "float16":
        network = network.dequantized()
    if not isinstance(network, Network) or isinstance(network, LSTMCell):
        raise TypeError(f"lstm_or_model must be an LSTM, an RNN or a SequenceModel, got {network_type(lstm_or_model)}")
    for name, _, value in not_supported("onnx", network, LSTM):
        raise ValueError(f"{name}={value!r} cannot be saved: ONNX's LSTM does not have it")
    graph = Graph(network.dtype)
    nodes = _Nodes(graph, network, has_states=not is_model)
    if isinstance(lstm_or_model, Predictor):
        _add_head(graph, nodes, lstm_or_model)
    else:
        nodes.add_outputs()
    opsets = [helper.make_opsetid("", OPSET)]
    proto = helper.make_model(graph.proto(), producer_name="lstm_fast", ir_version=IR_VERSION, opset_imports=opsets)
    remembered = {name: getattr(network, name) for name in REMEMBERED}
    for name, default in UNLESS_DEFAULT.items():
        if (value := getattr(network, name, default)) != default:
            remembered[name] = value
    helper.set_model_props(proto, {METADATA: json.dumps(remembered)})
    try:
        data = proto.SerializeToString()
    except (ValueError, EncodeError) as error:
        raise ValueError(f"the model is too large for one ONNX file, of at most 2 GiB: {error}") from None
    checker.check_model(data)
    write_atomically(path, data)


class _Nodes:
    """The nodes of a network, layer by layer, from x to output (T, B, D * H).

    h_n and c_n: lists of the states (D, B, H) of each layer. axes: of x.
    """

    def __init__(self, graph: Graph, network: Network, has_states: bool) -> None:
        self.graph, self.network = graph, network
        self.kind = "LSTM" if network.has_cell_state else "RNN"
        self.D, self.H, self.L = network.num_directions, network.hidden_size, network.num_layers
        self.axes = list(network.layout.axes[:2])
        x = self._input()
        sequence = self.in_layout(x)  # a transposition is its own inverse
        sizes = graph.add("Shape", [sequence])
        self.B = graph.add("Slice", [sizes, np.array([1]), np.array([2])])
        T = graph.add("Cast", [graph.add("Slice", [sizes, np.array([0]), np.array([1])])], to=TensorProto.INT32)
        # The default lengths of -1 mean T.
        lengths = graph.input("lengths", ["lengths"], np.array([-1], np.int32), TensorProto.INT32)
        is_default = graph.add("Equal", [lengths, np.array([-1], np.int32)])
        self.lengths = graph.add("Expand", [graph.add("Where", [is_default, T, lengths]), self.B])
        states = self._states(has_states)
        self.h_n: list[str] = []
        self.c_n: list[str] = []
        for layer in range(self.L):
            sequence = self._add_layer(layer, sequence, states)
        self.output = sequence

    def _input(self) -> str:
        """x (T, B, I); symbols (T, B) as one-hot vectors."""
        I = self.network.input_size
        if not self.network.index_input:
            return self.graph.input("x", [*self.axes, I])
        symbols = self.graph.input("x", self.axes, type=TensorProto.INT64)
        return self.graph.add("OneHot", [symbols, np.array(I), np.array([0, 1], self.graph.dtype)], axis=-1)

    def _states(self, are_inputs: bool) -> list[str]:
        """Names of the initial states (L * D, 1 or B, H): learned, given or zero."""
        p, names = self.network.parameters(), []
        for name in ("h_0", "c_0")[: 1 + self.network.has_cell_state]:
            state = np.zeros((self.L * self.D, 1, self.H), self.graph.dtype)
            if self.network.learn_initial_state:
                state[:, 0] = [p[name + suffix] for suffix in self.network.parameter_suffixes]
            shape: list[str | int] = [self.L * self.D, "states", self.H]
            names.append(self.graph.input(name, shape, state) if are_inputs else self.graph.constant(state, name))
        return names

    def _add_layer(self, layer: int, sequence: str, states: list[str]) -> str:
        """Add the node of a layer; returns the name of its output."""
        graph, D, H = self.graph, self.D, self.H
        name = f"{self.kind.lower()}_l{layer}"
        biases = [self._stacked(f"{name}.B", layer, "bias_ih", "bias_hh")] if self.network.bias else [""]
        sizes = graph.add("Concat", [np.array([D]), self.B, np.array([H])], axis=0)
        rows_of_layer = np.array([layer * D]), np.array([(layer + 1) * D]), np.array([0])
        initial = [graph.add("Expand", [graph.add("Slice", [state, *rows_of_layer]), sizes]) for state in states]
        has_peepholes = getattr(self.network, "peepholes", False)
        inputs: list[str | Array] = [
            sequence,
            self._stacked(f"{name}.W", layer, "weight_ih"),
            self._stacked(f"{name}.R", layer, "weight_hh"),
            *biases,
            self.lengths,
            *initial,
            *([self._stacked(f"{name}.P", layer, "weight_peephole", n_gates=3)] if has_peepholes else []),
        ]
        y, h, *c = graph.add_all(self.kind, inputs, 1 + len(states), name=name, **self._attributes())
        self.h_n.append(h)
        self.c_n += c
        if D == 1:
            return graph.add("Squeeze", [y, np.array([1])])
        return graph.add("Reshape", [graph.add("Transpose", [y], perm=[0, 2, 1, 3]), np.array([0, 0, D * H])])

    def _stacked(self, name: str, layer: int, *kinds: str, n_gates: int | None = None) -> str:
        """A constant with the concatenated parameters of these kinds, in ONNX's order, for each direction."""
        n, p = n_gates or self.network.num_gates, self.network.parameters()
        suffixes = self.network.parameter_suffixes[layer * self.D : (layer + 1) * self.D]
        by_direction = [
            np.concatenate([rows(p[kind + suffix], n, TO_ONNX[n]) for kind in kinds]) for suffix in suffixes
        ]
        return self.graph.constant(np.stack(by_direction).astype(self.graph.dtype), name)  # 16 bits if quantized

    def _attributes(self) -> dict[str, Any]:
        network, D = self.network, self.D
        options = (
            ("recurrent_activation", "activation", "cell_activation") if self.kind == "LSTM" else ("nonlinearity",)
        )
        given: list[Activation] = [getattr(network, option) for option in options] * D
        given = [("affine", 1.0, 0.0) if spec == "identity" else spec for spec in given]
        parameters = [activation(spec).parameters for spec in given]
        is_reverse = isinstance(network, (ReverseLSTM, ReverseRNN))
        attributes = {
            "hidden_size": self.H,
            "direction": "bidirectional" if D == 2 else "reverse" if is_reverse else "forward",
            "activations": [ACTIVATIONS[spec if isinstance(spec, str) else spec[0]] for spec in given],
            "activation_alpha": [values[0] for values in parameters if values],
            "activation_beta": [values[1] for values in parameters if len(values) > 1],
            "clip": getattr(network, "gate_clip", None),
            "input_forget": int(getattr(network, "coupled_gates", False)),
        }
        return {name: value for name, value in attributes.items() if value}

    def in_layout(self, sequence: str) -> str:
        """A sequence (T, B, n) in the layout of x."""
        return self.graph.add("Transpose", [sequence], perm=[1, 0, 2]) if self.network.batch_first else sequence

    def add_outputs(self) -> None:
        """Add the outputs output, h_n and c_n."""
        self.graph.add_all("Identity", [self.in_layout(self.output)], outputs=["output"])
        self.graph.output("output", [*self.axes, self.D * self.H])
        for name, states in (("h_n", self.h_n), ("c_n", self.c_n)):
            if states:
                self.graph.add_all("Concat", states, outputs=[name], axis=0)
                self.graph.output(name, [self.L * self.D, "B", self.H])


def _add_head(graph: Graph, nodes: _Nodes, model: Predictor) -> None:
    """Add the output y: the head applied to the features selected by the readout."""
    weight, bias = model.head.weight, model.head.bias
    sizes: list[str | int] = ["B"]
    if model.readout == "all":
        features, sizes[:] = nodes.in_layout(nodes.output), nodes.axes
    elif model.readout == "last":
        by_sequence = graph.add("Transpose", [nodes.h_n[-1]], perm=[1, 0, 2])
        features = graph.add("Reshape", [by_sequence, np.array([0, nodes.D * nodes.H])])
    else:
        counts = graph.add("Max", [graph.add("Cast", [nodes.lengths], to=graph.type), np.ones(1, graph.dtype)])
        total = graph.add("ReduceSum", [nodes.output, np.array([0])], keepdims=0)
        features = graph.add("Div", [total, graph.add("Unsqueeze", [counts, np.array([1])])])
    product = graph.add("MatMul", [features, graph.constant(weight.T, "head.weight")])
    graph.add_all("Add", [product, graph.constant(bias, "head.bias")], outputs=["y"])
    graph.output("y", [*sizes, model.out_features])
