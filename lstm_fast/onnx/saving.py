"""save: an LSTM, an RNN or a SequenceModel as a file that ONNX Runtime runs."""

import json

import numpy as np
from google.protobuf.message import EncodeError
from onnx import TensorProto, checker, helper, numpy_helper

from .._errors import network_type
from .._files import write_atomically
from .._inference import Network
from ..modules import LSTMCell
from ..reference.activations import activation
from ..train.model import SequenceModel
from .layout import ACTIVATIONS, TO_ONNX, rows
from .loading import METADATA, REMEMBERED
from .reverse import ReverseLSTM, ReverseRNN

OPSET, IR_VERSION = 14, 8


def save(lstm_or_model, path):
    """Writes an LSTM, an RNN or a train.SequenceModel as an ONNX model (opset 14), atomically.

    Of an LSTM or RNN the model has the input x and the outputs output, h_n and, of an LSTM, c_n, in the shapes of a call with
    T and B open; of a SequenceModel x and y, its predictions. Inputs that may be left out (overridable initializers, of which
    ONNX Runtime warns): lengths, int32 (B,), and of an LSTM or RNN h_0 and c_0. Outputs behind lengths are zero; "all" of a
    SequenceModel has the head's bias there.

    Each layer is one LSTM or RNN node in the dtype of the model. ONNX Runtime computes float32 alone; float64 models run in
    Backend and wherever ONNX's LSTM is complete. Dropout and zoneout act in training alone and are not in the graph.

    Raises ValueError for what ONNX's LSTM has not: proj_size, layer_norm, cell_clip.
    """
    is_model = isinstance(lstm_or_model, SequenceModel)
    module = lstm_or_model.lstm if is_model else lstm_or_model
    if not isinstance(module, Network) or isinstance(module, LSTMCell):
        raise TypeError(f"lstm_or_model must be an LSTM, an RNN or a SequenceModel, got {network_type(lstm_or_model)}")
    for name in ("proj_size", "layer_norm", "cell_clip"):
        if getattr(module, name, None):
            raise ValueError(f"{name}={getattr(module, name)!r} cannot be saved: ONNX's LSTM has nothing for it")
    graph = _Graph(module)
    network = _Network(graph, module, has_states=not is_model)
    if is_model:
        _add_head(graph, network, lstm_or_model)
    else:
        network.add_outputs()
    proto = helper.make_model(
        graph.proto(), producer_name="lstm_fast", ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )
    helper.set_model_props(proto, {METADATA: json.dumps({name: getattr(module, name) for name in REMEMBERED})})
    try:
        data = proto.SerializeToString()
    except (ValueError, EncodeError) as error:
        raise ValueError(f"the model is too large for one ONNX file, of at most 2 GiB: {error}") from None
    checker.check_model(data)
    write_atomically(path, data)


class _Graph:
    """Nodes and constants as they come."""

    def __init__(self, module):
        self.dtype = module.dtype
        self.type = helper.np_dtype_to_tensor_dtype(self.dtype)
        self.nodes, self.initializers, self.inputs, self.outputs = [], [], [], []

    def add(self, operator, inputs, n_outputs=1, *, name=None, outputs=None, **attributes):
        """A node; the names of its outputs. Inputs may be arrays."""
        name = name or f"{operator.lower()}_{len(self.nodes)}"
        inputs = [
            value if isinstance(value, str) else self.constant(value, f"{name}.{k}") for k, value in enumerate(inputs)
        ]
        outputs = outputs or [f"{name}.y{k}" for k in range(n_outputs)]
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=name, **attributes))
        return outputs[0] if len(outputs) == 1 else outputs

    def constant(self, value, name):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def input(self, name, shape, default=None, type=None):
        """An input; with a default it may be left out."""
        self.inputs.append(helper.make_tensor_value_info(name, type or self.type, shape))
        return name if default is None else self.constant(default, name)

    def output(self, name, shape):
        self.outputs.append(helper.make_tensor_value_info(name, self.type, shape))

    def proto(self):
        return helper.make_graph(self.nodes, "lstm_fast", self.inputs, self.outputs, self.initializers)


