"""Recurrent: base class of networks that can be trained, with forward and backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arguments, _network, _threads, _variants
from ._inference import Network
from ._parameter_arrays import Gradients
from ._parameters import EditableParameterized
from ._tape import Tape, TrainingOptions

if TYPE_CHECKING:
    from ._types import Array


class Recurrent(Network, EditableParameterized):
    """Base class of LSTM, RNN and LSTMCell, which define the signatures of calls."""

    def _forward(
        self,
        x: Any,
        state: Any,
        lengths: Any = None,
        resets: Any = None,
        training: bool = False,
        recompute_gates: bool = False,
        rng: np.random.Generator | None = None,
        num_threads: int | None = None,
    ) -> tuple[Array, Any, Tape]:
        """Return output, last state and a tape; arguments come from the caller, not validated yet."""
        training = _arguments.flag("training", training)
        recompute_gates = _arguments.flag("recompute_gates", recompute_gates)
        output, state, tape = self._run(x, state, lengths, resets, num_threads, True, (training, recompute_gates, rng))
        assert tape is not None
        return output, state, tape

    def _training_options(
        self, training: bool, recompute_gates: bool, rng: np.random.Generator | None
    ) -> TrainingOptions | None:
        """Return probabilities and seed of the masks; None without masks and with a full tape."""
        if rng is not None and not isinstance(rng, np.random.Generator):
            raise TypeError(f"rng must be a numpy.random.Generator or None, got {type(rng).__name__}")
        dropout = recurrent = zoneout_h = zoneout_c = 0.0
        if training:
            dropout, recurrent = self._dropout if self._num_layers > 1 else 0.0, self._recurrent_dropout
            if self._zoneout:
                zoneout_h, zoneout_c = _variants.zoneout(self._zoneout)
        has_masks = dropout or recurrent or zoneout_h or zoneout_c
        if not (has_masks or recompute_gates):
            return None
        seed = int((self._rng if rng is None else rng).integers(2**64, dtype=np.uint64)) if has_masks else 0
        return TrainingOptions(dropout, recurrent, zoneout_h, zoneout_c if self._has_c else 0.0, seed, recompute_gates)

    def _backward(
        self,
        tape: Tape,
        d_output: Any,
        d_state: Any,
        compute_d_x: bool | None = None,
        record_norms: bool = False,
        num_threads: int | None = None,
    ) -> Gradients:
        """Return gradients in the layout of the forward call; arguments are not validated yet."""
        if not isinstance(tape, Tape) or tape._signature != self._signature:
            raise TypeError(
                f"tape must come from forward of this module, got {type(tape).__name__}"
                + (" of another" if isinstance(tape, Tape) else "")
            )
        layout, T, B = tape._layout, tape.steps, tape.batch_size
        d_h_n, d_c_n = self._read_states(layout, d_state, B, ("d_h_n", "d_c_n"))
        if d_output is not None:
            d_output = layout.read_sequence("d_output", d_output, self._dtype, T, B, self.output_size)
        d_h_norms = d_c_norms = None
        if _arguments.flag("record_norms", record_norms):
            d_h_norms = np.zeros((self._num_layers * self.num_directions, T, B))
            d_c_norms = np.zeros_like(d_h_norms) if self._has_c else None
        compute_d_x = not self._index_input if compute_d_x is None else _arguments.flag("compute_d_x", compute_d_x)
        if compute_d_x and self._index_input:
            raise ValueError("compute_d_x must be None or False with index_input: symbols have no gradient, got True")
        num_threads = _threads.resolve(num_threads)
        flat = np.empty_like(self._version.flat)
        d_x, d_h_0, d_c_0 = self._compute_gradients(
            tape, d_output, d_h_n, d_c_n, flat, compute_d_x, num_threads, d_h_norms, d_c_norms
        )
        gradients = Gradients(*layout.from_core(d_x, d_h_0, d_c_0), flat, self._table)
        if d_h_norms is not None:
            shape = self._num_layers, self.num_directions, T, B
            gradients.d_h_norms = d_h_norms.reshape(shape)
            gradients.d_c_norms = None if d_c_norms is None else d_c_norms.reshape(shape)
        return gradients

    def _compute_gradients(
        self,
        tape: Tape,
        d_output: Array | None,
        d_h_n: Array | None,
        d_c_n: Array | None,
        flat: Array,
        compute_d_x: bool,
        num_threads: int,
        d_h_norms: Array | None,
        d_c_norms: Array | None,
    ) -> tuple[Array | None, Array, Array | None]:
        """Run the core on validated arrays; subclasses may transform its input and output."""
        return _network.backward(
            tape,
            d_output,
            d_h_n,
            d_c_n,
            gradients=flat,
            compute_d_x=compute_d_x,
            num_threads=num_threads,
            d_h_norms=d_h_norms,
            d_c_norms=d_c_norms,
        )


draw_training_options = Recurrent._training_options  # for fleets, which draw options for each model
