"""Another thread replaces the parameters of a SequenceModel: every call uses a matching network and head."""

import copy
import itertools
import pickle
import sys
import threading

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import FleetModel, SequenceModel
from optional import needs
from training_cases import model, sums

X = np.random.default_rng(0).standard_normal((40, 9, 2)).astype(np.float32)


def saved(m, path):
    m.save(path)
    return lf.train.load(path).flat_parameters


CALLS = {
    "predict": lambda m, path: m.predict(X, batch_size=4),
    "predict, all": lambda m, path: m.predict(X, batch_size=4),
    "loss": lambda m, path: m.loss_and_grads(*sums())[1].flat,
    "flat_parameters": lambda m, path: m.flat_parameters,
    "state_dict": lambda m, path: np.concatenate([one.ravel() for one in m.state_dict().values()]),
    "copy": lambda m, path: copy.deepcopy(m).flat_parameters,
    "pickle": lambda m, path: pickle.loads(pickle.dumps(m)).flat_parameters,
    "stream": lambda m, path: m.stream(40).block(X.swapaxes(0, 1)),
    "quantized": lambda m, path: m.quantized("float16").predict(X),
    "save": saved,
}


@pytest.fixture
def switching():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def same_after(call, m, folder):
    """A call while another thread replaces the parameters uses either the old ones or the new ones."""
    sets, wants = [m.flat_parameters, -m.flat_parameters], []
    for flat in sets:
        m.load_flat_parameters(flat)
        wants.append(call(m, folder / "model").tobytes())
    stop = threading.Event()

    def replace():
        for flat in itertools.cycle(sets):
            m.load_flat_parameters(flat)
            if stop.is_set():
                break

    other = threading.Thread(target=replace)
    other.start()
    try:
        results = {call(m, folder / "model").tobytes() for _ in range(60)}
    finally:
        stop.set()
        other.join()
    assert results <= set(wants)


@pytest.mark.parametrize("of_fleet", [False, True])
@pytest.mark.parametrize("what", [pytest.param(what, marks=needs("safetensors")) if what == "save" else what
                                  for what in CALLS])  # fmt: skip
def test_calls_have_the_parameters_of_one_moment(what, of_fleet, tmp_path, switching):
    call, m = CALLS[what], model(readout="all" if "all" in what else "last")
    if of_fleet:
        m = SequenceModel(lf.Fleet([m.lstm, m.lstm])[0], 1, m.readout, seed=0)
    same_after(call, m, tmp_path)


def test_threads_that_load_parameters_leave_those_of_one_of_them(switching):
    m = model()
    sets = [k * np.ones_like(m.flat_parameters) for k in range(4)]

    def load(flat):
        for _ in range(50):
            m.load_flat_parameters(flat)

    for _ in range(5):
        others = [threading.Thread(target=load, args=(flat,)) for flat in sets]
        for other in others:
            other.start()
        for other in others:
            other.join()
        assert len(set(m.flat_parameters.tolist())) == 1


def test_failed_loads_keep_network_and_head(monkeypatch):
    m = model()
    before = m.flat_parameters

    def fail(*_, **__):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(type(m.lstm), "_pack", fail)
        with pytest.raises(MemoryError):
            m.load_flat_parameters(0 * before)
    assert np.array_equal(m.flat_parameters, before) and m.head.bias[0] == before[-1]
    m.lstm.load_flat_parameters(m.lstm.flat_parameters * 2)
    assert np.array_equal(m.flat_parameters[-9:], before[-9:])
    version = m.parameter_version
    m.load_flat_parameters(before)
    with pytest.raises(RuntimeError, match="changed during this edit"):
        m.load_flat_parameters(0 * before, expected_version=version)
    assert np.array_equal(m.flat_parameters, before)


@pytest.mark.parametrize("what", ["predict", "flat_parameters", "copy", "pickle", "save", "entry"])
def test_fleets_have_the_parameters_of_one_moment(what, tmp_path, switching):
    m = FleetModel(lf.Fleet([lf.LSTM(2, 8, batch_first=True, seed=k) for k in range(3)]), 1, seed=0)
    calls = CALLS | {"predict": lambda m, _: m.predict(np.stack([X] * 3)), "entry": lambda m, _: m[1].flat_parameters}
    same_after(calls[what], m, tmp_path)


def test_entries_of_a_fleet_are_replaced_with_their_head():
    m = FleetModel(lf.Fleet([lf.LSTM(2, 8, batch_first=True, seed=k) for k in range(3)]), 1, seed=0)
    m[1] = other = model(seed=7)
    assert np.array_equal(m.flat_parameters[1], other.flat_parameters)
    m.fleet[0].load_flat_parameters(other.lstm.flat_parameters)
    assert np.array_equal(m.flat_parameters[0, :-9], other.flat_parameters[:-9])
    copied = copy.deepcopy(m)
    copied.load_flat_parameters(0 * m.flat_parameters)
    assert m.flat_parameters.any() and not copied.fleet.flat_parameters.any()
