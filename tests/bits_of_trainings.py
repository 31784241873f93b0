"""Print the fingerprints of a few training runs that use all losses, scalings and schedules.

In float64, as rounding to float32 would hide most differences. test_training_bits.py runs it in processes whose NumPy
and BLAS choose other instructions.
"""

import warnings

import numpy as np

import lstm_fast as lf


def trainings():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((90, 17, 3)).astype(np.float32)
    lengths, weights = rng.integers(1, 18, 90), rng.random(90)
    classes, one_of_two, numbers = rng.integers(0, 11, 90), rng.random((90, 9)), rng.standard_normal((90, 9))
    for loss, y, n in (
        ("cross_entropy", classes, 11),
        ("bce", one_of_two, 9),
        ("huber", numbers, 9),
        (("quantile", (0.2, 0.7, 0.9)), numbers[:, :3], 9),
        (lambda p, y: (((p - y) ** 2)[:, 0], np.concatenate([2 * (p - y)[:, :1], 0 * p[:, 1:]], axis=1)), numbers, 9),
    ):
        model = lf.train.SequenceModel(
            lf.LSTM(3, 12, batch_first=True, seed=0, dtype=np.float64), n, seed=0, readout="mean"
        )
        history = lf.train.fit(
            model, x, y, lengths=lengths, sample_weight=weights, loss=loss, epochs=8, seed=0, validation=0.3,
            lr_schedule="cosine", clip_norm=0.3, early_stopping=3, optimizer=lf.train.Adam(lr=0.02),
        )  # fmt: skip
        yield loss if isinstance(loss, (str, tuple)) else "own", history.fingerprint, history.loss[-1].hex()


def estimators():
    from lstm_fast.sklearn import LSTMClassifier, LSTMForecaster, LSTMRegressor

    rng = np.random.default_rng(4)
    X = rng.standard_normal((70, 12, 3)) * [1, 1e3, 1e-2] + [0, 5e3, 1]
    y = rng.integers(0, 3, 70)
    settings = dict(hidden_size=6, epochs=3, random_state=0)
    classifier = LSTMClassifier(**settings).fit(X, y, sample_weight=rng.random(70))
    yield "classifier", lf.fingerprint(classifier.model_), classifier.predict_proba(X).sum(axis=0).tobytes().hex()
    X[rng.random(X.shape) < 0.1] = np.nan
    for scale in ("series", "window"):
        series = np.cumsum(rng.standard_normal(150))
        try:
            forecaster = LSTMForecaster(12, 3, scale=scale, **settings).fit(series)
        except (TypeError, ValueError) as error:
            yield scale, str(error), ""
            continue
        yield f"forecaster {scale}", lf.fingerprint(forecaster.model_), forecaster.predict().tobytes().hex()
    regressor = LSTMRegressor(**settings).fit(np.nan_to_num(X), rng.standard_normal(70))
    yield "regressor", lf.fingerprint(regressor.model_), ""


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for line in (*trainings(), *estimators()):
        print(*line)
