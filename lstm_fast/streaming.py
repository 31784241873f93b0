"""Live sequences: their state is kept inside, and each step or block of steps moves it on."""

from collections import namedtuple

import numpy as np

from . import _arguments, _core, _threads

Snapshot = namedtuple("Snapshot", "h c")
Snapshot.__doc__ = """The state of a Stream at one moment, (num_layers, B, H) each; c is None for a plain RNN."""


def _default_threads():
    return _threads.resolve(None)


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
        self.module, self._version = module, module._version
        super().__init__(module._version.weights, batch_size, self._read_step, _default_threads)
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
        if short is not None:
            return short
        x = _arguments.real_array("x", x, self.h.dtype)
        I, B = self.module.input_size, self.batch_size
        if x.ndim < 2 or (x.shape[1:] != (B, I) and (B > 1 or x.shape[1:] != (I,))):
            words = f"(T, B, I) = (T, {B}, {I})" + (f" or (T, I) = (T, {I})" if B == 1 else "")
            raise ValueError(f"x must have shape {words}, got {x.shape}")
        output = np.empty((len(x), B, self.module.h_size), self.h.dtype)
        self.weights.forward(
            _arguments.sequence(x if x.ndim == 3 else x[:, None]),
            self.h,
            self.c,
            output,
            self.h,
            self.c,
            None,
            _threads.resolve(num_threads),
        )
        return output if x.ndim == 3 else output[:, 0]

    @property
    def state(self):
        """A copy of the state: (h, c) of an LSTM, h of a plain RNN, each (num_layers, B, H). Can be set."""
        return self.h.copy() if self.c is None else (self.h.copy(), self.c.copy())

    @state.setter
    def state(self, value):
        if self.c is not None and (not isinstance(value, (tuple, list)) or len(value) != 2):
            raise TypeError(f"state must be a pair (h, c), got {type(value).__name__}")
        values = [value] if self.c is None else value
        owns = [own for own in (self.h, self.c) if own is not None]
        checked = [
            _arguments.shaped(name, _arguments.real_array(name, array, own.dtype), own.shape, "(num_layers, B, size)")
            for name, array, own in zip("hc", values, owns)
        ]
        for own, new in zip(owns, checked):
            own[...] = new

    def reset(self, mask=None):
        """Begins anew, from the learned initial state or zero: all sequences, or those where mask (B,) is true."""
        if mask is not None:
            mask = np.asarray(mask)
            if mask.dtype != bool or mask.shape != (self.batch_size,):
                raise ValueError(
                    f"mask must be boolean of shape (B,) = ({self.batch_size},), got {mask.dtype} {mask.shape}"
                )
        for name, own in (("h_0", self.h), ("c_0", self.c)):
            for layer in range(self.module.num_layers if own is not None else 0):
                first = self._version.views.get(f"{name}{self.module.parameter_suffixes[layer]}", 0)
                own[layer, slice(None) if mask is None else mask] = first

    def add(self, n=1):
        """Takes in n more sequences, behind the others, at their beginning. Returns the new batch size."""
        n = _arguments.positive_integer("n", n)
        before, B = (self.h, self.c), self.batch_size
        self.resize(B + n)
        self.reset()
        for own, old in zip((self.h, self.c), before):
            if own is not None:
                own[:, :B] = old
        return self.batch_size

    def remove(self, mask):
        """Lets the sequences go where mask (B,) is true; the others move up and go on. Returns the new batch size."""
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (self.batch_size,) or mask.all():
            raise ValueError(
                f"mask must be boolean of shape (B,) = ({self.batch_size},) and leave a sequence, "
                f"got {mask.dtype} {mask.shape}" + " all True" * bool(mask.size and mask.all())
            )
        before = (self.h, self.c)
        self.resize(int((~mask).sum()))
        for own, old in zip((self.h, self.c), before):
            if own is not None:
                own[...] = old[:, ~mask]
        return self.batch_size

    def snapshot(self):
        """The state of now, for restore()."""
        return Snapshot(self.h.copy(), None if self.c is None else self.c.copy())

    def restore(self, snapshot):
        """Goes back to the state of a snapshot, also one of another stream of the same sizes."""
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"snapshot must come from snapshot(), got {type(snapshot).__name__}")
        self.state = snapshot.h if self.c is None else tuple(snapshot)

    def refresh(self):
        """Goes on with the weights that the network has now; the state stays."""
        self._version = self.module._version
        self.use_weights(self._version.weights)

    def __reduce__(self):
        return _restored, (self.module, self.batch_size, self._version.flat.copy(), self.snapshot())

    def __repr__(self):
        return f"<Stream of {self.batch_size} live sequence{'s' * (self.batch_size > 1)} of {self.module!r}>"


def _restored(module, batch_size, flat, snapshot):
    """A pickled stream, on the weights that it ran with."""
    stream = Stream(module, batch_size)
    stream._version = module._make_version(flat)
    stream.use_weights(stream._version.weights)
    stream.restore(snapshot)
    return stream
