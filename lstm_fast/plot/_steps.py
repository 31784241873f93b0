"""One sequence out of an LSTM and its input, or out of a trace."""

from collections import namedtuple

import numpy as np

from .._layout import read_input
from ..modules import LSTM
from ..quantized import QuantizedLSTM

# Arrays (T, H), of the sequence without padding: gates, states, and the states before each step; x (T, I) or None.
Steps = namedtuple("Steps", "i f g o c h c_prev h_prev x is_reverse")
NAMES = "ifgoch"


def within(name, value, n):
    """An index, as in an array: negative ones count from the end."""
    try:
        index = range(n)[value]
    except (IndexError, TypeError):
        raise ValueError(f"{name} must be an integer from {-n} to {n - 1}, got {value!r}") from None
    if isinstance(index, range):
        raise ValueError(f"{name} must be one integer, got {value!r}")
    return index


def read_trace(trace, layer, direction, batch, lengths):
    """The dict of i, f, g, o, c, h, each (T, H) of the sequence without its padding, and the indices chosen."""
    arrays = {name: np.asarray(getattr(trace, name, None)) for name in NAMES}
    shape = arrays["c"].shape
    if (
        len(shape) != 5
        or any(a.shape != shape for a in arrays.values() if a is not arrays["h"])
        or (arrays["h"].ndim != 5 or arrays["h"].shape[:4] != shape[:4])
    ):
        raise TypeError(
            "trace must be what lstm.trace(x) gives, arrays i, f, g, o, c, h of shape (L, D, T, B, H), got "
            + (type(trace).__name__ if len(shape) != 5 else str([a.shape for a in arrays.values()]))
        )
    L, D, T, B, _ = shape
    layer, direction, batch = within("layer", layer, L), within("direction", direction, D), within("batch", batch, B)
    n = T
    if lengths is not None:
        lengths = np.atleast_1d(lengths)
        if lengths.shape != (B,) or lengths.dtype.kind not in "iu" or not 0 <= lengths[batch] <= T:
            raise ValueError(f"lengths must be integers from 0 to T = {T} of shape (B,) = ({B},), got {lengths!r}")
        n = int(lengths[batch])
    if n == 0:
        raise ValueError("trace must have at least one step of this sequence, got none")
    return {name: a[layer, direction, :n, batch] for name, a in arrays.items()}, (layer, direction, batch)


def read_steps(source, x, state, layer, direction, batch, lengths):
    """Steps of an LSTM that runs over x from this state, or of its Trace, with x and state of that sequence or without."""
    read = _run if isinstance(source, (LSTM, QuantizedLSTM)) else _read
    arrays, x, first, is_reverse = read(source, x, state, layer, direction, batch, lengths)
    previous = {
        name + "_prev": np.concatenate([arrays[name][1:], [start]] if is_reverse else [[start], arrays[name][:-1]])
        for name, start in zip("hc", first)
    }
    return Steps(**arrays, **previous, x=None if x is None else x[: len(arrays["c"])], is_reverse=is_reverse)


def _run(lstm, x, state, layer, direction, batch, lengths):
    """(dict of arrays, x (T, I), (h_0, c_0) of this layer and direction, is it the reverse one) of an LSTM."""
    if x is None:
        raise ValueError("x must be given with an LSTM: the sequence that it runs over")
    x = np.asarray(x)
    x = x.reshape(-1, 1) if x.ndim < 2 and lstm.input_size == 1 else x
    sizes = lstm.h_size, lstm.hidden_size
    if isinstance(state, (tuple, list)) and len(state) == 2 and x.ndim == 2:  # numbers will do for one unit
        n = lstm.num_layers * lstm.num_directions
        state = tuple(
            np.reshape(s, (n, m)) if s is not None and np.size(s) == n * m else s for s, m in zip(state, sizes)
        )
    trace = lstm.trace(x, state, lengths=lengths)
    arrays, (layer, direction, batch) = read_trace(trace, layer, direction, batch, lengths)
    x, layout = read_input(x, lstm.dtype, lstm.input_size, lstm.batch_first)
    given = [None if s is None else layout.to_states(np.asarray(s)) for s in state or (None, None)]
    suffix = f"_l{layer}" + "_reverse" * direction
    learned = [lstm.parameters().get(name + suffix, np.zeros(m)) for name, m in zip(("h_0", "c_0"), sizes)]
    first = [a if s is None else s[layer * lstm.num_directions + direction, batch] for a, s in zip(learned, given)]
    return arrays, x[:, batch], first, bool(direction)


def _read(trace, x, state, layer, direction, batch, lengths):
    """As _run, of a Trace."""
    arrays, (_, direction, _) = read_trace(trace, layer, direction, batch, lengths)
    if x is not None:
        x = np.asarray(x, float)
        x = x.reshape(-1, 1) if x.ndim < 2 else x
        if x.ndim != 2 or len(x) < len(arrays["c"]):
            T = len(arrays["c"])
            raise ValueError(f"x must be the sequence of the trace, (T, I) or (T,) with T = {T}, got {x.shape}")
    if state is not None and (not isinstance(state, (tuple, list)) or len(state) != 2):
        raise TypeError(f"state must be a pair (h, c), got {type(state).__name__}")
    first = []
    for name, value in zip("hc", state or (None, None)):
        size = arrays[name].shape[1]
        value = np.zeros(size) if value is None else np.asarray(value, float)
        if value.size != size:
            raise ValueError(f"state: {name} must have {size} numbers, got shape {value.shape}")
        first.append(value.reshape(size))
    return arrays, x, first, bool(direction)
