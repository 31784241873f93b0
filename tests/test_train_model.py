"""SequenceModel, losses, optimizers: finite differences, explicit formulas, the same bits on any number of threads."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

import lstm_fast as lf
from lstm_fast.train import SequenceModel
from lstm_fast.train.losses import Loss
from tolerances import assert_same_bits


def targets(rng, loss, shape, n_outputs):
    name = loss if isinstance(loss, str) else loss[0]
    if name == "cross_entropy":
        return rng.integers(0, n_outputs, shape)
    if name == "bce":
        return rng.random((*shape, n_outputs))
    return rng.standard_normal((*shape, Loss(loss).n_targets(n_outputs)))


def network(kind="lstm", **options):
    options = dict(dtype=np.float64, seed=0, num_layers=2) | options
    return lf.LSTM(3, 5, **options) if kind == "lstm" else lf.RNN(3, 5, **options)


# ---- the model ----


def flat_loss(model, flat, *args, **options):
    before = model.flat_parameters
    model.load_flat_parameters(flat)
    value, _ = model.loss_and_grads(*args, **options)
    model.load_flat_parameters(before)
    return value


@pytest.mark.parametrize("readout", ["last", "mean", "all"])
@pytest.mark.parametrize(
    "options",
    [{}, dict(bidirectional=True, batch_first=True), dict(proj_size=2, peepholes=True), dict(kind="rnn")],
    ids=str,
)
@pytest.mark.parametrize("with_lengths", [False, True])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_model_gradients_match_finite_differences(readout, options, with_lengths, loss):
    rng = np.random.default_rng(2)
    model = SequenceModel(network(**options), 4, readout, seed=1)
    layout = (4, 6) if model.lstm.batch_first else (6, 4)
    x, y = rng.standard_normal((*layout, 3)), targets(rng, loss, layout if readout == "all" else (4,), 4)
    call = dict(lengths=[6, 0, 3, 1] if with_lengths else None, loss=loss, sample_weight=[1.0, 2.0, 0.5, 1.0])
    _, gradients = model.loss_and_grads(x, y, **call)
    assert set(gradients) == set(model.state_dict()) and gradients.flat.shape == model.flat_parameters.shape
    direction = rng.standard_normal(gradients.flat.shape)
    flat = model.flat_parameters
    quotient = (
        flat_loss(model, flat + 1e-6 * direction, x, y, **call)
        - flat_loss(model, flat - 1e-6 * direction, x, y, **call)
    ) / 2e-6
    assert abs(quotient - gradients.flat @ direction) < 1e-7
    assert abs(gradients["head.bias"]).max() > 0


@pytest.mark.parametrize("readout", ["last", "mean", "all"])
def test_list_of_arrays_equals_padded_array_with_lengths(readout):
    rng, lengths = np.random.default_rng(3), [5, 1, 3, 0]
    model = SequenceModel(network(batch_first=True), 2, readout, seed=1)
    arrays = [rng.standard_normal((n, 3)) for n in lengths]
    padded = np.full((4, 5, 3), np.nan)
    for row, one in zip(padded, arrays):
        row[: len(one)] = one
    assert_same_bits(model.predict(arrays), model.predict(padded, lengths))
    if readout == "all":
        targets_of_list = [rng.standard_normal((n, 2)) for n in lengths]
        y = np.full((4, 5, 2), 7.0)
        for row, one in zip(y, targets_of_list):
            row[: len(one)] = one
    else:
        targets_of_list = y = rng.standard_normal((4, 2))
    of_list, of_array = model.loss_and_grads(arrays, targets_of_list), model.loss_and_grads(padded, y, lengths=lengths)
    assert of_list[0] == of_array[0]
    assert_same_bits(of_list[1].flat, of_array[1].flat)


def test_predictions_do_not_depend_on_batches_or_threads():
    model = SequenceModel(network(batch_first=True, dtype=np.float32), 3, "all", seed=0)
    x, lengths = np.random.default_rng(4).standard_normal((11, 7, 3)), np.arange(11) % 8
    want = model.predict(x, lengths)
    assert want.shape == (11, 7, 3) and model.predict(x[:0]).shape[0] == 0
    for batch_size, num_threads in ((1, 1), (4, 3), (11, 2)):
        got = model.predict(x, lengths, batch_size=batch_size, num_threads=num_threads)
        for row, n in enumerate(lengths):
            assert_same_bits(got[row, :n], want[row, :n])


def test_mask_selects_the_counted_steps():
    rng = np.random.default_rng(5)
    model = SequenceModel(network(), 1, "all", seed=0)
    x, y, mask = rng.standard_normal((6, 4, 3)), rng.standard_normal((6, 4, 1)), rng.random((6, 4)) < 0.5
    value, _ = model.loss_and_grads(x, np.where(mask[..., None], y, np.nan), mask=mask)
    np.testing.assert_allclose(value, ((model.predict(x) - y)[mask] ** 2).mean(), rtol=1e-12)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m, x: m.loss_and_grads(x, np.zeros((4, 3))), "y must be numbers of shape"),
        (lambda m, x: m.loss_and_grads(x, np.zeros((4, 2)), loss="cross_entropy"), "y must be classes"),
        (lambda m, x: m.loss_and_grads(x, np.array([0, 1, 2, 0]), loss="cross_entropy"), "y must be classes 0 to 1"),
        (lambda m, x: m.loss_and_grads(x, np.zeros((4, 2)), loss="rmse"), "loss must be one of"),
        (lambda m, x: m.loss_and_grads(x, np.zeros((4, 2)), loss=("mse", 1)), "takes no such parameters"),
        (
            lambda m, x: m.loss_and_grads(x, np.zeros((4, 1)), loss=("quantile", (0.1, 0.5, 0.9))),
            "out_features must be a multiple of",
        ),
        (lambda m, x: m.loss_and_grads(x, np.zeros((4, 2)), sample_weight=[1, 2]), "sample_weight must be"),
        (lambda m, x: m.loss_and_grads(x, np.zeros((4, 2)), sample_weight=[1, 2, -1, 1]), "sample_weight must be"),
        (lambda m, x: m.loss_and_grads(x, np.zeros((4, 2)), mask=np.ones((6, 4), bool)), "mask must be None"),
        (lambda m, x: m.predict(x[..., :2]), "x must have shape"),
        (lambda m, x: m.predict([x[:, 0], x[:, 0, :2]]), r"x\[1\] must have shape"),
        (lambda m, x: m.predict(x, lengths=[1, 2]), "lengths must be integers of shape"),
        (lambda m, x: m.predict(x, lengths=[1, 2, 3, 7]), "lengths must be from 0 to T = 6"),
        (lambda m, x: m.load_state_dict({}), "state_dict must have the keys"),
        (lambda m, x: SequenceModel(m.lstm, 2, "first"), "readout must be one of"),
        (lambda m, x: SequenceModel(m.lstm, 0), "out_features must be"),
        (lambda m, x: SequenceModel(m, 2), "lstm must be an LSTM or RNN"),
        (lambda m, x: SequenceModel(lf.LSTMCell(3, 5), 2), "lstm must be an LSTM or RNN"),
    ],
)
def test_invalid_arguments_raise(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call(SequenceModel(network(), 2, seed=0), np.zeros((6, 4, 3)))


def test_model_can_be_edited_like_a_network():
    model = SequenceModel(network(), 2, seed=0)
    assert list(model.parameters()) == list(model.state_dict()) == list(model.parameter_names)
    with pytest.raises(ValueError, match="read-only"):
        model.parameters()["head.bias"][:] = 1
    with model.edit() as p:
        p["head.bias"][:] = 7
        p["lstm.bias_ih_l0"] = np.arange(20)
    assert (model.head.bias == 7).all()
    assert_same_bits(model.lstm.parameters()["bias_ih_l0"], np.arange(20.0))
    before = model.flat_parameters
    with pytest.raises(ZeroDivisionError), model.edit() as p:
        p["head.bias"][:] = 1 / 0
    assert_same_bits(model.flat_parameters, before)


def test_parts_of_a_model_are_read_only():
    model = SequenceModel(network(), 2, seed=0)
    for name in ("lstm", "out_features", "readout", "head", "dtype", "flat_parameters"):
        with pytest.raises(AttributeError, match=name):
            setattr(model, name, 3)


def test_quantized_network_predicts_but_cannot_be_trained():
    lstm = network(dtype=np.float32)
    small, x = SequenceModel(lstm.quantized(), 2, seed=0), np.ones((4, 3, 3))
    assert np.abs(small.predict(x) - SequenceModel(lstm, 2, seed=0).predict(x)).max() < 2e-3
    with pytest.raises(AttributeError, match="for inference"):
        small.loss_and_grads(x, np.zeros((3, 2)))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("batch_first", [False, True])
def test_data_frames_as_sequences(frame, batch_first):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((n, 2)) for n in (5, 3, 8)]
    frames = [frame({"a": one[:, 0], "b": one[:, 1]}) for one in arrays]

    def trained(x, y, readout, n_outputs):
        model = SequenceModel(lf.LSTM(2, 3, batch_first=batch_first, seed=0), n_outputs, readout, seed=0)
        lf.train.fit(model, x, y, epochs=2, seed=0)
        return model.flat_parameters

    y = np.array([1.0, 2.0, 3.0])
    assert_same_bits(trained(frames, frame({"y": y})["y"], "last", 1), trained(arrays, y, "last", 1))
    assert_same_bits(trained(frames, frames, "all", 2), trained(arrays, arrays, "all", 2))
    assert_same_bits(
        trained(frames[0], frames[0], "all", 2), trained(arrays[:1], arrays[:1], "all", 2)
    )  # one frame, one sequence


@pytest.mark.parametrize("proj_size", [0, 3])
def test_stream_matches_predict_bitwise(proj_size):
    rng = np.random.default_rng(0)
    model = SequenceModel(lf.LSTM(2, 5, num_layers=2, proj_size=proj_size, seed=0), 3, "all", seed=0)
    x = rng.standard_normal((7, 4, 2), np.float32)
    whole, stream = model.predict(x), model.stream(4)
    assert_same_bits(np.stack([stream.step(x[t]).copy() for t in range(3)]), whole[:3])
    assert_same_bits(stream.block(x[3:]), whole[3:])
    one = model.stream()
    assert_same_bits(one.step(x[0, 0]), whole[0, 0])
    one.stream.reset()
    assert_same_bits(one.block(x[:, 0]), whole[:, 0])
    lf.train.fit(model, x, np.zeros((7, 4, 3)), epochs=1, seed=0)
    one.stream.reset()
    assert_same_bits(one.block(x[:, 0]), whole[:, 0])  # until it is told
    one.refresh()
    one.stream.reset()
    assert_same_bits(one.block(x[:, 0]), model.predict(x)[:, 0])
    with pytest.raises(ValueError, match='got "mean"'):
        SequenceModel(lf.LSTM(2, 3), 1, "mean").stream()


def test_initial_head_is_uniform_within_pytorch_bounds():
    for lstm in (lf.LSTM(3, 25, seed=0), lf.LSTM(3, 8, bidirectional=True, proj_size=2, seed=0)):
        bound, flat = lstm.output_size**-0.5, SequenceModel(lstm, 40, seed=0).head.flat
        assert -bound <= flat.min() < -0.9 * bound and 0.9 * bound < flat.max() <= bound
        assert abs(flat.mean()) < 0.1 * bound and len(np.unique(flat)) > 0.9 * len(flat)


@pytest.mark.parametrize("index_input", [False, True])
def test_predict_on_an_empty_list_is_empty(index_input):
    lstm = lf.LSTM(3, 4, index_input=index_input, seed=0)
    assert SequenceModel(lstm, 2, seed=0).predict([]).shape == (0, 2)
    assert SequenceModel(lstm, 2, "all", seed=0).predict([]).shape[-1] == 2
