"""Section 5: the unit learns its weights. Also the optimiser and the progress bar that section 6 uses."""

import sys
from collections import namedtuple
from contextlib import contextmanager

import numpy as np

import lstm_fast as lf

from .unit import company_values, gate_weights

BOUND = 0.05  # of the error of a prediction: h = o * tanh(c) comes as near to 1 as it likes, but never there
STEPS_PER_DRAW = 1000
DRAWS = 10

# first_weights: the GateWeights before training; losses: one list for each draw of random weights, of which the last
# reached the bound if is_done.
Training = namedtuple("Training", "unit first_weights losses predictions is_done")


class Adam:
    """Kingma and Ba (2015) on one flat vector of parameters."""

    def __init__(self, size, lr, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.lr, self.beta_1, self.beta_2, self.epsilon = lr, beta_1, beta_2, epsilon
        self.mean, self.square, self.t = np.zeros(size), np.zeros(size), 0

    def step(self, gradient):
        """What to add to the parameters."""
        self.t += 1
        self.mean += (1 - self.beta_1) * (gradient - self.mean)
        self.square += (1 - self.beta_2) * (gradient * gradient - self.square)
        mean, square = self.mean / (1 - self.beta_1**self.t), self.square / (1 - self.beta_2**self.t)
        return -self.lr * mean / (np.sqrt(square) + self.epsilon)


def clipped(gradient, max_norm):
    """The gradient, shortened to max_norm if it is longer."""
    norm = np.linalg.norm(gradient)
    return gradient * (max_norm / norm) if norm > max_norm else gradient


def add_to_parameters(module, change):
    """Adds a vector in the layout of flat_parameters to the parameters."""
    with module.edit() as p:
        p.flat += change.astype(p.flat.dtype, copy=False)


@contextmanager
def progress(total, label):
    """Gives a function to call with the loss after each step. By tqdm if it is installed, else a plain line."""
    try:
        from tqdm import tqdm
    except ImportError:
        with _plain_progress(total, label) as advance:
            yield advance
        return
    bar_format = "{desc} {percentage:3.0f}% |{bar}| {n_fmt} of at most {total_fmt} steps [{elapsed}{postfix}]"
    with tqdm(total=total, desc=label, ncols=78, file=sys.stderr, bar_format=bar_format) as bar:

        def advance(loss):
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update()

        yield advance


@contextmanager
def _plain_progress(total, label):
    done, line = 0, ""

    def advance(loss):
        nonlocal done, line
        done += 1
        line = f"\r{label} {done} of at most {total} steps, loss {loss:.4f}"
        if done % max(1, total // 20) == 0:
            print(line, end="", file=sys.stderr, flush=True)

    try:
        yield advance
    finally:
        print(line, file=sys.stderr, flush=True)


def _train_draw(unit, lr):
    """Trains until both predictions are within BOUND, or STEPS_PER_DRAW long. Returns the losses and predictions."""
    x, truth = company_values()
    adam, losses = Adam(unit.flat_parameters.size, lr), []
    with progress(STEPS_PER_DRAW, "   training") as advance:
        for _ in range(STEPS_PER_DRAW):
            _, (h_n, _), tape = unit.forward(x)
            error = h_n[0, :, 0] - truth
            losses.append(float(error @ error))
            if np.all(np.abs(error) < BOUND):
                break
            # The loss is the sum of the squared errors; backward() carries its gradient through all four days.
            gradients = unit.backward(tape, None, (2 * error[None, :, None], None))
            add_to_parameters(unit, adam.step(gradients.flat))
            advance(losses[-1])
    return losses, h_n[0, :, 0]


def train_unit(seed, lr=0.05):
    """Trains a unit on both companies from random weights; a draw that stays on a plateau is given up for a new one."""
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
