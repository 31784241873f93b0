"""Trainer: the training loop, with validation and checkpoints."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._fingerprint import fingerprint
from . import checkpoint
from .custom_loss import check_gradient
from .data import Sequences, batches
from .history import Diverged, History, Progress
from .losses import Loss
from .passes import loss_and_gradients, predictions
from .progress_bar import progress_bar

if TYPE_CHECKING:
    from .._types import Array, ArrayLike
    from .config import FitConfig
    from .model import SequenceModel
    from .optimizers import Optimizer

VALIDATION_BATCH = 256  # sequences


class Trainer:
    """Training loop behind `fit`.

    Parameters
    ----------
    model : SequenceModel
        Trained in place.
    x, y : array_like or list of array_like
        Sequences and targets, as in `SequenceModel.loss_and_grads`.
    config : FitConfig
        Settings.
    lengths, sample_weight, mask : array_like, optional
        As in `SequenceModel.loss_and_grads`.
    validation : float or tuple, optional
        As in `fit`.

    Attributes
    ----------
    now : Progress
        State of the run.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> from lstm_fast.train import FitConfig, SequenceModel, Trainer
    >>> model = SequenceModel(lf.LSTM(1, 4, batch_first=True, seed=0), 1, seed=0)
    >>> trainer = Trainer(model, np.ones((8, 5, 1)), np.zeros(8), FitConfig(epochs=2, seed=0))
    >>> len(trainer.run())
    2
    """

    def __init__(
        self,
        model: SequenceModel,
        x: Any,
        y: Any,
        config: FitConfig,
        *,
        lengths: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        mask: Any = None,
        validation: Any = None,
    ) -> None:
        self.model, self.config = model, config
        self.loss = Loss(config.loss)
        self.optimizer: Optimizer = config.make_optimizer()
        order, masks, share = np.random.SeedSequence(config.seed).spawn(3)
        self.order_rng, self.mask_rng = np.random.default_rng(order), np.random.default_rng(masks)
        self.data = Sequences(model.lstm, x, lengths)
        self.data.read_targets(model, self.loss, y, sample_weight, mask)
        self.validation = self._read_validation(validation, np.random.default_rng(share))
        self._check_count(self.data.n)
        if config.check_loss:
            self._check_loss()
        flat = model.flat_parameters
        self.now = Progress(flat, self.optimizer.moments(flat), History())

    def _read_validation(self, validation: Any, rng: np.random.Generator) -> Sequences | None:
        if validation is None:
            return None
        if isinstance(validation, Real) and not isinstance(validation, bool):
            n = round(float(validation) * self.data.n)
            if not 0 < float(validation) < 1 or not self._is_split(n):
                raise ValueError(f"validation must leave sequences on both sides, got {validation!r} of {self.data.n}")
            rows = rng.permutation(self.data.n)
            held_out, self.data = self.data.subset(rows[:n]), self.data.subset(rows[n:])
            return held_out
        if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3, 4):
            raise ValueError("validation must be a fraction, (x, y), (x, y, lengths) or (x, y, lengths, mask)")
        x, y, lengths, mask = (*validation, None, None)[:4]
        data = Sequences(self.model.lstm, x, lengths)
        data.read_targets(self.model, self.loss, y, mask=mask)
        return data

    def _is_split(self, n: int) -> bool:
        return 0 < n < int(self.data.n)

    def _check_count(self, n: int) -> None:
        if not n:
            raise ValueError("x must hold at least one sequence to train on")

    def _check_loss(self) -> None:
        """Compare the gradient of the loss with finite differences, for the predictions of the first sequences."""
        rows = np.arange(min(self.config.batch_size, self.data.n))
        (x, lengths), (y, weights) = self.data.batch(rows), self.data.targets(rows)
        p = predictions(self.model, x, lengths, self.config.num_threads).astype(np.float64)
        check_gradient(lambda p: self.loss(p, y, weights), p.reshape(-1, p.shape[-1]))

    # ---- the run ----

    def run(self, progress: bool = False) -> History:
        """Train until the last epoch, early stopping, or a callback returns true.

        Parameters
        ----------
        progress : bool, default False
            Whether to show a progress bar (tqdm).

        Returns
        -------
        History
            Losses, norms, learning rates and times, one value per epoch.

        Raises
        ------
        Diverged
            If a loss, gradient or parameter is not finite.
        """
        config, n_steps = self.config, self.data.n_steps()
        bar = progress_bar(progress, config.epochs * n_steps, round(self._epochs_done() * n_steps))
        try:
            while self.now.epoch < config.epochs and not self._is_out_of_patience():
                self._train_epoch(bar)
                if self._is_stopped():
                    break
        except KeyboardInterrupt:
            self._save()
            raise
        finally:
            bar.close()
            self._install(self.now.flat)
        if config.early_stopping is not None and self.now.best is not None:
            self._install(self.now.best)
        self.now = replace(self.now, history=replace(self.now.history, fingerprint=fingerprint(self.model)))
        return self.now.history

    def warm_start(self, before: Progress) -> None:
        """Continue with the optimizer state of an earlier run of the same model.

        Parameters
        ----------
        before : Progress
            Attribute `now` of the Trainer of that run.
        """
        self.now = replace(self.now, moments=before.moments, step=before.step)

    def _epochs_done(self) -> float:
        return self.now.epoch + self.now.n / float(self.data.n)

    def _is_out_of_patience(self) -> bool:
        best, patience = self.now.history.best_epoch, self.config.early_stopping
        return patience is not None and best is not None and len(self.now.history) - 1 - best >= patience

    def _is_stopped(self) -> bool:
        """Whether a callback returns true; all of them are called."""
        answers = [callback(self.model, self.now.history) for callback in self.config.callbacks]
        return any(answers)

    def _install(self, flat: Array) -> None:
        self.model.load_flat_parameters(flat, copy=False)

    def _train_epoch(self, bar: Any) -> None:
        begin = time.monotonic()
        if self.now.batch == 0:
            state = self.order_rng.bit_generator.state
            self.now = replace(self.now, shuffle_state=dict(state), shuffle_epoch=self.now.epoch)
        groups = self._draw_batches()
        for k in range(self.now.batch, len(groups)):
            self._train_batch(groups[k], k, len(groups))
            bar.set_postfix(epoch=self.now.epoch, loss=f"{self.now.losses / self.now.n:.4g}", refresh=False)
            bar.update(self.data.n_steps(groups[k]))
        now, before = self.now, self.now.history
        validation_loss = [] if self.validation is None else [self._validate(self.validation)]
        history = History(
            loss=[*before.loss, now.losses / now.n],
            validation_loss=before.validation_loss + validation_loss,
            gradient_norm=[*before.gradient_norm, now.norms / len(groups)],
            learning_rate=[*before.learning_rate, self._learning_rate(now.step - 1, len(groups))],
            seconds=[*before.seconds, time.monotonic() - begin],
            best_epoch=before.best_epoch,
        )
        best, watched = now.best, history.watched()
        if history.best_epoch is None or watched[-1] < watched[history.best_epoch]:
            history.best_epoch, best = len(history) - 1, now.flat
        self.now = replace(now, history=history, epoch=now.epoch + 1, batch=0, losses=0.0, norms=0.0, n=0.0, best=best)
        self._save()

    def _draw_batches(self) -> list[Array]:
        return batches(self.order_rng, self.data, self.config.batch_size, self.config.shuffle)

    def _learning_rate(self, step: int, n_batches: int) -> float:
        lr: float = self.optimizer.lr
        return lr * self.config.lr_factor(step / (self.config.epochs * n_batches))

    def _train_batch(self, rows: Array, k: int, n_batches: int) -> None:
        now, clip_norm = self.now, self.config.clip_norm
        loss, gradient, n = self._mean_gradient(rows, k)
        norm = _core.norm(gradient)
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise Diverged(
                f"epoch {now.epoch}, batch {k}: loss {loss}, norm of the gradient {norm}. {self._cause(rows)}"
            )
        flat, moments = now.flat.copy(), tuple([moment.copy() for moment in now.moments])
        scale = 1.0 if clip_norm is None or norm <= clip_norm else clip_norm / norm
        lr = self._learning_rate(now.step, n_batches)
        self.optimizer.step(flat, gradient, moments, now.step + 1, lr, scale)
        if not math.isfinite(_core.norm(flat)):
            raise Diverged(
                f"epoch {now.epoch}, batch {k}: a step of learning rate {lr:g} gave parameters that are not finite"
            )
        self.now = replace(
            now,
            flat=flat,
            moments=moments,
            step=now.step + 1,
            batch=k + 1,
            losses=now.losses + loss * n,
            norms=now.norms + norm,
            n=now.n + n,
            mask_state=dict(self.mask_rng.bit_generator.state),
        )
        self._install(flat)

    def _mean_gradient(self, rows: Array, k: int) -> tuple[float, Array, int]:
        """Return the mean loss over batch k, its gradient, and the number of sequences that they are of."""
        loss, gradients = loss_and_gradients(
            self.model, self.data, rows, num_threads=self.config.num_threads, rng=self.mask_rng
        )
        return loss, gradients.flat, len(rows)

    def _cause(self, rows: Array) -> str:
        """Describe what is not finite in the data of a batch."""
        x, y = self.data.x, self.data.y
        for row in rows:
            n = x.shape[1] if self.data.lengths is None else self.data.lengths[row]
            is_finite = np.isfinite(x[row, :n]).all(axis=1)
            if not is_finite.all():
                return f"x of sequence {row} is not finite at step {int(np.argmin(is_finite))}"
            if not np.isfinite(y[row]).all():
                return f"y of sequence {row} is not finite"
        return "The data of the batch are finite: try a lower learning rate or clip_norm"

    def _validate(self, data: Sequences) -> float:
        total, weight = self._weighted_losses(data)
        return total / weight if weight else float("nan")

    def _weighted_losses(self, data: Sequences) -> tuple[float, float]:
        """Return the sum of weighted losses, and that of the weights."""
        total = weight = 0.0
        for begin in range(0, data.n, VALIDATION_BATCH):
            rows = np.arange(begin, min(begin + VALIDATION_BATCH, data.n))
            (x, lengths), (y, weights) = data.batch(rows), data.targets(rows)
            p = predictions(self.model, x, lengths, self.config.num_threads)
            share = float(len(rows)) if weights is None else float(weights.sum())
            total += self.loss(p.reshape(-1, p.shape[-1]), y, weights)[0] * share
            weight += share
        return total, weight

    # ---- files ----

    def _load(self) -> Progress | None:
        assert self.config.checkpoint is not None
        return checkpoint.load_run(self.config.checkpoint, self.model, self.optimizer, self.now)

    def _save(self) -> None:
        if self.config.checkpoint is not None:
            checkpoint.save_run(self.config.checkpoint, self.model, self.optimizer, self.now)

    def resume(self) -> None:
        """Continue from the checkpoint if the file exists.

        Raises
        ------
        ValueError
            If the checkpoint belongs to another model or optimizer, or is damaged (FormatError).
        """
        loaded = self._load()
        if loaded is None:
            return
        self.now = loaded
        if self.now.shuffle_state is not None:
            self.order_rng.bit_generator.state = self.now.shuffle_state
            if self.now.shuffle_epoch < self.now.epoch:  # that epoch is complete: advance the generator past it
                self._draw_batches()
        if self.now.mask_state is not None:
            self.mask_rng.bit_generator.state = self.now.mask_state
        self._install(self.now.flat)
