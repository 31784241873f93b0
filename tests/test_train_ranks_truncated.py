"""fit(comm=, truncate=, burn_in=): each rank carries the state of its own series; one run, one checkpoint."""

import numpy as np
import pytest

from lstm_fast.train import RankError, Trainer
from lstm_fast.train.ranks.batches import RankBatch
from lstm_fast.train.ranks.steps import divided_rows
from optional import needs
from rank_cases import alone, run_on, shard
from rank_truncated_cases import DATA, OPTIONS, drop_out, interrupted, some
from tolerances import assert_same_bits
from truncated_cases import LENGTHS, MASKS, X, Y, model

pytestmark = [needs("safetensors"), pytest.mark.usefixtures("few_steps")]

# ---- the same run ----


def test_one_rank_matches_no_communicator_bitwise():
    options = dict(OPTIONS, make=drop_out, validation=(X[:2], Y[:2]))
    [(flat, history, _)] = run_on(1, DATA, **options)
    expected, plain = alone(DATA, **options)
    assert_same_bits(flat, expected)
    assert history.loss == plain.loss and history.validation_loss == plain.validation_loss


def cases():
    weight, mask = np.linspace(0, 2, 8), X[:, :, 0] > -0.5
    mask[:, 4:8] = False  # a window without weight
    mask[::2, 8:12] = False  # one without weight on one of two ranks
    yield "all at once", DATA, dict(batch_size=8)
    yield "burn-in alone", DATA, dict(batch_size=8, truncate=None, burn_in=5)
    yield "equal lengths", dict(x=X, y=Y), dict(batch_size=4)
    yield "weights and masks", DATA | dict(sample_weight=weight, mask=mask), dict(batch_size=8, burn_in=0)


@pytest.mark.parametrize("data, options", [pytest.param(*case, id=name) for name, *case in cases()])
@pytest.mark.parametrize("start", [False, True], ids=["zero", "learned"])
def test_sharded_windows_match_joined_windows(data, options, start):
    options = OPTIONS | dict(shuffle=False, make=lambda: model(learn_initial_state=start)) | options
    expected, plain = alone(data, **options)
    for size in (2, 4):
        results = run_on(size, data, **options)
        for flat, history, _ in results:
            np.testing.assert_allclose(history.loss, plain.loss, rtol=1e-12)
            np.testing.assert_allclose(history.gradient_norm, plain.gradient_norm, rtol=1e-9)
            np.testing.assert_allclose(flat, expected, rtol=0, atol=1e-10)
            assert_same_bits(flat, results[0][0])


def test_uneven_and_empty_shards_use_each_step_once(monkeypatch):
    """Ranks of 5, 0 and 3 series, two of them too short: each trains on all of its steps, and all finish together."""
    trained, step = {}, RankBatch.loss_and_gradients

    def record(self, *arguments):
        result = step(self, *arguments)
        steps, total = trained.setdefault(self.ranks.rank, ([], []))
        steps.append(self.n_steps)
        total.append(self.n)
        return result

    monkeypatch.setattr(RankBatch, "loss_and_gradients", record)
    results = run_on(3, DATA, **OPTIONS | dict(batch_size=3, make=drop_out), parts=some, lr_schedule="cosine")
    again = run_on(3, DATA, **OPTIONS | dict(batch_size=3, make=drop_out), parts=some, lr_schedule="cosine")
    for (flat, history, _), (other, same, _) in zip(results, again):
        assert_same_bits(flat, results[0][0])
        assert_same_bits(flat, other)
        assert history.loss == same.loss == results[0][1].loss
    counts = np.maximum(0, LENGTHS - 2)
    n_steps = [sum(trained[rank][0]) for rank in range(3)]
    assert n_steps == [4 * counts[:5].sum(), 0, 4 * counts[5:].sum()]  # two epochs, twice
    assert trained[0][1] == trained[1][1] == trained[2][1] and sum(trained[0][1]) == sum(n_steps)
    assert 0 in trained[0][0] or 0 in trained[2][0]  # one of them had finished before


def test_rows_are_divided_so_that_ranks_finish_together():
    assert divided_rows(8, [100, 100], [9, 9]) == [4, 4]
    assert divided_rows(8, [100, 0, 300], [9, 0, 9]) == [2, 0, 6]
    assert divided_rows(8, [100, 300], [9, 2]) == [6, 2]  # not more rows than series
    assert divided_rows(8, [5, 5, 5], [1, 1, 1]) == [1, 1, 1]
    with pytest.raises(ValueError, match="batch_size must be at least 3, one row for each rank that has series .* 2"):
        divided_rows(2, [5, 5, 5], [1, 1, 1])


def test_validation_may_be_a_fraction_or_on_one_rank():
    def on_one(value, rank, size):
        return value if rank == 1 else None

    _, plain = alone(DATA, **OPTIONS | dict(batch_size=8, shuffle=False, validation=(X, Y, LENGTHS)), make=model)
    for parts in (shard, on_one):

        def divided(value, rank, size, parts=parts):
            if isinstance(value, tuple):
                return parts(value, rank, size) if parts is on_one else tuple(shard(one, rank, size) for one in value)
            return shard(value, rank, size)

        data = DATA | dict(validation=(X, Y, LENGTHS))
        for _, history, _ in run_on(3, data, **OPTIONS | dict(batch_size=8, shuffle=False), make=model, parts=divided):
            np.testing.assert_allclose(history.validation_loss, plain.validation_loss, rtol=1e-12)
    losses = {tuple(one.validation_loss) for _, one, _ in run_on(3, DATA, **OPTIONS, make=model, validation=0.3)}
    assert len(losses) == 1 and len(losses.pop()) == 2


