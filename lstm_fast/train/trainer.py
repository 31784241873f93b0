"""Trainer: the training loop, with validation and checkpoints."""

from __future__ import annotations

import math
import time
from contextlib import closing
from copy import deepcopy
from dataclasses import replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arguments, _core
from .._fingerprint import fingerprint
from . import checkpoint, sources
from .custom_loss import check_on_batch
from .data import Sequences
from .history import Diverged, History, Progress
from .installed import Installed
from .losses import Loss
from .progress_bar import progress_bar

if TYPE_CHECKING:
    from .._types import Array, ArrayLike
    from .batches import Batch, BatchSource
    from .config import FitConfig
    from .iterable import Batches
    from .model import SequenceModel
    from .optimizers import Optimizer

SAVE_SECONDS = 300.0  # between checkpoints within an epoch


class Trainer:
    """Training loop of `fit`.

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

    is_distributed = False  # whether the data are a shard, which may be empty
    n_ranks = 1  # with batches of their own: as many must continue an epoch

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
        order, masks, share = _arguments.seeded(np.random.SeedSequence, config.seed).spawn(3)
        self.order_rng, self.mask_rng = np.random.default_rng(order), np.random.default_rng(masks)
        data = sources.read_data(
            model, self.loss, x, y, config, lengths=lengths, sample_weight=sample_weight, mask=mask
        )
        self._split(data, validation, np.random.default_rng(share))
        if config.check_loss:
            check_on_batch(self.loss, self.source.sample(model, config.num_threads))
        flat, self._installed = model.flat_parameters, Installed(model)
        self.now = Progress(flat, self.optimizer.moments(flat), History(), split_state=self._split_state)

    def _split(self, data: Sequences | Batches, validation: Any, rng: np.random.Generator) -> None:
        """Set the data for validation and for training."""
        is_drawn = isinstance(validation, Real)
        self._unsplit = data, validation
        self._split_state = dict(rng.bit_generator.state) if is_drawn else None
        self.validation, self.data = sources.read_validation(
            self.model, self.loss, validation, data, self.config, rng, self.is_distributed
        )
        self.source: BatchSource = self._make_source()

    def _make_source(self) -> BatchSource:
        return sources.make_source(self.model, self.data, self.config)

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
        self._adopt_changes()  # since the trainer was created
        config, bar = self.config, self._progress_bar(progress)
        self._saved = time.monotonic()
        try:
            while self.now.epoch < config.epochs and not self._is_out_of_patience():
                self._train_epoch(bar)
                if self._is_stopped():
                    break
        except KeyboardInterrupt:
            self._save_interrupted()
            raise
        finally:
            bar.close()
            if not self._installed.is_changed():
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

    def _progress_bar(self, is_shown: bool) -> Any:
        n, n_steps = self.source.n, self.source.n_steps
        if n is None or n_steps is None:
            return progress_bar(is_shown, None, 0)
        return progress_bar(is_shown, self.config.epochs * n_steps, round((self.now.epoch + self.now.n / n) * n_steps))

    def _is_out_of_patience(self) -> bool:
        best, patience = self.now.history.best_epoch, self.config.early_stopping
        return patience is not None and best is not None and len(self.now.history) - 1 - best >= patience

    def _is_stopped(self) -> bool:
        """Whether a callback returns true; all of them are called, and may load other parameters."""
        history = deepcopy(self.now.history)  # early stopping reads that of the run, which callbacks must not change
        answers = [callback(self.model, history) for callback in self.config.callbacks]
        if self._adopt_changes():
            self._save()
        return any(answers)

    def _adopt_changes(self) -> bool:
        """Continue with the parameters that were loaded since the last `_install`; whether there were any."""
        flat = self._installed.changed()
        if flat is None:
            return False
        if not math.isfinite(_core.norm(flat)):
            raise Diverged(f"epoch {self.now.epoch}: the parameters that were loaded into the model are not finite")
        self.now = replace(self.now, flat=flat)
        return True

    def _install(self, flat: Array) -> None:
        self._installed.install(flat)

    def _train_epoch(self, bar: Any) -> None:
        begin = time.monotonic()
        if self.now.batch == 0:
            state = self.order_rng.bit_generator.state
            self.now = replace(self.now, shuffle_state=dict(state), shuffle_epoch=self.now.epoch)
        n_batches = self.source.draw(self.order_rng, self.now.epoch)
        is_whole, self._weight = self.now.batch == 0, 0.0
        with closing(self.source.batches(self.now.batch)) as batches:
            for batch in batches:
                self._train_batch(batch, n_batches)
                loss = self.now.losses / (self.now.n or 1.0)
                bar.set_postfix(epoch=self.now.epoch, loss=f"{loss:.4g}", refresh=False)
                bar.update(batch.n_steps)
                if self._is_save_due():
                    self._save()
        sources.check_epoch(self.config, self.now.epoch, self.now.batch, counts=not is_whole or self._weight > 0)
        validation_loss = None if self.validation is None else self._validate()
        lr = self._learning_rate(self.now.batch - 1, n_batches)
        self.now = self.now.after_epoch(validation_loss, lr, time.monotonic() - begin)
        self._save()

    def _learning_rate(self, batch: int, n_batches: int | None) -> float:
        """Return the learning rate of a batch of this epoch. It is constant in epochs of unknown length."""
        lr: float = self.optimizer.lr
        done, n = (0, 1) if n_batches is None else (batch, n_batches)
        return lr * self.config.lr_factor((self.now.epoch * n + done) / (self.config.epochs * n))

    def _train_batch(self, batch: Batch, n_batches: int | None) -> None:
        now, clip_norm = self.now, self.config.clip_norm
        loss, weight, gradients, state = batch.loss_and_gradients(
            self.model, now.state, self.mask_rng, self.config.num_threads
        )
        self._weight += weight
        norm = _core.norm(gradients.flat)
        where = f"epoch {now.epoch}, batch {now.batch}"
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise Diverged(f"{where}: loss {loss}, norm of the gradient {norm}. {batch.cause()}")
        flat, moments = now.flat.copy(), tuple([moment.copy() for moment in now.moments])
        scale = 1.0 if clip_norm is None or norm <= clip_norm else clip_norm / norm
        lr = self._learning_rate(now.batch, n_batches)
        self.optimizer.step(flat, gradients.flat, moments, now.step + 1, lr, scale)
        if not math.isfinite(_core.norm(flat)):
            raise Diverged(f"{where}: a step with learning rate {lr:g} produced non-finite parameters")
        masks = dict(self.mask_rng.bit_generator.state)
        self.now = now.after_batch(flat, moments, loss, batch.n, norm, mask_state=masks, state=state)
        self._install(flat)

    def _validate(self) -> float:
        assert self.validation is not None
        return sources.mean_validation_loss(*self._validation_losses(), self.validation, self.now.epoch)

    def _validation_losses(self) -> tuple[float, float]:
        assert self.validation is not None
        return sources.validation_losses(self.model, self.loss, self.validation, self.config)

    def _split_again(self, state: dict[str, Any]) -> None:
        """Hold out the sequences of the interrupted call, whose seed was None."""
        rng = np.random.default_rng()
        rng.bit_generator.state = state
        self._split(*self._unsplit, rng)

    # ---- files ----

    def _load(self) -> Progress | None:
        assert self.config.checkpoint is not None
        run = self.model, self.optimizer, self.config, self.now, self.n_ranks
        return checkpoint.load_run(self.config.checkpoint, *run)

    def _is_save_due(self) -> bool:
        """Whether to write a checkpoint within the epoch."""
        return self.config.checkpoint is not None and time.monotonic() - self._saved > SAVE_SECONDS

    def _save(self) -> None:
        self._write(self.now)

    def _save_interrupted(self) -> None:
        """Write a checkpoint on Ctrl-C."""
        self._save()

    def _write(self, now: Progress) -> None:
        self._saved = time.monotonic()
        if self.config.checkpoint is not None:
            checkpoint.save_run(self.config.checkpoint, self.model, self.optimizer, self.config, now)

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
        sources.check_same_validation(self.validation, loaded.history, self.config)
        if loaded.split_state is not None and loaded.split_state != self._split_state:
            self._split_again(loaded.split_state)
        order_rng = np.random.default_rng()
        order_rng.bit_generator.state = loaded.shuffle_state or self.order_rng.bit_generator.state
        if loaded.shuffle_state is not None and loaded.shuffle_epoch < loaded.epoch:
            self.source.draw(order_rng, loaded.shuffle_epoch)  # that epoch is complete: advance the generator past it
        if loaded.batch:
            self.source.draw(deepcopy(order_rng), loaded.epoch)
        self.source.check_state(loaded.batch, loaded.state)
        self.now, self.order_rng = loaded, order_rng
        if self.now.mask_state is not None:
            self.mask_rng.bit_generator.state = self.now.mask_state
        self._install(self.now.flat)
