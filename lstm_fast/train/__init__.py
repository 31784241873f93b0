"""Training: from sequences to a fitted, saved model, in NumPy arrays.

model.py        SequenceModel: an LSTM or RNN and a linear head
losses.py       what is made small, with its gradient
optimizers.py   SGD, Adam, AdamW: one native pass over the flat parameters
data.py         arrays, lists and frames as padded sequences; batches of similar length
loop.py         fit: epochs, validation, early stopping, history
streaming.py    live sequences: predictions step by step
checkpoint.py   safetensors files, written atomically
"""

from .checkpoint import load
from .loop import Diverged, History, fit
from .losses import LOSSES
from .model import ModelGradients, SequenceModel
from .optimizers import SGD, Adam, AdamW

__all__ = ["SequenceModel", "ModelGradients", "fit", "load", "History", "Diverged", "SGD", "Adam", "AdamW", "LOSSES"]
