"""Training: from sequences to a fitted, saved model, in NumPy arrays.

    losses.py         loss functions and their gradients
    optimizers.py     SGD, Adam, AdamW: one native pass over the flat parameters
    history.py        what a run leaves behind: History, Progress, Diverged
    config.py         FitConfig: the settings of a run, checked
    data.py           arrays, lists and frames as padded sequences; batches of similar length
    head.py           the linear head, and how it reads the network's results
    model.py          SequenceModel: an LSTM or RNN and a head
    streaming.py      ModelStream: predictions for live sequences, step by step
    checkpoint.py     safetensors files, written atomically
    progress_bar.py   tqdm's bar, or none
    trainer.py        Trainer: epochs, batches, validation, checkpoints
    loop.py           fit: all of it in one call

Each file uses only those above it; `SequenceModel.stream` imports its file when called.
"""

from .checkpoint import load
from .config import FitConfig
from .history import Diverged, History
from .loop import fit
from .losses import LOSSES
from .model import ModelGradients, SequenceModel
from .optimizers import SGD, Adam, AdamW
from .streaming import ModelStream
from .trainer import Trainer

__all__ = [
    "SequenceModel",
    "ModelGradients",
    "ModelStream",
    "fit",
    "FitConfig",
    "Trainer",
    "load",
    "History",
    "Diverged",
    "SGD",
    "Adam",
    "AdamW",
    "LOSSES",
]
