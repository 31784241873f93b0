"""ReverseLSTM and ReverseRNN: networks with one direction, the reverse one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .._arguments import order_of_lengths
from .._recurrent import Recurrent
from .._trace import Trace
from .lstm import LSTM
from .rnn import RNN

if TYPE_CHECKING:
    from .._tape import Tape
    from .._types import Array, ArrayLike, StateLike


class _Reverse(Recurrent):
    """A mixin: a network that reads each sequence from its end. The core's inputs and results are reversed in time."""

    def _infer(self, x: Any, state: Any, lengths: Any, resets: Any, num_threads: int | None) -> tuple[Array, Any]:
        return self._run(x, state, lengths, resets, num_threads, keep=False)[:2]  # the core's fast path reads forward

    def _compute(
        self, x: Array, h_0: Array | None, c_0: Array | None, lengths: Any, resets: Array | None, *call: Any
    ) -> tuple[Any, ...]:
        T, B = x.shape[:2]
        order_of_lengths(lengths, T, B)  # raises if lengths are invalid
        order = _order(T, np.full(B, T) if lengths is None else np.asarray(lengths).astype(np.int64))
        if resets is not None:
            resets = _reversed_resets(resets, order, lengths)
        output, *results = super()._compute(_reordered(x, order), h_0, c_0, lengths, resets, *call)
        return _reordered(output, order), *results

    def _compute_gradients(self, tape: Tape, d_output: Array | None, *call: Any) -> tuple[Any, ...]:
        order = _order(tape.steps, tape.lengths)
        d_output = None if d_output is None else _reordered(d_output, order)
        d_x, *gradients = super()._compute_gradients(tape, d_output, *call)
        for norms in call[-2:]:
            if norms is not None:
                norms[...] = _reordered(norms, order, axis=1)
        return None if d_x is None else _reordered(d_x, order), *gradients

    def stream(self, batch_size: int = 1) -> NoReturn:
        """Not available: a reverse network starts at the end of the sequence.

        Parameters
        ----------
        batch_size : int
            Ignored.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("a stream needs a network that reads forward: a reverse one starts at the end of the sequence")


class ReverseLSTM(_Reverse, LSTM):
    """LSTM that reads each sequence from its end: ONNX's direction "reverse".

    Outputs, gradients and traces are in the order of time, as in the second direction of a bidirectional LSTM: the last
    state is that after step 0, and with lengths the network starts at step lengths[b] - 1. Streams, which would start
    at the end of the sequence, and quantized copies are not available.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size : see LSTM
        Sizes and layers.
    dtype, compute_dtype, seed : see LSTM
        Numbers.
    forget_bias, peepholes, layer_norm, coupled_gates, cell_clip, gate_clip : see LSTM
        The cell.
    activation, recurrent_activation, cell_activation : see LSTM
        Activations of the cell.
    recurrent_dropout, zoneout, learn_initial_state, index_input : see LSTM
        Training, the initial state, and the form of x.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> forward = lf.LSTM(3, 8, seed=0)
    >>> reverse = lf.onnx.ReverseLSTM(3, 8, seed=0)
    >>> x = np.random.default_rng(0).standard_normal((5, 2, 3))
    >>> bool((reverse(x)[0] == forward(x[::-1])[0][::-1]).all())
    True
    """

    def trace(
        self,
        x: ArrayLike,
        state: StateLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> Trace:
        """Return gates and states of every step, in the order of time.

        Parameters
        ----------
        x, state, lengths, resets, num_threads : see `__call__`
            The sequences.

        Returns
        -------
        Trace
            See LSTM.
        """
        trace = super().trace(x, state, lengths=lengths, resets=resets, num_threads=num_threads)
        T, B = trace.h.shape[2:4]
        order = _order(T, np.full(B, T) if lengths is None else np.reshape(np.asarray(lengths), B))
        return Trace(*(_reordered(values, order, axis=2) for values in trace))

    def quantized(self, format: str = "float16", *, inputs: str = "float32") -> NoReturn:
        """Not available.

        Parameters
        ----------
        format, inputs : str
            Ignored.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError("a ReverseLSTM has no quantized copy")


class ReverseRNN(_Reverse, RNN):
    """Plain RNN that reads each sequence from its end, as ReverseLSTM does.

    Parameters
    ----------
    input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional : see RNN
        Sizes, layers and the cell.
    dtype, seed, recurrent_dropout, zoneout, learn_initial_state, index_input : see RNN
        Numbers, training, and the initial state.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> forward = lf.RNN(3, 8, seed=0)
    >>> reverse = lf.onnx.ReverseRNN(3, 8, seed=0)
    >>> x = np.random.default_rng(0).standard_normal((5, 2, 3))
    >>> bool((reverse(x)[0] == forward(x[::-1])[0][::-1]).all())
    True
    """


def _reversed_resets(resets: Array, order: Array, lengths: Any) -> Array:
    """Return resets in the order of reading: a sequence that restarts before step t ends, in reverse, with step t."""
    if lengths is not None:
        resets = resets & (np.arange(len(order))[:, None] < np.asarray(lengths))
    ends = np.concatenate([resets[1:], np.zeros_like(resets[:1])])[: len(order)]
    return np.ascontiguousarray(_reordered(ends, order), np.uint8)


def _order(T: int, lengths: Array) -> Array:
    """Return (T, B): the step to read at t, with the first lengths[b] steps reversed and the padding in place."""
    t = np.arange(T)[:, None]
    return np.where(t < lengths, lengths - 1 - t, t)


def _reordered(array: Array, order: Array, axis: int = 0) -> Array:
    """Return the array with its axes (axis, axis + 1) = (T, B) in this order."""
    index: tuple[Any, ...] = (slice(None),) * axis + (order, np.arange(order.shape[1]))
    result: Array = array[index]
    return result
