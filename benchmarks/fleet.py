"""Compare Fleet with a loop over its LSTMs, with PyTorch modules and with JAX's vmap, and time fit.

    python benchmarks/fleet.py [--shapes 200,28,8,4,16 ...] [--threads 1] [--peers torch jax] [--sweep] [--fit]

A row is a shape K, T, B, I, H: milliseconds of forward and backward of all K models, the minimum over alternating
repetitions. "fleet" is Fleet.forward_backward, "two calls" Fleet.forward, then Fleet.backward. With one thread the time
is that of the thread (CPU time), so that other processes disturb it less. --sweep: H from 4 to 128, B from 1 to 32 and
T from 10 to 200. fit: 1,000 models in one call against the loop of fits (of 40, scaled)."""

import argparse
import itertools
import time

import numpy as np

import lstm_fast as lf

SHAPES = ["200,28,8,4,16", "200,50,1,3,8", "200,100,16,8,32", "200,50,1,3,16", "200,12,4,1,8", "50,100,1,8,64"]


def ours(K, T, B, I, H):
    """The fleet, in one pass and in two calls, and the loop over the same models."""
    models = [lf.LSTM(I, H, seed=k) for k in range(K)]
    fleet = lf.Fleet(models)
    x = np.random.default_rng(0).standard_normal((K, T, B, I)).astype(np.float32)
    d = np.ones((K, T, B, H), np.float32)

    def run_fleet():
        fleet.forward_backward(x, lambda models, output, state: d[models])

    def two_calls():
        fleet.backward(fleet.forward(x)[2], d)

    def loop():
        for k, model in enumerate(models):
            model.backward(model.forward(x[k])[2], d[k])

    return {"fleet": run_fleet, "two calls": two_calls, "loop": loop}


def of_torch(K, T, B, I, H):
    import torch

    torch.set_num_threads(lf.get_num_threads())
    models = [torch.nn.LSTM(I, H) for _ in range(K)]
    x = torch.randn(K, T, B, I)

    def loop():
        for k, model in enumerate(models):
            one = x[k].clone().requires_grad_()
            model(one)[0].sum().backward()

    return {"PyTorch": loop}


def of_jax(K, T, B, I, H):
    import jax
    import jax.numpy as jnp

    keys = iter(jax.random.split(jax.random.PRNGKey(0), 4))
    p = [jax.random.uniform(next(keys), (K, 4 * H, n)) * 0.2 - 0.1 for n in (I, H)]
    p = (*p, jnp.zeros((K, 4 * H)))
    x = jax.random.normal(next(keys), (K, T, B, I))

    def loss(p, x):
        w_ih, w_hh, b = p

        def step(state, pre):
            h, c = state
            i, f, g, o = jnp.split(pre + h @ w_hh.T, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((x.shape[1], H))
        return jax.lax.scan(step, (zero, zero), x @ w_ih.T + b)[1].sum()

    both = jax.jit(jax.vmap(jax.grad(loss, argnums=(0, 1))))
    return {"JAX vmap": lambda: jax.block_until_ready(both(p, x))}


def least(calls, repetitions):
    """Milliseconds of each call, the minimum over alternating repetitions."""
    clock = time.thread_time if lf.get_num_threads() == 1 else time.perf_counter
    times = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repetitions):
        for name, call in calls.items():
            call()  # so that none finds the caches as another one left them
            begin = clock()
            call()
            times[name].append(1e3 * (clock() - begin))
    return {name: min(values) for name, values in times.items()}


def sweep():
    """The shapes of --sweep, each with enough models to take some milliseconds."""
    for H, B, T in itertools.product((4, 8, 16, 32, 64, 128), (1, 4, 8, 32), (10, 50, 200)):
        K = 30_000_000 // (T * B * (H * H + 500)) // 16 * 16
        yield f"{max(16, min(64, K))},{T},{B},4,{H}"


def fit(K=1000, of_loop=40, T=12, N=32, H=8, batch_size=4, epochs=10):
    """Seconds of fit of K models in one call, and of the loop, estimated from some of them."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((K, N, T, 1)).astype(np.float32)
    y = x.mean(axis=2)
    options = {"epochs": epochs, "batch_size": batch_size, "seed": 0}
    fleet = lf.train.FleetModel(lf.Fleet([lf.LSTM(1, H, batch_first=True, seed=k) for k in range(K)]), 1, seed=0)
    models = [lf.train.SequenceModel(lf.LSTM(1, H, batch_first=True, seed=k), 1, seed=0) for k in range(of_loop)]
    begin = time.perf_counter()
    histories = lf.train.fit(fleet, x, y, **options)
    seconds, begin = time.perf_counter() - begin, time.perf_counter()
    alone = [lf.train.fit(model, x[k], y[k], **options) for k, model in enumerate(models)]
    loop = (time.perf_counter() - begin) * K / of_loop
    assert [one.fingerprint for one in histories[:of_loop]] == [one.fingerprint for one in alone]
    print(f"fit of {K} models, T = {T}, H = {H}, batches of {batch_size}: {seconds:.2f} s, the loop {loop:.2f} s, "
          f"{loop / seconds:.1f} x")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=SHAPES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--peers", nargs="*", default=[], choices=["torch", "jax"])
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    lf.set_num_threads(arguments.threads)
    for shape in sweep() if arguments.sweep else arguments.shapes:
        sizes = [int(size) for size in shape.split(",")]
        calls = ours(*sizes)
        for name in arguments.peers:
            calls |= {"torch": of_torch, "jax": of_jax}[name](*sizes)
        times = least(calls, arguments.repetitions)
        others = ", ".join(f"{name} {ms:.2f} ({ms / times['fleet']:.1f} x)" for name, ms in times.items())
        print(f"K, T, B, I, H = {shape}: ms {others}", flush=True)
    if arguments.fit:
        fit()


if __name__ == "__main__":
    main()
