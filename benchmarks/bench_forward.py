"""Inference of one layer and direction in float32."""

import pytest

import lstm_fast as lf
from cases import CASES, case_id


@pytest.mark.parametrize("case", CASES, ids=case_id)
def bench_forward(case, data, record):
    lstm, (x, _) = lf.LSTM(case.I, case.H, seed=0), data(case)
    record(case, 1, lambda: lstm(x))
