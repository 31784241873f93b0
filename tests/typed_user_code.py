"""User code with type annotations: mypy --strict checks it (test_stubs.py), and it runs.

Each public name of lstm_fast and lstm_fast.train is used once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import lstm_fast as lf
from lstm_fast.train import (
    LOSSES,
    SGD,
    Adam,
    AdamW,
    Diverged,
    FitConfig,
    FleetHistory,
    FleetModel,
    History,
    ModelGradients,
    ModelStream,
    OptunaPruning,
    QuantizedModel,
    RankError,
    SequenceModel,
    Trainer,
    fit,
    load,
)

Array = NDArray[Any]


def layers(x: Array) -> Array:
    lstm = lf.LSTM(3, 4, 2, batch_first=True, dtype=np.float64, seed=0, zoneout=(0.1, 0.0), activation=("elu", 0.5))
    sizes: tuple[int, int, int, int, int, int] = (
        lstm.input_size,
        lstm.hidden_size,
        lstm.num_layers,
        lstm.num_directions,
        lstm.proj_size,
        lstm.output_size,
    )
    flags: list[bool] = [lstm.bias, lstm.bidirectional, lstm.has_cell_state, lstm.has_plain_cell, lstm.batch_first]
    lstm.dropout = 0.5
    names: tuple[str, ...] = lstm.parameter_names
    config: dict[str, Any] = lstm.config()
    output, (h_n, c_n) = lstm(x, lengths=[5, 2], resets=np.zeros((2, 5), bool))
    output, (h_n, c_n), tape = lstm.forward(x, (h_n, None), recompute_gates=True, rng=np.random.default_rng(0))
    kept: lf.Tape = tape
    steps: int = kept.steps + kept.batch_size + kept.nbytes
    gradients: lf.Gradients = lstm.backward(kept, output, (h_n, c_n), compute_d_x=False, record_norms=True)
    d_x: Array | None = gradients.d_x
    total: float = float(sum(float(np.abs(gradients[name]).sum()) for name in names)) + float(gradients.flat.sum())
    trace: lf.Trace = lf.LSTM(3, 4, seed=0).trace(np.ones((5, 2, 3)))
    small: lf.QuantizedLSTM = lf.LSTM(3, 4, seed=0).quantized(format="float16")
    with lstm.edit() as p:
        p["bias_ih_l0"][:] = 0
        p["bias_hh_l0"] = np.zeros(16)
    lstm.load_state_dict(lstm.state_dict())
    lstm.load_flat_parameters(lstm.flat_parameters)
    assert sizes == (3, 4, 2, 1, 0, 4) and flags == [True, False, True, False, True] and d_x is None
    assert (
        config["hidden_size"] == 4 and steps and total > 0 and trace.i.shape == small.trace(np.ones((5, 2, 3))).i.shape
    )
    return output


def others(x_t: Array) -> None:
    rnn = lf.RNN(3, 4, nonlinearity="relu", seed=0)
    output, h_n, tape = rnn.forward(np.ones((5, 2, 3)))
    rnn.backward(tape, output, h_n)
    output, h_n = rnn(np.ones((5, 2, 3)), h_n)
    cell = lf.LSTMCell(3, 4, seed=0)
    h, c = cell(x_t)
    (h, c), tape = cell.forward(x_t, (h, c))
    cell.backward(tape, (h, None))
    stream: lf.Stream = lf.LSTM(3, 4, seed=0).stream(2)
    stream.step(x_t)
    stream.block(np.ones((3, 2, 3)))


def functions(x: Array, weight_ih: Array, weight_hh: Array) -> None:
    output, h_n, c_n, tape = lf.lstm_forward(x, None, None, weight_ih, weight_hh, None, None, num_threads=1)
    of_lstm = lf.lstm_backward(tape, output, h_n, c_n)
    output, h_n, tape = lf.rnn_forward(x, None, weight_ih[:4], weight_hh[:4], None, None, "tanh", [5, 2])
    of_rnn = lf.rnn_backward(tape, output, h_n)
    assert of_lstm.d_c_0.shape == of_rnn.d_h_0.shape and of_lstm.d_bias_ih is None


def settings() -> dict[str, Any]:
    before = lf.get_num_threads()
    lf.set_num_threads(before)
    with lf.num_threads(1):
        pass
    version: str = lf.__version__
    assert version and issubclass(lf.FormatError, ValueError)
    return lf.info()


def training(x: Array, y: Array, path: Path) -> History:
    model = SequenceModel(lf.LSTM(3, 4, batch_first=True, seed=0), 1, "last", seed=0)
    history: History = fit(
        model, x, y, loss=("huber", 0.5), optimizer=Adam(1e-2), epochs=2, callbacks=[lambda m, h: False]
    )
    loss, gradients = model.loss_and_grads(x, y, loss="mse")
    d: ModelGradients = gradients
    SGD(0.1).step(model.flat_parameters, d.flat, (), 1, 0.1)
    AdamW().moments(model.flat_parameters)
    stream: ModelStream = model.stream()
    prediction: Array = stream.step(np.ones(3))
    try:
        trainer = Trainer(model, x, y, FitConfig(epochs=1, seed=0), validation=0.5)
        history = trainer.run()
    except Diverged as error:
        raise SystemExit(str(error)) from None
    model.save(path)
    loaded: SequenceModel | QuantizedModel | FleetModel = load(path)
    assert not isinstance(loaded, FleetModel)
    small: QuantizedModel = model.quantized("int8", inputs="int8")
    compared: lf.FormatComparison = lf.compare_formats(model, np.ones((2, 5, 3)), lambda y: float(y.mean()))
    row: lf.FormatRow = compared["int8"]
    bytes_and_time: tuple[int, float] = row.nbytes + small.nbytes, row.seconds
    assert bytes_and_time > (0, 0.0) and str(compared)
    assert loaded.predict(x).shape == (2, 1) and prediction.shape == (1,) and loss >= 0 and "mse" in LOSSES
    assert loaded.head.weight.shape == (1, 4) and loaded.readout == "last" and loaded.out_features == 1
    return history


def fleets(x: Array) -> FleetHistory:
    fleet: lf.Fleet = lf.Fleet([lf.LSTM(3, 4, batch_first=True, seed=k) for k in range(2)])
    output, (h_n, c_n), tape = fleet.forward(np.stack([x, x]))
    kept: lf.FleetTape = tape
    gradients: lf.Gradients = fleet.backward(kept, output, (h_n, c_n))
    member: lf.LSTM = fleet[0]
    part: lf.Fleet = fleet[:1]
    live: lf.FleetStream = part.stream()
    live.step(np.zeros((1, 3)))
    size: int = fleet.hidden_size + len(fleet) + kept.nbytes + member.input_size + gradients["weight_hh_l0"].ndim
    model: FleetModel = FleetModel(fleet, 1, seed=[0, 1])
    histories = fit(model, np.stack([x, x]), np.zeros((2, 2, 1)), epochs=1, seed=0)
    one: SequenceModel = model[0]
    assert size and one.out_features == 1 and isinstance(histories, FleetHistory) and not histories.diverged
    return histories


class Trial:
    def report(self, value: float, step: int) -> None: ...

    def should_prune(self) -> bool:
        return False


def of_a_search(x: Array, y: Array) -> float:
    model = SequenceModel(lf.LSTM(3, 4, batch_first=True, seed=0), 1, seed=0)
    try:
        return fit(model, x, y, epochs=1, callbacks=[OptunaPruning(Trial())], comm=None).loss[0]
    except RankError as error:
        raise SystemExit(error.rank) from None


def submodules() -> list[Any]:
    years, values = lf.datasets.sunspots()
    return [years, values, lf.reference, lf.train, lf.weights]


def fingerprints(history: History) -> tuple[str, str | None]:
    return lf.fingerprint(lf.LSTM(3, 4, seed=0)), history.fingerprint


def page(path: Path) -> None:
    lf.explain.html(lf.LSTM(3, 4, seed=0), np.ones((5, 3)), path, names=["ones"], title="A page", text="")
    lf.explain.companies(path)


def main(folder: Path) -> None:
    rng = np.random.default_rng(0)
    layers(rng.standard_normal((2, 5, 3)))
    others(np.ones((2, 3)))
    functions(rng.standard_normal((5, 2, 3)), rng.standard_normal((16, 3)), rng.standard_normal((16, 4)))
    settings()
    training(rng.standard_normal((2, 5, 3)), np.zeros((2, 1)), folder / "model.safetensors")
    fleets(rng.standard_normal((2, 5, 3)))
    of_a_search(rng.standard_normal((2, 5, 3)), np.zeros((2, 1)))
    submodules()
    page(folder / "page.html")
