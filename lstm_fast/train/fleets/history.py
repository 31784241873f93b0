"""FleetHistory: the histories of the models of a fleet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..history import History

if TYPE_CHECKING:
    from ..._types import Array


PER_EPOCH = ("loss", "validation_loss", "gradient_norm", "learning_rate")  # seconds are shared by all models


class FleetHistory(list[History]):
    """Histories of the models of a fleet, returned by `fit`: a list with one `History` per model.

    Parameters
    ----------
    histories : sequence of History
        One for each model.
    diverged : dict of int to str, optional
        Index of each model that diverged, and what was not finite.

    Attributes
    ----------
    diverged : dict of int to str
        Index of each model that diverged, and what was not finite. Such a model keeps its last finite parameters, and
        its history ends with its last complete epoch.

    See Also
    --------
    FleetModel : Has an example.
    """

    def __init__(self, histories: Sequence[History], diverged: dict[int, str] | None = None) -> None:
        super().__init__(histories)
        self.diverged = {} if diverged is None else diverged

    def stacked(self, name: str) -> Array:
        """Return one quantity of all models and epochs.

        Parameters
        ----------
        name : {"loss", "validation_loss", "gradient_norm", "learning_rate", "seconds"}
            Attribute of `History`.

        Returns
        -------
        ndarray of shape (K, epochs)
            NaN after a model has stopped.

        Raises
        ------
        ValueError
            If the name is another.
        """
        if name not in (*PER_EPOCH, "seconds"):
            raise ValueError(f"name must be one of {', '.join((*PER_EPOCH, 'seconds'))}, got {name!r}")
        values = [getattr(one, name) for one in self]
        result = np.full((len(self), max(map(len, values), default=0)), np.nan)
        for row, value in zip(result, values):
            row[: len(value)] = value
        return result


class Epoch(NamedTuple):
    """Entries of an epoch in the histories of the active models: one number per model."""

    models: Array
    loss: Array
    validation_loss: Array | None
    gradient_norm: Array
    learning_rate: Array
    seconds: float

    def append_to(self, histories: Sequence[History]) -> None:
        """Extend the history of each of the models."""
        for name in PER_EPOCH:
            values = getattr(self, name)
            for k, value in zip(self.models.tolist(), () if values is None else values.tolist()):
                getattr(histories[k], name).append(value)
        for k in self.models.tolist():
            histories[k].seconds.append(self.seconds)
