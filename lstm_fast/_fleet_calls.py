"""What calls of fleets take from one of their models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import _core

if TYPE_CHECKING:
    from ._tape import TrainingOptions
    from ._types import Array
    from .modules import LSTM


def weights_of(lstm: LSTM, flat: Array) -> _core.FleetWeights:
    """Return the core's weights of models like lstm whose parameters are the rows of flat (K, P)."""
    return _core.FleetWeights(lstm._version.weights, flat)


def draw_options(
    lstm: LSTM, training: bool, recompute_gates: bool, rngs: list[np.random.Generator]
) -> tuple[TrainingOptions | None, Array | None]:
    """Return the options of a training call and the seed of each model's masks, drawn from its generator; None without
    masks and with a full tape."""
    drawn = [lstm._training_options(training, recompute_gates, rng) for rng in rngs]
    if drawn[0] is None:
        return None, None
    return drawn[0], np.array([one.seed for one in drawn if one is not None], np.uint64).view(np.int64)
