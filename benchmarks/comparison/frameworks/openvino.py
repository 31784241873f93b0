"""OpenVINO: compiled with the latency hint, static shapes and the arithmetic asked for (its default may be bfloat16).

From the ONNX graph, and from its own LSTMSequence, which is batch-first.
"""

from functools import partial

import numpy as np

from .common import Job, Unsupported, gates, layers

HINTS = {"float32": "f32", "bfloat16": "bf16"}


class Framework:
    def __init__(self, n_threads):
        import openvino

        self.ov, self.core = openvino, openvino.Core()
        self.settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": n_threads,
            "ENABLE_CPU_PINNING": False,
        }

    def versions(self):
        return {"openvino": self.ov.__version__}

    def ways(self, kind, data, format):
        if kind not in ("forward", "step"):
            raise Unsupported("no training")
        if format not in HINTS:
            raise Unsupported(f"not compared in {format}" + ", which needs calibration data" * (format == "int8"))
        self.settings["INFERENCE_PRECISION_HINT"] = HINTS[format]
        make = self._step if kind == "step" else self._forward
        models = {"LSTMSequence": self._sequence_model, "ONNX": self._onnx_model}
        return {name: partial(make, model, data) for name, model in models.items()}

    def _compiled(self, model):
        """Compiled; a processor without bfloat16 computes in float32 in spite of the hint."""
        compiled, hint = self.core.compile_model(model, "CPU", self.settings), self.settings["INFERENCE_PRECISION_HINT"]
        found = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if found != hint:
            raise Unsupported(f"asked for {hint}, it computes in {found} on this processor")
        return compiled

    def _onnx_model(self, data, has_states):
        from .onnxruntime import lstm_model

        return self.core.read_model(lstm_model(data, has_states)), False

    def _sequence_model(self, data, has_states):
        from openvino import opset13 as ops

        (T, B, I), H, T = data["x"].shape, data["d_output"].shape[2], 1 if has_states else len(data["x"])
        first = output = ops.parameter([B, T, I], np.float32, name="X")
        lengths, inputs, ends = ops.constant(np.full(B, T, np.int64)), [first], []
        for layer in layers(data):
            if has_states:
                states = [ops.parameter([B, 1, H], np.float32) for _ in range(2)]
                inputs += states
            else:
                states = [ops.constant(np.zeros((B, 1, H), np.float32)) for _ in range(2)]
            weights = [
                ops.constant(np.ascontiguousarray(gates(array, "figo")[None], np.float32))
                for array in (layer["weight_ih"], layer["weight_hh"], layer["bias_ih"] + layer["bias_hh"])
            ]
            node = ops.lstm_sequence(output, *states, lengths, *weights, H, "FORWARD")
            output, ends = ops.squeeze(node.output(0), ops.constant(1)), [*ends, *node.outputs()[1:]]
        return self.ov.Model([node.output(0), *ends], inputs, "lstm"), True

    def _forward(self, make_model, data):
        model, is_batch_first = make_model(data, False)
        request = self._compiled(model).create_infer_request()
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
        compiled, n_states = self._compiled(model), 2 * len(layers(data))
        x_t = np.zeros((B, 1, I) if is_batch_first else (1, B, I), np.float32)
        arrays = [
            [np.zeros((B, 1, H) if is_batch_first else (1, B, H), np.float32) for _ in range(n_states)]
            for _ in range(2)
        ]
        states = [[self.ov.Tensor(array, shared_memory=True) for array in pair] for pair in arrays]
        requests = []
        for old, new in (states, states[::-1]):
            request = compiled.create_infer_request()
            request.set_input_tensor(0, self.ov.Tensor(x_t, shared_memory=True))
            for k in range(n_states):
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
                outputs.append(arrays[turn][-2].reshape(B, H).copy())  # the input states of the next request
            return {"output": np.stack(outputs)}

        return Job(run, read)
