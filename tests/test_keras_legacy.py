"""Files of Keras 2 and of TensorFlow's early releases: whole models and weights in HDF5, CuDNNLSTM."""

import json

import h5py
import numpy as np
import pytest
import torch
from keras import layers

import lstm_fast as lf
from keras_cases import H, I, assert_same, cells, edited, inputs, lstm, model_of, outputs, randomized, rewrite, saved

import keras  # isort: skip

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def as_keras_2(path, version, change=lambda config: config):
    """Convert an .h5 file of Keras 3 to Keras 2: names in bytes that end in :0, an older configuration."""
    with h5py.File(path, "r+") as h5:
        h5.attrs["keras_version"] = version
        h5.attrs["model_config"] = json.dumps(change(json.loads(h5.attrs["model_config"]))).encode()
        for group in h5["model_weights"].values():
            for name in group.attrs.get("weight_names", []):
                group.move(name, name + ":0")
            group.attrs["weight_names"] = [name.encode() + b":0" for name in group.attrs.get("weight_names", [])]
    return path


def alone(path, target, version):
    """The weights of an .h5 file without the model."""
    with h5py.File(path) as whole, h5py.File(target, "w") as weights:
        for name in whole["model_weights"]:
            whole.copy(f"model_weights/{name}", weights)
        weights.attrs.update(whole["model_weights"].attrs)
        weights.attrs["keras_version"] = version
    return target


def layers_as_list(config):
    """A Sequential of Keras up to 2.2.2: its configuration is a list of layers, without a name or an InputLayer."""

    def read(layer):
        if layer["class_name"] != "Sequential":
            return layer
        inner = [read(child) for child in layer["config"]["layers"] if child["class_name"] != "InputLayer"]
        return {"class_name": "Sequential", "config": inner}

    return read(config)


# ---- whole models ----


def test_hard_sigmoid_of_keras_2_is_steeper(tmp_path):
    path = saved(randomized(model_of(lstm(recurrent_activation="hard_sigmoid"))), tmp_path / "model.keras")
    assert lf.keras.load(path).recurrent_activation == ("hard_sigmoid", 1 / 6, 0.5)
    rewrite(path, tmp_path / "2.keras", **{"metadata.json": lambda data: data.replace(b'"3.', b'"2.')})
    assert lf.keras.load(tmp_path / "2.keras").recurrent_activation == ("hard_sigmoid", 0.2, 0.5)


def test_whole_keras_2_model(tmp_path):
    """Its names end in :0, and its Bidirectional has no backward_layer."""
    layer = layers.Bidirectional(lstm(), name="two")
    path = saved(randomized(model_of(layer)), tmp_path / "model.h5")

    def change(config):
        config["config"]["layers"][1]["config"].pop("backward_layer")
        return config

    as_keras_2(path, "2.11.0", change)
    assert lf.keras.names(path) == ["two"]
    assert_same(lf.keras.load(path)(inputs())[0], outputs(layer, inputs()))


def test_sequential_with_a_list_as_configuration(tmp_path):
    model = randomized(
        keras.Sequential(
            [
                layers.Input((None, I)),
                lstm(name="lstm_1"),
                layers.Dropout(0.5, name="dropout_1"),
                layers.Bidirectional(lstm(), name="bidirectional_1"),
                keras.Sequential([layers.Input((None, 2 * H)), lstm(name="lstm_3")], name="sequential_2"),
                layers.Dense(2, name="dense_1"),
            ]
        )
    )
    path = as_keras_2(saved(model, tmp_path / "model.h5"), "2.2.2", layers_as_list)
    with h5py.File(path) as h5:
        assert isinstance(json.loads(h5.attrs["model_config"])["config"], list)
    assert lf.keras.names(path) == ["lstm_1", "bidirectional_1", "sequential_2/lstm_3"]
    x = inputs()
    for name, index in (("lstm_1", 0), ("bidirectional_1", 2), ("lstm_3", 3)):
        assert_same(lf.keras.load(path, name)(x)[0], outputs(model.layers[index], x))
        x = outputs(model.layers[index], x)


