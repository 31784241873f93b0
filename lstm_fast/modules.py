"""The layers: LSTM, RNN and LSTMCell. Parameters, states and shapes; the numbers come from the core."""
import warnings
from collections import namedtuple
from collections.abc import Mapping
from contextlib import contextmanager
from itertools import accumulate
from math import prod
from numbers import Real

import numpy as np

from . import _arguments, _core, _network, _threads
from ._parameters import EditableParameters, Gradients, Version
from .streaming import Stream

Trace = namedtuple("Trace", "i f g o c h")
Trace.__doc__ = """What happened inside, each (L, D, T, B, H): gates i, f, g, o, cell state c and output h of every step."""


class _Recurrent:
    """Parameters and shapes of a stack of layers and directions; what LSTM, RNN and LSTMCell share."""

    _n_gates = 4
    _has_c = True

    def _set_up(self, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, seed):
        self.input_size = _arguments.positive_integer("input_size", input_size)
        self.hidden_size = _arguments.positive_integer("hidden_size", hidden_size)
        self.num_layers = _arguments.positive_integer("num_layers", num_layers, most=10_000)
        self.bias = _arguments.flag("bias", bias)
        self.batch_first = _arguments.flag("batch_first", batch_first)
        self.dropout = _arguments.probability("dropout", dropout)
        self.bidirectional = _arguments.flag("bidirectional", bidirectional)
        self.dtype = _arguments.floating_dtype(dtype)
        self.seed = seed
        try:
            self._rng = np.random.default_rng(seed)
        except (TypeError, ValueError) as error:
            raise type(error)(f"seed must be a non-negative integer or None, got {seed!r} ({error})") from None
        self._shapes = self._parameter_shapes()
        ends = list(accumulate(prod(shape) for shape in self._shapes.values()))
        self._places = [(name, slice(end - prod(shape), end), shape)
                        for (name, shape), end in zip(self._shapes.items(), ends, strict=True)]
        if self.dropout and self.num_layers == 1:
            warnings.warn("dropout acts between layers: with num_layers=1 it does nothing", stacklevel=3)
        bound = self.hidden_size ** -0.5
        self._install(self._rng.uniform(-bound, bound, ends[-1]).astype(self.dtype))

    # ---- parameters ----

    @property
    def _n_directions(self):
        return 1 + self.bidirectional

    def _suffixes(self):
        """Endings of the parameter names, layer by layer, forward direction first."""
        return [f"_l{layer}{reverse}" for layer in range(self.num_layers)
                for reverse in ("", "_reverse")[:self._n_directions]]

    def _parameter_shapes(self):
        G, H, shapes = self._n_gates * self.hidden_size, self.hidden_size, {}
        for k, suffix in enumerate(self._suffixes()):
            I = self.input_size if k < self._n_directions else self._n_directions * H
            shapes["weight_ih" + suffix] = (G, I)
            shapes["weight_hh" + suffix] = (G, H)
            if self.bias:
                shapes["bias_ih" + suffix] = shapes["bias_hh" + suffix] = (G,)
        return shapes

    def _views(self, flat):
        return {name: flat[place].reshape(shape) for name, place, shape in self._places}

    def _by_direction(self, views, names):
        """Tuples of the named parameters, one for each layer and direction; None where there is no bias."""
        return [tuple(views.get(name + suffix) for name in names) for suffix in self._suffixes()]

    def _install(self, flat):
        """Makes a new version of the parameters. Running calls end on the version they began with."""
        views = self._views(flat)
        arrays = self._by_direction(views, ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        weights = _core.Weights(self._cell_name(), self.dtype, self.input_size, self.hidden_size, self.num_layers,
                                self._n_directions, arrays)
        self._version = Version(flat, views, weights)

    def parameters(self):
        """Dict from PyTorch's parameter names to read-only arrays, which show the version of now and never change."""
        return dict(self._version.views)

    @property
    def flat_parameters(self):
        """The read-only contiguous buffer behind parameters(), in their order."""
        return self._version.flat

    @contextmanager
    def edit(self):
        """`with module.edit() as p:` p[name] are arrays to write into. Leaving the block makes the new version; an
        exception inside it leaves the parameters as they were."""
        flat = self._version.flat.copy()
        yield EditableParameters(flat, self._views(flat))
        self._install(flat.copy())  # a copy: who kept an array of p can no longer reach the parameters

    def state_dict(self):
        """Copies of the parameters under PyTorch's names."""
        return {name: view.copy() for name, view in self._version.views.items()}

    def load_state_dict(self, state_dict):
        """Takes arrays (or anything NumPy reads) under PyTorch's names. All names and shapes must fit, or nothing changes."""
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a mapping from names to arrays, got {type(state_dict).__name__}")
        missing = [name for name in self._shapes if name not in state_dict]
        unexpected = [str(name) for name in state_dict if name not in self._shapes]
        if missing or unexpected:
            raise ValueError("state_dict must have the keys of parameters(): "
                             f"missing {missing or 'none'}, unexpected {unexpected or 'none'}")
        with self.edit() as p:
            for name in self._shapes:
                p[name] = state_dict[name]

    # ---- calls ----

    def _read_x(self, x):
        """x as (T, B, I), and whether it came without a batch axis."""
        x = _arguments.real_array("x", x, self.dtype)
        words = "(B, T, I)" if self.batch_first else "(T, B, I)"
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ValueError(f"x must have shape {words} or, unbatched, (T, I), with I = input_size = {self.input_size}, "
                             f"got {x.shape}")
        if x.ndim == 2:
            return x[:, None], True
        return x.swapaxes(0, 1) if self.batch_first else x, False

    def _read_lengths(self, lengths, is_unbatched):
        return [lengths] if is_unbatched and np.ndim(lengths) == 0 and lengths is not None else lengths

    def _read_state(self, name, value, B, is_unbatched):
        n, H = self.num_layers * self._n_directions, self.hidden_size
        if is_unbatched:
            state = _network.optional_state(name, value, self.dtype, (n, H), "(num_layers * D, H)")
            return None if state is None else state[:, None]
        return _network.optional_state(name, value, self.dtype, (n, B, H), "(num_layers * D, B, H)")

    def _read_states(self, state, B, is_unbatched, names):
        """(h, c) of an LSTM, h of a plain RNN; the whole or each part may be None."""
        if not self._has_c:
            return self._read_state(names[0], state, B, is_unbatched), None
        if state is None:
            state = None, None
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise TypeError(f"state must be a pair ({names[0]}, {names[1]}), got {type(state).__name__}")
        return tuple(self._read_state(name, value, B, is_unbatched) for name, value in zip(names, state))

    def _give(self, sequence, is_unbatched):
        """A sequence (T, B, n) in the caller's shape."""
        if is_unbatched:
            return sequence[:, 0]
        return sequence.swapaxes(0, 1) if self.batch_first else sequence

    def _give_states(self, h, c, is_unbatched):
        if is_unbatched:
            h, c = h[:, 0], None if c is None else c[:, 0]
        return (h, c) if self._has_c else h

    def _form(self):
        """What a tape must come from to be this module's: the same kind of cell and the same sizes."""
        return self._cell_name(), self.dtype, self.batch_first, self._shapes

    def _run(self, x, state, keep, dropout, num_threads, lengths=None):
        x, is_unbatched = self._read_x(x)
        h_0, c_0 = self._read_states(state, x.shape[1], is_unbatched, ("h_0", "c_0"))
        dropout = dropout if self.num_layers > 1 else 0.0
        seed = int(self._rng.integers(2**64, dtype=np.uint64)) if dropout else 0
        output, h_n, c_n, tape = _network.forward(
            self._version.weights, x, h_0, c_0, hidden_size=self.hidden_size,
            n_states=self.num_layers * self._n_directions, n_directions=self._n_directions, has_c=self._has_c, keep=keep,
            num_threads=_threads.resolve(num_threads), form=(self._form(), is_unbatched), batch_first=self.batch_first,
            dropout=dropout, seed=seed, lengths=self._read_lengths(lengths, is_unbatched))
        return self._give(output, is_unbatched), self._give_states(h_n, c_n, is_unbatched), tape

    def __call__(self, x, state=None, *, lengths=None, num_threads=None):
        """Inference: runs the sequence and keeps nothing for backward; dropout is off.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size); (B, T, input_size) if batch_first; (T, input_size) unbatched
            Any real dtype and any strides; converted to the dtype of the module. T and B may be 0.
        state : initial state, None for zero: (h_0, c_0) of an LSTM, h_0 of a plain RNN, each of shape
            (num_layers * D, B, H), never batch-first, or (num_layers * D, H) unbatched
        lengths : integers of shape (B,) from 0 to T, in any order; None: all T
            Steps from lengths[b] on are padding of sequence b: never looked at, not computed, and zero in the output. Its
            last state is that after its last step, and the reverse direction begins there. Sequences cost what they
            are long, whatever the order.
        num_threads : int, optional
            At most so many threads; the bits of the result do not depend on it.

        Returns
        -------
        output : ndarray of shape (T, B, D * H), or batch-first or unbatched as x is: h of the last layer at every step
        state : last state, in the form of the initial state

        Raises
        ------
        ValueError, TypeError
            For a shape or a dtype that does not fit; the message names the argument.
        """
        output, state, _ = self._run(x, state, False, 0.0, num_threads, lengths)
        return output, state

    def forward(self, x, state=None, *, lengths=None, training=True, num_threads=None):
        """As a plain call, but keeps what backward needs: returns (output, state, tape).

        With training=True dropout is on, with masks drawn from the module's seed. Do not change x before backward.
        """
        dropout = self.dropout if _arguments.flag("training", training) else 0.0
        return self._run(x, state, True, dropout, num_threads, lengths)

    def backward(self, tape, d_output, d_state=None, *, num_threads=None):
        """Backpropagation through time.

        Parameters
        ----------
        tape : from forward. It is not used up, and it remembers the parameters that forward ran with.
        d_output : gradient of the loss with respect to output, in its shape; None for zero. Not looked at in padding,
            where d_x is zero.
        d_state : gradients with respect to the last state, (d_h_n, d_c_n) or d_h_n; each may be None for zero

        Returns
        -------
        Gradients : d_x, d_h_0, d_c_0 as attributes, parameters by name, all in one buffer: flat
        """
        if not isinstance(tape, _network.Tape) or tape._form is None or tape._form[0] != self._form():
            raise TypeError(f"tape must come from forward of this module, got {type(tape).__name__}"
                            + (" of another" if isinstance(tape, _network.Tape) else ""))
        is_unbatched, (T, B) = tape._form[1], (tape.steps, tape.batch_size)
        d_h_n, d_c_n = self._read_states(d_state, B, is_unbatched, ("d_h_n", "d_c_n"))
        if d_output is not None:
            W = self._n_directions * self.hidden_size
            shape = (T, W) if is_unbatched else (B, T, W) if self.batch_first else (T, B, W)
            d_output = _arguments.real_array("d_output", d_output, self.dtype)
            _arguments.shaped("d_output", d_output, shape, "of the output")
            d_output = d_output[:, None] if is_unbatched else d_output.swapaxes(0, 1) if self.batch_first else d_output
        flat = np.empty_like(self._version.flat)
        views = self._views(flat)
        d_x, d_h_0, d_c_0 = _network.backward(
            tape, d_output, d_h_n, d_c_n, gradients=self._by_direction(views, ("weight_ih", "weight_hh", "bias_ih")),
            n_states=self.num_layers * self._n_directions, hidden_size=self.hidden_size, has_c=self._has_c,
            num_threads=_threads.resolve(num_threads), batch_first=self.batch_first)
        for d_bias_ih, d_bias_hh in self._by_direction(views, ("bias_ih", "bias_hh")) if self.bias else ():
            d_bias_hh[...] = d_bias_ih
        if is_unbatched:
            d_h_0, d_c_0 = d_h_0[:, 0], None if d_c_0 is None else d_c_0[:, 0]
        return Gradients(self._give(d_x, is_unbatched), d_h_0, d_c_0, flat, views)

    def stream(self, batch_size=1):
        """Live sequences with their state kept inside: see streaming.Stream. One direction only."""
        return Stream(self, batch_size)

    # ---- objects ----

    _defaults = {"num_layers": 1, "nonlinearity": "tanh", "bias": True, "batch_first": False, "dropout": 0.0,
                 "bidirectional": False, "dtype": np.dtype(np.float32), "forget_bias": None}

    def __repr__(self):
        options = [f"{name}={value.name if name == 'dtype' else repr(value)}" for name, default in self._defaults.items()
                   if (value := getattr(self, name, default)) != default]
        return f"{type(self).__name__}({', '.join([str(self.input_size), str(self.hidden_size), *options])})"

    def __getstate__(self):
        state = self.__dict__.copy()
        state["_version"] = self._version.flat.copy()
        return state

    def __setstate__(self, state):
        flat = state.pop("_version")
        self.__dict__.update(state)
        self._install(flat)


class LSTM(_Recurrent):
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

    Notes
    -----
    Parameters, for layer k: weight_ih_l{k} (4H, I), weight_hh_l{k} (4H, H), bias_ih_l{k}, bias_hh_l{k} (4H), each with
    _reverse for the second direction; rows in the order i, f, g, o.

    The bits of results and gradients do not depend on threads, on the split of the batch (each sequence alone gives the
    same) or on how a sequence is cut into calls. Any number of Python threads may use one object; weights changed
    meanwhile give the old result or the new one, never a mixture.
    """

    def __init__(self, input_size, hidden_size, num_layers=1, *, bias=True, batch_first=False, dropout=0.0,
                 bidirectional=False, dtype=np.float32, seed=None, forget_bias=None):
        self._set_up(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, seed)
        self.forget_bias = forget_bias
        if forget_bias is not None:
            if not isinstance(forget_bias, Real) or isinstance(forget_bias, bool):
                raise ValueError(f"forget_bias must be a number or None, got {forget_bias!r}")
            if not bias:
                raise ValueError("forget_bias must be None with bias=False")
            forget = slice(self.hidden_size, 2 * self.hidden_size)
            with self.edit() as p:
                for suffix in self._suffixes():
                    p["bias_ih" + suffix][forget], p["bias_hh" + suffix][forget] = forget_bias, 0

    def _cell_name(self):
        return "lstm"

    def trace(self, x, state=None, *, lengths=None, num_threads=None):
        """Looks inside: runs x as a plain call does and returns a Trace of i, f, g, o, c and h of every step.

        Each has the shape (num_layers, D, T, B, H) whatever batch_first is; unbatched input counts as B = 1. Steps are
        in the order of time, also in the reverse direction, and zero in the padding behind lengths.
        """
        _, _, tape = self._run(x, state, True, 0.0, num_threads, lengths)
        L, D, H = self.num_layers, self._n_directions, self.hidden_size
        trace = Trace(*np.zeros((6, L, D, tape.steps, tape.batch_size, H), self.dtype))
        for layer in range(L):
            for direction in range(D):
                gates, c, h = tape.look(layer, direction)
                for r, (row, n) in enumerate(tape.rows()):
                    in_time = slice(n - 1, None, -1) if direction and n else slice(n)
                    for k, values in enumerate((trace.i, trace.f, trace.g, trace.o)):
                        values[layer, direction, :n, row] = gates[:n, r, k][in_time]
                    trace.c[layer, direction, :n, row] = c[1:n + 1, r][in_time]
                    trace.h[layer, direction, :n, row] = h[:n, r, direction * H:(direction + 1) * H]
        return trace


    def quantized(self, number="float16"):
        """An inference-only copy with fewer bytes per weight: see quantized.QuantizedLSTM for what it is good for."""
        from .quantized import QuantizedLSTM
        return QuantizedLSTM(self, number)


class RNN(_Recurrent):
    """Plain recurrent network, h = nonlinearity(x W_ih^T + b_ih + h_prev W_hh^T + b_hh); otherwise as LSTM.

    nonlinearity : "tanh", "relu" or "identity"

    Its state is h alone: output, h_n = rnn(x, h_0). Its weights have H rows where an LSTM's have 4H.
    """

    _n_gates = 1
    _has_c = False

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", *, bias=True, batch_first=False,
                 dropout=0.0, bidirectional=False, dtype=np.float32, seed=None):
        if nonlinearity not in ("tanh", "relu", "identity"):
            raise ValueError(f"nonlinearity must be tanh, relu or identity, got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        self._set_up(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, seed)

    def _cell_name(self):
        return self.nonlinearity


class LSTMCell(_Recurrent):
    """One step of an LSTM: h, c = cell(x_t, (h, c)). Parameters weight_ih, weight_hh, bias_ih, bias_hh, as in PyTorch.

    x_t : (B, input_size) or (input_size,); states (B, H) or (H,), None for zero. For many steps LSTM is much faster.
    """

    def __init__(self, input_size, hidden_size, bias=True, *, dtype=np.float32, seed=None):
        self._set_up(input_size, hidden_size, 1, bias, False, 0.0, False, dtype, seed)

    def _cell_name(self):
        return "lstm"

    def _suffixes(self):
        return [""]

    def _read_x(self, x):
        x = _arguments.real_array("x", x, self.dtype)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(f"x must have shape (B, I) or (I,), with I = input_size = {self.input_size}, got {x.shape}")
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
        return self._run(x, state, False, 0.0, num_threads)[1]

    def forward(self, x, state=None, *, num_threads=None):
        """((h, c), tape): the step, and what backward needs of it."""
        return self._run(x, state, True, 0.0, num_threads)[1:]

    def backward(self, tape, d_state, *, num_threads=None):
        """Gradients from (d_h, d_c), the gradients with respect to the new state; each may be None for zero."""
        gradients = super().backward(tape, None, d_state, num_threads=num_threads)
        gradients.d_h_0, gradients.d_c_0 = gradients.d_h_0[0], gradients.d_c_0[0]
        return gradients
