"""fit: it learns, is bitwise reproducible, stops early, reports divergence, validates its arguments."""

from contextlib import nullcontext

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import SGD, Adam, AdamW, Diverged, SequenceModel, Trainer, fit
from lstm_fast.train.batches import draw_batches
from lstm_fast.train.data import Sequences
from lstm_fast.train.progress_bar import NoBar
from optional import needs
from tolerances import assert_same_bits
from training_cases import model, run, sums

pytestmark = needs("safetensors")


def test_fit_does_not_use_the_generator_of_the_network():
    options = dict(num_layers=2, dropout=0.3)
    trained, other = model(**options), model(**options)
    run(trained, epochs=1)
    x = np.ones((3, 5, 2))
    masks = [m.lstm.forward(x)[2].options.seed for m in (trained, other)]
    assert masks[0] == masks[1]


# ---- learning ----


@pytest.mark.parametrize(
    "optimizer", [SGD(0.1, momentum=0.9), SGD(0.1, 0.9, nesterov=True), Adam(1e-2), AdamW(1e-2)], ids=repr
)
@pytest.mark.parametrize("readout", ["last", "mean"])
def test_the_loss_decreases(optimizer, readout):
    m = model(readout=readout)
    history = run(m, epochs=40, optimizer=optimizer, validation=0.2)
    assert history.loss[-1] < 0.1 * history.loss[0] and history.validation_loss[-1] < 0.5 * history.validation_loss[0]
    assert len(history) == len(history.gradient_norm) == len(history.seconds) == len(history.learning_rate) == 40


def test_classification_is_learned():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90)
    x = [np.eye(3)[[k] * 4] + 0.3 * rng.standard_normal((4, 3)) for k in y]
    m = SequenceModel(lf.LSTM(3, 8, batch_first=True, seed=0), 3, seed=0)
    fit(m, x, y, loss="cross_entropy", optimizer=Adam(1e-2), epochs=25, seed=0)
    assert (m.predict(x).argmax(axis=1) == y).mean() > 0.97


def test_predicted_quantiles_split_the_data():
    rng = np.random.default_rng(0)
    x, y = np.ones((400, 2, 2)), rng.standard_normal((400, 1))
    m = model(out=3)
    fit(m, x, y, loss=("quantile", (0.1, 0.5, 0.9)), optimizer=Adam(3e-2), epochs=40, seed=0, lr_schedule="cosine")
    below = (y < m.predict(x)).mean(axis=0)
    np.testing.assert_allclose(below, (0.1, 0.5, 0.9), atol=0.05)


# ---- bits ----


def test_bits_depend_on_seed_not_on_threads():
    options = dict(num_layers=2, dropout=0.3, recurrent_dropout=0.2, zoneout=0.1)
    results = []
    for n_threads in (1, 3):
        m = model(**options)
        history = run(m, n_threads=n_threads, validation=0.25)
        results.append((m.flat_parameters, history.loss, history.validation_loss))
    assert_same_bits(results[0][0], results[1][0])
    assert results[0][1:] == results[1][1:]
    other = model(**options)
    run(other, seed=4, validation=0.25)
    assert not np.array_equal(other.flat_parameters, results[0][0])


# ---- stopping ----


def test_early_stopping_restores_the_best_parameters():
    m, seen = model(), []
    history = run(
        m,
        epochs=200,
        optimizer=Adam(0.3),
        validation=sums(20, seed=1),
        early_stopping=3,
        callbacks=[lambda m, history: seen.append(m.flat_parameters)],
    )
    assert len(history) < 200 and history.best_epoch == int(np.argmin(history.validation_loss)) == len(history) - 4
    assert_same_bits(m.flat_parameters, seen[history.best_epoch])


@pytest.mark.parametrize(
    "where, words", [("x", "x of sequence 7 is not finite at step 2"), ("y", "y of sequence 7 is not finite")]
)
def test_nan_in_the_data_raises_with_epoch_and_batch(where, words):
    x, y = sums()
    x[7] = np.ones((5, 2))
    if where == "x":
        x[7][2, 1] = np.nan
    else:
        y[7] = np.inf
    m = model()
    with pytest.raises(Diverged, match=r"epoch 0, batch \d+: loss .*" + words):
        fit(m, x, y, batch_size=8, seed=0)
    assert np.isfinite(m.flat_parameters).all()


