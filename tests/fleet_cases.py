"""Fleets compared bitwise with calls of their models alone."""

import numpy as np

import lstm_fast as lf
from option_cases import draw, make

NAMES = ("x", "h_0", "c_0", "d_output", "d_h_n", "d_c_n", "lengths", "resets")


def same(a, b):
    """Equal to the bit; None equals None."""
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def models_of(K, I, H, options, **structure):
    """Models with the same options, which are drawn for the first one."""
    first = make("lstm", I, H, options, **structure)
    models = [lf.LSTM(**first.config() | {"seed": k}) for k in range(K)]
    rng = np.random.default_rng(1)
    for model in models:
        model.load_flat_parameters(first.flat_parameters * rng.uniform(0.5, 1, len(first.flat_parameters)))
    return models


def arguments(models, T, B, options, seed=0):
    """The arguments of each model, and the same stacked."""
    rng = np.random.default_rng(seed)
    each = []
    for k, model in enumerate(models):
        one = draw(rng, model, T, B, options)
        if k == 1 and one["lengths"] is not None:
            one["lengths"] = np.full(B, T)  # one model without padding
        if k == 1 and one["resets"] is not None:
            one["resets"] = np.zeros((T, B), bool)
        each.append(one)
    stacked = {name: None if each[0][name] is None else np.stack([one[name] for one in each]) for name in NAMES}
    return each, stacked


def check(models, T, B, options=(), num_threads=1, **forward):
    """Compare inference, forward and backward of a fleet with each of its models."""
    fleet = lf.Fleet(models)
    each, a = arguments(models, T, B, options)
    common = {"num_threads": num_threads, **forward}
    keywords = {"lengths": a["lengths"], "resets": a["resets"]}
    called = fleet(a["x"], (a["h_0"], a["c_0"]), **keywords, num_threads=num_threads)
    for attempt in range(2):  # the second call uses cached packed weights and new masks
        output, state, tape = fleet.forward(a["x"], (a["h_0"], a["c_0"]), **keywords, **common)
        d = fleet.backward(tape, a["d_output"], (a["d_h_n"], a["d_c_n"]), record_norms=True, num_threads=num_threads)
        for k, model in enumerate(models):
            own = each[k]
            keys = {"lengths": own["lengths"], "resets": own["resets"]}
            alone = model(own["x"], (own["h_0"], own["c_0"]), **keys)
            assert same(called[0][k], alone[0]) and all(same(s[k], t) for s, t in zip(called[1], alone[1]))
            alone, last, own_tape = model.forward(own["x"], (own["h_0"], own["c_0"]), **keys, **forward)
            assert same(output[k], alone) and all(same(s[k], t) for s, t in zip(state, last)), (k, attempt)
            g = model.backward(own_tape, own["d_output"], (own["d_h_n"], own["d_c_n"]), record_norms=True)
            assert same(d.flat[k], g.flat), (k, [name for name in g if not same(d[name][k], g[name])])
            for name in ("d_x", "d_h_0", "d_c_0", "d_h_norms", "d_c_norms"):
                assert same(getattr(d, name)[k], getattr(g, name)), (k, name)
