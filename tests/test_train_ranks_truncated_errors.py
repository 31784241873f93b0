"""fit(comm=, truncate=): errors and interruptions of one rank stop all ranks; invalid arguments."""

import numpy as np
import pytest

from lstm_fast.train import Diverged, RankError, SequenceModel, trainer
from lstm_fast.train.ranks import DistributedTrainer, Ranks
from lstm_fast.train.ranks.batches import RankBatch
from lstm_fast.train.ranks.steps import RankSteps
from optional import needs
from rank_cases import run_on
from rank_truncated_cases import DATA, OPTIONS, drop_out, interrupted, some
from truncated_cases import X, Y, model

pytestmark = [needs("safetensors"), pytest.mark.usefixtures("few_steps")]


def failing(patch, owner, name, rank, call=1, error=None):
    method, counts = getattr(owner, name), {}

    def replacement(self, *arguments, **options):
        own = self if isinstance(self, Ranks) else self.ranks
        counts[own.rank] = counts.get(own.rank, 0) + 1
        if own.rank == rank and counts[rank] == call:
            raise error or MemoryError("no more")
        return method(self, *arguments, **options)

    patch.setattr(owner, name, replacement)


@pytest.mark.parametrize(
    "owner, name, call",
    [
        (RankSteps, "join", 1),
        (RankSteps, "draw", 2),
        (RankSteps, "own_batches", 1),
        (RankSteps, "own_batches", 2),
        (RankSteps, "size", 3),
        (RankSteps, "weight", 4),
        (RankBatch, "loss_and_gradients", 2),
        (DistributedTrainer, "_learning_rate", 5),
        (DistributedTrainer, "_save", 1),
        (DistributedTrainer, "_save_states", 2),
        (Ranks, "collect", 2),
        (DistributedTrainer, "_validation_losses", 1),
        (DistributedTrainer, "_is_stopped", 1),
    ],
)
@pytest.mark.parametrize("rank", [0, 2])
def test_error_anywhere_is_raised_on_all_ranks(tmp_path, monkeypatch, owner, name, call, rank):
    monkeypatch.setattr(trainer, "SAVE_SECONDS", 0.0)
    failing(monkeypatch, owner, name, rank, call)
    results = run_on(3, DATA, **OPTIONS, make=model, validation=0.3, parts=some, checkpoint=tmp_path / "run")
    assert isinstance(results.pop(rank), MemoryError)
    assert all(isinstance(one, RankError) and "no more" in str(one) for one in results), results


def test_error_while_states_are_gathered_is_raised_on_all_ranks(tmp_path, monkeypatch):
    """While it is gathered: on the rank that fails, and on rank 0 when it writes."""
    monkeypatch.setattr(trainer, "SAVE_SECONDS", 0.0)
    options = dict(OPTIONS, make=model, parts=some)
    with monkeypatch.context() as patch:
        collect = Ranks.collect

        def failing_action(self, action):
            def fail():
                raise MemoryError("for the state")

            return collect(self, fail if self.rank == 2 else action)

        patch.setattr(Ranks, "collect", failing_action)
        results = run_on(3, DATA, **options, checkpoint=tmp_path / "run")
    assert [type(one) for one in results] == [RankError, RankError, MemoryError]
    results = run_on(3, DATA, **options, checkpoint=tmp_path / "no" / "folder")
    assert [type(one) for one in results] == [FileNotFoundError, RankError, RankError]


def test_error_after_the_last_exchange_is_raised_on_all_ranks(monkeypatch):
    run = DistributedTrainer.run

    def failing_end(self, progress):
        history = run(self, progress)
        if self.ranks.rank == 2:
            raise MemoryError("at the end")
        return history

    monkeypatch.setattr(DistributedTrainer, "run", failing_end)
    assert [type(one) for one in run_on(3, DATA, **OPTIONS, make=model)] == [RankError, RankError, MemoryError]


def test_error_after_an_interrupted_exchange_is_raised_on_all_ranks(monkeypatch, tmp_path):
    interrupted(monkeypatch, 3, rank=0)
    failing(monkeypatch, DistributedTrainer, "_learning_rate", 2, 3)
    results = run_on(3, DATA, **OPTIONS, make=model, checkpoint=tmp_path / "run")
    assert [type(one) for one in results] == [RankError, RankError, MemoryError] and not (tmp_path / "run").exists()


def test_interruption_of_one_rank_within_a_step_keeps_the_previous_checkpoint(tmp_path, monkeypatch):
    path, options = tmp_path / "run", dict(OPTIONS, make=drop_out, parts=some)
    run_on(3, DATA, **options | dict(epochs=1), checkpoint=path)
    first = path.read_bytes()
    with monkeypatch.context() as patch:
        failing(patch, DistributedTrainer, "_learning_rate", 2, 4, KeyboardInterrupt("here"))  # after the exchange
        results = run_on(3, DATA, **options, checkpoint=path, resume=True)
    assert all(isinstance(one, KeyboardInterrupt) for one in results) and path.read_bytes() == first


@pytest.mark.parametrize("error", [ValueError("other"), MemoryError("other")])
def test_error_on_one_rank_and_interruption_of_another_stop_all(tmp_path, monkeypatch, error):
    """One rank is interrupted, and another fails at the same step: no rank waits for a checkpoint."""
    step, calls = RankBatch.loss_and_gradients, {}

    def replacement(self, *arguments):
        rank = self.ranks.rank
        calls[rank] = calls.get(rank, 0) + 1
        if calls[rank] == 3 and rank < 2:
            raise [KeyboardInterrupt("here"), error][rank]
        return step(self, *arguments)

    monkeypatch.setattr(RankBatch, "loss_and_gradients", replacement)
    results = run_on(3, DATA, **OPTIONS, make=model, parts=some, checkpoint=tmp_path / "run")
    assert isinstance(results[0], KeyboardInterrupt) and results[1] is error
    assert isinstance(results[2], (KeyboardInterrupt, RankError))


def test_non_finite_data_are_located_on_their_rank():
    x = X.copy()
    x[6, 13] = np.nan
    for error in run_on(3, DATA | dict(x=x), **OPTIONS, make=model, parts=some):
        assert isinstance(error, Diverged) and "rank 2: x of sequence 1 is not finite at step 13" in str(error)


def test_check_loss_skips_ranks_without_data():
    def loss(p, y):
        return ((p - y) ** 2).mean(axis=1), 2 * (p - y) / p.shape[1]

    def wrong(p, y):
        return ((p - y) ** 2).mean(axis=1), p - y

    options = dict(OPTIONS, make=model, parts=some, check_loss=True)
    for truncation in ({}, dict(truncate=None, burn_in=0)):
        results = run_on(3, DATA, **options | truncation, loss=loss)
        assert not any(isinstance(one, Exception) for one in results), results
        for flat, _, _ in results:
            assert np.isfinite(flat).all()
        results = run_on(3, DATA, **options | truncation, loss=wrong)
        assert all("is not the gradient of its loss" in str(one) for one in results)


def test_invalid_arguments_raise():
    for options, words in [
        (dict(burn_in=20), "burn_in must be below the length of the longest series, 20"),
        (dict(batch_size=1), "batch_size must be at least 2, one row for each rank"),
    ]:
        for error in run_on(3, DATA, **OPTIONS | options, make=model, parts=some):
            assert isinstance(error, ValueError) and words in str(error)
    last = lambda: SequenceModel(model().lstm, 1, seed=0)  # noqa: E731
    errors = run_on(2, dict(x=X, y=Y[:, 0]), **OPTIONS, make=last)
    assert all("readout=" in str(error) for error in errors)