def test_h5_files_have_nested_layers_too(tmp_path):
    """A whole model, and a file with only its weights, as Keras 2 wrote them."""
    inner = keras.Sequential([layers.Input((None, I)), lstm(name="a"), lstm(name="b")], name="inner")
    model = randomized(
        keras.Sequential(
            [
                layers.Input((None, I)),
                inner,
                lstm(name="c"),
                layers.Dense(2 * H),
                layers.Bidirectional(lstm(), name="d"),
                layers.RNN(cells(2), return_sequences=True, name="e"),
            ]
        )
    )
    whole = saved(model, tmp_path / "model.h5")
    for path in (whole, alone(whole, tmp_path / "weights.h5", "2.12.0")):
        assert lf.keras.names(path) == ["inner/a", "inner/b", "c", "d", "e"]
        stack = lf.keras.load(path, ["a", "b", "c"])
        assert_same(stack(inputs())[0], outputs(model.layers[1], outputs(model.layers[0], inputs())))
        for name in "de":
            assert_same(lf.keras.load(path, name)(inputs(n=2 * H))[0], outputs(model.get_layer(name), inputs(n=2 * H)))


def test_keras_1_files_raise_with_a_way_to_convert(tmp_path):
    whole = as_keras_2(saved(model_of(lstm()), tmp_path / "model.h5"), "1.2.2")
    for path in (whole, alone(whole, tmp_path / "weights.h5", "1.0.8")):
        with pytest.raises(lf.FormatError, match=r"Keras 1.* must be read and saved by Keras 2.0 to 2.2"):
            lf.keras.load(path)


# ---- files with weights only: which defaults ----


