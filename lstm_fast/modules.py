"""The layers: LSTM, RNN and LSTMCell. What they share is in _recurrent.py; the numbers come from the core."""

from collections import namedtuple
from numbers import Real

import numpy as np

from . import _arguments, _network, _variants
from ._recurrent import Recurrent

Trace = namedtuple("Trace", "i f g o c h")
Trace.__doc__ = """What happened inside, each (L, D, T, B, H), h (L, D, T, B, R): gates i, f, g, o, cell state c and output h of
every step."""


class _LSTM(Recurrent):
    """What makes the cell of LSTM and LSTMCell."""

    def _set_cell(
        self,
        peepholes,
        layer_norm,
        coupled_gates,
        cell_clip,
        gate_clip,
        activation,
        recurrent_activation,
        cell_activation,
    ):
        """Attributes of the cell; returns them as the core takes them."""
        self.peepholes, self.layer_norm = (
            _arguments.flag("peepholes", peepholes),
            _arguments.flag("layer_norm", layer_norm),
        )
        self.coupled_gates = _arguments.flag("coupled_gates", coupled_gates)
        self.cell_clip, self.gate_clip = _variants.clip("cell_clip", cell_clip), _variants.clip("gate_clip", gate_clip)
        self.activation, self.recurrent_activation, self.cell_activation = (
            activation,
            recurrent_activation,
            cell_activation,
        )
        return {
            "peepholes": self.peepholes,
            "layer_norm": self.layer_norm,
            "coupled_gates": self.coupled_gates,
            "cell_clip": self.cell_clip or 0,
            "gate_clip": self.gate_clip or 0,
            **{name: _variants.activation(name, getattr(self, name)) for name in _variants.PLAIN},
        }

    def _set_forget_bias(self, forget_bias):
        self.forget_bias = forget_bias
        if forget_bias is None:
            return
        if not isinstance(forget_bias, Real) or isinstance(forget_bias, bool):
            raise ValueError(f"forget_bias must be a number or None, got {forget_bias!r}")
        if not self.bias:
            raise ValueError("forget_bias must be None with bias=False")
        if self.coupled_gates:
            raise ValueError("forget_bias must be None with coupled_gates=True: f = 1 - i has no bias of its own")
        forget = slice(self.hidden_size, 2 * self.hidden_size)
        with self.edit() as p:
            for suffix in self._suffixes():
                p["bias_ih" + suffix][forget], p["bias_hh" + suffix][forget] = forget_bias, 0

    def _cell_name(self):
        return "lstm"


