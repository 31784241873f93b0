"""fit(comm=) with validation, early stopping, callbacks and checkpoints: decided once, for all ranks."""

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import SGD, Adam, FleetModel, SequenceModel, fit
from lstm_fast.train.ranks import ranks
from optional import needs
from rank_cases import ThreadComm, alone, double, on_ranks, run_on, shard, shared_by, uneven
from tolerances import assert_same_bits
from training_cases import model, run, sums

pytestmark = needs("safetensors")


def test_validation_covers_all_shards():
    x, y = sums()
    held_out = sums(20, seed=5)
    _, plain = alone(make=double(), shuffle=False, validation=held_out)

    def with_validation(parts):
        def train(comm):
            m = double()()
            validation = parts(comm.rank)
            options = dict(optimizer=Adam(1e-2), epochs=3, batch_size=8, seed=3, clip_norm=1.0, shuffle=False)
            own = (shard(x, comm.rank, 3), shard(y, comm.rank, 3))
            return fit(m, *own, validation=validation, comm=comm, **options)

        return on_ranks(3, train)

    for parts in (
        lambda rank: (shard(held_out[0], rank, 3), shard(held_out[1], rank, 3)),
        lambda rank: held_out if rank == 1 else None,
    ):
        for history in with_validation(parts):
            np.testing.assert_allclose(history.validation_loss, plain.validation_loss, rtol=1e-12)


def test_fraction_is_held_out_of_each_shard():
    results = run_on(4, parts=uneven, validation=0.25)
    assert len({tuple(history.validation_loss) for _, history, _ in results}) == 1
    assert len(results[0][1].validation_loss) == 3
    for error in run_on(4, {"x": np.ones((4, 3, 2)), "y": np.ones((4, 1))}, validation=0.25):
        assert isinstance(error, ValueError) and "validation must hold at least one sequence" in str(error)


def test_early_stopping_is_decided_once_and_restores_the_best_parameters():
    results = run_on(3, epochs=60, early_stopping=2, validation=0.3, optimizer=Adam(0.05))
    assert len({len(history) for _, history, _ in results}) == 1 and len(results[0][1]) < 60
    for flat, history, _ in results:
        assert_same_bits(flat, results[0][0])
        assert history.fingerprint == results[0][1].fingerprint


def test_callbacks_checkpoints_and_progress_run_on_rank_0(tmp_path, monkeypatch):
    calls, bars = [], []

    def train(comm):
        x, y = sums()
        m = model()

        def callback(trained, history):
            calls.append((comm.rank, trained is m))
            return len(history) == 2

        path = tmp_path / str(comm.rank)
        own = shard(x, comm.rank, 3), shard(y, comm.rank, 3)
        return fit(m, *own, epochs=9, seed=0, comm=comm, callbacks=[callback], checkpoint=path, progress=True)

    from lstm_fast.train import trainer
    from lstm_fast.train.progress_bar import NoBar

    monkeypatch.setattr(trainer, "progress_bar", lambda is_shown, *_: bars.append(is_shown) or NoBar())
    histories = on_ranks(3, train)
    assert [len(history) for history in histories] == [2, 2, 2] and calls == [(0, True)] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["0"] and sorted(bars) == [False, False, True]


def test_all_start_from_the_parameters_of_rank_0():
    def train(comm):
        x, y = sums()
        m = SequenceModel(lf.LSTM(2, 8, batch_first=True, dropout=0.2, num_layers=2), 1)
        before = m.flat_parameters
        fit(m, shard(x, comm.rank, 3), shard(y, comm.rank, 3), optimizer=SGD(1e-9), epochs=2, comm=comm)
        return before, m.flat_parameters

    results = on_ranks(3, train)
    for _, after in results:
        assert_same_bits(after, results[0][1])
        np.testing.assert_allclose(after, results[0][0], atol=1e-6)


def test_ranks_of_one_machine_share_its_processors(monkeypatch):
    monkeypatch.setattr(ranks.os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    assert on_ranks(4, lambda comm: ranks.Ranks(comm).processors_of_each()) == [3] * 4
    monkeypatch.setattr(ranks.socket, "gethostname", lambda: str(id(object())))  # each rank on its own machine
    names = iter("aabc")
    monkeypatch.setattr(ranks.socket, "gethostname", lambda: next(names))
    assert sorted(on_ranks(4, lambda comm: ranks.Ranks(comm).processors_of_each())) == [6, 6, 12, 12]


def test_fleet_with_comm_raises_and_fleets_per_rank_match_one_fleet_bitwise():
    """The recipe of docs/machines.md."""
    K, rng = 5, np.random.default_rng(0)
    x, y = rng.standard_normal((K, 12, 6, 1)), rng.standard_normal((K, 12, 1))

    def trained(own):
        fleet = lf.Fleet([lf.LSTM(1, 3, batch_first=True, dropout=0.2, num_layers=2, seed=k) for k in own])
        fleet_model = FleetModel(fleet, 1, seed=own)
        options = dict(epochs=2, batch_size=4, seed=own, validation=0.25, num_threads=1)
        fit(fleet_model, x[own], y[own], **options)
        return fleet_model

    def on_rank(comm):
        own = list(range(K)[comm.rank :: comm.Get_size()])
        parts = comm.gather(dict(zip(own, trained(own))))
        if comm.rank == 0:
            models = {k: one for part in parts for k, one in part.items()}
            return FleetModel.from_models([models[k] for k in range(K)]).flat_parameters

    whole = trained(list(range(K)))
    for size in (1, 2, 4):
        assert_same_bits(on_ranks(size, on_rank)[0], whole.flat_parameters)
    with pytest.raises(ValueError, match="comm must be None for a FleetModel, .* fit a FleetModel .* on each rank"):
        fit(whole, x, y, comm=ThreadComm(0, shared_by()))


def test_invalid_communicator_raises():
    with pytest.raises(TypeError, match="comm must be a communicator of mpi4py .*, got builtins.int|got int"):
        run(model(), comm=3)
    assert isinstance(ThreadComm, type)
