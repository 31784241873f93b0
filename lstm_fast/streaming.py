"""Live sequences: the state is kept between calls, each of which takes one step or a block of steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np

from . import _arguments, _core, _steps, _threads

if TYPE_CHECKING:
    from ._inference import Network
    from ._types import Array, ArrayLike, State

P = ParamSpec("P")
R = TypeVar("R")


class Snapshot(NamedTuple):
    """The state of a Stream at one moment, (num_layers, B, H) each; c is None for a plain RNN."""

    h: Array
    c: Array | None


def _exclusive(method: Callable[Concatenate[Stream, P], R]) -> Callable[Concatenate[Stream, P], R]:
    """Make a method exclusive: a second thread that enters gets a RuntimeError."""

    @wraps(method)
    def call(self: Stream, /, *args: P.args, **kwargs: P.kwargs) -> R:
        self._claim()
        try:
            return method(self, *args, **kwargs)
        finally:
            self._release()

    return call


class Stream(_core.Stepper):
    """Live sequences of a unidirectional LSTM or RNN, created by ``network.stream(batch_size)``.

    The sequences start in the learned initial state of the network, or zero. Steps, blocks and the call on the whole
    sequence give the same bits, however they are mixed. A step allocates only its result (nothing with ``out=``)
    and starts no thread unless it is long. A stream can be pickled.

    Parameters
    ----------
    module : LSTM, QuantizedLSTM or RNN
        The network, of one direction.
    batch_size : int, default 1
        B, the number of sequences. Each step advances all of them.

    Attributes
    ----------
    module : LSTM, QuantizedLSTM or RNN
        The network.
    batch_size : int
        B.
    h, c : ndarray of shape (num_layers, B, R or H)
        The state, where the steps change it; c is None for an RNN.

    Raises
    ------
    ValueError
        For a bidirectional network: the reverse direction starts at the end of the sequence.

    Notes
    -----
    A stream uses the weights from its creation until `refresh` is called. Two threads must not use one stream at the
    same time (the second one gets a RuntimeError); different streams may share a network.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> lstm = lf.LSTM(3, 16, seed=0)
    >>> stream = lstm.stream()
    >>> x = np.ones((10, 3), np.float32)
    >>> h = stream.step(x[0])
    >>> y = stream.block(x[1:])
    >>> bool((y[-1] == lstm(x)[0][-1]).all())
    True
    """

    def __init__(self, module: Network, batch_size: int = 1) -> None:
        batch_size = _arguments.positive_integer("batch_size", batch_size)
        if module.bidirectional:
            raise ValueError(
                "a stream needs a unidirectional network: the reverse direction starts at the end of the sequence"
            )
        self.module: Network = module
        super().__init__(module._version, batch_size, self._read_step, partial(_threads.resolve, None))
        self.reset()

    def _read_step(self, x: Any) -> Array:
        return _steps.read_step(self.module, self.batch_size, x)

    def block(self, x: Any, *, num_threads: int | None = None) -> Array:
        """Run many steps in one call.

        Parameters
        ----------
        x : array_like of shape (T, B, I), or (T, I) for one sequence
            Input of each step. With index_input, integers of shape (T, B), or (T,) for one sequence.
        num_threads : int, optional
            Threads to use; by default `get_num_threads()`.

        Returns
        -------
        ndarray of shape (T, B, R) or (T, R)
            h of the last layer at each step: R = proj_size or H.

        Raises
        ------
        ValueError
            For another shape.
        """
        short = self._fast_block(x) if num_threads is None else None
        return self._any_block(x, num_threads) if short is None else short

    @_exclusive
    def _any_block(self, x: Any, num_threads: int | None) -> Array:
        steps, is_batch = _steps.read_block(self.module, self.batch_size, x)
        output = np.empty((len(steps), self.batch_size, self.module.h_size), self.h.dtype)
        h_n, c_n = np.empty_like(self.h), None if self.c is None else np.empty_like(self.c)
        self.weights.forward(steps, self.h, self.c, output, h_n, c_n, None, _threads.resolve(num_threads))
        self._set_state(h_n, c_n)
        return output if is_batch else output[:, 0]

    @property
    @_exclusive
    def state(self) -> State | Array:
        """A copy of the state, which can be set: (h, c) for an LSTM, h for an RNN, each (num_layers, B, H)."""
        return self.h.copy() if self.c is None else (self.h.copy(), self.c.copy())

    @state.setter
    @_exclusive
    def state(self, value: Any) -> None:
        if self.c is not None and (not isinstance(value, (tuple, list)) or len(value) != 2):
            raise TypeError(f"state must be a pair (h, c), got {type(value).__name__}")
        values = [value] if self.c is None else value
        owns = [own for own in (self.h, self.c) if own is not None]
        h, *c = [
            _arguments.shaped(name, _arguments.real_array(name, array, own.dtype), own.shape, "(num_layers, B, size)")
            for name, array, own in zip("hc", values, owns)
        ]
        self.module._check_h("h", h)
        self._set_state(h.copy(), c[0].copy() if c else None)

    def _start(self, live: _core.Live, rows: Any = slice(None)) -> tuple[Array, Array | None]:
        """Return copies of h and c, with these rows in their initial state."""
        h, c = live.h.copy(), None if live.c is None else live.c.copy()
        for name, own in (("h_0", h), ("c_0", c)):
            for layer in range(self.module.num_layers):
                if own is None:
                    continue
                own[layer, rows] = live.version.views.get(f"{name}{self.module.parameter_suffixes[layer]}", 0)
        return h, c

    def _boolean(self, mask: ArrayLike, words: str = "") -> Array:
        mask = _arguments.array_of("mask", mask, "bool")
        if mask.dtype != bool or mask.shape != (self.batch_size,):
            raise ValueError(
                f"mask must be boolean of shape (B,) = ({self.batch_size},){words}, got {mask.dtype} {mask.shape}"
            )
        return mask

    @_exclusive
    def reset(self, mask: ArrayLike | None = None) -> None:
        """Reset sequences to the learned initial state, or zero.

        Parameters
        ----------
        mask : array_like of bool, shape (B,), optional
            Sequences to reset; all by default.

        Raises
        ------
        ValueError
            For a mask of another type or shape.
        """
        self._set_state(*self._start(self._live, slice(None) if mask is None else self._boolean(mask)))

    @_exclusive
    def add(self, n: int = 1) -> int:
        """Append sequences in their initial state.

        Parameters
        ----------
        n : int, default 1
            Number of sequences to append.

        Returns
        -------
        int
            The new batch size.
        """
        old = self._live
        new = _core.Live(old.version, old.batch_size + _arguments.positive_integer("n", n))
        for to, start, own in zip((new.h, new.c), self._start(new), (old.h, old.c)):
            if to is not None and own is not None:
                to[...] = start
                to[:, : old.batch_size] = own
        self._install(new)
        return new.batch_size

    @_exclusive
    def remove(self, mask: ArrayLike) -> int:
        """Remove sequences; the others keep their state and order.

        Parameters
        ----------
        mask : array_like of bool, shape (B,)
            The sequences to remove; at least one must stay.

        Returns
        -------
        int
            The new batch size.

        Raises
        ------
        ValueError
            For a mask of another type or shape, or of all sequences.
        """
        mask = self._boolean(mask, " and leave a sequence")
        if mask.all():
            raise ValueError(f"mask must leave at least one sequence, got {len(mask)} True")
        old = self._live
        new = _core.Live(old.version, int((~mask).sum()))
        for to, own in zip((new.h, new.c), (old.h, old.c)):
            if to is not None and own is not None:
                to[...] = own[:, ~mask]
        self._install(new)
        return new.batch_size

    @_exclusive
    def snapshot(self) -> Snapshot:
        """Copy the state, for `restore`.

        Returns
        -------
        Snapshot
            Named tuple of h and c, (num_layers, B, H) each; c is None for an RNN.
        """
        return Snapshot(self.h.copy(), None if self.c is None else self.c.copy())

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the state of a snapshot.

        Parameters
        ----------
        snapshot : Snapshot
            From `snapshot`, of this stream or another of the same sizes.

        Raises
        ------
        TypeError, ValueError
            For anything else; the state is unchanged then.
        """
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"snapshot must come from snapshot(), got {type(snapshot).__name__}")
        self.state = snapshot.h if self.c is None else tuple(snapshot)

    def refresh(self) -> None:
        """Switch to the current weights of the network; the state is kept.

        Any thread may call it at any time: a running step finishes with the old weights.
        """
        self._use_version(self.module._version)

    @_exclusive
    def __reduce__(self) -> tuple[Any, ...]:
        live = self._live
        snapshot = Snapshot(live.h.copy(), None if live.c is None else live.c.copy())
        return _restored, (self.module, live.batch_size, live.version.flat.copy(), snapshot)

    def __repr__(self) -> str:
        return f"<Stream of {self.batch_size} live sequence{'s' * (self.batch_size > 1)} of {self.module!r}>"


def _restored(module: Network, batch_size: int, flat: Array, snapshot: Snapshot) -> Stream:
    """Restore a pickled stream, with the weights it used."""
    stream = Stream(module, batch_size)
    stream._use_version(module._make_version(flat))
    stream.restore(snapshot)
    return stream
