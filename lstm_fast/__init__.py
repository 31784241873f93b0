"""lstm_fast: a fast, complete and reproducible LSTM for the CPU. NumPy in and out, forward and backward.

    reference/       the definition, in NumPy
    csrc/kernels     one register tile, one step; compiled once per instruction set
    csrc/loops       time, batch, threads; compiled once per dtype
    _core.pyx        the binding: arrays to pointers, the GIL ends here
    _network.py      one call on checked arrays
    functional.py    functions on explicit weights
    modules.py       LSTM, RNN, LSTMCell
    quantized.py     an inference-only copy with weights of 16 bits
    streaming.py     live sequences, one step at a time (_stepper.pxi: the fast part)
    train/           models with a head, losses, optimisers, the fit loop, checkpoints
    weights.py       LSTM weights under PyTorch's names: safetensors files and state_dicts
    sklearn/         estimators: regressor, classifier, forecaster
    plot/            pictures (matplotlib)
    torch/ onnx/ keras/   bridges: each imports its framework only when used

Each layer uses only those above it.
"""

from importlib import import_module as _import_module
from pathlib import Path as _Path

try:
    from . import _core  # noqa: F401
except ImportError as error:
    _root = _Path(__file__).resolve().parent.parent
    if (
        not (_root / "setup.py").exists()
        or any(_root.glob("lstm_fast/_core*.so"))
        or any(_root.glob("lstm_fast/_core*.pyd"))
    ):
        raise  # installed, or built and broken: the error says more than we could
    raise ImportError(
        f"lstm_fast is being imported from its source tree, {_root}, where its compiled part is not built. Either leave that "
        f"directory (or use python -P) to import an installed copy, or build in place with: pip install -e {_root}"
    ) from error

from . import _network
from ._errors import FormatError
from ._lstm import Trace
from ._parameters import Gradients
from ._tape import Tape
from ._threads import get_num_threads, num_threads, set_num_threads
from .functional import lstm_backward, lstm_forward, rnn_backward, rnn_forward
from .modules import LSTM, RNN, LSTMCell
from .quantized import QuantizedLSTM
from .streaming import Stream

__all__ = [
    "LSTM",
    "RNN",
    "LSTMCell",
    "QuantizedLSTM",
    "Stream",
    "Tape",
    "Gradients",
    "Trace",
    "FormatError",
    "lstm_forward",
    "lstm_backward",
    "rnn_forward",
    "rnn_backward",
    "info",
    "get_num_threads",
    "set_num_threads",
    "num_threads",
]

_SUBMODULES = ("reference", "datasets", "train", "sklearn", "plot", "weights", "torch", "onnx", "keras")


def __getattr__(name):
    if name in _SUBMODULES:
        return _import_module(f"{__name__}.{name}")
    if name == "__version__":  # looked up when asked for: importlib.metadata takes longer than all the rest
        from importlib.metadata import PackageNotFoundError, version

        try:
            globals()["__version__"] = version("lstm_fast")
        except PackageNotFoundError:  # built in place, not installed
            globals()["__version__"] = "0+unknown"
        return globals()["__version__"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_SUBMODULES, "__version__"])


def info():
    """What this installation is and does, for bug reports: a dict of version, isa, isa_available, openmp, num_threads, ..."""
    import platform

    import numpy

    return {
        "version": __getattr__("__version__"),
        **_network.library_info(),
        "num_threads": get_num_threads(),
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": platform.platform(),
    }
