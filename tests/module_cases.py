"""Plain LSTM and RNN modules: edge-case shapes, random arguments, and the results of the library and the reference.

Modules with cell options are in option_cases.py, arguments of the reference's own functions in reference_cases.py.
"""

import functools
from typing import NamedTuple

import numpy as np

from lstm_fast import LSTM, RNN, reference

KINDS = ("lstm", "tanh", "relu", "identity")
DTYPES = (np.float32, np.float64)


class Shape(NamedTuple):
    T: int
    B: int
    I: int
    H: int


# Around vector lengths (2, 4, 8, 16) and tile sizes (3, 6 rows), one less and one more. Each H is combined with three B
# and vice versa; T and I cycle with other periods. A subset of the full product, which has 3380 shapes.
EDGES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65)
SHAPES = [
    Shape((3, 17, 1, 2)[(k + turn) % 4], EDGES[(5 * k + turn) % 13], (3, 1, 16, 20)[(k + 3 * turn) % 4], H)
    for turn in range(3)
    for k, H in enumerate(EDGES)
]

# Shapes without steps or without sequences.
EMPTY_SHAPES = [Shape(0, 3, 2, 5), Shape(4, 0, 2, 5), Shape(0, 0, 3, 9)]

# Larger than one block of csrc/plan.c (256 KiB of hoisted projections, 128 KiB between layers, 512 rows of a product)
# or of csrc/loops (2^26 operations per kernel call).
LONG_SHAPES = {
    "several_gradient_chunks": Shape(700, 1, 3, 9),
    "several_projection_chunks": Shape(1100, 1, 5, 17),
    "several_segments_between_layers": Shape(600, 2, 5, 65),
    "batch_over_one_product": Shape(3, 600, 4, 9),
    "panels_over_one_kernel_call": Shape(3, 2100, 2, 64),
    "large_weights_hoisted_for_many_rows": Shape(30, 7, 40, 160),
}

# Layers, directions and biases; shapes cycle through them.
STRUCTURES = [
    dict(num_layers=1),
    dict(num_layers=2, bidirectional=True),
    dict(num_layers=3, bias=False),
    dict(num_layers=1, bidirectional=True),
    dict(num_layers=2),
    dict(num_layers=1, bias=False),
    dict(num_layers=3, bidirectional=True),
]


def make(kind, I, H, *, dtype=np.float64, seed=0, **options):
    """An LSTM, or an RNN with this nonlinearity, with its initial parameters, uniform in +-1 / sqrt(H)."""
    if kind == "lstm":
        return LSTM(I, H, dtype=dtype, seed=seed, **options)
    return RNN(I, H, nonlinearity=kind, dtype=dtype, seed=seed, **options)


def draw(rng, module, T, B):
    """Arguments x, h_0, c_0 and incoming gradients d_output, d_h_n, d_c_n: normal, all distinct; time first."""
    D, H = 1 + module.bidirectional, module.hidden_size
    state = (module.num_layers * D, B, H)
    shapes = {"x": (T, B, module.input_size), "h_0": state, "d_output": (T, B, D * H), "d_h_n": state}
    if is_lstm(module):
        shapes |= {"c_0": state, "d_c_n": state}
    return {name: rng.standard_normal(shape).astype(module.dtype) for name, shape in shapes.items()}


def is_lstm(module):
    return not hasattr(module, "nonlinearity")


def states(module, h, c):
    """The state in the module's form: a pair for an LSTM, h for a plain RNN."""
    return (h, c) if is_lstm(module) else h


def infer(module, a, **options):
    """The results of inference by name: output, h_n and c_n."""
    return _results(module, *module(a["x"], states(module, a["h_0"], a.get("c_0")), **options))


