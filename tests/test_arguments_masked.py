"""Masked and ragged arrays raise in every argument, because NumPy would silently drop the mask."""

import numpy as np
import pytest

import lstm_fast as lf
from optional import require

T, B, I, H, K = 5, 4, 2, 3, 2
X = np.random.default_rng(0).standard_normal((B, T, I)).astype(np.float32)


def lstm(seed=0):
    return lf.LSTM(I, H, batch_first=True, seed=seed)


def calls():
    """Yield (name of the argument, a valid value, a call with it)."""
    network, fleet = lstm(), lf.Fleet([lstm(k) for k in range(K)])
    last, steps = (lf.train.SequenceModel(network, 1, readout, seed=0) for readout in ("last", "all"))
    stream, streams = network.stream(B), fleet.stream(B)
    lengths, flags, rows = np.arange(1, B + 1), np.zeros((B, T), bool), np.zeros(B, bool)
    yield "x", X, network
    yield "lengths", lengths, lambda value: network(X, lengths=value)
    yield "lengths", lengths, lambda value: last.predict(X, value)
    yield "lengths", np.stack([lengths] * K), lambda value: fleet(np.stack([X] * K), lengths=value)
    yield "resets", flags, lambda value: network(X, resets=value)
    yield "resets", np.stack([flags] * K), lambda value: fleet(np.stack([X] * K), resets=value)
    yield "mask", flags, lambda value: steps.loss_and_grads(X, np.zeros((B, T)), mask=value)
    yield "mask", rows, stream.reset
    yield "mask", rows, stream.remove
    yield "mask", np.stack([rows] * K), streams.reset
    yield "y", np.zeros(B), lambda value: last.loss_and_grads(X, value)
    yield "sample_weight", np.ones(B), lambda value: last.loss_and_grads(X, np.zeros(B), sample_weight=value)


@pytest.mark.parametrize("name, good, call", [pytest.param(*one, id=f"{k}-{one[0]}") for k, one in enumerate(calls())])
def test_masked_and_ragged_arrays_raise(name, good, call):
    masked = np.ma.masked_array(good, mask=np.arange(good.size).reshape(good.shape) == 1)
    for wrong in (masked, np.ma.masked_array(good), list(masked) if good.ndim > 1 else masked):
        with pytest.raises(TypeError, match=f"^{name} must be a plain array, got a masked array"):
            call(wrong)
    with pytest.raises(ValueError, match=f"^{name} must be an array of .*inhomogeneous"):
        call([[True], [True, False]])
    call(good)


def test_masked_weights_raise():
    state = lstm().state_dict()
    state["weight_hh_l0"] = np.ma.masked_array(state["weight_hh_l0"], mask=True)
    with pytest.raises(TypeError, match="weight_hh_l0 must be a plain array, got a masked array"):
        lf.weights.load(state)


def test_forecasters_raise_on_masked_and_empty_series():
    require("sklearn")
    from lstm_fast.sklearn import LSTMForecaster

    y = np.sin(np.arange(40.0))
    masked, forecaster = np.ma.masked_array(y, mask=y > 0.5), LSTMForecaster(4, 2, 3, epochs=1, random_state=0)
    for name, arguments in (("y", (masked,)), (r"y\[1\]", ([y, masked],)), ("X", (y, masked))):
        with pytest.raises(TypeError, match=f"^{name} must be a plain array, got a masked array"):
            forecaster.fit(*arguments)
    for empty in (np.zeros(0), np.zeros((0, 2)), [y, np.zeros(0)]):
        with pytest.raises(ValueError, match=r"^y must have at least input_size \+ horizon = 6 steps, got 0"):
            forecaster.fit(empty)


def test_numpy_ma_that_another_thread_is_importing_is_ignored(monkeypatch):
    import sys
    from types import ModuleType

    monkeypatch.setitem(sys.modules, "numpy.ma", ModuleType("numpy.ma"))
    assert lf.LSTM(3, 4, seed=0)(np.ones((5, 2, 3)))[0].shape == (5, 2, 4)
