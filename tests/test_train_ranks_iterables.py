"""fit(comm=) with iterables of batches: each rank reads its own, of any number of batches."""

import threading

import numpy as np
import pytest

from lstm_fast.train import RankError, fit, trainer
from lstm_fast.train.ranks import DistributedTrainer
from optional import needs
from rank_cases import alone, on_ranks, run_on
from tolerances import assert_same_bits
from truncated_cases import MASKS, X, Y, model

pytestmark = [needs("safetensors"), pytest.mark.usefixtures("few_steps")]

rng = np.random.default_rng(1)
LENGTHS = [20, 3, 11, 8]


def batches(*sizes, seed=0, lengths=False):
    """Batches of random sequences."""
    rng = np.random.default_rng(seed)
    made = [(rng.standard_normal((n, 20, 3)), rng.standard_normal((n, 20, 1))) for n in sizes]
    return [(*one, np.resize(LENGTHS, len(one[0]))) for one in made] if lengths else made


def of_rank(value, rank, size):
    """The data of each rank, from a list."""
    return value[rank] if isinstance(value, list) else value


def joined(of_all):
    """Batch k of all ranks together."""
    longest = max(map(len, of_all))
    return [
        tuple(np.concatenate(arrays) for arrays in zip(*(one[k] for one in of_all if k < len(one))))
        for k in range(longest)
    ]


def drop_out():
    return model(**MASKS)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert [one.name for one in threading.enumerate() if "prefetch" in one.name] == []


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("options", [{}, dict(truncate=4, burn_in=1)], ids=["whole", "windows"])
def test_iterables_match_joined_batches(lengths, options):
    """Uneven numbers of batches: one rank has none, another continues alone. Windows need equal numbers."""
    sizes = [(3,), (2,), ()] if options else [(3, 1), (2, 2, 4, 1), ()]
    of_all = [batches(*own, seed=k, lengths=lengths) for k, own in enumerate(sizes)]
    expected, plain = alone(dict(x=joined(of_all)), make=model, validation=(X, Y), **options)
    forms = [of_all, [lambda own=own: iter(own) for own in of_all]]
    for form in forms:
        validation = [None, (X, Y), None]
        for flat, history, _ in run_on(
            3, dict(x=form, validation=validation), make=model, parts=of_rank, lr_schedule=None, **options
        ):
            np.testing.assert_allclose(history.loss, plain.loss, rtol=1e-12)
            np.testing.assert_allclose(history.validation_loss, plain.validation_loss, rtol=1e-12)
            np.testing.assert_allclose(flat, expected, rtol=0, atol=1e-10)


def test_schedule_follows_the_longest_iterable_if_all_have_a_length():
    of_all = [batches(2), batches(2, 2, 2)]
    _, plain = alone(dict(x=joined(of_all)), make=model, lr_schedule="linear")
    for _, history, _ in run_on(2, dict(x=of_all), make=model, parts=of_rank, lr_schedule="linear"):
        assert history.learning_rate == plain.learning_rate
    of_all[0] = lambda own=of_all[0]: iter(own)
    for _, history, _ in run_on(2, dict(x=of_all), make=model, parts=of_rank, lr_schedule="linear"):
        np.testing.assert_allclose(history.learning_rate, [1e-2, 2e-2 / 3, 1e-2 / 3])


def test_one_rank_matches_no_communicator_bitwise():
    data = batches(3, 2, lengths=True)
    for options in ({}, dict(truncate=5)):
        expected, plain = alone(dict(x=data), make=drop_out, **options)
        [(flat, history, _)] = run_on(1, dict(x=[data]), make=drop_out, parts=of_rank, **options)
        assert_same_bits(flat, expected)
        assert history.loss == plain.loss
    of_all = [batches(3), batches(2, 2, seed=1)]
    run_on(2, dict(x=[of_all[0], []]), make=drop_out, parts=of_rank, check_loss=True)
    expected = run_on(2, dict(x=of_all), make=drop_out, parts=of_rank, epochs=1)
    again = run_on(2, dict(x=[iter(one) for one in of_all]), make=drop_out, parts=of_rank, epochs=1)
    assert_same_bits(again[1][0], expected[0][0])


