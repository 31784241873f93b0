"""thinc: its LSTM layer on NumpyOps with a padded batch of equal lengths. Calls take no initial state."""

from importlib.metadata import version

import numpy as np

from .common import Job, Unsupported, gates, single_layer


class Framework:
    def __init__(self, n_threads):
        from thinc import api

        self.api = api
        api.set_current_ops(api.NumpyOps())

    def versions(self):
        return {"thinc": version("thinc"), "blis": version("blis")}

    def ways(self, kind, data, format):
        if kind not in ("forward", "training"):
            raise Unsupported("takes no state from call to call")
        if format != "float32":
            raise Unsupported(f"no {format}")
        single_layer(data)
        (T, B, I), H = data["x"].shape, data["d_output"].shape[2]
        model = self.api.LSTM(H, I)
        model.initialize()
        order = "fiog"
        model.set_param(
            "LSTM",
            np.concatenate(
                [gates(data[name], order).ravel() for name in ("weight_ih", "bias_ih", "weight_hh", "bias_hh")]
            ),
        )

        def padded(array):
            sizes = np.full(T, B, np.int32), np.full(B, T, np.int32), np.arange(B, dtype=np.int32)
            return self.api.Padded(array, *sizes)

        x, d_output = padded(data["x"]), padded(data["d_output"])

        def train():
            model.set_grad("LSTM", np.zeros_like(model.get_param("LSTM")))
            y, backprop = model.begin_update(x)
            return y, backprop(d_output)

        def read():
            y, d_x = train()
            d_weight_hh = model.get_grad("LSTM")[4 * H * (I + 1) : 4 * H * (I + 1 + H)].reshape(4 * H, H)
            return {
                "output": y.data,
                "d_x": d_x.data,
                "d_weight_hh": np.concatenate([np.split(d_weight_hh, 4)[order.index(gate)] for gate in "ifgo"]),
            }

        if kind == "training":
            return {"begin_update, backprop": lambda: Job(train, read)}
        return {"predict": lambda: Job(lambda: model.predict(x), lambda: {"output": model.predict(x).data})}
