"""fit(comm=): the run of one process, divided among ranks. The ranks are threads; test_train_mpi.py has processes."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from lstm_fast.train import SGD, fit
from lstm_fast.train.batches import SequenceBatches
from lstm_fast.train.ranks import ranks
from lstm_fast.train.ranks.shards import RankSequences, batch_cuts
from optional import needs
from rank_cases import alone, double, on_ranks, run_on, shard, uneven
from tolerances import assert_same_bits
from training_cases import model, sums

pytestmark = needs("safetensors")


# ---- the same run ----


def test_one_rank_matches_no_communicator_bitwise():
    options = dict(make=lambda: model(num_layers=2, dropout=0.3), validation=0.2, early_stopping=2)
    [(flat, history, _)] = run_on(1, **options)
    expected, plain = alone(**options)
    assert_same_bits(flat, expected)
    assert history.loss == plain.loss and history.validation_loss == plain.validation_loss
    assert history.fingerprint == plain.fingerprint


def cases():
    rng = np.random.default_rng(1)
    x, y = sums(n=45)
    lengths = np.array([len(one) for one in x])
    padded = np.zeros((45, 12, 2))
    for one, row in zip(x, padded):
        row[: len(one)] = one
    steps, weight = rng.standard_normal((45, 12, 1)), rng.random(45) * (rng.random(45) > 0.2)
    mask = rng.random((45, 12)) > 0.3
    yield "lists", double(), dict(x=x, y=y)
    yield "equal lengths", double(), dict(x=padded, y=y)
    yield "lengths and weights", double("mean"), dict(x=padded, y=y, lengths=lengths, sample_weight=weight)
    yield "every step", double("all"), dict(x=padded, y=steps)
    yield "mask", double("all"), dict(x=padded, y=steps, lengths=lengths, mask=mask)
    yield "mask and weights", double("all"), dict(x=padded, y=steps, mask=mask, sample_weight=weight)
    mask = mask & (np.arange(45) % 3 != 1)[:, None]  # one of three ranks has zero weight
    yield "a shard without weight", double("all"), dict(x=padded, y=steps, mask=mask)
    yield "fewer than ranks", double(), dict(x=padded[:3], y=y[:3])


@pytest.mark.parametrize("make, data", [pytest.param(*case, id=name) for name, *case in cases()])
def test_sharded_training_matches_joined_batches(make, data):
    expected, plain = alone(data, make=make, shuffle=False)
    for size in (2, 3, 4):
        results = run_on(size, data, make=make, shuffle=False)
        for flat, history, _ in results:
            np.testing.assert_allclose(history.loss, plain.loss, rtol=1e-12)
            np.testing.assert_allclose(history.gradient_norm, plain.gradient_norm, rtol=1e-9)
            np.testing.assert_allclose(flat, expected, rtol=0, atol=1e-10)
            assert_same_bits(flat, results[0][0])


def test_shuffled_batches_match_one_process(monkeypatch):
    drawn, draw = {}, RankSequences.draw

    def record(self, rng, epoch):
        n = draw(self, rng, epoch)
        begin = [0, 31, 31, 40][self.ranks.rank]
        drawn.setdefault(epoch, {})[self.ranks.rank] = [begin + rows for rows in self.batch_rows]
        return n

    monkeypatch.setattr(RankSequences, "draw", record)
    results = run_on(4, make=double(), parts=uneven)
    joined = [
        [np.concatenate(parts) for parts in zip(*(one[rank] for rank in range(4)))] for _, one in sorted(drawn.items())
    ]
    x, _ = sums()
    lengths = np.array([len(one) for one in x])
    for batches in joined:
        assert sorted(map(len, batches)) == [4] + [8] * 7
        assert sorted(np.concatenate(batches)) == list(range(60))
        spread = [np.ptp(lengths[rows]) for rows in batches]
        assert np.mean(spread) < 4  # similar lengths at the same time on all ranks
    assert not np.array_equal(joined[0][0], joined[1][0])

    def draw_joined(self, rng, epoch):
        self.batch_rows = joined[epoch]
        return len(self.batch_rows)

    monkeypatch.setattr(SequenceBatches, "draw", draw_joined)
    expected, plain = alone(make=double())
    for flat, history, _ in results:
        np.testing.assert_allclose(history.loss, plain.loss, rtol=1e-12)
        np.testing.assert_allclose(flat, expected, rtol=0, atol=1e-10)


def test_float32_ranks_are_about_as_accurate_as_one_process():
    exact, rounded = alone(make=double(), shuffle=False)[1], alone(shuffle=False)[1]
    distributed = run_on(3, shuffle=False)[0][1]
    errors = [np.abs(np.subtract(one.loss, exact.loss)).max() for one in (rounded, distributed)]
    assert errors[1] < 3 * errors[0] + 1e-7


@pytest.mark.parametrize("small, n_calls", [(2**30, 1), (0, 2)])
def test_bits_depend_only_on_the_number_of_ranks(monkeypatch, small, n_calls):
    make = lambda: model(num_layers=2, dropout=0.3, recurrent_dropout=0.2)  # noqa: E731
    first = run_on(3, make=make, parts=lambda value, rank, size: shard(value, rank, size))
    monkeypatch.setattr(ranks, "SMALL", small)
    second = run_on(3, make=make)
    for flat, history, comm in second:
        assert_same_bits(flat, first[0][0])
        assert history.loss == first[0][1].loss
        n_steps = 3 * -(-60 // 8)
        assert sum(name in ("Allgather", "Alltoall") for name in comm.calls) == n_calls * n_steps


@pytest.mark.parametrize("small", [2**30, 0])
@pytest.mark.parametrize("n", [1, 5, 20_000])
def test_means_are_summed_in_float64_in_rank_order(monkeypatch, small, n):
    monkeypatch.setattr(ranks, "SMALL", small)
    rng = np.random.default_rng(0)
    gradients, weights = rng.standard_normal((3, n)).astype(np.float32), [3.0, 0.0, 4.5]
    gradients[1] = np.nan  # of no weight

    def mean(comm):
        own = ranks.Ranks(comm)
        own.prepare(n, np.dtype(np.float32))
        part = ranks.Part(0.5 + comm.rank, weights[comm.rank], gradients[comm.rank])
        return [own.mean(lambda: part) for _ in range(2)]

    expected = gradients[0].astype(float) * (3 / 7.5) + gradients[2].astype(float) * (4.5 / 7.5)
    for results in on_ranks(3, mean):
        for loss, weight, gradient, *_ in results:
            assert_same_bits(gradient, expected.astype(np.float32))
            assert loss == 3 / 7.5 * 0.5 + 4.5 / 7.5 * 2.5 and weight == 7.5


def test_masks_differ_between_ranks():
    """The same sequences on both ranks: with the same masks, the gradient would be that of one of them."""
    data = dict(x=np.ones((8, 5, 2)), y=np.ones((8, 1)))
    make = lambda: model(num_layers=2, dropout=0.5)  # noqa: E731
    options = dict(epochs=1, optimizer=SGD(0.1), shuffle=False, make=make, parts=lambda value, rank, size: value)
    one, two = run_on(1, data, batch_size=8, **options), run_on(2, data, batch_size=16, **options)
    assert np.abs(one[0][0] - two[0][0]).max() > 1e-4


def test_simulated_ranks_match_threads_bitwise(monkeypatch):
    """benchmarks/ranks.py: its collectives, message by message, and its model."""
    monkeypatch.syspath_prepend(Path(__file__).resolve().parent.parent / "benchmarks")
    benchmark = importlib.import_module("ranks")
    monkeypatch.setattr(ranks, "SMALL", 0)
    network = benchmark.Network(4, 1e-6, 1e12)
    results = on_ranks(4, lambda comm: train_on(benchmark.SlowComm(network, comm.rank), sums()))
    expected = on_ranks(4, lambda comm: train_on(comm, sums()))
    for flat, other in zip(results, expected):
        assert_same_bits(flat, other)
    assert benchmark.exchange(10**6, 1e-3, 1e9, (0, 0), 4) == pytest.approx(3e-3 + 1.5 * 4e-3)
    assert benchmark.efficiencies(16, 8, 0, 1e12, (0, 0), 1.0)[1000] == pytest.approx(1, abs=1e-6)


def train_on(comm, data):
    m, (x, y), rank = model(), data, comm.Get_rank()
    fit(m, shard(x, rank, 4), shard(y, rank, 4), epochs=1, batch_size=8, seed=3, num_threads=1, comm=comm)
    return m.flat_parameters


def test_batch_cuts_follow_the_global_order():
    rng = np.random.default_rng(0)
    for _ in range(100):
        sizes, batch_size = rng.integers(0, 30, rng.integers(1, 7)).tolist(), int(rng.integers(1, 12))
        order = sorted(((2 * i + 1) / n, rank) for rank, n in enumerate(sizes) for i in range(n))
        cuts = [batch_cuts(sizes, rank, batch_size) for rank in range(len(sizes))]
        for k in range(-(-len(order) // batch_size)):
            batch = [rank for _, rank in order[k * batch_size : (k + 1) * batch_size]]
            assert [one[k + 1] - one[k] for one in cuts] == [batch.count(rank) for rank in range(len(sizes))]
