"""fit(comm=) when a rank fails or is interrupted: all stop with its error, and checkpoints continue the run."""

import os
import signal

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import Adam, Diverged, FitConfig, RankError, Trainer, batches, checkpoint, fit
from lstm_fast.train.ranks import DistributedTrainer
from lstm_fast.train.ranks.batches import RankBatch
from lstm_fast.train.ranks.shards import RankSequences
from optional import needs
from rank_cases import ThreadComm, on_ranks, shard, shared_by
from tolerances import assert_same_bits
from training_cases import model, sums

pytestmark = needs("safetensors")

OPTIONS = dict(optimizer=Adam(1e-2), epochs=4, batch_size=8, seed=3, num_threads=1, clip_norm=1.0)


def run_on(size, change=lambda comm, arguments: None, **options):
    """The model of each rank, its history or its error; `change` edits the arguments of a rank."""

    def train(comm):
        x, y = sums()
        m = model(num_layers=2, dropout=0.3)
        arguments = dict(x=shard(x, comm.rank, size), y=shard(y, comm.rank, size), comm=comm) | OPTIONS | options
        try:
            change(comm, arguments)
            return m, fit(m, **arguments)
        except (Exception, KeyboardInterrupt) as error:
            return m, error

    return on_ranks(size, train)


def errors(results):
    return [error for _, error in results]


def told(results, rank, kind, words):
    """Check that this rank raised this error, and every other rank a RankError that names it."""
    own = errors(results).pop(rank)
    assert type(own) is kind and words in str(own), own
    for one in errors(results)[:rank] + errors(results)[rank + 1 :]:
        assert type(one) is RankError and one.rank == rank, one
        assert str(one).startswith(f"rank {rank} failed: {kind.__name__}: ") and words in str(one)
    return True


# ---- errors ----


def test_invalid_data_on_one_rank_stop_all_before_any_change():
    def change(comm, arguments):
        if comm.rank == 1:
            arguments["y"] = arguments["y"][:-1]

    before, results = model(num_layers=2, dropout=0.3).flat_parameters, run_on(3, change)
    assert told(results, 1, ValueError, "y must be")
    for m, _ in results:
        assert_same_bits(m.flat_parameters, before)


def test_invalid_settings_on_one_rank_stop_all():
    assert told(run_on(2, lambda comm, arguments: arguments.update(epochs=4 - 4 * comm.rank)), 1, ValueError, "epochs")


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("epochs", 5, "epochs must be the same on every rank, got 4 on rank 0, 5 on rank 2"),
        ("batch_size", 9, "batch_size must be the same on every rank"),
        ("optimizer", Adam(1e-3), "optimizer must be the same on every rank, got 'Adam(lr=0.01"),
        ("loss", "mae", "loss must be the same on every rank, got 'mse' on rank 0, 'mae' on rank 2"),
        ("checkpoint", "run", "checkpoint must be the same"),
        ("lr_schedule", "cosine", "lr_schedule must be the same"),
        ("early_stopping", 3, "early_stopping must be the same"),
    ],
)
def test_different_settings_raise(name, value, words):
    results = run_on(3, lambda comm, arguments: arguments.update({name: value} if comm.rank == 2 else {}))
    for error in errors(results):
        assert isinstance(error, ValueError) and words in str(error)


def test_different_models_raise():
    def train(comm):
        x, y = sums()
        return fit(model(num_layers=1 + comm.rank), shard(x, comm.rank, 2), shard(y, comm.rank, 2), comm=comm)

    for error in on_ranks(2, train):
        assert isinstance(error, ValueError) and "model must be the same on every rank" in str(error)


