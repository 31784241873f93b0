"""Training of recurrent models: NumPy arrays in, fitted and saved models out.

    custom_loss.py    validation of custom losses
    losses.py         loss functions and their gradients
    optimizers.py     SGD, Adam, AdamW, each step one native pass over the flat parameters
    history.py        results and state of a run: History, Progress, Diverged
    installed.py      the parameters that a run has given its model, and whether another has changed them
    config.py         FitConfig: validated settings of a run
    storage.py        sequences in memory or memory-mapped, read batch by batch
    symbols.py        the same for symbols, for networks with index_input
    data.py           arrays, lists and frames as sequences, with targets and weights
    head.py           linear head and readout of the network
    moments.py        which head belongs to which version of the network, for other threads
    passes.py         forward and backward pass over one batch; ModelGradients
    chunks.py         predictions of long sequences, chunk by chunk
    predictor.py      Predictor: predictions, streams and files of both models
    quantized.py      QuantizedModel: a low-precision copy for inference
    model.py          SequenceModel: an LSTM or RNN and a head
    progress_bar.py   progress bar (tqdm)
    prefetch.py       a prefetching thread
    batches.py        the batches of a run, with their loss and gradients
    fleets/           many models in one call
    streaming.py      ModelStream: predictions for live sequences
    model_files.py    safetensors files of models
    checkpoint.py     safetensors files of runs
    pruning.py        OptunaPruning: a callback that lets Optuna prune trials
    windows.py        the windows of truncated training
    truncated.py      truncated backpropagation through time
    iterable.py       batches from an iterable
    sources.py        the data of a run from its arguments
    trainer.py        Trainer: epochs, batches, validation, checkpoints
    ranks/            several processes
    loop.py           fit

Each module uses only those above it; `stream` of a model imports its module when called.
"""

from .config import FitConfig
from .fleets import FleetHistory, FleetModel
from .history import Diverged, History
from .loop import fit
from .losses import LOSSES
from .model import SequenceModel
from .model_files import load
from .optimizers import SGD, Adam, AdamW
from .passes import ModelGradients
from .pruning import OptunaPruning
from .quantized import QuantizedModel
from .ranks import RankError
from .streaming import ModelStream
from .trainer import Trainer

__all__ = [
    "SequenceModel",
    "QuantizedModel",
    "FleetModel",
    "FleetHistory",
    "ModelGradients",
    "ModelStream",
    "fit",
    "FitConfig",
    "Trainer",
    "load",
    "History",
    "Diverged",
    "RankError",
    "OptunaPruning",
    "SGD",
    "Adam",
    "AdamW",
    "LOSSES",
]
