"""FleetTrainer: the training loop of a fleet. Each model has the run, to the bit, that `Trainer` gives it alone."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._fingerprint import fingerprint
from .._sums import total as total_of
from .batches import draw_groups
from .fleet_data import FleetData, groups_of
from .fleet_model import seeds_of
from .fleet_passes import blocks, losses_and_gradients, predictions
from .history import History
from .losses import Loss
from .progress_bar import progress_bar

if TYPE_CHECKING:
    from .._types import Array
    from .config import FitConfig
    from .fleet_model import FleetModel

VALIDATION_BATCH = 256  # sequences, as in trainer.py


class FleetHistory(list[History]):
    """Histories of the models of a fleet, returned by `fit`: a list with one `History` for each.

    Parameters
    ----------
    histories : sequence of History
        One for each model.
    diverged : dict of int to str, optional
        For each model that diverged, what was not finite.

    Attributes
    ----------
    diverged : dict of int to str
        For each model that diverged, what was not finite. Such a model keeps its last finite parameters, and its
        history ends with its last complete epoch.

    See Also
    --------
    FleetModel : The models; with an example.
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
            NaN where a model had stopped.
        """
        values = [getattr(one, name) for one in self]
        result = np.full((len(self), max(map(len, values), default=0)), np.nan)
        for row, value in zip(result, values):
            row[: len(value)] = value
        return result


class Run:
    """State of the run of one model."""

    def __init__(self, seed: int | None) -> None:
        order, masks, share = np.random.SeedSequence(seed).spawn(3)
        self.order_rng, self.mask_rng, self.share_rng = map(np.random.default_rng, (order, masks, share))
        self.history = History()
        self.groups: list[Array] = []  # batches of this epoch
        self.step = 0
        self.losses = self.norms = self.n = 0.0


class FleetTrainer:
    """Training loop behind `fit` for a FleetModel."""

    def __init__(
        self,
        model: FleetModel,
        x: Any,
        y: Any,
        config: FitConfig,
        *,
        lengths: Any = None,
        sample_weight: Any = None,
        mask: Any = None,
        validation: Any = None,
    ) -> None:
        for name in ("checkpoint", "check_loss", "truncate", "burn_in"):
            if getattr(config, name):
                raise ValueError(f"{name} must not be set for a FleetModel: train model[k], a SequenceModel, with it")
        self.model, self.config, self.loss = model, config, Loss(config.loss)
        self.optimizer = config.make_optimizer()
        self.runs = [Run(seed) for seed in seeds_of(config.seed, len(model))]
        self.data = FleetData(model, x, lengths)
        self.data.read_targets(self.loss, y, sample_weight, mask)
        self.validation = self._read_validation(validation)
        for k, one in enumerate(self.data.each):
            if not one.n:
                raise ValueError(f"model {k}: x must hold at least one sequence to train on")
        self.data.stack()
        if self.validation is not None:
            self.validation.stack()
        self.flat = model.flat_parameters
        self.moments = self.optimizer.moments(self.flat)
        self.best = self.flat.copy()
        self.active = np.arange(len(model))
        self.diverged: dict[int, str] = {}

    def _read_validation(self, validation: Any) -> FleetData | None:
        if validation is None:
            return None
        K = len(self.model)
        if isinstance(validation, Real) and not isinstance(validation, bool):
            held_out = FleetData.__new__(FleetData)
            held_out.model, held_out.each = self.model, []
            for k, data in enumerate(self.data.each):
                n = round(float(validation) * data.n)
                if not 0 < n < data.n:
                    raise ValueError(
                        f"validation must leave sequences on both sides, got {validation!r} of {data.n} of model {k}"
                    )
                rows = self.runs[k].share_rng.permutation(data.n)
                held_out.each.append(data.subset(rows[:n]))
                self.data.each[k] = data.subset(rows[n:])
            return held_out
        if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3, 4):
            raise ValueError(
                "validation must be a fraction, (x, y), (x, y, lengths) or (x, y, lengths, mask), each with an entry "
                f"for each of {K} models"
            )
        x, y, lengths, mask = (*validation, None, None)[:4]
        data_of_all = FleetData(self.model, x, lengths)
        data_of_all.read_targets(self.loss, y, None, mask)
        return data_of_all

    # ---- the run ----

    def run(self, progress: bool = False) -> FleetHistory:
        """Train until the last epoch, or until all models have stopped, or a callback returns true."""
        config, n_steps = self.config, sum(one.n_steps() for one in self.data.each)
        bar, self.has_bar = progress_bar(progress, config.epochs * n_steps, 0), progress
        try:
            for epoch in range(config.epochs):
                self._train_epoch(epoch, bar)
                if config.callbacks:
                    self.model.load_flat_parameters(self.flat)
                    histories = FleetHistory([one.history for one in self.runs], self.diverged)
                    answers = [callback(self.model, histories) for callback in config.callbacks]  # type: ignore[arg-type]
                    if any(answers):  # all of them are called
                        break
                if not len(self.active):
                    break
        finally:
            bar.close()
            self.model.load_flat_parameters(self.flat)
        return self._finish()

    def _finish(self) -> FleetHistory:
        if self.config.early_stopping is not None:
            has_best = [k for k, one in enumerate(self.runs) if one.history.best_epoch is not None]
            flat = self.flat.copy()
            flat[has_best] = self.best[has_best]
            self.model.load_flat_parameters(flat)
        stacked = self.model.parameters()
        histories = [
            replace(one.history, fingerprint=fingerprint({name: value[k] for name, value in stacked.items()}))
            for k, one in enumerate(self.runs)
        ]
        if self.diverged:
            k, what = next(iter(self.diverged.items()))
            warnings.warn(
                f"{len(self.diverged)} of {len(self.runs)} models diverged and keep their last finite parameters; "
                f"model {k}: {what}",
                RuntimeWarning,
                stacklevel=4,
            )
        return FleetHistory(histories, self.diverged)

    def _train_epoch(self, epoch: int, bar: Any) -> None:
        begin, config = time.monotonic(), self.config
        for k in self.active:
            one = self.runs[k]
            one.groups = draw_groups(one.order_rng, self.data.each[k], config.batch_size, config.shuffle)
            one.losses = one.norms = one.n = 0.0
        for batch in range(max(len(self.runs[k].groups) for k in self.active)):
            have = {k: self.runs[k].groups[batch] for k in self.active.tolist() if batch < len(self.runs[k].groups)}
            for group in groups_of(self.data, list(have), have):
                self._train_group(epoch, batch, group)
            if self.has_bar:
                bar.update(sum(self.data.each[k].n_steps(rows) for k, rows in have.items()))
        losses = None if self.validation is None or not len(self.active) else self._validate(self.validation)
        still = []
        for place, k in enumerate(self.active):
            one, before = self.runs[k], self.runs[k].history
            n_batches, lr = len(one.groups), self.optimizer.lr
            lr *= config.lr_factor((one.step - 1) / (config.epochs * n_batches))
            history = History(
                loss=[*before.loss, one.losses / one.n],
                validation_loss=[*before.validation_loss, *([] if losses is None else [losses[place]])],
                gradient_norm=[*before.gradient_norm, one.norms / n_batches],
                learning_rate=[*before.learning_rate, lr],
                seconds=[*before.seconds, time.monotonic() - begin],
                best_epoch=before.best_epoch,
            )
            watched = history.watched()
            if history.best_epoch is None or watched[-1] < watched[history.best_epoch]:
                history.best_epoch = len(history) - 1
                self.best[k] = self.flat[k]
            one.history = history
            patience, best = config.early_stopping, history.best_epoch
            if patience is None or len(history) - 1 - best < patience:
                still.append(k)
        self.active = np.array(still, int)

    def _train_group(self, epoch: int, batch: int, group: tuple[Array, Array, int]) -> None:
        models, rows, _ = group
        runs, config = [self.runs[k] for k in models], self.config
        is_all = len(models) == len(self.runs)
        flat = self.flat.copy() if is_all else self.flat[models]
        rngs = [one.mask_rng for one in runs]
        losses, gradients = losses_and_gradients(
            self.model, flat, self.loss, self.data, group, rngs, config.num_threads
        )
        norms = _core.norms(gradients)
        moments = tuple([moment.copy() if is_all else moment[models] for moment in self.moments])
        clip = config.clip_norm
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.ones(len(models)) if clip is None else np.where(norms <= clip, 1.0, clip / norms)
        lr = self._learning_rates(runs)
        step = np.array([one.step + 1 for one in runs], np.int64)
        self.optimizer.step_rows(flat, gradients, moments, step, lr, scale)
        is_finite = np.isfinite(losses) & np.isfinite(norms)
        stays = is_finite & np.isfinite(_core.norms(flat))
        for place in np.flatnonzero(~stays):
            what = f"loss {losses[place]}, norm of the gradient {norms[place]}"
            if is_finite[place]:
                what = f"a step of learning rate {lr[place]:g} gave parameters that are not finite"
            self.diverged[int(models[place])] = f"epoch {epoch}, batch {batch}: {what}"
        self._keep(models, flat, moments, stays)
        for one, stayed, loss, norm, of_batch in zip(runs, stays.tolist(), losses.tolist(), norms.tolist(), rows):
            if stayed:
                one.step += 1
                one.losses, one.norms, one.n = (
                    one.losses + loss * len(of_batch),
                    one.norms + norm,
                    one.n + len(of_batch),
                )
        if not stays.all():
            self.active = np.array([k for k in self.active if k not in self.diverged], int)

    def _keep(self, models: Array, flat: Array, moments: tuple[Array, ...], stays: Array) -> None:
        """Keep parameters and moments of a finished step."""
        if len(models) == len(self.runs) and stays.all():
            self.flat, self.moments = flat, moments
            return
        of = models[stays]
        self.flat[of] = flat[stays]
        for to, moment in zip(self.moments, moments):
            to[of] = moment[stays]

    def _learning_rates(self, runs: list[Run]) -> Array:
        if self.config.lr_schedule is None:
            return np.full(len(runs), self.optimizer.lr, np.float64)
        epochs, factors = self.config.epochs, {}
        for one in runs:
            key = one.step, len(one.groups)
            if key not in factors:
                factors[key] = self.optimizer.lr * self.config.lr_factor(one.step / (epochs * len(one.groups)))
        return np.array([factors[one.step, len(one.groups)] for one in runs], np.float64)

    def _validate(self, data: FleetData) -> list[float]:
        """Return the validation loss of each active model."""
        models = self.active.tolist()
        total, weight = dict.fromkeys(models, 0.0), dict.fromkeys(models, 0.0)
        for some, batch, T in blocks(data, models, VALIDATION_BATCH):
            p = predictions(self.model, self.flat[some], data, (some, batch, T), self.config.num_threads)
            for k, rows, own in zip(some.tolist(), batch, p):
                y, weights = data.each[k].targets(rows)
                share = float(len(y)) if weights is None else total_of(weights)
                total[k] += self.loss(own, y, weights)[0] * share
                weight[k] += share
        for k in models:
            if not weight[k]:
                raise ValueError(f"validation must have predictions that count, got none for model {k}")
        return [total[k] / weight[k] for k in models]
