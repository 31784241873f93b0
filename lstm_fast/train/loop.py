"""fit: train a model."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

from .config import Callback, FitConfig, Schedule
from .fleet_model import FleetModel
from .fleet_trainer import FleetHistory, fit_fleet
from .trainer import Trainer

if TYPE_CHECKING:
    from .._types import ArrayLike
    from .history import History
    from .losses import LossSpec
    from .model import SequenceModel
    from .optimizers import Optimizer


@overload
def fit(model: FleetModel, x: Any, y: Any, **settings: Any) -> FleetHistory: ...
@overload
def fit(model: SequenceModel, x: Any, y: Any, **settings: Any) -> History: ...
def fit(  # type: ignore[misc]
    model: SequenceModel | FleetModel,
    x: Any,
    y: Any,
    *,
    lengths: ArrayLike | None = None,
    loss: LossSpec = "mse",
    optimizer: Optimizer | None = None,
    epochs: int = 20,
    batch_size: int = 32,
    validation: Any = None,
    clip_norm: float | None = None,
    early_stopping: int | None = None,
    lr_schedule: str | Schedule | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    sample_weight: ArrayLike | None = None,
    mask: Any = None,
    progress: bool = False,
    checkpoint: str | PathLike[str] | None = None,
    resume: bool = False,
    callbacks: Iterable[Callback] = (),
    num_threads: int | None = None,
    check_loss: bool = False,
) -> History | FleetHistory:
    """Train a model.

    Parameters
    ----------
    model : SequenceModel or FleetModel
        Model to train, in place. For a FleetModel of K models see Notes.
    x : array_like or list of array_like
        Sequences, as in `SequenceModel.loss_and_grads`.
    y : array_like or list of array_like
        Targets, as in `SequenceModel.loss_and_grads`.
    lengths : array_like of int of shape (B,), optional
        Length of each sequence; not for a list of arrays.
    loss : str, tuple or callable, default "mse"
        As in `SequenceModel.loss_and_grads`; it may be a function (prediction, target) -> (loss, d_prediction).
    optimizer : Optimizer, optional
        SGD, Adam or AdamW; None: Adam(lr=1e-3).
    epochs : int, default 20
        Number of passes over the data.
    batch_size : int, default 32
        Number of sequences per batch. Batches hold sequences of similar length.
    validation : float or tuple, optional
        Fraction of the sequences to hold out at random, or the validation data: (x, y), (x, y, lengths) or (x, y,
        lengths, mask), where lengths and mask may be None.
    clip_norm : float, optional
        Maximum Euclidean norm of the gradient; larger gradients are scaled down, which prevents their explosion.
    early_stopping : int, optional
        Patience: number of epochs without improvement of the validation loss (without validation, of the loss) before
        training stops. The parameters of the best epoch are restored at the end.
    lr_schedule : {"cosine", "linear"} or callable, optional
        Factor of the learning rate, as a function of the progress from 0 to 1.
    shuffle : bool, default True
        Whether to shuffle the sequences in each epoch.
    seed : int, optional
        Random seed of shuffling, the validation split and dropout masks. The same seed gives the same bits with any
        number of threads. None: unpredictable.
    sample_weight : array_like of shape (B,), optional
        Weight of each sequence.
    mask : array_like of bool, optional
        For readout "all": steps that contribute to the loss.
    progress : bool, default False
        Whether to show a progress bar (needs tqdm).
    checkpoint : path, optional
        File to write after each epoch and on Ctrl-C, atomically.
    resume : bool, default False
        Continue from the checkpoint if the file exists. All other arguments must be those of the original call.
    callbacks : iterable of callable, default ()
        Functions called with (model, history) after each epoch; a true result stops training.
    num_threads : int, optional
        Maximum number of threads; None: `get_num_threads()`.
    check_loss : bool, default False
        Whether to compare the gradient of the loss with finite differences, once before training, for the predictions
        of the first batch_size sequences; a ValueError where they differ. For a loss that is a function.

    Returns
    -------
    History or FleetHistory
        Losses, gradient norms, learning rates and durations of all epochs.

    Raises
    ------
    Diverged
        If a loss, gradient or parameter is not finite, or the data contain NaN; the message names the epoch and the
        batch. The model keeps the last finite parameters.
    ValueError, TypeError
        If an argument is invalid; the model is unchanged then.

    Notes
    -----
    A FleetModel trains K models in one call, each to the bits of a run of its own. x, y, lengths, sample_weight, mask
    and the parts of validation have an axis K before all others, or are lists of K of what a single run takes; seed may
    be one integer for all or one for each. Each model has its own order of batches, masks, clipping and early stopping,
    and costs nothing once it has stopped. The result is a `FleetHistory`, a list of K histories. A model that diverges
    stops with its last finite parameters and a RuntimeWarning; the others go on. checkpoint, resume and check_loss are
    for single models.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> x = np.random.default_rng(0).standard_normal((64, 10, 1))
    >>> model = lf.train.SequenceModel(lf.LSTM(1, 8, batch_first=True, seed=0), 1, seed=0)
    >>> history = lf.train.fit(model, x, x.mean(axis=1), optimizer=lf.train.Adam(lr=1e-2), epochs=10, seed=0)
    >>> history.loss[-1] < history.loss[0]
    True
    """
    config = FitConfig(
        loss=loss,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        clip_norm=clip_norm,
        early_stopping=early_stopping,
        lr_schedule=lr_schedule,
        shuffle=shuffle,
        seed=seed,
        checkpoint=checkpoint,
        callbacks=callbacks,
        num_threads=num_threads,
        check_loss=check_loss,
    )
    if resume and checkpoint is None:
        raise ValueError("resume needs checkpoint, the path of the file to continue from")
    if isinstance(model, FleetModel):
        return fit_fleet(
            model,
            x,
            y,
            config,
            progress,
            lengths=lengths,
            sample_weight=sample_weight,
            mask=mask,
            validation=validation,
        )
    trainer = Trainer(
        model, x, y, config, lengths=lengths, sample_weight=sample_weight, mask=mask, validation=validation
    )
    if resume:
        trainer.resume()
    return trainer.run(progress)
