from typing import Any

from . import datasets as datasets
from . import plot as plot
from . import reference as reference
from . import train as train
from . import weights as weights
from ._errors import FormatError as FormatError
from ._threads import get_num_threads as get_num_threads
from ._threads import num_threads as num_threads
from ._threads import set_num_threads as set_num_threads
from .functional import lstm_backward as lstm_backward
from .functional import lstm_forward as lstm_forward
from .functional import rnn_backward as rnn_backward
from .functional import rnn_forward as rnn_forward
from .modules import LSTM as LSTM
from .modules import RNN as RNN
from .modules import LSTMCell as LSTMCell

__all__ = [
    "LSTM",
    "LSTMCell",
    "RNN",
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
__version__: str

def info() -> dict[str, Any]: ...
