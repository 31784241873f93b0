"""Training in float32: forward with a tape and backward to every gradient. Counted as three forward passes."""

import pytest

import lstm_fast as lf
from cases import CASES, case_id


@pytest.mark.parametrize("case", CASES, ids=case_id)
def bench_training(case, data, record):
    lstm, (x, d_output) = lf.LSTM(case.I, case.H, seed=0), data(case)

    def step():
        _, _, tape = lstm.forward(x)
        lstm.backward(tape, d_output)

    record(case, 3, step)
