"""FleetStream: live sequences of every model of a fleet."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arguments, _threads
from ..streaming import Snapshot
from .layout import contiguous_rows

if TYPE_CHECKING:
    from .._types import Array, ArrayLike, State
    from .fleet import Fleet


class FleetStream:
    """Live sequences of a fleet, batch_size for every model, like a `Stream` with an axis K first.

    Created by ``fleet.stream(batch_size)``. Results are bitwise equal to separate streams of the models.

    Parameters
    ----------
    fleet : Fleet
        Models of one direction.
    batch_size : int, default 1
        B, the number of sequences of each model.

    Attributes
    ----------
    fleet : Fleet
        The models.
    batch_size : int
        B.

    Raises
    ------
    ValueError
        If the models are bidirectional: the reverse direction starts at the end of the sequence.

    Notes
    -----
    A stream uses the parameters that the fleet had when the stream was created, until `refresh`. A lock serializes
    calls from several threads. A signal handler cannot use the stream whose call it interrupts: it gets a RuntimeError.
    In a child process created by fork, the states are those before the calls of other threads.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> fleet = lf.Fleet([lf.LSTM(3, 16, seed=k) for k in range(5)])
    >>> stream = fleet.stream()
    >>> x = np.ones((5, 10, 3), np.float32)
    >>> h = stream.step(x[:, 0])
    >>> y = stream.block(x[:, 1:])
    >>> bool((y == fleet(x)[0][:, 1:]).all())
    True
    """

    def __init__(self, fleet: Fleet, batch_size: int = 1) -> None:
        if fleet.bidirectional:
            raise ValueError(
                "a stream needs models of one direction: the reverse one starts at the end of the sequence"
            )
        self.fleet, self.batch_size = fleet, _arguments.positive_integer("batch_size", batch_size)
        self._version, self._lock, self._is_in_use = fleet._version, threading.RLock(), False
        self._h, self._c = self._start()
        _streams.add(self)

    # ---- steps ----

    def step(self, x: ArrayLike, *, num_threads: int | None = None) -> Array:
        """Run one step of every sequence of every model.

        Parameters
        ----------
        x : array_like of shape (K, B, I), or (K, I) for one sequence each
            Input of each sequence. With index_input, integers without the last axis.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        ndarray of shape (K, B, R) or (K, R)
            h of the last layer.

        Raises
        ------
        ValueError
            If x has another shape; the states are unchanged then.
        """
        steps, is_single = self._read(x, 3, "(K, B, I)", "(K, I)")
        output = self._run(steps[:, None], num_threads)[:, 0]
        return output[:, 0] if is_single else output

    def block(self, x: ArrayLike, *, num_threads: int | None = None) -> Array:
        """Run several steps in one call.

        Parameters
        ----------
        x : array_like of shape (K, T, B, I), or (K, T, I) for one sequence each
            Input of each step. With index_input, integers without the last axis.
        num_threads : int, optional
            Maximum number of threads; None: `get_num_threads()`.

        Returns
        -------
        ndarray of shape (K, T, B, R) or (K, T, R)
            h of the last layer at each step.

        Raises
        ------
        ValueError
            If x has another shape; the states are unchanged then.
        """
        steps, is_single = self._read(x, 4, "(K, T, B, I)", "(K, T, I)")
        output = self._run(steps, num_threads)
        return output[:, :, 0] if is_single else output

    def _read(self, x: Any, ndim: int, words: str, single: str) -> tuple[Array, bool]:
        """Return x with axis B before the last, and whether it came without."""
        has_symbols = self.fleet.index_input
        if has_symbols:
            x = _arguments.integer_array("x", x)[..., None]
        else:
            x = _arguments.real_array("x", x, self.fleet.dtype)
        K, B, I = len(self.fleet), self.batch_size, 1 if has_symbols else self.fleet.input_size
        is_single = B == 1 and x.ndim == ndim - 1
        wide = x[..., None, :] if is_single and x.ndim else x
        if wide.ndim != ndim or wide.shape[0] != K or wide.shape[-2:] != (B, I):
            or_single = f" or {single}" if B == 1 else ""
            if has_symbols:
                words, or_single = words.replace(", I", ""), or_single.replace(", I", "")
                raise ValueError(f"x must have shape {words}{or_single} with K, B = {K}, {B}, got {x.shape[:-1]}")
            raise ValueError(f"x must have shape {words}{or_single} with K, B, I = {K}, {B}, {I}, got {x.shape}")
        return wide, is_single

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Wait for other threads; raise in a signal handler that has interrupted a call of this thread."""
        with self._lock:  # reentrant, so that a signal handler does not wait for itself
            self._check_is_free()
            self._is_in_use = True
            try:
                yield
            finally:
                self._is_in_use = False

    def _release_of_vanished_thread(self) -> None:
        """Free the lock, in a child process created by fork, if it was held by another thread."""
        if self._lock.acquire(blocking=False):  # free, or held by this thread
            self._lock.release()
        else:
            self._lock, self._is_in_use = threading.RLock(), False

    def _check_is_free(self) -> None:
        if self._is_in_use:
            raise RuntimeError("this stream is in use by the call that a signal handler interrupts")

    def _run(self, steps: Array, num_threads: int | None) -> Array:
        steps, n_threads = contiguous_rows(steps), _threads.resolve(num_threads)
        output = np.empty((*steps.shape[:3], self.fleet.output_size), self.fleet.dtype)
        with self._lock:  # _exclusive, whose generator would take a tenth of a step
            if self._is_in_use:
                self._check_is_free()
            self._is_in_use = True
            try:
                h, c = np.empty_like(self._h), np.empty_like(self._c)
                self._version.weights.forward(steps, self._h, self._c, output, h, c, None, n_threads)
                self._h, self._c = h, c  # after an interruption the states are those before the call
            finally:
                self._is_in_use = False
        return output

    # ---- states ----

    @property
    def state(self) -> State:
        """States (h, c), each of shape (K, num_layers, B, size): reading gives copies; can be set."""
        with self._exclusive():
            return self._h.copy(), self._c.copy()

    @state.setter
    def state(self, value: Any) -> None:
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise TypeError(f"state must be a pair (h, c), got {type(value).__name__}")
        h, c = (
            _arguments.shaped(name, _arguments.real_array(name, one, own.dtype), own.shape, "(K, num_layers, B, size)")
            for name, one, own in zip("hc", value, (self._h, self._c))
        )
        with self._exclusive():
            self._h, self._c = np.array(h, order="C"), np.array(c, order="C")

    def reset(self, mask: ArrayLike | None = None) -> None:
        """Reset sequences to the learned initial state of their model, or zero.

        Parameters
        ----------
        mask : array_like of bool, shape (K, B), optional
            Sequences to reset; all by default.

        Raises
        ------
        ValueError
            If the mask has another dtype or shape.
        """
        shape = len(self.fleet), self.batch_size
        mask = np.ones(shape, bool) if mask is None else _arguments.array_of("mask", mask, "bool")
        if mask.dtype != bool or mask.shape != shape:
            raise ValueError(f"mask must be boolean of shape (K, B) = {shape}, got {mask.dtype} {mask.shape}")
        where = mask[:, None, :, None]
        with self._exclusive():
            h, c = self._start()
            self._h, self._c = np.where(where, h, self._h), np.where(where, c, self._c)

    def _start(self) -> tuple[Array, Array]:
        """Return the initial states."""
        lstm, (K, B) = self.fleet._lstm, (len(self.fleet), self.batch_size)
        h, c = (np.zeros((K, lstm.num_layers, B, size), lstm.dtype) for size in (lstm.h_size, lstm.hidden_size))
        for layer, suffix in enumerate(lstm.parameter_suffixes if lstm.learn_initial_state else ()):
            h[:, layer] = self._version.views["h_0" + suffix][:, None]
            c[:, layer] = self._version.views["c_0" + suffix][:, None]
        return h, c

    def snapshot(self) -> Snapshot:
        """Copy the states, for `restore`.

        Returns
        -------
        Snapshot
            Named tuple of h and c, (K, num_layers, B, size) each.
        """
        return Snapshot(*self.state)

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the states of a snapshot.

        Parameters
        ----------
        snapshot : Snapshot
            From `snapshot`, of this stream or another of the same sizes.

        Raises
        ------
        TypeError, ValueError
            If it is not such a snapshot; the states are unchanged then.
        """
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"snapshot must come from snapshot(), got {type(snapshot).__name__}")
        self.state = tuple(snapshot)

    def refresh(self) -> None:
        """Switch to the current parameters of the fleet; the states are kept."""
        with self._lock:
            self._version = self.fleet._version

    def __reduce__(self) -> tuple[Any, ...]:
        with self._exclusive():  # parameters and states of the same moment
            version, snapshot = self._version, Snapshot(self._h.copy(), self._c.copy())
        return _restored, (self.fleet, self.batch_size, np.array(version.flat), snapshot)

    def __repr__(self) -> str:
        return f"<FleetStream of {self.batch_size} live sequences of each model of {self.fleet!r}>"


_streams: weakref.WeakSet[FleetStream] = weakref.WeakSet()


def _in_child() -> None:
    for stream in _streams:
        stream._release_of_vanished_thread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _restored(fleet: Fleet, batch_size: int, flat: Array, snapshot: Snapshot) -> FleetStream:
    """Restore a pickled stream, with the parameters it used."""
    stream = FleetStream(fleet, batch_size)
    stream._version = fleet._make_version(flat)
    stream.restore(snapshot)
    return stream