class _Network:
    """Layer by layer from x to output (T, B, D * H), h_n and c_n as lists of each layer's (D, B, H)."""

    def __init__(self, graph, module, has_states):
        self.graph, self.module = graph, module
        self.kind = "LSTM" if module.has_cell_state else "RNN"
        self.D, self.H, self.L = module.num_directions, module.hidden_size, module.num_layers
        self.axes = ["B", "T"] if module.batch_first else ["T", "B"]
        x = graph.input("x", [*self.axes, module.input_size])
        sequence = graph.add("Transpose", [x], perm=[1, 0, 2]) if module.batch_first else x
        sizes = graph.add("Shape", [sequence])
        self.B = graph.add("Slice", [sizes, np.array([1]), np.array([2])])
        T = graph.add("Cast", [graph.add("Slice", [sizes, np.array([0]), np.array([1])])], to=TensorProto.INT32)
        # Lengths of -1, as they are when nobody gives them, are all T.
        lengths = graph.input("lengths", ["lengths"], np.array([-1], np.int32), TensorProto.INT32)
        is_left_out = graph.add("Equal", [lengths, np.array([-1], np.int32)])
        self.lengths = graph.add("Expand", [graph.add("Where", [is_left_out, T, lengths]), self.B])
        states = self._states(has_states)
        self.h_n, self.c_n = [], []
        for layer in range(self.L):
            sequence = self._add_layer(layer, sequence, states)
        self.output = sequence

    def _states(self, are_inputs):
        """Names of the states (L * D, 1 or B, H) that sequences begin with: learned, given or zero."""
        p, states = self.module.parameters(), []
        for name in ("h_0", "c_0")[: 1 + (self.kind == "LSTM")]:
            start = np.zeros((self.L * self.D, 1, self.H), self.graph.dtype)
            if self.module.learn_initial_state:
                start[:, 0] = [p[name + suffix] for suffix in self.module.parameter_suffixes]
            shape = [self.L * self.D, "states", self.H]
            states.append(self.graph.input(name, shape, start) if are_inputs else self.graph.constant(start, name))
        return states

    def _add_layer(self, layer, sequence, states):
        graph, D, H = self.graph, self.D, self.H
        p, suffixes = self.module.parameters(), self.module.parameter_suffixes[layer * D : (layer + 1) * D]
        name, n_gates = f"{self.kind.lower()}_l{layer}", self.module.num_gates

        def stacked(*parameters, gates=n_gates):
            arrays = [
                np.concatenate([rows(p[of + suffix], gates, TO_ONNX[gates]) for of in parameters])
                for suffix in suffixes
            ]
            return np.stack(arrays).astype(graph.dtype)  # (those of a quantized LSTM have 16 bits)

        biases = [graph.constant(stacked("bias_ih", "bias_hh"), f"{name}.B")] if self.module.bias else [""]
        sizes = graph.add("Concat", [np.array([D]), self.B, np.array([H])], axis=0)
        places = np.array([layer * D]), np.array([(layer + 1) * D]), np.array([0])
        initial = [graph.add("Expand", [graph.add("Slice", [state, *places]), sizes]) for state in states]
        has_peepholes = getattr(self.module, "peepholes", False)
        peepholes = [graph.constant(stacked("weight_peephole", gates=3), f"{name}.P")] if has_peepholes else []
        inputs = [
            sequence,
            graph.constant(stacked("weight_ih"), f"{name}.W"),
            graph.constant(stacked("weight_hh"), f"{name}.R"),
            *biases,
            self.lengths,
            *initial,
            *peepholes,
        ]
        y, h, *c = graph.add(self.kind, inputs, 2 + len(states) - 1, name=name, **self._attributes())
        self.h_n.append(h)
        self.c_n += c
        if D == 1:
            return graph.add("Squeeze", [y, np.array([1])])
        return graph.add("Reshape", [graph.add("Transpose", [y], perm=[0, 2, 1, 3]), np.array([0, 0, D * H])])

    def _attributes(self):
        module, D = self.module, self.D
        if self.kind == "LSTM":
            specs = module.recurrent_activation, module.activation, module.cell_activation
        else:
            specs = (("affine", 1.0, 0.0) if module.nonlinearity == "identity" else module.nonlinearity,)
        specs = [(spec,) if isinstance(spec, str) else tuple(spec) for spec in specs] * D
        parameters = [activation(spec).parameters for spec in specs]
        direction = (
            "bidirectional" if D == 2 else "reverse" if isinstance(module, (ReverseLSTM, ReverseRNN)) else "forward"
        )
        attributes = {
            "hidden_size": self.H,
            "direction": direction,
            "activations": [ACTIVATIONS[spec[0]] for spec in specs],
            "activation_alpha": [values[0] for values in parameters if values],
            "activation_beta": [values[1] for values in parameters if len(values) > 1],
            "clip": getattr(module, "gate_clip", None),
            "input_forget": int(getattr(module, "coupled_gates", False)),
        }
        return {name: value for name, value in attributes.items() if value}

    def in_time(self, sequence):
        """A sequence (T, B, n) in the user's layout."""
        return self.graph.add("Transpose", [sequence], perm=[1, 0, 2]) if self.module.batch_first else sequence

    def add_outputs(self):
        self.graph.add("Identity", [self.in_time(self.output)], outputs=["output"])
        self.graph.output("output", [*self.axes, self.D * self.H])
        for name, states in (("h_n", self.h_n), ("c_n", self.c_n)):
            if states:
                self.graph.add("Concat", states, outputs=[name], axis=0)
                self.graph.output(name, [self.L * self.D, "B", self.H])


def _add_head(graph, network, model):
    """y from what the readout sees."""
    weight, bias = model.head.weight, model.head.bias
    if model.readout == "all":
        seen, sizes = network.in_time(network.output), network.axes
    else:
        sizes = ["B"]
        if model.readout == "last":
            by_sequence = graph.add("Transpose", [network.h_n[-1]], perm=[1, 0, 2])
            seen = graph.add("Reshape", [by_sequence, np.array([0, network.D * network.H])])
        else:
            counts = graph.add("Max", [graph.add("Cast", [network.lengths], to=graph.type), np.ones(1, graph.dtype)])
            total = graph.add("ReduceSum", [network.output, np.array([0])], keepdims=0)
            seen = graph.add("Div", [total, graph.add("Unsqueeze", [counts, np.array([1])])])
    product = graph.add("MatMul", [seen, graph.constant(weight.T, "head.weight")])
    graph.add("Add", [product, graph.constant(bias, "head.bias")], outputs=["y"])
    graph.output("y", [*sizes, model.out_features])
