"""The layers. Their base classes are in _inference.py, _recurrent.py and _lstm.py.

    trainable_lstm.py  methods of LSTM other than inference
    lstm.py            LSTM
    cell.py            LSTMCell
    rnn.py             RNN
    reverse.py         the LSTM and the RNN of ONNX's direction "reverse"

Each module uses only those above it.
"""

from .cell import LSTMCell
from .lstm import LSTM
from .rnn import RNN

__all__ = ["LSTM", "RNN", "LSTMCell"]