@pytest.mark.parametrize(
    "version, name",
    [
        ("2.0.0", "hard_sigmoid"),
        ("2.2.5", "hard_sigmoid"),
        ("2.1.6-tf", "hard_sigmoid"),
        ("2.3.0", "sigmoid"),
        ("2.3.0-tf", "sigmoid"),
        ("2.12.0", "sigmoid"),
        ("3.8.0", "sigmoid"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda layer: layer, layers.Bidirectional], ids=["LSTM", "Bidirectional"])
def test_weights_only_files_use_the_defaults_of_their_release(tmp_path, version, name, wrap):
    whole = saved(randomized(model_of(wrap(lstm()))), tmp_path / "model.h5")
    path = alone(whole, tmp_path / "weights.h5", version)
    expected = ("hard_sigmoid", 0.2, 0.5) if name == "hard_sigmoid" else "sigmoid"
    assert lf.keras.load(path).recurrent_activation == expected
    assert lf.keras.load(path, recurrent_activation="tanh").recurrent_activation == "tanh"


def test_weights_only_files_with_ambiguous_defaults_warn(tmp_path):
    path = alone(saved(model_of(lstm(name="one")), tmp_path / "model.h5"), tmp_path / "weights.h5", "2.2.4-tf")
    with pytest.warns(UserWarning, match="'hard_sigmoid' .*or 'sigmoid' .*pass recurrent_activation"):
        lf.keras.load(path)
    assert lf.keras.names(path) == ["one"]
    lf.keras.load(path, recurrent_activation="hard_sigmoid")


# ---- CuDNNLSTM ----


def cudnn(kernel, recurrent, bias):
    """The variables of a CuDNNLSTM that is equivalent to an LSTM with these, by the rule of Keras' own conversion."""

    def turned(gates, order):
        return np.hstack([gate.T.reshape(gate.shape, order=order) for gate in np.hsplit(gates, 4)])

    rng = np.random.default_rng(3)
    share = rng.standard_normal(bias.shape).astype(bias.dtype)
    result = (
        turned(kernel, "C"),
        np.hstack([gate.T for gate in np.hsplit(recurrent, 4)]),
        np.concatenate([bias - share, share]),
    )
    for now, before in zip((turned(result[0], "F"), result[2].reshape(2, -1).sum(0)), (kernel, bias), strict=True):
        np.testing.assert_allclose(now, before, atol=1e-6)
    return result


def make_cudnn(group, names):
    """Replace the variables of each cell in an .h5 file by variables in the layout of CuDNNLSTM."""
    variables = [group[name] for name in names]
    for arrays in zip(variables[::3], variables[1::3], variables[2::3], strict=True):
        paths, parent = [array.name for array in arrays], group.file
        for path, value in zip(paths, cudnn(*(array[()] for array in arrays)), strict=True):
            del parent[path]
            parent[path] = value


def as_cudnn(config):
    """The entries of a layer's configuration that CuDNNLSTM has."""
    keep = (
        "name",
        "trainable",
        "units",
        "return_sequences",
        "return_state",
        "go_backwards",
        "stateful",
        "unit_forget_bias",
    )
    for layer in config["config"]["layers"]:
        inner = layer["config"]["layer"] if layer["class_name"] == "Bidirectional" else layer
        layer["config"].pop("backward_layer", None)
        if inner["class_name"] == "LSTM":
            inner["class_name"] = "CuDNNLSTM"
            inner["config"] = {name: value for name, value in inner["config"].items() if name in keep}
    return config


@pytest.mark.parametrize("wrap", [lambda layer: layer, layers.Bidirectional], ids=["LSTM", "Bidirectional"])
@pytest.mark.parametrize("n_inputs", [I, H, 1])
def test_cudnn_lstm(tmp_path, wrap, n_inputs):
    layer = wrap(lstm())
    sequence = layers.Input((None, n_inputs))
    path = as_keras_2(
        saved(randomized(keras.Model(sequence, layer(sequence))), tmp_path / "model.h5"), "2.2.4", as_cudnn
    )
    with h5py.File(path, "r+") as h5:
        group = h5["model_weights"][layer.name]
        make_cudnn(group, group.attrs["weight_names"])
    x = inputs(n=n_inputs)
    for file in (path, alone(path, tmp_path / "weights.h5", "2.2.4")):  # hard_sigmoid, but not of CuDNNLSTM
        got = lf.keras.load(file)
        assert got.recurrent_activation == "sigmoid" and got.parameters()["bias_hh_l0"].any()
        assert_same(got(x)[0], outputs(layer, x))


def test_cudnn_lstm_matches_pytorch_in_cudnn_order(tmp_path):
    """cuDNN's buffer is that of PyTorch's flattened weights: matrices (4H, I) and (4H, H), row by row, then biases."""
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(I, H, batch_first=True)
    w_ih, w_hh, b_ih, b_hh = (value.detach().numpy() for value in lstm.parameters())
    kernel, recurrent = (
        np.concatenate([gate.reshape(gate.shape[::-1]) for gate in np.split(array, 4)], axis=1)
        for array in (w_ih, w_hh)
    )
    config = {"class_name": "CuDNNLSTM", "config": {"name": "fast", "units": H}}
    with h5py.File(tmp_path / "model.h5", "w") as h5:
        h5.attrs.update(
            keras_version="2.2.2", model_config=json.dumps({"class_name": "Sequential", "config": [config]})
        )
        group = h5.create_group("model_weights/fast")
        h5["model_weights"].attrs["layer_names"] = [b"fast"]
        for name, array in (
            ("kernel", kernel),
            ("recurrent_kernel", recurrent),
            ("bias", np.concatenate([b_ih, b_hh])),
        ):
            group[f"fast/{name}:0"] = array
        group.attrs["weight_names"] = [b"fast/kernel:0", b"fast/recurrent_kernel:0", b"fast/bias:0"]
    got = lf.keras.load(tmp_path / "model.h5")
    for name, value in got.parameters().items():
        assert value.tobytes() == lstm.state_dict()[name].numpy().tobytes(), name
    assert_same(got(inputs())[0], lstm(torch.from_numpy(inputs()))[0].detach().numpy())


@pytest.mark.parametrize("size", [5, 9])
def test_wrong_number_of_biases_raises(tmp_path, size):
    path = saved(model_of(lstm(name="one")), tmp_path / "model.h5")
    with h5py.File(path, "r+") as h5:
        (name,) = (name for name in h5["model_weights/one"].attrs["weight_names"] if name.endswith("bias"))
        del h5[f"model_weights/one/{name}"]
        h5[f"model_weights/one/{name}"] = np.zeros(size * H, np.float32)
    with pytest.raises(lf.FormatError, match="must have weights of 1 LSTM cells, got 0"):
        lf.keras.load(path)


def test_cudnn_units_must_match_the_configuration(tmp_path):
    path = as_keras_2(saved(model_of(lstm(name="one")), tmp_path / "model.h5"), "2.2.4", as_cudnn)
    with h5py.File(path, "r+") as h5:
        make_cudnn(h5["model_weights/one"], h5["model_weights/one"].attrs["weight_names"])
        h5.attrs["model_config"] = edited(
            h5.attrs["model_config"], lambda c: c["layers"][1]["config"].update(units=H + 1)
        )
    with pytest.raises(lf.FormatError, match=r"\(of CuDNNLSTM \(8H,\)\) with H = units = 5"):
        lf.keras.load(path)
