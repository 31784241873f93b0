"""Parameters that are loaded into a model while fit trains it: training continues with them, or an error names them."""

import threading

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import SGD, Diverged, FitConfig, FleetModel, SequenceModel, Trainer, fit
from optional import needs
from rank_cases import on_ranks, shard
from tolerances import assert_same_bits
from training_cases import model, run, sums

OPTIONS = dict(optimizer=SGD(0.1), batch_size=8, shuffle=False, seed=0)


def halve(model, history=None):
    model.load_flat_parameters(0.5 * model.flat_parameters)


def in_parts(make, data=None, n=2):
    """The model after n runs of one epoch, with `halve` after each."""
    m = make()
    for _ in range(n):
        fit(m, *(data or sums()), epochs=1, **OPTIONS)
        halve(m)
    return m


def test_training_continues_with_parameters_that_a_callback_loads():
    m, expected = model(), in_parts(model)
    history = fit(m, *sums(), epochs=2, callbacks=[halve], **OPTIONS)
    assert_same_bits(m.flat_parameters, expected.flat_parameters)
    assert history.fingerprint == lf.fingerprint(expected)


def test_edits_and_changes_of_the_network_alone_count_too():
    def edit(model, history):
        with model.lstm.edit() as p:
            p.flat *= 0.5

    m, expected = model(), model()
    fit(m, *sums(), epochs=2, callbacks=[edit], **OPTIONS)
    for _ in range(2):
        fit(expected, *sums(), epochs=1, **OPTIONS)
        edit(expected, None)
    assert_same_bits(m.flat_parameters, expected.flat_parameters)


def test_fleets_continue_with_them():
    def make():
        return FleetModel(lf.Fleet([lf.LSTM(2, 3, batch_first=True, seed=k) for k in range(3)]), 1, seed=0)

    x, y = ([one] * 3 for one in sums())
    m, expected = make(), in_parts(make, (x, y))
    fit(m, x, y, epochs=2, callbacks=[halve], **OPTIONS)
    assert_same_bits(m.flat_parameters, expected.flat_parameters)


def test_all_ranks_continue_with_them():
    def train(comm):
        x, y = sums()
        m = model()
        options = OPTIONS | dict(shuffle=False)
        fit(m, shard(x, comm.rank, 3), shard(y, comm.rank, 3), epochs=2, comm=comm, callbacks=[halve], **options)
        return m.flat_parameters

    flats = on_ranks(3, train)
    for flat in flats:
        assert_same_bits(flat, flats[0])
    np.testing.assert_allclose(flats[0], in_parts(model).flat_parameters, rtol=1e-5, atol=1e-6)


@needs("safetensors")
def test_checkpoints_hold_them(tmp_path):
    def stop(model, history):
        halve(model)
        return len(history) == 1

    m, whole = model(), model()
    fit(whole, *sums(), epochs=2, callbacks=[halve], **OPTIONS)
    fit(model(), *sums(), epochs=2, callbacks=[stop], checkpoint=tmp_path / "run", **OPTIONS)
    fit(m, *sums(), epochs=2, callbacks=[halve], checkpoint=tmp_path / "run", resume=True, **OPTIONS)
    assert_same_bits(m.flat_parameters, whole.flat_parameters)


def test_an_error_of_the_callback_keeps_them():
    m = model()

    def fail(model, history):
        model.load_flat_parameters(np.ones_like(model.flat_parameters))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(m, epochs=2, callbacks=[fail])
    assert (m.flat_parameters == 1).all()


def test_early_stopping_restores_the_parameters_that_had_the_best_loss():
    m, at_best = model(), []

    def callback(model, history):
        at_best.append(model.flat_parameters)
        model.load_flat_parameters(at_best[-1] + len(history))  # worse each time

    history = run(m, epochs=9, early_stopping=2, callbacks=[callback])
    assert_same_bits(m.flat_parameters, at_best[history.best_epoch])


def test_parameters_that_are_not_finite_are_reported():
    with pytest.raises(Diverged, match="epoch 1: the parameters that were loaded into the model are not finite"):
        run(model(), epochs=2, callbacks=[lambda m, _: m.load_flat_parameters(np.nan * m.flat_parameters)])


def test_parameters_loaded_before_the_run_count():
    m, expected = model(), model()
    trainer = Trainer(m, *sums(), FitConfig(epochs=1, **OPTIONS))
    halve(m)
    trainer.run()
    halve(expected)
    fit(expected, *sums(), epochs=1, **OPTIONS)
    assert_same_bits(m.flat_parameters, expected.flat_parameters)


@pytest.mark.parametrize("is_fleet", [False, True])
def test_changes_within_an_epoch_are_an_error(is_fleet):
    fleet = lf.Fleet([lf.LSTM(2, 3, batch_first=True, seed=k) for k in range(3)])
    m = FleetModel(fleet, 1, seed=0) if is_fleet else model()
    x, y = ([one] * 3 for one in sums()) if is_fleet else sums()

    def loss(prediction, target):
        m.load_flat_parameters(np.ones_like(m.flat_parameters))
        return (prediction - target)[:, 0] ** 2, 2 * (prediction - target)

    with pytest.raises(RuntimeError, match="model: its parameters were changed during an epoch of fit"):
        fit(m, x, y, loss=loss, epochs=1, **OPTIONS)
    assert (m.flat_parameters == 1).all()


def test_two_runs_that_train_one_network_at_once_are_an_error():
    lstm, errors, gate = lf.LSTM(2, 3, batch_first=True, seed=0), [], threading.Barrier(2)

    def train():
        model = SequenceModel(lstm, 1, seed=0)

        def loss(prediction, target):
            gate.wait(5)
            return (prediction - target)[:, 0] ** 2, 2 * (prediction - target)

        try:
            fit(model, *sums(), loss=loss, epochs=2, **OPTIONS)
        except RuntimeError as error:
            errors.append(str(error))
            gate.abort()

    others = [threading.Thread(target=train) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert any("changed during an epoch of fit" in error for error in errors)


def test_callbacks_cannot_change_the_history_of_the_run():
    def clear(model, history):
        for values in (history.loss, history.validation_loss, history.seconds):
            values.clear()

    options = dict(epochs=6, early_stopping=2, validation=0.2)
    m, undisturbed = model(), model()
    history, expected = run(m, callbacks=[clear], **options), run(undisturbed, **options)
    assert history.loss == expected.loss and history.best_epoch == expected.best_epoch
    assert_same_bits(m.flat_parameters, undisturbed.flat_parameters)
