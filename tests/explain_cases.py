"""LSTMs of every variant, for the page of lf.explain."""

import numpy as np

import lstm_fast as lf
from lstm_fast.reference import ACTIVATIONS

VARIANTS = {
    "plain": {},
    "stack": dict(num_layers=2, bidirectional=True),
    "no bias": dict(bias=False),
    "projection": dict(proj_size=2),
    "deep projection": dict(proj_size=2, num_layers=2),
    "peepholes": dict(peepholes=True),
    "layer norm": dict(layer_norm=True),
    "coupled": dict(coupled_gates=True, peepholes=True),
    "clipped": dict(cell_clip=0.3, gate_clip=0.4),
    "learned state": dict(learn_initial_state=True),
    "batch first": dict(batch_first=True),
    "all": dict(
        num_layers=2, bidirectional=True, proj_size=3, peepholes=True, layer_norm=True, cell_clip=1.0, gate_clip=2.0
    ),
    **{name: dict(activation=name, cell_activation=name) for name in ACTIVATIONS},
    **{f"gates {name}": dict(recurrent_activation=name) for name in ("hard_sigmoid", "softsign", "relu")},
    "parameters": dict(activation=("elu", 0.5), cell_activation=("scaled_tanh", 1.5, 0.7)),
}
I, H, T, B = 3, 4, 6, 2


def make(name, dtype=np.float64):
    """The LSTM of this name with modified parameters, and x."""
    rng = np.random.default_rng(list(VARIANTS).index(name))
    lstm = lf.LSTM(I, H, dtype=dtype, seed=0, **VARIANTS[name])
    with lstm.edit() as p:
        p.flat[:] += rng.normal(0, 0.4, p.flat.shape)
    return lstm, rng.standard_normal((B, T, I) if lstm.batch_first else (T, B, I))
