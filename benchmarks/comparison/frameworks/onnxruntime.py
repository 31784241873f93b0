"""ONNX Runtime: a graph of one LSTM node, run by session.run and with bound input and output."""

from functools import partial

import numpy as np

from .common import Job, Unsupported, gates


def lstm_model(data, has_states):
    """A serialized ONNX model of one LSTM node: X (T,B,I), [initial_h, initial_c (1,B,H)] -> Y (T,1,B,H), Y_h, Y_c."""
    from onnx import TensorProto, helper, numpy_helper

    (T, B, I), H = data["x"].shape, data["d_output"].shape[2]
    T = 1 if has_states else T
    weights = {
        "W": gates(data["weight_ih"], "iofg")[None],
        "R": gates(data["weight_hh"], "iofg")[None],
        "B": np.concatenate([gates(data["bias_ih"], "iofg"), gates(data["bias_hh"], "iofg")])[None],
    }
    states = {"initial_h": (1, B, H), "initial_c": (1, B, H)} if has_states else {}
    node = helper.make_node("LSTM", ["X", "W", "R", "B", "", *states], ["Y", "Y_h", "Y_c"], hidden_size=H)

    def values(shapes):
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    graph = helper.make_graph(
        [node],
        "lstm",
        values({"X": (T, B, I), **states}),
        values({"Y": (T, 1, B, H), "Y_h": (1, B, H), "Y_c": (1, B, H)}),
        [numpy_helper.from_array(np.ascontiguousarray(a, np.float32), n) for n, a in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    return model.SerializeToString()


class Framework:
    def __init__(self, n_threads):
        import onnx
        import onnxruntime

        self.onnx, self.ort, self.n_threads = onnx, onnxruntime, n_threads

    def versions(self):
        return {"onnxruntime": self.ort.__version__, "onnx": self.onnx.__version__}

    def ways(self, kind, data, dtype):
        if kind not in ("forward", "step"):
            raise Unsupported("no training in this package")
        if dtype != "float32":
            raise Unsupported(f"its LSTM has no {dtype}")
        options = self.ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.n_threads, 1
        options.execution_mode = self.ort.ExecutionMode.ORT_SEQUENTIAL
        session = self.ort.InferenceSession(
            lstm_model(data, kind == "step"), options, providers=["CPUExecutionProvider"]
        )
        ways = (
            {"run": self._step_run, "bound": self._step_bound}
            if kind == "step"
            else {"run": self._forward_run, "bound": self._forward_bound}
        )
        return {name: partial(way, session, data["x"], data["d_output"].shape[2]) for name, way in ways.items()}

    def _forward_run(self, session, x, H):
        feed = {"X": x}
        return Job(lambda: session.run(None, feed), lambda: {"output": session.run(None, feed)[0][:, 0]})

    def _bind(self, session, inputs, outputs):
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, self.ort.OrtValue.ortvalue_from_numpy(array))
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, self.ort.OrtValue.ortvalue_from_numpy(array))
        return binding

    def _forward_bound(self, session, x, H):
        T, B = x.shape[:2]
        outputs = {
            "Y": np.zeros((T, 1, B, H), np.float32),
            "Y_h": np.zeros((1, B, H), np.float32),
            "Y_c": np.zeros((1, B, H), np.float32),
        }
        binding = self._bind(session, {"X": x}, outputs)

        def run():
            session.run_with_iobinding(binding)

        return Job(run, lambda: run() or {"output": outputs["Y"][:, 0].copy()})

    def _step_run(self, session, x, H):
        h = c = np.zeros((1, x.shape[1], H), np.float32)
        names = ["Y_h", "Y_c"]

        def step(x_t):
            nonlocal h, c
            h, c = session.run(names, {"X": x_t, "initial_h": h, "initial_c": c})
            return h

        steps = [x[t : t + 1] for t in range(len(x))]
        return Job(lambda: step(steps[0]), lambda: {"output": np.concatenate([step(x_t) for x_t in steps])})

    def _step_bound(self, session, x, H):
        """Two alternating bindings: each reads the states that the other has written."""
        B = x.shape[1]
        x_t, y = x[:1].copy(), np.zeros((1, 1, B, H), np.float32)
        states = [[np.zeros((1, B, H), np.float32) for _ in range(2)] for _ in range(2)]
        bindings = [
            self._bind(
                session, {"X": x_t, "initial_h": old[0], "initial_c": old[1]}, {"Y": y, "Y_h": new[0], "Y_c": new[1]}
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
