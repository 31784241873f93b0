"""Extraction of one sequence from an LSTM and its input, or from a trace."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import Trace
from ..modules import LSTM
from ..quantized import QuantizedLSTM

Array: TypeAlias = NDArray[Any]
Network: TypeAlias = LSTM | QuantizedLSTM
NAMES = "ifgoch"


class Steps(NamedTuple):
    """Steps of one sequence without padding, in time order."""

    i: Array  # (T, H), as f, g, o and c
    f: Array
    g: Array
    o: Array
    c: Array
    h: Array  # (T, R), R = H without a projection
    c_prev: Array  # the states before each step, in the direction of the network
    h_prev: Array
    x: Array | None  # (T, I)
    is_reverse: bool


class Choice(NamedTuple):
    """Layer, direction and sequence chosen by the caller, not yet validated."""

    layer: int
    direction: int
    batch: int
    lengths: ArrayLike | None


def within(name: str, value: Any, n: int) -> int:
    """Normalize an index from -n..n - 1 to 0..n - 1."""
    try:
        index = range(n)[value]
    except (IndexError, TypeError):
        raise ValueError(f"{name} must be an integer from {-n} to {n - 1}, got {value!r}") from None
    if not isinstance(index, int):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    return index


def read_trace(trace: Any, choice: Choice) -> tuple[dict[str, Array], Choice]:
    """Return i, f, g, o, c and h, each (T, H), of the chosen sequence without padding; and the validated choice."""
    arrays = {name: np.asarray(getattr(trace, name, None)) for name in NAMES}
    shape = arrays["c"].shape
    if (
        len(shape) != 5
        or any(a.shape != shape for a in arrays.values() if a is not arrays["h"])
        or (arrays["h"].ndim != 5 or arrays["h"].shape[:4] != shape[:4])
    ):
        raise TypeError(
            "trace must be the result of lstm.trace(x), arrays i, f, g, o, c, h of shape (L, D, T, B, H), got "
            + (type(trace).__name__ if len(shape) != 5 else str([a.shape for a in arrays.values()]))
        )
    L, D, T, B, _ = shape
    layer, direction = within("layer", choice.layer, L), within("direction", choice.direction, D)
    batch, n = within("batch", choice.batch, B), T
    if choice.lengths is not None:
        lengths = np.atleast_1d(choice.lengths)
        if lengths.shape != (B,) or lengths.dtype.kind not in "iu" or not 0 <= lengths[batch] <= T:
            raise ValueError(f"lengths must be integers from 0 to T = {T} of shape (B,) = ({B},), got {lengths!r}")
        n = int(lengths[batch])
    if n == 0:
        raise ValueError("trace must have at least one step of this sequence, got none")
    arrays = {name: a[layer, direction, :n, batch] for name, a in arrays.items()}
    return arrays, Choice(layer, direction, batch, choice.lengths)


def read_steps(source: Network | Trace, x: ArrayLike | None, state: Any, choice: Choice) -> Steps:
    """Return the steps of an LSTM run over x from state, or of a Trace, optionally with its x and state."""
    if isinstance(source, Network):
        arrays, sequence, first, is_reverse = _from_lstm(source, x, state, choice)
    else:
        arrays, sequence, first, is_reverse = _from_trace(source, x, state, choice)
    previous = {
        name + "_prev": np.concatenate([arrays[name][1:], [start]] if is_reverse else [[start], arrays[name][:-1]])
        for name, start in zip("hc", first)
    }
    sequence = None if sequence is None else sequence[: len(arrays["c"])]
    return Steps(**arrays, **previous, x=sequence, is_reverse=is_reverse)


_Read: TypeAlias = tuple[dict[str, Array], Array | None, list[Array], bool]  # arrays, x (T, I), [h_0, c_0], is_reverse


def _from_lstm(lstm: Network, x: ArrayLike | None, state: Any, choice: Choice) -> _Read:
    if x is None:
        raise ValueError("x must be given with an LSTM: the sequence to run it over")
    if lstm.index_input:
        raise ValueError("lstm must have index_input=False, as the numbers of x are drawn: draw lstm.trace(x)")
    x = np.asarray(x)
    x = x.reshape(-1, 1) if x.ndim < 2 and lstm.input_size == 1 else x
    D, sizes = lstm.num_directions, (lstm.h_size, lstm.hidden_size)
    if isinstance(state, (tuple, list)) and len(state) == 2 and x.ndim == 2:  # scalars are accepted for one unit
        n = lstm.num_layers * D
        state = tuple(
            np.reshape(s, (n, size)) if s is not None and np.size(s) == n * size else s for s, size in zip(state, sizes)
        )
    arrays, choice = read_trace(lstm.trace(x, state, lengths=choice.lengths), choice)
    k, suffix = choice.layer * D + choice.direction, f"_l{choice.layer}" + "_reverse" * choice.direction
    learned = [lstm.parameters().get(name + suffix, np.zeros(size)) for name, size in zip(("h_0", "c_0"), sizes)]
    where: Any = k if x.ndim == 2 else (k, choice.batch)
    given = state or (None, None)
    first = [start if s is None else np.asarray(s)[where] for start, s in zip(learned, given)]
    sequence: Array = x if x.ndim == 2 else lstm.layout.to_steps(x)[:, choice.batch]
    return arrays, sequence.astype(lstm.dtype), first, bool(choice.direction)


def _from_trace(trace: Any, x: ArrayLike | None, state: Any, choice: Choice) -> _Read:
    arrays, choice = read_trace(trace, choice)
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
        start = np.zeros(size) if value is None else np.asarray(value, float)
        if start.size != size:
            raise ValueError(f"state: {name} must have {size} numbers, got shape {start.shape}")
        first.append(start.reshape(size))
    return arrays, x, first, bool(choice.direction)
