"""LSTM and RNN modules with any set of options: random modules and arguments, and the reference's results for them.

The options are the features of reference_cases.py as far as modules have them: layer_norm means norm_ih, norm_hh,
norm_c and norm_c_bias. "index_input" is a further option: x then holds symbols.
"""

import numpy as np

from lstm_fast import LSTM, RNN, reference
from reference_cases import ACTIVATIONS

LSTM_OPTIONS = (
    "no_bias",
    "projection",
    "peepholes",
    "layer_norm",
    "coupled_gates",
    "cell_clip",
    "gate_clip",
    "activation",
    "recurrent_activation",
    "cell_activation",
    "recurrent_dropout",
    "zoneout_h",
    "zoneout_c",
    "lengths",
    "resets",
    "learned",
    "given_h_0",
    "given_c_0",
    "dropout",
)
RNN_OPTIONS = ("no_bias", "recurrent_dropout", "zoneout_h", "lengths", "resets", "learned", "given_h_0", "dropout")
PROBABILITIES = {"recurrent_dropout": 0.3, "dropout": 0.25}


def make(kind, I, H, options, *, seed=0, dtype=np.float64, **structure):
    """A module with these options; its parameters are larger than initial ones, to reach bounds and kinks."""
    rng = np.random.default_rng(seed)
    arguments = {"bias": "no_bias" not in options, "learn_initial_state": "learned" in options}
    arguments["index_input"] = "index_input" in options
    arguments |= {name: p for name, p in PROBABILITIES.items() if name in options}
    if kind != "lstm":
        arguments |= {"nonlinearity": kind, "zoneout": 0.4 if "zoneout_h" in options else 0.0}
        module = RNN(I, H, dtype=dtype, seed=seed, **arguments, **structure)
    else:
        arguments |= {name: True for name in ("peepholes", "layer_norm", "coupled_gates") if name in options}
        arguments |= {name: 0.6 for name in ("cell_clip", "gate_clip") if name in options}
        arguments["zoneout"] = 0.4 * ("zoneout_h" in options), 0.3 * ("zoneout_c" in options)
        if "projection" in options and H > 1:
            arguments["proj_size"] = max(1, H - 1 - H // 3)
        for name, plain in (("activation", "tanh"), ("recurrent_activation", "sigmoid"), ("cell_activation", "tanh")):
            if name in options:
                others = [spec for spec in ACTIVATIONS if spec != plain]
                arguments[name] = others[rng.integers(len(others))]
        module = LSTM(I, H, dtype=dtype, seed=seed, **arguments, **structure)
    with module.edit() as p:
        for name in p:
            p[name][...] = (1.0 * name.startswith("norm") + rng.standard_normal(p[name].shape)) * (
                1 if p[name].ndim == 1 else 1 / np.sqrt(p[name].shape[1])
            )
    return module


def draw(rng, module, T, B, options):
    """Arguments of forward and backward, with lengths and resets if the options have them."""
    n, R = module.num_layers * (1 + module.bidirectional), module.h_size
    shapes = {
        "x": (T, B, module.input_size),
        "h_0": (n, B, R),
        "d_h_n": (n, B, R),
        "d_output": (T, B, (1 + module.bidirectional) * R),
    }
    if isinstance(module, LSTM):
        shapes |= {"c_0": (n, B, module.hidden_size), "d_c_n": (n, B, module.hidden_size)}
    a = {name: rng.standard_normal(shape).astype(module.dtype) for name, shape in shapes.items()}
    a |= {name: None for name in ("h_0", "c_0") if "given_" + name not in options}
    if module.index_input:
        a["x"] = rng.integers(module.input_size, size=(T, B))
    a["lengths"] = rng.permutation(np.resize([T, 0, max(T - 2, 0), min(T, 1)], B)) if "lengths" in options else None
    a["resets"] = rng.random((T, B)) < 1 / 3 if "resets" in options else None
    return a


def states(module, h, c):
    return (h, c) if isinstance(module, LSTM) else h


def train(module, a, *, training=True, recompute_gates=False, record_norms=False, rng=None, **call):
    """The results and gradients of a training pass by name, and the tape."""
    output, last, tape = module.forward(
        a["x"],
        states(module, a["h_0"], a["c_0"]),
        lengths=a["lengths"],
        resets=a["resets"],
        training=training,
        recompute_gates=recompute_gates,
        rng=rng,
        **call,
    )
    d = module.backward(
        tape, a["d_output"], states(module, a["d_h_n"], a.get("d_c_n")), record_norms=record_norms, **call
    )
    got = {"output": output, "d_h_0": d.d_h_0} | ({} if module.index_input else {"d_x": d.d_x})
    got |= {"h_n": last[0], "c_n": last[1], "d_c_0": d.d_c_0} if isinstance(module, LSTM) else {"h_n": last}
    if record_norms:
        got |= {"d_h_norms": d.d_h_norms} | ({"d_c_norms": d.d_c_norms} if isinstance(module, LSTM) else {})
    return got | {"d_" + name: gradient for name, gradient in d.items()}, tape


def masks(module, run, T, B):
    """The random masks of a training pass, drawn by the reference."""
    if run is None:
        return {}
    n, R, D, H = (
        module.num_layers * (1 + module.bidirectional),
        module.h_size,
        1 + module.bidirectional,
        module.hidden_size,
    )
    drawn = {}
    if run.dropout:
        drawn["masks"] = [
            reference.dropout_mask(run.seed, layer, (T, B, D * R), run.dropout, np.float64)
            for layer in range(module.num_layers - 1)
        ]
    if run.recurrent_dropout:
        drawn["recurrent_masks"] = [
            reference.recurrent_dropout_mask(run.seed, k, (B, R), run.recurrent_dropout, np.float64) for k in range(n)
        ]
    for state, p, size in (("h", run.zoneout_h, R), ("c", run.zoneout_c, H)):
        if p:
            drawn[f"zoneout_{state}_masks"] = [
                reference.zoneout_mask(run.seed, k, (T, B, size), p, np.float64, state) for k in range(n)
            ]
    return drawn


def expect(module, a, run, dtype=np.float64, jitter=lambda array: array):
    """The results and gradients that train should give, from the reference in this dtype, for jittered arrays."""
    T, B = a["x"].shape[:2]
    parameters = {name: jitter(value).astype(dtype) for name, value in module.parameters().items()}
    a = {
        name: value if value is None or value.dtype.kind in "ib" else jitter(value).astype(dtype)
        for name, value in a.items()
    }
    options = {"num_layers": module.num_layers, "bidirectional": module.bidirectional} | masks(module, run, T, B)
    if isinstance(module, LSTM):
        options |= {
            name: getattr(module, name)
            for name in (
                "coupled_gates",
                "cell_clip",
                "gate_clip",
                "activation",
                "recurrent_activation",
                "cell_activation",
            )
        }
    else:
        options["nonlinearity"] = module.nonlinearity
    *results, tape = reference.stack_forward(
        a["x"], a["h_0"], a.get("c_0"), parameters, lengths=a["lengths"], resets=a["resets"], **options
    )
    d_x, d_h_0, d_c_0, d_parameters = reference.stack_backward(tape, a["d_output"], a["d_h_n"], a.get("d_c_n"))
    want = dict(zip(("output", "h_n", "c_n"), results)) | {"d_x": d_x, "d_h_0": d_h_0, "d_c_0": d_c_0}
    want |= {"d_" + name: gradient for name, gradient in d_parameters.items()}
    return {name: value for name, value in want.items() if value is not None}
