"""ReverseLSTM and ReverseRNN: one direction, and that the reverse one."""

import numpy as np

from .. import _arguments
from ..modules import LSTM, RNN, Trace


class _Reverse:
    """A module that reads each sequence from its end. A mixin."""

    def _run(self, x, state, keep, num_threads, lengths=None, resets=None, training=False, lean=False):
        x, is_unbatched = self._read_x(x)
        T, B = x.shape[:2]
        lengths = self._read_lengths(lengths, is_unbatched)
        _arguments.order_of_lengths(lengths, T, B)  # for its errors
        turn = _turn(T, np.full(B, T) if lengths is None else np.asarray(lengths).astype(np.int64))
        if resets is not None:
            resets = self._turned_resets(resets, turn, lengths, is_unbatched)
        output, state, tape = super()._run(
            self._give(_turned(x, turn), is_unbatched), state, keep, num_threads, lengths, resets, training, lean
        )
        output = output[:, None] if is_unbatched else output.swapaxes(0, 1) if self.batch_first else output
        return self._give(_turned(output, turn), is_unbatched), state, tape

    def _turned_resets(self, resets, turn, lengths, is_unbatched):
        """A sequence that starts anew before step t ends, read from behind, with step t: the next one read is t - 1."""
        T, B = turn.shape
        resets = np.asarray(resets)
        if resets.dtype != bool or resets.shape != ((T,) if is_unbatched else (B, T) if self.batch_first else (T, B)):
            return resets  # for the error
        by_time = resets.reshape(T, B) if is_unbatched else resets.T if self.batch_first else resets
        if lengths is not None:
            by_time = by_time & (np.arange(T)[:, None] < np.asarray(lengths))
        ends = np.concatenate([by_time[1:], np.zeros_like(by_time[:1])])[:T]
        return self._give(_turned(ends, turn), is_unbatched)

    def backward(self, tape, d_output, d_state=None, *, norms=False, num_threads=None):
        turn = None
        if hasattr(tape, "rows"):
            lengths = np.empty(tape.batch_size, np.int64)
            for row, n in tape.rows():
                lengths[row] = n
            turn = _turn(tape.steps, lengths)
        time = (1, 0) if self.batch_first else (0, 1)
        if turn is not None and d_output is not None:
            d_output = _arguments.real_array("d_output", d_output, self.dtype)
            is_whole = d_output.ndim == 3 and tuple(d_output.shape[axis] for axis in time) == turn.shape
            if is_whole or (d_output.ndim == 2 and turn.shape == (len(d_output), 1)):  # else super() says what is wrong
                d_output = self._turned_as_given(d_output, turn)
        gradients = super().backward(tape, d_output, d_state, norms=norms, num_threads=num_threads)
        gradients.d_x = self._turned_as_given(gradients.d_x, turn)
        if norms:
            for name in ("d_h_norms", "d_c_norms"):
                values = getattr(gradients, name)
                setattr(gradients, name, None if values is None else _turned(values, turn, axis=2))
        return gradients

    def _turned_as_given(self, sequence, turn):
        """A sequence in the caller's shape."""
        if sequence.ndim == 2:
            return _turned(sequence[:, None], turn)[:, 0]
        return _turned(sequence.swapaxes(0, 1), turn).swapaxes(0, 1) if self.batch_first else _turned(sequence, turn)

    def stream(self, batch_size=1):
        raise ValueError("a stream needs a network that reads forward: a reverse one begins at the end of the sequence")


class ReverseLSTM(_Reverse, LSTM):
    """An LSTM that reads each sequence from its end (ONNX's direction "reverse"); otherwise as LSTM.

    Outputs, gradients and traces are in the order of time, as in the second direction of a bidirectional LSTM: the last state
    is that after step 0, and with lengths the reading begins at step lengths[b] - 1. It has no stream, which would begin at
    the end, and no quantized copy.
    """

    def trace(self, x, state=None, *, lengths=None, resets=None, num_threads=None):
        trace = super().trace(x, state, lengths=lengths, resets=resets, num_threads=num_threads)
        T, B = trace.h.shape[2:4]
        turn = _turn(T, np.full(B, T) if lengths is None else np.reshape(lengths, B))
        return Trace(*(_turned(values, turn, axis=2) for values in trace))

    def quantized(self, number="float16"):
        raise ValueError("a ReverseLSTM has no quantized copy")


class ReverseRNN(_Reverse, RNN):
    """The same of an RNN."""


def _turn(T, lengths):
    """(T, B): the step that stands at t when the first lengths[b] steps are turned round and the others stay."""
    t = np.arange(T)[:, None]
    return np.where(t < lengths, lengths - 1 - t, t)


def _turned(array, turn, axis=0):
    """The array with its axes (axis, axis + 1) = (T, B) read in the order of turn."""
    return array[(slice(None),) * axis + (turn, np.arange(turn.shape[1]))]
