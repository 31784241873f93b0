"""FleetNetwork: arguments and results of the calls of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _arguments, _threads
from .._inference import read_states
from .._parameter_arrays import Gradients
from .calls import Arguments, Results, draw_options
from .layout import read_input, read_symbols
from .models import FleetModels

if TYPE_CHECKING:
    from .calls import OutputGradients
    from .layout import FleetLayout


class FleetNetwork(FleetModels):
    """Base class of Fleet: reads the arguments of calls and returns their results in the caller's axes."""

    @property
    def _signature(self) -> Any:
        return self._lstm._signature, len(self)

    def _read(
        self,
        x: Any,
        state: Any,
        lengths: Any,
        resets: Any,
        num_threads: int | None,
        training: tuple[bool, bool] | None = None,
    ) -> tuple[FleetLayout, Arguments, int]:
        """Validate the arguments of a call; training = (training, recompute_gates) draws masks."""
        if training is not None:
            training = _arguments.flag("training", training[0]), _arguments.flag("recompute_gates", training[1])
        lstm = self._lstm
        if lstm.index_input:
            x, layout = read_symbols(x, lstm.batch_first, len(self))
        else:
            x, layout = read_input(x, self._dtype, lstm.input_size, lstm.batch_first, len(self))
        T, B = x.shape[1:3]
        h_0, c_0 = read_states(lstm, layout, state, B, ("h_0", "c_0"))
        order = None if lengths is None else layout.order_of_lengths(lengths, T, B)
        if lstm.index_input:
            layout.check_symbols(x, lstm.input_size, lengths)
        resets = None if resets is None else layout.read_resets(resets, T, B)
        num_threads = _threads.resolve(num_threads)
        options, seeds = (None, None) if training is None else draw_options(lstm, *training, self._rngs)
        return layout, Arguments(x, h_0, c_0, options, order, resets, seeds), num_threads

    def _computes_d_x(self, value: bool | None) -> bool:
        """Validate compute_d_x; None: unless x are symbols."""
        if value is None:
            return not self._lstm.index_input
        if _arguments.flag("compute_d_x", value) and self._lstm.index_input:
            raise ValueError("compute_d_x must be None or False with index_input: symbols have no gradient, got True")
        return bool(value)

    def _read_gradients(self, layout: FleetLayout, a: Arguments, d_output: Any, d_state: Any) -> OutputGradients:
        """Validate d_output, d_h_n and d_c_n of models whose call had these arguments."""
        T, B = a.x.shape[1:3]
        d_h_n, d_c_n = read_states(self._lstm, layout, d_state, B, ("d_h_n", "d_c_n"))
        if d_output is not None:
            d_output = layout.read_sequence("d_output", d_output, self._dtype, T, B, self._lstm.output_size)
        return d_output, d_h_n, d_c_n

    def _gradients(self, layout: FleetLayout, results: Results) -> Gradients:
        """Return results with the axes of the caller."""
        lstm, (flat, d_x, d_h_0, d_c_0, *norms) = self._lstm, results
        gradients = Gradients(*layout.from_core(d_x, d_h_0, d_c_0), flat, self._table)
        if norms[0] is not None:
            shape = len(self), lstm.num_layers, lstm.num_directions, *norms[0].shape[2:]
            gradients.d_h_norms, gradients.d_c_norms = (one.reshape(shape) for one in norms if one is not None)
        return gradients
