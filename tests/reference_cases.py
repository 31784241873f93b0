"""Arguments of the reference's functions: random ones for any set of features, for one layer and for a stack."""

import itertools

import numpy as np

from lstm_fast import reference

T, B, I, H, R = 5, 4, 3, 3, 2

# Everything that can be added to the plain LSTM, and the part of it that applies to a plain RNN. "dropout" is for
# stacks.
LSTM_FEATURES = (
    "no_bias",
    "projection",
    "peepholes",
    "norm_ih",
    "norm_hh",
    "norm_c",
    "norm_c_bias",
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
    "learned_h_0",
    "learned_c_0",
    "zero_h_0",
    "zero_c_0",
)
RNN_FEATURES = ("no_bias", "recurrent_dropout", "zoneout_h", "lengths", "resets", "learned_h_0", "zero_h_0")
NEEDS = {"norm_c_bias": "norm_c"}

# With parameters that place each kink within reach of numbers around 1.
ACTIVATIONS = (
    "tanh",
    "sigmoid",
    "relu",
    ("affine", 0.7, 0.2),
    ("leaky_relu", 0.3),
    ("thresholded_relu", 0.2),
    ("scaled_tanh", 1.3, 0.6),
    ("hard_sigmoid", 0.4, 0.45),
    ("elu", 0.8),
    "softsign",
    "softplus",
)


def random_features(rng, kind, share=0.35):
    """A random set of features, sorted; half of the sets contain "dropout"."""
    names = LSTM_FEATURES if kind == "lstm" else RNN_FEATURES
    chosen = {name for name in names if rng.random() < share} | ({"dropout"} if rng.random() < 0.5 else set())
    return tuple(sorted(chosen | {NEEDS[name] for name in chosen if name in NEEDS}))


def normal(rng, shapes, scale=1.0):
    return {name: scale * rng.standard_normal(shape) for name, shape in shapes.items()}


def parameter_shapes(kind, features, input_size, output_size):
    """Shapes of the parameters of one layer and direction, under the names of a stack without their suffix."""
    rows = 4 * H if kind == "lstm" else H
    shapes = {"weight_ih": (rows, input_size), "weight_hh": (rows, output_size)}
    shapes |= {} if "no_bias" in features else {"bias_ih": (rows,), "bias_hh": (rows,)}
    optional = {
        "projection": ("weight_hr", (R, H)),
        "peepholes": ("weight_peephole", (3 * H,)),
        "norm_ih": ("norm_ih_weight", (rows,)),
        "norm_hh": ("norm_hh_weight", (rows,)),
        "norm_c": ("norm_c_weight", (H,)),
        "norm_c_bias": ("norm_c_bias", (H,)),
        "learned_h_0": ("h_0", (output_size,)),
        "learned_c_0": ("c_0", (H,)),
    }
    return shapes | dict(shape for feature, shape in optional.items() if feature in features)


def cell_options(rng, features):
    """The keyword arguments of lstm_forward that are not arrays."""
    options = {"coupled_gates": True} if "coupled_gates" in features else {}
    options |= {name: 0.6 for name in ("cell_clip", "gate_clip") if name in features}
    for name, default in (("activation", "tanh"), ("recurrent_activation", "sigmoid"), ("cell_activation", "tanh")):
        if name in features:
            others = [spec for spec in ACTIVATIONS if spec != default]
            options[name] = others[rng.integers(len(others))]
    return options


def sequence_options(rng, features, T, B):
    """Unsorted lengths that include 0 and T; resets at a third of the steps."""
    options = {"lengths": rng.permutation(np.resize([T, 0, max(T - 2, 0), min(T, 1)], B))}
    options = options if "lengths" in features else {}
    return options | ({"resets": rng.random((T, B)) < 1 / 3} if "resets" in features else {})


def layer_masks(rng, features, T, B, output_size):
    masks = {"recurrent_mask": rng.choice([0, 1.5], (B, output_size))} if "recurrent_dropout" in features else {}
    masks |= {"zoneout_h_mask": rng.integers(0, 2, (T, B, output_size))} if "zoneout_h" in features else {}
    return masks | ({"zoneout_c_mask": rng.integers(0, 2, (T, B, H))} if "zoneout_c" in features else {})


