"""ReverseLSTM and ReverseRNN: networks with one direction, the reverse one."""

import numpy as np

from .._arguments import order_of_lengths
from .._recurrent import Recurrent
from .._trace import Trace
from ..modules import LSTM, RNN


class _Reverse(Recurrent):
    """A network that reads each sequence from its end. A mixin: what the core is given and gives is reversed in time."""

    def _infer(self, x, state, lengths, resets, num_threads):
        return self._run(x, state, lengths, resets, num_threads, keep=False)[:2]  # the core's fast path reads forward

    def _compute(self, x, h_0, c_0, lengths, resets, *call):
        T, B = x.shape[:2]
        order_of_lengths(lengths, T, B)  # for its errors
        turn = _turn(T, np.full(B, T) if lengths is None else np.asarray(lengths).astype(np.int64))
        if resets is not None:
            resets = _turned_resets(resets, turn, lengths)
        output, *results = super()._compute(_turned(x, turn), h_0, c_0, lengths, resets, *call)
        return _turned(output, turn), *results

    def _compute_gradients(self, tape, d_output, *call):
        turn = _turn(tape.steps, tape.lengths)
        d_output = None if d_output is None else _turned(d_output, turn)
        d_x, *gradients = super()._compute_gradients(tape, d_output, *call)
        for norms in call[-2:]:
            if norms is not None:
                norms[...] = _turned(norms, turn, axis=1)
        return None if d_x is None else _turned(d_x, turn), *gradients

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

    def quantized(self, format="float16"):
        raise ValueError("a ReverseLSTM has no quantized copy")


class ReverseRNN(_Reverse, RNN):
    """An RNN that reads each sequence from its end, as ReverseLSTM does."""


def _turned_resets(resets, turn, lengths):
    """A sequence that restarts before step t ends, read in reverse, with step t: the next one read is t - 1."""
    if lengths is not None:
        resets = resets & (np.arange(len(turn))[:, None] < np.asarray(lengths))
    ends = np.concatenate([resets[1:], np.zeros_like(resets[:1])])[: len(turn)]
    return np.ascontiguousarray(_turned(ends, turn), np.uint8)


def _turn(T, lengths):
    """(T, B): the step that is read at t when the first lengths[b] steps are reversed and the others stay."""
    t = np.arange(T)[:, None]
    return np.where(t < lengths, lengths - 1 - t, t)


def _turned(array, turn, axis=0):
    """The array with its axes (axis, axis + 1) = (T, B) read in the order of turn."""
    return array[(slice(None),) * axis + (turn, np.arange(turn.shape[1]))]
