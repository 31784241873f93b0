"""The layers: LSTM, RNN and LSTMCell. Their base classes are in _inference.py, _recurrent.py and _lstm.py, and
trainable_lstm.py for the methods of LSTM other than inference.

reverse.py has the LSTM and the RNN of ONNX's direction "reverse".
"""

from .cell import LSTMCell
from .lstm import LSTM
from .rnn import RNN

__all__ = ["LSTM", "RNN", "LSTMCell"]
