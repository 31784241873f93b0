"""ncnn: a graph of one LSTM layer with float32 storage and arithmetic. It has no batch axis."""

import os
import tempfile
from importlib.metadata import version

import numpy as np

from .common import Job, Unsupported, gates, single_layer


class Framework:
    def __init__(self, n_threads):
        import ncnn

        self.ncnn, self.n_threads = ncnn, n_threads

    def versions(self):
        return {"ncnn": version("ncnn")}

    def _net(self, data, has_states):
        I, H = data["x"].shape[2], data["d_output"].shape[2]
        names = ["x", "h", "c"] if has_states else ["x"]
        inputs = "".join(f"Input {name} 0 1 {name}\n" for name in names)
        ends = " ".join([*names, *(f"{name}_out" for name in names)])
        param = (
            f"7767517\n{len(names) + 1} {2 * len(names)}\n{inputs}"
            f"LSTM lstm {len(names)} {len(names)} {ends} 0={H} 1={4 * H * I} 2=0\n"
        )
        blobs = [
            gates(array, "ifog").astype(np.float32).tobytes()
            for array in (data["weight_ih"], data["bias_ih"] + data["bias_hh"], data["weight_hh"])
        ]
        net = self.ncnn.Net()
        net.opt.num_threads = self.n_threads
        for option in (
            "use_vulkan_compute",
            "use_fp16_packed",
            "use_fp16_storage",
            "use_fp16_arithmetic",
            "use_bf16_storage",
        ):
            setattr(net.opt, option, False)
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("lstm.param", "lstm.bin")]
            with open(paths[0], "w") as f:
                f.write(param)
            with open(paths[1], "wb") as f:
                f.write(
                    b"".join(bytes(4) + blob for blob in blobs)
                )  # each blob is preceded by a tag: 0 is plain float32
            if net.load_param(paths[0]) or net.load_model(paths[1]):
                raise RuntimeError("ncnn does not load the model")
        return net

    def ways(self, kind, data, format):
        if kind not in ("forward", "step"):
            raise Unsupported("no training")
        if format != "float32":
            raise Unsupported(f"not compared in {format}")
        single_layer(data)
        if data["x"].shape[1] != 1:
            raise Unsupported("no batch")
        return {"extractor": lambda: (self._step if kind == "step" else self._forward)(data)}

    def _forward(self, data):
        net, x = self._net(data, False), self.ncnn.Mat(np.ascontiguousarray(data["x"][:, 0])).clone()

        def run():
            extractor = net.create_extractor()
            extractor.input("x", x)
            return extractor.extract("x_out")[1]

        return Job(run, lambda: {"output": np.array(run())[:, None]})

    def _step(self, data):
        net, Mat = self._net(data, True), self.ncnn.Mat
        steps = [
            Mat(np.ascontiguousarray(x_t)).clone() for x_t in data["x"]
        ]  # clone: a Mat does not keep its array alive
        zero = np.zeros((1, data["d_output"].shape[2]), np.float32)
        h, c = Mat(zero).clone(), Mat(zero).clone()

        def step(x_t):
            nonlocal h, c
            extractor = net.create_extractor()
            extractor.input("x", x_t)
            extractor.input("h", h)
            extractor.input("c", c)
            y = extractor.extract("x_out")[1]
            h, c = extractor.extract("h_out")[1], extractor.extract("c_out")[1]
            return y

        return Job(
            lambda: step(steps[0]), lambda: {"output": np.stack([np.array(step(x_t)).reshape(1, -1) for x_t in steps])}
        )
