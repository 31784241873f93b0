"""fingerprint: equal if and only if names, shapes, dtypes and bits of the parameters are; its definition."""

import hashlib
import pickle

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import SequenceModel
from optional import needs

MODELS = {
    "LSTM": lambda seed: lf.LSTM(2, 3, 2, bidirectional=True, seed=seed),
    "RNN": lambda seed: lf.RNN(2, 3, seed=seed),
    "LSTMCell": lambda seed: lf.LSTMCell(2, 3, seed=seed),
    "SequenceModel": lambda seed: SequenceModel(lf.LSTM(2, 3, seed=seed), 1, seed=seed),
    "float16": lambda seed: lf.LSTM(2, 3, seed=seed).quantized("float16"),
    "bfloat16": lambda seed: lf.LSTM(2, 3, seed=seed).quantized("bfloat16"),
    "int8": lambda seed: lf.LSTM(2, 3, seed=seed).quantized("int8"),
    "QuantizedModel": lambda seed: SequenceModel(lf.LSTM(2, 3, seed=seed), 1, seed=seed).quantized("int8"),
}


@pytest.mark.parametrize("name", MODELS)
def test_fingerprint_identifies_the_parameters(name):
    make = MODELS[name]
    first = lf.fingerprint(make(0))
    assert first == lf.fingerprint(make(0)) == lf.fingerprint(pickle.loads(pickle.dumps(make(0))))
    assert first == lf.fingerprint(make(0).state_dict()) != lf.fingerprint(make(1))
    assert first == lf.fingerprint(dict(reversed(make(0).parameters().items()))), "the order does not count"
    others = {lf.fingerprint(make(0)) for make in MODELS.values()}
    assert len(others) == len(MODELS)


def test_fingerprint_follows_its_definition():
    lstm = lf.LSTM(2, 3, seed=0)
    text = b""
    for name in ("bias_hh_l0", "bias_ih_l0", "weight_hh_l0", "weight_ih_l0"):
        array = lstm.parameters()[name]
        axes = {"weight_hh_l0": "12x3", "weight_ih_l0": "12x2"}.get(name, "12")
        text += f"{name} float32 {axes}\n".encode() + array.tobytes()
    assert lf.fingerprint(lstm) == hashlib.sha256(text).hexdigest()


def test_fingerprint_covers_names_shapes_dtypes_and_bits_only():
    base = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(2)}
    first = lf.fingerprint(base)
    changed = [
        base | {"a": base["a"].reshape(3, 2)},
        base | {"a": base["a"].astype(np.float64)},
        base | {"b": np.array([0.0, -0.0])},
        {"a": base["a"], "c": base["b"]},
        {"a": base["a"]},
        base | {"a": (base["a"].view(np.uint32) ^ 1).view(np.float32)},
        base | {"a": base["a"].view(np.int32)},
    ]
    assert len({first, *map(lf.fingerprint, changed)}) == 1 + len(changed)
    same = base | {"a": np.asfortranarray(base["a"])}
    assert lf.fingerprint(same) == first == lf.fingerprint(base | {"a": base["a"].astype(">f4")})
    a, b = lf.LSTM(2, 3, 2, seed=0), lf.LSTM(2, 3, 2, dropout=0.5, batch_first=True, cell_clip=1.0, seed=0)
    assert lf.fingerprint(a) == lf.fingerprint(b)


@needs("torch")
def test_pytorch_modules():
    import torch

    module = torch.nn.LSTM(2, 3)
    loaded = lf.weights.load(module)
    assert lf.fingerprint(module) == lf.fingerprint(module.state_dict()) == lf.fingerprint(loaded)
    assert lf.fingerprint(lf.torch.LSTM(2, 3)) != lf.fingerprint(module)
    half = {"w": torch.ones(3, dtype=torch.bfloat16)}
    assert lf.fingerprint(half) == lf.fingerprint({"w": np.full(3, 0x3F80, np.uint16)})


@pytest.mark.parametrize("value", [3, None, "model", [1.0], {1: np.zeros(3)}, {"a": "text"}, {"a": np.array([None])}])
def test_other_types_raise_type_error(value):
    with pytest.raises(TypeError, match="model must have parameters|a must be an array of numbers"):
        lf.fingerprint(value)


def test_history_has_the_fingerprint_of_the_trained_model():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 5, 2)), rng.standard_normal((12, 1))
    seen = []

    def train(**options):
        model = SequenceModel(lf.LSTM(2, 3, batch_first=True, seed=0), 1, seed=0)
        callbacks = [lambda _, history: seen.append(history.fingerprint)]
        history = lf.train.fit(model, x, y, epochs=4, batch_size=4, seed=0, callbacks=callbacks, **options)
        return model, history

    model, history = train()
    assert history.fingerprint == lf.fingerprint(model) and set(seen) == {None}
    assert train(num_threads=2)[1].fingerprint == history.fingerprint
    model, history = train(validation=(x[:4], y[:4]), early_stopping=1, optimizer=lf.train.Adam(lr=0.5))
    assert history.fingerprint == lf.fingerprint(model), "of the best epoch, which was restored"
