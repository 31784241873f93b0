"""SequenceModel: an LSTM or RNN and a linear head that reads it out."""

from collections.abc import Mapping

import numpy as np

from .. import _architecture, _arguments, _core, _safetensors, _threads
from .._errors import network_type
from .._parameters import Named, views
from .._recurrent import Recurrent
from ..modules import LSTM, RNN
from .data import Sequences
from .losses import Loss

READOUTS = ("last", "all", "mean")


class Head:
    """y = h W^T + b: weight (out_features, D * R), bias (out_features)."""

    def __init__(self, flat, n_inputs, n_outputs):
        flat.flags.writeable = False
        self.flat = flat
        self.weight, self.bias = flat[: n_inputs * n_outputs].reshape(n_outputs, n_inputs), flat[n_inputs * n_outputs :]

    def __repr__(self):
        return f"Head({self.weight.shape[1]}, {self.weight.shape[0]})"


class ModelGradients(Named):
    """Gradients by the names of state_dict(); flat: one contiguous buffer in the layout of flat_parameters."""


class SequenceModel:
    """A network over sequences and a linear head.

    Parameters
    ----------
    lstm : LSTM or RNN; it becomes the model's and changes as that is trained
    out_features : int
    readout : what the head sees
        "last": h of the last layer after the last step of each sequence, of both directions (the state h_n);
        "mean": the mean of the outputs over the steps of each sequence;
        "all": every output.
    seed : of the head's first parameters, uniform in +-1 / sqrt(D * R) as in PyTorch; None: drawn by chance

    Sequences come as an array in the layout of the LSTM, (B, T, I) with batch_first, else (T, B, I), or as a list of (T, I)
    arrays of any lengths. Predictions have the shape (B, out_features), or for "all" the layout of x (a list: padded).
    """

    def __init__(self, lstm, out_features, readout="last", *, seed=None):
        if not isinstance(lstm, Recurrent) or not hasattr(lstm, "forward") or lstm._suffixes() == [""]:
            raise TypeError(f"lstm must be an LSTM or RNN, got {network_type(lstm)}")
        if readout not in READOUTS:
            raise ValueError(f"readout must be one of {', '.join(READOUTS)}, got {readout!r}")
        self.lstm, self.readout = lstm, readout
        self.out_features = _arguments.positive_integer("out_features", out_features)
        n_inputs = lstm._n_directions * lstm.h_size
        bound = n_inputs**-0.5
        flat = np.random.default_rng(seed).uniform(-bound, bound, (n_inputs + 1) * self.out_features).astype(lstm.dtype)
        self.head = Head(flat, n_inputs, self.out_features)
        n, n_weight = len(lstm.flat_parameters), self.head.weight.size
        self._places = [("lstm." + name, place, shape) for name, place, shape in lstm._places] + [
            ("head.weight", slice(n, n + n_weight), self.head.weight.shape),
            ("head.bias", slice(n + n_weight, None), self.head.bias.shape),
        ]

    # ---- parameters ----

    @property
    def flat_parameters(self):
        """A copy of all parameters in one array: those of the network, the head's weight, its bias."""
        return np.concatenate([self.lstm.flat_parameters, self.head.flat])

    def _views(self, flat):
        return views(flat, self._places)

    def _install(self, flat):
        """Takes a flat array of parameters, which must not be written to afterwards."""
        n, (O, n_inputs) = len(self.lstm.flat_parameters), self.head.weight.shape
        self.lstm._install(flat[:n])
        self.head = Head(flat[n:], n_inputs, O)

    def state_dict(self):
        """Copies of all parameters: lstm.<PyTorch's name>, head.weight, head.bias."""
        return {name: view.copy() for name, view in self._views(self.flat_parameters).items()}

    def load_state_dict(self, state_dict):
        """Takes arrays under the names of state_dict(). All names and shapes must fit, or nothing changes."""
        flat = self.flat_parameters
        named = self._views(flat)
        if not isinstance(state_dict, Mapping) or set(state_dict) != set(named):
            raise ValueError(f"state_dict must have the keys {', '.join(named)}")
        for name, view in named.items():
            view[...] = _arguments.shaped(
                name, _arguments.real_array(name, state_dict[name], view.dtype), view.shape, "of the parameter"
            )
        self._install(flat)

    # ---- calls ----

    def predict(self, x, lengths=None, *, batch_size=256, num_threads=None):
        """Predictions, in batches of so many sequences. lengths as in LSTM; a list of arrays has its own."""
        data = Sequences(self.lstm, x, lengths)
        batch_size = _arguments.positive_integer("batch_size", batch_size)
        parts = [
            self._forward(*data.batch(np.arange(begin, min(begin + batch_size, data.n))), num_threads)
            for begin in range(0, data.n, batch_size)
        ]
        if not parts:
            return np.empty((0, self.out_features), self.lstm.dtype)
        if self.readout != "all":
            return np.concatenate(parts)
        whole = np.zeros((data.n, data.T, self.out_features), self.lstm.dtype)
        for k, part in enumerate(parts):
            whole[k * batch_size : k * batch_size + part.shape[1], : part.shape[0]] = part.swapaxes(0, 1)
        return whole if self.lstm.batch_first or data.is_list else whole.swapaxes(0, 1)

    def stream(self, batch_size=1):
        """Predictions for live sequences, one step or block at a time: see streaming.ModelStream."""
        from .streaming import ModelStream

        return ModelStream(self, _arguments.positive_integer("batch_size", batch_size))

    def _forward(self, x, lengths, num_threads):
        """x (T, B, I) as the core takes it: (B, O), or (T, B, O) for "all"."""
        output, state = self.lstm(self._turned(x), lengths=lengths, num_threads=num_threads)
        seen = self._read_out(self._turned(output), state, lengths)
        y = _core.linear(
            self.head.weight, self.head.bias, seen.reshape(-1, seen.shape[-1]), _threads.resolve(num_threads)
        )
        return y.reshape(*seen.shape[:-1], self.out_features)

    def _turned(self, sequence):
        return sequence.swapaxes(0, 1) if self.lstm.batch_first else sequence

    def _read_out(self, output, state, lengths):
        """What the head sees of output (T, B, W): (B, W), or all of it."""
        if self.readout == "all":
            return np.ascontiguousarray(output)
        if self.readout == "last":
            h_n, D = state[0] if self.lstm._has_c else state, self.lstm._n_directions
            return np.ascontiguousarray(h_n[-D:].swapaxes(0, 1)).reshape(len(h_n[0]), -1)
        return output.sum(axis=0) / self._counts(output, lengths)  # zero in the padding

    def _counts(self, output, lengths):
        T, B = output.shape[:2]
        return np.maximum(1, np.full(B, T) if lengths is None else lengths).astype(output.dtype)[:, None]

    def loss_and_grads(
        self, x, y, *, lengths=None, loss="mse", sample_weight=None, mask=None, training=True, num_threads=None
    ):
        """(loss, ModelGradients) of one batch.

        y : (B, out_features), or (B,) if that is 1; for "all" with an axis of steps, in the layout of x; for cross_entropy the
            indices of classes, without the axis of outputs; for ("quantile", levels) one target for each len(levels) outputs
        loss : "mse", "mae", "huber" or ("huber", delta), "quantile" or ("quantile", levels), "cross_entropy", "bce" (on logits)
        sample_weight : (B,), not negative; mask : bool, for "all": which steps count, in the layout of x. Padding never does.
        """
        data = Sequences(self.lstm, x, lengths)
        data.read_targets(self, Loss(loss), y, sample_weight, mask)
        return self._loss_and_grads(data, np.arange(data.n), training, num_threads)

    def _loss_and_grads(self, data, rows, training=True, num_threads=None):
        (x, lengths), (y, weights) = data.batch(rows), data.targets(rows)
        output, state, tape = self.lstm.forward(
            self._turned(x), lengths=lengths, training=training, num_threads=num_threads
        )
        output, n_threads = self._turned(output), _threads.resolve(num_threads)
        seen = self._read_out(output, state, lengths)
        rows_seen = seen.reshape(-1, seen.shape[-1])
        p = _core.linear(self.head.weight, self.head.bias, rows_seen, n_threads)
        loss, d_p = data.loss(p, y, weights)
        d_seen, d_weight, d_bias = _core.linear_backward(self.head.weight, rows_seen, d_p.astype(seen.dtype), n_threads)
        d_seen = d_seen.reshape(seen.shape)
        d_output, d_state = None, None
        if self.readout == "all":
            d_output = self._turned(d_seen)
        elif self.readout == "mean":
            d_output = self._turned(np.broadcast_to(d_seen / self._counts(output, lengths), output.shape))
        else:
            D = self.lstm._n_directions
            d_h_n = np.zeros((self.lstm.num_layers * D, *d_seen.shape[:1], self.lstm.h_size), seen.dtype)
            d_h_n[-D:] = d_seen.reshape(len(d_seen), D, -1).swapaxes(0, 1)
            d_state = (d_h_n, None) if self.lstm._has_c else d_h_n
        gradients = self.lstm.backward(tape, d_output, d_state, wants_x=False, num_threads=num_threads)
        flat = np.concatenate([gradients.flat, d_weight.ravel(), d_bias])
        return loss, ModelGradients(flat, self._places)

    # ---- files ----

    def save(self, path):
        """Writes a safetensors file: parameters under the names of state_dict(), what the model is in the metadata."""
        _safetensors.write(path, self.state_dict(), {"file": "model", "model": self.description()})

    def description(self):
        """What the model is made of, without its parameters, as a dict for JSON."""
        _architecture.check_type("model.lstm", self.lstm, (LSTM, RNN))
        return {
            "kind": type(self.lstm).__name__,
            "dtype": self.lstm.dtype.name,
            "out_features": self.out_features,
            "readout": self.readout,
            "network": _architecture.options(self.lstm),
        }

    def __repr__(self):
        return f"SequenceModel({self.lstm!r}, {self.out_features}, readout={self.readout!r})"
