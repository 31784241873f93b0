"""FleetTape: the tapes of all models of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from . import _core
    from ._fleet_layout import FleetLayout
    from ._tape import TapeMemory, TrainingOptions
    from ._types import Array


class Arguments(NamedTuple):
    """What forward and backward of a fleet have in common, as the core takes it."""

    x: Array
    h_0: Array | None
    has_c_0: bool
    run: TrainingOptions | None
    order: tuple[Array, Array] | None
    resets: Array | None
    seeds: Array | None

    def options(self) -> dict[str, Any]:
        """Return the options of the call."""
        return {"run": self.run, "order": self.order, "resets": self.resets, "seeds": self.seeds}


class FleetTape:
    """Activations kept by `Fleet.forward` for `Fleet.backward`, with the weights of that call.

    A tape can be used more than once, and by several threads. It references x (do not modify it before backward) and
    copies everything else.

    Attributes
    ----------
    steps, batch_size : int
        T and B.
    nbytes : int
        Memory of the tapes of all models.

    See Also
    --------
    Fleet.forward : It makes these; with an example.
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
