"""
One unit, number by number
==========================

An LSTM of one unit and one input has four gates with three numbers each, small enough to check with a calculator.
The unit below tells two companies apart: their share prices differ only on the first of four days, and the prediction
for the fifth day depends on that first day alone.
"""

import numpy as np

import lstm_fast as lf

lstm = lf.LSTM(input_size=1, hidden_size=1, dtype=np.float64)
lstm.load_state_dict(
    {
        "weight_ih_l0": [[1.65], [1.63], [0.94], [-0.19]],  # input gate, forget gate, candidate, output gate
        "weight_hh_l0": [[2.00], [2.70], [1.41], [4.38]],
        "bias_ih_l0": [0.62, 1.62, -0.32, 0.59],
        "bias_hh_l0": np.zeros(4),
    }
)

# %%
# One step
# --------
#
# Before the step, the short-term memory is 1 and the long-term memory is 2; the input is 1. The forget gate keeps
# 99.7 % of the long-term memory, and the input gate adds 98.6 % of the candidate.

unit = lf.plot.unit(lstm, 1.0, (1.0, 2.0))

# %%
# Four steps
# ----------
#
# Every day uses the same weights. The long-term memory runs along the top; the prediction for the fifth day depends on
# what it retains of the first.

companies = {"A": [0.0, 0.5, 0.25, 1.0], "B": [1.0, 0.5, 0.25, 1.0]}
for name, values in companies.items():
    output, _ = lstm(np.reshape(values, (4, 1, 1)))
    print(f"company {name}: prediction for day 5 is {output[-1, 0, 0]:.2f}")

# %%

unrolled = lf.plot.unrolled(lstm, companies["B"], labels=[f"day {k}" for k in range(1, 5)])