def train(module, a, *, training=False, lengths=None, **options):
    """The results and gradients of a training pass by name (d_<parameter> for parameters), and the tape."""
    *results, tape = module.forward(
        a["x"], states(module, a["h_0"], a.get("c_0")), lengths=lengths, training=training, **options
    )
    got = _results(module, *results)
    gradients = module.backward(tape, a["d_output"], states(module, a["d_h_n"], a.get("d_c_n")), **options)
    got |= {"d_x": gradients.d_x, "d_h_0": gradients.d_h_0}
    got |= {"d_c_0": gradients.d_c_0} if is_lstm(module) else {}
    return got | {"d_" + name: gradient for name, gradient in gradients.items()}, tape


def expect(module, a, masks=None, dtype=np.float64, lengths=None):
    """The results and gradients that train should give, from the reference in float64 on the same numbers."""
    parameters = {name: value.astype(dtype) for name, value in module.parameters().items()}
    a = {name: value.astype(dtype) for name, value in a.items()}
    *results, tape = reference.stack_forward(
        a["x"], a["h_0"], a.get("c_0"), parameters, masks=masks, lengths=lengths, **reference_options(module)
    )
    d_x, d_h_0, d_c_0, d_parameters = reference.stack_backward(tape, a["d_output"], a["d_h_n"], a.get("d_c_n"))
    want = dict(zip(("output", "h_n", "c_n"), results, strict=True)) | {"d_x": d_x, "d_h_0": d_h_0, "d_c_0": d_c_0}
    want |= {"d_" + name: gradient for name, gradient in d_parameters.items()}
    return {name: value for name, value in want.items() if value is not None}


@functools.cache
def known(kind, dtype, shape, k, seed=0):
    """Arguments for STRUCTURES[k] at this shape and the reference's results, computed once for all instruction sets."""
    T, B, I, H = shape
    module = make(kind, I, H, dtype=dtype, seed=seed, **STRUCTURES[k])
    a = draw(np.random.default_rng([*shape, k, seed]), module, T, B)
    return a, expect(module, a)


@functools.cache
def known_wide(kind, dtype, k):
    """Like known, for inputs so wide that a batch takes several kernel calls, with vectors of any length."""
    module = make(kind, 1400, 3, dtype=dtype, **STRUCTURES[k])
    a = draw(np.random.default_rng(k), module, 1, 3200)
    a["x"][..., 20:] = 0  # the tolerance is that of short sums
    return a, expect(module, a)


def masks_of(module, tape, T, B):
    """The masks drawn by a training pass, whose seed is on the tape."""
    shape = (T, B, (1 + module.bidirectional) * module.hidden_size)
    return [
        reference.dropout_mask(tape.options.seed, layer, shape, module.dropout, np.float64)
        for layer in range(module.num_layers - 1)
    ]


DROPOUT_SHAPES = [Shape(5, 3, 4, 9), Shape(1, 8, 3, 16), Shape(600, 1, 3, 65)]
DROPOUT_STRUCTURES = [dict(num_layers=3), dict(num_layers=2, bidirectional=True)]


def make_with_dropout(kind, shape, k):
    """A new module of DROPOUT_STRUCTURES[k]: all draw the same masks, as their seed is the same."""
    return make(kind, shape.I, shape.H, dropout=0.3, **DROPOUT_STRUCTURES[k])


@functools.cache
def known_with_dropout(kind, shape, k):
    """Like known, for make_with_dropout; also the seed of the masks, which every training pass must draw."""
    module = make_with_dropout(kind, shape, k)
    a = draw(np.random.default_rng(shape), module, shape.T, shape.B)
    *_, tape = module.forward(a["x"])
    return a, expect(module, a, masks_of(module, tape, shape.T, shape.B)), tape.options.seed


def reference_options(module):
    options = dict(num_layers=module.num_layers, bidirectional=module.bidirectional)
    return options if is_lstm(module) else options | {"nonlinearity": module.nonlinearity}


def _results(module, output, state):
    return {"output": output} | (dict(zip(("h_n", "c_n"), state, strict=True)) if is_lstm(module) else {"h_n": state})
