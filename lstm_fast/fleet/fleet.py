"""Fleet: K LSTMs of one shape that run in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import _arguments, _threads
from .._tape import TapeMemory
from . import calls
from .calls import Results
from .network import FleetNetwork
from .stream import FleetStream
from .tape import FleetTape

if TYPE_CHECKING:
    from .._parameter_arrays import Gradients
    from .._types import Array, ArrayLike, State, StateLike
    from .layout import FleetLayout


class Fleet(FleetNetwork):
    """K LSTMs of one shape, each with its own parameters and data, that run in one call.

    Calls are like those of `LSTM` with an axis K first: x has shape (K, T, B, input_size), parameters and gradients
    (K, ...). Threads share the models. The results of each model are bitwise equal to a separate call.

    Parameters
    ----------
    models : iterable of LSTM
        At least one; all with the same sizes, options and dtype (seed and forget_bias may differ). The fleet copies
        their parameters and the state of their random generators.

    Raises
    ------
    TypeError
        If an entry is not an LSTM.
    ValueError
        If models is empty, or if one differs from the first; the message names the model and the option.

    See Also
    --------
    LSTM : A single model; it documents the options.
    lstm_fast.train.FleetModel : A fleet with a linear head for each model, for `lstm_fast.train.fit`.

    Notes
    -----
    All parameters are stored in one buffer of shape (K, P). ``fleet[k]`` is an LSTM that shares row k of it: changes
    made with ``fleet[k].edit()`` are visible in the fleet, and changes made with ``fleet.edit()`` in its models.
    ``copy.copy(fleet[k])`` is independent of the fleet. A slice is a new fleet of copies.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> fleet = lf.Fleet([lf.LSTM(3, 16, seed=k) for k in range(100)])
    >>> x = np.random.default_rng(0).standard_normal((100, 28, 8, 3), np.float32)
    >>> output, (h_n, c_n), tape = fleet.forward(x)
    >>> output.shape, h_n.shape
    ((100, 28, 8, 16), (100, 1, 8, 16))
    >>> gradients = fleet.backward(tape, np.ones_like(output))
    >>> gradients["weight_hh_l0"].shape
    (100, 64, 16)
    >>> bool((output[7] == fleet[7](x[7])[0]).all())
    True
    """

    def __call__(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> tuple[Array, State]:
        """Run all models for inference: ``LSTM.__call__`` with an axis K first.

        Parameters
        ----------
        x : array_like of shape (K, T, B, input_size)
            (K, B, T, input_size) with batch_first, (K, T, input_size) for one sequence each without batch axis.
            ``np.broadcast_to`` gives all models the same x without a copy. With index_input, integers without the
            last axis.
        state : (h_0, c_0), optional
            Initial state, each of shape (K, num_layers * D, B, H), or (K, num_layers * D, H) without batch axis.
        lengths : array_like of int of shape (K, B), optional
            Length of each sequence; (K,) without batch axis.
        resets : array_like of bool of shape (K, T, B), optional
            True at the first step of a new episode; axes are those of x.
        num_threads : int, optional
            Maximum number of threads, which share the models; None: `get_num_threads()`.

        Returns
        -------
        output : ndarray of shape (K, T, B, D * R)
            h of the last layer at every step, with the axes of x.
        state : (h_n, c_n)
            Last state, in the shapes of the initial state.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.
        """
        layout, a, num_threads = self._read(x, state, lengths, resets, num_threads)
        made = calls.forward(self._lstm, self._version.weights, layout, a, None, num_threads)
        output, h_n, c_n = layout.from_core(*made)
        return output, (h_n, c_n)

    def forward(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        training: bool = True,
        recompute_gates: bool = False,
        num_threads: int | None = None,
    ) -> tuple[Array, State, FleetTape]:
        """Run all models for training: `LSTM.forward` with an axis K first.

        Each model draws the masks of dropout and zoneout from its own generator.

        Parameters
        ----------
        x, state, lengths, resets : array_like
            As in `__call__`. Do not modify x before `backward`: the tape references it.
        training, recompute_gates : bool
            As in `LSTM.forward`.
        num_threads : int, optional
            As in `__call__`.

        Returns
        -------
        output : ndarray of shape (K, T, B, D * R)
            As in `__call__`.
        state : (h_n, c_n)
            As in `__call__`.
        tape : FleetTape
            Input of `backward`.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.
        """
        version = self._version
        layout, a, num_threads = self._read(x, state, lengths, resets, num_threads, (training, recompute_gates))
        memory = TapeMemory(version.weights.tape_bytes(a.x.shape[1], a.x.shape[2], a.options))
        results = calls.forward(self._lstm, version.weights, layout, a, memory, num_threads)
        output, h_n, c_n = layout.from_core(*results)
        h_0, c_0 = (None if one is None else one.copy() for one in (a.h_0, a.c_0))
        tape = FleetTape(version.weights, memory, layout, a._replace(h_0=h_0, c_0=c_0), self._signature)
        return output, (h_n, c_n), tape

    def backward(
        self,
        tape: FleetTape,
        d_output: ArrayLike | None,
        d_state: StateLike | None = None,
        *,
        compute_d_x: bool | None = None,
        record_norms: bool = False,
        num_threads: int | None = None,
    ) -> Gradients:
        """Backpropagate through time in all models: `LSTM.backward` with an axis K first.

        Parameters
        ----------
        tape : FleetTape
            From `forward`. It can be used again.
        d_output : array_like of the shape of output, or None
            Gradient of each model's loss with respect to its output; None: zero.
        d_state : (d_h_n, d_c_n), optional
            Gradients with respect to the last state; None, for both or one of them: zero.
        compute_d_x : bool, optional
            Whether to compute d_x; None: unless x are symbols.
        record_norms : bool, default False
            Whether to record d_h_norms and d_c_norms, of shape (K, num_layers, D, T, B).
        num_threads : int, optional
            As in `__call__`.

        Returns
        -------
        Gradients
            Mapping from parameter names to arrays (K, ...), views of `flat` (K, P); d_x, d_h_0 and d_c_0 are
            attributes.

        Raises
        ------
        TypeError
            If the tape is from a fleet with other options or another number of models.
        ValueError
            If a shape is wrong; the message names the argument.
        """
        if not isinstance(tape, FleetTape) or tape._signature != self._signature:
            other = " of another" if isinstance(tape, FleetTape) else ""
            raise TypeError(f"tape must come from forward of this fleet, got {type(tape).__name__}{other}")
        layout, a = tape._layout, tape._arguments
        d = self._read_gradients(layout, a, d_output, d_state)
        compute_d_x = self._computes_d_x(compute_d_x)
        record_norms = _arguments.flag("record_norms", record_norms)
        num_threads = _threads.resolve(num_threads)
        results = Results.empty(self._lstm, layout, a, compute_d_x, record_norms)
        calls.backward(tape._weights, a, tape._memory, d, results, num_threads)
        return self._gradients(layout, results)

    def forward_backward(
        self,
        x: ArrayLike,
        gradient_of: Callable[[slice, Array, State], Any],
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        training: bool = True,
        compute_d_x: bool | None = None,
        num_threads: int | None = None,
    ) -> Gradients:
        """Run forward and backward in one pass, one chunk of models after the other.

        The tapes of one chunk stay in the cache between forward and backward; the tapes of a whole fleet often do not.
        Gradients are bitwise equal to those of `forward` and `backward`.

        Parameters
        ----------
        x : array_like of shape (K, T, B, input_size)
            As in `forward`.
        gradient_of : callable
            Called as ``gradient_of(models, output, (h_n, c_n))`` once for each chunk, in order. models is the slice of
            the chunk's models; output and states are theirs, (n, ...). It returns d_output, or a pair
            (d_output, d_state), as in `backward`.
        state, lengths, resets, training : optional
            As in `forward`.
        compute_d_x : bool, optional
            Whether to compute d_x; None: unless x are symbols.
        num_threads : int, optional
            As in `__call__`.

        Returns
        -------
        Gradients
            As from `backward`.

        Raises
        ------
        ValueError, TypeError
            If a shape or dtype is wrong; the message names the argument.

        Examples
        --------
        >>> import numpy as np
        >>> import lstm_fast as lf
        >>> fleet = lf.Fleet([lf.LSTM(3, 16, seed=k) for k in range(100)])
        >>> x, y = np.ones((100, 28, 8, 3), np.float32), np.zeros((100, 28, 8, 16), np.float32)
        >>> losses = np.empty(100)
        >>> def gradient_of(models, output, state):
        ...     error = output - y[models]
        ...     losses[models] = (error**2).sum(axis=(1, 2, 3)) / 2
        ...     return error
        >>> fleet.forward_backward(x, gradient_of)["weight_hh_l0"].shape
        (100, 64, 16)
        """
        if not callable(gradient_of):
            raise TypeError(f"gradient_of must be callable, got {type(gradient_of).__name__}")
        compute_d_x = self._computes_d_x(compute_d_x)
        version = self._version
        layout, a, num_threads = self._read(x, state, lengths, resets, num_threads, (training, False))
        results = Results.empty(self._lstm, layout, a, compute_d_x, False)

        def between(models: slice, of_chunk: FleetLayout, made: tuple[Array, Array, Array]) -> Any:
            output, h_n, c_n = of_chunk.from_core(*made)
            d = gradient_of(models, output, (h_n, c_n))
            d_output, d_state = d if isinstance(d, tuple) and len(d) == 2 else (d, None)
            return self._read_gradients(of_chunk, a, d_output, d_state)

        calls.forward_backward(self._lstm, version, layout, a, between, results, num_threads)
        return self._gradients(layout, results)

    def stream(self, batch_size: int = 1) -> FleetStream:
        """Create a stream: live sequences of every model, whose states are kept between calls.

        Parameters
        ----------
        batch_size : int, default 1
            Number of sequences of each model.

        Returns
        -------
        FleetStream
            In the initial state, with the current parameters.

        Raises
        ------
        ValueError
            If the models are bidirectional.
        """
        return FleetStream(self, batch_size)
