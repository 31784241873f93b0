"""Network: base class of recurrent networks, with inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _core, _layout, _network, _threads
from ._structure import Structure

if TYPE_CHECKING:
    from ._layout import Layout
    from ._tape import Tape, TrainingOptions
    from ._types import Array
    from .streaming import Stream


class Network(Structure):
    """Base class of LSTM, RNN, LSTMCell and QuantizedLSTM."""

    def _infer(self, x: Any, state: Any, lengths: Any, resets: Any, num_threads: int | None) -> tuple[Array, Any]:
        """Return output and last state; arguments come from the caller, not validated yet."""
        if resets is None and num_threads is None:
            # Fast path: the core validates plain arrays itself; it returns None for anything else.
            short = _core.infer(
                self._version.weights, x, state, lengths, self._batch_first, _threads.get_num_threads, self._is_cell
            )
            if short is not None:
                output, h_n, c_n = short
                return output, (h_n, c_n) if self._has_c else h_n
        return self._run(x, state, lengths, resets, num_threads, keep=False)[:2]

    def _run(
        self,
        x: Any,
        state: Any,
        lengths: Any,
        resets: Any,
        num_threads: int | None,
        keep: bool,
        training: tuple[Any, ...] | None = None,
    ) -> tuple[Array, Any, Tape | None]:
        """Return output, last state and, with keep, a tape; arguments are not validated yet."""
        x, layout = self._read_x(x)
        T, B, _ = x.shape
        h_0, c_0 = self._read_states(layout, state, B, ("h_0", "c_0"))
        resets = None if resets is None else layout.read_resets(resets, T, B)
        if lengths is not None:
            lengths = layout.read_lengths(lengths)
        if self._index_input:
            layout.check_symbols(x, self._input_size, lengths)
        num_threads = _threads.resolve(num_threads)
        options = None if training is None else self._training_options(*training)
        output, h_n, c_n, tape = self._compute(x, h_0, c_0, lengths, resets, layout, num_threads, keep, options)
        output, h_n, c_n = layout.from_core(output, h_n, c_n)
        return output, (h_n, c_n) if self._has_c else h_n, tape

    def _compute(
        self,
        x: Array,
        h_0: Array | None,
        c_0: Array | None,
        lengths: Any,
        resets: Array | None,
        layout: Layout,
        num_threads: int,
        keep: bool,
        options: TrainingOptions | None,
    ) -> tuple[Array, Array, Array | None, Tape | None]:
        """Run the core on validated arrays; subclasses may transform its input and output."""
        return _network.forward(
            self._version.weights,
            x,
            h_0,
            c_0,
            lengths=lengths,
            resets=resets,
            layout=layout,
            num_threads=num_threads,
            keep=keep,
            options=options,
            signature=self._signature,
        )

    def _training_options(self, *training: Any) -> TrainingOptions | None:
        """Draw the random options of a training call."""
        raise NotImplementedError

    def _read_x(self, x: Any) -> tuple[Array, Layout]:
        if self._index_input:
            return _layout.read_symbols(x, self._batch_first)
        return _layout.read_input(x, self._dtype, self._input_size, self._batch_first)

    def _read_states(
        self, layout: Layout, state: Any, B: int, names: tuple[str, str]
    ) -> tuple[Array | None, Array | None]:
        """Validate (h, c) of an LSTM or h of a plain RNN; return h and c, either of which may be None."""
        if state is None:
            return None, None
        n, dtype, H, P = self._num_layers * self.num_directions, self._dtype, self._hidden_size, self._proj_size
        size, letter = (P, "P") if P else (H, "H")
        if not self._has_c:
            return layout.read_state(names[0], state, dtype, n, B, size, letter), None
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise TypeError(f"state must be a pair ({names[0]}, {names[1]}), got {type(state).__name__}")
        return (
            layout.read_state(names[0], state[0], dtype, n, B, size, letter),
            layout.read_state(names[1], state[1], dtype, n, B, H, "H"),
        )

    def _check_h(self, name: str, h: Array) -> None:
        """Raise a ValueError if h is outside the range of the network's format."""

    def stream(self, batch_size: int = 1) -> Stream:
        """Create a stream: live sequences whose state is kept between calls.

        Parameters
        ----------
        batch_size : int, default 1
            Number of sequences.

        Returns
        -------
        Stream
            In the initial state, with the current parameters.

        Raises
        ------
        ValueError
            If the network is bidirectional: the reverse direction starts at the end of the sequence.
        """
        from .streaming import Stream

        return Stream(self, batch_size)


read_states = Network._read_states  # for fleets, with their own layout
