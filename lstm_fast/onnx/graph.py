"""Nodes and constants of a model: of the main graph, of the bodies of If, Loop and Scan, and of functions at their calls."""

import copy
from collections import Counter, namedtuple

import numpy as np
from onnx import AttributeProto, helper

from .._errors import FormatError
from .operators import OPERATORS, Unfit
from .tensors import Allowance, to_array

OURS = {("", "LSTM"), ("com.microsoft", "DynamicQuantizeLSTM")}
MOST_NODES, DEEPEST = 200_000, 30  # counted with functions at each call: a small file can ask for any number
LONGEST_CHAIN = 100  # of operators behind a constant

Found = namedtuple("Found", "name node scope")
Found.__doc__ = """An LSTM node, the name that it goes by, and the Scope it stands in."""


class NotConstant(Exception):
    """A value is not known from the file alone. Says what makes it."""


class Scope:
    """One body of nodes, with the names that it knows.

    outer : the Scope around the body of an If, Loop or Scan
    call : (Scope, NodeProto) of a function's call, which gives its inputs and attributes
    """

    def __init__(self, reader, body, outer=None, call=None):
        self.reader, self.body, self.outer, self.call = reader, body, outer, call
        self.producers = {name: node for node in body.node for name in node.output if name}
        self.initializers = {tensor.name: tensor for tensor in getattr(body, "initializer", ())}
        self.inputs = [value if isinstance(value, str) else value.name for value in body.input]
        self._values = {}
        for sparse in getattr(body, "sparse_initializer", ()):
            self._values[sparse.values.name] = NotConstant(
                f"sparse_initializer {sparse.values.name}, which is not supported"
            )

    def given(self, values):
        """The same scope where these names have these values, for a try with an allowance of its own."""
        scope = copy.copy(self)
        scope.reader = copy.copy(self.reader)
        scope._values, scope.reader.allowance = dict(values), Allowance(sum(value.nbytes for value in values.values()))
        return scope

    def value(self, name):
        """The constant of this name as an array. NotConstant if the file alone does not say it."""
        if name not in self._values:
            self._values[name] = NotConstant(f"{name}, which depends on itself")
            self.reader.chain += 1
            try:
                if self.reader.chain > LONGEST_CHAIN:
                    raise NotConstant(f"{name}, behind a chain of more than {LONGEST_CHAIN} operators")
                self._values[name] = self._find(name)
            except NotConstant as error:
                self._values[name] = error
            finally:
                self.reader.chain -= 1
        value = self._values[name]
        if isinstance(value, NotConstant):
            raise value
        return value

    def _find(self, name):
        if name in self.initializers:  # that of an input that has one is its default
            return to_array(self.initializers[name], self.reader.folder)
        if name in self.producers:
            return self._run(self.producers[name], name)
        if name in self.inputs:
            return self._input(name)
        if self.outer is not None:
            return self.outer.value(name)
        raise FormatError(f"{name!r} is neither made nor given anywhere in the file")

    def _input(self, name):
        if self.call is not None:
            outer, node = self.call
            place = self.inputs.index(name)
            if place < len(node.input) and node.input[place]:
                return outer.value(node.input[place])
        raise NotConstant(f"the input {name}")

    def _run(self, node, name):
        """The value of one output of a node."""
        what = f"{node.op_type} {node.name!r}" if node.name else node.op_type
        attributes = self.attributes(node)
        if node.domain not in ("", "ai.onnx") or node.op_type not in {*OPERATORS, "Constant"}:
            raise NotConstant(f"{name}, which is made by {what}")
        try:
            if node.op_type == "Constant":
                return _constant(attributes)
            inputs = [
                self.value(input) if input else None for input in node.input[: 1 if node.op_type == "Expand" else None]
            ]
            if node.op_type == "Expand":
                try:
                    inputs.append(self.value(node.input[1]))
                except NotConstant:
                    if inputs[0].ndim < 3:
                        raise
                    self.reader.is_loose = True
                    return inputs[0]  # a state for any batch: one sequence says it all
            result = OPERATORS[node.op_type](
                inputs, attributes | {"n_outputs": len(node.output)}, self.reader.allowance
            )
            results = result if isinstance(result, tuple) else (result,)
            self.reader.allowance.spend(results[0].shape, results[0].dtype)
            return results[list(node.output).index(name)]
        except (FormatError, NotConstant):
            raise
        except Unfit:
            raise NotConstant(f"{name}, which is made by {what}") from None
        except (
            Exception
        ) as error:  # sizes and axes that do not fit, attributes of a wrong type: NumPy's words say which
            if self.reader.is_loose:
                raise NotConstant(f"{name}, which is made by {what}") from None
            raise FormatError(f"{what} does not work: {type(error).__name__}: {error}") from None

    def attributes(self, node):
        """Attributes by name as Python values, tensors as arrays; those of a function's call where they refer to it."""
        return {
            attribute.name: value for attribute in node.attribute if (value := self._attribute(attribute)) is not None
        }

    def _attribute(self, attribute):
        if attribute.ref_attr_name:
            if self.call is None:
                raise FormatError(
                    f"attribute {attribute.name} refers to {attribute.ref_attr_name}, outside of a function"
                )
            outer, node = self.call
            defaults = {default.name: default for default in self.body.attribute_proto}
            of_call = {given.name: given for given in node.attribute}
            if attribute.ref_attr_name in of_call:
                return outer._attribute(of_call[attribute.ref_attr_name])
            return self._attribute(defaults[attribute.ref_attr_name]) if attribute.ref_attr_name in defaults else None
        if attribute.type == AttributeProto.TENSOR:
            return to_array(attribute.t, self.reader.folder)
        try:
            value = helper.get_attribute_value(attribute)
            if attribute.type == AttributeProto.STRING:
                return value.decode()
            return [text.decode() for text in value] if attribute.type == AttributeProto.STRINGS else value
        except (ValueError, TypeError) as error:
            raise FormatError(f"attribute {attribute.name}: {error}") from None


