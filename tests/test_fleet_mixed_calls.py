"""Fleets with varying calls, and models put into a fleet: each matches the model alone bitwise."""

import copy

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.modules.reverse import ReverseLSTM

K = 35  # two vectors of models, and three that run alone


def assert_alone(fleet, x, **options):
    output, (h_n, c_n), tape = fleet.forward(x, **options)
    gradients = fleet.backward(tape, output)
    each = {name: value for name, value in options.items() if name in ("lengths", "resets")}
    shared = {name: value for name, value in options.items() if name not in each}
    for k, lstm in enumerate(fleet):
        own, last, tape = lstm.forward(x[k], **{name: value[k] for name, value in each.items()}, **shared)
        assert own.tobytes() == output[k].tobytes(), k
        assert [last[0].tobytes(), last[1].tobytes()] == [h_n[k].tobytes(), c_n[k].tobytes()]
        assert lstm.backward(tape, own).flat.tobytes() == gradients.flat[k].tobytes(), k


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_models_run_separately_after_calls_in_lanes(dtype):
    rng = np.random.default_rng(0)
    fleet = lf.Fleet([lf.LSTM(3, 4, seed=k, dtype=dtype) for k in range(K)])
    x = rng.standard_normal((K, 6, 2, 3)).astype(dtype)
    for _ in range(3):
        assert_alone(fleet, x)
    assert_alone(fleet, x, lengths=np.tile([6, 3], (K, 1)))
    assert_alone(fleet, x, resets=rng.random((K, 6, 2)) < 0.3)
    assert_alone(fleet, x, recompute_gates=True)
    assert_alone(fleet, rng.standard_normal((K, 6, 40, 3)).astype(dtype))
    stream = fleet.stream()
    steps = [stream.step(x[:, t, 0]).copy() for t in range(4)]
    assert all(steps[3][k].tobytes() == fleet[k](x[k, :4, 0])[0][3].tobytes() for k in range(K))


def test_replacement_keeps_its_generator_seed_and_initial_weights():
    fleet = lf.Fleet([lf.LSTM(3, 4, seed=k, recurrent_dropout=0.5, forget_bias=float(k)) for k in range(3)])
    assert [one.forget_bias for one in fleet] == [0.0, 1.0, 2.0]
    new = lf.LSTM(3, 4, seed=9, recurrent_dropout=0.5, forget_bias=7.0)
    x = np.ones((3, 5, 2, 3), np.float32)
    alone = copy.copy(new).forward(x[1])[0]
    fleet[1] = new
    assert (fleet[1].seed, fleet[1].forget_bias) == (9, 7.0)
    assert fleet.forward(x)[0][1].tobytes() == alone.tobytes()
    with pytest.raises(TypeError):
        fleet[0:1] = new


def test_loaded_models_draw_independent_masks(tmp_path):
    same = lf.LSTM(3, 4, seed=0, recurrent_dropout=0.5)
    lf.Fleet([same, same]).save(tmp_path / "fleet.safetensors")
    output, *_ = lf.Fleet.load(tmp_path / "fleet.safetensors").forward(np.ones((2, 9, 2, 3), np.float32))
    assert output[0].tobytes() != output[1].tobytes()


def test_subclasses_that_override_computation_raise():
    fleet = lf.Fleet([lf.LSTM(3, 4, seed=0)])
    reverse = ReverseLSTM(3, 4, seed=0)
    with pytest.raises(TypeError, match=r"models\[0\] must be an LSTM, got ReverseLSTM"):
        lf.Fleet([reverse])
    with pytest.raises(TypeError, match="model must be an LSTM, got ReverseLSTM"):
        fleet[0] = reverse
    with pytest.raises(TypeError, match="models must be a sequence of LSTMs, got LSTM"):
        lf.Fleet(lf.LSTM(3, 4))
    with pytest.raises(TypeError, match="got Fleet: FleetModel"):
        lf.train.fit(fleet, np.zeros((1, 2, 3, 3)), np.zeros((1, 2, 1)))
    with pytest.raises(ValueError, match="got 9223372036854775808"):
        fleet(np.zeros((1, 5, 2, 3)), lengths=np.array([[1, 2**63]], np.uint64))