def failing(monkeypatch, name, rank, error, call=1, owner=DistributedTrainer):
    """Make a method of the trainer fail in one of its calls on this rank."""
    method, counts = getattr(owner, name), {}

    def replacement(self, *arguments):
        counts[self.ranks.rank] = counts.get(self.ranks.rank, 0) + 1
        if self.ranks.rank == rank and counts[rank] == call:
            raise error
        return method(self, *arguments)

    monkeypatch.setattr(owner, name, replacement)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize(
    "owner, name, call",
    [
        (DistributedTrainer, "_check_settings", 1),
        (DistributedTrainer, "_join_validation", 1),
        (DistributedTrainer, "_progress_bar", 1),
        (RankSequences, "draw", 2),
        (RankSequences, "batches", 1),
        (RankSequences, "generator", 2),
        (RankBatch, "loss_and_gradients", 1),
        (RankBatch, "loss_and_gradients", 8),
        (RankBatch, "loss_and_gradients", 12),
        (RankSequences, "own_batches", 2),
        (DistributedTrainer, "_train_batch", 9),
        (DistributedTrainer, "_learning_rate", 6),  # the last batch of an epoch
        (DistributedTrainer, "_validate", 2),
        (DistributedTrainer, "_validation_losses", 1),
        (DistributedTrainer, "_is_stopped", 1),
        (DistributedTrainer, "_is_out_of_patience", 2),
    ],
)
def test_error_anywhere_stops_all(monkeypatch, owner, name, call, size):
    failing(monkeypatch, name, size - 1, MemoryError("no more"), call, owner)
    assert told(run_on(size, validation=0.2), size - 1, MemoryError, "no more")


def test_error_in_passes_or_callback_stops_all(monkeypatch):
    def callback(m, history):
        raise ZeroDivisionError("of the callback")

    assert told(run_on(3, callbacks=[callback]), 0, ZeroDivisionError, "of the callback")
    assert told(run_on(3, callbacks=[lambda m, history: exec("raise OSError('gone')")]), 0, OSError, "gone")
    passes, calls = batches.loss_and_gradients, []

    def failing_pass(*arguments, **options):
        calls.append(None)
        if len(calls) == 10:
            raise RuntimeError("of a pass")
        return passes(*arguments, **options)

    monkeypatch.setattr(batches, "loss_and_gradients", failing_pass)
    results = errors(run_on(3))
    assert sorted(type(one).__name__ for one in results) == ["RankError", "RankError", "RuntimeError"]


def test_unwritable_checkpoint_stops_all(tmp_path):
    assert told(run_on(3, checkpoint=tmp_path / "no" / "folder"), 0, FileNotFoundError, "no/folder")


def test_unreadable_checkpoint_stops_all(tmp_path):
    (tmp_path / "run").write_bytes(b"damaged")
    assert told(run_on(3, checkpoint=tmp_path / "run", resume=True), 0, lf.FormatError, "run")


def test_nonfinite_data_are_reported_with_their_rank():
    def change(comm, arguments):
        if comm.rank == 1:
            arguments["x"][5] = np.full_like(arguments["x"][5], np.nan)

    for m, error in run_on(3, change):
        assert isinstance(error, Diverged) and "rank 1: x of sequence 5 is not finite at step 0" in str(error)
        assert np.isfinite(m.flat_parameters).all()


def test_diverging_ranks_are_detected(monkeypatch):
    step = Adam.step
    trainers = []
    monkeypatch.setattr(
        DistributedTrainer,
        "join",
        lambda self, resume, join=DistributedTrainer.join: (join(self, resume), trainers.append(self)),
    )

    def drifting(self, parameters, *arguments):
        step(self, parameters, *arguments)
        if any(one.optimizer is self and one.ranks.rank == 1 for one in trainers):
            parameters[0] += 1e-3

    monkeypatch.setattr(Adam, "step", drifting)
    results = run_on(3, lambda comm, arguments: arguments.update(optimizer=Adam(1e-2)))
    for error in errors(results):
        assert isinstance(error, RuntimeError) and "rank 1 has different parameters from rank 0 after epoch 0" in str(
            error
        )


def test_rank_errors_can_be_pickled():
    import pickle

    error = pickle.loads(pickle.dumps(RankError(3, "ValueError: x: no")))
    assert error.rank == 3 and str(error) == "rank 3 failed: ValueError: x: no"


