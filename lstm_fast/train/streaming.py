"""Live sequences through a whole model, one step or one block at a time."""

from .. import _core, _threads


class ModelStream:
    """What SequenceModel.stream() makes: the predictions after each step of live sequences.

    stream : the network's Stream, with state, reset, add, remove, snapshot, restore. Predictions have the bits of predict.
    """

    def __init__(self, model, batch_size):
        if model.readout == "mean":
            raise ValueError('a stream needs readout "last" or "all", got "mean", which is known at the end alone')
        self.model, self.stream = model, model.lstm.stream(batch_size)
        self.refresh()

    def refresh(self):
        """Takes the model's parameters as they are now."""
        self.stream.refresh()
        self._head = self.model.head

    def step(self, x):
        """x (I,) or (B, I): predictions (out_features,) or (B, out_features)."""
        return self._predict(self.stream.step(x))

    def block(self, x):
        """x (T, I) or (T, B, I): predictions after each step, (T, out_features) or (T, B, out_features)."""
        return self._predict(self.stream.block(x))

    def _predict(self, h):
        rows = _core.linear(self._head.weight, self._head.bias, h.reshape(-1, h.shape[-1]), _threads.resolve(None))
        return rows.reshape(*h.shape[:-1], self.model.out_features)

    def __repr__(self):
        return f"ModelStream({self.model!r}, {self.stream!r})"
