"""Backend: runs the LSTM and RNN nodes of ONNX models in lstm_fast, other operators in onnx's reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, NodeProto
from onnx.backend.base import Backend as _Backend
from onnx.backend.base import BackendRep
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from . import node as _node
from .quantized import dequantized

if TYPE_CHECKING:
    from .._types import Array
    from ..modules import LSTM as LSTMNetwork
    from ..modules import RNN as RNNNetwork


class _Recurrent(OpRun):
    """Executable node. Its networks are rebuilt only when the weights or attributes change."""

    def __init__(self, onnx_node: NodeProto, run_params: dict[str, Any], schema: Any = None) -> None:
        super().__init__(onnx_node, run_params, schema)
        self._built_from: tuple[dict[str, Any], dict[str, Array | None]] | None = None
        self._networks: list[LSTMNetwork | RNNNetwork] = []

    def _run(self, X: Array, *inputs: Array | None, **attributes: Any) -> tuple[Array, ...]:
        op = self.onnx_node.op_type
        given = dict(zip(_node.INPUTS[op], (X, *inputs)))
        weights = {name: given.get(name) for name in _node.INPUTS[op][1:] if name not in _node.STATES}
        values = {}
        for attribute in self.onnx_node.attribute:
            value = attributes.get(attribute.name)  # given if it refers to an attribute of a function
            value = getattr(self, attribute.name) if value is None else value
            values[attribute.name] = value.item() if isinstance(value, np.generic) else value
        if self._built_from is None or not _are_same(self._built_from, (values, weights)):
            self._networks = self._build(op, values, weights)
            copies = {name: None if array is None else array.copy() for name, array in weights.items()}
            self._built_from = values, copies
        states = given.get("initial_h"), given.get("initial_c")
        results = self._compute(X, given.get("sequence_lens"), states, values.get("layout", 0))
        n_outputs = max(1, len(self.onnx_node.output))
        return tuple([array.astype(X.dtype, copy=False) for array in results][:n_outputs])

    def _build(
        self, op: str, attributes: dict[str, Any], weights: dict[str, Array | None]
    ) -> list[LSTMNetwork | RNNNetwork]:
        """Return a network for each direction, since their activations may differ."""
        weights = dict(weights)
        if op == "DynamicQuantizeLSTM":
            scales = [weights.pop(name) for name in _node.INPUTS[op][8:]]
            weights["W"], weights["R"] = dequantized(weights["W"], weights["R"], *scales)
        description = _node.describe("RNN" if op == "RNN" else "LSTM", attributes, **weights)
        return [_node.build([description._replace(directions=[direction])]) for direction in description.directions]

    def _compute(
        self, X: Array, lengths: Array | None, states: tuple[Array | None, Array | None], layout: int
    ) -> list[Array]:
        """Return Y, Y_h and, for an LSTM, Y_c."""
        axes = (0, 1, 2) if layout == 0 else (1, 0, 2)
        x = X.transpose(axes)
        has_c = self._networks[0].has_cell_state
        initial = [None if state is None else state.transpose(axes) for state in states[: 1 + has_c]]
        outputs, last = [], []
        for d, network in enumerate(self._networks):
            own = [None if state is None else state[d : d + 1] for state in initial]
            output, state = network(x, tuple(own) if has_c else own[0], lengths=lengths)  # type: ignore[arg-type]
            outputs.append(output)
            last.append(state if has_c else (state,))
        Y = np.stack(outputs, axis=1)
        Y = Y if layout == 0 else Y.transpose(2, 0, 1, 3)
        return [Y, *(np.concatenate(by_direction).transpose(axes) for by_direction in zip(*last, strict=True))]


def _are_same(
    one: tuple[dict[str, Any], dict[str, Array | None]], other: tuple[dict[str, Any], dict[str, Array | None]]
) -> bool:
    return one[0] == other[0] and all(
        a is b or (a is not None and b is not None and a.dtype == b.dtype and np.array_equal(a, b))
        for a, b in zip(one[1].values(), other[1].values(), strict=True)
    )


# onnx finds an operator by the name of its class.
class LSTM(_Recurrent):
    op_domain = ""


class RNN(_Recurrent):
    op_domain = ""


class DynamicQuantizeLSTM(_Recurrent):
    op_domain = "com.microsoft"


class _Evaluator(ReferenceEvaluator):
    """Reference evaluator with our operators in the main graph, in bodies and in functions."""

    def __init__(self, proto: ModelProto | NodeProto, **options: Any) -> None:
        super().__init__(proto, **options | {"new_ops": [LSTM, RNN, DynamicQuantizeLSTM]})


class Prepared(BackendRep):
    """A model that is ready to run, from `Backend.prepare`.

    Parameters
    ----------
    model : onnx.ModelProto
        The model.
    """

    def __init__(self, model: ModelProto) -> None:
        self._evaluator = _Evaluator(model)
        defaults = {tensor.name for tensor in model.graph.initializer}
        self._inputs = [value.name for value in model.graph.input if value.name not in defaults]

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Run the model.

        Parameters
        ----------
        inputs : sequence of ndarray, or dict of str to ndarray
            Inputs in the order of the graph, or by name.
        **kwargs
            Ignored.

        Returns
        -------
        tuple of ndarray
            All outputs.
        """
        if not isinstance(inputs, dict):
            inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
            if len(inputs) != len(self._inputs):
                raise ValueError(
                    f"inputs must be {len(self._inputs)} arrays, for {', '.join(self._inputs)}, got {len(inputs)}"
                )
            inputs = dict(zip(self._inputs, inputs, strict=True))
        return tuple(self._evaluator.run(None, inputs))


