"""Keras on TensorFlow: the layer inside tf.function, with and without XLA; gradients by GradientTape in the same
function.

The layer is batch-first. Model.predict runs the same function and adds a data pipeline that takes milliseconds.
"""

import os
from functools import partial

import numpy as np

from .common import Job, Unsupported, gates, layers, single_layer, step_job


class Framework:
    def __init__(self, n_threads):
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(n_threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        import keras

        self.tf, self.keras = tf, keras

    def versions(self):
        return {"keras": self.keras.__version__, "tensorflow": self.tf.__version__}

    def ways(self, kind, data, format):
        if format not in ("float32", "float64"):
            raise Unsupported(f"not compared in {format}")
        if kind != "step":
            single_layer(data)
        data = {name: array.astype(format) for name, array in data.items()}
        return {
            name: partial(getattr(self, "_" + kind), data, has_xla)
            for name, has_xla in (("tf.function", False), ("tf.function, XLA", True))
        }

    def _layer(self, layer, data, **options):
        layer = layer(data["d_output"].shape[2], dtype=data["x"].dtype.name, **options)
        (_, B, I), is_cell = data["x"].shape, not options
        layer.build((B, I) if is_cell else (B, None, I))
        layer.set_weights(
            [gates(data["weight_ih"], "ifgo").T, gates(data["weight_hh"], "ifgo").T, data["bias_ih"] + data["bias_hh"]]
        )
        return layer

    def _forward(self, data, has_xla):
        layer = self._layer(self.keras.layers.LSTM, data, return_sequences=True)
        call = self.tf.function(layer, jit_compile=has_xla)
        x = self.tf.constant(data["x"].swapaxes(0, 1))
        return Job(lambda: call(x), lambda: {"output": call(x).numpy().swapaxes(0, 1)})

    def _training(self, data, has_xla):
        tf, layer = self.tf, self._layer(self.keras.layers.LSTM, data, return_sequences=True)
        x, d_output = (tf.constant(data[name].swapaxes(0, 1)) for name in ("x", "d_output"))
        variables = [weight.value for weight in layer.trainable_weights]

        @tf.function(jit_compile=has_xla)
        def call(x, d_output):
            with tf.GradientTape() as tape:
                tape.watch(x)
                output = layer(x, training=True)
            return output, tape.gradient(output, [x, *variables], output_gradients=d_output)

        def read():
            output, (d_x, _, d_recurrent, _) = call(x, d_output)
            return {
                "output": output.numpy().swapaxes(0, 1),
                "d_x": d_x.numpy().swapaxes(0, 1),
                "d_weight_hh": d_recurrent.numpy().T,
            }

        return Job(lambda: call(x, d_output)[0].numpy(), read)

    def _step(self, data, has_xla):
        tf, cells, inputs = self.tf, [], data["x"]
        for parameters in layers(data):
            cells.append(self._layer(self.keras.layers.LSTMCell, {**data, **parameters, "x": inputs}))
            inputs = data["d_output"]

        @tf.function(jit_compile=has_xla)
        def call(h, states):
            new = []
            for cell, state in zip(cells, states, strict=True):
                h, state = cell(h, state)
                new.append(state)
            return new

        states = [[tf.constant(np.zeros_like(data["d_output"][0])) for _ in range(2)] for _ in cells]

        def step(x_t):
            states[:] = call(x_t, states)
            return states[-1][0]

        return step_job(data["x"], tf.constant, step, lambda h: h.numpy())
