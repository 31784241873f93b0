"""External data of ONNX models: only when asked for, and only from the model's folder."""

import onnx
import pytest

import lstm_fast as lf
from onnx_cases import Case, assert_close


def external(folder, **changes):
    """A model in folder whose W lies in weights.bin, and its case."""
    case = Case(8, {"bias"}, "forward")
    model = case.model()
    onnx.save_model(
        model,
        folder / "model.onnx",
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="weights.bin",
        size_threshold=0,
    )
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = changes.get(entry.key, entry.value)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return case, folder / "model.onnx"


def test_external_data_are_read_only_on_request(tmp_path):
    case, path = external(tmp_path)
    assert lf.onnx.names(path) == ["LSTM_0"]
    with pytest.raises(lf.FormatError, match="has its data in another file: pass external_data=True"):
        lf.onnx.load(path)
    assert_close(case.call(lf.onnx.load(path, external_data=True)), case.expected())
    with pytest.raises(ValueError, match="needs the path of a file"):
        lf.onnx.load(path.read_bytes(), external_data=True)


@pytest.mark.parametrize(
    "changes",
    (
        {"location": "../weights.bin"},
        {"location": "{folder}/weights.bin"},
        {"location": ""},
        {"location": "."},
        {"location": "link.bin"},
        {"location": "no.bin"},
        {"location": "a/../weights.bin"},
        {"location": "we\0.bin"},
        {"offset": "-4"},
        {"offset": "99999999"},
        {"offset": "x"},
        {"length": "3"},
        {"length": str(2**60)},
        {"location": "out/weights.bin"},
    ),
)
def test_external_data_outside_the_folder_raises(changes, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a").mkdir()
    (folder / "out").symlink_to(tmp_path)
    (tmp_path / "weights.bin").write_bytes(b"\0" * 10_000)
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    changes = {key: value.format(folder=folder) for key, value in changes.items()}
    _, path = external(folder, **changes)
    with pytest.raises(lf.FormatError, match="external data of tensor"):
        lf.onnx.load(path, external_data=True)
