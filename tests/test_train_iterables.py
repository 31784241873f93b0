"""Data larger than memory: memory-mapped arrays, and iterables of batches read ahead by one thread."""

import threading
import time
import traceback
import tracemalloc

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import Adam, SequenceModel, Trainer, fit
from lstm_fast.train.prefetch import prefetched
from optional import needs, require
from tolerances import assert_same_bits

pytestmark = needs("safetensors")

rng = np.random.default_rng(0)
X, Y = rng.standard_normal((11, 9, 3)), rng.standard_normal((11, 9, 1))
LENGTHS = rng.integers(0, 10, 11)
BATCHES = [(X[k : k + 4], Y[k : k + 4]) for k in range(0, 11, 4)]
WITH_LENGTHS = [(*batch, LENGTHS[4 * k : 4 * k + 4]) for k, batch in enumerate(BATCHES)]
OPTIONS = dict(epochs=3, seed=0, optimizer=Adam(1e-2))


def model(readout="all", seed=0, **options):
    options = dict(num_layers=2, dropout=0.2, batch_first=True) | options
    return SequenceModel(lf.LSTM(3, 4, seed=seed, **options), 1, readout, seed=seed)


def trained(*data, **options):
    m = model()
    history = fit(m, *data, **OPTIONS | options)
    return m.flat_parameters, history


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert [one.name for one in threading.enumerate() if "prefetch" in one.name] == []


# ---- iterables ----


@pytest.mark.parametrize("form", ["list", "function", "loader"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
def test_iterable_batches_match_arrays_bitwise(form, lengths):
    class Loader:
        def __iter__(self):
            return iter(batches)

    batches = BATCHES if lengths is None else WITH_LENGTHS
    x = {"list": batches, "function": lambda: (one for one in batches), "loader": Loader()}[form]
    want, history = trained(X, Y, lengths=lengths, batch_size=4, shuffle=False, validation=(X, Y, lengths))
    got, other = trained(x, validation=batches if form == "list" else x)
    assert_same_bits(got, want)
    assert other.loss == history.loss and other.gradient_norm == history.gradient_norm
    np.testing.assert_allclose(other.validation_loss, history.validation_loss, rtol=1e-12)


@needs("torch")
def test_data_loader_batches_match_arrays_bitwise():
    from torch import from_numpy
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(from_numpy(X), from_numpy(Y)), batch_size=4)
    want, _ = trained(X, Y, batch_size=4, shuffle=False, lr_schedule="cosine")
    assert_same_bits(trained(loader, lr_schedule="cosine")[0], want)


@pytest.mark.parametrize("of_batch", [np.asarray, list, lambda one: require("torch").from_numpy(one)])
@pytest.mark.parametrize("options", [{}, {"truncate": 4}], ids=["whole", "windows"])
def test_an_iterable_may_fill_the_same_arrays_for_every_batch(of_batch, options):
    x, y, mask = np.empty((4, 9, 3), np.float32), np.empty((4, 9, 1)), np.empty((4, 9), bool)

    def batches(copied):
        for k in range(8):
            x[...], y[...], mask[...] = X[k : k + 4], Y[k : k + 4], X[k : k + 4, :, 0] < 1
            own = (x.copy(), y.copy()) if copied else (of_batch(x), of_batch(y))
            yield *own, None, mask.copy() if copied else mask

    want, history = trained(list(batches(True)), validation=list(batches(True)), **options)
    got, other = trained(lambda: batches(False), validation=lambda: batches(False), **options)
    assert_same_bits(got, want)
    assert other.validation_loss == history.validation_loss


def test_truncated_batches():
    want, history = trained(X, Y, batch_size=11, shuffle=False, truncate=4, burn_in=1, lengths=LENGTHS)
    got, other = trained([(X, Y, LENGTHS)], truncate=4, burn_in=1)
    assert_same_bits(got, want)
    assert history.loss == other.loss
    assert len(trained(WITH_LENGTHS, truncate=4)[1]) == 3


def test_schedule_follows_epochs_of_unknown_length():
    _, history = trained(lambda: iter(BATCHES), lr_schedule="linear")
    np.testing.assert_allclose(history.learning_rate, [1e-2, 2e-2 / 3, 1e-2 / 3])


def test_iterable_receives_the_epoch():
    class Loader(list):
        epochs = ()

        def set_epoch(self, epoch):
            self.epochs = (*self.epochs, epoch)

    loader = Loader(BATCHES)
    trained(loader)
    assert loader.epochs == (0, 1, 2)


@pytest.mark.parametrize("options", [{}, dict(truncate=4)], ids=["whole", "windows"])
def test_run_over_an_iterable_resumes_bitwise(tmp_path, monkeypatch, options):
    want, history = trained(WITH_LENGTHS, **options)
    train_batch, path = Trainer._train_batch, tmp_path / "run"
    for at in (1, 5):
        count = 0

        def interrupted(self, *arguments, at=at):
            nonlocal count
            count += 1
            if count == at:
                raise KeyboardInterrupt
            train_batch(self, *arguments)

        path.unlink(missing_ok=True)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Trainer, "_train_batch", interrupted)
            trained(WITH_LENGTHS, **options, checkpoint=path)
        got, other = trained(WITH_LENGTHS, **options, checkpoint=path, resume=True)
        assert_same_bits(got, want)
        assert other.loss == history.loss


