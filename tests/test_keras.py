"""lf.keras against Keras 3 on PyTorch: layers, files, masks, and back; test_feature is the table in docs/bridges.md."""

import io
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers

import lstm_fast as lf
from keras_cases import (
    COLUMNS,
    FEATURES,
    B,
    H,
    I,
    T,
    assert_same,
    cells,
    inputs,
    lstm,
    model_of,
    numbers,
    outputs,
    randomized,
    saved,
)

# Of Keras' own variables.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("feature", FEATURES)
def test_feature(tmp_path, feature, column):
    for make, unsaid in FEATURES[feature]:
        layer = make()
        model = randomized(model_of(layer))
        x = inputs(layer.compute_dtype)
        if column == "to a layer":
            back = lf.keras.to_layer(lf.keras.from_layer(layer))
            assert_same(outputs(back, x), outputs(layer, x))
            for a, b in zip(back.get_weights(), layer.get_weights(), strict=True):
                assert a.tobytes() == b.tobytes()
            continue
        got = (
            lf.keras.from_layer(layer)
            if column == "layer"
            else lf.keras.load(saved(model, tmp_path / f"model{column}"), **unsaid if column == ".weights.h5" else {})
        )
        assert got.batch_first and got.recurrent_dropout == unsaid.get("recurrent_dropout", 0)
        assert_same(got(x)[0], outputs(layer, x))


# ---- results of a call ----


@pytest.mark.parametrize("wrap", [lambda layer: layer, layers.Bidirectional], ids=["LSTM", "Bidirectional"])
@pytest.mark.parametrize("lengths", [None, [3, 0, 7]], ids=["all steps", "mask"])
def test_sequences_and_last_states_with_a_mask(wrap, lengths):
    x = inputs()
    mask = None if lengths is None else np.arange(T) < np.array(lengths)[:, None]
    whole = wrap(lstm(return_state=True, zero_output_for_mask=True))
    whole.build(x.shape)
    randomized(whole)
    last = wrap(lstm(return_sequences=False))
    last.build(x.shape)
    last.set_weights(whole.get_weights())
    sequence, *states = (numbers(one) for one in whole(x, mask=mask))
    got = lf.keras.from_layer(whole)
    output, (h_n, c_n) = got(x, lengths=None if mask is None else lf.keras.lengths(mask))
    assert_same(output, sequence)
    for d in range(len(h_n)):
        assert_same(h_n[d], states[2 * d])
        assert_same(c_n[d], states[2 * d + 1])
    assert_same(np.concatenate(list(h_n), axis=-1), outputs(last, x, mask=mask))


def test_stateful_layer_equals_passing_the_state():
    layer = lstm(stateful=True)
    layer.build((B, T, I))
    randomized(layer)
    got, state, x = lf.keras.from_layer(layer), None, inputs()
    for part in (x[:, :3], x[:, 3:]):
        output, state = got(part, state)
        assert_same(output, outputs(layer, part))


def test_go_backwards_expects_reversed_input():
    layer = lstm(go_backwards=True)
    layer.build((B, T, I))
    randomized(layer)
    x = inputs()
    with pytest.raises(
        ValueError, match=r"go_backwards of layer 'lstm.*must be False.*pass go_backwards=False .*x\[:, ::-1"
    ):
        lf.keras.from_layer(layer)
    assert_same(lf.keras.from_layer(layer, go_backwards=False)(x[:, ::-1])[0], outputs(layer, x))


@pytest.mark.parametrize("mode, merge", [("sum", np.add), ("mul", np.multiply), ("ave", lambda a, b: (a + b) / 2)])
def test_merge_modes_follow_from_concatenated_directions(mode, merge):
    layer = layers.Bidirectional(lstm(), merge_mode=mode)
    layer.build((B, T, I))
    randomized(layer)
    with pytest.raises(ValueError, match=rf"merge_mode.*got '{mode}'.*pass merge_mode='concat' .*output\[..., :H\]"):
        lf.keras.from_layer(layer)
    output, _ = lf.keras.from_layer(layer, merge_mode="concat")(inputs())
    assert_same(merge(output[..., :H], output[..., H:]), outputs(layer, inputs()))


