"""fit(truncate=, burn_in=): windows of long series with the state carried, compared with full backpropagation."""

import tracemalloc

import numpy as np
import pytest

import lstm_fast as lf
from lstm_fast.train import SGD, Diverged, SequenceModel, Trainer, fit
from lstm_fast.train.windows import WindowPlan
from optional import needs
from tolerances import assert_same_bits
from truncated_cases import LENGTHS, MASKS, X, Y, model, rng, trained

pytestmark = [needs("safetensors"), pytest.mark.usefixtures("few_steps")]


def test_windows_cover_each_series_once_in_order_and_carry_its_row():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        lengths, burn_in, truncate = rng.integers(0, 30, 12), int(rng.integers(0, 9)), int(rng.integers(1, 9))
        plan = WindowPlan(lengths, int(rng.integers(1, 6)), truncate, burn_in, np.arange(12))
        seen, before = {k: [] for k in range(12)}, np.empty(0, int)
        windows = list(plan.windows())
        for k, window in enumerate(windows):
            assert window.n_before == len(before)
            carried = np.arange(len(before)) if window.carried is None else window.carried
            for series, begin, row in zip(window.series, window.begins, carried):
                assert row < 0 if begin == burn_in else before[row] == series
                end = min(begin + truncate, lengths[series])
                assert end - begin <= window.n
                seen[series] += range(begin, end)
            before = window.series
            again = next(plan.windows(k))
            assert all(np.array_equal(a, b) for a, b in zip(again, window))
        assert len(windows) == len(plan)
        assert all(steps == list(range(burn_in, lengths[k])) for k, steps in seen.items())


@pytest.mark.parametrize("rnn", [False, True])
@pytest.mark.parametrize("truncate", [20, 100])
def test_whole_series_windows_match_plain_fit_bitwise(rnn, truncate):
    options = dict(MASKS, rnn=rnn, learn_initial_state=True)
    want, history = trained(model(**options), validation=0.25, mask=X[:, :, 0] > 0)
    got, other = trained(model(**options), validation=0.25, mask=X[:, :, 0] > 0, truncate=truncate)
    assert_same_bits(got, want)
    np.testing.assert_allclose(other.loss, history.loss, rtol=1e-12)
    assert other.validation_loss == history.validation_loss


def test_input_layouts_give_the_same_bits():
    want, history = trained(model(), lengths=LENGTHS, truncate=4, burn_in=5)
    x, y = ([one[:n] for one, n in zip(array, LENGTHS)] for array in (X, Y))
    got, other = trained(model(), x, y, truncate=4, burn_in=5)
    assert_same_bits(got, want)
    assert history.loss == other.loss
    lstm = lf.LSTM(3, 5, dtype=np.float64, seed=0)
    got, _ = trained(
        SequenceModel(lstm, 1, "all", seed=0),
        X.swapaxes(0, 1),
        Y.swapaxes(0, 1),
        lengths=LENGTHS,
        truncate=4,
        burn_in=5,
    )
    assert_same_bits(got, want)


def test_learned_state_gets_gradients_in_first_windows_only():
    m = model(learn_initial_state=True)
    with m.edit() as p:
        p["lstm.h_0_l0"], p["lstm.c_0_l0"] = rng.uniform(-1, 1, 5), rng.uniform(-1, 1, 5)
    names, start = ("lstm.h_0_l0", "lstm.c_0_l0"), m.state_dict()
    _, gradients = m.loss_and_grads(X[:3, :7], Y[:3, :7])
    after = []

    def step(batch, *rest):
        original(batch, *rest)
        after.append(m.state_dict())

    original, Trainer._train_batch = Trainer._train_batch, step
    try:
        # Series of 20, 20 and 7 steps in the first window; the third row takes another series at the second.
        options = dict(lengths=[20, 20, 7, 20], shuffle=False, optimizer=SGD(0.1), epochs=1)
        trained(m, X[:4], Y[:4], truncate=7, **options)
    finally:
        Trainer._train_batch = original
    for name in names:
        np.testing.assert_allclose(after[0][name], start[name] - 0.1 * gradients[name], rtol=1e-12)
        assert (after[1][name] != after[0][name]).all()
        assert_same_bits(after[2][name], after[1][name])  # no series begins
    m.load_state_dict(start)
    trained(m, truncate=7, burn_in=2)
    assert_same_bits(m.state_dict()["lstm.h_0_l0"], start["lstm.h_0_l0"])  # burn-in has no gradient


def test_burn_in_is_inference_from_the_initial_state():
    want, got = model(**MASKS), model(**MASKS)
    _, state = want.lstm(X[:3, :8])
    trained(got, X[:3], Y[:3], burn_in=8, epochs=1, shuffle=False, optimizer=SGD(0.1))
    masks = np.random.default_rng(np.random.SeedSequence(1).spawn(3)[1])
    output, _, tape = want.lstm.forward(X[:3, 8:], state, rng=masks)
    d = 2 * (want.head.apply(output, 1) - Y[:3, 8:]) / Y[:3, 8:].size
    gradients = want.lstm.backward(tape, d @ want.head.weight)
    np.testing.assert_allclose(
        got.lstm.flat_parameters, want.lstm.flat_parameters - 0.1 * gradients.flat, rtol=1e-9, atol=1e-12
    )


