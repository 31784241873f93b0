"""JAX: jit of lax.scan with the input projection of all steps hoisted out of it; gradients by vjp inside the same jit.

In bfloat16 the operands of the products are bfloat16; sums, the cell and c are float32.

XLA has no setting for the number of threads: it uses the processors that the process may use.
"""

from .common import Job, Unsupported, layers, single_layer, step_job


class Framework:
    def __init__(self, n_threads):
        import jax

        jax.config.update("jax_enable_x64", True)
        self.jax = jax

    def versions(self):
        from importlib.metadata import version

        return {"jax": self.jax.__version__, "jaxlib": version("jaxlib")}

    def ways(self, kind, data, format):
        if format == "int8":
            raise Unsupported("not compared in int8")
        if kind != "step":
            single_layer(data)
        jax, jnp = self.jax, self.jax.numpy
        dtype, operand = ("float32", jnp.bfloat16) if format == "bfloat16" else (format, format)
        data = {name: array.astype(dtype) for name, array in data.items()}
        stack = [
            [
                jax.device_put(array)
                for array in (
                    layer["weight_ih"].T.astype(operand),
                    layer["weight_hh"].T.astype(operand),
                    layer["bias_ih"] + layer["bias_hh"],
                )
            ]
            for layer in layers(data)
        ]
        weights = stack[0]
        state = [jax.device_put(data["d_output"][0] * 0) for _ in range(2)]

        def product(a, weight):
            return jnp.matmul(a.astype(operand), weight, preferred_element_type=dtype)

        def cell(weight_hh, h, c, pre):
            i, f, g, o = jnp.split(pre + product(h, weight_hh), 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return jax.nn.sigmoid(o) * jnp.tanh(c), c

        def forward(x, weight_ih, weight_hh, bias):
            def step(carry, pre):
                h, c = cell(weight_hh, *carry, pre)
                return (h, c), h

            return jax.lax.scan(step, tuple(state), product(x, weight_ih) + bias)[1]

        def train(x, d_output, *weights):
            output, pull_back = jax.vjp(forward, x, *weights)
            return output, pull_back(d_output)

        def one_step(h, states, stack):
            new = []
            for (old_h, c), (weight_ih, weight_hh, bias) in zip(states, stack, strict=True):
                h, c = cell(weight_hh, old_h, c, product(h, weight_ih) + bias)
                new.append((h, c))
            return new

        x, d_output = jax.device_put(data["x"]), jax.device_put(data["d_output"])

        def make():
            if kind == "step":
                call, carried = jax.jit(one_step), [tuple(state) for _ in stack]

                def step(x_t):
                    carried[:] = call(x_t, carried, stack)
                    return carried[-1][0].block_until_ready()

                return step_job(data["x"], jax.device_put, step, lambda h: h)
            if kind == "training":
                call = jax.jit(train)

                def read():
                    output, (d_x, _, d_weight_hh, _) = call(x, d_output, *weights)
                    return {"output": output, "d_x": d_x, "d_weight_hh": d_weight_hh.T}

                return Job(lambda: jax.block_until_ready(call(x, d_output, *weights)), read)
            call = jax.jit(forward)
            return Job(lambda: call(x, *weights).block_until_ready(), lambda: {"output": call(x, *weights)})

        return {"jit of scan": make}