# ---- models of several layers ----


def nested():
    """A model with an LSTM wherever Keras allows one."""
    sequence = layers.Input((None, I))
    h = lstm(name="first")(sequence)
    h = layers.Bidirectional(lstm(), name="two")(h)
    h = keras.Sequential(
        [layers.Input((None, 2 * H)), lstm(), layers.GRU(6, return_sequences=True, use_bias=False)], name="inner"
    )(h)
    h = layers.RNN(cells(1)[0], return_sequences=True, name="rnn")(layers.Dense(3)(h))
    within = layers.Input((None, H))
    functional = keras.Model(within, lstm(name="first")(within))
    h = keras.Sequential([layers.Input((None, H)), functional], name="outer")(h)
    frames = layers.Reshape((-1, 2, H // 2))(h)
    h = layers.TimeDistributed(lstm(name="frame", return_sequences=False), name="each")(frames)
    pairs = keras.Sequential([layers.Input((H,)), layers.Reshape((2, H // 2)), lstm(name="deep")])
    h = layers.TimeDistributed(pairs, name="every")(h)
    return randomized(keras.Model(sequence, h))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keras")
    model = nested()
    return model, {ending: saved(model, folder / f"nested{ending}") for ending in (".keras", ".weights.h5")}


def lstm_layers(model):
    """{name: layer} of a model's LSTMs; inner ones have their path as name."""
    found = {}
    for layer in model.layers:
        if type(layer).__name__ in ("LSTM", "RNN", "Bidirectional"):
            found[layer.name] = layer
        for inner in [layer] if hasattr(layer, "layers") else [layer.layer] if hasattr(layer, "layer") else []:
            if hasattr(inner, "layers"):
                way = layer.name if inner is layer else f"{layer.name}/{inner.name}"
                found |= {f"{way}/{name}": one for name, one in lstm_layers(inner).items()}
            elif type(layer).__name__ == "TimeDistributed":
                found[f"{layer.name}/{inner.name}"] = inner
    return found


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_every_layer_of_a_nested_model_is_found_by_its_name(files, ending):
    model, paths = files
    want = lstm_layers(model)
    assert len(want) == 7 and set(lf.keras.names(paths[ending])) == set(want)
    for name, layer in want.items():
        got = lf.keras.load(paths[ending], name)
        x = inputs(n=got.input_size)
        assert_same(got(x)[0][:, -1] if not layer.return_sequences else got(x)[0], outputs(layer, x))
    assert lf.keras.names(paths[".keras"]) == list(want)  # in the order of the model


def test_unique_last_part_of_a_name_is_enough(files):
    _, paths = files
    assert lf.keras.load(paths[".keras"], "deep").input_size == H // 2
    assert lf.keras.load(paths[".keras"], "first").input_size == I  # the whole name goes first
    for name, words in (
        (None, "name must be one of the LSTM layers in .*first, two, inner/"),
        ("dense", "got 'dense'"),
    ):
        with pytest.raises(ValueError, match=words):
            lf.keras.load(paths[".keras"], name)


@pytest.mark.parametrize("wrap", [lambda layer: layer, layers.Bidirectional], ids=["LSTM", "Bidirectional"])
def test_consecutive_layers_become_one_lstm(tmp_path, wrap):
    """From the tokens on, with the mask that Keras makes of them."""
    model = randomized(
        keras.Sequential(
            [
                layers.Input((T,), dtype="int32"),
                layers.Embedding(9, I, mask_zero=True),
                *(wrap(lstm(zero_output_for_mask=True)) for _ in range(3)),
            ]
        )
    )
    tokens = np.array([[1, 2, 3, 0, 0, 0, 0], [4, 5, 6, 7, 8, 1, 2], [3, 0, 0, 0, 0, 0, 0]], np.int32)
    path = saved(model, tmp_path / "model.keras")
    stack = lf.keras.load(path, lf.keras.names(path))
    assert stack.num_layers == 3
    embedded, lengths = (
        numbers(model.layers[0](tokens)),
        lf.keras.lengths(numbers(model.layers[0].compute_mask(tokens))),
    )
    assert lengths.tolist() == [3, 7, 1]
    assert_same(stack(embedded, lengths=lengths)[0], outputs(model, tokens))
    back = lf.keras.to_layer(stack, name="back")
    assert_same(outputs(back, embedded[1:2]), outputs(model, tokens[1:2]))
    assert_same(lf.keras.from_layer(back.layers[1:])(embedded)[0], stack(embedded)[0])


def test_layers_of_a_custom_model_class_have_keras_defaults(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder = lstm(name="encoder")
            self.blocks = [lstm(), layers.Bidirectional(lstm(activation="relu"), name="last")]

        def call(self, x):
            for layer in (self.encoder, *self.blocks):
                x = layer(x)
            return x

    model = Own()
    model(inputs())
    randomized(model)
    for path in (saved(model, tmp_path / "own.keras"), saved(model, tmp_path / "own.weights.h5")):
        assert "encoder" in lf.keras.names(path) and "last" in lf.keras.names(path) and len(lf.keras.names(path)) == 3
        x = inputs()
        for name, layer, config in (("encoder", model.encoder, {}), ("last", model.blocks[1], {"activation": "relu"})):
            got = lf.keras.load(path, name, **config)
            assert_same(got(x[:, :, : got.input_size])[0], outputs(layer, x[:, :, : got.input_size]))
            x = np.concatenate([x, x], axis=-1)


@pytest.mark.parametrize("policy, error", [("float16", 2e-3), ("bfloat16", 2e-2), ("mixed_float16", 2e-3)])
def test_small_weights_are_widened(tmp_path, policy, error):
    layer = lstm(dtype=policy, recurrent_initializer="glorot_uniform")
    model = model_of(layer)
    path = saved(model, tmp_path / "model.keras")
    with h5py.File(io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5"))) as h5:
        assert h5["layers/lstm/cell/vars/0"].dtype.itemsize == (4 if "mixed" in policy else 2)
    for got in (lf.keras.load(path), lf.keras.from_layer(layer)):
        assert got.dtype == np.float32
        for name, want in zip(("weight_ih_l0", "weight_hh_l0"), layer.weights):
            assert np.array_equal(got.parameters()[name], numbers(want.value.float()).T)
        assert np.abs(got(inputs())[0] - numbers(layer(inputs()).float())).max() < error


def test_files_are_read_without_keras(files):
    script = (
        "import sys, lstm_fast as lf; lf.keras.load(sys.argv[1], 'two'); lf.keras.load(sys.argv[2], 'two'); "
        "assert not {'keras', 'torch', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, *map(str, files[1].values())], check=True, timeout=60)


@pytest.mark.parametrize(
    "package, call, words",
    [
        ("h5py", lambda: lf.keras.load("model.keras"), r'pip install "lstm_fast\[keras\]"'),
        ("keras", lambda: lf.keras.to_layer(lf.LSTM(I, H, seed=0)), "pip install keras"),
    ],
)
def test_error_names_the_missing_package(monkeypatch, package, call, words):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=words):
        call()


# ---- and back ----


def test_round_trip_with_every_keras_option():
    """Two biases become one; apart from that, the bits are the same."""
    network = lf.LSTM(
        I,
        H,
        3,
        batch_first=True,
        bidirectional=True,
        dropout=0.2,
        activation="softsign",
        cell_activation="softsign",
        recurrent_activation="tanh",
        dtype=np.float64,
        seed=3,
    )
    model = lf.keras.to_layer(network)
    x = inputs(np.float64)
    assert_same(outputs(model, x), network(x)[0])
    assert [type(layer).__name__ for layer in model.layers[1:]] == ["Bidirectional", "Dropout"] * 2 + ["Bidirectional"]
    back = lf.keras.from_layer(model.layers[1::2])
    for name, value in back.parameters().items():
        p = network.parameters()
        want = p[name] if "weight" in name else p[name] + p[name.replace("ih", "hh")] if "ih" in name else 0 * value
        assert value.tobytes() == want.tobytes()
    named = lf.keras.to_layer(lf.LSTM(I, H, seed=0), name="mine", return_sequences=False, return_state=True)
    assert named.name == "mine"
