"""lstm_fast: NumPy arrays in and out; single steps by Stream.step, or by calls in versions without streams."""

import numpy as np

from .common import Job, Unsupported, layers

QUANTIZED = {  # the arguments of LSTM.quantized
    "float16": {"format": "float16"},
    "bfloat16": {"format": "bfloat16"},
    "bfloat16-amx": {"format": "bfloat16_amx"},
    "int8": {"format": "int8"},
    "int8-inputs16": {"format": "int8", "inputs": "int16"},
    "int8-inputs": {"format": "int8", "inputs": "int8"},
}


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

    def ways(self, kind, data, format):
        dtype = np.dtype("float32" if format in QUANTIZED else format)
        x, d_output = data["x"].astype(dtype), data["d_output"].astype(dtype)
        parameters = layers(data)
        sizes = x.shape[2], d_output.shape[2], len(parameters)
        state = {f"{name}_l{k}": array for k, layer in enumerate(parameters) for name, array in layer.items()}
        if kind == "training" and format in QUANTIZED:
            lstm = self._made(lambda: self.lf.LSTM(*sizes, compute_dtype=QUANTIZED[format]["format"]))
            lstm.load_state_dict(state)
        else:
            lstm = self.lf.LSTM(*sizes, dtype=dtype)
            lstm.load_state_dict(state)
            if format in QUANTIZED:
                lstm = self._made(lambda: lstm.quantized(**QUANTIZED[format]))
        return getattr(self, "_" + kind)(lstm, x, d_output)

    @staticmethod
    def _made(make):
        """The result of make; older versions lack the method, the option or the format."""
        try:
            return make()
        except (AttributeError, TypeError, ValueError) as problem:
            raise Unsupported(str(problem)) from problem

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
