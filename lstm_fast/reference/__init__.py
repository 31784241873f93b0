"""The definition of the LSTM and the plain RNN, forward and backward: NumPy, one formula per line, never optimized.

    i = sigmoid(pre_i)         input gate
    f = sigmoid(pre_f)         forget gate
    g = tanh(pre_g)            cell candidate
    o = sigmoid(pre_o)         output gate
    c = f * c_prev + i * g     cell state, the long-term memory
    h = o * tanh(c)            hidden state, the short-term memory

where pre_i, pre_f, pre_g and pre_o are the four slices of H columns of

    pre = x W_ih^T + b_ih + h_prev W_hh^T + b_hh

(Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000; names, shapes and gate order as in PyTorch). Each variant
changes one of these lines, and all variants can be combined:

    recurrent dropout    (h_prev * recurrent_mask) W_hh^T                   one mask for all steps
    layer norm           norm(x W_ih^T) * norm_ih_weight                    over all 4H columns
                         norm(h_prev W_hh^T) * norm_hh_weight               over all 4H columns
                         tanh(norm(c) * norm_c_weight + norm_c_bias)
    peepholes            pre_i + p_i * c_prev, pre_f + p_f * c_prev         p = weight_peephole
                         pre_o + p_o * c
    gate_clip            pre_i, pre_f, pre_g, pre_o clipped to [-gate_clip, gate_clip], after the peepholes
    activations          replace sigmoid (recurrent_activation), the tanh of pre_g (activation) and the tanh of c
                         (cell_activation)
    coupled_gates        f = 1 - i                                          pre_f is ignored
    cell_clip            c clipped to [-cell_clip, cell_clip]
    projection           h = (o * tanh(c)) W_hr^T
    zoneout              c = c_prev where zoneout_c_mask, h = h_prev where zoneout_h_mask, after all the others

Lengths, resets and a learned initial state apply to the sequence as a whole: see lstm_forward. x may also be symbols,
integers (T,B): the column W_ih[:, x] then takes the place of x W_ih^T, as for one-hot vectors.

Sizes: T steps, B batch, I input, H hidden, R columns of h (H without projection), L layers, D directions. d_<name> is
the gradient of the loss with respect to <name>. Everything works in float32, float64 and complex128. Nothing conjugates
a number or compares imaginary parts, so that complex-step differentiation works: after a tiny imaginary step in an
argument, the imaginary parts of the results are derivatives. Tapes refer to their arrays and do not copy them.

    _types.py           type aliases
    gates.py            the gate order i, f, g, o
    activations.py      ONNX's eleven activation functions and their derivatives
    operations.py       operations that variants add to a step: clipping, peepholes, layer norm, projection, zoneout
    cell.py             one step: the lines above, forward and backward
    tapes.py            results of forward and backward passes
    _sequence.py        argument checks, lengths, resets, initial states, directions
    lstm.py             one layer of an LSTM in one direction
    rnn.py              one layer of a plain RNN in one direction
    stack.py            layers and directions
    float32.py          float32 arithmetic with the rounding of the kernels: each operation is rounded once
    formats.py          bfloat16 and int8: rounding, products
    quantized_cell.py   a step with the rounding of the kernels
    quantized_layer.py  a layer with it, and its tape
    quantized.py        a layer in each format: float32, bfloat16, int8
    quantized_stack.py  layers and directions in each format
    float32_slopes.py   derivatives of the activations with the rounding of the kernels
    bfloat16_cell.py    training in bfloat16: a backward step
    bfloat16_sums.py    training in bfloat16: the gradients of the parameters
    bfloat16_layer.py   training in bfloat16: a layer, forward with a tape and backward
    bfloat16_stack.py   training in bfloat16: layers and directions
    masks.py            dropout, recurrent dropout and zoneout masks from counter-based random numbers
    losses.py           exp, log, sums and the losses of classes, each operation in a fixed order

Each module uses only those above it.
"""

from .activations import ACTIVATIONS, Activation, activation, sigmoid
from .bfloat16_layer import BFloat16Tape, lstm_backward_bfloat16, lstm_tape_bfloat16
from .bfloat16_stack import BFloat16StackTape, stack_backward_bfloat16, stack_tape_bfloat16
from .formats import (
    QuantizedRows,
    from_bfloat16,
    quantize_hidden,
    quantize_inputs,
    quantize_rows,
    round_bfloat16,
    to_bfloat16,
)
from .gates import GATES, gate_rows
from .lstm import lstm_backward, lstm_forward
from .masks import dropout_mask, philox4x32, recurrent_dropout_mask, zoneout_mask
from .quantized import lstm_forward_bfloat16, lstm_forward_bfloat16_amx, lstm_forward_float32, lstm_forward_int8
from .quantized_cell import exact_activation
from .quantized_stack import quantized_forward
from .rnn import NONLINEARITIES, rnn_backward, rnn_forward
from .stack import DIRECTIONS, StackTape, stack_backward, stack_forward
from .tapes import LSTMGradients, LSTMTape, RNNGradients, RNNTape

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
    "lstm_forward_float32",
    "lstm_forward_bfloat16",
    "lstm_forward_bfloat16_amx",
    "lstm_forward_int8",
    "quantized_forward",
    "lstm_tape_bfloat16",
    "lstm_backward_bfloat16",
    "stack_tape_bfloat16",
    "stack_backward_bfloat16",
    "BFloat16Tape",
    "BFloat16StackTape",
    "QuantizedRows",
    "to_bfloat16",
    "from_bfloat16",
    "round_bfloat16",
    "quantize_rows",
    "quantize_hidden",
    "quantize_inputs",
    "exact_activation",
    "GATES",
    "ACTIVATIONS",
    "NONLINEARITIES",
    "DIRECTIONS",
    "Activation",
    "activation",
    "sigmoid",
    "gate_rows",
    "philox4x32",
    "dropout_mask",
    "recurrent_dropout_mask",
    "zoneout_mask",
]
