"""
Why an LSTM remembers
=====================

Training a recurrent network sends a gradient back through every step. In a plain RNN each step multiplies it by the
recurrent weights and by the derivative of tanh, so it shrinks (or grows) exponentially. In an LSTM it also flows along
the long-term memory, where each step multiplies it only by the forget gate.
"""

import numpy as np

import lstm_fast as lf

x = np.random.default_rng(0).standard_normal((100, 8, 16))  # 100 steps, 8 sequences, 16 features
networks = {
    "LSTM, forget_bias=3": lf.LSTM(16, 32, seed=0, forget_bias=3),
    "LSTM": lf.LSTM(16, 32, seed=0),
    "plain RNN": lf.RNN(16, 32, seed=0),
}

# %%
# A gradient of norm 1 enters at the last step; the curves show its norm at each earlier step. With the usual initial
# weights an LSTM forgets quickly too, because its forget gates are half open; a bias of 3 keeps them open.

gradient_flow = lf.plot.gradient_flow(networks, x)

# %%
# ``backward(..., record_norms=True)`` computes the norms that are plotted.

for name, network in networks.items():
    output, _, tape = network.forward(x)
    d_output = np.zeros_like(output)
    d_output[-1] = 1
    norms = network.backward(tape, d_output, record_norms=True).d_h_norms[0, 0].mean(axis=1)
    print(f"{name:20} {norms[0] / norms[-1]:.1e} of the gradient reaches the first step")