@pytest.mark.parametrize("options", [{}, dict(truncate=4, burn_in=3)], ids=["whole", "windows"])
def test_resume_is_bitwise_with_the_same_number_of_ranks(tmp_path, monkeypatch, options):
    of_all = [batches(3, 1, seed=0, lengths=True), batches(2, 2, 4, 1, seed=1, lengths=True), []]
    data, options = dict(x=of_all), dict(make=drop_out, parts=of_rank, epochs=2, **options)
    expected, step, path = run_on(3, data, **options), DistributedTrainer._train_batch, tmp_path / "run"
    for at in (1, 3, 4, 6):
        counts = [0, 0, 0]

        def interrupted(self, *arguments, at=at, counts=counts):
            counts[self.ranks.rank] += 1
            self.ranks._has_signal = counts[1] == at and self.ranks.rank == 1
            step(self, *arguments)

        path.unlink(missing_ok=True)
        with monkeypatch.context() as patch:
            patch.setattr(DistributedTrainer, "_train_batch", interrupted)
            results = run_on(3, data, **options, checkpoint=path)
        assert all(isinstance(one, KeyboardInterrupt) for one in results), results
        within = path.read_bytes()
        for (flat, history, _), (other, same, _) in zip(
            run_on(3, data, **options, checkpoint=path, resume=True), expected
        ):
            assert_same_bits(flat, other)
            assert history.loss == same.loss
    path.write_bytes(within)
    for error in run_on(2, data, **options, checkpoint=path, resume=True):
        assert isinstance(error, (ValueError, RankError)) and "number of ranks must be 3, as in" in str(error)
    short = dict(x=[of_all[0][:0], of_all[1][:0], []])
    for error in run_on(3, short, **options, checkpoint=path, resume=True):
        assert isinstance(error, ValueError) and "must be those of the interrupted call" in str(error)


# ---- errors ----


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("options", [{}, dict(truncate=7)], ids=["whole", "windows"])
def test_failing_iterable_is_raised_on_all_ranks(tmp_path, monkeypatch, at, rank, options):
    monkeypatch.setattr(trainer, "SAVE_SECONDS", 0.0)
    of_all = [batches(2, 2, 2, 2, seed=k) for k in range(3)]

    def broken(own):
        yield from own[:at]
        raise OSError("disk gone")

    of_all[rank] = lambda own=of_all[rank]: broken(own)
    results = run_on(3, dict(x=of_all), make=model, parts=of_rank, checkpoint=tmp_path / "run", **options)
    assert isinstance(results.pop(rank), OSError)
    for one in results:
        assert type(one) is RankError and str(one) == f"rank {rank} failed: OSError: disk gone"


def test_failing_validation_iterable_is_raised_on_all_ranks():
    def broken():
        yield X, Y
        raise OSError("disk gone")

    validation = [batches(2), broken]
    results = run_on(2, dict(x=[batches(2), batches(1)], validation=validation), make=model, parts=of_rank)
    assert type(results[0]) is RankError and isinstance(results[1], OSError)


@pytest.mark.parametrize(
    "x, options, words",
    [
        ([batches(2), X], {}, "x must be an iterable of batches .* where y is None"),
        ([batches(2), iter(batches(2))], {}, "x must be an iterable that can be read again"),
        ([[], []], {}, "x must yield at least one batch in each epoch, got none in epoch 0"),
        ([batches(2), [(X,)]], {}, "x must yield batches .* got 1 values as batch 0"),
        ([batches(2), []], dict(truncate=4, burn_in=20), "x must yield series that are longer than burn_in, 20"),
    ],
)
def test_invalid_iterables_raise(x, options, words):
    results = run_on(2, dict(x=x), make=model, parts=of_rank, **options)
    for error in results:
        with pytest.raises((TypeError, ValueError, RankError), match=words):
            raise error


def test_arrays_on_one_rank_and_batches_on_another_raise():
    def train(comm):
        return fit(model(), *((X, Y) if comm.rank else (batches(2),)), comm=comm)

    for error in on_ranks(2, train):
        assert isinstance(error, ValueError)
        assert "the kind of x must be the same on every rank, got 'an iterable of batches' on rank 0" in str(error)