def test_windowed_validation_matches_whole_series_without_burn_in():
    for burn_in in (0, 6):
        m = model()
        history = fit(
            m, X, Y, truncate=4, burn_in=burn_in, validation=(X, Y, LENGTHS), optimizer=SGD(0.0), epochs=1, seed=0
        )
        counts = (np.arange(20) < LENGTHS[:, None]) & (np.arange(20) >= burn_in)
        want = ((m.predict(X, LENGTHS) - Y)[counts] ** 2).mean()
        np.testing.assert_allclose(history.validation_loss[0], want, rtol=1e-12)


@pytest.mark.parametrize("readout", ["all", "last", "mean"])
def test_blocked_predictions_match_whole_sequences_bitwise(monkeypatch, readout):
    from lstm_fast.train import chunks

    networks = [lf.LSTM(3, 5, 2, seed=0, proj_size=2), lf.RNN(3, 5, seed=0), lf.LSTM(3, 5, bidirectional=True, seed=0)]
    models = [SequenceModel(network, 2, readout, seed=0) for network in networks]
    models.append(SequenceModel(lf.LSTM(3, 5, 2, seed=0), 2, readout, seed=0).quantized("int8"))
    x, lengths = X.swapaxes(0, 1), LENGTHS
    whole = [(m.predict(x), m.predict(x, lengths)) for m in models]
    for name, value in (("CHUNK_NUMBERS", 1), ("LEAST_STEPS", 3), ("MEAN_STEPS", 3)):
        monkeypatch.setattr(chunks, name, value)
    for m, want in zip(models, whole):
        same = np.testing.assert_array_equal
        if readout == "mean":  # the sum of sums
            same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)  # noqa: E731
        same(m.predict(x), want[0])
        same(m.predict(x, lengths), want[1])


def peak(T, **options):
    """Bytes at the peak of a fit over two series of T steps, and of predicting one."""
    x, y = np.ones((2, T, 3)), np.ones((2, T, 1), np.float32)
    m = model(dtype=np.float32)
    tracemalloc.start()
    try:
        fit(m, x, y, batch_size=2, epochs=1, seed=0, truncate=64, burn_in=T // 2, validation=(x, y), **options)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_series_length(monkeypatch):
    from lstm_fast.train import chunks

    monkeypatch.setattr(chunks, "CHUNK_NUMBERS", 1 << 12)
    few, many = peak(4_000), peak(64_000)
    assert many < few + 100_000  # x of the longer series has 3 MB


def test_windows_of_symbols_match_one_hot_vectors():
    symbols = rng.integers(0, 3, (8, 20))
    models = [
        SequenceModel(lf.LSTM(3, 5, batch_first=True, index_input=is_index, seed=0), 1, "all", seed=0)
        for is_index in (True, False)
    ]
    options = dict(truncate=4, burn_in=3, validation=0.25)
    got, history = trained(models[0], symbols, **options)
    want, other = trained(models[1], np.eye(3)[symbols], **options)
    assert_same_bits(got, want)
    assert history.validation_loss == other.validation_loss


# ---- arguments ----


@pytest.mark.parametrize(
    "make, options, words",
    [
        (model, dict(truncate=0), "truncate must be a positive integer"),
        (model, dict(truncate=2.5), "truncate must be a positive integer"),
        (model, dict(burn_in=-1), "burn_in must be an integer of at least 0, got -1"),
        (model, dict(burn_in=True), "burn_in must be an integer of at least 0, got True"),
        (model, dict(burn_in=20), "burn_in must be below the length of the longest series, 20"),
        (lambda: model(bidirectional=True), dict(truncate=4), "unidirectional network, got bidirectional=True"),
        (lambda: SequenceModel(model().lstm, 1), dict(burn_in=4), "readout=\"all\".*got readout='last'"),
        (lambda: SequenceModel(model().lstm, 1, "mean"), dict(truncate=4), "readout=\"all\".*got readout='mean'"),
    ],
)
def test_wrong_arguments_raise(make, options, words):
    with pytest.raises(ValueError, match=words):
        trained(make(), **options)


def test_nonfinite_step_raises():
    x = X.copy()
    x[5, 13] = np.nan
    with pytest.raises(lf.train.Diverged, match="x of sequence 5 is not finite at step 13"):
        trained(model(), x, truncate=4)


def test_progress_bar_counts_steps_after_burn_in(capsys):
    trained(model(), lengths=LENGTHS, truncate=4, burn_in=5, progress=True)
    n = 2 * int(np.maximum(0, LENGTHS - 5).sum())
    assert f"{n}/{n}" in capsys.readouterr().err


def test_losses_weights_and_early_stopping_match_plain_fit():
    def loss(p, y):
        return ((p - y) ** 2).mean(axis=1), 2 * (p - y) / p.shape[1]

    weights, options = rng.uniform(0, 2, 8), dict(epochs=6, early_stopping=1, lengths=LENGTHS, shuffle=False)
    want, history = trained(model(), **options, sample_weight=weights, truncate=20, batch_size=8)
    got, other = trained(model(), **options, sample_weight=weights, loss=loss, check_loss=True, batch_size=8)
    np.testing.assert_allclose(got, want, rtol=1e-9)
    assert history.best_epoch == other.best_epoch and len(history) == len(other)


def test_nan_in_the_burn_in_of_a_series_is_named():
    x = X.copy()
    x[1, 2] = np.nan
    with pytest.raises(Diverged, match="x of sequence 1 is not finite at step 2"):
        fit(model(), x, Y, truncate=4, burn_in=5, batch_size=2, shuffle=False, epochs=1, seed=0)
