"""Backend: ONNX models with LSTM and RNN nodes, which run here; other operators run in onnx's reference evaluator."""

import numpy as np
from onnx.backend.base import Backend as _Backend
from onnx.backend.base import BackendRep
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from . import node as _node


class _Recurrent(OpRun):
    """One node. Its modules are made once for the same weights."""

    def __init__(self, onnx_node, run_params, schema=None):
        super().__init__(onnx_node, run_params, schema)
        self._made, self._modules = None, None

    def _run(self, X, *inputs, **attributes):
        op = self.onnx_node.op_type
        given = dict(zip(_node.INPUTS[op], (X, *inputs)))
        names = [name for name in _node.INPUTS[op][1:] if name not in ("sequence_lens", "initial_h", "initial_c")]
        weights = {name: given.get(name) for name in names}
        # Those that refer to a function's attributes come as arguments.
        attributes = {
            attribute.name: getattr(self, attribute.name)
            if attributes.get(attribute.name) is None
            else attributes[attribute.name]
            for attribute in self.onnx_node.attribute
        }
        attributes = {
            name: value.item() if isinstance(value, np.generic) else value for name, value in attributes.items()
        }
        if self._made is None or not _are_same(self._made, (attributes, weights)):
            self._modules = self._make(op, attributes, weights)
            self._made = attributes, {name: None if value is None else value.copy() for name, value in weights.items()}
        Y, *last = self._steps(
            X, given.get("sequence_lens"), given.get("initial_h"), given.get("initial_c"), attributes.get("layout", 0)
        )
        return tuple(value.astype(X.dtype, copy=False) for value in (Y, *last))[: max(1, len(self.onnx_node.output))]

    def _make(self, op, attributes, weights):
        """One module for each direction: their activations may differ."""
        weights = dict(weights)
        if op == "DynamicQuantizeLSTM":
            weights["W"], weights["R"] = _node.dequantized(
                weights["W"], weights["R"], *(weights.pop(name) for name in _node.INPUTS[op][8:])
            )
        description = _node.describe("RNN" if op == "RNN" else "LSTM", attributes, **weights)
        return [_node.build([description._replace(directions=[direction])]) for direction in description.directions]

    def _steps(self, X, lengths, initial_h, initial_c, layout):
        """Y, Y_h and of an LSTM Y_c."""
        batch_last = (0, 1, 2) if layout == 0 else (1, 0, 2)
        x = X.transpose(batch_last)
        has_c = self._modules[0].has_cell_state
        starts = [
            None if state is None else state.transpose(batch_last) for state in (initial_h, initial_c)[: 1 + has_c]
        ]
        outputs, last = [], []
        for d, module in enumerate(self._modules):
            states = [None if start is None else start[d : d + 1] for start in starts]
            output, state = module(x, tuple(states) if has_c else states[0], lengths=lengths)
            outputs.append(output)
            last.append(state if has_c else (state,))
        Y = np.stack(outputs, axis=1)
        last = [np.concatenate(states).transpose(batch_last) for states in zip(*last)]
        return (Y if layout == 0 else Y.transpose(2, 0, 1, 3), *last)


def _are_same(made, wanted):
    return made[0] == wanted[0] and all(
        a is b or (a is not None and b is not None and a.dtype == b.dtype and np.array_equal(a, b))
        for a, b in zip(made[1].values(), wanted[1].values())
    )


class LSTM(_Recurrent):
    op_domain = ""


class RNN(_Recurrent):
    op_domain = ""


class DynamicQuantizeLSTM(_Recurrent):
    op_domain = "com.microsoft"


class _Evaluator(ReferenceEvaluator):
    """With our operators in the main graph, in bodies and in functions."""

    def __init__(self, proto, **options):
        super().__init__(proto, **options | {"new_ops": [LSTM, RNN, DynamicQuantizeLSTM]})


class Prepared(BackendRep):
    """What Backend.prepare gives: run takes a list in the order of the graph's inputs, or a dict, and gives all outputs."""

    def __init__(self, model):
        self._evaluator = _Evaluator(model)
        defaults = {tensor.name for tensor in model.graph.initializer}
        self._inputs = [value.name for value in model.graph.input if value.name not in defaults]

    def run(self, inputs, **kwargs):
        if not isinstance(inputs, dict):
            inputs = inputs if isinstance(inputs, (list, tuple)) else [inputs]
            if len(inputs) != len(self._inputs):
                raise ValueError(
                    f"inputs must be {len(self._inputs)} arrays, for {', '.join(self._inputs)}, got {len(inputs)}"
                )
            inputs = dict(zip(self._inputs, inputs))
        return tuple(self._evaluator.run(None, inputs))


class Backend(_Backend):
    """ONNX's backend interface (onnx.backend.base.Backend), on the CPU.

    LSTM (versions 1 to 22, all attributes, layout 1 and float64 among them), RNN (tanh, relu, identity) and
    com.microsoft.DynamicQuantizeLSTM run in lstm_fast, the latter with dequantized weights and no rounding of x and h.
    All other operators run in onnx.reference, which is right and slow.
    """

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        if not cls.supports_device(device):
            raise ValueError(f"device must be CPU, got {device!r}")
        super().prepare(model, device, **kwargs)  # checks the model
        return Prepared(model)

    @classmethod
    def run_node(cls, node, inputs, device="CPU", outputs_info=None, **kwargs):
        super().run_node(node, inputs, device, outputs_info, **kwargs)
        names = [name for name in node.input if name]
        feeds = inputs if isinstance(inputs, dict) else dict(zip(names, inputs, strict=True))
        return tuple(_Evaluator(node).run(None, feeds))

    @classmethod
    def supports_device(cls, device):
        return device.partition(":")[0] == "CPU"
