"""ONNX Runtime: a graph of LSTM nodes, run by session.run and with bound input and output.

int8: the graph after quantize_dynamic, with one scale for each matrix (its default) and one for each row.
"""

import logging
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from .common import Job, Unsupported, gates, layers


def lstm_model(data, has_states):
    """A serialized ONNX model: X (T,B,I), [initial_h, initial_c (1,B,H)] -> Y (T,1,B,H), Y_h, Y_c.

    The names of further layers' weights and states end in _1 and so on; Y is that of the last layer.
    """
    from onnx import TensorProto, helper, numpy_helper

    (T, B, I), H = data["x"].shape, data["d_output"].shape[2]
    T = 1 if has_states else T
    nodes, weights, states, last_states, x, n_layers = [], {}, {}, {}, "X", len(layers(data))
    zero_axis = {"axis_1": np.array([1], np.int64)} if n_layers > 1 else {}
    for k, layer in enumerate(layers(data)):
        end = f"_{k}" if k else ""
        weights |= {
            "W" + end: gates(layer["weight_ih"], "iofg")[None],
            "R" + end: gates(layer["weight_hh"], "iofg")[None],
            "B" + end: np.concatenate([gates(layer["bias_ih"], "iofg"), gates(layer["bias_hh"], "iofg")])[None],
        }
        initial = [f"initial_h{end}", f"initial_c{end}"] if has_states else []
        states |= dict.fromkeys(initial, (1, B, H))
        last_states |= dict.fromkeys((f"Y_h{end}", f"Y_c{end}"), (1, B, H))
        y = "Y" if k == n_layers - 1 else f"Y{k}"
        inputs = [x, "W" + end, "R" + end, "B" + end, "", *initial]
        nodes.append(helper.make_node("LSTM", inputs, [y, f"Y_h{end}", f"Y_c{end}"], hidden_size=H))
        if y != "Y":
            nodes.append(helper.make_node("Squeeze", [y, "axis_1"], [f"X{k + 1}"]))
            x = f"X{k + 1}"

    def values(shapes):
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    graph = helper.make_graph(
        nodes,
        "lstm",
        values({"X": (T, B, I), **states}),
        values({"Y": (T, 1, B, H), **last_states}),
        [numpy_helper.from_array(np.ascontiguousarray(a, np.float32), n) for n, a in weights.items()]
        + [numpy_helper.from_array(a, n) for n, a in zero_axis.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    return model.SerializeToString()


def state_names(data):
    """The names of the last states and of the initial ones, h and c of each layer in turn."""
    ends = [f"_{k}" if k else "" for k in range(len(layers(data)))]
    return [[f"{name}_{s}{end}" for end in ends for s in "hc"] for name in ("Y", "initial")]


class Framework:
    def __init__(self, n_threads):
        import onnx
        import onnxruntime

        self.onnx, self.ort, self.n_threads = onnx, onnxruntime, n_threads

    def versions(self):
        return {"onnxruntime": self.ort.__version__, "onnx": self.onnx.__version__}

    def ways(self, kind, data, format):
        if kind not in ("forward", "step"):
            raise Unsupported("no training in this package")
        if format not in ("float32", "int8"):
            raise Unsupported(f"its LSTM has no {format}")
        model = lstm_model(data, kind == "step")
        models = {"": model}
        if format == "int8":
            models = {
                f", one scale for each {name}": self._quantized(model, name == "row") for name in ("matrix", "row")
            }
        steps = {"run": self._step_run, "bound": self._step_bound}
        ways = steps if kind == "step" else {"run": self._forward_run, "bound": self._forward_bound}
        return {
            name + end: partial(self._made, way, model, data)
            for end, model in models.items()
            for name, way in ways.items()
        }

    def _quantized(self, model, is_per_row):
        from onnxruntime.quantization import quantize_dynamic

        logging.disable()  # it recommends a pass that does nothing to a graph of LSTM nodes
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, name) for name in ("float32.onnx", "int8.onnx")]
            paths[0].write_bytes(model)
            quantize_dynamic(*paths, per_channel=is_per_row)
            return paths[1].read_bytes()

    def _made(self, way, model, data):
        return way(self._session(model), data)

    def _session(self, model):
        options = self.ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.n_threads, 1
        options.execution_mode = self.ort.ExecutionMode.ORT_SEQUENTIAL
        return self.ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def _forward_run(self, session, data):
        feed = {"X": data["x"]}
        return Job(lambda: session.run(None, feed), lambda: {"output": session.run(None, feed)[0][:, 0]})

    def _bind(self, session, inputs, outputs):
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, self.ort.OrtValue.ortvalue_from_numpy(array))
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, self.ort.OrtValue.ortvalue_from_numpy(array))
        return binding

    def _forward_bound(self, session, data):
        (T, B), H = data["x"].shape[:2], data["d_output"].shape[2]
        outputs = {"Y": np.zeros((T, 1, B, H), np.float32)}
        outputs |= {name: np.zeros((1, B, H), np.float32) for name in state_names(data)[0]}
        binding = self._bind(session, {"X": data["x"]}, outputs)

        def run():
            session.run_with_iobinding(binding)

        return Job(run, lambda: run() or {"output": outputs["Y"][:, 0].copy()})

    def _step_run(self, session, data):
        x, (last, initial) = data["x"], state_names(data)
        states = [np.zeros((1, x.shape[1], data["d_output"].shape[2]), np.float32) for _ in last]

        def step(x_t):
            states[:] = session.run(last, {"X": x_t, **dict(zip(initial, states, strict=True))})
            return states[-2]

        steps = [x[t : t + 1] for t in range(len(x))]
        return Job(lambda: step(steps[0]), lambda: {"output": np.concatenate([step(x_t) for x_t in steps])})

    def _step_bound(self, session, data):
        """Two alternating bindings: each reads the states that the other has written."""
        x, (last, initial) = data["x"], state_names(data)
        B, H = x.shape[1], data["d_output"].shape[2]
        x_t, y = x[:1].copy(), np.zeros((1, 1, B, H), np.float32)
        states = [[np.zeros((1, B, H), np.float32) for _ in last] for _ in range(2)]
        bindings = [
            self._bind(
                session,
                {"X": x_t, **dict(zip(initial, old, strict=True))},
                {"Y": y, **dict(zip(last, new, strict=True))},
            )
            for old, new in (states, states[::-1])
        ]
        turn = 0

        def run():
            nonlocal turn
            session.run_with_iobinding(bindings[turn])
            turn ^= 1

        def read():
            outputs = []
            for row in x:
                x_t[0] = row
                run()
                outputs.append(y[0, 0].copy())
            return {"output": np.stack(outputs)}

        return Job(run, read)
