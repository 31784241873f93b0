"""Data and settings of fit that used to be misread: dtypes of lists and lengths, resumed calls, validation."""

import dataclasses
import inspect

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import SGD, FitConfig, fit

pytestmark = pytest.mark.usefixtures("few_steps")

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 12, 1))
Y = X.cumsum(axis=1)


def make():
    return lf.train.SequenceModel(lf.LSTM(1, 3, batch_first=True, seed=0), 1, readout="all", seed=0)


def loss(x=X, y=Y, **options):
    return fit(make(), x, y, epochs=1, seed=0, shuffle=False, **options).loss[0]


def test_lists_of_mixed_dtypes_keep_all_values():
    x = [np.round(3 * X[0]).astype(int), X[1]]
    assert loss(x, [Y[0], Y[1]], truncate=100) == pytest.approx(loss(x, [Y[0], Y[1]]), rel=1e-6)
    zeros = [np.zeros((12, 1), int), Y[1]]
    assert loss(list(X), zeros, truncate=100) == pytest.approx(loss(list(X), zeros), rel=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint32, np.uint64])
def test_lengths_of_small_and_unsigned_dtypes(dtype):
    want = loss(lengths=np.array([12, 10]), truncate=4)
    assert loss(lengths=np.array([12, 10], dtype), truncate=np.int8(4), burn_in=np.uint8(0)) == want


def test_masked_arrays_raise_with_and_without_truncation():
    for x, y, name in ((np.ma.masked_array(X, X > 1), Y, "x"), (X, np.ma.masked_array(Y, Y > 1), "y")):
        for truncate in (None, 4):
            with pytest.raises(TypeError, match=f"{name} must be a plain array, got a masked array"):
                loss(x, y, truncate=truncate)


def test_masked_windows_do_not_dilute_the_mean_loss():
    mask = np.zeros((2, 12), bool)
    mask[:, -2:] = True
    whole = loss(mask=mask, truncate=12, optimizer=SGD(1e-9))
    for truncate in (2, 5):
        assert loss(mask=mask, truncate=truncate, optimizer=SGD(1e-9)) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("validation", [[], [(X[:0], Y[:0])]], ids=["nothing", "empty batch"])
def test_validation_without_predictions(validation):
    with pytest.raises(ValueError, match="validation"):
        fit(make(), X, Y, validation=lambda: iter(validation), epochs=1, seed=0)


def test_one_pass_validation_raises_for_several_epochs():
    with pytest.raises(ValueError, match="validation must be an iterable that can be read again"):
        fit(make(), X, Y, validation=iter([(X, Y)]), epochs=2, seed=0)
    assert len(fit(make(), X, Y, validation=iter([(X, Y)]), epochs=1, seed=0).validation_loss) == 1


def interrupted(path, after, **options):
    """A run that ends after some batches, with a checkpoint, and a model with other weights to resume it."""
    n = 0

    def stop(p, y):
        nonlocal n
        n += 1
        if n > after:
            raise KeyboardInterrupt
        return float(((p - y) ** 2).mean()), 2 * (p - y) / p.size

    with pytest.raises(KeyboardInterrupt):
        fit(make(), X, Y, loss=stop, checkpoint=path, **options)


@pytest.mark.parametrize("changed", [{"truncate": 3}, {"batch_size": 1}, {"shuffle": False}, {"burn_in": 1}])
def test_resuming_within_an_epoch_requires_the_same_batches(tmp_path, changed):
    options = dict(truncate=2, seed=0, epochs=1)
    interrupted(tmp_path / "run", 2, **options)
    with pytest.raises(ValueError, match=next(iter(changed))):
        fit(make(), X, Y, checkpoint=tmp_path / "run", resume=True, **options | changed)


def test_resuming_with_a_shorter_iterable(tmp_path):
    batches, n = [(X, Y)] * 4, 0

    def stop(p, y):
        nonlocal n
        n += 1
        if n > 3:
            raise KeyboardInterrupt
        return float(((p - y) ** 2).mean()), 2 * (p - y) / p.size

    with pytest.raises(KeyboardInterrupt):
        fit(make(), batches, loss=stop, checkpoint=tmp_path / "run", epochs=1)
    with pytest.raises(ValueError, match="the data must be those of the interrupted call"):
        fit(make(), batches[:1], checkpoint=tmp_path / "run", resume=True, epochs=1)


def test_held_out_sequences_stay_held_out_without_a_seed(tmp_path):
    x = np.repeat(np.arange(20.0), 3).reshape(20, 3, 1)
    seen = []

    def mse(p, y):
        seen.append(set(np.unique(y)))
        if len(seen) == 4:
            raise KeyboardInterrupt
        return float(((p - y) ** 2).mean()), 2 * (p - y) / p.size

    options = dict(validation=0.2, batch_size=16, epochs=2, loss=mse, checkpoint=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        fit(make(), x, x, **options)
    trained, held_out = seen[0], seen[1]
    fit(make(), x, x, **options, resume=True)
    assert trained.isdisjoint(held_out) and all(one in (trained, held_out) for one in seen)


def test_invalid_settings_raise():
    for name, value in (("burn_in", None), ("burn_in", 0.0), ("validation", float("nan")), ("validation", np.inf)):
        with pytest.raises(ValueError, match=name):
            loss(**{name: value})
    with pytest.raises(ValueError, match="sample_weight must be finite"):
        loss(sample_weight=[1, np.inf])


def test_nonfinite_values_in_the_burn_in_raise():
    x = X.copy()
    x[1, 2] = np.nan
    with pytest.raises(lf.train.Diverged, match="x of sequence 1 is not finite at step 2"):
        loss(x, burn_in=5, truncate=4)


@pytest.mark.parametrize("fleet", [False, True])
def test_predictions_are_zero_in_the_padding(fleet):
    model = make()
    x, lengths = rng.standard_normal((4, 12, 1)), np.array([3, 12, 0, 7])
    if fleet:
        model, x, lengths = lf.train.FleetModel.from_models([model] * 2), np.stack([x, x]), np.stack([lengths] * 2)
    together = model.predict(x, lengths=lengths)
    assert np.array_equal(model.predict(x, lengths=lengths, batch_size=1), together)
    is_padding = np.arange(12) >= lengths[..., None]
    assert not together[is_padding].any() and together[~is_padding].all()


def test_defaults_of_a_configuration_are_those_of_fit():
    of_fit = {name: one.default for name, one in inspect.signature(fit).parameters.items()}
    fields = {one.name: one.default for one in dataclasses.fields(FitConfig)}
    assert {name: of_fit[name] for name in fields} == fields


def test_targets_of_steps_without_an_axis_of_sequences_are_named():
    model = lf.train.SequenceModel(lf.LSTM(1, 3, seed=0), 1, readout="all", seed=0)  # steps first
    with pytest.raises(ValueError, match="y must be numbers of shape"):
        model.loss_and_grads(np.zeros((5, 2, 1)), np.zeros(5))


def test_the_progress_bar_shows_the_mean_loss_of_the_epoch(monkeypatch):
    from lstm_fast.train import trainer
    from lstm_fast.train.progress_bar import NoBar

    shown = []

    class Bar(NoBar):
        def set_postfix(self, **values):
            shown.append(values["loss"])

    monkeypatch.setattr(trainer, "progress_bar", lambda *_: Bar())
    history = fit(make(), np.concatenate([X, X, X]), np.concatenate([Y, Y, Y]), epochs=1, batch_size=2, seed=0)
    assert shown[-1] == f"{history.loss[0]:.4g}"