def test_iterable_exceptions_keep_their_traceback():
    def broken():
        yield BATCHES[0]
        raise OSError("disk gone")

    m = model()
    with pytest.raises(OSError, match="disk gone") as error:
        fit(m, broken, **OPTIONS)
    assert "broken" in [frame.name for frame in traceback.extract_tb(error.value.__traceback__)]
    assert np.isfinite(m.flat_parameters).all()


def test_thread_reads_at_most_two_items_ahead_and_ends_with_the_generator():
    read, closed = [], []

    def endless():
        try:
            while True:
                read.append(len(read))
                yield read[-1]
        finally:
            closed.append(True)

    items = prefetched(endless(), lambda k: -k)
    assert [next(items) for _ in range(3)] == [0, -1, -2]
    items.close()
    assert len(read) <= 7 and closed == [True]


@pytest.mark.parametrize(
    "x, options, words",
    [
        (X, {}, "x must be an iterable of batches .* where y is None"),
        (7, {}, "x must be an iterable of batches"),
        (iter(BATCHES), {}, "x must be an iterable that can be read again"),
        (BATCHES, dict(lengths=LENGTHS), "lengths must be None for an iterable"),
        (BATCHES, dict(validation=0.2), "validation must be data where x is an iterable"),
        ([], {}, "x must yield at least one batch in each epoch, got none in epoch 0"),
        ([X, Y], {}, "x must yield batches .* got ndarray as batch 0"),
        ([BATCHES[0], (X,)], {}, "x must yield batches .* got 1 values as batch 1"),
        ([BATCHES[0], (X, Y[:3])], {}, "batch 1 of x: y must be numbers of shape"),
        ([(X[:0], Y[:0])], {}, "batch 0 of x: x must hold at least one sequence"),
        (BATCHES, dict(truncate=4, burn_in=9), "x must yield series that are longer than burn_in"),
    ],
)
def test_invalid_iterables_raise(x, options, words):
    m = model()
    with pytest.raises((TypeError, ValueError), match=words):
        fit(m, x, **OPTIONS | options)


def test_one_pass_suffices_for_one_epoch():
    want, _ = trained(BATCHES, epochs=1)
    assert_same_bits(trained(iter(BATCHES), epochs=1)[0], want)


# ---- memory-mapped arrays ----


def mapped(folder, name, array):
    np.save(folder / name, array)
    return np.load(folder / name, mmap_mode="r")


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
@pytest.mark.parametrize("options", [{}, dict(truncate=4, burn_in=1)], ids=["whole", "windows"])
def test_memory_mapped_arrays_match_arrays_bitwise(tmp_path, dtype, options):
    x, y = (100 * X).astype(dtype), Y.astype(np.float32)
    options = dict(options, lengths=LENGTHS, batch_size=4, validation=0.25)
    want, history = trained(x, y, **options)
    got, other = trained(mapped(tmp_path, "x.npy", x), mapped(tmp_path, "y.npy", y), **options)
    assert_same_bits(got, want)
    assert history.loss == other.loss and history.validation_loss == other.validation_loss
    lists = [mapped(tmp_path, f"{k}.npy", one[:n]) for k, (one, n) in enumerate(zip(x, LENGTHS))]
    targets = [one[:n] for one, n in zip(y, LENGTHS)]
    del options["lengths"]
    assert_same_bits(trained(lists, targets, **options)[0], want)


@pytest.mark.parametrize("options", [{}, dict(truncate=64)], ids=["whole", "windows"])
def test_memory_mapped_arrays_are_never_fully_copied(tmp_path, options):
    x = mapped(tmp_path, "x.npy", np.zeros((3000, 200, 3), np.float64))
    y = mapped(tmp_path, "y.npy", np.zeros((3000, 200, 1), np.float64))
    m = SequenceModel(lf.LSTM(3, 1, batch_first=True, seed=0), 1, "all", seed=0)
    tracemalloc.start()
    fit(m, x, y, batch_size=50, epochs=1, validation=0.1, **options)
    assert tracemalloc.get_traced_memory()[1] < 4e6 < x.nbytes / 3
    tracemalloc.stop()


def test_abandoned_iterator_is_closed():
    class Endless:
        n_closed = 0

        def __iter__(self):
            return self

        def __next__(self):
            return 1

        def close(self):
            self.n_closed += 1

    items = Endless()
    read = prefetched(items, lambda item: item + 1)
    assert next(read) == 2
    read.close()
    assert items.n_closed == 1


@pytest.mark.parametrize("options", [{}, dict(truncate=4)], ids=["whole", "windows"])
def test_a_run_is_not_resumed_with_fewer_batches(tmp_path, monkeypatch, options):
    path, train_batch = tmp_path / "run", Trainer._train_batch
    at = 3 if not options else 8  # windows: of nine steps, three for each batch

    def interrupted(self, *arguments):
        if self.now.batch == at - 1:
            raise KeyboardInterrupt
        train_batch(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "_train_batch", interrupted)
        trained(BATCHES, **options, checkpoint=path)
    with pytest.raises(ValueError, match="the data must be those of the interrupted call"):
        trained(BATCHES[:1], **options, checkpoint=path, resume=True)


def test_closing_waits_for_the_item_in_flight():
    """So that nothing of the caller's iterable runs after fit has ended, unless Ctrl-C ends it."""
    ended = []

    def items():
        try:
            for k in range(9):
                time.sleep(0.1)
                yield k
        finally:
            ended.append(k)

    batches = prefetched(items(), lambda item: item)
    assert next(batches) == 0
    batches.close()
    assert ended
