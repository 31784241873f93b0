"""fleet[k]: an LSTM that shares the parameters, the options and the generator of a model of the fleet."""

import copy
import pickle

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast import _safetensors
from lstm_fast._parameters import changed_meanwhile
from lstm_fast.fleet.lstm import FleetLSTM


def fleet_of(n=3, **options):
    return lf.Fleet([lf.LSTM(2, 4, seed=k, **options) for k in range(n)])


def test_model_settings_match_the_fleet():
    fleet = fleet_of(num_layers=2, dropout=0.1, recurrent_dropout=0.2)
    for name in ("dropout", "recurrent_dropout"):
        with pytest.raises(AttributeError, match=f"{name} is an option of the whole fleet"):
            setattr(fleet[0], name, 0.5)
    assert fleet[0].dropout == 0.1
    alone = copy.copy(fleet[0])
    alone.dropout = 0.5
    assert alone.dropout == 0.5 and fleet[0].dropout == 0.1


def test_replaced_model_has_the_new_seed_and_generator():
    fleet = fleet_of(recurrent_dropout=0.3)
    member = fleet[1]
    fleet[1] = other = lf.LSTM(2, 4, seed=99, forget_bias=1.5, recurrent_dropout=0.3)
    assert member.seed == 99 and member.forget_bias == 1.5
    x = np.random.default_rng(0).standard_normal((5, 3, 2), np.float32)
    for one in (member, copy.copy(member), pickle.loads(pickle.dumps(member))):
        assert (one.flat_parameters == other.flat_parameters).all()
        assert one._rng.bit_generator.state == other._rng.bit_generator.state
    assert (member.forward(x)[0] == other.forward(x)[0]).all()  # the masks, too
    fleet.draw_new_masks()
    assert member._rng is fleet[1]._rng is not other._rng


def test_incompatible_model_message_mentions_the_fleet():
    with pytest.raises(ValueError, match="hidden_size of model must be 4, as in the models of the fleet, got 8"):
        fleet_of()[-1] = lf.LSTM(2, 8)


def test_fleet_model_retries_only_if_another_model_changed(monkeypatch):
    fleet = fleet_of()
    install, calls = lf.Fleet._install, []

    def other_error(self, flat, expected_version=None):
        calls.append(1)
        raise (changed_meanwhile() if len(calls) < 3 else RuntimeError("no memory to pack"))

    monkeypatch.setattr(lf.Fleet, "_install", other_error)
    with pytest.raises(RuntimeError, match="no memory to pack"):
        fleet[0].load_flat_parameters(np.zeros_like(fleet[0].flat_parameters))
    assert len(calls) == 3
    monkeypatch.setattr(lf.Fleet, "_install", install)
    fleet[0].load_flat_parameters(np.zeros_like(fleet[0].flat_parameters))
    assert not fleet.flat_parameters[0].any() and fleet.flat_parameters[1].any()
    assert FleetLSTM.saved_as is lf.LSTM


def test_number_instead_of_array_raises_format_error(tmp_path):
    path = tmp_path / "fleet.safetensors"
    fleet_of().save(path)
    file = _safetensors.read(path)
    arrays = {name: tensor.array(name) for name, tensor in file.tensors.items()}
    arrays["bias_ih_l0"] = np.float32(1).reshape(())
    _safetensors.write(path, arrays, file.config)
    with pytest.raises(lf.FormatError, match="does not hold a fleet"):
        lf.Fleet.load(path)
