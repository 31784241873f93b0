"""Data of a run: its arguments x, y and validation, and errors about data without predictions that count."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .batches import SequenceBatches
from .chunks import weighted_losses
from .data import NOTHING_COUNTS, Sequences
from .history import Diverged
from .iterable import Batches, IterableBatches
from .truncated import NO_STEPS, TruncatedBatches, check_model

if TYPE_CHECKING:
    from .batches import BatchSource
    from .config import FitConfig
    from .history import History
    from .losses import Loss
    from .model import SequenceModel


def read_data(
    model: SequenceModel, loss: Loss, x: Any, y: Any, config: FitConfig, **options: Any
) -> Sequences | Batches:
    """Validate the data of a run: arrays or, with y None, an iterable. options: lengths, sample_weight, mask."""
    if config.is_truncated:
        check_model(model)
    if y is None:
        for name, value in options.items():
            if value is not None:
                raise ValueError(f"{name} must be None for an iterable, whose batches have their own")
        return Batches("x", x, model, loss, config.is_truncated)
    data = Sequences(model.lstm, x, options["lengths"], config.is_truncated)
    data.read_targets(model, loss, y, options["sample_weight"], options["mask"])
    return data


def read_validation(
    model: SequenceModel,
    loss: Loss,
    validation: Any,
    data: Sequences | Batches,
    config: FitConfig,
    rng: Any,
    is_shard: bool,
) -> tuple[Sequences | Batches | None, Sequences | Batches]:
    """Return the validation data and the rest of the data; of a shard, one of the parts may be empty."""
    if validation is None:
        return None, data
    if isinstance(validation, Real) and not isinstance(validation, bool):
        if isinstance(data, Batches):
            raise ValueError(f"validation must be data where x is an iterable, got the fraction {validation!r}")
        is_fraction = 0 < float(validation) < 1
        n = round(float(validation) * data.n) if is_fraction else 0
        if not is_fraction or (not 0 < n < data.n and not is_shard):
            raise ValueError(f"validation must leave sequences on both sides, got {validation!r} of {data.n}")
        rows = rng.permutation(data.n)
        return data.subset(rows[:n]), data.subset(rows[n:])
    is_list = isinstance(validation, (tuple, list))
    if not isinstance(validation, str) and (
        not is_list
        or (isinstance(validation, list) and validation and all(isinstance(one, tuple) for one in validation))
    ):
        batches = Batches("validation", validation, model, loss, config.is_truncated)
        if batches.is_one_pass and config.epochs > 1:
            raise ValueError(
                "validation must be an iterable that can be read again, such as a list, a data loader or a function "
                f"that returns an iterator, for epochs={config.epochs}, got {type(validation).__name__}"
            )
        return batches, data
    if not is_list or len(validation) not in (2, 3, 4):
        raise ValueError(
            "validation must be a fraction, (x, y), (x, y, lengths), (x, y, lengths, mask) or an iterable of batches"
        )
    x, y, lengths, mask = (*validation, None, None)[:4]
    held_out = Sequences(model.lstm, x, lengths, config.is_truncated)
    held_out.read_targets(model, loss, y, mask=mask)
    return held_out, data


def make_source(model: SequenceModel, data: Sequences | Batches, config: FitConfig) -> BatchSource:
    """Return what yields the batches of a run."""
    if isinstance(data, Batches):
        return IterableBatches(model, data, config)
    if not data.n:
        raise ValueError("x must hold at least one sequence to train on")
    if config.is_truncated:
        windows = TruncatedBatches(model, data, config, config.batch_size)
        if not windows.n_steps:
            raise ValueError(NO_STEPS.format(data.T, config.burn_in))
        return windows
    return SequenceBatches(data, config.batch_size, config.shuffle)


def validation_losses(
    model: SequenceModel, loss: Loss, data: Sequences | Batches, config: FitConfig
) -> tuple[float, float]:
    """Return the sum of weighted losses over the validation data, and the sum of the weights."""
    if isinstance(data, Batches):
        return data.weighted_losses(config.burn_in, config.num_threads)
    return weighted_losses(model, loss, data, config.burn_in, config.num_threads)


def mean_validation_loss(total: float, weight: float, data: Sequences | Batches, epoch: int) -> float:
    """Return the mean of validation losses, given their weighted sum; raise if nothing counts or it is not finite."""
    if not weight:
        raise ValueError(
            f"validation must have predictions that count in each epoch, got none in epoch {epoch}: no sequences, all "
            "masked, or none longer than burn_in"
        )
    if not math.isfinite(total):  # nothing is less than NaN: early stopping would restore the first epoch
        cause = f". {data.cause(np.arange(data.n))}" if isinstance(data, Sequences) else ""
        raise Diverged(f"epoch {epoch}, validation: loss {total / weight}{cause}")
    return total / weight


def check_epoch(config: FitConfig, epoch: int, n_batches: int, counts: bool) -> None:
    """Raise if an epoch had no batch, or no prediction that counts."""
    if not n_batches:
        what = f"series that are longer than burn_in, {config.burn_in}," if config.burn_in else "at least one batch"
        raise ValueError(f"x must yield {what} in each epoch, got none in epoch {epoch}")
    if not counts:
        raise ValueError(
            f"x must have predictions that count in each epoch, got none in epoch {epoch}: {NOTHING_COUNTS}"
        )


def check_same_validation(data: Sequences | Batches | None, history: History, config: FitConfig) -> None:
    """Raise unless there are validation data in a resumed run just if there were some in the run of its checkpoint."""
    if len(history) and bool(history.validation_loss) != (data is not None):
        raise ValueError(
            f"validation must be {'data' if history.validation_loss else 'None'}, as in the run of checkpoint "
            f"{config.checkpoint}, got {'None' if data is None else 'data'}"
        )
