"""One call of the core on checked arrays: allocates what it returns. Used by modules.py and functional.py."""
from threading import Lock

import numpy as np

from . import _core
from ._arguments import order_of_lengths, real_array, sequence, shaped


class _TapeMemory:
    """The Block of a tape. A large one is kept when it dies: the next training step needs as much again, and pages fresh
    from the system cost up to a twentieth of it. (What is smaller the C library keeps by itself.)
    """
    _spare: list[np.ndarray] = []  # the youngest last
    _lock = Lock()
    _least_bytes, _most_bytes = 16 << 20, 256 << 20  # of one array, of all

    def __init__(self, n):
        self.block, self.is_seen = _core.Block(n, self._borrow(n) if n >= self._least_bytes else None), False

    def _borrow(self, n):
        with self._lock:
            for k, array in enumerate(self._spare):
                if n + 64 <= len(array) <= 2 * n + 64:
                    return self._spare.pop(k)
        return None

    def __del__(self):
        memory = self.block.memory
        if self.is_seen or not self._least_bytes <= len(memory) <= self._most_bytes:  # seen: there may be views
            return
        with self._lock:
            self._spare.append(memory)
            while sum(map(len, self._spare)) > self._most_bytes:
                del self._spare[0]


class Tape:
    """What a forward call keeps for backward: gates, cell states and outputs of every step, and the weights it ran on.

    A tape may be used more than once, and by several threads. It borrows `x` (do not change it before backward) and
    copies everything else. Memory: 6 * H numbers a step and batch row, in each layer and direction.
    """

    def __init__(self, weights, memory, x, h_0, order, dropout, seed, form):
        self._weights, self._memory, self._x, self._h_0, self._order = weights, memory, x, h_0, order
        self._dropout, self._seed, self._form = dropout, seed, form
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
        """gates (T, B, 4, H), c (T + 1, B, H) with row 0 the initial state, h (T, B, D * H), as csrc/lstm_fast.h has them."""
        self._memory.is_seen = True
        return self._weights.look(self._memory.block, self.steps, self.batch_size, layer, direction, self._dropout)


def forward(weights, x, h_0, c_0, *, hidden_size, n_states, n_directions, has_c, keep, num_threads, form=None,
            batch_first=False, dropout=0.0, seed=0, lengths=None):
    """x (T, B, I); h_0, c_0 (n_states, B, H) or None; lengths (B,) or None. Returns output (T, B, D * H), h_n, c_n (or None), Tape (or None).

    With batch_first the output lies in memory as (B, T, D * H), so that the caller can turn it round for nothing.
    """
    T, B = x.shape[:2]
    x = sequence(x)
    order = order_of_lengths(lengths, T, B)
    width = n_directions * hidden_size
    output = np.empty((B, T, width) if batch_first else (T, B, width), weights.dtype)
    if batch_first:
        output = output.swapaxes(0, 1)
    h_n = np.empty((n_states, B, hidden_size), weights.dtype)
    c_n = np.empty_like(h_n) if has_c else None
    h_0, c_0 = (None if state is None else np.ascontiguousarray(state) for state in (h_0, c_0))
    memory = _TapeMemory(weights.tape_bytes(T, B, dropout)) if keep else None
    weights.forward(x, h_0, c_0, output, h_n, c_n, memory.block if keep else None, num_threads, dropout, seed,
                    order)
    if not keep:
        return output, h_n, c_n, None
    return output, h_n, c_n, Tape(weights, memory, x, None if h_0 is None else h_0.copy(), order, dropout, seed, form)


def backward(tape, d_output, d_h_n, d_c_n, *, gradients, n_states, hidden_size, has_c, num_threads, batch_first=False):
    """d_output (T, B, D * H), d_h_n and d_c_n (n_states, B, H), each may be None. gradients: see _core.Weights.backward.

    Returns d_x (laid out like the output of forward), d_h_0, d_c_0 (or None).
    """
    x, dtype = tape._x, tape._weights.dtype
    T, B, I = x.shape
    d_x = np.empty((B, T, I), dtype).swapaxes(0, 1) if batch_first else np.empty((T, B, I), dtype)
    d_h_0 = np.empty((n_states, B, hidden_size), dtype)
    d_c_0 = np.empty_like(d_h_0) if has_c else None
    d_h_n, d_c_n = (None if d is None else np.ascontiguousarray(d) for d in (d_h_n, d_c_n))
    d_output = None if d_output is None else sequence(d_output)
    tape._weights.backward(tape._memory.block, x, tape._h_0, d_output, d_h_n, d_c_n, d_x, d_h_0, d_c_0, gradients, num_threads,
                           tape._dropout, tape._seed, tape._order)
    return d_x, d_h_0, d_c_0


def optional_state(name, value, dtype, shape, words):
    """A state or its gradient, checked; None stays None."""
    return None if value is None else shaped(name, real_array(name, value, dtype), shape, words)


def library_info():
    return {"isa": _core.isa(), "isa_available": _core.available_isas(), "isa_compiled": _core.compiled_isas(),
            "openmp": _core.has_openmp(), "compiler": _core.compiler()}