class Backend(_Backend):
    """ONNX's backend interface, onnx.backend.base.Backend, on the CPU.

    LSTM (versions 1 to 22, all attributes, including layout 1, and float64), RNN (tanh, relu, identity) and
    com.microsoft.DynamicQuantizeLSTM run in lstm_fast, the latter with dequantized weights and without rounding x and
    h. All other operators run in onnx.reference, which is exact but slow.

    Examples
    --------
    >>> import numpy as np
    >>> import onnx
    >>> import lstm_fast as lf
    >>> lstm = lf.LSTM(3, 8, seed=0)
    >>> lf.onnx.save(lstm, "lstm.onnx")
    >>> x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    >>> output, h_n, c_n = lf.onnx.Backend.run_model(onnx.load("lstm.onnx"), [x])
    >>> bool((output == lstm(x)[0]).all())
    True
    """

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> Prepared:
        """Validate a model and prepare it to run.

        Parameters
        ----------
        model : onnx.ModelProto
            The model.
        device : str, default "CPU"
            CPU only.
        **kwargs
            Passed to onnx's own check.

        Returns
        -------
        Prepared
            Prepared model; its run method takes the inputs and returns the outputs.
        """
        if not cls.supports_device(device):
            raise ValueError(f"device must be CPU, got {device!r}")
        super().prepare(model, device, **kwargs)  # checks the model
        return Prepared(model)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Sequence[Array] | Mapping[str, Array],
        device: str = "CPU",
        outputs_info: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run a single node.

        Parameters
        ----------
        node : onnx.NodeProto
            The node.
        inputs : sequence of ndarray, or dict of str to ndarray
            Inputs in the order of the node, or by name.
        device : str, default "CPU"
            CPU only.
        outputs_info : object, optional
            Passed to onnx's own check.
        **kwargs
            Passed to onnx's own check.

        Returns
        -------
        tuple of ndarray
            Outputs of the node.
        """
        super().run_node(node, inputs, device, outputs_info, **kwargs)
        names = [name for name in node.input if name]
        feeds = inputs if isinstance(inputs, dict) else dict(zip(names, inputs, strict=True))
        return tuple(_Evaluator(node).run(None, feeds))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Return whether models can run on a device.

        Parameters
        ----------
        device : str
            Name of a device, such as "CPU" or "CPU:0".

        Returns
        -------
        bool
            True for the CPU.
        """
        return device.partition(":")[0] == "CPU"
