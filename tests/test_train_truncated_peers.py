"""fit(truncate=) compared with manual loops in PyTorch (detach) and Keras (stateful=True)."""

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import SGD, SequenceModel, fit
from optional import require

torch = require("torch")

rng = np.random.default_rng(0)
N, T, I, H, LR = 5, 19, 3, 4, 0.3
X, Y = rng.standard_normal((N, T, I)), rng.standard_normal((N, T, 1))


def test_parameters_match_a_loop_with_detach():
    """Rows of a batch process series of different lengths one after the other; in PyTorch each is a separate loop."""
    lengths, truncate, burn_in, n_rows = [19, 8, 13, 2, 16], 5, 2, 2
    model = SequenceModel(lf.LSTM(I, H, 2, batch_first=True, dtype=np.float64, seed=0), 1, "all", seed=0)
    lstm, head = torch.nn.LSTM(I, H, 2, batch_first=True).double(), torch.nn.Linear(H, 1).double()
    parts = {"lstm": lstm, "head": head}
    with torch.no_grad():
        for name, value in model.state_dict().items():
            part, _, of_part = name.partition(".")
            getattr(parts[part], of_part)[...] = torch.from_numpy(value)
    parameters = [*lstm.parameters(), *head.parameters()]
    optimizer = torch.optim.SGD(parameters, LR)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    fit(
        model,
        X,
        Y,
        lengths=lengths,
        truncate=truncate,
        burn_in=burn_in,
        batch_size=n_rows,
        optimizer=SGD(LR),
        epochs=2,
        shuffle=False,
    )
    for _ in range(2):
        queue, rows = [k for k in range(N) if lengths[k] > burn_in], [None] * n_rows
        while queue or any(rows):
            losses, after = [], list(rows)
            for k, row in enumerate(rows):
                if row is None and queue:
                    series = queue.pop(0)
                    with torch.no_grad():
                        row = series, burn_in, lstm(x[series, None, :burn_in])[1]
                if row is None:
                    continue
                series, begin, state = row
                end = min(begin + truncate, lengths[series])
                output, state = lstm(x[series, None, begin:end], tuple(one.detach() for one in state))
                losses.append((head(output) - y[series, None, begin:end]) ** 2)
                after[k] = None if end == lengths[series] else (series, end, state)
            optimizer.zero_grad()
            torch.cat([one.flatten() for one in losses]).mean().backward()
            optimizer.step()
            rows = after
    for name, value in model.state_dict().items():
        part, _, of_part = name.partition(".")
        np.testing.assert_allclose(value, getattr(parts[part], of_part).detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_parameters_match_a_stateful_keras_layer():
    keras = require("keras")
    truncate = 6

    class LSTM(keras.layers.LSTM):
        def call(self, sequences, initial_state=None, mask=None, training=False):
            # A copy: with PyTorch, Keras writes the new state over the one that the gradient still needs.
            state = [torch.clone(one.value) for one in self.states]
            return super().call(sequences, state, mask, training)

    layer = LSTM(
        H, return_sequences=True, stateful=True, use_bias=False
    )  # PyTorch has two biases, whose sum learns twice as fast
    inputs = keras.Input(batch_shape=(N, None, I))
    twin = keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))
    twin.compile(keras.optimizers.SGD(LR), "mse")
    model = SequenceModel(lf.keras.from_layer(layer), 1, "all", seed=0)
    with model.edit() as p:
        p["head.weight"], p["head.bias"] = (np.asarray(one).T for one in twin.layers[-1].get_weights())
    options = dict(truncate=truncate, batch_size=N, optimizer=SGD(LR), epochs=2, shuffle=False)
    history = fit(model, X, Y, **options)
    for epoch in range(2):
        losses = []
        layer.reset_states()
        for begin in range(0, T, truncate):
            part = slice(begin, begin + truncate)
            losses.append(twin.train_on_batch(X[:, part], Y[:, part]) * len(X[0, part]))
        np.testing.assert_allclose(history.loss[epoch], sum(losses) / T, rtol=1e-5)
    p = model.state_dict()
    np.testing.assert_allclose(p["lstm.weight_hh_l0"], layer.get_weights()[1].T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(p["head.weight"], twin.layers[-1].get_weights()[0].T, rtol=1e-4, atol=1e-6)
