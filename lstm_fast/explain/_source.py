"""The LSTM, input and names of an LSTM, a SequenceModel or a fitted estimator to explain."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..train import FleetModel, QuantizedModel, SequenceModel


class Source(NamedTuple):
    """What a page shows; None where nothing is known."""

    lstm: Any
    x: Any
    features: list[str] | None = None
    names: list[str] | None = None
    text: str = ""


def read_source(model: Any, x: Any) -> Source:
    """Find the LSTM of a model, and its input when the model is given x."""
    if hasattr(model, "network_input") and not isinstance(model, type):  # of lstm_fast.sklearn
        found = x if hasattr(x, "features") else _input_of(model, x)
        if found.lengths is not None and len(set(found.lengths)) > 1:
            raise ValueError(f"x must be sequences of one length, got lengths {_few(found.lengths)}")
        return Source(found.lstm, found.x, found.features, found.names, found.text)
    if isinstance(model, FleetModel):
        raise TypeError(f"lstm must be one model, got a FleetModel of {len(model)} models (pass one of them, model[k])")
    if isinstance(model, SequenceModel | QuantizedModel):
        lstm = model.lstm
        return Source(lstm, _array(x, lstm) if isinstance(x, list | tuple) else x, _columns(x))
    return Source(model, x, _columns(x))


def _input_of(estimator: Any, x: Any) -> Any:
    try:
        return estimator.network_input(x)
    except ValueError as error:
        error.add_note("x may also be estimator.network_input(...), which takes the exogenous variables of a forecast")
        raise


def _array(sequences: Any, lstm: Any) -> Any:
    """A list of (T, I) arrays with the axes of the network."""
    arrays = [np.asarray(one) for one in sequences]
    if len({one.shape for one in arrays}) != 1:
        raise ValueError(f"x must be sequences of one length, got lengths {_few(len(one) for one in arrays)}")
    return lstm.layout.from_rows(np.stack(arrays))


def _few(lengths: Any) -> str:
    distinct = sorted({int(n) for n in lengths})
    return ", ".join(map(str, distinct[:4])) + (", ..." if len(distinct) > 4 else "")


def _columns(x: Any) -> list[str] | None:
    """Names of the columns of a data frame."""
    return [str(name) for name in x.columns] if hasattr(x, "columns") else None
