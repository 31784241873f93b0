"""OpenVINO: compiled with the latency hint, static shapes and float32 arithmetic.

From the ONNX graph, and from its own LSTMSequence, which is batch-first.
"""

from functools import partial

import numpy as np

from .common import Job, Unsupported, gates


class Framework:
    def __init__(self, n_threads):
        import openvino

        self.ov, self.core = openvino, openvino.Core()
        self.settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": n_threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
        }

    def versions(self):
        return {"openvino": self.ov.__version__}

    def ways(self, kind, data, dtype):
        if kind not in ("forward", "step"):
            raise Unsupported("no training")
        if dtype != "float32":
            raise Unsupported(f"not compared in {dtype}")
        make = self._step if kind == "step" else self._forward
        return {
            "LSTMSequence": partial(make, self._sequence_model, data),
            "ONNX": partial(make, self._onnx_model, data),
        }

    def _onnx_model(self, data, has_states):
        from .onnxruntime import lstm_model

        return self.core.read_model(lstm_model(data, has_states)), False

    def _sequence_model(self, data, has_states):
        from openvino import opset13 as ops

        (T, B, I), H = data["x"].shape, data["d_output"].shape[2]
        x = ops.parameter([B, 1 if has_states else T, I], np.float32, name="X")
        if has_states:
            states = [ops.parameter([B, 1, H], np.float32, name=name) for name in ("initial_h", "initial_c")]
        else:
            states = [ops.constant(np.zeros((B, 1, H), np.float32)) for _ in range(2)]
        lengths = ops.constant(np.full(B, 1 if has_states else T, np.int64))
        weights = [
            ops.constant(np.ascontiguousarray(gates(array, "figo")[None], np.float32))
            for array in (data["weight_ih"], data["weight_hh"], data["bias_ih"] + data["bias_hh"])
        ]
        node = ops.lstm_sequence(x, *states, lengths, *weights, H, "FORWARD")
        return self.ov.Model(list(node.outputs()), [x, *states] if has_states else [x], "lstm"), True

    def _forward(self, make_model, data):
        model, is_batch_first = make_model(data, False)
        request = self.core.compile_model(model, "CPU", self.settings).create_infer_request()
        x = np.ascontiguousarray(data["x"].swapaxes(0, 1)) if is_batch_first else data["x"]
        request.set_input_tensor(0, self.ov.Tensor(x))

        def read():
            request.infer()
            y = request.get_output_tensor(0).data[:, 0]
            return {"output": (y.swapaxes(0, 1) if is_batch_first else y).copy()}

        return Job(request.infer, read)

    def _step(self, make_model, data):
        """Two alternating requests: each reads the states that the other has written."""
        (_, B, I), H = data["x"].shape, data["d_output"].shape[2]
        model, is_batch_first = make_model(data, True)
        compiled = self.core.compile_model(model, "CPU", self.settings)
        x_t = np.zeros((B, 1, I) if is_batch_first else (1, B, I), np.float32)
        arrays = [
            [np.zeros((B, 1, H) if is_batch_first else (1, B, H), np.float32) for _ in range(2)] for _ in range(2)
        ]
        states = [[self.ov.Tensor(array, shared_memory=True) for array in pair] for pair in arrays]
        requests = []
        for old, new in (states, states[::-1]):
            request = compiled.create_infer_request()
            request.set_input_tensor(0, self.ov.Tensor(x_t, shared_memory=True))
            for k in range(2):
                request.set_input_tensor(1 + k, old[k])
                request.set_output_tensor(1 + k, new[k])
            requests.append(request)
        turn = 0

        def run():
            nonlocal turn
            requests[turn].infer()
            turn ^= 1

        def read():
            outputs = []
            for row in data["x"]:
                x_t.reshape(B, I)[:] = row
                run()
                outputs.append(arrays[turn][0].reshape(B, H).copy())  # the input states of the next request
            return {"output": np.stack(outputs)}

        return Job(run, read)
