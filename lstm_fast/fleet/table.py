"""FleetTable: parameters of all models as rows of one array."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._parameter_arrays import ParameterTable

if TYPE_CHECKING:
    from .._types import Array


class FleetTable(ParameterTable):
    """The table of one model for a buffer (K, P), a row for each model: its arrays are stacked, (K, ...)."""

    def __init__(self, table: ParameterTable, n_models: int) -> None:
        self.shapes = {name: (n_models, *shape) for name, shape in table.shapes.items()}
        self.names, self.slices, self.size, self.n_models = table.names, table.slices, table.size, n_models

    @property
    def flat_shape(self) -> tuple[int, ...]:
        return (self.n_models, self.size)

    def views(self, flat: Array) -> dict[str, Array]:
        """Return stacked views of a buffer (K, P), by name."""
        return {name: flat[:, self.slices[name]].reshape(shape) for name, shape in self.shapes.items()}
