"""FleetTape: the tapes of all models of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .. import _core
    from .._tape import TapeMemory
    from .calls import Arguments
    from .layout import FleetLayout


class FleetTape:
    """Activations of all models, kept by `Fleet.forward` for `Fleet.backward`; used as a `Tape` of one LSTM.

    Attributes
    ----------
    steps, batch_size : int
        T and B.
    nbytes : int
        Memory of the tapes of all models.

    See Also
    --------
    Fleet.forward : Returns one; with an example.
    """

    def __init__(
        self, weights: _core.FleetWeights, memory: TapeMemory, layout: FleetLayout, arguments: Arguments, signature: Any
    ) -> None:
        self._weights, self._memory, self._layout, self._arguments = weights, memory, layout, arguments
        self._signature = signature
        self.steps, self.batch_size = arguments.x.shape[1:3]

    @property
    def nbytes(self) -> int:
        """Size of the tapes in bytes."""
        return self._memory.block.nbytes

    def __repr__(self) -> str:
        n = self._layout.n_models
        size = f"{self.nbytes / 2**20:.1f} MiB"
        return f"<FleetTape of {n} models, {self.steps} steps of {self.batch_size} sequences, {size}>"
