"""The definition: LSTM and plain RNN, forward and backward, in NumPy, one formula per line, never optimised.

    pre = x W_ih^T + b_ih + h_prev W_hh^T + b_hh
    pre_i, pre_f, pre_g, pre_o = pre                            (H columns each)
    i, f, o = sigmoid(pre_i), sigmoid(pre_f), sigmoid(pre_o)    (input, forget, output gate)
    g = tanh(pre_g)                                             (cell candidate)
    c = f * c_prev + i * g                                      (long-term memory)
    h = o * tanh(c)                                             (short-term memory)

Each variant changes one of these lines, alone or beside the others:

    recurrent dropout    (h_prev * recurrent_mask) W_hh^T    (one mask for all steps)
    layer norm           norm(x W_ih^T) * norm_ih_weight, norm(h_prev W_hh^T) * norm_hh_weight    (each over all 4H)
                         tanh(norm(c) * norm_c_weight + norm_c_bias)
    peepholes            pre_i + p_i * c_prev, pre_f + p_f * c_prev, pre_o + p_o * c    (p = weight_peephole)
    gate_clip            pre_i, pre_f, pre_g, pre_o between -gate_clip and gate_clip, after the peepholes
    activations          others for sigmoid (recurrent_activation), tanh of pre_g (activation), of c (cell_activation)
    coupled_gates        f = 1 - i    (pre_f is not looked at)
    cell_clip            c between -cell_clip and cell_clip
    projection           h = (o * tanh(c)) W_hr^T
    zoneout              c = c_prev where zoneout_c_mask, h = h_prev where zoneout_h_mask    (after all the others)

Around the steps come lengths, resets and a learned initial state: lstm_forward has their words.

Sizes: T steps, B batch, I input, H hidden, R columns of h (H without projection), L layers, D directions; d_<name>
is the gradient of the loss with respect to <name>. All of it works in float32, float64 and complex128, and no step
conjugates or compares imaginary parts: those of the results, after a tiny imaginary step in an argument, are
derivatives. Tapes refer to arrays and do not copy them.

    cell.py             one step: the lines above, forward and backward
    activations.py      ONNX's eleven, each with its derivative
    lstm.py, rnn.py     one layer in one direction: lengths, resets, sums over time
    stack.py            layers and directions
    masks.py            dropout, recurrent dropout and zoneout from counter-based random numbers
"""

from .activations import ACTIVATIONS, activation, sigmoid
from .lstm import LSTMGradients, LSTMTape, lstm_backward, lstm_forward
from .masks import dropout_mask, philox4x32, recurrent_dropout_mask, zoneout_mask
from .rnn import NONLINEARITIES, RNNGradients, RNNTape, rnn_backward, rnn_forward
from .stack import DIRECTIONS, StackTape, stack_backward, stack_forward

__all__ = [
    "lstm_forward",
    "lstm_backward",
    "rnn_forward",
    "rnn_backward",
    "stack_forward",
    "stack_backward",
    "LSTMTape",
    "LSTMGradients",
    "RNNTape",
    "RNNGradients",
    "StackTape",
    "ACTIVATIONS",
    "NONLINEARITIES",
    "DIRECTIONS",
    "activation",
    "sigmoid",
    "philox4x32",
    "dropout_mask",
    "recurrent_dropout_mask",
    "zoneout_mask",
]