# ---- interruption and checkpoints ----


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("call", [4, 12, 16])
def test_interrupted_run_resumes_bitwise(tmp_path, monkeypatch, size, call):
    whole = run_on(size, validation=0.2)
    with monkeypatch.context() as patch:
        failing(patch, "_train_batch", size - 1, KeyboardInterrupt("here"), call)
        results = run_on(size, validation=0.2, checkpoint=tmp_path / "run")
    for _, error in results:
        assert isinstance(error, KeyboardInterrupt)
    assert str(errors(results)[0]) == ("here" if size == 1 else f"rank {size - 1} was interrupted")
    again = run_on(size, validation=0.2, checkpoint=tmp_path / "run", resume=True)
    for (m, history), (other, expected) in zip(again, whole):
        assert_same_bits(m.flat_parameters, other.flat_parameters)
        assert history.loss == expected.loss and history.validation_loss == expected.validation_loss


@pytest.mark.parametrize("size", [1, 2, 4, None])
def test_any_number_of_ranks_resumes_a_checkpoint(tmp_path, monkeypatch, size):
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        failing(patch, "_train_batch", 1, KeyboardInterrupt(), 12)  # in the second epoch
        run_on(3, checkpoint=path)
    if size is None:  # without a communicator
        m = model(num_layers=2, dropout=0.3)
        results = [(m, fit(m, *sums(), **OPTIONS, checkpoint=path, resume=True))]
    else:
        results = run_on(size, checkpoint=path, resume=True)
    fresh = model(num_layers=2, dropout=0.3)
    settings = FitConfig(optimizer=Adam(1e-2))
    now = Trainer(fresh, *sums(), settings).now
    final = checkpoint.load_run(path, fresh, Adam(1e-2), settings, now)
    assert final.step == 4 * 8 and final.epoch == 4
    for m, history in results:
        assert len(history) == 4 and history.loss[:1] == results[0][1].loss[:1]
        assert history.loss[-1] < history.loss[0]
        assert_same_bits(m.flat_parameters, final.flat)


def test_run_of_one_process_continues_with_ranks(tmp_path):
    m, path = model(num_layers=2, dropout=0.3), tmp_path / "run"
    fit(m, *sums(), **OPTIONS | dict(epochs=2), checkpoint=path)
    whole = model(num_layers=2, dropout=0.3)
    fit(whole, *sums(), **OPTIONS)
    [(one, _)] = run_on(1, checkpoint=path, resume=True)
    assert_same_bits(one.flat_parameters, whole.flat_parameters)
    fit(model(num_layers=2, dropout=0.3), *sums(), **OPTIONS | dict(epochs=2), checkpoint=path)
    fit(m, *sums(), **OPTIONS | dict(epochs=2), checkpoint=tmp_path / "other")
    for _, history in run_on(3, checkpoint=tmp_path / "other", resume=True):
        assert len(history) == 4


def test_ctrl_c_stops_after_the_step_and_restores_the_handler(tmp_path):
    """One rank in the main thread, which receives the signals."""
    x, y = sums()
    m, calls = model(), []

    def callback(trained, history):
        calls.append(len(history))
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="rank 0 was interrupted"):
        fit(m, x, y, **OPTIONS, comm=ThreadComm(0, shared_by()), callbacks=[callback], checkpoint=tmp_path / "run")
    assert calls == [1] and (tmp_path / "run").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again, whole = model(), model()
    history = fit(again, x, y, **OPTIONS, comm=ThreadComm(0, shared_by()), checkpoint=tmp_path / "run", resume=True)
    assert history.loss == fit(whole, x, y, **OPTIONS).loss
    assert_same_bits(again.flat_parameters, whole.flat_parameters)


def test_second_ctrl_c_does_not_wait():
    def callback(trained, history):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(model(), *sums(), **OPTIONS, comm=ThreadComm(0, shared_by()), callbacks=[callback])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
