"""html: the page of any small LSTM, model or estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import lstm_fast as lf

from .._files import write_atomically
from ._model import Subject, check, describe, in_double, read_sequences
from ._page import assemble
from ._source import read_source
from .learning import learning_data

if TYPE_CHECKING:
    from .._files import AnyPath
    from .._types import StateLike
    from ..modules import LSTM
    from ..sklearn.base import Estimator
    from ..train import SequenceModel

MAX_BYTES = 500_000


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {type(value).__name__}")
    return value


def _names(name: str, given: Any, n: int, of: str) -> list[str]:
    if isinstance(given, str) or not all(isinstance(one, str) for one in given) or len(given) != n:
        raise ValueError(f"{name} must be {n} strings, one for each {of} of x, got {given!r}")
    return list(given)


def html(
    lstm: LSTM | SequenceModel | Estimator,
    x: Any,
    path: AnyPath,
    *,
    state: StateLike | None = None,
    names: Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    title: str = "An LSTM you can touch",
    text: str | None = None,
) -> None:
    """Write an interactive page that computes an LSTM over x, explains every number and lets readers change them.

    The page is a single file of less than 500 kB that works offline. It contains the parameters and x, and computes the
    formulas of `lstm_fast.reference` in float64; when opened, it compares its results with those of the library, to
    1e-6, and reports the outcome.

    Parameters
    ----------
    lstm : LSTM, lstm_fast.train.SequenceModel or fitted estimator of lstm_fast.sklearn
        At most 64 units; layers, directions, projection, peepholes, layer normalization, coupled gates, clipping and
        activations are shown exactly. Dropout and zoneout act in training only and are not shown. Of a model or
        estimator, the LSTM is shown, without the linear head.
    x : array_like of shape (T,B,I), (B,T,I) if batch_first, or (T,I)
        At most 200 steps. For a model or estimator, what its `predict` takes: a few sequences of one length, which are
        scaled as the estimator does; for an `LSTMForecaster` the series y, or None for those of `fit`, of which the
        page shows the last input_size steps and the horizon. The result of an estimator's `network_input` is taken as
        well, which forecasts with exogenous variables need.
    path : path
        File to write, atomically.
    state : pair of array_like, optional
        (h_0, c_0) as the LSTM takes them. By default the learned initial state, or zero.
    names : sequence of str, optional
        Name of each sequence of x. By default the ids of the series of a forecaster, or numbers.
    features : sequence of str, optional
        Name of each feature of x. By default the columns of data frames, or numbers.
    title : str
        Title of the page.
    text : str, optional
        A paragraph below the title. By default, what an estimator does with x.

    Raises
    ------
    TypeError
        If lstm has no `lstm_fast.LSTM`, or title, text or state has the wrong type.
    ValueError
        If the LSTM, x, names or features are not as described, or the page would have 500 kB or more.

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

    A fitted estimator, and its input for the next forecast:

    >>> forecaster = lf.sklearn.LSTMForecaster(12, 3, hidden_size=8, epochs=2, random_state=0).fit(x)
    >>> lf.explain.html(forecaster, x, "forecast.html")
    """
    write_atomically(path, page(lstm, x, state=state, names=names, features=features, title=title, text=text))


def page(
    lstm: Any,
    x: Any,
    *,
    state: StateLike | None = None,
    names: Sequence[str] | None = None,
    features: Sequence[str] | None = None,
    title: str,
    text: str | None = None,
) -> bytes:
    """Return the page as UTF-8; same arguments as html."""
    source = read_source(lstm, x)
    network = check(source.lstm)
    names = source.names if names is None else names
    features = source.features if features is None else features
    if features is not None:
        features = _names("features", features, network.input_size, "feature")
    title, text = _text("title", title), _text("text", source.text if text is None else text)
    for rounded in (False, True) if network.dtype == "float64" else (False,):
        steps, h_0, c_0 = read_sequences(network, source.x, state, rounded=rounded)
        subject = Subject(in_double(network, rounded=rounded), repr(network), steps, h_0, c_0)
        B = steps.shape[1]
        fixed = {
            "names": _names(
                "names", [f"Sequence {k + 1}" for k in range(B)] if names is None else names, B, "sequence"
            ),
            "features": features,
            "version": lf.__version__,
            "learning": learning_data(),
        }
        for n_full, stride in ((6, 1), (2, 10), (0, 10), (0, 50)):
            data = {**fixed, **describe(subject, stride, n_full), "rounded": rounded}
            written = assemble(data, title, text)
            if len(written) < MAX_BYTES:
                return written
    raise ValueError(
        f"the page must have less than {MAX_BYTES // 1000} kB, got {len(written) // 1000} kB: "
        f"{network.flat_parameters.size} parameters and x of shape {steps.shape} (T, B, I) must be made smaller"
    )
