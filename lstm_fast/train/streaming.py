"""Live sequences through a whole model, one step or one block at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _threads

if TYPE_CHECKING:
    from .._types import Array
    from ..streaming import Stream
    from .model import SequenceModel


class ModelStream:
    """Predictions for live sequences; ``model.stream()`` makes these.

    Predictions have the bits of `SequenceModel.predict`. The parameters are those of the time when the stream was made,
    until `refresh`.

    Parameters
    ----------
    model : SequenceModel
        With readout "last" or "all".
    batch_size : int
        Number of sequences.

    Attributes
    ----------
    stream : Stream
        The network's, with state, reset, add, remove, snapshot and restore.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_fast as lf
    >>> stream = lf.train.SequenceModel(lf.LSTM(3, 16, seed=0), 2, seed=0).stream()
    >>> stream.step(np.ones(3)).shape, stream.block(np.ones((10, 3))).shape
    ((2,), (10, 2))
    """

    def __init__(self, model: SequenceModel, batch_size: int) -> None:
        if model.readout == "mean":
            raise ValueError('a stream needs readout "last" or "all", got "mean", which is known only at the end')
        self.model = model
        self.stream: Stream = model.lstm.stream(batch_size)
        self.refresh()

    def refresh(self) -> None:
        """Takes the parameters that the model has now; the state stays."""
        self.stream.refresh()
        self._head = self.model.head

    def step(self, x: Any) -> Array:
        """Predictions after one step.

        Parameters
        ----------
        x : array_like of shape (B, I) or (I,)
            Input of each sequence.

        Returns
        -------
        ndarray of shape (B, out_features) or (out_features,)
        """
        return self._head.apply(self.stream.step(x), _threads.resolve(None))

    def block(self, x: Any) -> Array:
        """Predictions after each of many steps.

        Parameters
        ----------
        x : array_like of shape (T, B, I) or (T, I)
            Input of each sequence.

        Returns
        -------
        ndarray of shape (T, B, out_features) or (T, out_features)
        """
        return self._head.apply(self.stream.block(x), _threads.resolve(None))

    def __repr__(self) -> str:
        return f"ModelStream({self.model!r}, {self.stream!r})"
