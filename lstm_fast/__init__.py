"""lstm_fast: a fast, complete and reproducible LSTM for the CPU. NumPy in and out, forward and backward.

    reference/       the definition, in NumPy
    csrc/kernels     one register tile, one step; compiled once per instruction set
    csrc/loops       time, batch, threads; compiled once per dtype
    _core            the binding: arrays to pointers, GIL released

    _types.py        type aliases for annotations
    _errors.py       FormatError; type names for messages
    _files.py        atomic file writes, reads of regular files
    _safetensors_format.py  reader and writer of the safetensors format
    _safetensors.py  safetensors files with a configuration and a digest
    _arguments.py    validation of arguments and conversion to arrays
    _options.py      constructor options as read-only attributes
    _layout.py       axis layouts: time-first, batch-first, unbatched, cell; after an axis of models
    _packing.py      sequences of different lengths: padded lists, packed rows
    _variants.py     cell variants: validation of their options, shapes of their parameters
    _threads.py      number of threads of a call
    _parameter_arrays.py  named views of one flat buffer; Gradients
    _parameters.py   base classes of objects with parameters
    _tape.py         Tape: activations kept for backward
    _network.py      one call of the core on validated arrays
    _sums.py         sums in a fixed order
    _steps.py        validation of x of live sequences
    streaming.py     Stream: live sequences, one step at a time
    _structure.py    Structure: base class, options, sizes, parameters
    _inference.py    Network: base class, inference
    _recurrent.py    Recurrent: base class, forward and backward
    _lstm.py         options of the LSTM cell
    _trace.py        Trace: activations at every step
    _formats.py      low-precision formats: how parameters are stored
    quantized.py     QuantizedLSTM: inference-only copy in float16, bfloat16 or int8
    modules/         LSTM, RNN, LSTMCell
    _fingerprint.py  fingerprint: SHA-256 of the parameters
    comparison.py    compare_formats: error, size and time of each format
    _functional.py   forward and backward pass of the functional API
    functional.py    functional API with explicit weights

    _architecture.py  sizes and options of a network from names and shapes of its parameters
    fleet/           Fleet: many LSTMs of one shape in one call
    _weight_sources.py  files, mappings and modules with parameters under PyTorch's names
    datasets.py      small datasets
    train/           models with a head, losses, optimizers, fit, checkpoints
    weights.py       LSTM weights under PyTorch's names: safetensors files and state_dicts
    _vectors.py      test vectors: expected bits, checked by `lstm-fast check-vectors`
    sklearn/         estimators: regressor, classifier, forecaster
    plot/            plots (matplotlib)
    dask/            distributed prediction: Dask collections, Spark and Ray data frames
    torch/ onnx/ keras/   bridges, each importing its framework on first use
    tour/            guided tour of how an LSTM works
    explain/         interactive web page of an LSTM and its numbers
    __main__.py      command line

Each module uses only those above it.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from pathlib import Path as _Path
from typing import TYPE_CHECKING, Any

try:
    from . import _core  # noqa: F401
except ImportError as error:
    _root = _Path(__file__).resolve().parent.parent
    if (
        not (_root / "setup.py").exists()
        or any(_root.glob("lstm_fast/_core*.so"))
        or any(_root.glob("lstm_fast/_core*.pyd"))
    ):
        raise  # installed, or built and broken: the original error is more precise
    raise ImportError(
        f"lstm_fast is being imported from its source tree, {_root}, where its compiled part is not built. Either "
        "leave that directory (or use python -P) to import an installed copy, or build in place with: "
        f"pip install -e {_root}"
    ) from error

from . import _network
from ._errors import FormatError
from ._parameter_arrays import Gradients
from ._tape import Tape
from ._threads import get_num_threads, num_threads, set_num_threads
from .modules import LSTM, RNN, LSTMCell

if TYPE_CHECKING:
    from . import dask as dask
    from . import datasets as datasets
    from . import explain as explain
    from . import keras as keras
    from . import onnx as onnx
    from . import plot as plot
    from . import reference as reference
    from . import sklearn as sklearn
    from . import torch as torch
    from . import train as train
    from . import weights as weights
    from ._fingerprint import fingerprint
    from ._trace import Trace
    from .comparison import FormatComparison, FormatRow, compare_formats
    from .fleet import Fleet, FleetStream, FleetTape
    from .functional import lstm_backward, lstm_forward, rnn_backward, rnn_forward
    from .quantized import QuantizedLSTM
    from .streaming import Stream

    __version__: str

__all__ = [
    "LSTM",
    "RNN",
    "LSTMCell",
    "QuantizedLSTM",
    "FormatComparison",
    "FormatRow",
    "Fleet",
    "FleetStream",
    "FleetTape",
    "Stream",
    "Tape",
    "Gradients",
    "Trace",
    "FormatError",
    "lstm_forward",
    "lstm_backward",
    "rnn_forward",
    "rnn_backward",
    "compare_formats",
    "fingerprint",
    "info",
    "get_num_threads",
    "set_num_threads",
    "num_threads",
]

# Imported on first use.
_LATER = {
    "Fleet": "fleet",
    "FleetStream": "fleet",
    "FleetTape": "fleet",
    "Stream": "streaming",
    "QuantizedLSTM": "quantized",
    "compare_formats": "comparison",
    "fingerprint": "_fingerprint",
    "FormatComparison": "comparison",
    "FormatRow": "comparison",
    "Trace": "_trace",
    "lstm_forward": "functional",
    "lstm_backward": "functional",
    "rnn_forward": "functional",
    "rnn_backward": "functional",
}
_SUBMODULES = (
    "reference",
    "datasets",
    "train",
    "sklearn",
    "plot",
    "weights",
    "torch",
    "onnx",
    "keras",
    "explain",
    "dask",
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return _import_module(f"{__name__}.{name}")
    if name in _LATER:
        globals()[name] = getattr(_import_module(f"{__name__}.{_LATER[name]}"), name)
        return globals()[name]
    if name == "__version__":  # looked up on demand: importlib.metadata takes longer to import than all the rest
        from importlib.metadata import PackageNotFoundError, version

        try:
            globals()["__version__"] = version("lstm_fast")
        except PackageNotFoundError:  # built in place, not installed
            globals()["__version__"] = "0+unknown"
        return globals()["__version__"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_SUBMODULES, "__version__"} - {"annotations", "TYPE_CHECKING", "Any"})


def info() -> dict[str, Any]:
    """Describe this installation, for bug reports.

    Returns
    -------
    dict of str to object
        version, isa, isa_available, isa_compiled, openmp, threads (the back-end: "openmp", "pthreads" or "none"),
        compiler, num_threads, numpy, python, machine.

    Examples
    --------
    >>> import lstm_fast as lf
    >>> sorted(lf.info())[:4]
    ['compiler', 'isa', 'isa_available', 'isa_compiled']
    """
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
