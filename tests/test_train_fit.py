"""fit: it learns, from one seed the same bits on any threads, goes on from a file bit for bit, stops when it must."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import SGD, Adam, AdamW, Diverged, SequenceModel, fit, load
from lstm_fast.train.data import Sequences, batches
from tolerances import assert_same_bits

pytest.importorskip("safetensors")


def sums(n=60, seed=0):
    """Sequences of different lengths and the mean of their inputs."""
    rng = np.random.default_rng(seed)
    x = [rng.standard_normal((k, 2)) for k in rng.integers(1, 12, n)]
    return x, np.array([one.sum() / len(one) for one in x])[:, None]


def model(seed=0, readout="last", out=1, **options):
    return SequenceModel(lf.LSTM(2, 8, batch_first=True, seed=seed, **options), out, readout, seed=seed)


def run(m, *, epochs=4, n_threads=1, **options):
    x, y = sums()
    options = dict(optimizer=Adam(1e-2), batch_size=8, seed=3, num_threads=n_threads, clip_norm=1.0) | options
    return fit(m, x, y, epochs=epochs, **options)


def test_the_generator_of_the_network_is_left_alone():
    options = dict(num_layers=2, dropout=0.3)
    trained, other = model(**options), model(**options)
    run(trained, epochs=1)
    x = np.ones((3, 5, 2))
    masks = [m.lstm.forward(x)[2].options.seed for m in (trained, other)]
    assert masks[0] == masks[1]


# ---- learning ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer", [SGD(0.1, momentum=0.9), SGD(0.1, 0.9, nesterov=True), Adam(1e-2), AdamW(1e-2)], ids=repr
)
@pytest.mark.parametrize("readout", ["last", "mean"])
def test_the_loss_falls_by_far(optimizer, readout):
    m = model(readout=readout)
    history = run(m, epochs=40, optimizer=optimizer, validation=0.2)
    assert history.loss[-1] < 0.1 * history.loss[0] and history.validation_loss[-1] < 0.5 * history.validation_loss[0]
    assert len(history) == len(history.gradient_norm) == len(history.seconds) == len(history.learning_rate) == 40


def test_classes_are_learned():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90)
    x = [np.eye(3)[[k] * 4] + 0.3 * rng.standard_normal((4, 3)) for k in y]
    m = SequenceModel(lf.LSTM(3, 8, batch_first=True, seed=0), 3, seed=0)
    fit(m, x, y, loss="cross_entropy", optimizer=Adam(1e-2), epochs=25, seed=0)
    assert (m.predict(x).argmax(axis=1) == y).mean() > 0.97


def test_quantiles_split_the_data():
    rng = np.random.default_rng(0)
    x, y = np.ones((400, 2, 2)), rng.standard_normal((400, 1))
    m = model(out=3)
    fit(m, x, y, loss=("quantile", (0.1, 0.5, 0.9)), optimizer=Adam(3e-2), epochs=40, seed=0, lr_schedule="cosine")
    below = (y < m.predict(x)).mean(axis=0)
    np.testing.assert_allclose(below, (0.1, 0.5, 0.9), atol=0.05)


# ---- bits ----------------------------------------------------------------------------------------------------------


def test_one_seed_gives_the_same_bits_on_any_threads():
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


@pytest.mark.parametrize("epochs", [1, 3])
def test_resuming_gives_the_bits_of_one_go(tmp_path, epochs):
    options = dict(num_layers=2, dropout=0.3)
    whole, parts = model(**options), model(**options)
    want = run(whole, epochs=5, validation=0.2)
    run(
        parts,
        epochs=5,
        validation=0.2,
        checkpoint=tmp_path / "run",
        callbacks=[lambda m, history: len(history) == epochs],
    )
    fresh = model(seed=9, **options)
    got = run(fresh, epochs=5, validation=0.2, checkpoint=tmp_path / "run", resume=True, n_threads=2)
    assert_same_bits(fresh.flat_parameters, whole.flat_parameters)
    assert got.loss == want.loss and got.validation_loss == want.validation_loss and got.best_epoch == want.best_epoch


def test_interrupt_leaves_a_file_from_which_another_process_goes_on_bit_for_bit(tmp_path):
    script = textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from lstm_fast.train import Trainer
        from test_train_fit import model, run
        step, count = Trainer._train_batch, [0]
        def interrupted(self, *a):
            count[0] += 1
            if count[0] == 13: os.kill(os.getpid(), signal.SIGINT)  # in the middle of the second epoch
            return step(self, *a)
        if sys.argv[1] == "first": Trainer._train_batch = interrupted
        m = model(num_layers=2, dropout=0.3)
        try:
            run(m, checkpoint={str(tmp_path / "run")!r}, resume=True, n_threads=int(sys.argv[2]))
        except KeyboardInterrupt:
            print("interrupted")
        print(m.flat_parameters.tobytes().hex())
    """)
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True
        ).stdout.split()
        for words in (("first", "1"), ("second", "2"))
    ]
    assert outputs[0][0] == "interrupted" and len(outputs[1]) == 1
    whole = model(num_layers=2, dropout=0.3)
    run(whole)
    assert bytes.fromhex(outputs[1][0]) == whole.flat_parameters.tobytes() != bytes.fromhex(outputs[0][1])


