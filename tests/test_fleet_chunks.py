"""Fleet.forward_backward: the gradients of forward and backward, whatever the chunks of models."""

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.fleet import calls

K = 35


@pytest.fixture(params=[1, 40_000, 1 << 30])
def chunk_bytes(request, monkeypatch):
    monkeypatch.setattr(calls, "CHUNK_BYTES", request.param)


def fleet_of(H=4, **options):
    return lf.Fleet([lf.LSTM(3, H, seed=k, **options) for k in range(K)])


def assert_same(one, other):
    assert one.flat.tobytes() == other.flat.tobytes()
    assert all(getattr(one, d).tobytes() == getattr(other, d).tobytes() for d in ("d_h_0", "d_c_0"))
    assert (one.d_x is None) == (other.d_x is None)
    assert one.d_x is None or one.d_x.tobytes() == other.d_x.tobytes()


@pytest.mark.parametrize("H", [4, 20])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("num_threads", [1, 2])
def test_gradients_match_forward_and_backward(chunk_bytes, H, batch_first, num_threads):
    fleet, rng = fleet_of(H, batch_first=batch_first), np.random.default_rng(0)
    for call in range(3):  # the second call and those after it use packed weights of the first
        x = rng.standard_normal((K, 6, 3, 3)).astype(np.float32)
        state = rng.standard_normal((2, K, 1, 6 if batch_first else 3, H)).astype(np.float32)
        lengths = rng.integers(0, 3, (K, 6 if batch_first else 3)) if call == 1 else None
        output, last, tape = fleet.forward(x, tuple(state), lengths=lengths)
        expected = fleet.backward(tape, 2 * output, (last[0], None), compute_d_x=call != 2)
        covered = []

        def gradient_of(models, own, own_last, output=output, last=last, covered=covered):
            covered.extend(range(K)[models])
            assert own.tobytes() == output[models].tobytes()
            assert [one.tobytes() for one in own_last] == [one[models].tobytes() for one in last]
            return 2 * own, (own_last[0], None)

        got = fleet.forward_backward(
            x, gradient_of, tuple(state), lengths=lengths, compute_d_x=call != 2, num_threads=num_threads
        )
        assert covered == list(range(K))
        assert_same(got, expected)
        with fleet.edit() as p:
            p["weight_hh_l0"][...] *= 0.9


def test_masks_match_forward(chunk_bytes):
    x = np.ones((K, 5, 2, 3), np.float32)
    one, other = fleet_of(recurrent_dropout=0.5, zoneout=0.2), fleet_of(recurrent_dropout=0.5, zoneout=0.2)
    for _ in range(2):
        output, _, tape = one.forward(x)
        assert_same(other.forward_backward(x, lambda models, own, state: own), one.backward(tape, output))


def test_unbatched_sequences_and_state_gradient_only(chunk_bytes):
    fleet, x = fleet_of(), np.random.default_rng(0).standard_normal((K, 5, 3), np.float32)
    _, (h_n, _), tape = fleet.forward(x)
    got = fleet.forward_backward(x, lambda models, output, state: (None, (state[0], None)))
    assert_same(got, fleet.backward(tape, None, (h_n, None)))
    assert got.d_x.shape == x.shape


def test_invalid_gradients_raise_and_change_nothing(chunk_bytes):
    fleet, x = fleet_of(), np.ones((K, 5, 2, 3), np.float32)
    before = fleet.flat_parameters.tobytes()
    with pytest.raises(ValueError, match="d_output must have shape of the output"):
        fleet.forward_backward(x, lambda models, output, state: output[:, :-1])
    with pytest.raises(TypeError, match=r"state must be a pair \(d_h_n, d_c_n\)"):
        fleet.forward_backward(x, lambda models, output, state: (output, state[0]))
    with pytest.raises(TypeError, match="gradient_of must be callable, got ndarray"):
        fleet.forward_backward(x, x)
    with pytest.raises(TypeError, match="training must be True or False"):
        fleet.forward_backward(x, lambda *_: None, training=1)
    assert fleet.flat_parameters.tobytes() == before