@pytest.mark.parametrize("where", ["x", "y"])
def test_nonfinite_validation_loss_is_divergence(where):
    x, y = sums()
    held_out = {"x": [one.copy() for one in x[:4]], "y": y[:4].copy()}
    held_out[where][3:] = [np.nan * held_out[where][3]]
    for validation, cause in (
        (tuple(held_out.values()), f". {where} of sequence 3 is not finite"),
        ([tuple(held_out.values())], ""),
    ):
        m = model()
        with pytest.raises(Diverged, match=f"epoch 0, validation: loss nan{cause}"):
            fit(m, x, y, validation=validation, early_stopping=2, seed=0)
        assert np.isfinite(m.flat_parameters).all()


def test_training_without_counted_predictions_raises():
    x, y, mask = np.ones((6, 5, 2)), np.ones((6, 5)), np.zeros((6, 5), bool)

    def check(model, *data, **options):
        with pytest.raises(ValueError, match="x must have predictions that count.*got none.* all are masked"):
            fit(model, *data, seed=0, epochs=2, **options)

    last, steps = (SequenceModel(lf.LSTM(2, 3, batch_first=True, seed=0), 1, one, seed=0) for one in ("last", "all"))
    check(last, x, y[:, 0], sample_weight=np.zeros(6))
    for nothing in ({"mask": mask}, {"sample_weight": np.zeros(6)}, {"lengths": np.zeros(6, int)}):
        check(steps, x, y, **nothing)
        fleet = SequenceModel(lf.Fleet([steps.lstm, last.lstm]), 1, "all", seed=0)
        check(fleet, [x] * 2, [y] * 2, **{name: [None, value] for name, value in nothing.items()})
    check(steps, x, y, mask=mask, truncate=2)
    check(steps, [(x, y, None, mask)])


def test_divergence_raises_and_the_model_stays_finite():
    m = model()
    with pytest.raises(Diverged, match=r"epoch \d+, batch \d+"), np.errstate(all="ignore"):
        run(m, optimizer=SGD(1e30), clip_norm=None, epochs=5)
    assert np.isfinite(m.flat_parameters).all()


def test_clipping_bounds_the_step():
    x, y = sums()
    m = model(dtype=np.float64)
    before = m.flat_parameters
    history = fit(m, x, 1e6 * y, optimizer=SGD(1.0), epochs=1, batch_size=60, clip_norm=0.5, seed=0)
    assert abs(np.linalg.norm(m.flat_parameters - before) - 0.5) < 1e-9 and history.gradient_norm[0] > 1e3


def test_schedules_scale_the_learning_rate():
    for schedule, last in (
        ("linear", 1 / 32),
        ("cosine", (1 + np.cos(np.pi * 31 / 32)) / 2),
        (lambda progress: 0.25, 0.25),
    ):
        history = run(model(), epochs=4, lr_schedule=schedule)
        np.testing.assert_allclose(history.learning_rate[-1], 1e-2 * last)


def test_batches_cover_each_sequence_once_with_similar_lengths():
    x, _ = sums(200)
    data = Sequences(lf.LSTM(2, 4, batch_first=True), x)
    batches = draw_batches(np.random.default_rng(0), data, 8, True)
    assert sorted(np.concatenate(batches)) == list(range(200))
    assert np.mean([np.ptp(data.lengths[batch]) for batch in batches]) < 2
    again = draw_batches(np.random.default_rng(1), data, 8, True)
    assert not all(np.array_equal(a, b) for a, b in zip(batches, again))


def test_lengths_are_sorted_within_32_batches():
    """The number is part of the meaning of a seed: another one would give different batches and bits."""
    lengths = np.random.default_rng(3).permutation(200)
    data = Sequences(model().lstm, np.zeros((200, 200, 2)), lengths)
    rng = np.random.default_rng(0)
    rows, batches = rng.permutation(200), draw_batches(np.random.default_rng(0), data, 2, True)
    for begin in range(0, 200, 64):
        part = set(rows[begin : begin + 64])
        assert all(part.isdisjoint(batch) or part.issuperset(batch) for batch in batches)
        own = np.sort([lengths[batch[0]] for batch in batches if batch[0] in part])
        assert np.array_equal(own, np.sort(lengths[list(part)])[::2])