def layer_arguments(kind, features=(), T=T, B=B, seed=0):
    """Differentiable arguments of lstm_forward or rnn_forward, incoming gradients, and the remaining arguments."""
    rng, h_size = np.random.default_rng(seed), R if "projection" in features else H
    states = {"h": (B, h_size)} | ({"c": (B, H)} if kind == "lstm" else {})
    shapes = {"x": (T, B, I)} | {s + "_0": shape for s, shape in states.items()}
    parameters = parameter_shapes(kind, features, I, h_size)
    shapes |= {f"learned_{name}" if name in shapes else name: shape for name, shape in parameters.items()}
    arguments, incoming = (
        normal(rng, shapes, 0.8),
        normal(rng, {"d_output": (T, B, h_size)} | {f"d_{s}_n": shape for s, shape in states.items()}),
    )
    options = layer_masks(rng, features, T, B, h_size) | sequence_options(rng, features, T, B)
    options |= cell_options(rng, features)
    for feature, names in {"no_bias": ("bias_ih", "bias_hh"), "zero_h_0": ("h_0",), "zero_c_0": ("c_0",)}.items():
        if feature in features:
            options |= dict.fromkeys(names)
    return {name: value for name, value in arguments.items() if name not in options}, incoming, options


def stack_arguments(kind, num_layers, bidirectional, features=(), T=T, B=B, seed=0):
    """Like layer_arguments, for stack_forward: x, states and parameters in one flat dict."""
    rng, h_size, D = np.random.default_rng(seed), R if "projection" in features else H, 1 + bidirectional
    states = {"h": (num_layers * D, B, h_size)} | ({"c": (num_layers * D, B, H)} if kind == "lstm" else {})
    shapes = {"x": (T, B, I)} | {s + "_0": shape for s, shape in states.items() if f"zero_{s}_0" not in features}
    for layer, suffix in itertools.product(range(num_layers), ("", "_reverse")[:D]):
        parameters = parameter_shapes(kind, features, D * h_size if layer else I, h_size)
        shapes |= {f"{name}_l{layer}{suffix}": shape for name, shape in parameters.items()}
    incoming = {"d_output": (T, B, D * h_size)} | {f"d_{s}_n": shape for s, shape in states.items()}
    options = {"num_layers": num_layers, "bidirectional": bidirectional}
    options |= {} if kind == "lstm" else {"nonlinearity": kind}
    if "dropout" in features:
        options["masks"] = [rng.choice([0, 1.5], (T, B, D * h_size)) for _ in range(num_layers - 1)]
    masks = [layer_masks(rng, features, T, B, h_size) for _ in range(num_layers * D)]
    options |= {name + "s": [m[name] for m in masks] for name in masks[0]}
    options |= sequence_options(rng, features, T, B) | cell_options(rng, features)
    return normal(rng, shapes, 0.6), normal(rng, incoming), options


def layer_forward(kind, arguments, options):
    return getattr(reference, kind + "_forward")(**arguments, **options)


def layer_backward(kind, tape, incoming):
    """All gradients in one dict, named as in layer_arguments."""
    gradients = getattr(reference, kind + "_backward")(tape, **incoming)._asdict()
    return {name.removeprefix("d_"): d for name, d in gradients.items() if d is not None}


def stack_forward(arguments, options):
    return reference.stack_forward(*(arguments.get(name) for name in ("x", "h_0", "c_0")), arguments, **options)


def stack_backward(tape, incoming):
    """All gradients in one flat dict, named as in stack_arguments."""
    *d_inputs, d_parameters = reference.stack_backward(tape, **incoming)
    return {name: d for name, d in zip(("x", "h_0", "c_0"), d_inputs) if d is not None} | d_parameters


def weighted_sum(results, incoming):
    """The loss whose gradients with respect to the results are the incoming gradients."""
    return sum((result * d_result).sum() for result, d_result in zip(results, incoming.values()))
