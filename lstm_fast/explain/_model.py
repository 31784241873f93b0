"""An LSTM and its sequences as data for the page, and the numbers that the page must find again."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import _layout
from .._errors import network_type
from .._options import not_supported, options_of
from ..modules import LSTM
from ._arrays import Array, encode

MAX_UNITS, MAX_STEPS = 64, 200
ACTIVATIONS = ("activation", "recurrent_activation", "cell_activation")
NUMBERS = "ifgoch"


class Subject(NamedTuple):
    """Contents of a page: an LSTM in float64, its sequences and initial states."""

    lstm: LSTM
    label: str  # the repr of the caller's LSTM
    x: Array  # (T, B, I)
    h_0: Array  # (L * D, B, R)
    c_0: Array  # (L * D, B, H)


def check(lstm: Any) -> LSTM:
    """Return an LSTM that a page can reproduce exactly; errors name unsupported options."""
    if not isinstance(lstm, LSTM):
        raise TypeError(f"lstm must be a lstm_fast.LSTM, got {network_type(lstm)}")
    if getattr(type(lstm), "saved_as", type(lstm)) is not LSTM:
        raise TypeError(f"lstm must be a lstm_fast.LSTM itself, got its subclass {network_type(lstm)}")
    for name, default, value in not_supported("page", lstm, LSTM):
        raise ValueError(f"lstm must have {name}={default!r}, got {value!r}: the page does not support it")
    if lstm.hidden_size > MAX_UNITS:
        raise ValueError(f"lstm must have a hidden_size of at most {MAX_UNITS}, got {lstm.hidden_size}")
    if not np.isfinite(lstm.flat_parameters).all():
        raise ValueError("lstm must have finite parameters, got infinite ones or NaN")
    return lstm


def in_double(lstm: LSTM, *, rounded: bool) -> LSTM:
    """The LSTM in float64, for inference; with rounded, its parameters rounded to float32.

    The page computes in float64, so its numbers are compared with those of this LSTM: float32 rounding would hide a
    wrong formula, or look like one.
    """
    training_only = {"dropout": 0.0, "recurrent_dropout": 0.0, "zoneout": 0.0}
    twin = LSTM(**{**lstm.config(), **training_only, "batch_first": False, "dtype": np.float64, "seed": None})
    parameters = lstm.flat_parameters.astype(np.float32) if rounded else lstm.flat_parameters
    with twin.edit() as p:
        p.flat[:] = parameters
    return twin


def read_sequences(lstm: LSTM, x: Any, state: Any, *, rounded: bool) -> tuple[Array, Array, Array]:
    """Validate x and state as the LSTM takes them; return x (T,B,I), h_0 (L*D,B,R) and c_0 (L*D,B,H) in float64.

    Like the parameters they have the precision of the LSTM's dtype or, with rounded, of float32.
    """
    dtype = np.dtype(np.float32) if rounded else lstm.dtype
    steps, layout = _layout.read_input(x, dtype, lstm.input_size, lstm.batch_first)
    T, B, _ = steps.shape
    if not 1 <= T <= MAX_STEPS:
        raise ValueError(f"x must have from 1 to {MAX_STEPS} steps, got {T}")
    if B == 0:
        raise ValueError(f"x must have at least one sequence, got shape {np.shape(x)}")
    if not np.isfinite(steps).all():
        raise ValueError("x must be finite, got infinite values or NaN")
    if state is not None and not (isinstance(state, (tuple, list)) and len(state) == 2):
        raise TypeError(f"state must be a pair (h_0, c_0) or None, got {type(state).__name__}")
    parameters, suffixes = lstm.parameters(), lstm.parameter_suffixes
    first = []
    for name, value, n in zip(("h_0", "c_0"), state or (None, None), (lstm.h_size, lstm.hidden_size)):
        given = layout.read_state(name, value, dtype, len(suffixes), B, n, "R" if name == "h_0" else "H")
        if given is None:
            learned = [parameters.get(name + suffix, np.zeros(n)) for suffix in suffixes]
            given = np.repeat(np.asarray(learned, dtype)[:, None], B, axis=1)
        if not np.isfinite(given).all():
            raise ValueError(f"state must be finite, got infinite values or NaN in {name}")
        first.append(given.astype(np.float64))
    return np.ascontiguousarray(steps, np.float64), first[0], first[1]


def _cell_options(lstm: LSTM) -> dict[str, Any]:
    """The options of the cell that the page computes; activations as lists of a name and parameters."""
    from ..reference import activation as read

    names = [name for name, option in options_of(LSTM).items() if option.to_core and "page" in option.supported_by]
    options = {name: getattr(lstm, name) for name in names}
    for name in ACTIVATIONS:
        spec = options[name]
        options[name] = [spec if isinstance(spec, str) else spec[0], *read(spec, name).parameters]
    return options


def describe(subject: Subject, stride: int, n_full: int) -> dict[str, Any]:
    """Return the inputs of the page's computation, and every stride-th step of the library's results.

    The first n_full names of "chifgo" are recorded at every step.
    """
    lstm, p = subject.lstm, subject.lstm.parameters()
    trace = lstm.trace(subject.x, (subject.h_0, subject.c_0))
    T, names = len(subject.x), "chifgo"
    weights = [name for name in p if not name.startswith(("h_0", "c_0"))]
    recorded = {}
    for k, name in enumerate(names):
        steps = range(0, T, 1 if k < n_full else stride)
        values = getattr(trace, name)
        if not (np.abs(values) < np.finfo(np.float32).max).all():
            raise ValueError(f"lstm must keep {name} below {np.finfo(np.float32).max:.2g} over x, got larger numbers")
        values = values[:, :, list(steps)]
        recorded[name] = {"every": steps.step, **encode(values, may_round=True)}
    return {
        "label": subject.label,
        "input_size": lstm.input_size,
        "hidden_size": lstm.hidden_size,
        "num_layers": lstm.num_layers,
        "num_directions": lstm.num_directions,
        "h_size": lstm.h_size,
        **_cell_options(lstm),
        "suffixes": list(lstm.parameter_suffixes),
        "parameters": {name: encode(p[name]) for name in weights},
        "x": encode(subject.x),
        "h_0": encode(subject.h_0),
        "c_0": encode(subject.c_0),
        "recorded": recorded,
    }