def _constant(attributes):
    for kind, dtype in (
        ("value_float", np.float32),
        ("value_floats", np.float32),
        ("value_int", np.int64),
        ("value_ints", np.int64),
    ):
        if kind in attributes:
            return np.array(attributes[kind], dtype)
    if isinstance(attributes.get("value"), np.ndarray):
        return attributes["value"]
    raise FormatError(f"Constant: {', '.join(attributes) or 'no value'} is not supported")


class Reader:
    """A model of which LSTM nodes are wanted. folder: where its external data may lie, None for refused."""

    def __init__(self, model, n_bytes, folder=None):
        self.model, self.folder, self.allowance, self.chain = model, folder, Allowance(n_bytes), 0
        self.is_loose = False  # some size was not known: what does not fit may fit at run time
        self.functions = {(function.domain, function.name): function for function in model.functions}
        self._n_nodes = 0

    def nodes(self, operators=OURS):
        """The Found of every LSTM node, in the order of the file, what is inside a node where the node stands.

        A node without a name goes by its operator and its place among them all, as in "LSTM_0"; if one name comes again (a
        function called twice), the later ones get ":1", ":2" ..."""
        found = list(self._walk(Scope(self, self.model.graph), operators, 0))
        free, counts, result = {node.name for node, _ in found if node.name}, Counter(), []
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

    def _walk(self, scope, operators, depth):
        if depth > DEEPEST:
            raise FormatError(f"graphs and functions stand more than {DEEPEST} deep in each other")
        for node in scope.body.node:
            self._n_nodes += 1
            if self._n_nodes > MOST_NODES:
                raise FormatError(f"the model has more than {MOST_NODES} nodes")
            kind = "" if node.domain == "ai.onnx" else node.domain, node.op_type
            if (node.domain, node.op_type) in self.functions:
                function = self.functions[node.domain, node.op_type]
                yield from self._walk(Scope(self, function, call=(scope, node)), operators, depth + 1)
            elif kind in operators:
                yield node, scope
            for attribute in node.attribute:
                for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                    yield from self._walk(Scope(self, graph, outer=scope), operators, depth + 1)
