"""Round trips with PyTorch's exporters: torch -> ONNX -> lstm_fast -> safetensors -> torch preserves every bit."""

import io
import logging
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

import lstm_fast as lf
from onnx_cases import assert_close, run

SHAPES = {
    "one layer": {},
    "stacked, both directions": {"num_layers": 2, "bidirectional": True},
    "batch_first, no bias": {"num_layers": 2, "batch_first": True, "bias": False},
}


def export(module, x, dynamo, dynamic=True, **options):
    """The bytes of an exported model; with dynamic, for any T and B."""
    file = io.BytesIO()
    if dynamic and dynamo:
        options["dynamic_shapes"] = ({0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO},)
    elif dynamic:
        options |= {"input_names": ["x"], "dynamic_axes": {"x": {0: "T", 1: "B"}}}
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporters warn about themselves
            if dynamo:
                torch.onnx.export(module.eval(), (x,), dynamo=True, verbose=False, **options).save(file)
            else:
                torch.onnx.export(module.eval(), (x,), file, dynamo=False, **options)
    finally:
        logging.disable(level)
    return file.getvalue()


@cache
def exported_lstm(name, dynamo, dynamic):
    """An nn.LSTM, its input, and the bytes of its model."""
    torch.manual_seed(0)
    module, x = torch.nn.LSTM(3, 5, **SHAPES[name]), torch.randn(4, 6, 3)
    return module, x, export(module, x, dynamo, dynamic)


# The newer exporter takes seconds a model.
EXPORTS = [(name, False, dynamic) for name in SHAPES for dynamic in (True, False)] + [
    ("stacked, both directions", True, True),
    ("batch_first, no bias", True, False),
]


@pytest.mark.parametrize("name, dynamo, dynamic", EXPORTS)
def test_exported_lstm(name, dynamo, dynamic):
    theirs, x, data = exported_lstm(name, dynamo, dynamic)
    layers = theirs.num_layers
    assert len(lf.onnx.names(data)) == layers
    ours = lf.onnx.load(data)
    assert ours.num_layers == layers and ours.bidirectional == theirs.bidirectional and not ours.learn_initial_state
    time_major = x.numpy().swapaxes(0, 1) if theirs.batch_first else x.numpy()
    output, (h_n, c_n) = ours(time_major)
    output = output.swapaxes(0, 1) if theirs.batch_first else output
    with torch.no_grad():
        want, (want_h, want_c) = theirs(x)
    assert_close([output, h_n, c_n], [want.numpy(), want_h.numpy(), want_c.numpy()])
    for k, one in enumerate(lf.onnx.names(data)):
        alone = lf.onnx.load(data, one).parameters()
        assert all((ours.parameters()[key.replace("_l0", f"_l{k}")] == value).all() for key, value in alone.items())
    parameters = {key: value.detach().numpy() for key, value in theirs.named_parameters()}
    loaded = {key: value for key, value in ours.parameters().items() if theirs.bias or "bias" not in key}
    assert loaded.keys() == parameters.keys() and all(
        loaded[key].tobytes() == value.tobytes() for key, value in parameters.items()
    )


@pytest.mark.parametrize("dynamo", (True, False))
def test_round_trip(dynamo, tmp_path):
    """torch -> ONNX -> lstm_fast -> ONNX -> lstm_fast -> safetensors -> torch."""
    begin, _, data = exported_lstm("stacked, both directions", dynamo, True)
    lf.onnx.save(lf.onnx.load(data), tmp_path / "lstm.onnx")
    lf.train.SequenceModel(lf.onnx.load(tmp_path / "lstm.onnx"), 1).save(tmp_path / "model.safetensors")
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    end = torch.nn.LSTM(3, 5, **SHAPES["stacked, both directions"])
    end.load_state_dict(
        {name.removeprefix("lstm."): tensor for name, tensor in tensors.items() if name.startswith("lstm.")}
    )
    assert all(
        a.numpy().tobytes() == b.numpy().tobytes()
        for a, b in zip(begin.state_dict().values(), end.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("dynamo", (True, False))
def test_model_around_an_lstm(dynamo):
    """By Backend, and a learned initial state that the module expands to the batch."""

    class Tagger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(3, 5, batch_first=False)
            self.start = torch.nn.Parameter(torch.randn(2, 1, 1, 5))
            self.head = torch.nn.Linear(5, 2)

        def forward(self, x):
            h_0, c_0 = self.start.expand(2, 1, x.shape[1], 5).unbind()
            return self.head(self.lstm(x, (h_0.contiguous(), c_0.contiguous()))[0]).softmax(-1)

    torch.manual_seed(2)
    tagger, x = Tagger(), torch.randn(4, 6, 3)
    data = export(tagger, x, dynamo)
    lstm = lf.onnx.load(data)
    with torch.no_grad():
        want = tagger(x).numpy()
        start = tagger.start.expand(2, 1, 6, 5)
        y = tagger.lstm(x, (start[0].contiguous(), start[1].contiguous()))[0].numpy()
    assert lstm.learn_initial_state
    assert np.array_equal(lstm.parameters()["h_0_l0"], tagger.start.detach().numpy()[0, 0, 0])
    assert_close([lstm(x.numpy())[0]], [y])
    model = onnx.ModelProto.FromString(data)
    assert_close(lf.onnx.Backend.run_model(model, [x.numpy()]), run(model, {model.graph.input[0].name: x.numpy()}))
    assert_close(lf.onnx.Backend.run_model(model, [x.numpy()]), [want])


def test_float64():
    torch.manual_seed(3)
    theirs, x = torch.nn.LSTM(3, 5, bidirectional=True).double(), torch.randn(4, 6, 3, dtype=torch.float64)
    ours = lf.onnx.load(export(theirs, x, False))
    assert ours.dtype == np.float64
    with torch.no_grad():
        assert_close([ours(x.numpy())[0]], [theirs(x)[0].numpy()], 1e-12)


def test_dropout_between_layers():
    """Export for inference leaves it out of the graph."""
    torch.manual_seed(4)
    theirs = torch.nn.LSTM(3, 5, 2, dropout=0.5)
    assert lf.onnx.load(export(theirs, torch.randn(4, 6, 3), False)).num_layers == 2
