"""Data for training in the page: the tour's task and its initial weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..modules import LSTM
from ..tour.training import BOUND, DRAWS, STEPS_PER_DRAW
from ..tour.unit import COMPANIES
from ._arrays import encode

LEARNING_RATE = 0.05


def learning_data(seed: int = 0) -> dict[str, Any]:
    """Return companies, settings and first weights, as in lstm_fast.tour.training.train_unit(seed)."""
    rng = np.random.default_rng(seed)
    units = [LSTM(1, 1, dtype=np.float64, seed=int(rng.integers(2**32))) for _ in range(DRAWS)]
    return {
        "companies": [{"name": name, "x": list(x), "truth": truth} for name, (x, truth) in COMPANIES.items()],
        "lr": LEARNING_RATE,
        "bound": BOUND,
        "max_steps": STEPS_PER_DRAW,
        "order": list(units[0].parameter_names),
        "draws": [encode(unit.flat_parameters) for unit in units],
    }
