"""Fleets: parameters, models, files and streams."""

import copy
import pickle
import sys

import numpy as np
import pytest

import lstm_fast as lf
from fleet_cases import models_of, same
from scripts import run

# ---- parameters --------------------------------------------------------------------------------------------------


def test_member_is_a_view_of_the_fleet():
    models = [lf.LSTM(3, 5, seed=k) for k in range(3)]
    fleet, x = lf.Fleet(models), np.ones((4, 2, 3), np.float32)
    member, again = fleet[1], fleet[-2]
    assert isinstance(member, lf.LSTM) and repr(member) == "LSTM(3, 5)" and len(fleet) == 3
    with member.edit() as p:
        p["bias_ih_l0"][:] = 7
    assert (fleet.parameters()["bias_ih_l0"] == 7).all(axis=1).tolist() == [False, True, False]
    assert same(again(x)[0], member(x)[0]) and same(fleet(np.stack([x] * 3))[0][1], member(x)[0])
    with fleet.edit() as p:
        p["bias_ih_l0"][:] = 0
    assert not member.parameters()["bias_ih_l0"].any() and again.flat_parameters.any()
    before = member.parameter_version
    fleet[0].load_state_dict(models[2].state_dict())
    assert member.parameter_version[0] is before[0]  # another row was changed
    with pytest.raises(RuntimeError, match="edit"), member.edit():
        fleet[1] = models[2]
    assert same(fleet[1](x)[0], models[2](x)[0])
    for own in (copy.copy(member), copy.deepcopy(member), pickle.loads(pickle.dumps(member))):
        assert type(own) is lf.LSTM
        own.load_flat_parameters(np.zeros_like(own.flat_parameters))
    assert fleet[1].flat_parameters.any()


def test_members_can_be_saved_and_trained(tmp_path):
    fleet = lf.Fleet([lf.LSTM(3, 5, seed=k) for k in range(3)])
    lf.weights.save(fleet[2], tmp_path / "one.safetensors")
    assert lf.fingerprint(lf.weights.load(tmp_path / "one.safetensors")) == lf.fingerprint(fleet[2])
    model = lf.train.SequenceModel(fleet[0], 1, seed=0)
    x = np.ones((4, 8, 3))
    lf.train.fit(model, x, np.zeros(8), epochs=1, seed=0)
    assert same(fleet.flat_parameters[0], model.lstm.flat_parameters)
    assert type(type(fleet[0])(**fleet[0].config())) is lf.LSTM
    assert repr(fleet[0].stream()).startswith("<Stream") and fleet[0].quantized("int8").hidden_size == 5


def test_stacked_parameters(tmp_path):
    models = [lf.LSTM(3, 5, 2, seed=k, peepholes=True, cell_clip=2.0) for k in range(4)]
    fleet = lf.Fleet(models)
    for name, stacked in fleet.parameters().items():
        assert same(stacked, np.stack([model.parameters()[name] for model in models])) and not stacked.flags.writeable
    assert same(fleet.flat_parameters, np.stack([model.flat_parameters for model in models]))
    assert fleet.parameter_shapes["bias_hh_l1"] == (4, 20) and fleet.cell_clip == 2.0 and fleet.config()["peepholes"]
    other = lf.Fleet(models[::-1])
    other.load_state_dict(fleet.state_dict())
    fleet.save(tmp_path / "fleet.safetensors")
    loaded = lf.Fleet.load(tmp_path / "fleet.safetensors")
    for same_one in (
        other,
        loaded,
        pickle.loads(pickle.dumps(fleet)),
        copy.copy(fleet),
        copy.deepcopy(fleet),
        fleet[:],
    ):
        assert lf.fingerprint(same_one) == lf.fingerprint(fleet) and repr(same_one) == repr(fleet)
    assert lf.fingerprint(fleet[1:3][0]) == lf.fingerprint(fleet[1])
    with pytest.raises(ValueError, match="flat_parameters"):
        fleet.load_flat_parameters(fleet.flat_parameters[0])
    assert len(fleet.unflatten(np.zeros_like(fleet.flat_parameters))["weight_ih_l1"]) == 4