# ---- arguments ----


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(optimizer="adam"), "optimizer must be SGD, Adam or AdamW"),
        (dict(epochs=0), "epochs must be"),
        (dict(batch_size=0), "batch_size must be"),
        (dict(clip_norm=0), "clip_norm must be"),
        (dict(early_stopping=0), "early_stopping must be"),
        (dict(lr_schedule="step"), "lr_schedule must be"),
        (dict(validation=1.0), "validation must leave sequences"),
        (dict(validation=0.001), "validation must leave sequences"),
        (dict(validation="half"), "validation must be"),
        (dict(shuffle=1), "shuffle must be"),
    ],
)
def test_invalid_arguments_raise_and_change_nothing(options, words):
    m = model()
    before = m.flat_parameters
    with pytest.raises((ValueError, TypeError), match=words):
        run(m, **options)
    assert_same_bits(m.flat_parameters, before)


def test_progress_shows_steps_their_rate_and_the_time_left(capsys):
    x = [np.ones((n, 2)) for n in (1, 2, 3, 4)]
    lf.train.fit(
        lf.train.SequenceModel(lf.LSTM(2, 3, batch_first=True), 1),
        x,
        np.zeros(4),
        epochs=7,
        batch_size=3,
        progress=True,
    )
    shown = capsys.readouterr().err
    assert "70.0/70.0 [00:00<00:00" in shown and "step/s" in shown  # 7 epochs of 10 steps, padding not counted


def test_progress_of_a_resumed_run_starts_where_it_stopped(tmp_path, monkeypatch):
    begins = []

    def bar(is_shown, total, done):
        begins.append((total, done))
        return NoBar()

    class Stopped(Exception):
        pass

    def stopped(trainer, *arguments):
        if trainer.now.step == 5:  # two epochs of two batches, and one batch
            trainer._save()
            raise Stopped
        return train_batch(trainer, *arguments)

    x, options = np.ones((8, 3, 2)), dict(epochs=4, batch_size=4, seed=0, checkpoint=tmp_path / "run")
    train_batch = Trainer._train_batch
    monkeypatch.setattr("lstm_fast.train.trainer.progress_bar", bar)
    for resume in (False, True):
        with monkeypatch.context() as patch, pytest.raises(Stopped) if not resume else nullcontext():
            if not resume:
                patch.setattr(Trainer, "_train_batch", stopped)
            fit(model(), x, np.zeros(8), resume=resume, **options)
    assert begins == [(96, 0), (96, 60)]


def test_validation_counts_only_masked_steps():
    rng = np.random.default_rng(0)
    x, y, mask = rng.standard_normal((6, 5, 2)), rng.standard_normal((6, 5, 1)), rng.random((6, 5)) < 0.5
    garbage = np.where(mask[:, :, None], y, 1e6)
    losses = [
        fit(
            SequenceModel(lf.LSTM(2, 3, batch_first=True, seed=0), 1, "all", seed=0),
            x,
            y,
            epochs=2,
            seed=0,
            validation=(x, targets, None, mask),
        ).validation_loss
        for targets in (y, garbage)
    ]
    assert losses[0] == losses[1] and losses[0][0] < 100


def test_unbatched_mask():
    rng = np.random.default_rng(0)
    x, y, mask = rng.standard_normal((9, 2)), rng.standard_normal((9, 1)), rng.random(9) < 0.5
    models = [SequenceModel(lf.LSTM(2, 3, batch_first=True, seed=0), 1, "all", seed=0) for _ in range(2)]
    fit(models[0], x, y, mask=mask, epochs=2, seed=0)
    fit(models[1], x[None], y[None], mask=mask[None], epochs=2, seed=0)
    assert_same_bits(models[0].flat_parameters, models[1].flat_parameters)