# ---- stopping ------------------------------------------------------------------------------------------------------


def test_early_stopping_puts_the_best_parameters_back():
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
def test_nan_in_the_data_is_named_with_epoch_and_batch(where, words):
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


def test_a_diverged_loss_is_named_and_the_model_stays_finite():
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


def test_batches_hold_each_sequence_once_and_similar_lengths():
    x, _y = sums(200)
    data = Sequences(lf.LSTM(2, 4, batch_first=True), x)
    groups = batches(np.random.default_rng(0), data, 8, True)
    assert sorted(np.concatenate(groups)) == list(range(200))
    assert np.mean([np.ptp(data.lengths[group]) for group in groups]) < 2
    again = batches(np.random.default_rng(1), data, 8, True)
    assert not all(np.array_equal(a, b) for a, b in zip(groups, again))


# ---- files ---------------------------------------------------------------------------------------------------------


def test_a_saved_model_predicts_the_same_bits(tmp_path):
    x, _ = sums()
    for k, m in enumerate(
        [
            model(),
            model(
                num_layers=2,
                bidirectional=True,
                proj_size=3,
                peepholes=True,
                activation=("elu", 0.5),
                zoneout=(0.1, 0.2),
            ),
            SequenceModel(lf.RNN(2, 5, nonlinearity="relu", batch_first=True, dtype=np.float64), 2, "mean"),
        ]
    ):
        m.save(tmp_path / "m.safetensors")
        again = load(tmp_path / "m.safetensors")
        assert repr(again) == repr(m), k
        assert_same_bits(again.predict(x), m.predict(x))
    assert os.listdir(tmp_path) == ["m.safetensors"]
    from safetensors.numpy import load_file

    assert "lstm.weight_ih_l0" in load_file(tmp_path / "m.safetensors")


def test_damaged_and_foreign_files_are_format_errors(tmp_path):
    path = tmp_path / "m.safetensors"
    model().save(path)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [data[:n] for n in (0, 7, 8, 100, len(data) // 2, len(data) - 1)] + [
        b"x" * 50,
        data + b"x",
        rng.bytes(500),
    ]
    header = int.from_bytes(data[:8], "little")
    for old, new in (
        ("lstm_fast", "lstm_slow"),
        ('version":"1', 'version":"9'),
        ("LSTM", "GRUU"),
        ("last", "lost"),
        ("weight_ih_l0", "weight_ih_l9"),
    ):
        text = data[8 : 8 + header].decode()
        assert old in text
        damaged.append(data[:8] + text.replace(old, new).encode() + data[8 + header :])
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(lf.FormatError):
            load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    model().save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk gone")))
    with pytest.raises(OSError, match="disk gone"):
        model(seed=1).save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["m.safetensors"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    run(model(), epochs=1, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="checkpoint .* must be of this model"):
        run(model(num_layers=2), checkpoint=tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match="checkpoint .* must be of this optimizer"):
        run(model(), optimizer=Adam(5e-3), checkpoint=tmp_path / "run", resume=True)
    with pytest.raises(lf.FormatError, match="must hold a model, got a run"):
        load(tmp_path / "run")
    with pytest.raises(ValueError, match="resume needs checkpoint"):
        run(model(), resume=True)


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
        (dict(validation="half"), "validation must be"),
        (dict(shuffle=1), "shuffle must be"),
    ],
)
def test_wrong_arguments_are_named_and_change_nothing(options, words):
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


def test_a_subclass_is_not_saved_as_what_it_is_not(tmp_path):
    class Mine(lf.LSTM):
        pass

    with pytest.raises(TypeError, match="model.lstm must be an LSTM or RNN, got Mine, a subclass"):
        SequenceModel(Mine(2, 3), 1).save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_validation_counts_the_steps_of_its_mask_alone():
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


def test_a_mask_of_one_sequence_without_an_axis_of_the_batch():
    rng = np.random.default_rng(0)
    x, y, mask = rng.standard_normal((9, 2)), rng.standard_normal((9, 1)), rng.random(9) < 0.5
    models = [SequenceModel(lf.LSTM(2, 3, batch_first=True, seed=0), 1, "all", seed=0) for _ in range(2)]
    fit(models[0], x, y, mask=mask, epochs=2, seed=0)
    fit(models[1], x[None], y[None], mask=mask[None], epochs=2, seed=0)
    assert_same_bits(models[0].flat_parameters, models[1].flat_parameters)
