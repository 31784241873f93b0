"""Nodes and constants of a model: in its graph, in bodies of If, Loop and Scan, and in functions at their calls."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, helper

from .._errors import FormatError
from .operators import OPERATORS, NotConstantHere
from .tensors import Allowance, to_array

if TYPE_CHECKING:
    from .._types import Array

OURS = {("", "LSTM"), ("com.microsoft", "DynamicQuantizeLSTM")}
MAX_NODES, MAX_DEPTH = 200_000, 30  # counting functions at each call: a small file could expand to any number
MAX_CHAIN = 100  # operators between a constant and its use


class Found(NamedTuple):
    """An LSTM node, its name in `names`, and its scope."""

    name: str
    node: NodeProto
    scope: Scope


class NotConstant(Exception):
    """A value is not constant. The message names what computes it."""


class Scope:
    """A body of nodes, with the names visible in it.

    outer: the enclosing scope, for the body of an If, Loop or Scan. call: the call of a function, (scope, node), which
    provides its inputs and attributes.
    """

    def __init__(
        self,
        reader: Reader,
        body: GraphProto | FunctionProto,
        outer: Scope | None = None,
        call: tuple[Scope, NodeProto] | None = None,
    ) -> None:
        self.reader, self.body, self.outer, self.call = reader, body, outer, call
        self.producers = {name: node for node in body.node for name in node.output if name}
        self.initializers = {tensor.name: tensor for tensor in getattr(body, "initializer", ())}
        self.inputs = [value if isinstance(value, str) else value.name for value in body.input]
        self._values: dict[str, Array | NotConstant] = {}
        for sparse in getattr(body, "sparse_initializer", ()):
            name = sparse.values.name
            self._values[name] = NotConstant(f"sparse_initializer {name}, which is not supported")

    def with_values(self, values: Mapping[str, Array]) -> Scope:
        """Return the same scope with these values for these names, and a separate allowance."""
        scope = copy.copy(self)
        scope.reader = copy.copy(self.reader)
        scope.reader.allowance = Allowance(sum(value.nbytes for value in values.values()))
        scope._values = dict(values)
        return scope

    def value(self, name: str) -> Array:
        """Return the constant of this name. Raises NotConstant if it depends on more than the file."""
        if name not in self._values:
            self._values[name] = NotConstant(f"{name}, which depends on itself")
            self.reader.chain += 1
            try:
                if self.reader.chain > MAX_CHAIN:
                    raise NotConstant(f"{name}, after a chain of more than {MAX_CHAIN} operators")
                self._values[name] = self._find(name)
            except NotConstant as error:
                self._values[name] = error
            finally:
                self.reader.chain -= 1
        value = self._values[name]
        if isinstance(value, NotConstant):
            raise value
        return value

    def _find(self, name: str) -> Array:
        if name in self.initializers:  # an input has its default there
            return to_array(self.initializers[name], self.reader.folder)
        if name in self.producers:
            return self._run(self.producers[name], name)
        if name in self.inputs:
            return self._input(name)
        if self.outer is not None:
            return self.outer.value(name)
        raise FormatError(f"{name!r} is not defined anywhere in the file")

    def _input(self, name: str) -> Array:
        if self.call is not None:
            outer, node = self.call
            k = self.inputs.index(name)
            if k < len(node.input) and node.input[k]:
                return outer.value(node.input[k])
        raise NotConstant(f"the input {name}")

    def _run(self, node: NodeProto, name: str) -> Array:
        """Return the value of one output of a node."""
        what = f"{node.op_type} {node.name!r}" if node.name else node.op_type
        not_constant = NotConstant(f"{name}, which is computed by {what}")
        attributes = self.attributes(node)
        if node.domain not in ("", "ai.onnx") or node.op_type not in {*OPERATORS, "Constant"}:
            raise not_constant
        try:
            return self._compute(node, name, attributes)
        except (FormatError, NotConstant):
            raise
        except NotConstantHere:
            raise not_constant from None
        except (
            Exception
        ) as error:  # invalid sizes or axes, attributes of the wrong type: NumPy's message has the details
            if self.reader.is_loose:
                raise not_constant from None
            raise FormatError(f"{what} failed: {type(error).__name__}: {error}") from None

    def _compute(self, node: NodeProto, name: str, attributes: dict[str, Any]) -> Array:
        if node.op_type == "Constant":
            return _constant(attributes)
        names = node.input[:1] if node.op_type == "Expand" else node.input
        inputs = [self.value(one) if one else None for one in names]
        if node.op_type == "Expand":
            data = inputs[0]
            try:
                inputs.append(self.value(node.input[1]))
            except NotConstant:
                if data is None or data.ndim < 3:
                    raise
                self.reader.is_loose = True
                return data  # a state expanded to a variable batch size: the values of one sequence suffice
        result = OPERATORS[node.op_type](inputs, attributes | {"n_outputs": len(node.output)}, self.reader.allowance)
        results = result if isinstance(result, tuple) else (result,)
        self.reader.allowance.spend(results[0].shape, results[0].dtype)
        return results[list(node.output).index(name)]

    def attributes(self, node: NodeProto) -> dict[str, Any]:
        """Return attributes by name as Python values, tensors as arrays; in functions they may refer to the call."""
        values = {attribute.name: self._attribute(attribute) for attribute in node.attribute}
        return {name: value for name, value in values.items() if value is not None}

    def _attribute(self, attribute: AttributeProto) -> Any:
        name = attribute.ref_attr_name
        if name:
            if self.call is None or not isinstance(self.body, FunctionProto):
                raise FormatError(f"attribute {attribute.name} refers to {name}, outside of a function")
            outer, node = self.call
            defaults = {default.name: default for default in self.body.attribute_proto}
            of_call = {given.name: given for given in node.attribute}
            if name in of_call:
                return outer._attribute(of_call[name])
            return self._attribute(defaults[name]) if name in defaults else None
        if attribute.type == AttributeProto.TENSOR:
            return to_array(attribute.t, self.reader.folder)
        try:
            value = helper.get_attribute_value(attribute)
            if attribute.type == AttributeProto.STRING:
                return value.decode()
            return [text.decode() for text in value] if attribute.type == AttributeProto.STRINGS else value
        except (ValueError, TypeError) as error:
            raise FormatError(f"attribute {attribute.name}: {error}") from None


def _constant(attributes: Mapping[str, Any]) -> Array:
    """Return the value of a Constant node."""
    dtypes = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    for kind, dtype in dtypes.items():
        if kind in attributes:
            return np.array(attributes[kind], dtype)
    value = attributes.get("value")
    if isinstance(value, np.ndarray):
        return value
    raise FormatError(f"Constant: {', '.join(attributes) or 'no value'} is not supported")


class Reader:
    """A model from which LSTM nodes are read.

    folder: directory of external data; None: not allowed. is_loose becomes True if a size was unknown, so that a
    mismatch may disappear at run time.
    """

    def __init__(self, model: ModelProto, n_bytes: int, folder: Path | None = None) -> None:
        self.model, self.folder, self.allowance, self.chain = model, folder, Allowance(n_bytes), 0
        self.is_loose = False
        self.functions = {(function.domain, function.name): function for function in model.functions}
        self._n_nodes = 0

    def nodes(self, operators: Collection[tuple[str, str]] = OURS) -> list[Found]:
        """Return all LSTM nodes in the order of the file; nodes nested in another node are at its position.

        A node without a name is named after its operator and its position in this list, for instance "LSTM_0".
        Repeated names (if a function is called twice) get the suffixes ":1", ":2", ...
        """
        found = list(self._walk(Scope(self, self.model.graph), operators, 0))
        free, counts, result = {node.name for node, _ in found if node.name}, Counter[str](), []
        taken = set(free)
        for k, (node, scope) in enumerate(found):
            base = name = node.name or f"{node.op_type}_{k}"
            if node.name in free:
                free.discard(name)  # the first of this name keeps it
            else:
                while name in taken:
                    counts[base] += 1
                    name = f"{base}:{counts[base]}"
            taken.add(name)
            result.append(Found(name, node, scope))
        return result

    def _walk(
        self, scope: Scope, operators: Collection[tuple[str, str]], depth: int
    ) -> Iterator[tuple[NodeProto, Scope]]:
        if depth > MAX_DEPTH:
            raise FormatError(f"graphs and functions must be nested at most {MAX_DEPTH} deep")
        for node in scope.body.node:
            self._n_nodes += 1
            if self._n_nodes > MAX_NODES:
                raise FormatError(f"the model has more than {MAX_NODES} nodes")
            kind = "" if node.domain == "ai.onnx" else node.domain, node.op_type
            if function := self.functions.get((node.domain, node.op_type)):
                yield from self._walk(Scope(self, function, call=(scope, node)), operators, depth + 1)
            elif kind in operators:
                yield node, scope
            for attribute in node.attribute:
                for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                    yield from self._walk(Scope(self, graph, outer=scope), operators, depth + 1)
