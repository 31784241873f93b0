"""Fleets of networks with index_input: bitwise the models alone, in calls, streams and training."""

import numpy as np
import pytest

import lstm_fast as lf
from fleet_cases import same

K, N_SYMBOLS = 19, 7


def fleet_of(**options):
    return lf.Fleet([lf.LSTM(N_SYMBOLS, 5, index_input=True, seed=k, **options) for k in range(K)])


@pytest.mark.parametrize(
    "options", [{}, {"batch_first": True, "bidirectional": True}, {"num_layers": 2, "dropout": 0.3}]
)
@pytest.mark.parametrize("has_lengths", [False, True])
def test_calls(options, has_lengths):
    fleet, rng = fleet_of(**options), np.random.default_rng(0)
    alone = [lf.LSTM(N_SYMBOLS, 5, index_input=True, seed=k, **options) for k in range(K)]
    B, T = 3, 6
    x = rng.integers(N_SYMBOLS, size=(K, B, T) if options.get("batch_first") else (K, T, B))
    lengths = rng.integers(0, T + 1, (K, B)) if has_lengths else None
    for _ in range(2):
        output, _, tape = fleet.forward(x, lengths=lengths)
        d = fleet.backward(tape, output)
        assert d.d_x is None and fleet.index_input
        for k, model in enumerate(alone):
            own, _, own_tape = model.forward(x[k], lengths=None if lengths is None else lengths[k])
            assert same(output[k], own) and same(d.flat[k], model.backward(own_tape, own).flat), k
            assert same(
                fleet(x, lengths=lengths)[0][k], model(x[k], lengths=None if lengths is None else lengths[k])[0]
            )
    fused = fleet_of(**options)
    for _ in range(2):
        got = fused.forward_backward(x, lambda models, output, state: output, lengths=lengths)
    assert same(got.flat, d.flat)


def test_streams_and_unbatched_sequences():
    fleet, x = fleet_of(), np.random.default_rng(0).integers(N_SYMBOLS, size=(K, 6))
    expected = fleet(x)[0]
    stream = fleet.stream()
    assert same(stream.step(x[:, 0]), expected[:, 0]) and same(stream.block(x[:, 1:]), expected[:, 1:])
    assert same(fleet.stream(2).block(np.stack([x, x], 2))[:, :, 1], expected)
    assert same(fleet[3](x[3])[0], expected[3])
    with pytest.raises(ValueError, match=r"x must have shape \(K, B\) or \(K\) with K, B = 19, 1, got \(3,\)"):
        stream.step(x[:3, 0])
    with pytest.raises(ValueError, match="x must hold symbols from 0 to 6, got 7"):
        stream.step(np.full(K, 7))


def test_training():
    x, rng = np.random.default_rng(0).integers(N_SYMBOLS, size=(K, 10, 6)), np.random.default_rng(1)
    y = rng.standard_normal((K, 10, 1))
    model = lf.train.FleetModel(fleet_of(batch_first=True), 1, seed=0)
    options = dict(epochs=2, batch_size=4, seed=0)
    histories = lf.train.fit(model, x, y, validation=0.3, early_stopping=1, **options)
    for k in range(K):
        lstm = lf.LSTM(N_SYMBOLS, 5, index_input=True, seed=k, batch_first=True)
        one = lf.train.SequenceModel(lstm, 1, seed=0)
        history = lf.train.fit(one, x[k], y[k], validation=0.3, early_stopping=1, **options)
        assert history.fingerprint == histories[k].fingerprint
        assert same(model.predict(x)[k], one.predict(x[k]))


def test_invalid_symbols_raise():
    fleet, x = fleet_of(), np.zeros((K, 4, 2), int)
    x[5, 3, 1] = 9
    with pytest.raises(
        ValueError, match=r"model 5: x must hold symbols from 0 to input_size - 1 = 6, got 9 at \[3, 1\]"
    ):
        fleet(x)
    lengths = np.full((K, 2), 3)
    assert fleet(x, lengths=lengths)[0].shape == (K, 4, 2, 5)  # padding may hold any integers
    with pytest.raises(TypeError, match="x must hold integers with index_input"):
        fleet(x.astype(float))
    with pytest.raises(ValueError, match=r"x must have shape \(K, T, B\) or, unbatched, \(K, T\)"):
        fleet(x[..., None])
    _, _, tape = fleet.forward(np.zeros((K, 4, 2), int))
    with pytest.raises(ValueError, match="compute_d_x must be None or False with index_input"):
        fleet.backward(tape, None, compute_d_x=True)