class LSTM(_LSTM):
    """Long short-term memory: layers and directions, in PyTorch's names, shapes and semantics.

        i, f, o = sigmoid(x W_ih^T + b_ih + h_prev W_hh^T + b_hh)      input, forget, output gate: own rows of W, b
        g       = tanh   (x W_ih^T + b_ih + h_prev W_hh^T + b_hh)      cell candidate
        c       = f * c_prev + i * g                                   long-term memory
        h       = o * tanh(c)                                          short-term memory

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
    bias : bool
    batch_first : bool
        Sequences are (B, T, features) instead of (T, B, features); states never are.
    dropout : float
        In training, the share of the outputs of each layer but the last that are set to zero (others: / (1 - dropout)).
    bidirectional : bool
        A second direction reads each sequence from its end; outputs are concatenated, forward direction first.
    dtype : float32 or float64
    seed : int, optional
        Of the initial parameters, uniform in +-1 / sqrt(hidden_size) as in PyTorch, and of the dropout masks.
    forget_bias : float, optional
        Start every forget gate with this bias (bias_ih; its bias_hh is 0) instead of the uniform one.
    proj_size : int
        P, 0 for none: h = (o * tanh(c)) W_hr^T, as in PyTorch. States and outputs of h have P numbers instead of H.
    peepholes : bool
        Gates see the cell state: p_i * c_prev is added to what i is the sigmoid of, p_f * c_prev to f's and p_o * c, the
        new state, to o's (p: weight_peephole; ONNX, Gers and Schmidhuber 2000).
    layer_norm : bool
        norm(x W_ih^T) * norm_ih_weight + norm(h_prev W_hh^T) * norm_hh_weight + biases, each norm over all 4H, and
        tanh(norm(c) * norm_c_weight + norm_c_bias): mean 0 and variance 1, with 1e-5 beside the variance (Ba et al. 2016,
        in the form of haste).
    coupled_gates : bool
        f = 1 - i (ONNX's input_forget). The rows of f stay in the parameters, without effect or gradient.
    cell_clip : float, optional
        c is kept within [-cell_clip, cell_clip] (TensorFlow, cuDNN).
    gate_clip : float, optional
        What the activations of i, f, g and o are given is kept within [-gate_clip, gate_clip] (ONNX's clip).
    activation, recurrent_activation, cell_activation : str or tuple
        Of g; of i, f and o; of c in h = o * tanh(c). ONNX's names in lower case, alone or (name, alpha) or
        (name, alpha, beta): tanh, sigmoid, relu, affine, leaky_relu, thresholded_relu, scaled_tanh, hard_sigmoid, elu,
        softsign, softplus; lstm_fast.reference has the formulas.
    recurrent_dropout : float
        In training, the share of h_prev that W_hh does not see, the same numbers at every step (others:
        / (1 - recurrent_dropout)), as in Keras.
    zoneout : float or (float, float)
        In training, the share of h and of c that keeps its old value at each step (Krueger et al. 2017); a pair: of h, of
        c. h is made from the c that was not kept. Inference is as without (no expectation is taken).
    learn_initial_state : bool
        Sequences that are given no state, and those that resets or a stream start anew, begin with parameters.

    Notes
    -----
    Parameters, for layer k: weight_ih_l{k} (4H, I), weight_hh_l{k} (4H, R), bias_ih_l{k}, bias_hh_l{k} (4H), and as the
    options have it weight_hr_l{k} (P, H), weight_peephole_l{k} (3H: i, f, o), norm_ih_weight_l{k}, norm_hh_weight_l{k}
    (4H), norm_c_weight_l{k}, norm_c_bias_l{k} (H), h_0_l{k} (R), c_0_l{k} (H), each with _reverse for the second direction;
    rows of gates in the order i, f, g, o; R is P with a projection, else H. Norm weights start with 1, norm_c_bias and the
    initial state with 0, all others uniform.

    All options go together, but forget_bias with coupled_gates, whose forget gate has no bias. lstm_fast.reference has
    one formula for each.

    The bits of results and gradients do not depend on threads, on the split of the batch (each sequence alone gives the
    same) or on how a sequence is cut into calls. Any number of Python threads may use one object; weights changed
    meanwhile give the old result or the new one, never a mixture.
    """

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        *,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        dtype=np.float32,
        seed=None,
        forget_bias=None,
        peepholes=False,
        layer_norm=False,
        coupled_gates=False,
        cell_clip=None,
        gate_clip=None,
        activation="tanh",
        recurrent_activation="sigmoid",
        cell_activation="tanh",
        recurrent_dropout=0.0,
        zoneout=0.0,
        learn_initial_state=False,
    ):
        hidden_size = _arguments.positive_integer("hidden_size", hidden_size)
        self.proj_size = _variants.projection(proj_size, hidden_size)
        self._set_training(recurrent_dropout, zoneout, learn_initial_state)
        cell = self._set_cell(
            peepholes,
            layer_norm,
            coupled_gates,
            cell_clip,
            gate_clip,
            activation,
            recurrent_activation,
            cell_activation,
        )
        self._set_up(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype,
            seed,
            proj_size=self.proj_size,
            **cell,
        )
        self._set_forget_bias(forget_bias)

    def trace(self, x, state=None, *, lengths=None, resets=None, num_threads=None):
        """Looks inside: runs x as a plain call does and returns a Trace of i, f, g, o, c and h of every step.

        Each has the shape (num_layers, D, T, B, H), h with a projection P for H, whatever batch_first is; unbatched input
        counts as B = 1. Steps are in the order of time, also in the reverse direction, and zero in the padding behind
        lengths.
        """
        _, _, tape = self._run(x, state, True, num_threads, lengths, resets)
        L, D, H, R = self.num_layers, self._n_directions, self.hidden_size, self.h_size
        shape = L, D, tape.steps, tape.batch_size
        trace = Trace(*np.zeros((5, *shape, H), self.dtype), h=np.zeros((*shape, R), self.dtype))
        for layer in range(L):
            for direction in range(D):
                gates, c, h = tape.look(layer, direction)
                for r, (row, n) in enumerate(tape.rows()):
                    in_time = slice(n - 1, None, -1) if direction and n else slice(n)
                    for k, values in enumerate((trace.i, trace.f, trace.g, trace.o)):
                        values[layer, direction, :n, row] = gates[:n, r, k][in_time]
                    trace.c[layer, direction, :n, row] = c[1 : n + 1, r][in_time]
                    trace.h[layer, direction, :n, row] = h[:n, r, direction * R : (direction + 1) * R]
        return trace

    def quantized(self, number="float16"):
        """An inference-only copy with fewer bytes per weight: see quantized.QuantizedLSTM for what it is good for."""
        from .quantized import QuantizedLSTM

        return QuantizedLSTM(self, number)


