"""fit: trains a model in one call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from .config import Callback, FitConfig, Schedule
from .trainer import Trainer

if TYPE_CHECKING:
    from .._types import ArrayLike
    from .history import History
    from .model import SequenceModel
    from .optimizers import Optimizer


def fit(
    model: SequenceModel,
    x: Any,
    y: Any,
    *,
    lengths: ArrayLike | None = None,
    loss: str | Sequence[Any] = "mse",
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
) -> History:
    """Trains a SequenceModel.

    Parameters
    ----------
    model : SequenceModel
        Changed in place.
    x : array_like or list of array_like
        Sequences, as in `SequenceModel.loss_and_grads`.
    y : array_like or list of array_like
        Targets, as in `SequenceModel.loss_and_grads`.
    lengths : array_like of int of shape (B,), optional
        Steps of each sequence; a list of arrays has its own.
    loss : str or tuple, default "mse"
        As in `SequenceModel.loss_and_grads`.
    optimizer : Optimizer, optional
        SGD, Adam or AdamW; None: Adam(lr=1e-3).
    epochs : int, default 20
        Passes over the data.
    batch_size : int, default 32
        Sequences in a batch; those of similar length share one.
    validation : float or tuple, optional
        The share of the sequences that is held out (drawn with the seed), or (x, y), (x, y, lengths) or (x, y, lengths,
        mask), where lengths and mask may be None.
    clip_norm : float, optional
        Gradients with a larger Euclidean norm are scaled down to this one: the remedy for exploding gradients.
    early_stopping : int, optional
        Patience: epochs without a better validation loss (without validation: loss) after which training stops. The
        parameters of the best epoch are restored at the end, whether it stopped early or not.
    lr_schedule : {"cosine", "linear"} or callable, optional
        Factor of the learning rate as a function of the progress from 0 to 1.
    shuffle : bool, default True
        Whether each epoch has a new order.
    seed : int, optional
        Of the order, the validation share and the masks of dropout; the same seed gives the same bits on any number of
        threads. None: drawn at random.
    sample_weight : array_like of shape (B,), optional
        Weight of each sequence.
    mask : array_like of bool, optional
        For readout "all": which steps count.
    progress : bool, default False
        A tqdm bar over the steps of all sequences (needs tqdm).
    checkpoint : path, optional
        File written after each epoch and on Ctrl-C, atomically (needs safetensors).
    resume : bool, default False
        Continue from the checkpoint if the file exists; all other arguments must be as they were.
    callbacks : iterable of callable, default ()
        Called with (model, history) after each epoch; a true result stops training.
    num_threads : int, optional
        Upper limit; None: `get_num_threads()`.

    Returns
    -------
    History
        Losses, gradient norms, learning rates and durations of the epochs.

    Raises
    ------
    Diverged
        If a loss, gradient or parameter is not finite, also for NaN in the data; the message names the epoch and the
        batch.
    ValueError, TypeError
        For an argument that is not valid; the model is not changed then.

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
    )
    if resume and checkpoint is None:
        raise ValueError("resume needs checkpoint, the path of the file to continue from")
    trainer = Trainer(
        model, x, y, config, lengths=lengths, sample_weight=sample_weight, mask=mask, validation=validation
    )
    if resume:
        trainer.resume()
    return trainer.run(progress)
