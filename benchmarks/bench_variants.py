"""What else an LSTM can be, on one shape: layers, directions, float64, instruction sets."""
import pytest
from cases import Case

import lstm_fast as lf

CASE = Case(100, 32, 64, 64, "the usual small training job")


@pytest.mark.parametrize("options, passes", [
    pytest.param({"num_layers": 2}, 2, id="two-layers"),
    pytest.param({"bidirectional": True}, 2, id="bidirectional"),
    pytest.param({"dtype": "float64"}, 1, id="float64"),
    pytest.param({"batch_first": True}, 1, id="batch-first"),
])
def bench_variant_forward(options, passes, data, record):
    lstm, (x, _) = lf.LSTM(CASE.I, CASE.H, seed=0, **options), data(CASE)
    x = x.astype(lstm.dtype)
    x = x.swapaxes(0, 1).copy() if lstm.batch_first else x
    record(CASE, passes, lambda: lstm(x))


@pytest.mark.parametrize("isa", lf._core.available_isas())
def bench_isa_forward(isa, data, record):
    before = lf._core.isa()
    lf._core.use_isa(isa)
    try:
        lstm, (x, _) = lf.LSTM(CASE.I, CASE.H, seed=0), data(CASE)
        record(CASE, 1, lambda: lstm(x))
    finally:
        lf._core.use_isa(before)
