"""Options on one shape: layers, directions, float64, cell variants, tapes, instruction sets."""

import pytest

import lstm_fast as lf
from cases import Case

CASE = Case(100, 32, 64, 64, "a typical small training job")


@pytest.mark.parametrize(
    "options, passes",
    [
        pytest.param({"num_layers": 2}, 2, id="two-layers"),
        pytest.param({"bidirectional": True}, 2, id="bidirectional"),
        pytest.param({"dtype": "float64"}, 1, id="float64"),
        pytest.param({"batch_first": True}, 1, id="batch-first"),
    ],
)
def bench_variant_forward(options, passes, data, record):
    lstm, (x, _) = lf.LSTM(CASE.I, CASE.H, seed=0, **options), data(CASE)
    x = x.astype(lstm.dtype)
    x = x.swapaxes(0, 1).copy() if lstm.batch_first else x
    record(CASE, passes, lambda: lstm(x))


CELLS = [
    pytest.param({}, id="plain"),
    pytest.param({"peepholes": True}, id="peepholes"),
    pytest.param({"coupled_gates": True}, id="coupled-gates"),
    pytest.param({"cell_clip": 3.0, "gate_clip": 5.0}, id="clips"),
    pytest.param({"activation": "elu", "recurrent_activation": "hard_sigmoid"}, id="activations"),
    pytest.param({"layer_norm": True}, id="layer-norm"),
    pytest.param({"proj_size": 32}, id="projection"),
    pytest.param({"recurrent_dropout": 0.1}, id="recurrent-dropout"),
    pytest.param({"zoneout": 0.1}, id="zoneout"),
]


@pytest.mark.parametrize("options", CELLS)
@pytest.mark.parametrize("is_training", [False, True], ids=["forward", "training"])
def bench_cell(options, is_training, data, record):
    lstm, (x, d) = lf.LSTM(CASE.I, CASE.H, seed=0, **options), data(CASE)
    d = d[..., : lstm.h_size].copy()
    record(CASE, 1, (lambda: lstm.backward(lstm.forward(x)[2], d)) if is_training else (lambda: lstm(x)))


@pytest.mark.parametrize("recompute_gates", [False, True], ids=["full", "recompute_gates"])
def bench_tape(recompute_gates, data, record):
    lstm, (x, d) = lf.LSTM(CASE.I, CASE.H, seed=0), data(CASE)
    record(CASE, 1, lambda: lstm.backward(lstm.forward(x, recompute_gates=recompute_gates)[2], d))


@pytest.mark.parametrize("isa", lf._core.available_isas())
def bench_isa_forward(isa, data, record):
    before = lf._core.isa()
    lf._core.use_isa(isa)
    try:
        lstm, (x, _) = lf.LSTM(CASE.I, CASE.H, seed=0), data(CASE)
        record(CASE, 1, lambda: lstm(x))
    finally:
        lf._core.use_isa(before)
