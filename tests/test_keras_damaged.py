"""Damaged and malicious Keras files give an LSTM or a FormatError."""

import io

import h5py
import numpy as np
import pytest
from keras import layers

import lstm_fast as lf
from keras_cases import H, I, edited, lstm, model_of, rewrite, saved  # first: it chooses the backend of Keras

# Of Keras' own variables.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def with_h5(change):
    """A change of model.weights.h5."""

    def changed(data):
        file = io.BytesIO(data)
        with h5py.File(file, "r+") as h5:
            change(h5)
        return file.getvalue()

    return {"model.weights.h5": changed}


def with_config(change):
    return {"config.json": lambda data: edited(data, lambda config: change(config["layers"][1]["config"])).encode()}


CELL = "layers/lstm/cell/vars"


def huge(h5):
    del h5[CELL + "/0"], h5[CELL + "/1"], h5[CELL + "/2"]
    for name, shape in (("0", (10**7, 4 * 10**7)), ("1", (10**7, 4 * 10**7)), ("2", (4 * 10**7,))):
        h5.create_dataset(f"{CELL}/{name}", shape, "f4", chunks=True)  # no chunk is written


def outside(h5):
    """Data stored in another file."""
    del h5[CELL + "/0"]
    h5.create_dataset(CELL + "/0", (I, 4 * H), "f4", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])


def replaced(name, value):
    def change(h5):
        del h5[CELL + name]
        h5[CELL + name] = value

    return change


def circle(h5):
    h5["layers/again"] = h5["layers"]


@pytest.mark.parametrize(
    "changes, words",
    [
        (with_h5(huge), "must be stored plainly"),
        (with_h5(outside), "must be stored plainly"),
        (with_h5(replaced("/0", h5py.ExternalLink("other.h5", "/kernel"))), "must hold an LSTM layer"),
        (with_h5(replaced("/0", h5py.SoftLink("/layers/lstm/cell/vars/1"))), "must hold an LSTM layer"),
        (with_h5(replaced("/2", np.zeros(4 * H + 1, "f4"))), "must hold an LSTM layer"),
        (with_h5(replaced("/2", np.zeros(4 * H, "i4"))), "must hold floating-point numbers, got int32"),
        (with_config(lambda config: config.update(units=H + 1)), "with H = units = 5 and use_bias=True, got"),
        (with_config(lambda config: config.update(units="x")), "units"),
        (with_config(lambda config: config.update(units=None)), "configuration that cannot be read"),
        (with_config(lambda config: config.update(use_bias=False)), "use_bias=False, got"),
        ({"config.json": lambda data: b'{"class_name":' * 3000}, "damaged"),
        ({"config.json": lambda data: b"[]"}, "damaged"),
        (
            {"config.json": lambda data: b'{"class_name": "A", "config": {"layers": [' * 200 + b"]}}" * 200},
            "damaged|nested",
        ),
        ({"config.json": lambda data: b'{"config": 0}'}, "must be that of a model"),
        ({"config.json": lambda data: b" " * (20 << 20)}, "compressed size"),
        ({"model.weights.h5": lambda data: bytes(20 << 20)}, "compressed size"),
        ({"model.weights.h5": lambda data: b""}, "damaged"),
    ],
)
def test_inconsistent_files_raise_format_error(tmp_path, changes, words):
    path = saved(model_of(lstm()), tmp_path / "model.keras")
    with pytest.raises(lf.FormatError, match=words):
        lf.keras.load(rewrite(path, tmp_path / "damaged.keras", **changes))


def test_recursive_group_is_read_once(tmp_path):
    path = saved(model_of(lstm(name="one")), tmp_path / "model.keras")
    assert lf.keras.names(rewrite(path, tmp_path / "circle.keras", **with_h5(circle))) == ["one"]


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"\x89HDF\r\n\x1a\n", b"pickle" * 100])
def test_other_files_raise_format_error(tmp_path, data):
    path = tmp_path / "other.keras"
    path.write_bytes(data)
    for read in (lf.keras.names, lf.keras.load):
        with pytest.raises(lf.FormatError, match="other.keras is not a Keras file, or damaged"):
            read(path)
    with pytest.raises(FileNotFoundError):
        lf.keras.load(tmp_path / "none.keras")


@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".h5"])
def test_changed_bytes_give_an_lstm_or_a_format_error(tmp_path, ending):
    """In a .keras file also within its members, which no checksum covers."""
    good = saved(model_of(layers.Bidirectional(lstm(name="one"), name="two")), tmp_path / f"good{ending}")
    rng, path, damaged = np.random.default_rng(5), tmp_path / "damaged", 0

    def change(data):
        bad = bytearray(data[: rng.integers(1, len(data))] if k % 5 == 0 else data)
        for place in rng.integers(len(bad), size=rng.integers(1, 6)):
            bad[place] = rng.integers(256)
        return bytes(bad)

    for k in range(100):
        if ending == ".keras" and k % 4:
            rewrite(good, path, **{("config.json", "model.weights.h5", "metadata.json")[k % 3]: change})
        else:
            path.write_bytes(change(good.read_bytes()))
        try:
            network = lf.keras.load(path)
            assert isinstance(network, lf.LSTM) and network.input_size == I
        except lf.FormatError:
            damaged += 1
        except ValueError as error:
            if "must be" not in str(error):  # a letter of its configuration changed
                raise
    assert 20 < damaged < 100
