"""PyTorch in inference_mode: LSTM and LSTMCell, with oneDNN and without it, which is faster at some shapes.

bfloat16: modules in bfloat16, and autocast of float32 modules. int8: dynamic quantization with each of its engines.
"""

import warnings
from functools import partial

from .common import Job, Unsupported, layers, step_job

OTHER_ENGINES = "none", "qnnpack"  # qnnpack: for ARM


class Framework:
    last_way_counts = True  # oneDNN is on or off, and the engine chosen, for the whole process

    def __init__(self, n_threads):
        import torch

        self.torch = torch
        torch.set_num_threads(n_threads)
        torch.set_num_interop_threads(1)

    def versions(self):
        return {"torch": self.torch.__version__}

    def ways(self, kind, data, format):
        if format == "int8" and kind == "training":
            raise Unsupported("no training in int8")
        if format not in ("float32", "float64", "bfloat16", "int8"):
            raise Unsupported(f"not compared in {format}")
        names = ["LSTM", "LSTMCell"] if kind == "step" and len(layers(data)) == 1 else ["LSTM"]
        modes = {
            "bfloat16": ["bfloat16, oneDNN", "autocast, oneDNN", "bfloat16, native"],
            "int8": [name for name in self.torch.backends.quantized.supported_engines if name not in OTHER_ENGINES],
        }.get(format, ["oneDNN", "native"])
        return {
            f"{name}, {mode}": partial(self._make, kind, data, format, name, mode) for name in names for mode in modes
        }

    def _make(self, kind, data, format, name, mode):
        torch, stack, is_cell = self.torch, layers(data), name == "LSTMCell"
        in_bfloat16, is_autocast = mode.startswith("bfloat16"), mode.startswith("autocast")
        dtype = torch.bfloat16 if in_bfloat16 else torch.float64 if format == "float64" else torch.float32
        sizes = data["x"].shape[2], data["d_output"].shape[2]
        lstm = torch.nn.LSTMCell(*sizes) if is_cell else torch.nn.LSTM(*sizes, len(stack))
        state = {
            name if is_cell else f"{name}_l{k}": torch.from_numpy(array)
            for k, layer in enumerate(stack)
            for name, array in layer.items()
        }
        lstm = lstm.to(dtype)
        lstm.load_state_dict(state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.backends.mkldnn.set_flags("native" not in mode)
            if format == "int8":
                torch.backends.quantized.engine = mode
                inside = torch.nn.Sequential(lstm)  # only modules inside another one are replaced
                (lstm,) = torch.ao.quantization.quantize_dynamic(inside, {type(lstm)}, dtype=torch.qint8)
        x, d_output = (torch.from_numpy(data[name]).to(dtype) for name in ("x", "d_output"))
        call = self._under_autocast(lstm) if is_autocast else lstm
        if kind == "training":
            return self._training(lstm, call, x, d_output)
        return self._step(call, is_cell, x) if kind == "step" else self._forward(call, x)

    def _under_autocast(self, lstm):
        def call(*arguments):
            with self.torch.autocast("cpu", self.torch.bfloat16):
                return lstm(*arguments)

        return call

    def _forward(self, call, x):
        def run():
            with self.torch.inference_mode():
                return call(x)[0]

        return Job(run, lambda: {"output": self._numpy(run())})

    def _training(self, lstm, call, x, d_output):
        x = x.clone().requires_grad_()

        def run():
            lstm.zero_grad(set_to_none=True)
            x.grad = None
            output = call(x)[0]
            output.backward(d_output.to(output.dtype))
            return output

        def read():
            found = {"output": run().detach(), "d_x": x.grad, "d_weight_hh": lstm.weight_hh_l0.grad}
            return {name: self._numpy(tensor) for name, tensor in found.items()}

        return Job(run, read)

    def _step(self, call, is_cell, x):
        inference_mode, state = self.torch.inference_mode, None

        def step(x_t):
            nonlocal state
            with inference_mode():
                if is_cell:
                    state = call(x_t, state)
                    return state[0]
                output, state = call(x_t, state)
                return output

        return step_job(x, lambda x_t: x_t if is_cell else x_t[None], step, self._numpy)

    def _numpy(self, tensor):
        return (tensor.float() if tensor.dtype == self.torch.bfloat16 else tensor).numpy()
