"""What LSTM, RNN and LSTMCell share: parameters, states and shapes of layers and directions."""

import copy
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from itertools import accumulate
from math import prod

import numpy as np

from . import _arguments, _core, _network, _parameters, _threads, _variants
from ._parameters import EditableParameters, Gradients, Version
from .streaming import Stream


class Recurrent:
    """A stack of layers and directions of some cell, which the subclass says."""

    _n_gates = 4
    _has_c = True
    _is_cell = False  # one step, without an axis of time
    proj_size = 0
    recurrent_dropout = 0.0
    zoneout = 0.0
    learn_initial_state = False

    def _set_up(
        self, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, seed, **cell
    ):
        """cell: options of _core.Weights; the attributes that say so to users are set before."""
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
        self._cell = cell
        self._shapes = self._parameter_shapes()
        self._names = [
            [name + suffix if name + suffix in self._shapes else None for name in _core.PARAMETERS]
            for suffix in self._suffixes()
        ]
        ends = list(accumulate(prod(shape) for shape in self._shapes.values()))
        self._places = [
            (name, slice(end - prod(shape), end), shape)
            for (name, shape), end in zip(self._shapes.items(), ends, strict=True)
        ]
        if self.dropout and self.num_layers == 1:
            warnings.warn("dropout acts between layers: with num_layers=1 it does nothing", stacklevel=3)
        bound = self.hidden_size**-0.5
        flat = self._rng.uniform(-bound, bound, ends[-1]).astype(self.dtype)
        for name, view in self._views(flat).items():
            kind = name.partition("_l")[0] if "_l" in name else name
            view[...] = _variants.STARTS.get(kind, view)
        self._install(flat)

    def _set_training(self, recurrent_dropout, zoneout, learn_initial_state):
        self.recurrent_dropout = _arguments.probability("recurrent_dropout", recurrent_dropout)
        _variants.zoneout(zoneout, self._has_c)
        self.zoneout = zoneout
        self.learn_initial_state = _arguments.flag("learn_initial_state", learn_initial_state)

    # ---- parameters ----

    @property
    def h_size(self):
        """R, the size of h: proj_size if there is a projection, else hidden_size."""
        return self.proj_size or self.hidden_size

    @property
    def _n_directions(self):
        return 1 + self.bidirectional

    def _suffixes(self):
        """Endings of the parameter names, layer by layer, forward direction first."""
        return [
            f"_l{layer}{reverse}"
            for layer in range(self.num_layers)
            for reverse in ("", "_reverse")[: self._n_directions]
        ]

    def _parameter_shapes(self):
        D = self._n_directions
        return {
            name + suffix: shape
            for k, suffix in enumerate(self._suffixes())
            for name, shape in _variants.parameter_shapes(self, self.input_size if k < D else D * self.h_size).items()
        }

    def _views(self, flat):
        return _parameters.views(flat, self._places)

    def _by_direction(self, views):
        """Tuples in the order of _core.PARAMETERS, one for each layer and direction; None for what there is not."""
        return [tuple(map(views.get, names)) for names in self._names]

    def _make_version(self, flat):
        views = self._views(flat)
        weights = _core.Weights(
            self._cell_name(),
            self.dtype,
            self.input_size,
            self.hidden_size,
            self.num_layers,
            self._n_directions,
            self._by_direction(views),
            flat=flat,
            **self._cell,
        )
        return Version(flat, views, weights)

    def _install(self, flat):
        """Makes a new version of the parameters. Running calls end on the version they began with."""
        self._version = self._make_version(flat)

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
        exception inside it leaves the parameters as they were, and so does a RuntimeError on leaving: the parameters were
        changed meanwhile, by another edit, load_state_dict or an optimizer step, which this one would undo."""
        old = self._version
        flat = old.flat.copy()
        yield EditableParameters(flat, self._places)
        new = self._make_version(flat.copy())  # a copy: references kept to arrays of p cannot modify the parameters
        if self._version is not old:
            raise RuntimeError(
                "the parameters were changed during this edit() block, which was therefore not applied: "
                "edits of one object must not overlap"
            )
        self._version = new

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
            raise ValueError(
                "state_dict must have the keys of parameters(): "
                f"missing {missing or 'none'}, unexpected {unexpected or 'none'}"
            )
        flat = np.empty_like(self._version.flat)
        p = EditableParameters(flat, self._places)
        for name in self._shapes:
            p[name] = state_dict[name]
        self._install(flat)

    # ---- calls ----

    def _read_x(self, x):
        """x as (T, B, I), and whether it came without a batch axis."""
        x = _arguments.real_array("x", x, self.dtype)
        words = "(B, T, I)" if self.batch_first else "(T, B, I)"
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"x must have shape {words} or, unbatched, (T, I), with I = input_size = {self.input_size}, "
                f"got {x.shape}"
            )
        if x.ndim == 2:
            return x[:, None], True
        return x.swapaxes(0, 1) if self.batch_first else x, False

    def _read_lengths(self, lengths, is_unbatched):
        return [lengths] if is_unbatched and np.ndim(lengths) == 0 and lengths is not None else lengths

    def _read_state(self, name, value, B, is_unbatched):
        n = self.num_layers * self._n_directions
        size, letter = (self.hidden_size, "H") if name[-3] == "c" or not self.proj_size else (self.proj_size, "P")
        if is_unbatched:
            state = _network.optional_state(name, value, self.dtype, (n, size), f"(num_layers * D, {letter})")
            return None if state is None else state[:, None]
        return _network.optional_state(name, value, self.dtype, (n, B, size), f"(num_layers * D, B, {letter})")

    def _read_states(self, state, B, is_unbatched, names):
        """(h, c) of an LSTM, h of a plain RNN; the whole or each part may be None."""
        if not self._has_c:
            return self._read_state(names[0], state, B, is_unbatched), None
        if state is None:
            return None, None
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
        return self._cell_name(), self.dtype, self.batch_first, self._shapes, self._cell

    def _training_run(self, training, lean):
        """What is drawn by chance in training, and with what seed."""
        dropout = self.dropout if training and self.num_layers > 1 else 0.0
        recurrent = self.recurrent_dropout if training else 0.0
        zoneout = _variants.zoneout(self.zoneout if training else 0.0, self._has_c)
        if not (dropout or recurrent or any(zoneout) or lean):
            return None
        has_masks = dropout or recurrent or any(zoneout)
        seed = int(self._rng.integers(2**64, dtype=np.uint64)) if has_masks else 0
        return _network.Run(dropout, recurrent, zoneout[0], zoneout[1] if self._has_c else 0.0, seed, lean)

    def _run(self, x, state, keep, num_threads, lengths=None, resets=None, training=False, lean=False):
        """output, the last state and, with keep, a tape; all arguments as the caller gave them."""
        if not keep and resets is None and num_threads is None:
            short = _core.infer(
                self._version.weights, x, state, lengths, self.batch_first, _threads.get_num_threads, self._is_cell
            )
            if short is not None:
                output, h_n, c_n = short
                return output, (h_n, c_n) if self._has_c else h_n, None
        x, is_unbatched = self._read_x(x)
        h_0, c_0 = self._read_states(state, x.shape[1], is_unbatched, ("h_0", "c_0"))
        output, h_n, c_n, tape = _network.forward(
            self._version.weights,
            x,
            h_0,
            c_0,
            keep=keep,
            num_threads=_threads.resolve(num_threads),
            form=(self._form(), is_unbatched),
            batch_first=self.batch_first,
            run=self._training_run(training, lean) if keep else None,
            lengths=self._read_lengths(lengths, is_unbatched),
            resets=_variants.read_resets(resets, *x.shape[:2], self.batch_first, is_unbatched),
        )
        return self._give(output, is_unbatched), self._give_states(h_n, c_n, is_unbatched), tape

    def __call__(self, x, state=None, *, lengths=None, resets=None, num_threads=None):
        """Inference: runs the sequence and keeps nothing for backward; dropout and zoneout are off.

        Parameters
        ----------
        x : array_like of shape (T, B, input_size); (B, T, input_size) if batch_first; (T, input_size) unbatched
            Any real dtype and any strides; converted to the dtype of the module. T and B may be 0.
        state : initial state, None for the learned one or zero: (h_0, c_0) of an LSTM, h_0 of a plain RNN, each of shape
            (num_layers * D, B, H), never batch-first, or (num_layers * D, H) unbatched; of h with a projection P for H
        lengths : integers of shape (B,) from 0 to T, in any order; None: all T
            Steps from lengths[b] on are padding of sequence b: never looked at, not computed, and zero in the output. Its
            last state is that after its last step, and the reverse direction begins there. Sequences cost what they
            are long, whatever the order.
        num_threads : int, optional
            At most so many threads; the bits of the result do not depend on it.

        Returns
        -------
        output : ndarray of shape (T, B, D * R), R = proj_size or H, or batch-first or unbatched as x is: h of the last layer at every step
        state : last state, in the form of the initial state

        Raises
        ------
        ValueError, TypeError
            For a shape or a dtype that does not fit; the message names the argument.
        """
        output, state, _ = self._run(x, state, False, num_threads, lengths, resets)
        return output, state

    def forward(self, x, state=None, *, lengths=None, resets=None, training=True, lean=False, num_threads=None):
        """As a plain call, but keeps what backward needs: returns (output, state, tape).

        With training=True dropout, recurrent dropout and zoneout are on, with masks drawn from the module's seed. Do not
        change x before backward.

        With lean=True the tape of an LSTM keeps h and c alone, a third of the memory, and backward makes the gates again
        chunk by chunk, with the same bits, which makes a training step a fifth to a third longer.
        """
        training, lean = _arguments.flag("training", training), _arguments.flag("lean", lean)
        return self._run(x, state, True, num_threads, lengths, resets, training, lean)

    def backward(self, tape, d_output, d_state=None, *, wants_x=True, norms=False, num_threads=None):
        """Backpropagation through time.

        Parameters
        ----------
        tape : from forward. It is not used up, and it remembers the parameters that forward ran with.
        d_output : gradient of the loss with respect to output, in its shape; None for zero. Not looked at in padding,
            where d_x is zero.
        d_state : gradients with respect to the last state, (d_h_n, d_c_n) or d_h_n; each may be None for zero

        wants_x : whether to compute d_x; a network that learns from data has no use for it, and without it (None) a
            training step is 5 to 15 % shorter
        norms : whether to measure how far gradients reach: d_h_norms and d_c_norms of the result are then float64 arrays
            (num_layers, D, T, B), the Euclidean length of the gradient with respect to h and c after each step, in the
            order of time: of all that reaches h_t, its share of d_output included, and of what later steps hand back
            to c_t. Steps take longer.

        Returns
        -------
        Gradients : d_x, d_h_0, d_c_0 as attributes, parameters by name, all in one buffer: flat. d_h_0 and d_c_0 are with
            respect to the state that the sequences began with, given or not.
        """
        if not isinstance(tape, _network.Tape) or tape._form is None or tape._form[0] != self._form():
            raise TypeError(
                f"tape must come from forward of this module, got {type(tape).__name__}"
                + (" of another" if isinstance(tape, _network.Tape) else "")
            )
        is_unbatched, (T, B) = tape._form[1], (tape.steps, tape.batch_size)
        d_h_n, d_c_n = self._read_states(d_state, B, is_unbatched, ("d_h_n", "d_c_n"))
        if d_output is not None:
            W = self._n_directions * self.h_size
            shape = (T, W) if is_unbatched else (B, T, W) if self.batch_first else (T, B, W)
            d_output = _arguments.real_array("d_output", d_output, self.dtype)
            _arguments.shaped("d_output", d_output, shape, "of the output")
            d_output = d_output[:, None] if is_unbatched else d_output.swapaxes(0, 1) if self.batch_first else d_output
        flat = np.empty_like(self._version.flat)
        of_steps = (
            np.zeros((2, self.num_layers * self._n_directions, T, B))
            if _arguments.flag("norms", norms)
            else (None, None)
        )
        d_x, d_h_0, d_c_0 = _network.backward(
            tape,
            d_output,
            d_h_n,
            d_c_n,
            gradients=flat,
            num_threads=_threads.resolve(num_threads),
            batch_first=self.batch_first,
            wants_x=_arguments.flag("wants_x", wants_x),
            norms=(of_steps[0], of_steps[1] if self._has_c else None),
        )
        if is_unbatched:
            d_h_0, d_c_0 = d_h_0[:, 0], None if d_c_0 is None else d_c_0[:, 0]
        gradients = Gradients(None if d_x is None else self._give(d_x, is_unbatched), d_h_0, d_c_0, flat, self._places)
        if norms:
            shape = self.num_layers, self._n_directions, T, B
            gradients.d_h_norms, gradients.d_c_norms = (
                of_steps[0].reshape(shape),
                of_steps[1].reshape(shape) if self._has_c else None,
            )
        return gradients

    def stream(self, batch_size=1):
        """Live sequences with their state kept inside: see streaming.Stream. One direction only."""
        return Stream(self, batch_size)

    # ---- objects ----

    _defaults = {
        "num_layers": 1,
        "nonlinearity": "tanh",
        "bias": True,
        "batch_first": False,
        "dropout": 0.0,
        "bidirectional": False,
        "proj_size": 0,
        "dtype": np.dtype(np.float32),
        "forget_bias": None,
        "peepholes": False,
        "layer_norm": False,
        "coupled_gates": False,
        "cell_clip": None,
        "gate_clip": None,
        **_variants.PLAIN,
        "recurrent_dropout": 0.0,
        "zoneout": 0.0,
        "learn_initial_state": False,
    }

    def __repr__(self):
        options = [
            f"{name}={value.name if name == 'dtype' else repr(value)}"
            for name, default in self._defaults.items()
            if (value := getattr(self, name, default)) != default
        ]
        return f"{type(self).__name__}({', '.join([str(self.input_size), str(self.hidden_size), *options])})"

    def __getstate__(self):
        state = self.__dict__.copy()
        state["_version"] = self._version.flat.copy()
        state["_rng"] = copy.deepcopy(self._rng)  # for copy.copy: two objects must not draw from one generator
        return state

    def __setstate__(self, state):
        flat = state.pop("_version")
        self.__dict__.update(state)
        self._install(flat)
