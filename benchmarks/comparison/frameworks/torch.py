"""PyTorch in inference_mode: LSTM and LSTMCell, with oneDNN and without it, which is faster at some shapes."""

import warnings
from functools import partial

from .common import Job, step_job


class Framework:
    last_way_counts = True  # oneDNN is on or off for the whole process

    def __init__(self, n_threads):
        import torch

        self.torch = torch
        torch.set_num_threads(n_threads)
        torch.set_num_interop_threads(1)

    def versions(self):
        return {"torch": self.torch.__version__}

    def ways(self, kind, data, dtype):
        torch = self.torch
        data = {name: torch.from_numpy(array.astype(dtype)) for name, array in data.items()}
        layers = {"LSTM": torch.nn.LSTM, "LSTMCell": torch.nn.LSTMCell} if kind == "step" else {"LSTM": torch.nn.LSTM}
        return {
            name + mode: partial(self._make, kind, data, layer, is_on)
            for name, layer in layers.items()
            for mode, is_on in ((", oneDNN", True), (", native", False))
        }

    def _make(self, kind, data, layer, is_on):
        torch = self.torch
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.backends.mkldnn.set_flags(is_on)
        lstm = layer(data["x"].shape[2], data["d_output"].shape[2], dtype=data["x"].dtype)
        suffix = "" if layer is torch.nn.LSTMCell else "_l0"
        lstm.load_state_dict({name + suffix: data[name] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")})
        return getattr(self, "_" + kind)(lstm, data["x"], data["d_output"])

    def _forward(self, lstm, x, d_output):
        def run():
            with self.torch.inference_mode():
                return lstm(x)[0]

        return Job(run, lambda: {"output": run().numpy()})

    def _training(self, lstm, x, d_output):
        x = x.clone().requires_grad_()

        def run():
            lstm.zero_grad(set_to_none=True)
            x.grad = None
            output = lstm(x)[0]
            output.backward(d_output)
            return output

        def read():
            output = run().detach().numpy()
            return {"output": output, "d_x": x.grad.numpy(), "d_weight_hh": lstm.weight_hh_l0.grad.numpy()}

        return Job(run, read)

    def _step(self, lstm, x, d_output):
        is_cell, inference_mode, state = isinstance(lstm, self.torch.nn.LSTMCell), self.torch.inference_mode, None

        def step(x_t):
            nonlocal state
            with inference_mode():
                if is_cell:
                    state = lstm(x_t, state)
                    return state[0]
                output, state = lstm(x_t, state)
                return output

        return step_job(
            x.numpy(), lambda a: self.torch.from_numpy(a if is_cell else a[None]), step, lambda h: h.numpy()
        )
