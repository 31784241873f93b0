"""PyTorch: drop-in replacements for torch.nn.LSTM and torch.nn.LSTMCell, computed by lstm_fast.

    shapes.py       sizes of a network, shapes of its parameters, layout of its input
    memory.py       reading and allocating tensor memory
    weights.py      packed copies of parameters, and when they are out of date
    call.py         one call of the core on tensors
    fallback.py     conditions for falling back to PyTorch's own kernels, and the warning
    autocast.py     calls under torch.autocast to bfloat16
    episodes.py     resets, and episodes for PyTorch's kernel
    autograd.py     the gradient
    compiled.py     opaque operators for torch.compile
    fast.py         base class of the modules: packed copies, dispatch to the core or to PyTorch
    modules.py      LSTM and LSTMCell: PyTorch's classes with our forward
    policies.py     recurrent policies of sb3-contrib
    classes.py      which modules can be accelerated, and their new classes
    reports.py      reports of which modules are accelerated, and why others are not
    swap.py         accelerate and restore: the modules of an existing model

Each module uses only those above it.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError:
    raise ImportError('lstm_fast.torch needs PyTorch: pip install "lstm_fast[torch]"') from None

from .fallback import FallbackWarning
from .modules import LSTM, LSTMCell
from .reports import ModuleReport, Report, report
from .swap import accelerate, restore

__all__ = ["LSTM", "LSTMCell", "accelerate", "report", "restore", "FallbackWarning", "ModuleReport", "Report"]