class RNN(Recurrent):
    """Plain recurrent network, h = nonlinearity(x W_ih^T + b_ih + h_prev W_hh^T + b_hh); otherwise as LSTM.

    nonlinearity : "tanh", "relu" or "identity"

    Its state is h alone: output, h_n = rnn(x, h_0). Its weights have H rows where an LSTM's have 4H. Of an LSTM's options it
    has recurrent_dropout, zoneout (of h) and learn_initial_state.
    """

    _n_gates = 1
    _has_c = False

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        nonlinearity="tanh",
        *,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        dtype=np.float32,
        seed=None,
        recurrent_dropout=0.0,
        zoneout=0.0,
        learn_initial_state=False,
    ):
        if nonlinearity not in ("tanh", "relu", "identity"):
            raise ValueError(f"nonlinearity must be tanh, relu or identity, got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        self._set_training(recurrent_dropout, zoneout, learn_initial_state)
        self._set_up(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, seed)

    def _cell_name(self):
        return self.nonlinearity


class LSTMCell(_LSTM):
    """One step of an LSTM: h, c = cell(x_t, (h, c)). Parameters weight_ih, weight_hh, bias_ih, bias_hh, as in PyTorch.

    x_t : (B, input_size) or (input_size,); states (B, H) or (H,), None for zero. For many steps LSTM is much faster.
    Peepholes, layer_norm, coupled_gates, clips, activations and forget_bias are those of LSTM.
    """

    _is_cell = True

    def __init__(
        self,
        input_size,
        hidden_size,
        bias=True,
        *,
        dtype=np.float32,
        seed=None,
        forget_bias=None,
        peepholes=False,
        layer_norm=False,
        coupled_gates=False,
        cell_clip=None,
        gate_clip=None,
        activation="tanh",
        recurrent_activation="sigmoid",
        cell_activation="tanh",
    ):
        cell = self._set_cell(
            peepholes,
            layer_norm,
            coupled_gates,
            cell_clip,
            gate_clip,
            activation,
            recurrent_activation,
            cell_activation,
        )
        self._set_up(input_size, hidden_size, 1, bias, False, 0.0, False, dtype, seed, **cell)
        self._set_forget_bias(forget_bias)

    def _suffixes(self):
        return [""]

    def _read_x(self, x):
        x = _arguments.real_array("x", x, self.dtype)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"x must have shape (B, I) or (I,), with I = input_size = {self.input_size}, got {x.shape}"
            )
        return x.reshape(1, -1, self.input_size), x.ndim == 1

    def _read_state(self, name, value, B, is_unbatched):
        shape, words = ((self.hidden_size,), "(H,)") if is_unbatched else ((B, self.hidden_size), "(B, H)")
        state = _network.optional_state(name, value, self.dtype, shape, words)
        return None if state is None else state.reshape(1, B, self.hidden_size)

    def _give(self, sequence, is_unbatched):
        return sequence[0, 0] if is_unbatched else sequence[0]

    def _give_states(self, h, c, is_unbatched):
        return (h[0, 0], c[0, 0]) if is_unbatched else (h[0], c[0])

    def __call__(self, x, state=None, *, num_threads=None):
        """(h, c) after the step."""
        return self._run(x, state, False, num_threads)[1]

    def forward(self, x, state=None, *, num_threads=None):
        """((h, c), tape): the step, and what backward needs of it."""
        return self._run(x, state, True, num_threads)[1:]

    def backward(self, tape, d_state, *, num_threads=None):
        """Gradients from (d_h, d_c), the gradients with respect to the new state; each may be None for zero."""
        gradients = super().backward(tape, None, d_state, num_threads=num_threads)
        gradients.d_h_0, gradients.d_c_0 = gradients.d_h_0[0], gradients.d_c_0[0]
        return gradients
