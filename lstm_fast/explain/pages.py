"""html: the page of any small LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import lstm_fast as lf

from .._files import write_atomically
from ._model import Subject, check, describe, in_double, read_sequences
from ._page import assemble
from .learning import learning_data

if TYPE_CHECKING:
    from .._files import AnyPath
    from .._types import ArrayLike, StateLike
    from ..modules import LSTM

MAX_BYTES = 500_000


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}")
    return value


def _names(names: Any, n: int) -> list[str]:
    if names is None:
        return [f"Sequence {k + 1}" for k in range(n)]
    if isinstance(names, str) or not all(isinstance(name, str) for name in names) or len(names) != n:
        raise ValueError(f"names must be {n} strings, one for each sequence of x, got {names!r}")
    return list(names)


def html(
    lstm: LSTM,
    x: ArrayLike,
    path: AnyPath,
    *,
    state: StateLike | None = None,
    names: Sequence[str] | None = None,
    title: str = "An LSTM you can touch",
    text: str = "",
) -> None:
    """Write an interactive page that computes an LSTM over x, explains every number and lets readers change them.

    The page is a single file of less than 500 kB that works offline. It contains the parameters and x, and computes the
    formulas of `lstm_fast.reference` in float64; when opened, it compares its results with those of the library, to
    1e-6, and reports the outcome.

    Parameters
    ----------
    lstm : LSTM
        At most 64 units; layers, directions, projection, peepholes, layer normalization, coupled gates, clipping and
        activations are shown exactly. Dropout and zoneout act in training only and are not shown.
    x : array_like of shape (T,B,I), (B,T,I) if batch_first, or (T,I)
        At most 200 steps.
    path : path
        File to write, atomically.
    state : pair of array_like, optional
        (h_0, c_0) as the LSTM takes them. By default the learned initial state, or zero.
    names : sequence of str, optional
        Name of each sequence of x.
    title : str
        Title of the page.
    text : str
        A paragraph below the title.

    Raises
    ------
    TypeError
        If lstm is not a `lstm_fast.LSTM`, or title, text or state has the wrong type.
    ValueError
        If the LSTM, x or names are not as described, or the page would have 500 kB or more.

    Notes
    -----
    If the page would be too large, it stores the library's results for fewer steps; if it is still too large,
    parameters and x of dtype float64 are rounded to float32, which the page states. 64 units with 64 inputs and 200
    steps fit, and so do two layers or directions of 64 units with 48 inputs; larger ones are a ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> x = np.sin(np.arange(20.0))[:, None]
    >>> lf.explain.html(lf.LSTM(1, 4, seed=0), x, "page.html")
    """
    write_atomically(path, page(lstm, x, state=state, names=names, title=title, text=text))


def page(
    lstm: LSTM,
    x: ArrayLike,
    *,
    state: StateLike | None = None,
    names: Sequence[str] | None = None,
    title: str,
    text: str,
) -> bytes:
    """Return the page as UTF-8; same arguments as html."""
    lstm = check(lstm)
    title, text = _text("title", title), _text("text", text)
    for rounded in (False, True) if lstm.dtype == "float64" else (False,):
        steps, h_0, c_0 = read_sequences(lstm, x, state, rounded=rounded)
        subject = Subject(in_double(lstm, rounded=rounded), repr(lstm), steps, h_0, c_0)
        fixed = {"names": _names(names, steps.shape[1]), "version": lf.__version__, "learning": learning_data()}
        for n_full, stride in ((6, 1), (2, 10), (0, 10), (0, 50)):
            data = {**fixed, **describe(subject, stride, n_full), "rounded": rounded}
            written = assemble(data, title, text)
            if len(written) < MAX_BYTES:
                return written
    raise ValueError(
        f"the page must have less than {MAX_BYTES // 1000} kB, got {len(written) // 1000} kB: "
        f"{lstm.flat_parameters.size} parameters and x of shape {steps.shape} (T, B, I) must be made smaller"
    )
