"""fit of a FleetModel: each model is trained bitwise as in a separate call."""

import dataclasses

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import SGD, Adam, AdamW, FleetModel, SequenceModel, fit, load

K = 5


def models(K=K, out=1, readout="last", seed=None, I=2, **options):
    """Models with their own seeds, or with one seed for their heads."""
    options = {"batch_first": True} | options
    return [SequenceModel(lf.LSTM(I, 6, seed=k, **options), out, readout, seed=k) for k in range(K)]


def data(K=K, N=13, T=7, I=2, out=1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((K, N, T, I)).astype(np.float32), rng.standard_normal((K, N, out))


def of(value, k):
    """Select the part of model k."""
    return None if value is None else value[k]


def check(alone, x, y, seed=0, validation=None, lengths=None, sample_weight=None, mask=None, **options):
    """Compare a fleet with separate models; return the histories of the fleet."""
    model = FleetModel.from_models(alone)
    data_of_all = {"lengths": lengths, "sample_weight": sample_weight, "mask": mask}
    histories = fit(model, x, y, seed=seed, validation=validation, epochs=3, batch_size=4, **data_of_all, **options)
    for k, one in enumerate(alone):
        own_validation = validation if np.isscalar(validation) or validation is None else [of(v, k) for v in validation]
        own_seed = seed if np.isscalar(seed) or seed is None else seed[k]
        own = {name: of(value, k) for name, value in data_of_all.items()}
        history = fit(
            one, x[k], y[k], seed=own_seed, validation=own_validation, epochs=3, batch_size=4, **own, **options
        )
        expected, got = dataclasses.asdict(history), dataclasses.asdict(histories[k])
        assert expected.pop("seconds") and got.pop("seconds")
        assert got == expected, k
        assert lf.fingerprint(model[k]) == lf.fingerprint(one) == histories[k].fingerprint
        p = model.predict(x, lengths)[k]
        assert p.tobytes() == one.predict(x[k], of(lengths, k)).tobytes()
    return histories


@pytest.mark.parametrize("readout", ["last", "mean", "all"])
@pytest.mark.parametrize(
    "options", [{}, {"bidirectional": True, "num_layers": 2, "dropout": 0.3}, {"batch_first": False, "zoneout": 0.2}]
)
def test_readouts_and_options(readout, options):
    x, y = data()
    y = np.repeat(y[:, :, None], 7, axis=2) + x[..., :1] if readout == "all" else y
    if not options.get("batch_first", True):
        x, y = x.swapaxes(1, 2), y.swapaxes(1, 2) if readout == "all" else y
    check(models(readout=readout, **options), x, y, seed=list(range(K)))


@pytest.mark.parametrize("optimizer", [None, SGD(0.1), SGD(0.1, 0.9, True, 0.1), AdamW(1e-2), Adam(1e-2, (0.8, 0.9))])
def test_optimizers_schedules_clipping(optimizer):
    check(models(), *data(), optimizer=optimizer, lr_schedule="cosine", clip_norm=0.5)


@pytest.mark.parametrize("loss", ["mae", "huber", ("quantile", (0.1, 0.9)), "cross_entropy", "bce", "own"])
def test_losses(loss):
    out = 1 if loss in ("mae", "huber", "own") else 2
    x, y = data(out={"bce": 2}.get(loss, 1))
    y = (y[..., 0] > 0).astype(int) if loss == "cross_entropy" else (y > 0) * 1.0 if loss == "bce" else y
    if loss == "own":
        loss = lambda p, y: (((p - y) ** 4).mean(axis=1), 4 * (p - y) ** 3 / p.shape[1])  # noqa: E731
    check(models(out=out), x, y, loss=loss)


@pytest.mark.parametrize("readout", ["last", "mean", "all"])
def test_lengths_weights_and_masks(readout):
    rng = np.random.default_rng(0)
    x, y = data()
    lengths = rng.integers(1, 8, (K, 13))
    lengths[2] = 7
    mask = None
    if readout == "all":
        y, mask = np.repeat(y[:, :, None], 7, axis=2), rng.random((K, 13, 7)) < 0.8
    check(models(readout=readout), x, y, lengths=lengths, sample_weight=rng.random((K, 13)), mask=mask)


def test_data_of_different_sizes():
    rng = np.random.default_rng(0)
    sizes = [(4, 3), (9, 7), (13, 7), (13, 5), (1, 2)]
    x = [rng.standard_normal((N, T, 2)).astype(np.float32) for N, T in sizes]
    y = [rng.standard_normal((N, 1)) for N, _ in sizes]
    check(models(), x, y, shuffle=False)
    lists = [[rng.standard_normal((int(T), 2)) for T in rng.integers(1, 9, N)] for N, _ in sizes]
    check(models(), lists, y, validation=None)


def test_validation_and_early_stopping():
    x, y = data(N=20)
    histories = check(models(), x, y, seed=[3, 1, 4, 1, 5], validation=0.3, optimizer=Adam(3e-2), early_stopping=1)
    assert len({len(one) for one in histories}) > 1, "all models stopped at the same epoch: the test shows nothing"
    other = data(N=6, T=4, seed=1)
    check(models(), x, y, validation=other, early_stopping=2, optimizer=SGD(0.5))
    assert histories.stacked("loss").shape == (K, 3) and np.isnan(histories.stacked("loss")).any()


def test_diverging_model_stops_alone():
    x, y = data()
    x[3, 0, 0] = np.nan
    model = FleetModel(lf.Fleet([one.lstm for one in models()]), 1, seed=0)
    with pytest.warns(RuntimeWarning, match="1 of 5 models diverged .* model 3: epoch 0, batch"):
        histories = fit(model, x, y, epochs=2, seed=0, batch_size=4)
    assert list(histories.diverged) == [3] and len(histories[3]) == 0 and len(histories[4]) == 2
    assert np.isfinite(model.flat_parameters).all()


def test_a_model_whose_validation_loss_is_not_finite_stops_alone():
    (x, y), (held_out, targets) = data(), data(N=6, seed=1)
    targets[3, 0] = np.nan
    model = FleetModel(lf.Fleet([one.lstm for one in models()]), 1, seed=0)
    with pytest.warns(RuntimeWarning, match="1 of 5 models diverged .* model 3: epoch 0, validation: loss nan"):
        histories = fit(model, x, y, epochs=4, seed=0, validation=(held_out, targets), early_stopping=2)
    assert list(histories.diverged) == [3] and len(histories[3]) == 0 and len(histories[4]) > 1
    assert np.isfinite(model.flat_parameters).all()


def test_a_model_of_a_fleet_needs_the_number_of_outputs():
    with pytest.raises(ValueError, match="out_features must be a positive integer, got 0"):
        SequenceModel(lf.Fleet([one.lstm for one in models()]))


def test_callbacks_get_current_parameters_and_can_stop():
    seen, model = [], SequenceModel(lf.Fleet([one.lstm for one in models()]), 1, seed=0)
    assert isinstance(model, FleetModel)

    def callback(model, histories):
        seen.append(lf.fingerprint(model))
        return len(seen) == 2

    histories = fit(model, *data(), epochs=9, seed=0, callbacks=[callback])
    assert len(histories[0]) == 2 and len(set(seen)) == 2 and seen[-1] == lf.fingerprint(model)


def test_interrupted_fit_keeps_finished_steps(monkeypatch):
    model, before = FleetModel(lf.Fleet([one.lstm for one in models()]), 1, seed=0), []

    def callback(model, histories):
        before.append(model.flat_parameters)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, *data(), epochs=9, seed=0, callbacks=[callback])
    assert np.array_equal(model.flat_parameters, before[0])


