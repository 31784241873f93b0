"""Results and state of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._types import Array


class Diverged(FloatingPointError):
    """A loss (of validation too), gradient or parameter is not finite.

    The message names the epoch and the batch. The model keeps the last finite parameters.
    """


@dataclass
class History:
    """Training history, returned by `fit`: lists with one value per epoch.

    Attributes
    ----------
    loss : list of float
        Mean over the training batches.
    validation_loss : list of float
        Empty without validation.
    gradient_norm : list of float
        Mean over the batches, before clipping.
    learning_rate : list of float
        Value of the last batch.
    seconds : list of float
        Duration of the epoch, validation included.
    best_epoch : int or None
        From 0, by the validation loss, or without it by the loss.
    fingerprint : str or None
        `lstm_fast.fingerprint` of the model when `fit` returned; None before.
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    fingerprint: str | None = None

    def __len__(self) -> int:
        return len(self.loss)

    def watched(self) -> list[float]:
        """Return the monitored loss.

        Returns
        -------
        list of float
            validation_loss if there is one, else loss.
        """
        return self.validation_loss or self.loss


@dataclass
class Progress:
    """State of a run, sufficient to continue it bit for bit from a checkpoint.

    Replaced after each batch, never modified, so that an interruption always finds a consistent state.
    """

    flat: Array
    moments: tuple[Array, ...]
    history: History
    step: int = 0
    epoch: int = 0
    batch: int = 0
    losses: float = 0.0  # sums over the batches of this epoch
    norms: float = 0.0
    n: float = 0.0
    best: Array | None = None
    shuffle_state: dict[str, Any] | None = None  # state of the generator at the start of shuffle_epoch
    shuffle_epoch: int = 0
    split_state: dict[str, Any] | None = None  # state of the generator before it drew the validation split
    mask_state: dict[str, Any] | None = None  # of the generator of masks
    state: tuple[Array, ...] | None = None  # state of the network, carried between batches of truncated training
    rows: list[int] | None = None  # rows of the state of each of several ranks; only in checkpoints within an epoch

    def after_batch(
        self, flat: Array, moments: tuple[Array, ...], loss: float, n: float, norm: float, **states: Any
    ) -> Progress:
        """Return the state after one more step of the optimizer.

        Parameters
        ----------
        flat, moments : ndarray, tuple of ndarray
            Parameters, and state of the optimizer.
        loss, n : float
            Mean loss of the batch, and its weight in the mean of the epoch.
        norm : float
            Norm of the gradient.
        **states
            mask_state and state.

        Returns
        -------
        Progress
            Within the same epoch.
        """
        losses, norms = self.losses + loss * n, self.norms + norm
        return replace(
            self,
            flat=flat,
            moments=moments,
            step=self.step + 1,
            batch=self.batch + 1,
            losses=losses,
            norms=norms,
            n=self.n + n,
            **states,
        )

    def after_epoch(self, validation_loss: float | None, learning_rate: float, seconds: float) -> Progress:
        """Return the state at the start of the next epoch.

        Parameters
        ----------
        validation_loss : float or None
            None without validation.
        learning_rate : float
            That of the last batch.
        seconds : float
            Duration of the epoch.

        Returns
        -------
        Progress
            With a longer history, and with these parameters as the best if the monitored loss is the lowest so far.
        """
        before = self.history
        history = History(
            loss=[*before.loss, self.losses / (self.n or 1.0)],
            validation_loss=before.validation_loss + ([] if validation_loss is None else [validation_loss]),
            gradient_norm=[*before.gradient_norm, self.norms / self.batch],
            learning_rate=[*before.learning_rate, learning_rate],
            seconds=[*before.seconds, seconds],
            best_epoch=before.best_epoch,
        )
        best, watched = self.best, history.watched()
        if history.best_epoch is None or watched[-1] < watched[history.best_epoch]:
            history.best_epoch, best = len(history) - 1, self.flat
        return replace(
            self,
            history=history,
            epoch=self.epoch + 1,
            batch=0,
            losses=0.0,
            norms=0.0,
            n=0.0,
            best=best,
            state=None,
        )
