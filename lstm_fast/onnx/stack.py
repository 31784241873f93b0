"""LSTM nodes as layers: the weights and states of one node, and which nodes are the layers of one LSTM."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._errors import FormatError
from . import node as _node
from .graph import Found, NotConstant, Scope
from .quantized import dequantized

if TYPE_CHECKING:
    from .._types import Array

EXAMPLE = (3, 5)  # T and B of an example sequence that is traced from node to node to find their connections
MAX_EXAMPLE = 1 << 24  # largest number of elements

Initial: TypeAlias = "list[dict[str, Array | None]]"  # h_0 and c_0 of each direction


class Layer:
    """A node with constant weights."""

    def __init__(self, found: Found) -> None:
        self.found, self.scope = found, found.scope
        proto = found.node
        names = _node.INPUTS[proto.op_type]
        if len(proto.input) > len(names):
            raise FormatError(f"node {found.name} must have at most {len(names)} inputs, got {len(proto.input)}")
        self.inputs = {name: given for name, given in zip(names, proto.input) if given}
        weights = {name: self._weight(name) for name in names[1:] if name not in _node.STATES}
        # For a DynamicQuantizeLSTM: the arguments of exact_rows for weight_ih and weight_hh.
        self.quantized: dict[str, tuple[Any, ...]] = {}
        try:
            if proto.op_type == "DynamicQuantizeLSTM":
                scales = [weights.pop(name) for name in names[8:]]
                self.quantized = {"ih": (weights["W"], *scales[:2]), "hh": (weights["R"], *scales[2:])}
                weights["W"], weights["R"] = dequantized(weights["W"], weights["R"], *scales)
            self.attributes = self.scope.attributes(proto)
            self.description = _node.describe("LSTM", self.attributes, **weights)
        except FormatError as error:
            raise FormatError(f"node {found.name}: {error}") from None

    def _weight(self, name: str) -> Array | None:
        if name not in self.inputs:
            return None
        try:
            return self.scope.value(self.inputs[name])
        except NotConstant as error:
            raise FormatError(f"node {self.found.name}: input {name} must be a constant, got {error}") from None

    def initial(self) -> Initial:
        """The initial states; None if not constant."""
        D, H = len(self.description.directions), self.description.hidden_size
        result: Initial = [{"h_0": None, "c_0": None} for _ in range(D)]
        for name, ours in (("initial_h", "h_0"), ("initial_c", "c_0")):
            try:
                state = self.scope.value(self.inputs[name]) if name in self.inputs else None
            except NotConstant:
                continue
            if state is None:
                continue
            words, axis = ("(D, B, H)", 0) if self.description.layout == 0 else ("(B, D, H)", 1)
            if self.scope.reader.is_loose and state.ndim == 3 and state.shape[axis] == 1:
                state = state.repeat(D, axis)  # also expanded to both directions
            if state.ndim != 3 or state.shape[axis] != D or state.shape[2] != H:
                raise FormatError(
                    f"node {self.found.name}: {name} must have shape {words} with D = {D}, H = {H}, got {state.shape}"
                )
            for d, rows in enumerate(state.astype(self.description.dtype).swapaxes(0, axis)):
                if len(rows) and (rows != rows[:1]).any():
                    raise FormatError(
                        f"node {self.found.name}: {name} is a constant that differs between sequences, which is not "
                        "supported: make it an input of the graph and pass it to each call"
                    )
                result[d][ours] = rows[0] if len(rows) else None
        return result

    def sizes(self) -> tuple[int, int]:
        """T and B declared for X or Y in the file, else those of EXAMPLE."""
        T, B = EXAMPLE
        axes = {
            self.inputs.get("X"): (0, 1),
            self.found.node.output[0]: (0, 1) if self.description.layout else (0, 2),
        }
        for info in (*getattr(self.scope.body, "value_info", ()), *self.scope.body.input):
            at = axes.get(getattr(info, "name", None))
            dims = info.type.tensor_type.shape.dim if at else ()
            if at and len(dims) > at[1]:
                first, second = (max(0, dims[k].dim_value) for k in at)
                if self.description.layout:
                    first, second = second, first
                T, B = first or T, second or B
        return T, B

    def example(self, T: int, B: int) -> tuple[Array, Array]:
        """An example of Y, and the same data as (T, B, D * H), in the layout of the node."""
        D, H = len(self.description.directions), self.description.hidden_size
        output = np.arange(T * B * D * H, dtype=np.float32).reshape(T, B, D, H)
        y, whole = output.swapaxes(1, 2), output.reshape(T, B, -1)
        return (output.swapaxes(0, 1), whole.swapaxes(0, 1)) if self.description.layout else (y, whole)

    def fits(self, upper: Layer) -> bool:
        """Whether upper can be the next layer of the same LSTM."""
        mine, other = self.description, upper.description
        return (
            other._replace(input_size=0, directions=[]) == mine._replace(input_size=0, directions=[])
            and [d[:2] for d in other.directions] == [d[:2] for d in mine.directions]
            and other.input_size == len(mine.directions) * mine.hidden_size
            and self.inputs.get("sequence_lens") == upper.inputs.get("sequence_lens")
        )


def layers_from(first: Found, nodes: Sequence[Found]) -> list[Layer]:
    """A node and those stacked on it as further layers of one LSTM."""
    layers = [Layer(first)]
    while (upper := _stacked_on(layers[-1], nodes)) and layers[0].fits(layer := Layer(upper)):
        layers.append(layer)
    return layers


def _stacked_on(layer: Layer, nodes: Sequence[Found]) -> Found | None:
    """The node that reads the whole output of `layer`, (T, B, D * H), but none of its final states."""
    node = layer.found.node
    here = [found for found in nodes if found.scope is layer.scope and found.node is not node and found.node.input]
    outputs = {name for name in node.output if name}
    if not node.output or node.output[0] not in outputs:
        return None
    for T, B in dict.fromkeys([EXAMPLE, layer.sizes()]):  # the file's sizes may be hard-coded in its operators
        if math.prod((T, B, len(layer.description.directions), layer.description.hidden_size)) > MAX_EXAMPLE:
            continue
        y, expected = layer.example(T, B)
        trial = layer.scope.with_values({node.output[0]: y})
        for found in here:
            try:
                got = trial.value(found.node.input[0])
            except (FormatError, NotConstant):
                continue
            states = found.node.input[5:7]
            if np.array_equal(got, expected) and not any(_depends(layer.scope, state, outputs) for state in states):
                return found
    return None


def _depends(scope: Scope, name: str, sources: Collection[str]) -> bool:
    """Whether the value of this name in this body depends on one of the sources."""
    seen, todo = set(), [name]
    while todo:
        name = todo.pop()
        if name in sources:
            return True
        if name in scope.producers and name not in seen and scope.producers[name].op_type != "Shape":
            seen.add(name)
            todo.extend(scope.producers[name].input)
    return False
