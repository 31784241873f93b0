"""Networks for the tests of the formats, and the results that the reference gives for them."""

import numpy as np

from lstm_fast import LSTM, _core, reference

# Format and inputs of LSTM.quantized.
FORMATS = {
    "float16": ("float16", "float32"),
    "bfloat16": ("bfloat16", "float32"),
    "int8": ("int8", "float32"),
    "int8 inputs": ("int8", "int8"),
    "int8, int16 inputs": ("int8", "int16"),
    "bfloat16_amx": ("bfloat16_amx", "float32"),
}
OPTIONS = {
    "plain": {},
    "no bias": dict(bias=False),
    "layers": dict(num_layers=3),
    "directions": dict(num_layers=2, bidirectional=True),
    "projection": dict(num_layers=2, proj_size=5),
    "layer norm": dict(num_layers=2, layer_norm=True),
    "peepholes, coupled gates, clips": dict(peepholes=True, coupled_gates=True, cell_clip=0.3, gate_clip=0.5),
    "activations": dict(
        activation="softsign", recurrent_activation="hard_sigmoid", cell_activation=("scaled_tanh", 0.9, 0.7)
    ),
    "unbounded activation of g": dict(activation=("leaky_relu", 0.1)),
    "initial state": dict(learn_initial_state=True),
    "all": dict(
        num_layers=2,
        bidirectional=True,
        layer_norm=True,
        peepholes=True,
        cell_clip=0.7,
        gate_clip=0.9,
        learn_initial_state=True,
        cell_activation="softsign",
    ),
    "all, projection": dict(num_layers=2, bidirectional=True, layer_norm=True, peepholes=True, proj_size=5),
}
OF_CELL = ("coupled_gates", "cell_clip", "gate_clip", "activation", "recurrent_activation", "cell_activation")


def has(format, options):
    """Whether the format has these options: int8 has no projection."""
    return not (format.startswith("int8") and "proj_size" in options)


CASES = [(format, options) for format in FORMATS for options in OPTIONS if has(format, OPTIONS[options])]


def has_fma():
    """Whether the instruction set has fused multiply-add, which the expected bits require."""
    return _core.isa() != "portable"


def make(options, I=4, H=19, scale=0.4):
    """A network with random weights; h_0, if it is learned, within [-1, 1]."""
    rng = np.random.default_rng([I, H])
    lstm = LSTM(I, H, seed=1, **options)
    with lstm.edit() as p:
        p.flat[:] = scale * rng.standard_normal(p.flat.size)
        for name in p:
            if name.startswith("h_0"):
                p[name].clip(-1, 1, out=p[name])
    return lstm


def arguments(lstm, T=6, B=3):
    """x, (h_0, c_0), lengths and resets of a call."""
    rng = np.random.default_rng([lstm.input_size, lstm.hidden_size, T, B])
    n, H = lstm.num_layers * lstm.num_directions, lstm.hidden_size
    h_0 = rng.uniform(-1, 1, (n, B, lstm.h_size)).astype(np.float32)
    c_0 = rng.standard_normal((n, B, H)).astype(np.float32)
    resets = rng.random((T, B)) < 0.2
    return rng.standard_normal((T, B, lstm.input_size)).astype(np.float32), (h_0, c_0), [T, 2, 0, *[T] * B][:B], resets


def expect(lstm, format, x, state=None, lengths=None, resets=None, *, activate=_core.testing.activate, **options):
    """output, h_n and c_n from the reference, by default with the library's activations."""
    structure = dict(num_layers=lstm.num_layers, bidirectional=lstm.bidirectional)
    cell = {name: value for name, value in lstm.config().items() if name in OF_CELL}
    options |= structure | cell | dict(lengths=lengths, resets=resets, activate=activate)
    return reference.quantized_forward(x, *(state or (None, None)), lstm.parameters(), format=format, **options)