def test_models_files_and_parameters(tmp_path):
    each = models(out=2, readout="mean")
    model = FleetModel.from_models(each)
    assert len(model) == K and model.out_features == 2 and model.readout == "mean" and model.fleet.hidden_size == 6
    model.save(tmp_path / "models.safetensors")
    loaded = load(tmp_path / "models.safetensors")
    assert isinstance(loaded, FleetModel) and lf.fingerprint(loaded) == lf.fingerprint(model)
    assert repr(loaded) == "FleetModel(Fleet of 5 LSTM(2, 6, batch_first=True), 2, readout='mean')"
    assert [lf.fingerprint(one) for one in loaded] == [lf.fingerprint(one) for one in each]
    FleetModel.from_models(each[:1]).save(tmp_path / "one.safetensors")
    assert lf.fingerprint(load(tmp_path / "one.safetensors")[0]) == lf.fingerprint(each[0])
    model[1] = each[3]
    assert lf.fingerprint(model[1]) == lf.fingerprint(each[3]) != lf.fingerprint(model[2])
    with model.edit() as p:
        p["head.bias"][:] = 0
        p["lstm.bias_hh_l0"][:] = 1
    assert not model[0].head.bias.any() and (model.fleet[4].parameters()["bias_hh_l0"] == 1).all()
    single = FleetModel(lf.Fleet([one.lstm for one in each]), 2, "mean", seed=list(range(K)))
    assert [lf.fingerprint(one) for one in single] == [lf.fingerprint(one) for one in each]


def test_invalid_arguments_raise():
    model = FleetModel(lf.Fleet([one.lstm for one in models()]), 1, seed=0)
    x, y = data()
    for match, call in {
        "fleet must be a Fleet": lambda: FleetModel([], 1),
        r"models\[1\] must be a SequenceModel": lambda: FleetModel.from_models([models()[0], None]),
        r"out_features of models\[1\]": lambda: FleetModel.from_models([models()[0], models(out=2)[1]]),
        "x must have an entry for each of 5 models": lambda: fit(model, x[:3], y),
        "model 0: y must be numbers": lambda: fit(model, x, y[:, :2]),
        "model 0: x must have shape": lambda: fit(model, x[..., :1], y),
        "seed must be an integer": lambda: fit(model, x, y, seed=[1, 2]),
        "checkpoint must not be set for a FleetModel": lambda: fit(model, x, y, checkpoint="run"),
        "validation must leave sequences": lambda: fit(model, x, y, validation=0.01),
        "model 2: x must hold": lambda: fit(model, [*x[:2], x[2, :0], *x[3:]], [*y[:2], y[2, :0], *y[3:]]),
        "out_features of the model must be 1": lambda: model.__setitem__(0, models(out=2)[0]),
    }.items():
        before = model.flat_parameters
        with pytest.raises((ValueError, TypeError), match=match):
            call()
        assert np.array_equal(model.flat_parameters, before)