# ---- checkpoints ----


@pytest.mark.parametrize("error", [None, KeyboardInterrupt("here")], ids=["signal", "raised"])
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_resume_within_series_is_bitwise(tmp_path, monkeypatch, rank, error):
    options = dict(OPTIONS, make=drop_out, parts=some, validation=0.3, lr_schedule="cosine")
    expected = run_on(3, DATA, **options)
    for at in (1, 2, 6, 9):
        path = tmp_path / str(at)
        with monkeypatch.context() as patch:
            interrupted(patch, at, rank, error)
            results = run_on(3, DATA, **options, checkpoint=path)
        assert all(isinstance(one, KeyboardInterrupt) for one in results), results
        for (flat, history, _), (other, same, _) in zip(
            run_on(3, DATA, **options, checkpoint=path, resume=True), expected
        ):
            assert_same_bits(flat, other)
            assert history.loss == same.loss and history.validation_loss == same.validation_loss


@pytest.mark.parametrize("rnn", [False, True])
def test_clock_of_rank_0_decides_when_all_ranks_save(tmp_path, monkeypatch, rnn):
    """A run killed after any step resumes from the checkpoint of that step, whatever the clocks of other ranks."""
    monkeypatch.setattr(Trainer, "_is_save_due", lambda self: self.ranks.rank != 1)
    options = dict(OPTIONS, make=lambda: model(rnn=rnn, **MASKS), parts=some)
    expected, saved, write = run_on(3, DATA, **options), [], Trainer._write

    def record(self, now):
        write(self, now)
        saved.append((self.ranks.rank, now.batch, now.rows, (tmp_path / "run").read_bytes()))

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_write", record)
        results = run_on(3, DATA, **options, checkpoint=tmp_path / "run")
    assert results[0][2].calls.count("gather") == sum(batch > 0 for _, batch, *_ in saved) > 8
    assert {rank for rank, *_ in saved} == {0}
    assert [rows is None for *_, rows, _ in saved] == [batch == 0 for _, batch, *_ in saved]
    rows = [rows for *_, rows, _ in saved if rows]
    assert all(middle == 0 for _, middle, _ in rows) and [2, 0, 2] in rows and [2, 0, 0] in rows
    for k in range(0, len(saved), 3):
        (tmp_path / "run").write_bytes(saved[k][3])
        for (flat, _, _), (other, _, _) in zip(
            run_on(3, DATA, **options, checkpoint=tmp_path / "run", resume=True), expected
        ):
            assert_same_bits(flat, other)


def test_other_number_of_ranks_resumes_only_between_epochs(tmp_path, monkeypatch):
    path, options = tmp_path / "run", dict(OPTIONS, make=drop_out)
    with monkeypatch.context() as patch:
        interrupted(patch, 3)
        run_on(2, DATA, **options, checkpoint=path)
    within = path.read_bytes()
    for size in (1, 4):
        for error in run_on(size, DATA, **options, checkpoint=path, resume=True):
            assert isinstance(error, (ValueError, RankError)) and "number of ranks must be 2, as in" in str(error)
    with pytest.raises(ValueError, match="the number of ranks must be 2, as in the unfinished epoch of .*, got 1"):
        alone(DATA, **options, checkpoint=path, resume=True)
    assert path.read_bytes() == within
    path.unlink()
    run_on(2, DATA, **options | dict(epochs=1), checkpoint=path)
    first = path.read_bytes()
    for size in (1, 2, 4, None):
        path.write_bytes(first)
        if size is None:
            _, history = alone(DATA, **options, checkpoint=path, resume=True)
        else:
            history = run_on(size, DATA, **options, checkpoint=path, resume=True)[-1][1]
        assert len(history) == 2 and history.loss[1] < history.loss[0]


def test_one_rank_and_one_process_resume_each_other_bitwise(tmp_path, monkeypatch):
    path, options = tmp_path / "run", dict(OPTIONS, make=drop_out)
    expected, _ = alone(DATA, **options)
    with monkeypatch.context() as patch:
        interrupted(patch, 3, rank=0)
        run_on(1, DATA, **options, checkpoint=path)
    within = path.read_bytes()
    assert_same_bits(alone(DATA, **options, checkpoint=path, resume=True)[0], expected)
    path.write_bytes(within)
    assert_same_bits(run_on(1, DATA, **options, checkpoint=path, resume=True)[0][0], expected)


@pytest.mark.parametrize(
    "rows", [[], [4], [1, 1], [2, -1], "ab", [1.0, 3.0], [True, 3], {"a": 1}, [5, 5]], ids=lambda rows: str(rows)
)
def test_damaged_rows_raise(tmp_path, monkeypatch, rows):
    import lstm_fast as lf
    from lstm_fast import _safetensors

    path, options = tmp_path / "run", dict(OPTIONS, make=drop_out)
    interrupted(monkeypatch, 3)
    run_on(2, DATA, **options, checkpoint=path)
    file = _safetensors.read(path)
    tensors = {name: tensor.array(name).copy() for name, tensor in file.tensors.items()}
    assert sum(file.config["rows"]) == 4
    _safetensors.write(path, tensors, file.config | {"rows": rows})
    for error in run_on(2, DATA, **options, checkpoint=path, resume=True):
        assert isinstance(error, (lf.FormatError, RankError)) and "run" in str(error)