def test_damaged_files(tmp_path):
    lf.weights.save(lf.LSTM(3, 5), tmp_path / "one.safetensors")
    with pytest.raises(lf.FormatError, match="must be a file that Fleet.save wrote"):
        lf.Fleet.load(tmp_path / "one.safetensors")
    fleet = lf.Fleet([lf.LSTM(3, 5, seed=k) for k in range(2)])
    config = {"file": "fleet", "network": {"input_size": 3, "hidden_size": 6}}
    lf._safetensors.write(tmp_path / "bad.safetensors", fleet.state_dict(), config)
    with pytest.raises(lf.FormatError, match="hidden_size must be 5"):
        lf.Fleet.load(tmp_path / "bad.safetensors")
    fewer = fleet.state_dict() | {"bias_hh_l0": np.zeros((3, 20), np.float32)}
    lf._safetensors.write(tmp_path / "bad.safetensors", fewer, config)
    with pytest.raises(lf.FormatError, match="one number of models"):
        lf.Fleet.load(tmp_path / "bad.safetensors")


# ---- streams -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"learn_initial_state": True, "num_layers": 2}, {"proj_size": 2}])
def test_streams(options):
    models = [lf.LSTM(3, 5, seed=k, **options) for k in range(3)]
    if "learn_initial_state" in options:
        models = models_of(3, 3, 5, {"learned"}, num_layers=2, dtype=np.float32)
    fleet, B = lf.Fleet(models), 2
    x = np.random.default_rng(0).standard_normal((3, 9, B, 3)).astype(np.float32)
    stream, each = fleet.stream(B), [model.stream(B) for model in models]
    mask = np.array([[True, False], [False, False], [True, True]])
    for t in range(3):
        h = stream.step(x[:, t])
        assert all(same(h[k], one.step(x[k, t])) for k, one in enumerate(each))
    stream.reset(mask)
    for k, one in enumerate(each):
        one.reset(mask[k])
    snapshot = stream.snapshot()
    y = stream.block(x[:, 3:7])
    assert all(same(y[k], one.block(x[k, 3:7])) for k, one in enumerate(each))
    pickled = pickle.loads(pickle.dumps(stream))
    with fleet.edit() as p:
        p["bias_ih_l0"][:] += 1
    assert same(stream.step(x[:, 7]), pickled.step(x[:, 7]))
    stream.restore(snapshot)
    assert same(stream.block(x[:, 3:7]), y)
    stream.refresh()
    assert not same(stream.step(x[:, 7]), pickled.step(x[:, 7]))


def test_pickled_stream_has_parameters_and_states_of_the_same_moment():
    fleet = lf.Fleet([lf.LSTM(3, 5, seed=k) for k in range(2)])
    stream, x = fleet.stream(), np.ones((2, 3), np.float32)
    other = lf.Fleet([lf.LSTM(3, 5, seed=k) for k in (7, 8)]).stream()
    other.step(x)

    class LateLock:
        """Another thread has changed the stream just before this one acquires the lock."""

        def __enter__(self):
            stream._version, stream._h, stream._c = other._version, other._h, other._c

        def __exit__(self, *error):
            pass

    stream._lock = LateLock()
    _, (_, _, flat, snapshot) = stream.__reduce__()
    assert same(flat, other._version.flat) and same(snapshot.h, other._h)


@pytest.mark.skipif(sys.platform == "win32", reason="no signal.setitimer")
def test_use_in_a_signal_handler_of_the_interrupted_stream_raises():
    run("""
fleet = lf.Fleet([lf.LSTM(8, 64, seed=k) for k in range(16)])
stream, x, errors = fleet.stream(16), np.ones((16, 100, 16, 8), np.float32), []
want = fleet.stream(16).block(x)
def handler(*_):
    for use in (lambda: stream.state, lambda: stream.step(x[:, 0]), stream.reset, stream.snapshot):
        try:
            use()
        except RuntimeError as error:
            errors.append(str(error))
signal.signal(signal.SIGALRM, handler)
while not errors:  # until a call itself is interrupted
    stream.reset()
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    got = stream.block(x)
    signal.setitimer(signal.ITIMER_REAL, 0)
assert len(errors) == 4 and "signal handler" in errors[0], errors
assert (got == want).all()
""")
