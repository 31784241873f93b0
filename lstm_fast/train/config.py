"""Validated settings of fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Integral, Real
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import _arguments
from .losses import Loss, LossSpec
from .optimizers import Adam, Optimizer

if TYPE_CHECKING:
    from .history import History
    from .model import SequenceModel

Callback: TypeAlias = "Callable[[SequenceModel, History], Any]"
Schedule: TypeAlias = Callable[[float], float]


def half_cosine(progress: float) -> float:
    """Compute (1 + cos(pi progress)) / 2 by a series, since the cosine of C libraries differs in its last bit."""
    angle = math.pi / 2 * min(progress, 1 - progress)
    sine = 1.0
    for k in range(16, 0, -2):
        sine = 1 - sine * angle * angle / (k * (k + 1))
    sine *= angle
    return 1 - sine * sine if progress < 0.5 else sine * sine


SCHEDULES: dict[str, Schedule] = {
    "cosine": half_cosine,
    "linear": lambda progress: 1 - progress,
}


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Settings of a training run: the arguments of `fit` except model and data.

    Parameters
    ----------
    loss : str or tuple, default "mse"
        As in `SequenceModel.loss_and_grads`.
    optimizer : Optimizer, optional
        SGD, Adam or AdamW; None: Adam(lr=1e-3).
    epochs : int, default 20
        Number of passes over the data.
    batch_size : int, default 32
        Number of sequences per batch.
    clip_norm : float, optional
        Maximum Euclidean norm of the gradient; larger gradients are scaled down.
    early_stopping : int, optional
        Patience: number of epochs without improvement before training stops.
    lr_schedule : {"cosine", "linear"} or callable, optional
        Factor of the learning rate, as a function of the progress from 0 to 1.
    shuffle : bool, default True
        Whether to shuffle the sequences in each epoch.
    seed : int, optional
        Random seed of shuffling, the validation split and dropout masks.
    checkpoint : path, optional
        File to write after each epoch and on Ctrl-C.
    callbacks : sequence of callable, default ()
        Functions called with (model, history) after each epoch; a true result stops training.
    num_threads : int, optional
        Maximum number of threads.
    check_loss : bool, default False
        As in `fit`.
    truncate : int, optional
        Number of steps of truncated backpropagation through time, as in `fit`.
    burn_in : int, default 0
        Number of steps of each series that only warm up the state, as in `fit`.

    Raises
    ------
    ValueError, TypeError
        If a setting is invalid; the message names it.

    Examples
    --------
    >>> from lstm_fast.train import FitConfig
    >>> FitConfig(epochs=5, clip_norm=1.0).batch_size
    32
    """

    loss: LossSpec = "mse"
    optimizer: Optimizer | None = None
    epochs: int = 20
    batch_size: int = 32
    clip_norm: float | None = None
    early_stopping: int | None = None
    lr_schedule: str | Schedule | None = None
    shuffle: bool = True
    seed: int | None = None
    checkpoint: str | PathLike[str] | None = None
    callbacks: Iterable[Callback] = ()
    num_threads: int | None = None
    check_loss: bool = False
    truncate: int | None = None
    burn_in: int = 0

    def __post_init__(self) -> None:
        Loss(self.loss)
        if self.optimizer is not None and not isinstance(self.optimizer, Optimizer):
            raise TypeError(f"optimizer must be SGD, Adam or AdamW, got {type(self.optimizer).__name__}")
        _arguments.positive_integer("epochs", self.epochs)
        _arguments.positive_integer("batch_size", self.batch_size)
        if self.early_stopping is not None:
            _arguments.positive_integer("early_stopping", self.early_stopping)
        if self.truncate is not None:
            _arguments.positive_integer("truncate", self.truncate)
        if not isinstance(self.burn_in, Integral) or isinstance(self.burn_in, bool) or self.burn_in < 0:
            raise ValueError(f"burn_in must be an integer of at least 0, got {self.burn_in!r}")
        for name in ("epochs", "batch_size", "truncate", "burn_in"):  # NumPy's integers may be narrow
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else int(value))
        clip = self.clip_norm
        if clip is not None and (not isinstance(clip, Real) or isinstance(clip, bool) or not float(clip) > 0):
            raise ValueError(f"clip_norm must be a positive number or None, got {clip!r}")
        schedule = self.lr_schedule
        if schedule is not None and not callable(schedule) and schedule not in SCHEDULES:
            raise ValueError(f"lr_schedule must be {', '.join(SCHEDULES)}, a function or None, got {schedule!r}")
        _arguments.flag("shuffle", self.shuffle)
        _arguments.flag("check_loss", self.check_loss)
        given = self.callbacks
        callbacks = tuple(given) if isinstance(given, Iterable) else None  # an iterator can be read only once
        if callbacks is None or not all(map(callable, callbacks)):
            raise TypeError(f"callbacks must be an iterable of functions, got {given!r:.100}")
        object.__setattr__(self, "callbacks", callbacks)

    @property
    def is_truncated(self) -> bool:
        """Whether series are cut into windows."""
        return self.truncate is not None or self.burn_in > 0

    def make_optimizer(self) -> Optimizer:
        """Return the optimizer, or the default one.

        Returns
        -------
        Optimizer
            Optimizer of the configuration, or Adam().
        """
        return Adam() if self.optimizer is None else self.optimizer

    def lr_factor(self, progress: float) -> float:
        """Return the factor of the learning rate.

        Parameters
        ----------
        progress : float
            Fraction of completed steps, from 0 to 1.

        Returns
        -------
        float
            The factor for the learning rate of the optimizer; 1.0 without a schedule.
        """
        schedule = SCHEDULES[self.lr_schedule] if isinstance(self.lr_schedule, str) else self.lr_schedule
        if schedule is None:
            return 1.0
        factor = schedule(min(1.0, progress))
        try:
            return float(factor)
        except (TypeError, ValueError):
            raise TypeError(f"lr_schedule must return a number, got {factor!r:.100}") from None
