"""lstm_fast: NumPy arrays in and out; single steps by Stream.step, or by calls in versions without streams."""

import numpy as np

from .common import Job, Unsupported

PARAMETERS = "weight_ih", "weight_hh", "bias_ih", "bias_hh"


class Framework:
    def __init__(self, n_threads):
        import lstm_fast

        self.lf = lstm_fast
        lstm_fast.set_num_threads(n_threads)

    def versions(self):
        return {
            "lstm_fast": self.lf.__version__,
            "isa": self.lf.info()["isa"],
            "compiler": self.lf.info().get("compiler"),
        }

    def ways(self, kind, data, dtype):
        compute = np.dtype("float32" if dtype == "float16" else dtype)
        x, d_output = data["x"].astype(compute), data["d_output"].astype(compute)
        lstm = self.lf.LSTM(x.shape[2], d_output.shape[2], dtype=compute)
        lstm.load_state_dict({f"{name}_l0": data[name] for name in PARAMETERS})
        if dtype == "float16":
            if not hasattr(lstm, "quantized"):
                raise Unsupported("no LSTM.quantized in this version")
            lstm = lstm.quantized("float16")
        return getattr(self, "_" + kind)(lstm, x, d_output)

    def _forward(self, lstm, x, d_output):
        return {"call": lambda: Job(lambda: lstm(x), lambda: {"output": lstm(x)[0]})}

    def _training(self, lstm, x, d_output):
        def run():
            output, _, tape = lstm.forward(x)
            return output, lstm.backward(tape, d_output)

        def read():
            output, gradients = run()
            return {"output": output, "d_x": gradients.d_x, "d_weight_hh": gradients["weight_hh_l0"]}

        return {"forward, backward": lambda: Job(run, read)}

    def _step(self, lstm, x, d_output):
        return (
            {"Stream.step": lambda: self._stream_step(lstm, x)}
            if hasattr(lstm, "stream")
            else {"call": lambda: self._call_step(lstm, x)}
        )

    def _call_step(self, lstm, x):
        state, steps = None, [x[t : t + 1] for t in range(len(x))]

        def step(x_t):
            nonlocal state
            output, state = lstm(x_t, state)
            return output

        return Job(lambda: step(steps[0]), lambda: {"output": np.concatenate([step(x_t) for x_t in steps])})

    def _stream_step(self, lstm, x):
        stream = lstm.stream(1)
        try:  # versions differ: the rows of a batch, or a single sample
            stream.step(x[0])
            steps = list(x)
        except ValueError:
            steps = [x_t[0] for x_t in x]
        stream.reset()
        step, first = stream.step, steps[0]
        return Job(
            lambda: step(first), lambda: {"output": np.stack([np.array(step(x_t)).reshape(1, -1) for x_t in steps])}
        )

    def _block(self, lstm, x, d_output):
        if not hasattr(lstm, "stream"):
            return {"call": self._forward(lstm, x, d_output)["call"]}

        def make():
            stream = lstm.stream(1)
            return Job(lambda: stream.block(x), lambda: {"output": np.array(stream.block(x)).reshape(d_output.shape)})

        return {"Stream.block": make}
