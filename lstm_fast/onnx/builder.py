"""Graph: incremental construction of an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import GraphProto, helper, numpy_helper

if TYPE_CHECKING:
    from .._types import Array, DType


class Graph:
    """Nodes, constants, inputs and outputs, all of one dtype; `type` is its ONNX code."""

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype
        self.type: int = helper.np_dtype_to_tensor_dtype(dtype)
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def add(self, operator: str, inputs: Sequence[str | Array], **attributes: Any) -> str:
        """Add a node with one output and return the output's name. Inputs may be arrays."""
        (output,) = self.add_all(operator, inputs, **attributes)
        return output

    def add_all(
        self,
        operator: str,
        inputs: Sequence[str | Array],
        n_outputs: int = 1,
        *,
        name: str | None = None,
        outputs: Sequence[str] | None = None,
        **attributes: Any,
    ) -> list[str]:
        """Add a node and return the names of its outputs."""
        name = name or f"{operator.lower()}_{len(self._nodes)}"
        names = [
            value if isinstance(value, str) else self.constant(value, f"{name}.{k}") for k, value in enumerate(inputs)
        ]
        results = list(outputs or [f"{name}.y{k}" for k in range(n_outputs)])
        self._nodes.append(helper.make_node(operator, names, results, name=name, **attributes))
        return results

    def constant(self, value: Array, name: str) -> str:
        """Add a constant and return its name."""
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def input(
        self, name: str, shape: Sequence[str | int], default: Array | None = None, type: int | None = None
    ) -> str:
        """Add an input, optional if it has a default, and return its name."""
        self._inputs.append(helper.make_tensor_value_info(name, type or self.type, shape))
        return name if default is None else self.constant(default, name)

    def output(self, name: str, shape: Sequence[str | int]) -> None:
        """Declare a result as an output."""
        self._outputs.append(helper.make_tensor_value_info(name, self.type, shape))

    def proto(self) -> GraphProto:
        """Return the graph."""
        return helper.make_graph(self._nodes, "lstm_fast", self._inputs, self._outputs, self._initializers)
