"""PyTorch: modules that are torch.nn.LSTM and torch.nn.LSTMCell in everything but their speed.

    modules.py      LSTM and LSTMCell: PyTorch's classes with another forward
    accelerate.py   the same for the modules of a model that exists already, and back
    fallback.py     what PyTorch's own kernels compute instead, and the one warning
    packing.py      where the rows of a PackedSequence lie
    autograd.py     the gradient
    compiled.py     one opaque operator for torch.compile
    weights.py      packed copies of the parameters, and when they are out of date
    call.py         one call of the core on tensors

Each file uses only those below it.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise ImportError('lstm_fast.torch needs PyTorch: pip install "lstm_fast[torch]"') from None

from .accelerate import accelerate, restore
from .fallback import FallbackWarning
from .modules import LSTM, LSTMCell

__all__ = ["LSTM", "LSTMCell", "accelerate", "restore", "FallbackWarning"]
