"""names and load: LSTM nodes of a file, and an LSTM of one of them or of a stack."""

import json
import math
import os
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from .._errors import FormatError
from .._files import open_regular
from . import node as _node
from .graph import NotConstant, Reader

METADATA = "lstm_fast"  # where save keeps those options that act in training alone, or that nodes do not show:
REMEMBERED = ("batch_first", "dropout", "recurrent_dropout", "zoneout", "learn_initial_state")

EXAMPLE = (3, 5)  # T and B of what is sent from node to node to see how they are wired
LARGEST_EXAMPLE = 1 << 24  # numbers


def names(path_or_bytes):
    """Names of the LSTM and DynamicQuantizeLSTM nodes, in the order of the file, with those in bodies of If, Loop and Scan
    and in functions. A node without a name has one like LSTM_0, by its place in this list; a name that comes again gets ":1",
    ":2" ... at its end."""
    return [found.name for found in _read(path_or_bytes).nodes()]


def load(path_or_bytes, name=None, *, external_data=False):
    """The LSTM of a node of an ONNX model.

    Parameters
    ----------
    path_or_bytes : a file, or what would be in it, or an onnx.ModelProto
    name : one of names(): that node alone
        None: the first node, and the nodes stacked on it as the layers of one LSTM (as PyTorch's exporters write an nn.LSTM
        with num_layers: all the same but for weights, each fed with the whole output of the one before and nothing between).
    external_data : whether weights may lie in other files of the model's folder

    Returns
    -------
    LSTM, with dtype float64 if the weights have it, else float32 (to which 16 bits widen). layout=1 becomes batch_first;
    peepholes, clip, input_forget and activations become the options of those names (gate_clip, coupled_gates); direction
    "reverse" makes a ReverseLSTM; weights of 8 bits are dequantized. Constant initial states become the learned initial
    state (the same for every sequence); those that the graph computes or is given are the caller's to give.

    Raises
    ------
    FormatError
        For a damaged file, or one that uses what is not supported: the message names the attribute or operator.
    ValueError
        If there is no node of this name; the message lists those there are.
    """
    reader = _read(path_or_bytes, external_data)
    nodes = reader.nodes()
    chosen = [found for found in nodes if name is None or found.name == name]
    if not nodes:
        raise FormatError("the model has no LSTM node")
    if not chosen:
        raise ValueError(f"name must be one of {', '.join(found.name for found in nodes)}, got {name!r}")
    layers = [_Layer(chosen[0])]
    while name is None and (upper := _stacked_on(layers[-1], nodes)) and layers[0].fits(layer := _Layer(upper)):
        layers.append(layer)
    options = {"batch_first": layers[0].description.layout == 1}
    if name is None and len(layers) == len(nodes):
        options |= _remembered(reader.model)
    states = [layer.initial() for layer in layers]
    is_learned = options.pop("learn_initial_state", False) or any(
        value is not None and value.any() for layer in states for direction in layer for value in direction.values()
    )
    filled = [
        [
            {of: np.zeros(layer.description.hidden_size) if value is None else value for of, value in direction.items()}
            for direction in state
        ]
        for layer, state in zip(layers, states)
    ]
    return _node.build([layer.description for layer in layers], filled if is_learned else None, **options)


def _remembered(model):
    """Arguments of the constructor that save wrote beside the graph."""
    texts = [entry.value for entry in model.metadata_props if entry.key == METADATA]
    if not texts:
        return {}
    try:
        options = json.loads(texts[0])
        return {name: tuple(options[name]) if isinstance(options[name], list) else options[name] for name in REMEMBERED}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise FormatError(f"metadata {METADATA} is damaged: {error!r}") from None


def _read(source, external_data=False):
    """A Reader of a file, bytes or ModelProto."""
    folder = None
    if isinstance(source, onnx.ModelProto):
        model, n_bytes = source, source.ByteSize()
    else:
        if not isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)):
            raise TypeError(f"path_or_bytes must be a path or bytes, got {type(source).__name__}")
        is_path = isinstance(source, (str, os.PathLike))
        if is_path:
            with open_regular(source) as file:
                data = file.read()
        else:
            data = bytes(source)
        folder = Path(source).parent if is_path else None
        model, n_bytes = onnx.ModelProto(), len(data)
        try:
            model.ParseFromString(data)
        except DecodeError as error:
            raise FormatError(
                f"{source if is_path else 'the data'} is not an ONNX model, or damaged: {error}"
            ) from None
    if external_data and folder is None:
        raise ValueError("external_data=True needs the path of a file: external data lie in its folder")
    if not model.HasField("graph"):
        raise FormatError("the data is not an ONNX model, or damaged: it has no graph")
    return Reader(model, n_bytes, folder if external_data else None)


