"""ncnn: a graph of one LSTM layer with float32 storage and arithmetic. It has no batch axis."""

import os
import tempfile
from importlib.metadata import version

import numpy as np

from .common import Job, Unsupported, gates, layers


class Framework:
    def __init__(self, n_threads):
        import ncnn

        self.ncnn, self.n_threads = ncnn, n_threads

    def versions(self):
        return {"ncnn": version("ncnn")}

    def _net(self, data, has_states):
        H, stack = data["d_output"].shape[2], layers(data)
        states = [[f"h{k}", f"c{k}"] if has_states else [] for k in range(len(stack))]
        inputs, nodes, blobs, x = ["x", *(name for pair in states for name in pair)], [], [], "x"
        for k, (layer, names) in enumerate(zip(stack, states, strict=True)):
            ends = " ".join([x, *names, f"x{k}_out", *(f"{name}_out" for name in names)])
            size = layer["weight_ih"].size
            nodes.append(f"LSTM lstm{k} {len(names) + 1} {len(names) + 1} {ends} 0={H} 1={size} 2=0")
            x = f"x{k}_out"
            for array in (layer["weight_ih"], layer["bias_ih"] + layer["bias_hh"], layer["weight_hh"]):
                blobs.append(gates(array, "ifog").astype(np.float32).tobytes())
        nodes = [f"Input {name} 0 1 {name}" for name in inputs] + nodes
        n_blobs = len(inputs) + sum(len(names) + 1 for names in states)
        param = "\n".join(["7767517", f"{len(nodes)} {n_blobs}", *nodes, ""])
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
        if data["x"].shape[1] != 1:
            raise Unsupported("no batch")
        return {"extractor": lambda: (self._step if kind == "step" else self._forward)(data)}

    def _forward(self, data):
        net, x = self._net(data, False), self.ncnn.Mat(np.ascontiguousarray(data["x"][:, 0])).clone()
        last = f"x{len(layers(data)) - 1}_out"

        def run():
            extractor = net.create_extractor()
            extractor.input("x", x)
            return extractor.extract(last)[1]

        return Job(run, lambda: {"output": np.array(run())[:, None]})

    def _step(self, data):
        net, Mat, n_layers = self._net(data, True), self.ncnn.Mat, len(layers(data))
        steps = [Mat(np.ascontiguousarray(x_t)).clone() for x_t in data["x"]]  # a Mat does not keep its array alive
        zero = np.zeros((1, data["d_output"].shape[2]), np.float32)
        states = {f"{name}{k}": Mat(zero).clone() for k in range(n_layers) for name in "hc"}
        last = f"x{n_layers - 1}_out"

        def step(x_t):
            extractor = net.create_extractor()
            extractor.input("x", x_t)
            for name, state in states.items():
                extractor.input(name, state)
            y = extractor.extract(last)[1]
            for name in states:
                states[name] = extractor.extract(f"{name}_out")[1]
            return y

        return Job(
            lambda: step(steps[0]), lambda: {"output": np.stack([np.array(step(x_t)).reshape(1, -1) for x_t in steps])}
        )
