"""Section 5: the unit learns its weights by backpropagation through time."""

from typing import NamedTuple

import numpy as np

import lstm_fast as lf

from .progress import progress
from .unit import Array, GateWeights, company_values, gate_weights

BOUND = 0.05  # largest error of a prediction: h = o * tanh(c) approaches 1 but never reaches it
STEPS_PER_DRAW = 1000
DRAWS = 10


class Training(NamedTuple):
    """A training of the unit."""

    unit: lf.LSTM
    first_weights: dict[str, GateWeights]  # before training
    losses: list[list[float]]  # one list for each draw of random weights
    predictions: Array  # predictions for both companies
    is_done: bool  # whether the last draw reached the bound


def _train_draw(unit: lf.LSTM, lr: float) -> tuple[list[float], Array]:
    """Train until both predictions are within BOUND, at most STEPS_PER_DRAW steps; return losses and predictions."""
    x, truth = company_values()
    adam, parameters = lf.train.Adam(lr), unit.flat_parameters.copy()
    moments, losses = adam.moments(parameters), []
    with progress(STEPS_PER_DRAW, "   training") as advance:
        for t in range(1, STEPS_PER_DRAW + 1):
            _, (h_n, _), tape = unit.forward(x)
            error = h_n[0, :, 0] - truth
            losses.append(float(error @ error))
            if np.all(np.abs(error) < BOUND):
                break
            # The loss is the sum of the squared errors; backward() carries its gradient back through all four days.
            gradients = unit.backward(tape, None, (2 * error[None, :, None], None))
            adam.step(parameters, gradients.flat, moments, t, lr)
            with unit.edit() as p:
                p.flat[:] = parameters
            advance(losses[-1])
    return losses, h_n[0, :, 0]


def train_unit(seed: int, lr: float = 0.05) -> Training:
    """Train a unit on both companies from random weights; restart from new weights when stuck on a plateau."""
    rng, all_losses = np.random.default_rng(seed), []
    for _ in range(DRAWS):
        unit = lf.LSTM(1, 1, dtype=np.float64, seed=int(rng.integers(2**32)))
        first_weights = gate_weights(unit)
        losses, predictions = _train_draw(unit, lr)
        all_losses.append(losses)
        is_done = bool(np.all(np.abs(predictions - company_values()[1]) < BOUND))
        if is_done:
            break
    return Training(unit, first_weights, all_losses, predictions, is_done)
