"""The NumPy reference on the smaller shapes: the cost of readable code."""

import numpy as np
import pytest

import lstm_fast as lf
from cases import CASES, case_id


@pytest.mark.parametrize("case", [case for case in CASES if case.H <= 64], ids=case_id)
def bench_reference_forward(case, data, record):
    parameters, (x, _) = lf.LSTM(case.I, case.H, seed=0).parameters(), data(case)
    state = np.zeros((case.B, case.H), np.float32)
    record(case, 1, lambda: lf.reference.lstm_forward(x, state, state, *parameters.values()))
