"""fit: train a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

from .. import _arguments
from ..fleet import Fleet
from .config import Callback, FitConfig, Schedule
from .fleets import FleetHistory, FleetModel, FleetTrainer
from .ranks import run_on_ranks
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
def fit(model: SequenceModel, x: Any, y: Any = None, **settings: Any) -> History: ...
def fit(  # type: ignore[misc]
    model: SequenceModel | FleetModel,
    x: Any,
    y: Any = None,
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
    truncate: int | None = None,
    burn_in: int = 0,
    comm: Any = None,
) -> History | FleetHistory:
    """Train a model.

    Parameters
    ----------
    model : SequenceModel or FleetModel
        Model to train, in place. For a FleetModel of K models see Notes.
    x : array_like, list of array_like, or iterable
        Sequences, as in `SequenceModel.loss_and_grads`; memory-mapped arrays are read batch by batch. With y None, an
        iterable of batches (x, y), (x, y, lengths) or (x, y, lengths, mask), such as a data loader of PyTorch, or a
        function without arguments that returns one for each epoch; see Notes.
    y : array_like or list of array_like, optional
        Targets, as in `SequenceModel.loss_and_grads`. None: x is an iterable of batches.
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
    validation : float, tuple or iterable, optional
        Fraction of the sequences to hold out at random, or the validation data: (x, y), (x, y, lengths) or (x, y,
        lengths, mask), where lengths and mask may be None, or an iterable of batches.
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
        File to write after each epoch, on Ctrl-C, and every five minutes within an epoch, atomically.
    resume : bool, default False
        Continue from the checkpoint if the file exists. All other arguments must be as in the original call.
    callbacks : iterable of callable, default ()
        Functions called with (model, history) after each epoch; a true result stops training. Parameters that they
        load into the model are those of the next epoch.
    num_threads : int, optional
        Maximum number of threads; None: `get_num_threads()`.
    check_loss : bool, default False
        Whether to compare the gradient of the loss with finite differences, once before training, for the predictions
        of the first batch_size sequences; raises ValueError if they differ. For a loss that is a function.
    truncate : int, optional
        Truncated backpropagation through time: each series is cut into windows of this many steps, with the state
        carried from one to the next, and each window is one optimizer step. None: whole sequences. For readout "all".
    burn_in : int, default 0
        Number of steps at the start of each series that only warm up the state: they have no loss and no gradient.
    comm : communicator of mpi4py, optional
        Train on all of its processes, each of which passes its own part of the data; see Notes.

    Returns
    -------
    History
        Losses, gradient norms, learning rates and durations of all epochs.

    Raises
    ------
    Diverged
        If a loss, gradient or parameter is not finite, or the data contain NaN; the message names the epoch and the
        batch. The model keeps the last finite parameters.
    ValueError, TypeError
        If an argument is invalid; the model is unchanged then.
    RankError
        With comm: if another rank failed, which raises its own error.

    Notes
    -----
    **Data.** Arrays in memory are not copied, except lengths: they must not be modified until fit returns. A callback
    gets a copy of the history.

    **Truncation.** Each of the batch_size rows of a batch processes a series window by window, and then the next
    series. A series starts from the learned initial state, whose gradient comes from the first window, or from zero;
    with burn_in, from the state after inference over its first steps, which has no gradient. Gradients stop at the
    start of a window, so if ``truncate`` is at least the length of the longest series they equal those of ordinary
    training. Memory depends on truncate, not on the length of the series. Dropout masks are drawn for each window,
    including masks that are constant in time. The loss of a batch is the mean over the steps of its windows. Validation
    processes whole series, with the state carried, and excludes the burn-in too.

    **Iterables.** One thread reads two batches ahead. batch_size and shuffle have no effect on an iterable, and
    lengths, sample_weight and mask must be None. Each batch is one optimizer step; with truncate, the rows of a batch
    are series, and each window is a step. An epoch is one pass; if x has a method `set_epoch(epoch)`, it is called
    before each epoch. With truncate or without ``len(x)``, a schedule changes the learning rate only between epochs.
    When a run is resumed within an epoch, the batches already used are read and skipped, so x must yield the same ones.
    Ctrl-C does not wait for the batch that is being read; that thread ends with it, and reads no other.

    **Several processes.** With ``comm=MPI.COMM_WORLD`` every rank (process) calls fit with the same settings and its
    own shard of the data: x, y, lengths, sample_weight, mask and validation. Training starts with the parameters and
    random generators of rank 0. A batch consists of batch_size sequences from all shards, in proportion to their sizes;
    its loss and gradient are means over all of them, for any lengths, weights and masks. The result equals that of one
    process with the same batches, except for rounding, and is bitwise reproducible for a given number of ranks. Without
    shuffle, shards ``x[rank::size]`` give the batches of one process. Rank 0 shows the progress, calls the callbacks
    and writes the checkpoint. Any number of ranks can resume from it: the same number with the same bits, another
    number at the same step, with different batches for the rest of the epoch. With num_threads=None, the ranks of one
    machine share its processors. If a loss function returns a single number, it is taken as the mean over the sequences
    of its rank.

    With truncate or burn_in, the batch_size rows are divided among the ranks, each of which processes its own series
    with its rows: series of different lengths meet in other windows than in one process, and the steps differ. With y
    None, x is the iterable of the rank, and batch k of all ranks is one step. A rank that has fewer windows or batches
    than others, or none, takes part with weight zero until all have finished. In both cases the same number of ranks
    must continue a checkpoint that was written within an epoch; at the end of an epoch, any number can.

    **Fleets.** A FleetModel trains K models in one call, each with the same bits as a separate run. x, y, lengths,
    sample_weight, mask and the parts of validation have a leading axis K, or are lists of K of what a single run takes;
    seed may be one integer for all or one per model. Each model has its own order of batches, masks, clipping and early
    stopping, and is no longer computed once it has stopped. The result is a `FleetHistory`, a list of K histories. A
    model that diverges keeps its last finite parameters and issues a RuntimeWarning; the others continue. checkpoint,
    resume, check_loss, truncate, burn_in, comm and iterables of batches are only available for single models. To train
    a fleet on several processes, let each call fit without comm for some of the models.

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

    def make(trainer: Callable[..., Any]) -> Any:
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
            truncate=truncate,
            burn_in=burn_in,
        )
        _arguments.flag("resume", resume)
        _arguments.flag("progress", progress)
        if resume and checkpoint is None:
            raise ValueError("resume needs checkpoint, the path of the file to continue from")
        return trainer(
            model, x, y, config, lengths=lengths, sample_weight=sample_weight, mask=mask, validation=validation
        )

    if isinstance(model, Fleet):
        raise TypeError(
            "model must be a SequenceModel or a FleetModel, got Fleet: FleetModel(fleet, out_features) adds the heads "
            "that training needs"
        )
    if isinstance(model, FleetModel):
        if y is None:
            raise ValueError("y must be targets for each model: iterables of batches are for single models")
        if comm is not None:
            raise ValueError(
                "comm must be None for a FleetModel, whose models are independent: fit a FleetModel of a part of the "
                "models on each rank without comm, and gather them; the page 'More than one machine' shows how"
            )
        of_all: FleetHistory = make(FleetTrainer).run(progress)
        return of_all
    if comm is not None:
        return run_on_ranks(comm, make, resume, progress)
    trainer = make(Trainer)
    if resume:
        trainer.resume()
    history: History = trainer.run(progress)
    return history
