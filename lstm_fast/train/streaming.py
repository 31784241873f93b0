"""ModelStream: predictions for live sequences."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from .. import _threads

if TYPE_CHECKING:
    from .._types import Array
    from ..streaming import Stream
    from .predictor import Predictor


class ModelStream:
    """Predictions for live sequences, from ``model.stream()``.

    Predictions have the bits of `SequenceModel.predict`. The stream keeps the parameters of its creation until
    `refresh`.

    Parameters
    ----------
    model : SequenceModel or QuantizedModel
        Model with readout "last" or "all".
    batch_size : int
        Number of sequences.

    Attributes
    ----------
    stream : Stream
        Stream of the network, with state, reset, add, remove, snapshot and restore.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> stream = lf.train.SequenceModel(lf.LSTM(3, 16, seed=0), 2, seed=0).stream()
    >>> stream.step(np.ones(3)).shape, stream.block(np.ones((10, 3))).shape
    ((2,), (10, 2))
    """

    def __init__(self, model: Predictor, batch_size: int) -> None:
        if model.readout == "mean":
            raise ValueError('a stream needs readout "last" or "all", got "mean", which is known only at the end')
        self.model = model
        self.stream: Stream = model.lstm.stream(batch_size)
        self.refresh()

    def __copy__(self) -> ModelStream:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, stream=copy.copy(self.stream))  # each has its own state
        return other

    def refresh(self) -> None:
        """Continue with the current parameters of the model, from the same state."""
        version, self._head = self.model._moment()
        self.stream._use_version(version)

    def step(self, x: Any) -> Array:
        """Process one step.

        Parameters
        ----------
        x : array_like of shape (B, I) or (I,)
            Input of each sequence, as in `Stream.step`.

        Returns
        -------
        ndarray of shape (B, out_features) or (out_features,)
            Predictions after the step.
        """
        return self._head.apply(self.stream.step(x), _threads.resolve(None))

    def block(self, x: Any) -> Array:
        """Process many steps.

        Parameters
        ----------
        x : array_like of shape (T, B, I) or (T, I)
            Input of each sequence, as in `Stream.block`.

        Returns
        -------
        ndarray of shape (T, B, out_features) or (T, out_features)
            Predictions after each step.
        """
        return self._head.apply(self.stream.block(x), _threads.resolve(None))

    def __repr__(self) -> str:
        return f"ModelStream({self.model!r}, {self.stream!r})"
