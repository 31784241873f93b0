"""The batches of an epoch of many models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..batches import draw_batches
from .data import joint_batches

if TYPE_CHECKING:
    from .data import FleetBatch, FleetData


def draw_epoch(
    data: FleetData, models: list[int], rngs: Sequence[np.random.Generator], batch_size: int, shuffle: bool
) -> list[list[FleetBatch]]:
    """Draw the batches of an epoch: for each number of a batch, the joint batches of the models."""
    drawn = {k: draw_batches(rngs[k], data.each[k], batch_size, shuffle) for k in models}
    n_batches = max(map(len, drawn.values()), default=0)
    if data.has_lengths:
        return [
            joint_batches(data, models, {k: own[n] for k, own in drawn.items() if n < len(own)})
            for n in range(n_batches)
        ]
    alike: dict[tuple[int, int], list[int]] = {}  # models with equal numbers of sequences and steps
    for k in models:
        alike.setdefault((data.each[k].n, data.each[k].T), []).append(k)
    epoch: list[list[FleetBatch]] = [[] for _ in range(n_batches)]
    for (n, T), ks in alike.items():
        rows, of = np.stack([np.concatenate(drawn[k]) for k in ks]), np.array(ks)
        for number, begin in enumerate(range(0, n, batch_size)):
            epoch[number].append((of, rows[:, begin : begin + batch_size], T))
    return epoch
