"""The bridge to ONNX: LSTM nodes in, models out, a backend for ONNX's own tests. Needs the package onnx.

    save            a file that ONNX Runtime runs  saving.py
    names, load     an LSTM from a file            loading.py
    Backend         onnx.backend.base.Backend      backend.py

    graph.py        nodes and constants of the main graph, of bodies of If, Loop and Scan, and of functions
    node.py         attributes and weights of one LSTM, RNN or DynamicQuantizeLSTM node, checked, in our layout
    operators.py    the operators that stand between a file's constants and its nodes
    tensors.py      tensors of a file as arrays: sizes checked before anything is allocated, external data
    layout.py       orders of the gates, names of the activations
    reverse.py      ReverseLSTM, what a node with direction "reverse" becomes

Each uses only those below it. Whatever a file holds, reading it ends with an LSTM or with an error that names what is
unsupported or wrong (FormatError); no code of it is run and no other file is opened, unless external_data=True.
"""

try:
    import onnx as _onnx  # noqa: F401
except ImportError:
    raise ImportError('lstm_fast.onnx needs the package onnx: pip install "lstm_fast[onnx]"') from None

from .loading import load, names
from .reverse import ReverseLSTM
from .saving import save

__all__ = ["names", "load", "save", "Backend", "ReverseLSTM"]


def __getattr__(name):
    if name == "Backend":  # onnx.reference takes longer to import than all the rest
        from .backend import Backend

        globals()["Backend"] = Backend
        return Backend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), "Backend"})
