"""ONNX: load LSTM nodes, save networks, and run models in a backend for ONNX's own tests. Needs the package onnx.

    layout.py       gate order, names of activations
    tensors.py      tensors as arrays: sizes checked before allocation, external data
    operators.py    the operators between a file's constants and its nodes
    graph.py        nodes and constants of the graph, of bodies of If, Loop and Scan, and of functions
    quantized.py    8-bit weights
    node.py         attributes and weights of one LSTM or RNN node, validated, in our layout
    stack.py        nodes as the layers of one LSTM
    loading.py      names, load: an LSTM from a file
    builder.py      incremental construction of a graph
    saving.py       save: a file for ONNX Runtime
    backend.py      Backend: onnx.backend.base.Backend

Each file uses only those above it. Loading any file either returns an LSTM or raises a FormatError that names what is
unsupported or wrong; no code in the file is run, and no other file is opened unless external_data=True.
"""

from typing import TYPE_CHECKING, Any

try:
    import onnx as _onnx  # noqa: F401
except ImportError:
    raise ImportError('lstm_fast.onnx needs the package onnx: pip install "lstm_fast[onnx]"') from None

from ..modules.reverse import ReverseLSTM, ReverseRNN
from .loading import load, names
from .saving import save

if TYPE_CHECKING:
    from .backend import Backend

__all__ = ["names", "load", "save", "Backend", "ReverseLSTM", "ReverseRNN"]


def __getattr__(name: str) -> Any:
    if name == "Backend":  # importing onnx.reference takes longer than everything else
        from .backend import Backend

        globals()["Backend"] = Backend
        return Backend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "Backend"})