class _Layer:
    """A node whose weights are constants."""

    def __init__(self, found):
        self.found, self.scope = found, found.scope
        proto = found.node
        names = _node.INPUTS[proto.op_type]
        if len(proto.input) > len(names):
            raise FormatError(f"node {found.name} must have at most {len(names)} inputs, got {len(proto.input)}")
        self.inputs = {name: given for name, given in zip(names, proto.input) if given}
        weights = {
            name: self._weight(name) for name in names[1:] if name not in ("sequence_lens", "initial_h", "initial_c")
        }
        try:
            if proto.op_type == "DynamicQuantizeLSTM":
                scales = [weights.pop(name) for name in names[8:]]
                weights["W"], weights["R"] = _node.dequantized(weights["W"], weights["R"], *scales)
            self.attributes = self.scope.attributes(proto)
            self.description = _node.describe("LSTM", self.attributes, **weights)
        except FormatError as error:
            raise FormatError(f"node {found.name}: {error}") from None

    def _weight(self, name):
        if name not in self.inputs:
            return None
        try:
            return self.scope.value(self.inputs[name])
        except NotConstant as error:
            raise FormatError(f"node {self.found.name}: input {name} must be a constant, got {error}") from None

    def initial(self):
        """{"h_0": (H,) or None, "c_0": ...} for each direction: the constant states, None for what is not constant."""
        D, H = len(self.description.directions), self.description.hidden_size
        result = [{"h_0": None, "c_0": None} for _ in range(D)]
        for name, ours in (("initial_h", "h_0"), ("initial_c", "c_0")):
            try:
                state = self.scope.value(self.inputs[name]) if name in self.inputs else None
            except NotConstant:
                continue
            if state is None:
                continue
            words, axis = ("(D, B, H)", 0) if self.description.layout == 0 else ("(B, D, H)", 1)
            if self.scope.reader.is_loose and state.ndim == 3 and state.shape[axis] == 1:
                state = state.repeat(D, axis)  # to be expanded to both directions too
            if state.ndim != 3 or state.shape[axis] != D or state.shape[2] != H:
                raise FormatError(
                    f"node {self.found.name}: {name} must have shape {words} with D = {D}, H = {H}, got {state.shape}"
                )
            for d, rows in enumerate(state.astype(self.description.dtype).swapaxes(0, axis)):
                if len(rows) and (rows != rows[:1]).any():
                    raise FormatError(
                        f"node {self.found.name}: {name} is a constant with other numbers for each sequence, "
                        "which is not supported: make it an input of the graph and give it with each call"
                    )
                result[d][ours] = rows[0] if len(rows) else None
        return result

    def sizes(self):
        """T and B as the file has them for X or Y, else those of EXAMPLE."""
        T, B = EXAMPLE
        places = {
            self.inputs.get("X"): (0, 1),
            self.found.node.output[0]: (0, 1) if self.description.layout else (0, 2),
        }
        for info in (*getattr(self.scope.body, "value_info", ()), *self.scope.body.input):
            place = places.get(getattr(info, "name", None))
            dims = info.type.tensor_type.shape.dim if place else ()
            if place and len(dims) > place[1]:
                first, second = (max(0, dims[k].dim_value) for k in place)
                if self.description.layout:
                    first, second = second, first
                T, B = first or T, second or B
        return T, B

    def example(self, T, B):
        """Some Y, and the same as (T, B, D * H), in the layout of the node."""
        D, H = len(self.description.directions), self.description.hidden_size
        output = np.arange(T * B * D * H, dtype=np.float32).reshape(T, B, D, H)
        y, whole = output.swapaxes(1, 2), output.reshape(T, B, -1)
        return (output.swapaxes(0, 1), whole.swapaxes(0, 1)) if self.description.layout else (y, whole)

    def fits(self, upper):
        """Whether upper can be the next layer of the same LSTM."""
        mine, other = self.description, upper.description
        width = len(mine.directions) * mine.hidden_size
        return (
            other._replace(input_size=0, directions=()) == mine._replace(input_size=0, directions=())
            and [d[:2] for d in other.directions] == [d[:2] for d in mine.directions]
            and other.input_size == width
            and self.inputs.get("sequence_lens") == upper.inputs.get("sequence_lens")
        )


def _stacked_on(layer, nodes):
    """The node that reads the whole output of layer, (T, B, D * H), and takes no state from it; None if there is none."""
    here = [
        found
        for found in nodes
        if found.scope is layer.scope and found.node is not layer.found.node and found.node.input
    ]
    outputs = {name for name in layer.found.node.output if name}
    if not layer.found.node.output or layer.found.node.output[0] not in outputs:
        return None
    for sizes in dict.fromkeys([EXAMPLE, layer.sizes()]):  # those of the file, where its operators have them too
        if math.prod(sizes) * len(layer.description.directions) * layer.description.hidden_size > LARGEST_EXAMPLE:
            continue
        y, wanted = layer.example(*sizes)
        trial = layer.scope.given({layer.found.node.output[0]: y})
        for found in here:
            try:
                got = trial.value(found.node.input[0])
            except (FormatError, NotConstant):
                continue
            if np.array_equal(got, wanted) and not any(
                _depends(layer.scope, state, outputs) for state in found.node.input[5:7]
            ):
                return found
    return None


def _depends(scope, name, sources):
    """Whether what makes this name has seen the numbers of one of the sources, in this body."""
    seen, todo = set(), [name]
    while todo:
        name = todo.pop()
        if name in sources:
            return True
        if name in scope.producers and name not in seen and scope.producers[name].op_type != "Shape":
            seen.add(name)
            todo.extend(scope.producers[name].input)
    return False
