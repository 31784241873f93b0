"""fit: epochs of mini-batches, validation, early stopping, history, checkpoints."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from numbers import Real

import numpy as np

from .. import _arguments, _core
from .data import Sequences, batches
from .losses import Loss
from .optimizers import Adam, Optimizer

SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "linear": lambda progress: 1 - progress,
}


class Diverged(FloatingPointError):
    """The loss or a gradient was not finite; the message names the epoch and the batch. The model is as after the last
    batch that was."""


@dataclass
class History:
    """What fit returns: a list of one number an epoch for each of these."""

    loss: list[float] = field(default_factory=list)  # mean over the training batches
    validation_loss: list[float] = field(default_factory=list)  # empty without validation
    gradient_norm: list[float] = field(default_factory=list)  # mean over the batches, before clipping
    learning_rate: list[float] = field(default_factory=list)  # of the last batch
    seconds: list[float] = field(default_factory=list)
    best_epoch: int | None = None  # from 0, by the validation loss, or without it by the loss

    def __len__(self):
        return len(self.loss)

    def watched(self):
        return self.validation_loss or self.loss


@dataclass
class Progress:
    """Where a run stands, all that a checkpoint needs to go on bit for bit. Never changed but replaced as a whole, so that an
    interruption always finds a consistent one."""

    flat: np.ndarray
    moments: tuple
    history: History
    step: int = 0
    epoch: int = 0
    batch: int = 0
    losses: float = 0.0  # sums over the batches of this epoch
    norms: float = 0.0
    n: float = 0.0
    best: np.ndarray | None = None
    shuffle_state: dict | None = None  # of the generator when that epoch began:
    shuffle_epoch: int = 0
    mask_state: dict | None = None  # of the network's generator of masks, now


def fit(
    model,
    x,
    y,
    *,
    lengths=None,
    loss="mse",
    optimizer=None,
    epochs=20,
    batch_size=32,
    validation=None,
    clip_norm=None,
    early_stopping=None,
    lr_schedule=None,
    shuffle=True,
    seed=None,
    sample_weight=None,
    mask=None,
    progress=False,
    checkpoint=None,
    resume=False,
    callbacks=(),
    num_threads=None,
):
    """Trains a SequenceModel.

    Parameters
    ----------
    model : SequenceModel, changed in place
    x, y, lengths, loss, sample_weight, mask : as in SequenceModel.loss_and_grads
    optimizer : Adam(lr=1e-3) if None
    epochs, batch_size : int. Sequences of similar length share a batch.
    validation : None, the share of the sequences that is kept apart (drawn by the seed), or (x, y), (x, y, lengths) or
        (x, y, lengths, mask), lengths and mask may be None
    clip_norm : gradients of a larger Euclidean norm are scaled to this one: the cure for the exploding gradient
    early_stopping : epochs without a better validation loss (or, without validation, loss) after which training stops. The
        best parameters are put back at the end, then and whenever this is given.
    lr_schedule : None, "cosine", "linear", or a function of the progress from 0 to 1: the factor of the learning rate
    shuffle : a new order each epoch
    seed : of the order, the validation share and the masks of dropout; the same seed gives the same bits on any number of
        threads. None: drawn by chance
    progress : a tqdm bar over the steps of all sequences, with steps a second and the time left (needs tqdm)
    checkpoint : path of a file that is written after each epoch and when Ctrl-C comes, always whole (needs safetensors)
    resume : go on from that file if it is there; the rest of the call must be as it was
    callbacks : functions of (model, history), called after each epoch; a true result stops training

    Returns
    -------
    History

    Raises
    ------
    Diverged : a loss or gradient is not finite, for NaN in the data too; the message names the epoch and the batch
    """
    run = Run(
        model,
        x,
        y,
        lengths,
        Loss(loss),
        Adam() if optimizer is None else optimizer,
        epochs,
        batch_size,
        validation,
        clip_norm,
        early_stopping,
        lr_schedule,
        shuffle,
        seed,
        sample_weight,
        mask,
        checkpoint,
        callbacks,
        num_threads,
    )
    if resume:
        if checkpoint is None:
            raise ValueError("resume needs checkpoint, the path of the file to go on from")
        run.resume()
    return run.go(progress)


class Run:
    """One call of fit."""

    def __init__(
        self,
        model,
        x,
        y,
        lengths,
        loss,
        optimizer,
        epochs,
        batch_size,
        validation,
        clip_norm,
        early_stopping,
        lr_schedule,
        shuffle,
        seed,
        sample_weight,
        mask,
        checkpoint,
        callbacks,
        num_threads,
    ):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be SGD, Adam or AdamW, got {type(optimizer).__name__}")
        self.model, self.loss, self.optimizer, self.num_threads = model, loss, optimizer, num_threads
        self.epochs = _arguments.positive_integer("epochs", epochs)
        self.batch_size = _arguments.positive_integer("batch_size", batch_size)
        self.patience = (
            None if early_stopping is None else _arguments.positive_integer("early_stopping", early_stopping)
        )
        if clip_norm is not None and (
            not isinstance(clip_norm, Real) or isinstance(clip_norm, bool) or not clip_norm > 0
        ):
            raise ValueError(f"clip_norm must be a positive number or None, got {clip_norm!r}")
        if lr_schedule is not None and not callable(lr_schedule) and lr_schedule not in SCHEDULES:
            raise ValueError(f"lr_schedule must be {', '.join(SCHEDULES)}, a function or None, got {lr_schedule!r}")
        self.clip_norm, self.schedule = (
            clip_norm,
            SCHEDULES.get(lr_schedule, lr_schedule) if isinstance(lr_schedule, str) else lr_schedule,
        )
        self.shuffle, self.checkpoint, self.callbacks = (
            _arguments.flag("shuffle", shuffle),
            checkpoint,
            tuple(callbacks),
        )
        sequences = np.random.SeedSequence(seed).spawn(3)
        self.rng = np.random.default_rng(sequences[0])
        model.lstm._rng = np.random.default_rng(sequences[1])
        self.data = Sequences(model.lstm, x, lengths)
        self.data.read_targets(model, loss, y, sample_weight, mask)
        self.validation = self._read_validation(validation, np.random.default_rng(sequences[2]))
        if not self.data.n:
            raise ValueError("x must hold at least one sequence to train on")
        flat = model.flat_parameters
        self.now = Progress(flat, optimizer.moments(flat), History())

    def _read_validation(self, validation, rng):
        if validation is None:
            return None
        if isinstance(validation, Real) and not isinstance(validation, bool):
            n = round(validation * self.data.n)
            if not 0 < n < self.data.n:
                raise ValueError(f"validation must leave sequences on both sides, got {validation!r} of {self.data.n}")
            rows = rng.permutation(self.data.n)
            apart, self.data = self.data.subset(rows[:n]), self.data.subset(rows[n:])
            return apart
        if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3, 4):
            raise ValueError("validation must be a share, (x, y), (x, y, lengths) or (x, y, lengths, mask)")
        x, y, lengths, mask = (*validation, None, None)[:4]
        data = Sequences(self.model.lstm, x, lengths)
        data.read_targets(self.model, self.loss, y, mask=mask)
        return data

    # ---- going ----

    def go(self, progress):
        bar = _bar(progress, self.epochs * self.data.n_steps(), round(self._epochs_done() * self.data.n_steps()))
        try:
            while self.now.epoch < self.epochs and not self._is_over():
                self._epoch(bar)
                if any([callback(self.model, self.now.history) for callback in self.callbacks]):
                    break
        except KeyboardInterrupt:
            self._save()
            raise
        finally:
            bar.close()
            self._show(self.now.flat)
        if self.patience is not None and self.now.best is not None:
            self._show(self.now.best)
        return self.now.history

    def _epochs_done(self):
        return self.now.epoch + self.now.n / self.data.n

    def _is_over(self):
        best = self.now.history.best_epoch
        return self.patience is not None and best is not None and len(self.now.history) - 1 - best >= self.patience

    def _show(self, flat):
        self.model._install(flat)

    def _epoch(self, bar):
        begin = time.monotonic()
        if self.now.batch == 0:
            self.now = replace(self.now, shuffle_state=self.rng.bit_generator.state, shuffle_epoch=self.now.epoch)
        groups = batches(self.rng, self.data, self.batch_size, self.shuffle)
        for k in range(self.now.batch, len(groups)):
            self._batch(groups[k], k, len(groups))
            bar.set_postfix(epoch=self.now.epoch, loss=f"{self.now.losses / self.now.n:.4g}", refresh=False)
            bar.update(self.data.n_steps(groups[k]))
        now, before = self.now, self.now.history
        validation = [] if self.validation is None else [self._validate()]
        h = History(
            before.loss + [now.losses / now.n],
            before.validation_loss + validation,
            before.gradient_norm + [now.norms / len(groups)],
            before.learning_rate + [self._learning_rate(now.step - 1, len(groups))],
            before.seconds + [time.monotonic() - begin],
            before.best_epoch,
        )
        best = now.best
        if h.best_epoch is None or h.watched()[-1] < h.watched()[h.best_epoch]:
            h.best_epoch, best = len(h) - 1, now.flat
        self.now = replace(now, history=h, epoch=now.epoch + 1, batch=0, losses=0.0, norms=0.0, n=0.0, best=best)
        self._save()

    def _learning_rate(self, step, n_batches):
        progress = step / (self.epochs * n_batches)
        return self.optimizer.lr * (1 if self.schedule is None else float(self.schedule(min(1.0, progress))))

    def _batch(self, rows, k, n_batches):
        now = self.now
        loss, gradients = self.model._loss_and_grads(self.data, rows, num_threads=self.num_threads)
        norm = _core.norm(gradients.flat)
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise Diverged(
                f"epoch {now.epoch}, batch {k}: loss {loss}, norm of the gradient {norm}. {self._cause(rows)}"
            )
        flat, moments = now.flat.copy(), tuple(m.copy() for m in now.moments)
        scale = 1.0 if self.clip_norm is None or norm <= self.clip_norm else self.clip_norm / norm
        lr = self._learning_rate(now.step, n_batches)
        self.optimizer.step(flat, gradients.flat, moments, now.step + 1, lr, scale)
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
            losses=now.losses + loss * len(rows),
            norms=now.norms + norm,
            n=now.n + len(rows),
            mask_state=self.model.lstm._rng.bit_generator.state,
        )
        self._show(flat)

    def _cause(self, rows):
        """What in the data of a batch is not finite, or that nothing is."""
        x, y = self.data.x, self.data.y
        for row in rows:
            n = x.shape[1] if self.data.lengths is None else self.data.lengths[row]
            if not np.isfinite(x[row, :n]).all():
                return (
                    f"x of sequence {row} is not finite at step {int(np.argmin(np.isfinite(x[row, :n]).all(axis=1)))}"
                )
            if not np.isfinite(y[row]).all():
                return f"y of sequence {row} is not finite"
        return "The data of the batch are finite: try a lower learning rate or clip_norm"

    def _validate(self):
        data, total, weight = self.validation, 0.0, 0.0
        for begin in range(0, data.n, 256):
            rows = np.arange(begin, min(begin + 256, data.n))
            (x, lengths), (y, weights) = data.batch(rows), data.targets(rows)
            p = self.model._forward(x, lengths, self.num_threads)
            share = float(len(rows)) if weights is None else float(weights.sum())
            total += data.loss(p.reshape(-1, p.shape[-1]), y, weights)[0] * share
            weight += share
        return total / weight if weight else float("nan")

    # ---- files ----

    def _save(self):
        if self.checkpoint is not None:
            from .checkpoint import save_run

            save_run(self.checkpoint, self.model, self.optimizer, self.now, asdict(self.now.history))

    def resume(self):
        from .checkpoint import load_run

        loaded = load_run(self.checkpoint, self.model, self.optimizer, self.now)
        if loaded is None:
            return
        self.now = loaded
        if self.now.shuffle_state is not None:
            self.rng.bit_generator.state = self.now.shuffle_state
            if self.now.shuffle_epoch < self.now.epoch:  # that epoch is over: draw its order again and go on behind it
                batches(self.rng, self.data, self.batch_size, self.shuffle)
        if self.now.mask_state is not None:
            self.model.lstm._rng.bit_generator.state = self.now.mask_state
        self._show(self.now.flat)


class _NoBar:
    def set_postfix(self, **_):
        pass

    def update(self, _):
        pass

    def close(self):
        pass


def _bar(progress, total, done):
    if not progress:
        return _NoBar()
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install tqdm") from None
    return tqdm(total=total, initial=done, unit="step", unit_scale=True)
