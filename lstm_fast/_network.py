"""One call of the core on checked arrays: allocates what it returns. Used by modules.py and functional.py."""

from collections import namedtuple

import numpy as np

from . import _core
from ._arguments import order_of_lengths, real_array, sequence, shaped

Run = namedtuple("Run", "dropout recurrent_dropout zoneout_h zoneout_c seed lean")
Run.__doc__ = (
    """What a training call has beside its arrays, in the order in which the core reads it; None: nothing of it."""
)


class _TapeMemory:
    """The Block of a tape. A large one is kept when it dies: the next training step needs as much again, and pages fresh
    from the system cost up to a twentieth of it. (What is smaller the C library keeps by itself.)
    """

    # No lock, which a fork would inherit held and a signal handler could wait for in vain: list.pop and list.append are
    # atomic, and an array that is in nobody's list for a moment is only not found.
    _spare: list[np.ndarray] = []
    _least_bytes, _most_bytes = 16 << 20, 256 << 20  # of one array, of all

    def __init__(self, n):
        self.block, self.is_seen = _core.Block(n, self._borrow(n) if n >= self._least_bytes else None), False

    def _borrow(self, n):
        for _ in range(len(self._spare)):
            array = self._oldest()
            if array is not None and n + 64 <= len(array) <= 2 * n + 64:
                return array
            if array is not None:
                self._spare.append(array)
        return None

    def _oldest(self):
        try:
            return self._spare.pop(0)
        except IndexError:
            return None

    def __del__(self):
        memory = self.block.memory
        if self.is_seen or not self._least_bytes <= len(memory) <= self._most_bytes:  # seen: there may be views
            return
        self._spare.append(memory)
        while sum(map(len, self._spare)) > self._most_bytes:
            self._oldest()


class Tape:
    """What a forward call keeps for backward: gates, cell states and outputs of every step, and the weights it ran on.

    A tape may be used more than once, and by several threads. It borrows `x` (do not change it before backward) and
    copies everything else. Memory: 6 * H numbers a step and batch row, in each layer and direction; 2 * H if it is lean, 8 * H
    more with layer norm.
    """

    def __init__(self, weights, memory, x, h_0, has_c_0, order, resets, run, form):
        self._weights, self._memory, self._x, self._h_0, self._has_c_0 = weights, memory, x, h_0, has_c_0
        self._order, self._resets, self._run, self._form = order, resets, run, form
        self.steps, self.batch_size = x.shape[:2]

    @property
    def nbytes(self):
        return self._memory.block.nbytes

    def __repr__(self):
        return f"<Tape of {self.steps} steps of {self.batch_size} sequences, {self.nbytes / 2**20:.1f} MiB>"

    def rows(self):
        """The batch row and the number of steps of each row of look(), in its order."""
        lengths, rows = self._order or ([self.steps] * self.batch_size, range(self.batch_size))
        return zip(map(int, rows), map(int, lengths))

    def look(self, layer, direction):
        """gates (T, B, 4, H), c (T + 1, B, H) with row 0 the initial state, h (T, B, D * R), as csrc/lstm_fast.h has them."""
        self._memory.is_seen = True
        return self._weights.look(self._memory.block, self.steps, self.batch_size, layer, direction, self._run)


def forward(
    weights, x, h_0, c_0, *, keep, num_threads, form=None, batch_first=False, run=None, lengths=None, resets=None
):
    """x (T, B, I); h_0 (L * D, B, R), c_0 (L * D, B, H) or None; lengths (B,) or None; resets uint8 (T, B) or None.

    Returns output (T, B, D * R), h_n, c_n (or None), Tape (or None). With batch_first the output lies in memory as
    (B, T, D * R), so that the caller can turn it round for nothing.
    """
    T, B = x.shape[:2]
    x = sequence(x)
    order = order_of_lengths(lengths, T, B)
    width = weights.num_directions * weights.h_size
    output = np.empty((B, T, width) if batch_first else (T, B, width), weights.dtype)
    if batch_first:
        output = output.swapaxes(0, 1)
    h_n = np.empty((weights.n_states, B, weights.h_size), weights.dtype)
    c_n = np.empty((weights.n_states, B, weights.hidden_size), weights.dtype) if weights.has_c else None
    h_0, c_0 = (None if state is None else np.ascontiguousarray(state) for state in (h_0, c_0))
    memory = _TapeMemory(weights.tape_bytes(T, B, run)) if keep else None
    weights.forward(x, h_0, c_0, output, h_n, c_n, memory.block if keep else None, num_threads, run, order, resets)
    if not keep:
        return output, h_n, c_n, None
    tape = Tape(weights, memory, x, None if h_0 is None else h_0.copy(), c_0 is not None, order, resets, run, form)
    return output, h_n, c_n, tape


def backward(
    tape, d_output, d_h_n, d_c_n, *, gradients, num_threads, batch_first=False, wants_x=True, norms=(None, None)
):
    """d_output (T, B, D * R), d_h_n and d_c_n as the states, each may be None. gradients: see _core.Weights.backward.

    Returns d_x (laid out like the output of forward; or None), d_h_0, d_c_0 (or None).
    """
    x, weights = tape._x, tape._weights
    (T, B, I), d_x = x.shape, None
    if wants_x:
        d_x = np.empty((B, T, I), weights.dtype).swapaxes(0, 1) if batch_first else np.empty((T, B, I), weights.dtype)
    d_h_0 = np.empty((weights.n_states, B, weights.h_size), weights.dtype)
    d_c_0 = np.empty((weights.n_states, B, weights.hidden_size), weights.dtype) if weights.has_c else None
    d_h_n, d_c_n = (None if d is None else np.ascontiguousarray(d) for d in (d_h_n, d_c_n))
    d_output = None if d_output is None else sequence(d_output)
    # Of c_0 backward asks only whether it was given: any array of the size says yes.
    c_0 = d_c_0 if tape._has_c_0 else None
    weights.backward(
        tape._memory.block,
        x,
        tape._h_0,
        c_0,
        d_output,
        d_h_n,
        d_c_n,
        d_x,
        d_h_0,
        d_c_0,
        gradients,
        num_threads,
        tape._run,
        tape._order,
        tape._resets,
        *norms,
    )
    return d_x, d_h_0, d_c_0


def optional_state(name, value, dtype, shape, words):
    """A state or its gradient, checked; None stays None."""
    return None if value is None else shaped(name, real_array(name, value, dtype), shape, words)


def library_info():
    return {
        "isa": _core.isa(),
        "isa_available": _core.available_isas(),
        "isa_compiled": _core.compiled_isas(),
        "openmp": _core.has_openmp(),
        "compiler": _core.compiler(),
    }
