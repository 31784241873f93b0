"""Live sequences: their state is kept inside, and each step or block of steps moves it on."""

from collections import namedtuple
from functools import wraps

import numpy as np

from . import _arguments, _core, _threads

Snapshot = namedtuple("Snapshot", "h c")
Snapshot.__doc__ = """The state of a Stream at one moment, (num_layers, B, H) each; c is None for a plain RNN."""


def _default_threads():
    return _threads.resolve(None)


def _exclusive(method):
    """A method that no other thread may interleave with: a RuntimeError for the second one."""

    @wraps(method)
    def call(self, *args, **kwargs):
        self._claim()
        try:
            return method(self, *args, **kwargs)
        finally:
            self._release()

    return call


class Stream(_core.Stepper):
    """B live sequences of one LSTM or RNN (one direction), made by its stream(batch_size).

        h = s.step(x_t)        one step: (I,) or (B, I) -> (R,) or (B, R), R = proj_size or H
        y = s.block(x)         many steps: (T, I) or (T, B, I) -> (T, R) or (T, B, R)

    Sequences begin with the learned initial state of the network, or zero. Any number of them is one step of the batch;
    add() takes in more, reset() begins some anew, snapshot() and restore() go back, and a stream can be pickled.

    Steps, blocks and the call of the whole sequence give the same bits however they are mixed. A step allocates nothing
    but its result (and not that, given out=) and starts no thread unless it is long. The stream keeps the weights that it
    was made with until refresh(). Two threads must not move one stream at once; different streams may share a network.
    """

    def __init__(self, module, batch_size=1):
        batch_size = _arguments.positive_integer("batch_size", batch_size)
        if module.bidirectional:
            raise ValueError(
                "a stream needs a network of one direction: the second one begins at the end of the sequence"
            )
        self.module = module
        super().__init__(module._version, batch_size, self._read_step, _default_threads)
        self.reset()

    def _read_step(self, x):
        x = _arguments.real_array("x", x, self.h.dtype)
        I, B = self.module.input_size, self.batch_size
        if x.shape != (B, I) and (B > 1 or x.shape != (I,)):
            words = f"(B, I) = ({B}, {I})" + (f" or (I,) = ({I},)" if B == 1 else "")
            raise ValueError(f"x must have shape {words}, got {x.shape}")
        return np.ascontiguousarray(x)

    def block(self, x, *, num_threads=None):
        """Many steps in one call: x (T, B, I), or (T, I) if there is one sequence; returns h of the last layer at each."""
        short = self._short_block(x) if num_threads is None else None
        return self._any_block(x, num_threads) if short is None else short

    @_exclusive
    def _any_block(self, x, num_threads):
        x = _arguments.real_array("x", x, self.h.dtype)
        I, B = self.module.input_size, self.batch_size
        if x.ndim < 2 or (x.shape[1:] != (B, I) and (B > 1 or x.shape[1:] != (I,))):
            words = f"(T, B, I) = (T, {B}, {I})" + (f" or (T, I) = (T, {I})" if B == 1 else "")
            raise ValueError(f"x must have shape {words}, got {x.shape}")
        output = np.empty((len(x), B, self.module.h_size), self.h.dtype)
        h_n, c_n = np.empty_like(self.h), None if self.c is None else np.empty_like(self.c)
        steps = _arguments.sequence(x if x.ndim == 3 else x[:, None])
        self.weights.forward(steps, self.h, self.c, output, h_n, c_n, None, _threads.resolve(num_threads))
        self._set_state(h_n, c_n)
        return output if x.ndim == 3 else output[:, 0]

    @property
    @_exclusive
    def state(self):
        """A copy of the state: (h, c) of an LSTM, h of a plain RNN, each (num_layers, B, H). Can be set."""
        return self.h.copy() if self.c is None else (self.h.copy(), self.c.copy())

    @state.setter
    @_exclusive
    def state(self, value):
        if self.c is not None and (not isinstance(value, (tuple, list)) or len(value) != 2):
            raise TypeError(f"state must be a pair (h, c), got {type(value).__name__}")
        values = [value] if self.c is None else value
        owns = [own for own in (self.h, self.c) if own is not None]
        h, *c = [
            _arguments.shaped(name, _arguments.real_array(name, array, own.dtype), own.shape, "(num_layers, B, size)")
            for name, array, own in zip("hc", values, owns)
        ]
        self._set_state(h.copy(), c[0].copy() if c else None)

    def _start(self, live, rows=slice(None)):
        """Copies of the h and c of live sequences, in which these rows are in their initial state."""
        h, c = live.h.copy(), None if live.c is None else live.c.copy()
        for name, own in (("h_0", h), ("c_0", c)):
            for layer in range(self.module.num_layers if own is not None else 0):
                own[layer, rows] = live.version.views.get(f"{name}{self.module.parameter_suffixes[layer]}", 0)
        return h, c

    def _boolean(self, mask, words=""):
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (self.batch_size,):
            raise ValueError(
                f"mask must be boolean of shape (B,) = ({self.batch_size},){words}, got {mask.dtype} {mask.shape}"
            )
        return mask

    @_exclusive
    def reset(self, mask=None):
        """Returns to the learned initial state, or zero: all sequences, or those where mask (B,) is True."""
        self._set_state(*self._start(self._live, slice(None) if mask is None else self._boolean(mask)))

    @_exclusive
    def add(self, n=1):
        """Appends n sequences in their initial state. Returns the new batch size."""
        old = self._live
        new = _core.Live(old.version, old.batch_size + _arguments.positive_integer("n", n))
        for to, start, own in zip((new.h, new.c), self._start(new), (old.h, old.c)):
            if own is not None:
                to[...] = start
                to[:, : old.batch_size] = own
        self._install(new)
        return new.batch_size

    @_exclusive
    def remove(self, mask):
        """Removes the sequences where mask (B,) is True; the rest keep their state. Returns the new batch size."""
        mask = self._boolean(mask, " and leave a sequence")
        if mask.all():
            raise ValueError(f"mask must leave a sequence, got {len(mask)} True")
        old = self._live
        new = _core.Live(old.version, int((~mask).sum()))
        for to, own in zip((new.h, new.c), (old.h, old.c)):
            if own is not None:
                to[...] = own[:, ~mask]
        self._install(new)
        return new.batch_size

    @_exclusive
    def snapshot(self):
        """The state of now, for restore()."""
        return Snapshot(self.h.copy(), None if self.c is None else self.c.copy())

    def restore(self, snapshot):
        """Goes back to the state of a snapshot, also one of another stream of the same sizes."""
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"snapshot must come from snapshot(), got {type(snapshot).__name__}")
        self.state = snapshot.h if self.c is None else tuple(snapshot)

    def refresh(self):
        """Continues with the weights that the network has now; the state stays. Any thread may call it at any time: a step
        that runs meanwhile ends on the old weights."""
        self.use_version(self.module._version)

    @_exclusive
    def __reduce__(self):
        live = self._live
        snapshot = Snapshot(live.h.copy(), None if live.c is None else live.c.copy())
        return _restored, (self.module, live.batch_size, live.version.flat.copy(), snapshot)

    def __repr__(self):
        return f"<Stream of {self.batch_size} live sequence{'s' * (self.batch_size > 1)} of {self.module!r}>"


def _restored(module, batch_size, flat, snapshot):
    """A pickled stream, on the weights that it ran with."""
    stream = Stream(module, batch_size)
    stream.use_version(module._make_version(flat))
    stream.restore(snapshot)
    return stream
