"""What a run of fit leaves behind: its history, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._types import Array


class Diverged(FloatingPointError):
    """The loss, a gradient or a parameter is not finite.

    The message names the epoch and the batch. The model keeps the last finite parameters.
    """


@dataclass
class History:
    """What `fit` returns: lists with one number for each epoch.

    Attributes
    ----------
    loss : list of float
        Mean over the training batches.
    validation_loss : list of float
        Empty without validation.
    gradient_norm : list of float
        Mean over the batches, before clipping.
    learning_rate : list of float
        Of the last batch.
    seconds : list of float
        Duration of the epoch, validation included.
    best_epoch : int or None
        From 0, by the validation loss, or without it by the loss.
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int | None = None

    def __len__(self) -> int:
        return len(self.loss)

    def watched(self) -> list[float]:
        """The loss that decides about the best epoch.

        Returns
        -------
        list of float
            validation_loss if there is one, else loss.
        """
        return self.validation_loss or self.loss


@dataclass
class Progress:
    """Where a run stands: all that a checkpoint needs to continue bit for bit.

    Never changed but replaced as a whole after each batch, so that an interruption always finds a consistent one.
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
    shuffle_state: dict[str, Any] | None = None  # of the generator when that epoch began:
    shuffle_epoch: int = 0
    mask_state: dict[str, Any] | None = None  # of the generator of masks, now
