"""FleetTrainer: the training loop of a fleet. Each model is trained as `Trainer` would train it alone, bit for bit."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _arguments, _core
from ..._fingerprint import fingerprints
from ..data import NOTHING_COUNTS
from ..history import History
from ..installed import Installed
from ..losses import Loss
from ..progress_bar import progress_bar
from .batches import draw_epoch
from .data import FleetData
from .history import Epoch, FleetHistory
from .model import seeds_of
from .passes import losses_and_gradients, mean_losses

if TYPE_CHECKING:
    from ..._types import Array
    from ..config import FitConfig
    from .data import FleetBatch
    from .model import FleetModel


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
        seeds = [_arguments.seeded(np.random.SeedSequence, seed).spawn(3) for seed in seeds_of(config.seed, len(model))]
        rngs = [[np.random.default_rng(one) for one in of_model] for of_model in seeds]
        self.order_rngs, self.mask_rngs, self.share_rngs = (list(of_kind) for of_kind in zip(*rngs))
        self.data = FleetData(model, x, lengths)
        self.data.read_targets(self.loss, y, sample_weight, mask)
        self.validation = self._read_validation(validation)
        for k, one in enumerate(self.data.each):
            if not one.n:
                raise ValueError(f"model {k}: x must hold at least one sequence to train on")
            if not one.counts():
                raise ValueError(f"model {k}: x must have predictions that count, got none: {NOTHING_COUNTS}")
        self.data.stack()
        if self.validation is not None:
            self.validation.stack()
        K = len(model)
        self.flat, self._installed = model.flat_parameters, Installed(model)
        self.moments = self.optimizer.moments(self.flat)
        self.best, self.best_epoch, self.best_loss = self.flat.copy(), np.full(K, -1), np.full(K, np.nan)
        self.active, self.step = np.arange(K), np.zeros(K, np.int64)
        self.diverged: dict[int, str] = {}
        self.histories, self.epochs = [History() for _ in range(K)], list[Epoch]()  # epochs: those in progress

    def _read_validation(self, validation: Any) -> FleetData | None:
        if validation is None:
            return None
        K = len(self.model)
        if isinstance(validation, Real) and not isinstance(validation, bool):
            held_out = FleetData.__new__(FleetData)
            held_out.model, held_out.each = self.model, []
            for k, data in enumerate(self.data.each):
                n = round(float(validation) * data.n) if 0 < float(validation) < 1 else 0
                if not 0 < n < data.n:
                    raise ValueError(
                        f"validation must leave sequences on both sides, got {validation!r} of {data.n} of model {k}"
                    )
                rows = self.share_rngs[k].permutation(data.n)
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
        """Train until the last epoch, until all models have stopped, or until a callback returns true."""
        config, n_steps = self.config, sum(one.n_steps() for one in self.data.each)
        bar, self.has_bar = progress_bar(progress, config.epochs * n_steps, 0), progress
        try:
            for epoch in range(config.epochs):
                self._train_epoch(epoch, bar)
                if (config.callbacks and self._is_stopped()) or not len(self.active):
                    break
        finally:
            bar.close()
            if not self._installed.is_changed():
                self._installed.install(self.flat.copy())
        return self._finish()

    def _is_stopped(self) -> bool:
        """Call all callbacks, which may load other parameters; return whether any of them returned true."""
        self._installed.install(self.flat.copy())
        histories = FleetHistory(self._histories(), self.diverged)
        answers = [callback(self.model, histories) for callback in self.config.callbacks]  # type: ignore[arg-type]
        flat = self._installed.changed()
        self.flat = self.flat if flat is None else flat
        return any(answers)

    def _histories(self) -> list[History]:
        """Return copies of the histories of all models, up to the last complete epoch."""
        for epoch in self.epochs:
            epoch.append_to(self.histories)
        self.epochs.clear()
        best = [None if epoch < 0 else epoch for epoch in self.best_epoch.tolist()]
        return [replace(one, best_epoch=epoch) for one, epoch in zip(self.histories, best)]

    def _finish(self) -> FleetHistory:
        self._installed.check()
        if self.config.early_stopping is not None:
            has_best = self.best_epoch >= 0
            has_best[list(self.diverged)] = False  # like a single model, it keeps its last finite parameters
            self.model.load_flat_parameters(np.where(has_best[:, None], self.best, self.flat))
        prints = fingerprints(self.model.parameters())
        histories = [replace(one, fingerprint=own) for one, own in zip(self._histories(), prints)]
        if self.diverged:
            k, what = next(iter(self.diverged.items()))
            warnings.warn(
                f"{len(self.diverged)} of {len(histories)} models diverged and keep their last finite parameters; "
                f"model {k}: {what}",
                RuntimeWarning,
                stacklevel=4,
            )
        return FleetHistory(histories, self.diverged)

    def _train_epoch(self, epoch: int, bar: Any) -> None:
        begin, config, K = time.monotonic(), self.config, len(self.model)
        batches = draw_epoch(self.data, self.active.tolist(), self.order_rngs, config.batch_size, config.shuffle)
        self.n_batches = np.zeros(K, np.int64)  # batches run in this epoch
        for models, _, _ in (one for of_batch in batches for one in of_batch):
            self.n_batches[models] += 1
        self.losses, self.norms, self.n = np.zeros((3, K))  # sums over the batches of this epoch
        for batch, of_batch in enumerate(batches):
            for models, rows, T in of_batch:
                stays = np.array([k not in self.diverged for k in models.tolist()]) if self.diverged else slice(None)
                if len(models[stays]):
                    self._train_batch(epoch, batch, (models[stays], rows[stays], T))
                    if self.has_bar:
                        n_steps = (self.data.each[k].n_steps(own) for k, own in zip(models[stays], rows[stays]))
                        bar.update(sum(n_steps))
        active, of_validation = self.active, None
        if self.validation is not None and len(active):
            model, validation = self.model, self.validation
            of_validation = mean_losses(model, self.flat, self.loss, validation, active.tolist(), config.num_threads)
            is_finite = np.isfinite(of_validation)
            for k, loss_of_one in zip(active[~is_finite].tolist(), of_validation[~is_finite]):
                self.diverged[k] = f"epoch {epoch}, validation: loss {loss_of_one}"
            active, of_validation = active[is_finite], of_validation[is_finite]
            self.active = active
        loss = self.losses[active] / self.n[active]
        n_batches, lr = self.n_batches[active], self._learning_rates(active, -1)
        seconds = time.monotonic() - begin
        self.epochs.append(Epoch(active, loss, of_validation, self.norms[active] / n_batches, lr, seconds))
        self._stop_early(epoch, loss if of_validation is None else of_validation)

    def _stop_early(self, epoch: int, watched: Array) -> None:
        """Keep the best parameters by the monitored loss of each active model, and drop those without patience left."""
        is_better = (self.best_epoch[self.active] < 0) | (watched < self.best_loss[self.active])
        better = self.active[is_better]
        self.best[better], self.best_epoch[better], self.best_loss[better] = (
            self.flat[better],
            epoch,
            watched[is_better],
        )
        if self.config.early_stopping is not None:
            self.active = self.active[epoch - self.best_epoch[self.active] < self.config.early_stopping]

    def _train_batch(self, epoch: int, batch: int, fleet_batch: FleetBatch) -> None:
        """Train the models of a batch for one step."""
        (models, rows, _), config = fleet_batch, self.config
        is_all = len(models) == len(self.model)
        flat = self.flat.copy() if is_all else self.flat[models]
        rngs = [self.mask_rngs[k] for k in models.tolist()]
        losses, gradients = losses_and_gradients(
            self.model, flat, self.loss, self.data, fleet_batch, rngs, config.num_threads
        )
        norms = _core.norms(gradients)
        moments = tuple([moment.copy() if is_all else moment[models] for moment in self.moments])
        clip = config.clip_norm
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.ones(len(models)) if clip is None else np.where(norms <= clip, 1.0, clip / norms)
        lr = self._learning_rates(models)
        self.optimizer.step_rows(flat, gradients, moments, self.step[models] + 1, lr, scale)
        is_finite = np.isfinite(losses) & np.isfinite(norms)
        stays = is_finite & np.isfinite(_core.norms(flat))
        if is_all and stays.all():
            self.flat, self.moments = flat, moments
        else:
            self.flat[models[stays]] = flat[stays]
            for to, moment in zip(self.moments, moments):
                to[models[stays]] = moment[stays]
        still, size = models[stays], rows.shape[1]
        self.step[still] += 1
        self.losses[still] += losses[stays] * size
        self.norms[still] += norms[stays]
        self.n[still] += size
        if stays.all():
            return
        for place in np.flatnonzero(~stays):
            what = f"loss {losses[place]}, norm of the gradient {norms[place]}"
            if is_finite[place]:
                what = f"a step of learning rate {lr[place]:g} gave parameters that are not finite"
            self.diverged[int(models[place])] = f"epoch {epoch}, batch {batch}: {what}"
        self.active = np.array([k for k in self.active.tolist() if k not in self.diverged], int)

    def _learning_rates(self, models: Array, offset: int = 0) -> Array:
        """Return the learning rate of the next step of each model; offset -1: of the last one."""
        if self.config.lr_schedule is None:
            return np.full(len(models), self.optimizer.lr, np.float64)
        done = zip((self.step[models] + offset).tolist(), self.n_batches[models].tolist())
        at, rates = list(done), dict[tuple[int, int], float]()
        for step, n_batches in set(at):
            progress = step / (self.config.epochs * n_batches)
            rates[step, n_batches] = self.optimizer.lr * self.config.lr_factor(progress)
        return np.array([rates[one] for one in at], np.float64)
